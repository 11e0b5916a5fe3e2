"""Several bundles on one stream: samples in, the detections of all out; a front-end that several have is computed once.

Only one that lies outside of the models is shared (`micro`, of whatever files). An ONNX bundle with its front-end inside computes
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.runtime.detector import Detection, Detector, checked
from wakesmith.runtime.engines import Fronted
from wakesmith.runtime.front_ends import FrontEnd

Floats = npt.NDArray[np.float32]
PIECE_SAMPLES = SAMPLE_RATE_HZ
"""All hear so much before the first goes on: frames are kept no longer."""


class Detectors:
    """Fresh streams of loaded detectors, which all hear the same sound; those given are left as they are."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._shared: list[tuple[Mapping[str, Any], _Shared]] = []
        self._detectors = [self._joined(one) for one in detectors]

    @classmethod
    def load(cls, folders: Sequence[str | Path], threshold: float | None = None) -> Detectors:
        """Checked bundles; `threshold` (0..1) takes the place of every phrase's own. Raises BundleError."""
        return cls([Detector.load(folder, threshold) for folder in folders])

    @property
    def phrases(self) -> list[str]:
        return [phrase for one in self._detectors for phrase in one.points]

    def reset(self) -> None:
        """Forget everything heard; time starts at 0 again."""
        for _, shared in self._shared:
            shared.reset()
        for one in self._detectors:
            one.reset()

    def process(self, samples: npt.ArrayLike) -> list[Detection]:
        """As of a `Detector`: what each finds in these samples, in order of time."""
        heard = checked(samples)  # whole, so that a refused chunk leaves all as they were
        pieces = [heard[at : at + PIECE_SAMPLES] for at in range(0, max(1, len(heard)), PIECE_SAMPLES)]
        return _in_order([hit for piece in pieces for one in self._detectors for hit in one.process(piece)])

    def finish(self) -> list[Detection]:
        """As of a `Detector`."""
        return _in_order([hit for one in self._detectors for hit in one.finish()])

    def _joined(self, detector: Detector) -> Detector:
        engine, features = detector.engine, detector.card.features
        if not isinstance(engine, Fronted):
            return detector.another()
        shared = next((one for settings, one in self._shared if settings == features), None)
        if shared is None:
            shared = _Shared(engine.begin_front_end)
            self._shared.append((features, shared))
        return detector.another(Fronted(engine.model, shared.tap))


class _Shared:
    """A front-end whose frames are made when the first model asks for them, and kept until the last has taken them."""

    def __init__(self, begin: Callable[[], FrontEnd]) -> None:
        self._begin = begin
        self.reset()

    def reset(self) -> None:
        self._front_end = self._begin()
        self._frames, self._n_made = np.zeros((0, 0), np.float32), 0
        self._taps: list[_Tap] = []

    def tap(self) -> FrontEnd:
        """For one more model, before anything was heard."""
        self._taps.append(_Tap(self, self._front_end.hop_samples))
        return self._taps[-1]

    def after(self, n_taken: int, samples: Floats, n_frames: int) -> Floats:
        """The frames (n_frames, F) of samples before which a model has taken `n_taken`."""
        n_known = min(n_frames, self._n_made - n_taken)
        if n_known < n_frames:
            made = self._front_end.step(samples[n_known * self._front_end.hop_samples :])
            self._frames = np.concatenate([self._frames, made]) if len(self._frames) else made
            self._n_made += len(made)
        start = len(self._frames) - (self._n_made - n_taken)
        return self._frames[start : start + n_frames]

    def drop(self) -> None:
        """Forget what all have taken."""
        self._frames = self._frames[len(self._frames) - (self._n_made - min(tap.n_taken for tap in self._taps)) :]


class _Tap:
    """The shared front-end as one model sees it."""

    def __init__(self, shared: _Shared, hop_samples: int) -> None:
        self._shared, self.hop_samples, self.n_taken = shared, hop_samples, 0

    def step(self, samples: Floats) -> Floats:
        n_frames = len(samples) // self.hop_samples
        frames = self._shared.after(self.n_taken, samples, n_frames)
        self.n_taken += n_frames
        self._shared.drop()
        return frames


def _in_order(found: list[Detection]) -> list[Detection]:
    return sorted(found, key=lambda hit: hit.time_s)

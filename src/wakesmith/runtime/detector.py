"""Chunks of 16 kHz samples in, detections out. What one chunk leaves over waits for the next, so their sizes change nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakesmith import promise
from wakesmith.audio import to_float
from wakesmith.errors import AudioError, BundleError
from wakesmith.promise import Point, Promise
from wakesmith.runtime import engines

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]
SAME_S = 1e-6  # times closer than this are one
SURELY_BELOW = 1 - 1e-9
"""Scores below this part of a threshold have no mean at it, however the sum is rounded."""
TAIL_S = 0.5
"""A phrase is decided on shortly after its end: this much silence is heard after the last samples of a stream."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A phrase was heard: when its smoothed score reached the threshold, and that score."""

    time_s: float
    score: float
    phrase: str = ""
    """Empty for bare scores, of which nobody says whose they are."""


def smooth(scores: npt.NDArray[np.floating], window: int) -> Times:
    """Mean of the last `window` scores, (n,) -> (n,) float64; before the first there were zeros."""
    return _smooth_after(np.zeros(window - 1), scores)


def _smooth_after(before: Times, scores: npt.NDArray[np.floating]) -> Times:
    # Summed score by score, so that a long signal and its chunks give the same bits.
    window = len(before) + 1
    joined = np.concatenate([before, scores]).astype(np.float64)
    total = np.zeros(len(scores))
    for offset in range(window):
        total += joined[offset : offset + len(scores)]
    return total / window


class Gate:
    """Smoothed scores -> detections: one for each time the score comes up to the threshold, then `refractory_s` of quiet."""

    def __init__(self, threshold: float, refractory_s: float, phrase: str = "") -> None:
        self.threshold, self.refractory_s, self.phrase = threshold, refractory_s, phrase
        self._quiet_until_s = -np.inf
        self._armed = True  # the score was below the threshold since the last detection

    def rest(self) -> None:
        """Scores below the threshold have followed those of the last call."""
        self._armed = True

    def feed(self, times_s: Times, smoothed: Times) -> list[Detection]:
        """(n,) seconds, (n,) smoothed scores that follow those of the last call -> detections."""
        found: list[Detection] = []
        if len(smoothed) == 0:
            return found
        above = smoothed >= self.threshold
        if not above.any():
            self.rest()
            return found
        turns = np.flatnonzero(np.diff(above, prepend=not above[0]))  # where each run of above or below begins
        for start, end in zip(turns, [*turns[1:], len(above)], strict=True):
            if not above[start]:
                self._armed = True
                continue
            at = start + int(np.searchsorted(times_s[start:end], self._quiet_until_s - SAME_S))
            if self._armed and at < end:
                self._armed = False
                self._quiet_until_s = float(times_s[at]) + self.refractory_s
                found.append(Detection(float(times_s[at]), float(smoothed[at]), self.phrase))
        return found


def events(times_s: Times, smoothed: Times, threshold: float, refractory_s: float) -> list[Detection]:
    """Detections of a whole signal: (n,) seconds, (n,) smoothed scores -> list, as the running detector gives them."""
    return Gate(threshold, refractory_s).feed(times_s, smoothed)


class _Heard:
    """What is kept of one phrase between chunks: the scores that its next mean needs, and its gate."""

    def __init__(self, phrase: str, point: Point) -> None:
        self._before = [0.0] * (point.smoothing_window - 1)
        self._gate = Gate(point.threshold, point.refractory_s, phrase)
        self._quiet = point.threshold * SURELY_BELOW

    def feed(self, times_s: Times, scores: Floats) -> list[Detection]:
        """(n,) seconds, (n,) raw scores of the phrase, n > 0 -> detections."""
        before = self._before
        recent = before + scores.tolist()
        self._before = recent[len(scores) :]
        if max(recent) < self._quiet:  # nearly always, and the means would cost as much as a small model
            self._gate.rest()
            return []
        return self._gate.feed(times_s, _smooth_after(np.array(before), scores))


class Detector:
    """A bundle that listens, to one phrase or several. Each detector keeps its own state: use one per stream (`another`)."""

    def __init__(self, card: Promise, engine: engines.Engine, points: Sequence[Point | None]) -> None:
        self.card, self.points = card, dict(zip(card.texts, points, strict=True))
        self.engine = engine
        self.reset()

    @classmethod
    def load(cls, folder: str | Path, threshold: float | Mapping[str, float] | None = None) -> Detector:
        """A checked bundle -> a detector at its operating points. Raises BundleError.

        `threshold` (0..1) takes the place of every phrase's own; as a mapping, that of the phrases it names.
        """
        card = promise.load(folder)
        engine = engines.load(Path(folder) / card.model, card)
        return cls(card, engine, _at(card, threshold))

    def another(self, engine: engines.Engine | None = None) -> Detector:
        """A fresh stream on the same loaded model. The two share what never changes, so they may run in different threads.

        engine: another way to run that model.
        """
        made = copy.copy(self)
        made.engine = engine or self.engine
        made.reset()
        return made

    @property
    def point(self) -> Point | None:
        """Of the only phrase; `points` has those of several."""
        assert len(self.points) == 1, f"several phrases: {self.card.phrase}"
        return self.points[self.card.phrase]

    def reset(self) -> None:
        """Forget everything heard; time starts at 0 again."""
        self._state = self.engine.begin()
        self._waiting = np.zeros(0, np.float32)
        self._n_scores = 0
        self._heard = [_Heard(phrase, point) for phrase, point in self.points.items() if point is not None]

    def process(self, samples: npt.ArrayLike) -> list[Detection]:
        """Hear the next samples, (any length,) float in -1..1 or int16 -> detections in order of time, from the last reset."""
        return self.detect(*self.hear(samples))

    def detect(self, times_s: Times, scores: Floats) -> list[Detection]:
        """What `hear` gave -> detections in order of time: for who wants the scores too. Raises BundleError."""
        if len(self._heard) < len(self.points):
            raise BundleError("the bundle has no operating point yet. Run `wakesmith evaluate`, or give a threshold, as in 0.5.")
        if len(scores) == 0:
            return []
        columns = scores.reshape(len(scores), len(self._heard)).T
        found = [one for heard, own in zip(self._heard, columns, strict=True) for one in heard.feed(times_s, own)]
        return sorted(found, key=lambda one: one.time_s)

    def finish(self) -> list[Detection]:
        """The stream has ended: `TAIL_S` of silence follows -> the last detections."""
        return self.process(np.zeros(round(TAIL_S * self.card.rate_hz), np.float32))

    def scores(self, samples: npt.ArrayLike) -> tuple[Times, Floats]:
        """A whole signal from a fresh state, (N,) -> times in seconds (n,), unsmoothed scores. Ends reset.

        The scores are (n,), and (n, K) for K > 1 phrases.
        """
        self.reset()
        heard = self.hear(samples)
        self.reset()
        return heard

    def hear(self, samples: npt.ArrayLike) -> tuple[Times, Floats]:
        """The next samples, (any length,) -> times in seconds (n,), unsmoothed scores (n,) or (n, K) of every step that is now
        whole; the rest waits. Nothing is detected: `detect` does that."""
        heard = np.concatenate([self._waiting, checked(samples)])
        step, columns = self.card.step_samples, [len(self.points)] if len(self.points) > 1 else []
        n_steps = len(heard) // step
        if n_steps == 0:  # small chunks mostly end here
            self._waiting = heard
            return np.zeros(0), np.zeros((0, *columns), np.float32)
        made = np.empty((n_steps, self.card.scores_per_step, *columns), np.float32)
        for i, chunk in enumerate(heard[: n_steps * step].reshape(n_steps, 1, step)):
            made[i], self._state = self.engine.step(chunk, self._state)
        self._waiting = heard[n_steps * step :]
        scores = made.reshape(-1, *made.shape[2:])
        return self._times(len(scores)), scores

    def _times(self, n_new: int) -> Times:
        """(n,) seconds at which the newest scores were due: the end of the samples they rest on."""
        numbers = np.arange(self._n_scores + 1, self._n_scores + n_new + 1)
        self._n_scores += n_new
        return numbers * self.card.score_samples / self.card.rate_hz


def _at(card: Promise, threshold: float | Mapping[str, float] | None) -> list[Point | None]:
    """The operating point of each phrase, with the thresholds that are given."""
    given = threshold if isinstance(threshold, Mapping) else {} if threshold is None else dict.fromkeys(card.texts, threshold)
    for phrase in given:
        if phrase not in card.texts:
            raise BundleError(f"threshold: the bundle does not hear '{phrase}', only {card.phrase}.")
    return [_moved(one.operating_point, given[one.text]) if one.text in given else one.operating_point for one in card.phrases]


def _moved(point: Point | None, threshold: float) -> Point:
    if not 0.0 < threshold <= 1.0:
        raise BundleError(f"threshold: expected a number over 0 and up to 1, got {threshold}.")
    if point is None:
        return Point(threshold)
    return replace(point, threshold=threshold)


def checked(samples: npt.ArrayLike) -> Floats:
    """Mono samples as float32. Raises AudioError for another shape or type, NaN, or floats that are int16 in disguise."""
    array = np.asarray(samples)
    if array.ndim != 1:
        raise AudioError(f"samples: expected one channel of shape (N,), got {array.shape}. Pick or average the channels first.")
    if array.dtype == np.int16:
        return to_float(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise AudioError(f"samples: expected float in -1..1 or int16, got {array.dtype}. Convert them first.")
    if not np.isfinite(array).all():
        raise AudioError("samples: hold NaN or infinity. Leave these samples out.")
    return array.astype(np.float32)

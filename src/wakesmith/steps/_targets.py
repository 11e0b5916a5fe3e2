"""What a run makes beside the ONNX bundle: whether it can be made, what it is quantised by, where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakesmith import registry
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.data.clips import CLIP_SAMPLES
from wakesmith.steps.export import OTHERS

if TYPE_CHECKING:
    from wakesmith.card import OperatingPoint
    from wakesmith.steps._recipe import Recipe

N_PHRASES_SAID = 40
BED, SNR_DB = "noise", 10.0
GAP_S = (0.5, 1.5)
DEVICE = "device"
PIECE_S = 30.0


def check(recipe: Recipe) -> None:
    """Whether each target can be made of the recipe's student, and keeps its budget: before anything is made.

    An exporter's module may hold `check_budget`. Raises ConfigError or BundleError.
    """
    for target in recipe.export.others:
        module = registry.load("exporters", target.name)
        if hasattr(module, "check_budget"):
            n_frames = CLIP_SAMPLES // registry.build("features", recipe.features).hop_samples
            module.check_budget(recipe.features, recipe.student, len(recipe.phrases), n_frames, target)


def is_outside(features: str, exporter: Any) -> bool:
    """Whether the front-end lies outside of what an exporter writes.

    An exporter that quantises by nothing says it by `is_outside`.
    """
    from wakesmith.runtime import front_ends

    outside = features in front_ends.names()
    return bool(outside or exporter.calibrates_on == "features" or getattr(exporter, "is_outside", False))


def folders(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The bundles that a run has beside the ONNX one, by target."""
    return {one.name: folder / OTHERS / one.name for one in recipe.export.others}


def as_it_fires(target: str, point: OperatingPoint) -> OperatingPoint:
    """The point as the target's devices have it, where its exporter's module says that they round it."""
    module = registry.load("exporters", target)
    made: OperatingPoint = module.as_it_fires(point) if hasattr(module, "as_it_fires") else point
    return made


def hand_over(target: str, place: Path) -> None:
    """What goes to a device, into the bundle's folder `device`, where the target's exporter makes it of an evaluated bundle."""
    module = registry.load("exporters", target)
    if hasattr(module, "hand_over"):
        module.hand_over(place, place / DEVICE)


class Streams:
    """Continuous sound of train: its phrases over noise, then other speech and noise; read when first asked for."""

    def __init__(self, folder: Path, seed: int, length_s: float, listener: Any) -> None:
        self.folder, self.seed, self.length_s, self.listener = folder, seed, length_s, listener
        self._samples: list[Samples] = []

    def of(self, kind: str | None) -> list[np.ndarray]:
        """As an exporter's `calibrates_on` says. "features": what the front-end gives over the sound, (T, F) each; "inputs": that
        for a listener with its front-end outside, else the samples, (N,) each; None: none."""
        import torch

        if kind is None:
            return []
        self._samples = self._samples or self._read()
        if kind == "inputs" and not self.listener.is_outside:
            return [*self._samples]
        front_end, made = self.listener.front_end, []
        for samples in self._samples:
            whole = torch.from_numpy(samples[: len(samples) // front_end.hop_samples * front_end.hop_samples])
            with torch.no_grad():
                made.append(front_end.step(whole[None], front_end.initial_state())[0][0].numpy())
        return made

    def _read(self) -> list[Samples]:
        from wakesmith.augment._bank import Bank
        from wakesmith.data.audio_store import AudioStore
        from wakesmith.rng import rng
        from wakesmith.steps import _streams, evaluate

        store = AudioStore.open(self.folder / "prepare")
        beds = _streams.Beds(store, Bank(self.folder / "views" / "bank"))
        said = store.of("train", "wake")
        some = [said[i] for i in rng(self.seed, "calibration").permutation(len(said))[:N_PHRASES_SAID]]
        condition = _streams.Condition(BED, SNR_DB)
        phrases = _streams.of_events(store, beds, some, "train", condition, GAP_S, self.seed, "calibration").samples
        made = [phrases[: round(self.length_s / 2 * SAMPLE_RATE_HZ)]]
        hours = (self.length_s - len(made[0]) / SAMPLE_RATE_HZ) / 3600
        negatives = evaluate.negatives(store, "train")
        return made + [one.samples for one in _streams.of_negatives(store, negatives, hours, self.seed, "train", PIECE_S)]

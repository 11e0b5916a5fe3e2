"""`views`: each clip heard several ways, into the memory-mapped store."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from wakesmith import config
from wakesmith.audio import Samples
from wakesmith.config import Effect, part
from wakesmith.data.records import SPLITS, Clip, split_numbers

if TYPE_CHECKING:
    from wakesmith.augment._bank import Bank
    from wakesmith.steps._recipe import Recipe

ORDER = ("shift", "speed", "context", "room", "babble", "noise", "band_limit", "level")


class Settings(config.Settings):
    n_views: int = Field(default=8, ge=1, le=1000)
    """Hearings of each train clip; time, disk and the teacher's work grow with it."""
    effects: list[Effect] = Field(default_factory=lambda: [part("augment", name) for name in ORDER])
    """In the order they are applied; the first cuts the view."""
    n_rooms: int = Field(default=240, ge=0)
    """Simulated rooms, shared out over train, dev and test."""
    most_beds: int = Field(default=150, ge=1)
    """Of 10 s, of noise and of speech, for each split."""


def wanted(clips: Collection[Clip], n_views: int) -> np.ndarray:
    """(n_clips, K) bool: every view of train, the first of dev, none of test (that is heard as continuous audio)."""
    rows = {"train": np.ones(n_views, bool), "dev": np.arange(n_views) == 0, "test": np.zeros(n_views, bool)}
    return np.stack([rows[split] for split in SPLITS])[split_numbers(clips)]


@dataclass(frozen=True)
class Maker:
    """What a worker needs to make a view."""

    store: Any
    effects: Any
    bank: Any
    seed: int

    def __call__(self, clip: int, view: int) -> Samples:
        from wakesmith import augment

        record = self.store.clips[clip]
        return augment.augment(self.store.clip(record), record, view, self.seed, self.effects, self.bank)


def run(recipe: Recipe, folder: Path) -> Path:
    from wakesmith.augment import _bank
    from wakesmith.data.audio_store import AudioStore

    settings, place = recipe.views, folder / "views" / "bank"
    store = AudioStore.open(folder / "prepare")
    bank = _bank.make(store, place, recipe.seed, settings.n_rooms, settings.most_beds, os.cpu_count() or 1)
    return make(recipe, folder, bank)


def make(recipe: Recipe, folder: Path, bank: Bank, bank_of: Sequence[str] = ()) -> Path:
    """Write folder/views of the clips in folder/prepare. `bank_of` names what the bank was made from, when not from these."""
    from wakesmith import augment, run
    from wakesmith.augment.shift import VIEW_SAMPLES
    from wakesmith.data import views
    from wakesmith.data.audio_store import AudioStore

    settings, out, jobs = recipe.views, folder / "views", os.cpu_count() or 1
    store = AudioStore.open(folder / "prepare")
    described = [effect.model_dump(mode="json") for effect in settings.effects]
    stamp = run.fingerprint(store.fingerprint, recipe.seed, described, settings.n_rooms, settings.most_beds, *bank_of)
    manifest = {"fingerprint": stamp, "seed": recipe.seed, "effects": described, "n_views": settings.n_views}
    views.create(out, wanted(store.clips, settings.n_views), VIEW_SAMPLES, manifest)
    views.fill(out, Maker(store, augment.build(settings.effects), bank, recipe.seed), jobs)
    return out

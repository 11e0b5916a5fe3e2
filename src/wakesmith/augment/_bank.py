"""The bank: what effects mix in, made once a run from its own recordings, split by split, or generated where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith import audio
from wakesmith.audio import Samples
from wakesmith.augment import _generated, _rooms
from wakesmith.data.records import ROOM, SPLITS, Recording
from wakesmith.rng import rng

BED_SAMPLES = 10 * audio.SAMPLE_RATE_HZ
N_GENERATED = 24
N_BABBLE = 40
TALKERS = (3, 8)
ROOMS_OF = {"train": (0, 1, 2), "dev": (3,), "test": (4,)}
"""Simulated rooms by their number modulo 5: no room is heard in two splits."""


class Bank:
    """Beds of 10 s and room responses of half a second, memory-mapped from `make`'s folder.

    Kinds: speech, babble, noise; room, and beside: of the same room by number, from another place in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_open": {}}

    def _all(self, kind: str, split: str) -> np.ndarray:
        name = f"{kind}_{split}"
        if name not in self._open:
            self._open[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return self._open[name]

    def count(self, kind: str, split: str) -> int:
        return len(self._all(kind, split))

    def take(self, kind: str, split: str, number: int) -> Samples:
        found = self._all(kind, split)[number]
        return audio.to_float(found) if found.dtype == np.int16 else np.asarray(found)


def make(store: Any, folder: Path, seed: int, n_rooms: int, most_beds: int, jobs: int) -> Bank:
    """Write the bank of a prepared run; taken as it is when already there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "whole").exists():
        simulated = _rooms.bank(seed, n_rooms, jobs) if n_rooms else np.zeros((0, 2, _rooms.ROOM_SAMPLES), np.float32)
        for split in SPLITS:
            speech = _beds(store, store.of(split, "speech"), rng(seed, "speech", split), most_beds)
            noise = _beds(store, store.of(split, "noise"), rng(seed, "noise", split), most_beds)
            made = audio.to_int16(_generated.beds(rng(seed, "generated", split), N_GENERATED, BED_SAMPLES))
            recorded = [_rooms.aligned(store.recording(r.id)) for r in store.of(split, ROOM)]
            rooms = simulated[np.isin(np.arange(len(simulated)) % 5, ROOMS_OF[split])]
            np.save(folder / f"speech_{split}.npy", speech)
            np.save(folder / f"babble_{split}.npy", _babble(speech, rng(seed, "babble", split)))
            np.save(folder / f"noise_{split}.npy", np.concatenate([noise, made]) if len(noise) else made)
            # Of a recorded room someone elsewhere is heard as in the next recording: sets name those of one building alike.
            pairs = [np.stack(pair) for pair in zip(recorded, [*recorded[1:], *recorded[:1]], strict=True)]
            rooms = np.concatenate([rooms, np.stack(pairs)]) if pairs else rooms
            np.save(folder / f"room_{split}.npy", rooms[:, 0])
            np.save(folder / f"beside_{split}.npy", rooms[:, 1])
        (folder / "whole").touch()
    return Bank(folder)


def _beds(store: Any, recordings: Sequence[Recording], chance: np.random.Generator, most: int) -> np.ndarray:
    """(n, 10 s) int16: recordings joined in a drawn order, each brought to one level, and cut."""
    parts, total = [], 0
    for number in chance.permutation(len(recordings)):
        sound = store.recording(recordings[number].id)
        loud = np.sqrt(np.square(sound).mean())
        parts.append(audio.to_int16(np.clip(sound * np.float32(0.1 / max(loud, 1e-5)), -1, 1)))
        total += len(sound)
        if total >= most * BED_SAMPLES:
            break
    joined = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    if 0 < len(joined) < BED_SAMPLES:
        joined = np.tile(joined, -(-BED_SAMPLES // len(joined)))
    n_beds = min(most, len(joined) // BED_SAMPLES)
    return joined[: n_beds * BED_SAMPLES].reshape(n_beds, BED_SAMPLES)


def _babble(speech: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """(n, 10 s) int16: drawn numbers of the split's speech beds, each turned by a drawn time, on top of each other."""
    if len(speech) < TALKERS[0]:
        return np.zeros((0, BED_SAMPLES), np.int16)
    made = np.empty((N_BABBLE, BED_SAMPLES), np.int16)
    for row in made:
        n_talkers = min(len(speech), int(chance.integers(TALKERS[0], TALKERS[1] + 1)))
        talkers = chance.choice(len(speech), n_talkers, replace=False)
        voices = [np.roll(audio.to_float(speech[t]), int(chance.integers(BED_SAMPLES))) * chance.uniform(0.4, 1) for t in talkers]
        mixed = np.sum(voices, axis=0)
        row[:] = audio.to_int16(np.clip(mixed * 0.1 / max(mixed.std(), 1e-5), -1, 1).astype(np.float32))
    return made

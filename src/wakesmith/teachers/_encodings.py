"""Pooled encodings by (clip, view), heard once and kept in the run folder: for the head, for another head, for an ensemble."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wakesmith import ranks
from wakesmith.data import answers, room
from wakesmith.data.records import KNOWN_LABELS, SPLITS, UNLABELLED, Clip, split_numbers
from wakesmith.progress import say, track
from wakesmith.rng import rng
from wakesmith.run import write_json
from wakesmith.teachers._card import pooled

if TYPE_CHECKING:
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._base import Encoder

FOLDER = "encodings"
"""Inside the run folder, beside the steps: what was heard outlives the settings of the head."""
STATES, COST = "states", "cost.json"
Keys = npt.NDArray[np.int64]
States = npt.NDArray[np.float16]


def keys_to_teach(clips: Collection[Clip], n_views: int, most: int, seed: int) -> Keys:
    """Views 0..n_views-1 of labelled train and view 0 of labelled dev. -> (n, 2) of (clip index, view), train first.

    Where train holds more than `most` keys, they are drawn class by class in turn, so that the rare classes stay whole.
    """
    labels = np.fromiter((KNOWN_LABELS.index(clip.label) for clip in clips), np.uint8, len(clips))
    splits = np.where(labels == KNOWN_LABELS.index(UNLABELLED), len(SPLITS), split_numbers(clips))
    train, dev = (np.flatnonzero(splits == SPLITS.index(split)) for split in ("train", "dev"))
    keys = np.stack([np.tile(train, n_views), np.repeat(np.arange(n_views), len(train))], axis=1)
    if len(keys) > most:
        keys = keys[_in_turn(labels[keys[:, 0]], most, seed)]
    return np.concatenate([keys, np.stack([dev, np.zeros_like(dev)], axis=1)])


def _in_turn(labels: npt.NDArray[np.uint8], most: int, seed: int) -> npt.NDArray[np.int64]:
    """(n,) labels -> (most,) places among them, rising."""
    order = rng(seed, "teach", "keys").permutation(len(labels))
    turns = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turns[own] = np.arange(len(own))
    return np.sort(np.lexsort((np.arange(len(labels)), turns))[:most])


def whole_batches(n_keys: int, batch: int) -> Iterator[slice]:
    """Batches that lie the same in every run: a resumed one computes the same bytes."""
    for start in range(0, n_keys, batch):
        yield slice(start, min(n_keys, start + batch))


def read_views(views: ViewStore, keys: Keys) -> npt.NDArray[np.float32]:
    """(B, 2) keys -> (B, N) samples."""
    return np.stack([views.read(int(clip), int(view)) for clip, view in keys])


class Kept:
    """What a store keeps of some keys (n, 2), as an array (n, L, S, D) fp16 of which rows are read when they are asked for."""

    def __init__(self, stored: answers.Answers, keys: Keys) -> None:
        self._states, self._keys = stored.arrays[STATES], keys
        self.shape = (len(keys), *self._states.shape[2:])

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> States:
        return self._states[self._keys[rows, 0], self._keys[rows, 1]]  # type: ignore[no-any-return]


class Heard:
    """What one encoder heard of the views: a store of (n_clips, K) keys, empty until asked. (B, 2) keys -> (B, L, S, D) fp16.

    The folder is named after the encoder. Other views are a miss: the store then starts empty.
    """

    def __init__(self, root: Path, encoder: Encoder, views: ViewStore) -> None:
        self.encoder, self.views = encoder, views
        self._made_by = {"encoder": encoder.fingerprint(), "views": views.fingerprint}
        self.folder = root / self._made_by["encoder"][:16]
        self._keys = (views.n_clips, views.n_views)
        self.store = answers.taken_up(self.folder, self._made_by, self._keys)
        self.took_s, self.n_heard = 0.0, 0

    def state(self, keys: Keys) -> npt.NDArray[np.uint8]:
        """(B,): EMPTY, OK or NON_FINITE."""
        return np.zeros(len(keys), np.uint8) if self.store is None else self.store.state[keys[:, 0], keys[:, 1]]

    def make_room(self, keys: Keys) -> int:
        """Lay the store out for keys that will be kept. -> bytes they will take. Raises DataError when the disk has no room."""
        import torch

        todo = keys[self.state(keys) == answers.EMPTY]
        if self.store is None:  # what the encoder makes of one view says how large an entry is
            entry = pooled(self.encoder, torch.from_numpy(read_views(self.views, keys[:1]))).shape[1:]
            self.store = answers.create(self.folder, self._made_by, self._keys, {STATES: entry}, most=len(todo))
        needed = answers.size_bytes((len(todo),), self.store.manifest["arrays"])
        room.check(self.folder, needed, answers.LESS)
        asked = np.zeros(self._keys, bool)
        asked[todo[:, 0], todo[:, 1]] = True
        room.reserve(self.store.arrays[STATES], asked)
        return needed

    def states(self, keys: Keys, keep: bool = False) -> States:
        """(B, 2) keys -> (B, L, S, D): read where known, heard elsewhere. What was not finite when it was kept comes as NaN.

        `keep` writes what was heard (after `make_room`). The last bit of a state may depend on which clips are heard together,
        so batches must lie the same in every run where bytes matter.
        """
        known = self.state(keys)
        if self.store is None or not known.any():
            states = self._hear(keys)
        else:
            states = self.store.arrays[STATES][keys[:, 0], keys[:, 1]]
            states[known == answers.NON_FINITE] = np.nan
            if (unheard := known == answers.EMPTY).any():
                states[unheard] = self._hear(keys[unheard])
        if keep and (new := known == answers.EMPTY).any():
            assert self.store is not None, "make_room comes before what is kept"
            self.store.write((keys[new, 0], keys[new, 1]), **{STATES: states[new]})
        return states

    def kept(self, keys: Keys) -> Kept:
        """Of keys that were heard and are finite."""
        assert self.store is not None, "keys are heard before they are read"
        assert (self.state(keys) == answers.OK).all(), "a key was not heard, or is not finite"
        return Kept(self.store, keys)

    def _hear(self, keys: Keys) -> States:
        import torch

        started = time.perf_counter()
        states = pooled(self.encoder, torch.from_numpy(read_views(self.views, keys)))
        self.took_s, self.n_heard = self.took_s + time.perf_counter() - started, self.n_heard + len(keys)
        return states

    def fill(self, keys: Keys, batch: int = 32) -> None:
        """Hear and keep all of the keys that are not known yet."""
        needed = self.make_room(keys)
        parts = [keys[part] for part in whole_batches(len(keys), batch)]
        todo = [part for part in parts if (self.state(part) == answers.EMPTY).any()]
        if todo:
            say(f"teach: {len(keys)} encodings, {needed / 1e6:.0f} MB more on disk")
        for part in track(todo, f"teach: hear ({batch} each)", total=len(parts), done=len(parts) - len(todo)):
            self.states(part, keep=True)
        self.flush()

    def flush(self) -> None:
        if self.store is None:
            return
        self.store.flush()
        if ranks.is_first() and self.n_heard:
            before = cost(self.folder)
            told = {"views": before["views"] + self.n_heard, "seconds": before["seconds"] + self.took_s}
            write_json(self.folder / COST, told)
            self.took_s, self.n_heard = 0.0, 0


def cost(folder: Path) -> dict[str, float]:
    """How many views an encoder heard into its store, and the seconds that took the first process."""
    path = folder / COST
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {"views": 0, "seconds": 0.0}


def heard_by(encoders: Sequence[Encoder], root: Path, views: ViewStore) -> list[Heard]:
    """One `Heard` for each encoder; encoders that are the same share one."""
    found: dict[str, Heard] = {}
    return [found.setdefault(encoder.fingerprint(), Heard(root, encoder, views)) for encoder in encoders]

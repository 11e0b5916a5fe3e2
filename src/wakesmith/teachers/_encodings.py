"""Encodings of chosen (clip, view) keys, made once and kept between encoder and head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wakesmith.data import answers
from wakesmith.data.answers import Answers
from wakesmith.data.records import UNLABELLED, Clip
from wakesmith.progress import say, track
from wakesmith.rng import rng
from wakesmith.teachers._card import pooled

if TYPE_CHECKING:
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._base import Encoder

STATES, KEYS = "states", "keys.npy"
Keys = npt.NDArray[np.int64]


def keys_to_teach(clips: list[Clip], n_views: int, most: int, seed: int) -> Keys:
    """Views 0..n_views-1 of labelled train and view 0 of labelled dev. -> (n, 2) of (clip index, view), train first.

    Where train holds more than `most` keys, they are drawn class by class in turn, so that the rare classes stay whole.
    """
    train = [i for i, clip in enumerate(clips) if clip.split == "train" and clip.label != UNLABELLED]
    keys = [(i, view) for view in range(n_views) for i in train]
    if len(keys) > most:
        keys = _in_turn(keys, clips, most, seed)
    keys += [(i, 0) for i, clip in enumerate(clips) if clip.split == "dev" and clip.label != UNLABELLED]
    return np.array(keys, dtype=np.int64).reshape(-1, 2)


def _in_turn(keys: list[tuple[int, int]], clips: list[Clip], most: int, seed: int) -> list[tuple[int, int]]:
    taken: dict[str, int] = {}
    turns = []
    for at in rng(seed, "teach", "keys").permutation(len(keys)):
        label = clips[keys[at][0]].label
        taken[label] = taken.get(label, 0) + 1
        turns.append((taken[label], int(at)))
    return [keys[at] for at in sorted(at for _, at in sorted(turns)[:most])]


def whole_batches(n_keys: int, batch: int) -> Iterator[slice]:
    """Batches that lie the same in every run: a resumed one computes the same bytes."""
    for start in range(0, n_keys, batch):
        yield slice(start, min(n_keys, start + batch))


def read_views(views: ViewStore, keys: Keys) -> npt.NDArray[np.float32]:
    """(B, 2) keys -> (B, N) samples."""
    return np.stack([views.read(int(clip), int(view)) for clip, view in keys])


def encode(encoder: Encoder, views: ViewStore, keys: Keys, folder: Path, batch: int = 32) -> Answers:
    """Fill the store in `folder` with the pooled encodings of the keys, in their order; what is there is not made again."""
    import torch

    first = pooled(encoder, torch.from_numpy(read_views(views, keys[:1])))
    shapes = {STATES: tuple(first.shape[1:])}
    made_by = {"encoder": encoder.fingerprint(), "views": views.fingerprint, "keys": answers.fingerprint_of(keys)}
    store = answers.create(folder, made_by, (len(keys),), shapes)
    np.save(folder / KEYS, keys)
    todo = [part for part in whole_batches(len(keys), batch) if (store.state[part] == answers.EMPTY).any()]
    if todo:
        say(f"teach: {len(keys)} encodings, {answers.size_bytes((len(keys),), shapes) / 1e6:.0f} MB on disk")
    done = -(-len(keys) // batch) - len(todo)
    for part in track(todo, f"teach: hear ({batch} each)", total=done + len(todo), done=done):
        states = pooled(encoder, torch.from_numpy(read_views(views, keys[part])))
        store.write((np.arange(len(keys))[part],), **{STATES: states})
    store.flush()
    return store


class Cached:
    """Pooled encodings by key: those in `folder` (same encoder, same views) are read, the others are heard."""

    def __init__(self, folder: Path, encoder: Encoder, views: ViewStore) -> None:
        self.encoder, self.views = encoder, views
        self.rows: dict[tuple[int, int], int] = {}
        if not (folder / answers.MANIFEST).exists():
            return
        self.store = answers.open_whole(folder, "encodings")
        made_by = self.store.manifest["made_by"]
        if (made_by["encoder"], made_by["views"]) == (encoder.fingerprint(), views.fingerprint):
            whole = self.store.state == answers.OK
            self.rows = {(int(clip), int(view)): row for row, (clip, view) in enumerate(np.load(folder / KEYS)) if whole[row]}

    def states(self, keys: Keys) -> npt.NDArray[np.float16]:
        """(B, 2) keys -> (B, L, S, D)."""
        import torch

        rows = [self.rows.get((int(clip), int(view)), -1) for clip, view in keys]
        unheard = [at for at, row in enumerate(rows) if row < 0]
        if len(unheard) == len(rows):
            return pooled(self.encoder, torch.from_numpy(read_views(self.views, keys)))
        states = np.array(self.store.arrays[STATES][rows])  # what stands at -1 is replaced
        if unheard:
            states[unheard] = pooled(self.encoder, torch.from_numpy(read_views(self.views, keys[unheard])))
        return states

"""The memory-mapped store of views: (n_clips, K, 24000) int16, a state byte each, and what they were made from."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith import audio, pool
from wakesmith.audio import Samples
from wakesmith.data import dealt, room
from wakesmith.errors import DataError
from wakesmith.progress import say, track
from wakesmith.run import write_text

VIEWS, STATE, MANIFEST = "views.npy", "state.npy", "manifest.json"
CHUNK = 16
MISSING, WHOLE, UNWANTED = 0, 1, 2
"""The state bytes: a view of a test clip is never asked for, and takes no room on disk (the file is sparse)."""


@dataclass(frozen=True)
class ViewStore:
    """Views by (clip number, view number)."""

    folder: Path

    @staticmethod
    def open(folder: Path) -> ViewStore:
        """Raises DataError when it is not there or not whole."""
        store = ViewStore(folder)
        if not (folder / MANIFEST).exists() or (store._state == MISSING).any():
            raise DataError(f"{folder}: the views are not whole. Make them: wakesmith views {folder.parent}")
        return store

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / MANIFEST).read_text(encoding="utf-8")))

    @cached_property
    def _views(self) -> np.ndarray:
        return np.load(self.folder / VIEWS, mmap_mode="r")  # type: ignore[no-any-return]

    @cached_property
    def _state(self) -> np.ndarray:
        return np.load(self.folder / STATE, mmap_mode="r")  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    @property
    def n_clips(self) -> int:
        return int(self._views.shape[0])

    @property
    def n_views(self) -> int:
        return int(self._views.shape[1])

    @property
    def n_samples(self) -> int:
        return int(self._views.shape[2])

    @property
    def fingerprint(self) -> str:
        return str(self.manifest["fingerprint"])

    @property
    def held(self) -> np.ndarray:
        """(n_clips, K) bool: the views that the store holds."""
        return np.asarray(self._state == WHOLE)

    def holds(self, clip: int, view: int) -> bool:
        return bool(self._state[clip, view] == WHOLE)

    def read(self, clip: int, view: int) -> Samples:
        """-> (24000,) float32. Raises DataError for a view that the store does not hold."""
        if not self.holds(clip, view):
            raise DataError(f"{self.folder}: holds no view {view} of clip {clip}. Make it: wakesmith views {self.folder.parent}")
        return audio.to_float(self._views[clip, view])


def create(folder: Path, wanted: np.ndarray, n_samples: int, manifest: dict[str, Any]) -> None:
    """Lay the empty store out, or leave one of the same manifest as it is. `wanted`: (n_clips, K) bool, the views asked for.

    Raises DataError when the disk is too small.
    """
    old = folder / MANIFEST
    if old.exists() and json.loads(old.read_text(encoding="utf-8")) == manifest:
        return
    need, free = int(wanted.sum()) * n_samples * 2, shutil.disk_usage(folder).free
    say(f"views: {wanted.sum()} hearings of {wanted.shape[0]} clips, {need / 1e6:.0f} MB of disk")
    if need > free * 0.95:
        told = f"{need / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free"
        raise DataError(f"{folder}: {told}. Make room, or lower views.n_views.")
    old.unlink(missing_ok=True)
    room.reserve(np.lib.format.open_memmap(folder / VIEWS, "w+", np.int16, (*wanted.shape, n_samples)), wanted)
    np.save(folder / STATE, np.where(wanted, MISSING, UNWANTED).astype(np.uint8))
    write_text(old, json.dumps(manifest))


def fill(folder: Path, make_view: Any, jobs: int) -> None:
    """Make what is missing; `make_view(clip, view) -> (N,) float32` goes to worker processes."""
    state = np.load(folder / STATE)
    missing = np.argwhere(state == MISSING)
    n_chunks, n_in_all = (-(-n // CHUNK) for n in (len(missing), int((state != UNWANTED).sum())))
    if not n_chunks:
        return
    chunks = (missing[i : i + CHUNK] for i in range(0, len(missing), CHUNK))
    with pool.workers(jobs, _start, (folder, make_view)) as processes:
        for _ in track(dealt.in_order(processes, _make, chunks), "views", total=n_in_all, done=n_in_all - n_chunks):
            pass


_worker: dict[str, Any] = {}


def _start(folder: Path, make_view: Any) -> None:
    views, state = (np.load(folder / name, mmap_mode="r+") for name in (VIEWS, STATE))
    _worker.update(views=views, state=state, make=make_view)


def _make(keys: np.ndarray) -> None:
    for clip, view in keys:
        _worker["views"][clip, view] = audio.to_int16(_worker["make"](int(clip), int(view)))
    _worker["views"].flush()  # sound first, then the byte that says it is whole
    for clip, view in keys:
        _worker["state"][clip, view] = WHOLE

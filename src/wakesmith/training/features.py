"""The student's features of every view, computed once: (n_clips, K, T, F) float16, memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wakesmith.data import room
from wakesmith.progress import track
from wakesmith.training.history import History

CHUNK = 64


@torch.no_grad()
def make(front_end: Any, views: Any, path: Path, splits: Sequence[str]) -> np.ndarray:
    """Features of a view store through a front-end, in the file `path`; taken as it is when already there.

    A front-end that remembers seconds of sound has `history_s`: it hears each view after a `History`, as in a stream.
    splits: of each clip; a history keeps to its own.
    """
    if not path.exists():
        front_end.eval()
        shape = front_end(torch.zeros(1, views.n_samples)).shape[1:]  # T, F
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(path.name + ".part")
        wanted = views.held
        room.check(path.parent, int(wanted.sum()) * 2 * int(np.prod(shape)), "use fewer views")
        out = np.lib.format.open_memmap(aside, "w+", np.float16, (views.n_clips, views.n_views, *shape))
        room.reserve(out, wanted)
        rows = out.reshape(-1, *shape)
        history = History(views, splits, front_end.history_s) if hasattr(front_end, "history_s") else None
        held = np.flatnonzero(wanted)
        for start in track(range(0, len(held), CHUNK), "features"):
            chunk = held[start : start + CHUNK].tolist()
            keys = [divmod(row, views.n_views) for row in chunk]
            batch = torch.from_numpy(np.stack([views.read(*key) for key in keys]))
            made = front_end(batch, [history(*key) for key in keys]) if history else front_end(batch)
            rows[chunk] = made.numpy()
        out.flush()
        aside.replace(path)
    frames: np.ndarray = np.load(path, mmap_mode="r")
    return frames

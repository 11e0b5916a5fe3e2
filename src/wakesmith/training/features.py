"""The student's features of every view, computed once: (n_clips, K, T, F) float16, memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wakesmith.progress import track

CHUNK = 64


@torch.no_grad()
def make(front_end: Any, views: Any, path: Path) -> np.ndarray:
    """Features of a view store through a front-end, in the file `path`; taken as it is when already there."""
    if not path.exists():
        front_end.eval()
        shape = front_end(torch.zeros(1, views.n_samples)).shape[1:]  # T, F
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(path.name + ".part")
        out = np.lib.format.open_memmap(aside, "w+", np.float16, (views.n_clips, views.n_views, *shape))
        rows = out.reshape(-1, *shape)
        held = [row for row in range(len(rows)) if views.holds(row // views.n_views, row % views.n_views)]
        for start in track(range(0, len(held), CHUNK), "features"):
            chunk = held[start : start + CHUNK]
            batch = [views.read(row // views.n_views, row % views.n_views) for row in chunk]
            rows[chunk] = front_end(torch.from_numpy(np.stack(batch))).numpy()
        out.flush()
        aside.replace(path)
    frames: np.ndarray = np.load(path, mmap_mode="r")
    return frames

"""Stores end to end, read as one without a copy: clips of a run first, then those of its rounds. Index arrays in, batches out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.intp]


class Answered(Protocol):
    """Where teacher answers come from."""

    def batch(self, clips: Numbers, views: Numbers) -> dict[str, np.ndarray]:
        """(B,), (B,) -> teacher_logits (B, C), teacher_embedding (B, E), teacher_state (B,); or samples (B, N) for a live one."""


class Joined:
    """Memory maps end to end along the clips: [(n_i, K, ...)] -> (sum of n_i, K, ...), read by (clips (B,), views (B,))."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        assert len({array.shape[1:] for array in arrays}) == 1, [array.shape for array in arrays]
        self.arrays, self.sizes = arrays, [len(array) for array in arrays]
        self.shape = (sum(self.sizes), *arrays[0].shape[1:])

    def __getitem__(self, at: tuple[Numbers, Numbers]) -> np.ndarray:
        clips, views = at
        out = np.empty((len(clips), *self.shape[2:]), self.arrays[0].dtype)
        for number, mine, inside in _shared_out(clips, self.sizes):
            out[mine] = self.arrays[number][inside, views[mine]]
        return out


class JoinedAnswers:
    """Sources of answers end to end; `sizes`: clips of each."""

    def __init__(self, parts: Sequence[Answered], sizes: Sequence[int]) -> None:
        self.parts, self.sizes = parts, sizes

    def batch(self, clips: Numbers, views: Numbers) -> dict[str, np.ndarray]:
        """See `Answered`."""
        out: dict[str, Any] = {}
        for number, mine, inside in _shared_out(clips, self.sizes):
            for name, values in self.parts[number].batch(inside, views[mine]).items():
                out.setdefault(name, np.empty((len(clips), *values.shape[1:]), values.dtype))[mine] = values
        return out


def _shared_out(clips: Numbers, sizes: Sequence[int]) -> Iterator[tuple[int, Numbers, Numbers]]:
    """(store, rows of the batch that lie in it, their clips counted from its first)."""
    ends = np.cumsum(sizes)
    owners = np.searchsorted(ends, clips, side="right")
    for number in np.unique(owners):
        mine = np.flatnonzero(owners == number)
        yield int(number), mine, clips[mine] - (ends[number] - sizes[number])

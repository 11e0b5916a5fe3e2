"""What waits on the disk, in files without a name: sound, prints and records of many hours are more than the memory holds."""

from __future__ import annotations

import array
import heapq
import itertools
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from wakesmith.data.lazy import Lazy, Numbers

Item = TypeVar("Item")
SORTED_AT_ONCE = 50_000
"""Texts: some 25 MB."""
SCATTER = np.uint32(2654435761)
"""Knuth's multiplicative hash: keys that look alike do not fall into one part."""


class Pieces(Lazy[npt.NDArray[Any]]):
    """Arrays that lie end to end in one (N,), by where each ends (n,)."""

    def __init__(self, values: npt.NDArray[Any], ends: Numbers) -> None:
        self.values, self.ends = np.asarray(values), ends

    def __len__(self) -> int:
        return len(self.ends)

    def read(self, number: int) -> npt.NDArray[Any]:
        return self.values[self.ends[number - 1] if number else 0 : self.ends[number]]


class Spool:
    """Takes arrays (n_i,) of one kind, one after the other; `pieces` gives them back, mapped from the file."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as its maps
        self.lengths = array.array("q")

    def add(self, values: npt.NDArray[Any]) -> None:
        assert values.dtype == self.dtype, (values.dtype, self.dtype)
        self.file.write(values.tobytes())
        self.lengths.append(len(values))

    def pieces(self) -> Pieces:
        """All that was added, in its order, to read."""
        self.file.flush()
        ends = np.cumsum(self.lengths, dtype=np.int64)
        some = len(ends) and ends[-1]
        every = np.memmap(self.file, self.dtype, "r") if some else np.empty(0, self.dtype)  # type: ignore[call-overload]
        self.file.close()
        return Pieces(every, ends)


class Objects(Lazy[Item]):
    """Any objects, in the order in which they were made."""

    def __init__(self, folder: Path, items: Iterable[Item]) -> None:
        spool = Spool(folder, np.uint8)
        for item in items:
            spool.add(np.frombuffer(pickle.dumps(item, pickle.HIGHEST_PROTOCOL), np.uint8))
        self.pieces = spool.pieces()

    def __len__(self) -> int:
        return len(self.pieces)

    def read(self, number: int) -> Item:
        return pickle.loads(self.pieces.read(number).data)  # type: ignore[no-any-return]


class Parts:
    """Rows dealt out by their keys, all of a key to one part: what is to be sorted is sorted part by part, in little memory."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike, n_parts: int) -> None:
        self.n_parts, self.spool = n_parts, Spool(folder, dtype)

    def add(self, keys: npt.NDArray[np.uint32], rows: npt.NDArray[Any]) -> None:
        """(n,), (n,)"""
        part = keys * SCATTER % np.uint32(self.n_parts)
        rows = rows[np.argsort(part, kind="stable")]
        for own in np.split(rows, np.cumsum(np.bincount(part, minlength=self.n_parts))[:-1]):
            self.spool.add(own)

    def joined(self) -> Iterator[npt.NDArray[Any]]:
        """Part by part, the rows of each in the order in which they were added."""
        pieces = self.spool.pieces()
        for part in range(self.n_parts if len(pieces) else 0):
            yield np.concatenate(pieces[part :: self.n_parts])


def in_order(folder: Path, texts: Iterable[str]) -> Iterator[str]:
    """Texts, sorted: some at once, which are then merged from the disk."""
    texts = iter(texts)
    runs = iter(lambda: sorted(itertools.islice(texts, SORTED_AT_ONCE)), [])
    kept = Objects(folder, itertools.chain.from_iterable(runs))
    return heapq.merge(*(kept[at : at + SORTED_AT_ONCE] for at in range(0, len(kept), SORTED_AT_ONCE)))

"""Sequences whose items are read when they are asked for: of a long one little more than a number an item lies in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")
Numbers = npt.NDArray[np.int64]


class Lazy(Sequence[Item]):
    """Holds `__len__` and `read`; a slice is a sequence of the same kind, nothing of which is read yet."""

    @abstractmethod
    def read(self, number: int) -> Item:
        """The item of a number from 0 to the length."""

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> Picked[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | Picked[Item]:
        if isinstance(at, slice):
            return Picked(self, np.arange(*at.indices(len(self))))
        return self.read(range(len(self))[at])

    def __iter__(self) -> Iterator[Item]:
        return map(self.read, range(len(self)))


class Picked(Lazy[Item]):
    """Some items of a sequence, by their numbers (n,), in any order."""

    def __init__(self, of: Sequence[Item], numbers: Numbers) -> None:
        self.of, self.numbers = of, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, number: int) -> Item:
        return self.of[int(self.numbers[number])]


class Chained(Lazy[Item]):
    """Sequences end to end."""

    def __init__(self, parts: Sequence[Sequence[Item]]) -> None:
        self.parts, self.ends = parts, np.cumsum([len(part) for part in parts], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, number: int) -> Item:
        owner = int(np.searchsorted(self.ends, number, side="right"))
        part = self.parts[owner]
        return part[number - int(self.ends[owner]) + len(part)]

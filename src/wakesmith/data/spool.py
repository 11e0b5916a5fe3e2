"""Arrays that wait on the disk, in a file without a name: those of many hours are more than the memory holds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Spool:
    """Takes arrays (n_i,) of one kind, one after the other; `maps` gives them back, mapped from the file."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as its maps
        self.lengths: list[int] = []

    def add(self, values: npt.NDArray[Any]) -> None:
        assert values.dtype == self.dtype, (values.dtype, self.dtype)
        self.file.write(values.tobytes())
        self.lengths.append(len(values))

    def maps(self) -> list[npt.NDArray[Any]]:
        """All that was added, in its order, to read."""
        self.file.flush()
        every = np.memmap(self.file, self.dtype, "r") if sum(self.lengths) else np.empty(0, self.dtype)  # type: ignore[call-overload]
        self.file.close()
        ends = np.cumsum(self.lengths)
        return [every[end - length : end] for end, length in zip(ends.tolist(), self.lengths, strict=True)]

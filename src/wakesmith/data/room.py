"""Room on the disk: asked for before a large step begins, and taken before a memory map is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.errors import DataError

SPARE_BYTES = 64 << 20


def check(folder: Path, needed: int, less: str) -> None:
    """Raises DataError when the disk of `folder` cannot hold so many bytes more. `less`: how to ask for fewer."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise DataError(f"{folder}: needs {needed / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB are free. Make room, or {less}.")


def reserve(array: np.ndarray[Any, Any], asked: npt.NDArray[np.bool_]) -> None:
    """Take the room of the entries that will be written to a memory map; the others stay holes. asked: its leading axes.

    A map that finds its disk full in the midst of writing ends the process without a word. Raises OSError without room.
    """
    assert isinstance(array, np.memmap), type(array)
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    size = array.nbytes // asked.size if asked.size else 0
    edges = np.flatnonzero(np.diff(asked.ravel().astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    with Path(str(array.filename)).open("r+b") as file:
        for start, end in edges.tolist() if size else []:
            os.posix_fallocate(file.fileno(), array.offset + start * size, (end - start) * size)

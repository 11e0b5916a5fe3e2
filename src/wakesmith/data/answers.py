"""Answers kept on disk by key: memory-mapped arrays, a state byte an entry, and a manifest that says what made them.

An interrupted run leaves what is whole; another manifest is a miss, and the store starts empty again.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.errors import DataError

EMPTY, OK, NON_FINITE = 0, 1, 2
MANIFEST, STATE = "manifest.json", "state.npy"
SPARE_BYTES = 64 << 20
Index = tuple[npt.NDArray[np.intp], ...]


class Answers:
    """Named arrays that share their leading axes (the key). Made by `create` (to write) or `open_whole` (to read)."""

    def __init__(self, folder: Path, manifest: dict[str, Any], mode: Any) -> None:
        self.folder = folder
        self.manifest = manifest
        self.state: npt.NDArray[np.uint8] = _load(folder / STATE, mode)
        """One byte a key: EMPTY, OK or NON_FINITE."""
        self.arrays = {name: _load(folder / f"{name}.npy", mode) for name in manifest["arrays"]}

    def write(self, at: Index, **values: npt.NDArray[Any]) -> None:
        """Store values of some keys; a key whose value is not finite in the stored type is marked so and stored as zeros."""
        finite = np.ones(len(at[0]), dtype=bool)
        with np.errstate(over="ignore"):
            stored = {name: value.astype(self.arrays[name].dtype) for name, value in values.items()}
        for value in stored.values():
            finite &= np.isfinite(value.reshape(len(value), -1)).all(axis=1)
        for name, value in stored.items():
            value[~finite] = 0
            self.arrays[name][at] = value
        self.state[at] = np.where(finite, OK, NON_FINITE)  # after the values: a key with a state is whole

    def flush(self) -> None:
        for array in self.arrays.values():
            array.flush()  # type: ignore[attr-defined]
        self.state.flush()  # type: ignore[attr-defined]


def create(folder: Path, made_by: Mapping[str, Any], keys: tuple[int, ...], arrays: Mapping[str, tuple[int, ...]]) -> Answers:
    """Open the store that `made_by` describes to go on with it, or make an empty one.

    `arrays`: name of an fp16 array -> shape of one entry. Raises DataError when the disk has no room.
    """
    manifest = {"made_by": dict(made_by), "keys": list(keys), "arrays": {name: list(shape) for name, shape in arrays.items()}}
    if _manifest(folder) != json.loads(json.dumps(manifest)):
        _make(folder, manifest)
    return Answers(folder, manifest, "r+")


def open_whole(folder: Path, what: str) -> Answers:
    """Open a store to read. Raises DataError when there is none."""
    manifest = _manifest(folder)
    if manifest is None:
        raise DataError(f"{folder}: no {what} here. Make them first.")
    return Answers(folder, manifest, "r")


def size_bytes(keys: tuple[int, ...], arrays: Mapping[str, tuple[int, ...]]) -> int:
    """Disk that a store takes."""
    return math.prod(keys) * (1 + sum(2 * math.prod(shape) for shape in arrays.values()))


def fingerprint_of(array: npt.NDArray[Any]) -> str:
    """Hash of an array's numbers. -> 32 hex digits."""
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()


def _make(folder: Path, manifest: dict[str, Any]) -> None:
    if folder.exists():
        (folder / MANIFEST).unlink(missing_ok=True)  # first: without it nothing here counts
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    keys = tuple(manifest["keys"])
    needed, free = size_bytes(keys, manifest["arrays"]), shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise DataError(
            f"{folder}: needs {needed / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB are free. Make room, or use fewer views."
        )
    for name, shape in manifest["arrays"].items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype=np.float16, shape=(*keys, *shape))
    np.lib.format.open_memmap(folder / STATE, "w+", dtype=np.uint8, shape=keys)
    aside = folder / f"{MANIFEST}.part"
    aside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    aside.replace(folder / MANIFEST)


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        return None  # half a manifest counts as none
    return manifest if isinstance(manifest, dict) else None


def _load(path: Path, mode: Any) -> npt.NDArray[Any]:
    try:
        return np.load(path, mmap_mode=mode)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Delete the folder {path.parent} and run the step again.") from error

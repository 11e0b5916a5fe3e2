"""Answers kept on disk by key: memory-mapped arrays, a state byte an entry, and a manifest that says what made them.

An interrupted run leaves what is whole; another manifest is a miss, and the store starts empty again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.data import room
from wakesmith.errors import DataError
from wakesmith.run import write_text

EMPTY, OK, NON_FINITE = 0, 1, 2
MANIFEST, STATE = "manifest.json", "state.npy"
LESS = "use fewer views"
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


def create(
    folder: Path,
    made_by: Mapping[str, Any],
    keys: tuple[int, ...],
    arrays: Mapping[str, tuple[int, ...]],
    most: int | None = None,
) -> Answers:
    """Open the store that `made_by` describes to go on with it, or make an empty one.

    `arrays`: name of an fp16 array -> shape of one entry. `most`: entries that will be written, where not all will be: the files
    are sparse, and only what is written takes room, for which the caller asks (`room.reserve`). Raises DataError without room.
    """
    manifest = {"made_by": dict(made_by), "keys": list(keys), "arrays": {name: list(shape) for name, shape in arrays.items()}}
    if _manifest(folder) != json.loads(json.dumps(manifest)):
        _make(folder, manifest, math.prod(keys) if most is None else most)
    return Answers(folder, manifest, "r+")


def taken_up(folder: Path, made_by: Mapping[str, Any], keys: tuple[int, ...]) -> Answers | None:
    """The store that an earlier `create` of the same origin made, to go on with it; None where there is none."""
    manifest = _manifest(folder)
    if manifest is None or (manifest["made_by"], manifest["keys"]) != (dict(made_by), list(keys)):
        return None
    return Answers(folder, manifest, "r+")


def open_whole(folder: Path, what: str) -> Answers:
    """Open a store to read. Raises DataError when there is none."""
    manifest = _manifest(folder)
    if manifest is None:
        raise DataError(f"{folder}: no {what} here. Make them first.")
    return Answers(folder, manifest, "r")


def size_bytes(keys: tuple[int, ...], arrays: Mapping[str, tuple[int, ...]]) -> int:
    """Disk that a store takes when every entry is written."""
    return math.prod(keys) * (1 + sum(2 * math.prod(shape) for shape in arrays.values()))


def _make(folder: Path, manifest: dict[str, Any], most: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # first: without it nothing here counts
    for old in folder.glob("*.npy"):  # only what is the store's: the step's own stamp lies here too
        old.unlink()
    keys = tuple(manifest["keys"])
    room.check(folder, size_bytes((most,), manifest["arrays"]), LESS)
    made = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype=np.float16, shape=(*keys, *shape))
        for name, shape in manifest["arrays"].items()
    ]
    made.append(np.lib.format.open_memmap(folder / STATE, "w+", dtype=np.uint8, shape=keys))
    for array in made if most == math.prod(keys) else made[-1:]:
        room.reserve(array, np.ones(keys, bool))
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


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

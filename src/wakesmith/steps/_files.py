"""What lies in the files that a recipe names: a step that reads them is made anew when they change, though no setting does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from wakesmith.config import Settings
from wakesmith.errors import TeacherError
from wakesmith.steps import _listed, _start
from wakesmith.steps._recipe import Recipe

READERS = {"speak": "speak", "prepare": "data", "teach": "teacher", "train": "train"}
"""Step that reads files from outside of the run folder -> section of the recipe that names them."""
NAMES = ("path", "checkpoint", "words", "sentences")
"""Settings that name a file or a folder."""
EDGE_BYTES = 4096
"""Read at both ends of a recording: a corpus may be too large to be read whole whenever a command starts."""


def seen(recipe: Recipe, steps: Collection[str] = READERS) -> Recipe:
    """The recipe with digests of what these steps would read now.

    Raises DataError for a source that cannot be listed, TeacherError for a teacher's path where nothing is.
    """
    found = {step: digest for step in READERS if step in steps and (digest := _digest(recipe, step))}
    kept = {step: digest for step, digest in recipe.files.items() if step not in steps}
    return recipe.model_copy(update={"files": kept | found})


def _digest(recipe: Recipe, step: str) -> str:
    """Hex; empty where the step reads no file."""
    digest = hashlib.blake2b(digest_size=16)
    nothing = digest.hexdigest()

    def add(name: Any, content: Any) -> None:
        digest.update(json.dumps([name, content]).encode())

    def listed() -> Iterator[_listed.Listed]:
        for one in _listed.of_sources(recipe.data.sources, recipe.phrases):
            _, recording, path = one
            add({**dataclasses.asdict(recording), "path": ""}, _edges(path))
            yield one

    if step == "prepare":
        _listed.check_once(listed)
        for start in _start.files_of(recipe.data.start):
            for name, path in _below(start):
                add(["start", name], _whole(path))
    else:
        settings: Settings = getattr(recipe, READERS[step])
        starts = _start.files_of(recipe.train.start, recipe) if step == "train" else []
        for named in (*_named(settings.model_dump(mode="json")), *starts):
            if step == "teach" and not named.exists():
                raise TeacherError(f"teacher: {named}: no such file or folder. Name one that is there: --teacher NAME:FOLDER")
            for name, path in _below(named):
                add(name, _whole(path))
    return "" if digest.hexdigest() == nothing else digest.hexdigest()


def _named(values: Any) -> Iterator[Path]:
    """The files and folders that settings name, those of parts in them included."""
    if isinstance(values, list):
        for one in values:
            yield from _named(one)
    elif isinstance(values, dict):
        for key, value in values.items():
            if key in NAMES and isinstance(value, str) and value:
                yield Path(value).expanduser()
            else:
                yield from _named(value)


def _below(named: Path) -> Iterator[tuple[str, Path]]:
    """(name, file) of a file, or of all in a folder; nothing for a name on a hub."""
    if named.is_dir():
        yield from ((path.relative_to(named).as_posix(), path) for path in sorted(named.rglob("*")) if path.is_file())
    elif named.is_file():
        yield "", named


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _edges(path: Path) -> list[Any]:
    """Size and both ends of a file; nothing of one that cannot be read, which `prepare` puts into the quarantine."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return []
        with path.open("rb") as file:
            ends = file.read(EDGE_BYTES)
            file.seek(max(EDGE_BYTES, about.st_size - EDGE_BYTES))
            ends += file.read(EDGE_BYTES)
    except OSError:
        return []
    return [about.st_size, hashlib.blake2b(ends, digest_size=16).hexdigest()]

"""Sources of a recipe -> every recording that they list, with an id of its own; no file twice."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from wakesmith import registry
from wakesmith.config import Source
from wakesmith.data.records import Recording
from wakesmith.errors import DataError
from wakesmith.progress import say
from wakesmith.text import holds

Listed = tuple[str, Recording, Path]
"""(source, recording, file)"""
NEGATIVE = ("speech", "near_miss")


def of_sources(sources: list[Source], phrases: list[str]) -> Iterator[Listed]:
    """Without what is labelled as other speech and holds a phrase by its text: to hear that one would be learned as wrong."""
    for source, top, called in _called(sources):
        importer = registry.build("importers", source)
        name = str(source.model_dump().get("path", source.name))
        n_holding = 0
        for recording, path in importer.recordings():
            if recording.label in NEGATIVE and phrases and holds(recording.text, phrases):
                n_holding += 1
            else:
                yield name, _renamed(recording, top, called), path
        if n_holding:
            say(f"prepare: {name}: {n_holding} left out: labelled as other speech, and their text holds {' or '.join(phrases)}")
        for reason, count in importer.dropped.items():
            say(f"prepare: {name}: {count} left out: {reason}")


def check_once(listed: Callable[[], Iterable[Listed]]) -> None:
    """Raises DataError for a file that is listed twice, and for two files of one id; only then it is listed again."""
    keys = np.fromiter((hash(key) for one in listed() for key in _keys(one)), np.int64).reshape(-1, 2)
    for column in (0, 1):
        values, counts = np.unique(keys[:, column], return_counts=True)
        if not (counts > 1).any():
            continue
        alike, first = set(values[counts > 1].tolist()), dict[str, Listed]()
        for one in listed():
            key = _keys(one)[column]
            if hash(key) in alike and first.setdefault(key, one) is not one:
                raise DataError(f"data.sources: {_twice(first[key], one, is_file=column == 0)}")


def _called(sources: list[Source]) -> Iterator[tuple[Source, str, str]]:
    """(source, name of its top folder, what it is called): two folders `takes` are told apart by the folders above them."""
    paths = [Path(str(source.model_dump().get("path", source.name))).expanduser().resolve() for source in sources]
    tops = [path.parent if path.is_file() else path for path in paths]  # a manifest lies in its top
    for source, top in zip(sources, tops, strict=True):
        others, depth = [other for other in tops if other != top and other.name == top.name], 1
        while any(other.parts[-depth:] == top.parts[-depth:] for other in others):
            depth += 1
        yield source, top.name, "/".join(top.parts[-depth:])


def _renamed(recording: Recording, top: str, called: str) -> Recording:
    if called == top:
        return recording
    source = called if recording.source == top else recording.source
    return dataclasses.replace(recording, id=called + recording.id.removeprefix(top), source=source)


def _keys(one: Listed) -> tuple[str, str]:
    """(file, id): links, and folders above it, give a folder many paths."""
    _, recording, path = one
    return f"{_real(str(path.parent))}/{path.name}", recording.id


_real = functools.lru_cache(maxsize=1024)(os.path.realpath)


def _twice(one: Listed, other: Listed, is_file: bool) -> str:
    if is_file:
        sources = " and ".join(dict.fromkeys((one[0], other[0])))
        return f"{other[2]} is listed twice, in {sources}. Name each file in one source only."
    return f"{one[2]} and {other[2]} are both called {one[1].id}. Rename a folder above one of them."

"""What every importer gives: recordings with their files, not yet decoded."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from wakesmith.data.records import KNOWN_LABELS, SPLITS, Recording
from wakesmith.errors import DataError

Found = Iterator[tuple[Recording, Path]]


class Importer(Protocol):
    """Lists the recordings of one source. `dropped` counts, after all of `recordings()`, what was left out and why."""

    dropped: collections.Counter[str]

    def recordings(self) -> Found:
        """Every recording (n_samples 0) with its file, in a fixed order, one by one, without decoding. Raises DataError."""


def check_label(label: str) -> str:
    """A label of ours, or empty. Raises ValueError, which becomes a problem of the configuration."""
    if label and label not in KNOWN_LABELS:
        raise ValueError(f"expected one of {', '.join(KNOWN_LABELS)}")
    return label


def check_labels(labels: dict[str, str]) -> dict[str, str]:
    """A mapping of labels as found to labels of ours."""
    for found, ours in labels.items():
        if ours not in KNOWN_LABELS:
            raise ValueError(f"'{found}' is mapped to '{ours}', expected one of {', '.join(KNOWN_LABELS)}")
    return labels


def mapped_label(found: str, labels: dict[str, str], default: str) -> str:
    """Our label for a label as found: by the mapping, else the default, else as it is; empty: leave it out.

    With a mapping and no default, what the mapping does not name is left out.
    """
    if found in labels:
        return labels[found]
    if default or labels:
        return default
    return found


def inside(folder: Path, relative: str, where: str) -> Path:
    """The file a manifest names. A path that leaves the manifest's folder is refused, by dots, root or link. Raises DataError."""
    normal = os.path.normpath(relative.replace("\\", "/"))
    lexical = os.path.isabs(normal) or normal == ".." or normal.startswith("../")
    try:
        within = relative and not lexical and Path(os.path.realpath(folder / normal)).is_relative_to(os.path.realpath(folder))
    except ValueError as error:  # zeros and halves of surrogates
        raise DataError(f"{where}: the path '{relative}' cannot be the name of a file. Write it in UTF-8.") from error
    if not within:
        raise DataError(f"{where}: the path '{relative}' leaves {folder}. Write paths relative to the manifest's folder.")
    return folder / normal


def is_utf8(path: Path) -> bool:
    """Whether a file's name is text, so that records can hold it."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_split(split: str, where: str) -> str:
    """train, dev, test or empty. Raises DataError."""
    if split and split not in SPLITS:
        raise DataError(f"{where}: split '{split}', expected {', '.join(SPLITS)} or nothing.")
    return split


def check_found(n_found: int, path: Path, dropped: collections.Counter[str], what: str) -> None:
    """A source without one recording is a mistake. Raises DataError."""
    if not n_found:
        left_out = "; ".join(f"{count} left out: {why}" for why, count in dropped.most_common(3))
        raise DataError(f"{path}: {what}{' (' + left_out + ')' if left_out else ''}. Check the path and the source's settings.")


def shown(names: Iterable[str], most: int = 8) -> str:
    """The first names of many, for a message."""
    names = sorted(set(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

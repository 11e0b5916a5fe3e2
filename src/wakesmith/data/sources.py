"""What each source of recordings gave: recordings and digests of their sound in, a fingerprint a source and licence out."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from wakesmith.data import spool
from wakesmith.data.records import Recording, fields
from wakesmith.run import write_json

FILE = "sources.json"
UNKNOWN = "unknown"
"""Licence of recordings of which nobody named it."""

Key = tuple[str, str]
"""Source and licence."""


def key(recording: Recording) -> Key:
    return recording.source, recording.licence or UNKNOWN


def write(folder: Path, sounds: Iterable[tuple[Recording, str]]) -> None:
    """Recordings with a hex digest of their sound -> folder/sources.json. Where their files lie makes no difference."""
    numbers: dict[Key, str] = {}

    def told() -> Iterator[str]:
        for recording, digest in sounds:
            text = json.dumps({**fields(recording), "path": "", "sound": digest}, sort_keys=True, ensure_ascii=False)
            yield f"{numbers.setdefault(key(recording), str(len(numbers)))} {text}"

    texts = (one.split(" ", 1) for one in spool.in_order(folder, told()))
    made = {number: _hashed(text for _, text in own) for number, own in itertools.groupby(texts, lambda one: one[0])}
    rows = [
        {"name": name, "licence": licence, "fingerprint": made[number]} for (name, licence), number in sorted(numbers.items())
    ]
    write_json(folder / FILE, rows)


def read(folder: Path) -> dict[Key, str]:
    """(source, licence) -> fingerprint; nothing where an earlier version prepared the recordings."""
    path = folder / FILE
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return {(row["name"], row["licence"]): row["fingerprint"] for row in rows}


def together(folders: Iterable[Path]) -> dict[Key, str]:
    """The same of several stores, as of a run and its rounds."""
    found: dict[Key, list[str]] = defaultdict(list)
    for folder in folders:
        for source, fingerprint in read(folder).items():
            found[source].append(fingerprint)
    return {source: one[0] if len(one) == 1 else _hashed(sorted(one)) for source, one in found.items()}


def _hashed(parts: Iterable[str]) -> str:
    """Of parts in their order, a line each."""
    digest = hashlib.sha256()
    for number, part in enumerate(parts):
        digest.update(b"\n" * (number > 0) + part.encode())
    return digest.hexdigest()[:32]

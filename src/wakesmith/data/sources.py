"""What each source of recordings gave: recordings and digests of their sound in, a fingerprint a source and licence out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from wakesmith.data.records import Recording
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
    found: dict[Key, list[str]] = defaultdict(list)
    for recording, digest in sounds:
        told = {**dataclasses.asdict(recording), "path": "", "sound": digest}
        found[key(recording)].append(json.dumps(told, sort_keys=True, ensure_ascii=False))
    rows = [{"name": name, "licence": licence, "fingerprint": _hashed(own)} for (name, licence), own in sorted(found.items())]
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
    return {source: one[0] if len(one) == 1 else _hashed(one) for source, one in found.items()}


def _hashed(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:32]

"""The plain records that flow along the road: Recording (a file) and Clip (a cut of it), one JSON object a line on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wakesmith.errors import DataError

LABELS = ("wake", "near_miss", "speech", "noise")
"""Classes inside, in the order of the logits; the score that leaves is the probability of the first."""
ROOM = "room"
"""Label of an impulse response: no class, used by the views."""
UNLABELLED = "unlabelled"
"""Label of sound that nobody named: the teacher's answer alone is learned from it."""
KNOWN_LABELS = (*LABELS, UNLABELLED, ROOM)
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Recording:
    """A sound file. All sample counts are at 16 kHz mono."""

    id: str
    path: str
    text: str
    label: str
    speaker: str
    """Person, voice or device: the group that never crosses a split. Empty: the source is the group."""
    source: str
    licence: str
    n_samples: int
    split: str = ""
    """train, dev or test; empty until assigned."""
    phrase_start: int = 0
    phrase_end: int = 0
    """Where the phrase lies, in samples; end 0 when not known (`prepare` then finds it by loudness)."""

    @property
    def is_spoken(self) -> bool:
        """Whether `speak` or `prepare` made it; what a source gives has an absolute path."""
        return not Path(self.path).is_absolute()


@dataclass(frozen=True, slots=True)
class Clip:
    """A cut of a recording. `start` may be negative or reach past the end: what is missing there is silence."""

    id: str
    recording: str
    start: int
    n_samples: int
    label: str
    split: str
    event_end: int = 0
    """Where the phrase ends inside the clip, in samples from its start; 0 when there is none."""


Record = TypeVar("Record", Recording, Clip)


def save_jsonl(path: Path, records: Iterable[Record]) -> None:
    """One JSON object a line, written aside and renamed."""
    aside = path.with_name(path.name + ".part")
    with aside.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n")
    aside.replace(path)


def load_jsonl(path: Path, kind: type[Record]) -> list[Record]:
    """Read what `save_jsonl` wrote; a line that does not fit is named."""
    records = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                records.append(kind(**json.loads(line)))
            except (TypeError, ValueError) as error:
                raise DataError(f"{path}, line {number}: not a {kind.__name__} ({error}). Make it again.") from error
    return records

"""The plain records that flow along the road: Recording (a file) and Clip (a cut of it), one JSON object a line on disk."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from wakesmith.data.lazy import Lazy
from wakesmith.data.spool import Pieces
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
NEW_LINE, SCANNED_BYTES = ord("\n"), 1 << 22


def save_jsonl(path: Path, records: Iterable[Record]) -> int:
    """One JSON object a line, written aside and renamed. -> how many."""
    aside, count = path.with_name(path.name + ".part"), 0
    with aside.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(fields(record), ensure_ascii=False) + "\n")
            count += 1
    aside.replace(path)
    return count


def fields(record: Recording | Clip) -> dict[str, Any]:
    """Its fields, in their order."""
    return {name: getattr(record, name) for name in record.__slots__}


def load_jsonl(path: Path, kind: type[Record]) -> list[Record]:
    """Read what `save_jsonl` wrote; a line that does not fit is named."""
    return list(Lines(path, kind))


class Lines(Lazy[Record]):
    """What `save_jsonl` wrote, each read when it is asked for; a line that does not fit is named then."""

    def __init__(self, path: Path, kind: type[Record]) -> None:
        self.path = path
        self.kind: type[Record] = kind
        held = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
        self.lines = Pieces(held, _line_ends(np.asarray(held)))

    def __len__(self) -> int:
        return len(self.lines)

    def read(self, number: int) -> Record:
        try:
            return self.kind(**json.loads(str(self.lines.read(number), "utf-8")))  # type: ignore[call-overload,no-any-return]
        except (TypeError, ValueError) as error:
            what = f"{self.path}, line {number + 1}: not a {self.kind.__name__} ({error})"
            raise DataError(f"{what}. Make it again.") from error


def _line_ends(held: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where each line of a file (N,) ends, past its mark; the last may have none."""
    marks = [np.empty(0, np.int64)]
    for start in range(0, len(held), SCANNED_BYTES):
        marks.append(start + 1 + np.flatnonzero(held[start : start + SCANNED_BYTES] == NEW_LINE))
    ends = np.concatenate(marks)
    return ends if not len(held) or held[-1] == NEW_LINE else np.append(ends, len(held))


class ById(Mapping[str, Record]):
    """Records by id, in their order: beside them two numbers each."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records: Sequence[Record] = records
        hashes = np.fromiter((hash(one.id) for one in records), np.int64, len(records))
        self.order = np.argsort(hashes, kind="stable")
        self.hashes = hashes[self.order]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[str]:
        return (one.id for one in self.records)

    def __getitem__(self, name: str) -> Record:
        return self.find(name)[1]

    def values(self) -> Sequence[Record]:  # type: ignore[override]
        return self.records

    def find(self, name: str) -> tuple[int, Record]:
        """With its place in the order. Raises KeyError."""
        first = int(np.searchsorted(self.hashes, hash(name)))
        last = int(np.searchsorted(self.hashes, hash(name), "right"))
        for number in self.order[first:last].tolist():
            if (found := self.records[number]).id == name:
                return number, found
        raise KeyError(name)


def split_numbers(records: Collection[Recording] | Collection[Clip]) -> npt.NDArray[np.uint8]:
    """(n,) number of each split in `SPLITS`; that of none is their count."""
    return np.fromiter((_number[one.split] for one in records), np.uint8, len(records))


_number = {split: number for number, split in enumerate((*SPLITS, ""))}

"""A manifest -> recordings: a CSV file with a header line, or JSONL, with one row a sound file.

Columns: path (relative to the manifest's folder), and if there are any: label, text, speaker, split, source, licence,
phrase_start_s and phrase_end_s (or speech_start_s and speech_end_s): where the phrase lies, for wake and near_miss.
"""

from __future__ import annotations

import collections
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import field_validator

from wakesmith.audio import MAX_FILE_S, SAMPLE_RATE_HZ
from wakesmith.config import PartSettings
from wakesmith.data.records import KNOWN_LABELS, Recording
from wakesmith.disk import is_dir, is_file
from wakesmith.errors import DataError
from wakesmith.importers._base import (
    Found,
    check_found,
    check_label,
    check_labels,
    check_split,
    inside,
    mapped_label,
    shown,
)

MAX_LINE = 1 << 20
"""Letters in a line."""


class Config(PartSettings):
    name: str = "manifest_csv"
    path: str
    """The manifest (.csv or .jsonl), or the folder that holds manifest.csv or manifest.jsonl."""
    label: str = ""
    """Label of every row that `labels` does not name."""
    labels: dict[str, str] = {}
    """Label in the manifest -> our label. With neither, the manifest carries our names."""
    split: Literal["", "train", "dev", "test", "column"] = ""
    """Fixed split of all rows; `column`: as the manifest says; empty: assigned by group."""
    text_from: str = "text"
    """Column that says what was said."""
    keep: dict[str, list[str]] = {}
    """Column -> values: only rows with one of these values."""
    drop: dict[str, list[str]] = {}
    """Column -> values: no rows with one of these values."""
    licence: str = "unknown"
    """Licence of rows without one of their own."""

    _label = field_validator("label")(check_label)
    _labels = field_validator("labels")(check_labels)


class Manifest:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.dropped: collections.Counter[str] = collections.Counter()

    def recordings(self) -> Found:
        """Every row that is kept, in the manifest's order. Raises DataError with the line of a row that cannot be used."""
        manifest = find_manifest(Path(self.config.path).expanduser())
        n_found = 0
        for at, (number, row) in enumerate(rows(manifest)):
            where = f"{manifest}, line {number}"
            if at == 0:
                self._check_columns(row, manifest)
            if self._kept(row):
                label = mapped_label(row.get("label", ""), self.config.labels, self.config.label)
                if self.config.labels and not label:
                    self.dropped[f"label '{row.get('label', '')}' is not in `labels`"] += 1
                    continue
                yield self._recording(row, label, manifest, where)
                n_found += 1
        check_found(n_found, manifest, self.dropped, "no rows to use")

    def _check_columns(self, row: dict[str, str], manifest: Path) -> None:
        wanted = (
            {"path", *self.config.keep, *self.config.drop}
            | {self.config.text_from} - {"text"}
            | ({"split"} if self.config.split == "column" else set())
        )
        missing = wanted - set(row)
        if missing:
            raise DataError(
                f"{manifest}: no column {shown(missing)}. It has: {shown(row) or 'none'}. Name them in its first line."
            )

    def _kept(self, row: dict[str, str]) -> bool:
        for column, values in self.config.keep.items():
            if row.get(column, "") not in values:
                self.dropped[f"`keep` of {column}"] += 1
                return False
        for column, values in self.config.drop.items():
            if row.get(column, "") in values:
                self.dropped[f"`drop` of {column}"] += 1
                return False
        return True

    def _recording(self, row: dict[str, str], label: str, manifest: Path, where: str) -> tuple[Recording, Path]:
        config, folder = self.config, manifest.parent
        if label not in KNOWN_LABELS:
            raise DataError(f"{where}: label '{label}'. Set `label` or `labels` of the source to {', '.join(KNOWN_LABELS)}.")
        file = inside(folder, row.get("path", ""), where)
        start, end = phrase(row, where) if label in ("wake", "near_miss") else (0, 0)
        recording = Recording(
            id=f"{folder.resolve().name}/{row['path']}",
            path=str(file.absolute()),
            text=row.get(config.text_from, ""),
            label=label,
            speaker=row.get("speaker", ""),
            source=row.get("source", "") or folder.resolve().name,
            licence=row.get("licence", "") or config.licence,
            n_samples=0,
            split=check_split(row.get("split", ""), where) if config.split == "column" else config.split,
            phrase_start=start,
            phrase_end=end,
        )
        return recording, file


def find_manifest(path: Path) -> Path:
    """The manifest itself, or the one in a folder. Raises DataError."""
    candidates = [path / "manifest.csv", path / "manifest.jsonl"] if is_dir(path) else [path]
    for candidate in candidates:
        if is_file(candidate):
            if candidate.suffix not in (".csv", ".jsonl"):
                raise DataError(f"{candidate}: expected a manifest ending in .csv or .jsonl.")
            return candidate
    raise DataError(f"{' or '.join(map(str, candidates))}: no such manifest. Check `path` of the source.")


def rows(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and columns as text, row by row. Raises DataError for lines that cannot be read."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            if manifest.suffix == ".csv":
                reader = csv.DictReader(_lines(file, manifest), strict=True)
                twice = [name for name, count in collections.Counter(reader.fieldnames or ()).items() if count > 1]
                if twice:
                    raise DataError(f"{manifest}: the column {twice[0]} is there twice. Name each column once.")
                for record in reader:
                    if None in record or None in record.values():
                        raise DataError(
                            f"{manifest}, line {reader.line_num}: not as many fields as the header has. Mend that line."
                        )
                    yield reader.line_num, {key.strip(): value for key, value in record.items()}
            else:
                for number, line in enumerate(_lines(file, manifest), start=1):
                    if line.strip():
                        yield number, _object(json.loads(line), manifest, number)
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{manifest}: not readable ({error}). Save it as UTF-8 {manifest.suffix[1:].upper()}.") from error
    except OSError as error:
        raise DataError(f"{manifest}: cannot be read ({error.strerror}). Check the file and its permissions.") from error


def _lines(file: TextIO, manifest: Path) -> Iterator[str]:
    """Line by line, none of which may fill the memory."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DataError(f"{manifest}, line {number}: longer than {MAX_LINE} letters. Give a row a line.")
        yield line


def _object(value: Any, manifest: Path, number: int) -> dict[str, str]:
    if not isinstance(value, dict):
        raise DataError(f"{manifest}, line {number}: expected an object with keys, got {type(value).__name__}. Mend that line.")
    row = {key: "" if item is None else str(item) for key, item in value.items()}
    try:
        "".join(row.values()).encode()
    except UnicodeEncodeError as error:  # JSON may spell half a surrogate pair
        raise DataError(f"{manifest}, line {number}: holds what is no text ({error.reason}). Mend that line.") from error
    return row


def phrase(row: dict[str, str], where: str) -> tuple[int, int]:
    """Where the phrase lies, in samples at 16 kHz; (0, 0) when the row does not say. Raises DataError."""
    for start_column, end_column in (("phrase_start_s", "phrase_end_s"), ("speech_start_s", "speech_end_s")):
        if row.get(end_column):
            try:
                start_s, end_s = float(row.get(start_column) or 0), float(row[end_column])
            except ValueError as error:
                raise DataError(f"{where}: {start_column}, {end_column}: expected seconds ({error}).") from error
            if not 0 <= start_s < end_s <= MAX_FILE_S:
                raise DataError(
                    f"{where}: {start_column} {start_s}, {end_column} {end_s}: expected 0 <= start < end, up to {MAX_FILE_S}. "
                    "Write the seconds at which the phrase begins and ends."
                )
            return round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
    return 0, 0


def build(config: Config) -> Manifest:
    return Manifest(config)

"""A folder tree of sound files -> recordings. The label is one for all, or the name of the folder below the top."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from wakesmith.config import PartSettings
from wakesmith.data.records import KNOWN_LABELS, Recording
from wakesmith.disk import is_dir, is_file
from wakesmith.errors import DataError
from wakesmith.importers._base import Found, check_found, check_label, check_labels, is_utf8, mapped_label, shown

ENDINGS = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3"))


def sound_files(folder: Path) -> list[Path]:
    """All below a folder, in order of their names. Raises DataError where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not found:
        told = ", ".join(sorted(ENDINGS))
        raise DataError(f"{folder}: no sound file here ({told}). Name the folder that holds the recordings.")
    return found


class Config(PartSettings):
    name: str = "wav_folders"
    path: str
    """The top folder."""
    label: str = ""
    """Label of every file that `labels` does not name."""
    labels: dict[str, str] = {}
    """Name of a folder right below the top -> our label. With neither, those folders carry our names."""
    split: Literal["", "train", "dev", "test"] = ""
    """Fixed split of all files; empty: assigned by group."""
    speaker: Literal["file", "folder"] = "file"
    """The group that never crosses a split: each file by itself, or the folder a file lies in, be it the top one."""
    speaker_pattern: str = ""
    """A regular expression on the path below the top; its first group is the speaker: `([0-9a-f]+)_nohash_`."""
    text: str = ""
    """What is said in every file, where it is one phrase."""
    licence: str = "unknown"
    """Of all its files."""

    _label = field_validator("label")(check_label)
    _labels = field_validator("labels")(check_labels)

    @model_validator(mode="after")
    def _pattern(self) -> Config:
        try:
            groups = re.compile(self.speaker_pattern).groups
        except re.error as error:
            raise ValueError(f"speaker_pattern: expected a regular expression ({error})") from error
        if self.speaker_pattern and groups < 1:
            raise ValueError("speaker_pattern: expected a group in parentheses around the speaker")
        return self


class WavFolders:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.dropped: collections.Counter[str] = collections.Counter()

    def recordings(self) -> Found:
        """Every sound file below the top, sorted by path. Raises DataError for a missing or empty folder."""
        top = Path(self.config.path).expanduser()
        if not is_dir(top):
            what = "is a file, not a folder" if is_file(top) else "no such folder"
            raise DataError(f"{top}: {what}. Check the path: a folder of recordings, or a .csv or .jsonl manifest.")
        n_found = 0
        for file in self._below(top):
            if file.suffix.lower() in ENDINGS and not all(map(is_utf8, (file, *file.relative_to(top).parents))):
                self.dropped["the name is not UTF-8 (rename it)"] += 1
            elif file.suffix.lower() in ENDINGS and file.is_file():
                recording = self._recording(top, file)
                if recording:
                    yield recording, file
                    n_found += 1
        check_found(n_found, top, self.dropped, f"no sound files here (looked for {', '.join(sorted(ENDINGS))})")

    def _below(self, folder: Path) -> Iterator[Path]:
        """All that lies below a folder, in the order of the paths; a link to a folder is not followed."""
        try:
            with os.scandir(folder) as found:
                entries = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
        except PermissionError:
            self.dropped["the folder may not be read (change its permissions)"] += 1
            return
        for name, is_folder in entries:
            yield folder / name
            if is_folder:
                yield from self._below(folder / name)

    def _recording(self, top: Path, file: Path) -> Recording | None:
        config = self.config
        below = file.relative_to(top)
        folder = below.parts[0] if len(below.parts) > 1 else ""
        label = mapped_label(folder, config.labels, config.label)
        if config.labels and not label:
            self.dropped[f"folder '{folder}' is not in `labels`"] += 1
            return None
        if label not in KNOWN_LABELS:
            folders = shown(path.name for path in top.iterdir() if path.is_dir())
            raise DataError(
                f"{file}: no label. Set `label`, or `labels` for the folders ({folders or 'none here'}), "
                f"or name them {', '.join(KNOWN_LABELS)}."
            )
        return Recording(
            id=f"{top.resolve().name}/{below.as_posix()}",
            path=str(file.absolute()),
            text=config.text,
            label=label,
            speaker=self._speaker(below),
            source=top.resolve().name,
            licence=config.licence,
            n_samples=0,
            split=config.split,
        )

    def _speaker(self, below: Path) -> str:
        if self.config.speaker_pattern:
            match = re.search(self.config.speaker_pattern, below.as_posix())
            return (match.group(1) or "") if match else ""
        if self.config.speaker == "file":
            return ""
        return below.parent.as_posix() if len(below.parts) > 1 else Path(self.config.path).expanduser().resolve().name


def build(config: Config) -> WavFolders:
    return WavFolders(config)

"""What a user says of clips: marks in RUN/feedback/marks.jsonl, own sounds in the folders that `wakesmith learn` takes."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

from wakesmith import config
from wakesmith.data.audio_store import AudioStore
from wakesmith.errors import DataError, WakesmithError
from wakesmith.run import CONFIG
from wakesmith.steps import _recipe, learn

FOLDER, MARKS = "feedback", "marks.jsonl"
KINDS = {"It woke, and should not have": "false_wakes", "It was said, and missed": "misses"}
OPTIONS = {"false_wakes": "--false-wakes", "misses": "--misses"}
WHY_NOT = (
    "Clips of dev and test cannot be sent to learn: dev chose the threshold and test judges it, and a detector that had "
    "learned them would look better than it is. Mark a wrong label here; send recordings of your own below."
)


def mark(run: Path, name: str, recording: str, label: str) -> Path:
    """Note that a clip's label is wrong; once for each clip. -> the file of marks"""
    path = run / FOLDER / MARKS
    if name in {row["clip"] for row in marks(run)}:
        return path
    path.parent.mkdir(exist_ok=True)
    row = {"clip": name, "recording": recording, "label": label, "mark": "wrong label", "at": time.strftime("%Y-%m-%d %H:%M:%S")}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def marks(run: Path) -> list[dict[str, Any]]:
    """Raises DataError for a line that is none of ours."""
    path, rows = run / FOLDER / MARKS, []
    if not path.exists():
        return []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append({key: str(row[key]) for key in ("clip", "recording", "label", "mark", "at")})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: not a mark ({error!r}). Delete the line.") from error
    return rows


def send(run: Path, source: Path, kind: str) -> Path:
    """Copy a user's own recording to where `learn` finds it. -> the copy.

    kind: false_wakes or misses. Raises WakesmithError for a sound that cannot be read, is silent, or judges the run.
    """
    given = learn.read(source, kind)
    if not given.aside:
        near_duplicate = _recipe.load(config.read_yaml(run / CONFIG)).data.near_duplicate
        learn.keep_out(AudioStore.open(run / "prepare"), [given], near_duplicate)
    if given.aside:
        raise WakesmithError(f"{source.name}: {given.aside}. Give another recording.")
    place = run / FOLDER / kind / f"{given.name}{source.suffix.lower()}"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
    return place


def sent(run: Path) -> list[Path]:
    """The files that were sent, false wakes first."""
    return [path for kind in OPTIONS for path in sorted((run / FOLDER / kind).glob("*.*"))]


def words(run: Path) -> list[str]:
    """The command that learns from the sent files, in words after the program's name; none when there are none."""
    places = [(option, run / FOLDER / kind) for kind, option in OPTIONS.items()]
    given = [word for option, place in places if any(place.glob("*.*")) for word in (option, str(place))]
    return ["learn", str(run / "bundle"), *given] if given else []


def command(run: Path) -> str:
    """The same for a terminal."""
    return shlex.join(["wakesmith", *words(run)])

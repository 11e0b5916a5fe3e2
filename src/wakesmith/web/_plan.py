"""The fields of the tab Forge -> a whole recipe as YAML -> a run folder with its config.yaml; sounds of the user beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from wakesmith import audio, config, text
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe, forge, record
from wakesmith.steps._options import recipe_from
from wakesmith.web import _runs, _work

OWN = "recordings-"
"""Before the run's name: the folder of what was recorded for it. No run of a phrase is called so: its name has no dash."""


def recipe_text(
    phrase: str, preset: str, teacher: str, teacher_folder: str, natural: str, recordings: str, negatives: str, noise: str,
    rooms: str, test_recordings: str,
) -> str:  # fmt: skip
    """What `wakesmith plan` would write for the same options. Raises ConfigError."""
    if not phrase.strip():
        raise ConfigError("Type the phrase first.")
    given = {"recordings": recordings, "negatives": negatives, "noise": noise, "rooms": rooms, "test_recordings": test_recordings}
    folders: dict[str, list[str] | None] = {kind: _lines(paths) for kind, paths in given.items()}
    named = f"{teacher}:{teacher_folder.strip()}" if teacher and teacher_folder.strip() else teacher or None
    recipe = recipe_from(phrase.strip(), preset, None, named, natural.strip() or None, None, None, **folders)
    return config.to_yaml(recipe)


def read(recipe: str) -> _recipe.Recipe:
    """YAML -> the recipe, checked as the command line checks it. Raises ConfigError with every problem."""
    return _recipe.load(config.from_yaml(recipe, "recipe"))


def planned(runs: Path, name: str, recipe: _recipe.Recipe) -> Path:
    """Write the recipe into the run folder. Raises WakesmithError for a folder of something else, or at work."""
    place = _runs.below(runs, name)
    if _work.at_work(place):
        raise ConfigError(f"{place}: a forge is at work here. Wait for it, press Stop, or give the run another name.")
    return forge.plan(forge.checked(recipe), place).folder


def run_name(phrase: str) -> str:
    return text.file_name(phrase) or "phrase"


def keep(runs: Path, name: str, speaker: str, sounds: list[str]) -> tuple[Path, list[record.Row]]:
    """Write recordings to runs/recordings-NAME/SPEAKER and judge each as `wakesmith record --check` does; bad ones are not kept.

    -> (folder for --recordings, what was found of each).
    """
    if not re.fullmatch(r"[\w-]+", speaker or ""):
        raise ConfigError(f"speaker {speaker!r}: becomes a folder's name; use letters, digits, - and _.")
    if not sounds:
        raise ConfigError("There is no sound yet. Record one or choose files first.")
    own = _runs.below(runs, OWN + name)
    judged = [(Path(sound), record.judged(Path(sound), Path(sound).name)) for sound in sounds]
    for (path, row), number in zip(judged, _free(own / speaker, len(judged)), strict=True):
        if not row.faults:
            (own / speaker).mkdir(parents=True, exist_ok=True)
            # As WAV, whatever it was: what can be heard here, AIFF too, is more than what importers look for.
            audio.write(own / speaker / f"{number:03d}.wav", audio.read(path))
    return own, [row for _, row in judged]


def kept(runs: Path, name: str) -> list[record.Row]:
    """All takes that were kept for a run."""
    own = _runs.below(runs, OWN + name)
    return record.check(own) if own.is_dir() and any(own.rglob("*.*")) else []


def _free(folder: Path, count: int) -> list[int]:
    taken = {path.stem for path in folder.glob("*.*")}
    numbers = (number for number in range(1, len(taken) + count + 1) if f"{number:03d}" not in taken)
    return [next(numbers) for _ in range(count)]


def _lines(paths: Any) -> list[str]:
    return [line.strip() for line in str(paths or "").splitlines() if line.strip()]

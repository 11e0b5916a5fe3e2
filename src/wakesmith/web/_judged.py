"""A run as the page Judge needs it: its folder in; what its bundle heard, its figures and any stretch of sound out."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wakesmith import config, registry
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.card import OperatingPoint
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import Recording
from wakesmith.errors import ConfigError, DataError
from wakesmith.report import check, of_phrases
from wakesmith.run import CONFIG
from wakesmith.steps import _kept, _recipe
from wakesmith.steps._heard import Heard, Scored
from wakesmith.web import _figures
from wakesmith.web._figures import Mistake


@dataclass(frozen=True, eq=False)
class Judged:
    """One phrase of an evaluated run."""

    folder: Path
    recipe: Any
    report: dict[str, Any]
    """Of the phrase."""
    heard: dict[str, Heard]
    """By split."""
    recordings: Mapping[str, Recording]

    @property
    def patience_s(self) -> float:
        return float(self.recipe.evaluate.patience_s)

    @functools.cached_property
    def shipped(self) -> OperatingPoint:
        return OperatingPoint(**self.report["operating_point"])

    def point(self, threshold: float) -> OperatingPoint:
        """The shipped way to listen, at a slider's threshold."""
        return _figures.moved(self.shipped, _figures.snapped(threshold, self.shipped.threshold))

    def stream(self, split: str, name: str) -> Scored:
        return next(one for streams in self.heard[split].streams.values() for one in streams if one.name == name)


def found(runs: Path) -> list[Path]:
    """Folders right below `runs` that hold a run, the one that was planned or forged last first."""
    return sorted((path.parent for path in runs.glob(f"*/{CONFIG}")), key=lambda path: -(path / CONFIG).stat().st_mtime)


def is_there(folder: Path) -> bool:
    """Whether a run was evaluated."""
    return (folder / "evaluate" / "report.json").is_file()


def is_kept(folder: Path) -> bool:
    """Whether all that Judge shows is there; what is not, `load` tells."""
    return is_there(folder) and _kept.is_there(folder, 0)


def report(folder: Path) -> dict[str, Any]:
    """The run's report.json. Raises DataError for a run that was not evaluated yet."""
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder}: no run of wakesmith is there. Name a run folder, as forge or plan made it.")
    path = folder / "evaluate" / "report.json"
    if not is_there(folder):
        # A terminal shows it too, which has no tab.
        raise DataError(f"{folder.name} was not evaluated yet. Forge it to its end, or run: wakesmith evaluate {folder}")
    try:
        told = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON ({error}). Delete it, then run: wakesmith evaluate {folder}") from error
    check(told)
    return told


def phrases(folder: Path) -> list[str]:
    """Raises DataError as `report` does."""
    return [str(one["phrase"]) for one in of_phrases(report(folder))]


def number_of(folder: Path, phrase: str | None) -> int:
    """Which of a run's phrases, by its text; None: the first. Raises ConfigError for one that it does not know."""
    known = phrases(folder)
    if phrase is not None and phrase not in known:
        raise ConfigError(registry.unknown("--phrase", phrase, known))
    return known.index(phrase) if phrase is not None else 0


def load(folder: Path, number: int) -> Judged:
    """Raises DataError when the run was not evaluated, or its scores were not kept; ConfigError for unknown settings."""
    own = of_phrases(report(folder))[number]
    return _load(
        folder, number, _kept.index(folder, number).stat().st_mtime_ns if _kept.is_there(folder, number) else 0, own["phrase"]
    )


@functools.lru_cache(maxsize=4)
def _load(folder: Path, number: int, changed: int, phrase: str) -> Judged:
    """`changed`, `phrase`: of a run that was evaluated anew nothing old is shown."""
    heard = _kept.read(folder, number)
    recipe = _recipe.load(config.read_yaml(folder / CONFIG))
    recordings = AudioStore.open(folder / "prepare").recordings
    return Judged(folder, recipe, of_phrases(report(folder))[number], heard, recordings)


@functools.lru_cache(maxsize=8)
def mistakes(judged: Judged, split: str, threshold: float) -> list[Mistake]:
    return _figures.mistakes(judged.heard[split], judged.point(threshold), judged.patience_s)


@functools.lru_cache(maxsize=2)
def _sound(judged: Judged, split: str, stream: str) -> Samples:
    # Hours of mistakes lie in few streams, and the next one that is looked at mostly in the same.
    return _kept.sound(judged.recipe, judged.folder, split, judged.stream(split, stream))


def cut(judged: Judged, one: Mistake) -> Samples:
    """(N,) what is played of a mistake: the very sound that was judged."""
    samples = _sound(judged, one.split, one.stream)
    start, end = (round(at * SAMPLE_RATE_HZ) for at in one.window_s)
    return samples[start : min(end, len(samples))]

"""`evaluate`: the bundle, through the runtime, over continuous audio.

The operating point is chosen on dev; test is only reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from wakesmith import config
from wakesmith.errors import DataError

if TYPE_CHECKING:
    from wakesmith.data.records import Recording
    from wakesmith.steps._heard import Heard
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._streams import Condition


class Settings(config.Settings):
    target_fa_per_hour: float = Field(default=0.5, gt=0)
    """The shipped threshold is the lowest that dev allows at this rate."""
    snrs_db: list[float] = [20.0, 10.0, 5.0, 0.0]
    beds: list[Literal["noise", "babble", "music"]] = ["noise", "babble", "music"]
    """Those that the run has. Music is recordings of noise whose text is `music`."""
    room_snr_db: float = 10.0
    """Through rooms the phrases are heard clean, and over babble at this ratio."""
    max_room_positives: int = Field(default=200, ge=0)
    """Phrases that are heard through rooms too, where the run has any; 0: none."""
    smoothing_windows: list[int] = Field(default=[1, 2, 4, 6, 10], min_length=1)
    """Numbers of scores that are tried for the mean; the best on dev is shipped."""
    refractory_s: list[Annotated[float, Field(ge=0, le=60)]] = Field(default=[1.0, 0.5, 2.0], min_length=1)
    """Quiet times after a detection that are tried; the best on dev is shipped, of equals the first. One number: it is given."""
    threshold_floor: float = Field(default=0.2, ge=0.01, le=0.99)
    """Least threshold: an hour of dev audio without an event says little about the next hundred."""
    max_positives: int = Field(default=600, ge=1)
    max_dev_hours: float = Field(default=2.0, gt=0)
    max_test_hours: float = Field(default=4.0, gt=0)
    gap_s: list[float] = Field(default=[1.5, 2.5], min_length=2, max_length=2)
    patience_s: float = Field(default=1.0, gt=0)
    """A phrase is heard when the score peaks from its start until this long after its end."""

    @field_validator("refractory_s", mode="before")
    @classmethod
    def _one(cls, given: Any) -> Any:
        return [given] if isinstance(given, int | float) else given


def run(recipe: Recipe, folder: Path) -> Path:
    """Write the operating point into the bundle's card, and folder/evaluate/{report.json, report.html}."""
    from wakesmith import bundle, report
    from wakesmith.run import write_json
    from wakesmith.steps import _judge, _score

    settings, out = recipe.evaluate, folder / "evaluate"
    heard = {split: _score.hear(folder, streams(settings, recipe.seed, folder, split), split) for split in ("dev", "test")}
    point, tried = _judge.choose(heard["dev"], settings)
    bundle.set_operating_point(folder / "bundle", point)
    told = _told(recipe, folder, heard, tried)
    write_json(out / "report.json", told)
    (out / "report.html").write_text(report.html(told), encoding="utf-8")
    return out


def _told(recipe: Recipe, folder: Path, heard: dict[str, Heard], tried: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the report says, as plain values."""
    import json

    from wakesmith import bundle
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _groups, _judge, _predict

    card, settings = bundle.load_card(folder / "bundle"), recipe.evaluate
    recordings = AudioStore.open(folder / "prepare").recordings
    point = card.operating_point
    assert point is not None
    dev, test = (_judge.judge(heard[split], heard["dev"], point, settings) for split in ("dev", "test"))
    teacher = folder / "teach" / "card.json"
    curve = folder / "train" / "metrics.jsonl"
    lines = curve.read_text(encoding="utf-8").splitlines() if curve.exists() else []
    student = json.loads((folder / "train" / "card.json").read_text(encoding="utf-8"))
    n_bytes = (folder / "bundle" / card.model).stat().st_size
    return {
        "phrase": recipe.phrases[0],
        "student": {"name": recipe.student.name, "parameters": card.parameters, "bytes": n_bytes, "dev": student["dev"]},
        "operating_point": point.model_dump(mode="json"),
        "tried_on_dev": tried,
        "teacher": json.loads(teacher.read_text(encoding="utf-8")) if recipe.train.distil else None,
        "training": [json.loads(line) for line in lines],
        "data": _groups.counted(recordings.values()),
        "sources": _groups.by_source(test, recordings),
        "speakers": _groups.by_speaker(test, recordings),
        "near_misses": _groups.by_text(test, recordings, point.threshold),
        "false_accepts_by_source": _groups.false_accepts_by_source(heard["test"], point),
        "predictions": _predict.compared(heard["dev"], heard["test"], point, settings.threshold_floor),
        "dev": dev,
        "test": test,
    }


def streams(settings: Settings, seed: int, folder: Path, split: str) -> Iterator[Any]:
    """(kind, condition or none, stream) of all that is heard of a split."""
    from wakesmith.augment._bank import Bank
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _streams

    store = AudioStore.open(folder / "prepare")
    beds = _streams.Beds(store, Bank(folder / "views" / "bank"))
    gap_s = (settings.gap_s[0], settings.gap_s[1])
    positives = _drawn(_of(store, split, "wake"), settings.max_positives, seed)
    if not positives:
        raise DataError(f"evaluate: no recording of the phrase in {split}. Give more speakers, or raise data.{split}_share.")
    for condition in _conditions(settings, beds, split):
        name = f"{split}-{condition.name.replace(' ', '-')}"
        some = _drawn(positives, settings.max_room_positives, seed) if condition.in_room else positives
        yield "positives", condition, _streams.of_events(store, beds, some, split, condition, gap_s, seed, name)
    near = _drawn(_of(store, split, "near_miss"), settings.max_positives, seed)
    if near:
        clean, name = _streams.Condition(), f"{split}-near-misses"
        yield "near_misses", clean, _streams.of_events(store, beds, near, split, clean, gap_s, seed, name)
    most = settings.max_dev_hours if split == "dev" else settings.max_test_hours
    for stream in _streams.of_negatives(store, negatives(store, split), most, seed, split):
        yield "negatives", None, stream


def negatives(store: Any, split: str) -> list[Recording]:
    """Other speech and noise of a split; near misses are none of it. Raises DataError when there is none."""
    found = _of(store, split, "speech") + _of(store, split, "noise")
    if not found:
        raise DataError(f"evaluate: no other speech or noise in {split}. Give more: --negatives FOLDER")
    return found


def _conditions(settings: Settings, beds: Any, split: str) -> list[Condition]:
    from wakesmith.data.records import ROOM
    from wakesmith.steps._streams import Condition

    kinds = [bed for bed in settings.beds if beds.count(bed, split)]
    made = [Condition(), *(Condition(bed, snr_db) for bed in kinds for snr_db in settings.snrs_db)]
    if settings.max_room_positives and beds.count(ROOM, split):
        made.append(Condition(in_room=True))
        made += [Condition("babble", settings.room_snr_db, in_room=True)] if beds.count("babble", split) else []
    return made


def _of(store: Any, split: str, label: str) -> list[Recording]:
    return sorted((r for r in store.recordings.values() if r.split == split and r.label == label), key=lambda r: r.id)


def _drawn(recordings: list[Recording], most: int, seed: int) -> list[Recording]:
    from wakesmith.rng import rng

    if len(recordings) <= most:
        return recordings
    return [recordings[i] for i in sorted(rng(seed, "drawn").choice(len(recordings), most, replace=False))]

"""`evaluate`: the bundle, through the runtime, over continuous audio.

The operating point is chosen on dev; test is only reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from wakesmith import config
from wakesmith.errors import DataError

if TYPE_CHECKING:
    from wakesmith.card import OperatingPoint
    from wakesmith.data.records import Recording
    from wakesmith.steps._heard import Heard
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._streams import Condition, Stream


class Settings(config.Settings):
    target_fa_per_hour: float = Field(default=0.5, gt=0)
    """What the shipped threshold is chosen for, on dev: by count, or where that is under two events from its loudest moments."""
    snrs_db: list[float] = [20.0, 10.0, 5.0, 0.0]
    """Phrase over bed, in each of the beds."""
    beds: list[Literal["noise", "babble", "music"]] = ["noise", "babble", "music"]
    """Those that the run has. Music is recordings of noise whose text is `music`."""
    room_snr_db: float = 10.0
    """Through rooms the phrases are heard clean, and over babble at this ratio."""
    max_room_positives: int = Field(default=200, ge=0)
    """Phrases that are heard through rooms too, where the run has any; 0: none."""
    smoothing_windows: list[Annotated[int, Field(ge=1, le=1000)]] = Field(default=[1, 2, 4, 6, 10], min_length=1)
    """Numbers of scores that are tried for the mean; the best on dev is shipped."""
    refractory_s: list[Annotated[float, Field(ge=0, le=60)]] = Field(default=[1.0, 0.5, 2.0], min_length=1)
    """Quiet times after a detection that are tried; the best on dev is shipped, of equals the first. One number: it is given."""
    threshold_floor: float = Field(default=0.2, ge=0.01, le=0.99)
    """Least threshold: an hour of dev audio without an event says little about the next hundred."""
    max_positives: int = Field(default=600, ge=1)
    """At most so many phrases of a split, drawn by chance."""
    max_dev_hours: float = Field(default=8.0, gt=0)
    """At most so much other speech and noise in dev."""
    max_test_hours: float = Field(default=4.0, gt=0)
    """The same in test."""
    gap_s: Annotated[list[float], config.span(0, 60)] = [1.5, 2.5]
    """Least and most silence before each phrase."""
    patience_s: float = Field(default=1.0, gt=0)
    """A phrase is heard when the score peaks from its start until this long after its end, or the next phrase begins."""

    @field_validator("refractory_s", mode="before")
    @classmethod
    def _one(cls, given: Any) -> Any:
        return [given] if isinstance(given, int | float) else given


def run(recipe: Recipe, folder: Path) -> Path:
    """Write each phrase's operating point and figures into the bundle's card, and folder/evaluate/{report.json, report.html}."""
    from wakesmith import bundle, report
    from wakesmith.run import write_json, write_text
    from wakesmith.steps import _judge, _model_card

    settings, out = recipe.evaluate, folder / "evaluate"
    heard = [hear(recipe, folder, number) for number in range(len(recipe.phrases))]
    chosen = [_judge.choose(one["dev"], settings) for one in heard]
    bundle.set_operating_point(folder / "bundle", *(point for point, _ in chosen))
    told = _told(recipe, folder, heard, [tried for _, tried in chosen])
    report.check(told)
    found = zip(report.of_phrases(told), heard, chosen, strict=True)
    measured = [_model_card.measured(one, own["test"], point, settings.patience_s) for one, own, (point, _) in found]
    bundle.set_measured(folder / "bundle", *measured)
    told |= _others(recipe, folder, told)
    write_json(out / "report.json", told)
    write_text(out / "report.html", report.html(told))
    return out


def _others(recipe: Recipe, folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    """`bundles`: each other target beside the float bundle, on the same streams, with an operating point of its own from dev.

    The points go into their cards. Nothing when there is no other target; a bundle that no `Detector` runs has `not_heard` alone.
    """
    from wakesmith import bundle
    from wakesmith.errors import WakesmithError
    from wakesmith.runtime.detector import Detector
    from wakesmith.steps import _targets

    rows = []
    for name, place in _targets.folders(recipe, folder).items():
        row: dict[str, Any] = {"name": name, "bytes": (place / bundle.load_card(place).model).stat().st_size}
        rows.append(row)
        try:
            Detector.load(place)
        except WakesmithError as error:
            row["not_heard"] = str(error)
            continue
        row["phrases"] = _judged(recipe, folder, name, place, told)
        _targets.hand_over(name, place)
    return {"bundles": rows} if rows else {}


def _judged(recipe: Recipe, folder: Path, name: str, place: Path, float_told: dict[str, Any]) -> list[dict[str, Any]]:
    """One of the other bundles, phrase by phrase: its points and figures go into its card, what it lost comes back."""
    from wakesmith import bundle, report
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _judge, _model_card, _targets

    settings, recordings = recipe.evaluate, AudioStore.open(folder / "prepare").recordings
    points, measured, rows = [], [], []
    for number, of_float in enumerate(report.of_phrases(float_told)):
        heard = hear(recipe, folder, number, place)
        point, tried = _judge.choose(heard["dev"], settings)
        point = _targets.as_it_fires(name, point)
        told = _of_phrase(heard, point, tried, recordings, settings)
        points.append(point)
        measured.append(_model_card.measured(told, heard["test"], point, settings.patience_s))
        rows.append(
            {"phrase": of_float["phrase"], "operating_point": told["operating_point"], **_lost(told["test"], of_float["test"])}
        )
    bundle.set_operating_point(place, *points)
    bundle.set_measured(place, *measured)
    return rows


def _lost(test: dict[str, Any], of_float: dict[str, Any]) -> dict[str, Any]:
    """Misses on test, clean and over all conditions, their difference to the float bundle's, and false accepts."""
    from wakesmith.steps import _compare

    frr, float_frr = (_compare.missed(one["conditions"]) for one in (test, of_float))
    clean, float_clean = (one["conditions"][0]["frr"] for one in (test, of_float))
    return {
        "frr_clean": clean, "lost_clean": clean - float_clean, "frr": frr, "lost": frr - float_frr,
        "false_accepts": test["false_accepts"],
    }  # fmt: skip


def hear(recipe: Recipe, folder: Path, number: int, place: Path | None = None) -> dict[str, Heard]:
    """What the bundle's score of a phrase says of dev and test; a stream that another phrase was judged by is not heard again.

    It is kept for `_kept.read`. place: another bundle of the run, of which nothing but the scores is kept.
    """
    from wakesmith.steps import _kept, _score

    made = {}
    for split in ("dev", "test"):
        found = streams(recipe.evaluate, recipe.seed, folder, split, recipe.phrases, number)
        made[split] = _score.hear(folder, found, split, number, place)
    if place is None:
        _kept.write(folder, number, made)
    return made


def _told(recipe: Recipe, folder: Path, heard: list[dict[str, Heard]], tried: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """All that the report says, as plain values: of one phrase, or a list `phrases` beside what they share."""
    import json

    from wakesmith import bundle
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _groups, _model_card, _recipe

    card, took_s = bundle.load_card(folder / "bundle"), _recipe.took_s(folder)
    recordings = AudioStore.open(folder / "prepare").recordings
    teacher = folder / "teach" / "card.json"
    curve = folder / "train" / "metrics.jsonl"
    lines = curve.read_text(encoding="utf-8").splitlines() if curve.exists() else []
    student = json.loads((folder / "train" / "card.json").read_text(encoding="utf-8"))
    n_bytes = (folder / "bundle" / card.model).stat().st_size
    shared = {
        "student": {"name": recipe.student.name, "parameters": card.parameters, "bytes": n_bytes, "dev": student["dev"]},
        "teacher": _model_card.anywhere(json.loads(teacher.read_text(encoding="utf-8"))) if recipe.train.distil else None,
        "training": [json.loads(line) for line in lines],
        "data": _groups.counted(recordings.values()),
        "cost": [{"step": step, "took_s": took_s[step]} for step in _recipe.road(recipe)[:-1] if step in took_s],  # so far
    }
    points = [one.operating_point for one in card.phrases if one.operating_point is not None]
    each = [
        {"phrase": phrase, **_of_phrase(own, point, ways, recordings, recipe.evaluate)}
        for phrase, own, point, ways in zip(recipe.phrases, heard, points, tried, strict=True)
    ]
    if len(each) == 1:
        return {**each[0], **shared}
    tests = [own["test"] for own in heard]
    confusion = _groups.confusion(tests, points, recipe.phrases, recipe.evaluate.patience_s)
    return {**shared, "phrases": each, "confusion": confusion}


def _of_phrase(
    heard: dict[str, Heard], point: OperatingPoint, tried: list[dict[str, Any]], recordings: Mapping[str, Recording],
    settings: Settings,
) -> dict[str, Any]:  # fmt: skip
    """The figures of one phrase at its operating point."""
    from wakesmith.steps import _groups, _judge, _predict

    dev, test = (_judge.judge(heard[split], heard["dev"], point, settings) for split in ("dev", "test"))
    return {
        "operating_point": point.model_dump(mode="json"),
        "tried_on_dev": tried,
        "sources": _groups.by_source(test, recordings),
        "speakers": _groups.by_speaker(test, recordings),
        "near_misses": _groups.by_text(test, recordings, point.threshold),
        "false_accepts_by_source": _groups.false_accepts_by_source(heard["test"], point),
        "predictions": _predict.compared(heard["dev"], heard["test"], point, settings.threshold_floor),
        "dev": dev,
        "test": test,
    }


def streams(
    settings: Settings, seed: int, folder: Path, split: str, phrases: Sequence[str] = ("the phrase",), number: int = 0
) -> Iterator[Any]:
    """(kind, condition or none, stream) of all that one of the phrases is judged by in a split.

    Recordings of the other phrases are negatives of it, clean and with that condition; other speech and noise have none.
    """
    from wakesmith.augment._bank import Bank
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _streams

    store = AudioStore.open(folder / "prepare")
    beds, clean = _streams.Beds(store, Bank(folder / "views" / "bank")), _streams.Condition()
    said = [_drawn(own, settings.max_positives, seed) for own in _said(store, split, phrases)]
    near = _drawn(store.of(split, "near_miss"), settings.max_positives, seed)

    def stream(recordings: Sequence[Recording], condition: Condition, name: str) -> Stream:
        gap_s = (settings.gap_s[0], settings.gap_s[1])
        return _streams.of_events(store, beds, recordings, split, condition, gap_s, seed, f"{split}-{name}")

    def name(number: int, condition: Condition) -> str:
        return (f"phrase-{number + 1}-" if len(phrases) > 1 else "") + condition.name.replace(" ", "-")

    for condition in _conditions(settings, beds, split):
        some = _drawn(said[number], settings.max_room_positives, seed) if condition.in_room else said[number]
        yield "positives", condition, stream(some, condition, name(number, condition))
    if near:
        yield "near_misses", clean, stream(near, clean, "near-misses")
    for other, recordings in enumerate(said):
        if other != number:
            yield "negatives", clean, stream(recordings, clean, name(other, clean))
    most = settings.max_dev_hours if split == "dev" else settings.max_test_hours
    for one in _streams.of_negatives(store, negatives(store, split), most, seed, split):
        yield "negatives", None, one


def _said(store: Any, split: str, phrases: Sequence[str]) -> list[Sequence[Recording]]:
    """Recordings of each phrase. Raises DataError for a phrase without any."""
    import numpy as np

    from wakesmith.data import classes
    from wakesmith.data.lazy import Picked

    every = store.of(split, "wake")
    said = np.array([classes.said(recording, phrases) for recording in every])
    made: list[Sequence[Recording]] = [Picked(every, np.flatnonzero(said == number)) for number in range(len(phrases))]
    for phrase, own in zip(phrases, made, strict=True):
        if not own:
            what = f"'{phrase}'" if len(phrases) > 1 else "the phrase"
            raise DataError(f"evaluate: no recording of {what} in {split}. Give more speakers, or raise data.{split}_share.")
    return made


def negatives(store: Any, split: str) -> Sequence[Recording]:
    """Other speech and noise of a split; near misses are none of it. Raises DataError when there is none."""
    found: Sequence[Recording] = store.of(split, "speech", "noise")
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


def _drawn(recordings: Sequence[Recording], most: int, seed: int) -> Sequence[Recording]:
    from wakesmith.rng import rng

    if len(recordings) <= most:
        return recordings
    return [recordings[i] for i in sorted(rng(seed, "drawn").choice(len(recordings), most, replace=False))]

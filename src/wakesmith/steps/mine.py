"""`mine`: the bundle listens to train and dev, never to test; what fires or nearly fires in train is learned by a new bundle."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from wakesmith import config
from wakesmith.progress import say

if TYPE_CHECKING:
    from wakesmith.card import OperatingPoint
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.run import Run
    from wakesmith.steps._heard import Heard
    from wakesmith.steps._peaks import Peak
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._rounds import Round

N_LOUDEST = 10


class Settings(config.Settings):
    rounds: int = Field(default=0, ge=0)
    """Rounds that `forge` makes after the first training."""
    least_score: float = Field(default=0.3, gt=0, le=1)
    """A peak is collected from this share of the bundle's threshold on."""
    labels: list[Literal["speech", "noise", "near_miss"]] = Field(default=["speech", "noise"], min_length=1)
    """What is searched: what FA/h counts; near misses when they are named."""
    most: int = Field(default=400, ge=1)
    """At most so many clips of each label in a round, the highest peaks first."""
    most_per_recording: int = Field(default=3, ge=1)
    """At most so many clips of one recording in a round."""
    phrase_over: float = Field(default=0.9, gt=0, le=1)
    """Where the teacher is surer of the phrase than this, the recording may hold it: told, not learned. 1: all are learned."""
    share: float = Field(default=0.25, gt=0, lt=1)
    """Of the rows of their class that the mined clips get."""
    steps_share: float = Field(default=0.3, gt=0)
    """Steps of a round's training, which goes on from the student before it, as a share of train.steps."""


def run(recipe: Recipe, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Make so many rounds more, one that was interrupted first; stops when one finds nothing new. -> what each says."""
    from wakesmith.run import Run
    from wakesmith.steps import _feedback, _rounds

    place = Run.open(folder)
    with place.alone():
        open_round = _feedback.take_up(recipe, place, "mine")
        told, n_left = begun(_rounds.of(recipe, folder), open_round, rounds)
        for left in reversed(range(n_left)):
            if (one := _one(recipe, place, {"asked": rounds, "left": left})) is None:
                break
            told.append(one)
    return told


def begun(every: Sequence[Round], open_round: Round | None, rounds: int) -> tuple[list[dict[str, Any]], int]:
    """What the same command made before it was interrupted, and how many rounds it was still to make."""
    last = every[-1] if every else None
    if last and last.plan.get("asked") == rounds and (last.plan["left"] or open_round):
        left = int(last.plan["left"])
        return [one.told for one in every[left - rounds :]], left
    told = [open_round.told] if open_round and open_round.plan["kind"] == "mine" else []
    return told, rounds - len(told)


def go_on(recipe: Recipe, place: Run, rounds: int) -> None:
    """Bring the mined rounds of a run that is whole, and held by the caller, up to a number."""
    from wakesmith.steps import _feedback, _rounds

    _feedback.take_up(recipe, place, "mine")
    while sum(one.plan["kind"] == "mine" for one in _rounds.of(recipe, place.folder)) < rounds:
        if _one(recipe, place) is None:
            return


def _one(recipe: Recipe, place: Run, asked: dict[str, int] | None = None) -> dict[str, Any] | None:
    """A whole round; None when nothing new is found. asked: how many rounds a command is to make, and how many after this."""
    from wakesmith.steps import _feedback

    one = _feedback.begin(recipe, place, "mine", asked or {})
    told = search(recipe, place.folder, one.folder / "prepare")
    say(f"mine: {summary(told)}")
    if not told["n_clips"]:
        _feedback.drop(one)
        return None
    _feedback.found(one, told)
    made = _feedback.finish(recipe, place, one)
    say(_feedback.line(made))
    return made


def search(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Peaks of train become the clips of an audio store in `out`; those of dev are counted. -> what was found."""
    from wakesmith import bundle
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _feedback, _peaks, _rounds

    settings, store = recipe.mine, AudioStore.open(folder / "prepare")
    card = bundle.load_card(folder / "bundle")
    point = card.operating_point
    assert point is not None, "a bundle that was evaluated has a point"
    heard = {split: _peaks.listen(folder, store, split, recipe.seed, settings.labels) for split in _peaks.SEARCHED}
    peaks = {split: _peaks.above(one, point, settings.least_score * point.threshold) for split, one in heard.items()}
    known = defaultdict(list)
    for one in _rounds.of(recipe, folder):
        for row in one.found.get("peaks", []):
            if row["is_taken"] or row["teacher"] > settings.phrase_over:
                known[row["recording"]].append(row["at"])
    new = [peak for peak in peaks["train"] if not _peaks.is_near(peak, known[peak.recording])]
    chosen = chosen_of(new, {peak.recording: store.recordings[peak.recording].label for peak in new}, settings)
    teacher = _feedback.teacher_of(recipe, folder)
    sure = [0.0] * len(chosen) if teacher is None or not chosen else _sure(teacher, store, chosen, recipe.label.batch)
    taken = [peak for peak, one in zip(chosen, sure, strict=True) if one <= settings.phrase_over]
    if taken:
        write(out, store, taken)
    return {
        "bundle": card.sha256, "threshold": point.threshold, "least": settings.least_score * point.threshold,
        **_counted(store, heard, peaks, taken, point), "n_new": len(new), "n_clips": len(taken),
        "peaks": [_row(store, peak, one, one <= settings.phrase_over) for peak, one in zip(chosen, sure, strict=True)],
        "loudest": [_row(store, peak) for peak in peaks["train"][:N_LOUDEST]],
        "loudest_of_dev": [_row(store, peak) for peak in peaks["dev"][:N_LOUDEST]],
        "perhaps_the_phrase": [
            _row(store, peak, one) for peak, one in zip(chosen, sure, strict=True) if one > settings.phrase_over
        ],
    }  # fmt: skip


def chosen_of(peaks: Sequence[Peak], labels: dict[str, str], settings: Settings) -> list[Peak]:
    """Of peaks, the highest first, those that keep to the limits of a recording and of a label. labels: recording -> label."""
    of_recording: Counter[str] = Counter()
    of_label: Counter[str] = Counter()
    chosen = []
    for peak in peaks:
        label = labels[peak.recording]
        if of_recording[peak.recording] < settings.most_per_recording and of_label[label] < settings.most:
            of_recording[peak.recording] += 1
            of_label[label] += 1
            chosen.append(peak)
    return chosen


def write(out: Path, store: AudioStore, peaks: Sequence[Peak]) -> None:
    """The sound about each peak as a recording and a clip of its own, with its label; views end about the peak."""
    from wakesmith.data.records import Clip
    from wakesmith.steps import _peaks, _rounds

    recordings, clips = [], []
    for peak in peaks:
        source = store.recordings[peak.recording]
        assert source.split == "train", f"{source.id}: is in {source.split}, and must not be learned"
        name = f"{source.id}@{peak.cut}+mined"
        recordings.append(dataclasses.replace(source, id=name, n_samples=_peaks.CUT_SAMPLES, phrase_start=0, phrase_end=0))
        clips.append(Clip(name, name, 0, _peaks.CUT_SAMPLES, source.label, "train"))
    _rounds.store(out, recordings, [_peaks.sound(store, peak) for peak in peaks], clips)


def _sure(teacher: Any, store: AudioStore, peaks: Sequence[Peak], batch: int) -> list[float]:
    """(n,) the teacher's probability of the phrase in the view that ends at each peak."""
    from wakesmith.audio import to_float
    from wakesmith.data.clips import VIEW_SAMPLES
    from wakesmith.steps import _feedback, _peaks

    start = _peaks.SLACK_SAMPLES[0]
    views = np.stack([to_float(_peaks.sound(store, peak)[start : start + VIEW_SAMPLES]) for peak in peaks])
    return [float(one) for one in _feedback.answers(teacher, views, batch)[:, 0]]


def _counted(
    store: AudioStore, heard: dict[str, Heard], peaks: dict[str, list[Peak]], taken: Sequence[Peak], point: OperatingPoint
) -> dict[str, Any]:  # fmt: skip
    """Hours and peaks by split, and in train by source and label."""
    rows: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: {"hours": 0.0, "fired": 0, "nearly": 0, "clips": 0})

    def row(recording: str) -> dict[str, float]:
        return rows[store.recordings[recording].source, store.recordings[recording].label]

    for stream in heard["train"].streams["negatives"]:
        for event in stream.events:
            row(event.recording)["hours"] += (event.end_s - event.start_s) / 3600
    for peak in peaks["train"]:
        row(peak.recording)["fired" if peak.score >= point.threshold else "nearly"] += 1
    for peak in taken:
        row(peak.recording)["clips"] += 1
    splits = {
        split: {
            "hours": one.hours,
            "fired": sum(peak.score >= point.threshold for peak in peaks[split]),
            "peaks": len(peaks[split]),
        }
        for split, one in heard.items()
    }
    return {"searched": splits, "sources": [{"source": s, "label": label, **own} for (s, label), own in sorted(rows.items())]}


def _row(store: AudioStore, peak: Peak, sure: float | None = None, is_taken: bool | None = None) -> dict[str, Any]:
    """A peak as plain values: file and time."""
    from wakesmith.audio import SAMPLE_RATE_HZ

    source = store.recordings[peak.recording]
    made = {
        "recording": source.id, "path": source.path, "text": source.text, "label": source.label, "at": peak.at,
        "time_s": round(peak.at / SAMPLE_RATE_HZ, 3), "score": round(peak.score, 4),
    }  # fmt: skip
    made |= {} if sure is None else {"teacher": round(sure, 4)}
    return made if is_taken is None else made | {"is_taken": is_taken}


def summary(told: dict[str, Any]) -> str:
    """For a terminal."""
    train, dev = told["searched"]["train"], told["searched"]["dev"]
    labels: Counter[str] = Counter()
    for row in told["sources"]:
        labels[row["label"]] += row["clips"]
    shares = ", ".join(f"{n} {label}" for label, n in sorted(labels.items()) if n) or "nothing"
    return (
        f"train {train['hours']:.2f} h: {train['fired']} fire, {train['peaks'] - train['fired']} nearly; "
        f"dev {dev['hours']:.2f} h: {dev['fired']} fire; {told['n_new']} new, to learn: {shares}; "
        f"perhaps the phrase: {len(told['perhaps_the_phrase'])}"
    )

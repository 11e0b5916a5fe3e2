"""What `evaluate` heard, again: a run folder in; its streams, their stored scores and any second of their sound out.

evaluate/heard-N.json of the run's phrase number N says what each stream held and where its scores lie.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakesmith import bundle
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.data.audio_store import AudioStore
from wakesmith.errors import DataError
from wakesmith.run import write_json
from wakesmith.steps import _score, _streams
from wakesmith.steps._heard import Heard, Scored
from wakesmith.steps._streams import Condition, Event

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

SPLITS = ("dev", "test")


def index(folder: Path, number: int) -> Path:
    return folder / "evaluate" / f"heard-{number}.json"


def write(folder: Path, number: int, heard: dict[str, Heard]) -> None:
    """Write what the run's bundle heard of both splits; the scores stay where they are."""
    told: dict[str, Any] = {"sha256": bundle.load_card(folder / "bundle").sha256}
    for split in SPLITS:
        told[split] = [_told(kind, one) for kind, streams in heard[split].streams.items() for one in streams]
    write_json(index(folder, number), told)


def is_there(folder: Path, number: int) -> bool:
    """Whether it was written, by the bundle that is there now."""
    path = index(folder, number)
    return path.exists() and _load(path)["sha256"] == bundle.load_card(folder / "bundle").sha256


def read(folder: Path, number: int) -> dict[str, Heard]:
    """Both splits as `evaluate` heard them. Raises DataError when that was not kept, or of another bundle."""
    if not is_there(folder, number):
        raise DataError(
            f"{index(folder, number)}: not there, or of another bundle. Delete {folder / 'evaluate'}, then run: "
            f"wakesmith evaluate {folder}"
        )
    told, made = _load(index(folder, number)), {}
    for split in SPLITS:
        made[split] = Heard(split)
        for row in told[split]:
            made[split].add(*_read(folder, row, number))
    return made


def sound(recipe: Recipe, folder: Path, split: str, stream: Scored) -> Samples:
    """(N,) the very samples that the scores of a stream were made from. Raises DataError when they cannot be had again.

    A stream with a condition takes seconds: its bed and rooms are mixed again.
    """
    store = AudioStore.open(folder / "prepare")
    if stream.condition is None:
        samples = _in_a_row(store, stream)
    else:
        from wakesmith.augment._bank import Bank

        said = [store.recordings[event.recording] for event in stream.events]
        beds = _streams.Beds(store, Bank(folder / "views" / "bank"))
        gap_s = (recipe.evaluate.gap_s[0], recipe.evaluate.gap_s[1])
        samples = _streams.of_events(store, beds, said, split, stream.condition, gap_s, recipe.seed, stream.name).samples
    made = _streams.Stream(stream.name, samples, stream.events)
    if _score.file_name(made, bundle.load_card(folder / "bundle").sha256) != stream.kept:
        raise DataError(
            f"{stream.name}: the run's recordings changed since its scores were made. Run: wakesmith evaluate {folder}"
        )
    return samples


def _in_a_row(store: AudioStore, stream: Scored) -> Samples:
    """Negatives lie one after another, as recorded."""
    made = np.zeros(round(stream.events[-1].end_s * SAMPLE_RATE_HZ) + _streams.GAP_SAMPLES, np.float32)
    for event in stream.events:
        start = round(event.start_s * SAMPLE_RATE_HZ)
        source = store.recording(event.recording)
        made[start : start + len(source)] = source
    return made


def _load(path: Path) -> dict[str, Any]:
    return _parsed(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, changed_ns: int) -> dict[str, Any]:
    """Thousands of events: the page asks at each step of its slider, and `changed_ns` tells when they are others."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON ({error}). Delete it, then evaluate again.") from error


def _told(kind: str, stream: Scored) -> dict[str, Any]:
    condition = None if stream.condition is None else dataclasses.asdict(stream.condition)
    if condition and math.isinf(condition["snr_db"]):
        del condition["snr_db"]  # JSON has no infinity, and it is the default
    events = [[one.recording, one.start_s, one.end_s, *one.group] for one in stream.events]
    return {
        "kind": kind, "name": stream.name, "condition": condition, "scores": stream.kept, "events": events,
    }  # fmt: skip


def _read(folder: Path, row: dict[str, Any], number: int) -> tuple[Any, ...]:
    """What `Heard.add` takes."""
    path = folder / "evaluate" / "scores" / row["scores"]
    if not path.is_file():
        raise DataError(f"{path}: the scores of a stream are missing. Run: wakesmith evaluate {folder}")
    condition = None if row["condition"] is None else Condition(**row["condition"])
    events = [Event(recording, start_s, end_s, (source, speaker)) for recording, start_s, end_s, source, speaker in row["events"]]
    return row["kind"], row["name"], condition, events, *_score.read(path, number), row["scores"]

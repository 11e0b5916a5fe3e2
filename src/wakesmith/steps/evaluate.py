"""`evaluate`: the bundle, through the runtime, over continuous audio.

The operating point is chosen on dev; test is only reported.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wakesmith import config
from wakesmith.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from wakesmith.data.records import Recording
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._streams import Condition


class Settings(config.Settings):
    target_fa_per_hour: float = Field(default=0.5, gt=0)
    """The shipped threshold is the lowest that dev allows at this rate."""
    snrs_db: list[float] = [20.0, 10.0, 5.0, 0.0]
    beds: list[str] = ["noise", "babble"]
    smoothing_windows: list[int] = Field(default=[1, 2, 4, 6, 10], min_length=1)
    """Numbers of scores that are tried for the mean; the best on dev is shipped."""
    refractory_s: float = Field(default=1.0, ge=0)
    threshold_floor: float = Field(default=0.2, ge=0.01, le=0.99)
    """Least threshold: an hour of dev audio without an event says little about the next hundred."""
    max_positives: int = Field(default=600, ge=1)
    max_dev_hours: float = Field(default=2.0, gt=0)
    max_test_hours: float = Field(default=4.0, gt=0)
    gap_s: list[float] = Field(default=[1.5, 2.5], min_length=2, max_length=2)
    patience_s: float = Field(default=1.0, gt=0)
    """A phrase is heard when the score peaks from its start until this long after its end."""


def run(recipe: Recipe, folder: Path) -> Path:
    """Write the operating point into the bundle's card, and folder/evaluate/{report.json, report.html}."""
    from wakesmith import bundle, report
    from wakesmith.run import write_json
    from wakesmith.steps import _judge

    settings, out = recipe.evaluate, folder / "evaluate"
    heard = {split: _hear(recipe, folder, split) for split in ("dev", "test")}
    point = _judge.choose(heard["dev"], settings)
    bundle.set_operating_point(folder / "bundle", point)
    judged = {split: _judge.judge(heard[split], heard["dev"], point, settings) for split in heard}
    told = _told(recipe, folder, judged)
    write_json(out / "report.json", told)
    (out / "report.html").write_text(report.html(told), encoding="utf-8")
    return out


def _told(recipe: Recipe, folder: Path, judged: dict[str, Any]) -> dict[str, Any]:
    """All that the report says, as plain values."""
    import json

    from wakesmith import bundle
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _judge

    card = bundle.load_card(folder / "bundle")
    recordings = AudioStore.open(folder / "prepare").recordings
    assert card.operating_point is not None
    teacher = folder / "teach" / "card.json"
    curve = folder / "train" / "metrics.jsonl"
    lines = curve.read_text(encoding="utf-8").splitlines() if curve.exists() else []
    student = json.loads((folder / "train" / "card.json").read_text(encoding="utf-8"))
    n_bytes = (folder / "bundle" / card.model).stat().st_size
    return {
        "phrase": recipe.phrases[0],
        "student": {"name": recipe.student.name, "parameters": card.parameters, "bytes": n_bytes, "dev": student["dev"]},
        "operating_point": card.operating_point.model_dump(mode="json"),
        "teacher": json.loads(teacher.read_text(encoding="utf-8")) if recipe.train.distil else None,
        "training": [json.loads(line) for line in lines],
        "data": _judge.counted(recordings.values()),
        "sources": _judge.by_source(judged["test"], recordings, card.operating_point.threshold),
        "near_misses": _judge.by_text(judged["test"], recordings, card.operating_point.threshold),
        "dev": judged["dev"],
        "test": judged["test"],
    }


def _hear(recipe: Recipe, folder: Path, split: str) -> Any:
    """Score every stream of a split, in parallel; scores that an interrupted run made are taken up."""
    from wakesmith import bundle
    from wakesmith.progress import track
    from wakesmith.steps._judge import Heard

    sha256 = bundle.load_card(folder / "bundle").sha256
    scores = folder / "evaluate" / "scores"
    scores.mkdir(parents=True, exist_ok=True)
    heard = Heard(split)
    with ProcessPoolExecutor(os.cpu_count() or 1, initializer=_start, initargs=(folder / "bundle",)) as pool:
        for scored in track(_scored(pool, _streams(recipe, folder, split), scores, sha256), f"{split} streams"):
            heard.add(*scored)
    return heard


def _scored(pool: ProcessPoolExecutor, streams: Any, scores: Path, sha256: str) -> Iterator[Any]:
    """What `Heard.add` takes, in order. Few streams wait at once: hours of samples would fill the memory."""
    waiting: deque[Any] = deque()
    for kind, condition, stream in streams:
        path = scores / f"{stream.name}-{_key(sha256, stream.samples)}.npz"
        waiting.append((kind, stream.name, condition, stream.events, stream.hours, pool.submit(_score, path, stream.samples)))
        if len(waiting) > 2 * (os.cpu_count() or 1):
            *told, future = waiting.popleft()
            yield (*told, *future.result())
    for *told, future in waiting:
        yield (*told, *future.result())


def _key(sha256: str, samples: np.ndarray) -> str:
    """Names a model file and what it hears: scores of another file or other sound are never taken up."""
    return hashlib.blake2b(samples.tobytes(), key=bytes.fromhex(sha256), digest_size=8).hexdigest()


def _streams(recipe: Recipe, folder: Path, split: str) -> Any:
    from wakesmith.augment._bank import Bank
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps import _streams

    settings, store, bank = recipe.evaluate, AudioStore.open(folder / "prepare"), Bank(folder / "views" / "bank")
    gap_s = (settings.gap_s[0], settings.gap_s[1])
    positives = _drawn(_of(store, split, "wake"), settings.max_positives, recipe.seed)
    if not positives:
        raise DataError(f"evaluate: no recording of the phrase in {split}. Give more speakers, or raise data.{split}_share.")
    for condition in _conditions(settings, bank, split):
        name = f"{split}-{condition.name.replace(' ', '-')}"
        yield "positives", condition, _streams.of_events(store, bank, positives, split, condition, gap_s, recipe.seed, name)
    near = _drawn(_of(store, split, "near_miss"), settings.max_positives, recipe.seed)
    if near:
        clean, name = _streams.Condition(), f"{split}-near-misses"
        yield "near_misses", clean, _streams.of_events(store, bank, near, split, clean, gap_s, recipe.seed, name)
    negatives = _of(store, split, "speech") + _of(store, split, "noise")
    if not negatives:
        raise DataError(f"evaluate: no other speech or noise in {split}. Give more: --negatives FOLDER")
    most = settings.max_dev_hours if split == "dev" else settings.max_test_hours
    for stream in _streams.of_negatives(store, negatives, most, recipe.seed, split):
        yield "negatives", None, stream


def _conditions(settings: Settings, bank: Any, split: str) -> list[Condition]:
    from wakesmith.steps._streams import Condition

    beds = [bed for bed in settings.beds if bank.count(bed, split)]
    return [Condition(), *(Condition(bed, snr_db) for bed in beds for snr_db in settings.snrs_db)]


def _of(store: Any, split: str, label: str) -> list[Recording]:
    return sorted((r for r in store.recordings.values() if r.split == split and r.label == label), key=lambda r: r.id)


def _drawn(recordings: list[Recording], most: int, seed: int) -> list[Recording]:
    from wakesmith.rng import rng

    if len(recordings) <= most:
        return recordings
    return [recordings[i] for i in sorted(rng(seed, "drawn").choice(len(recordings), most, replace=False))]


_worker: dict[str, Any] = {}


def _start(bundle: Path) -> None:
    from wakesmith.runtime.detector import Detector

    _worker["detector"] = Detector.load(bundle)


def _score(path: Path, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    if path.exists():
        with np.load(path) as made:
            return made["times_s"], made["scores"]
    times_s, scores = _worker["detector"].scores(samples)
    aside = path.with_suffix(".part.npz")
    np.savez(aside, times_s=times_s, scores=scores)
    aside.replace(path)
    return times_s, scores

"""From scores to figures: the operating point from dev, misses and false accepts at it on any split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wakesmith import metrics
from wakesmith.bundle import OperatingPoint
from wakesmith.runtime.detector import events as detections
from wakesmith.runtime.detector import smooth
from wakesmith.steps._streams import Condition, Event

if TYPE_CHECKING:
    from wakesmith.data.records import Recording
    from wakesmith.steps.evaluate import Settings

Numbers = npt.NDArray[np.float64]
RATES = (0.1, 0.5, 1.0, 2.0)
"""False accepts per hour that the report has a row for."""


@dataclass(frozen=True)
class Scored:
    """One stream after the runtime: raw scores and what was in it."""

    name: str
    condition: Condition | None
    events: list[Event]
    hours: float
    times_s: Numbers
    scores: Numbers


@dataclass
class Heard:
    """Everything the bundle heard of a split."""

    split: str
    streams: dict[str, list[Scored]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self,
        kind: str,
        name: str,
        condition: Condition | None,
        events: list[Event],
        hours: float,
        times_s: Numbers,
        scores: Numbers,
    ) -> None:
        self.streams[kind].append(Scored(name, condition, events, hours, times_s, scores))

    @property
    def hours(self) -> float:
        return sum(stream.hours for stream in self.streams["negatives"])

    def heights(self, window: int, refractory_s: float) -> Numbers:
        """Peaks of all negative streams."""
        return np.concatenate(
            [metrics.peaks(s.times_s, smooth(s.scores, window), refractory_s) for s in self.streams["negatives"]]
        )

    def false_accepts(self, point: OperatingPoint) -> int:
        return sum(len(fired(stream, point)) for stream in self.streams["negatives"])


def fired(stream: Scored, point: OperatingPoint) -> list[Any]:
    return detections(stream.times_s, smooth(stream.scores, point.smoothing_window), point.threshold, point.refractory_s)


def best(stream: Scored, window: int, patience_s: float) -> Numbers:
    """(n_events,) highest smoothed score from the start of each phrase until `patience_s` after its end."""
    smoothed = smooth(stream.scores, window)
    found = []
    for event in stream.events:
        low, high = np.searchsorted(stream.times_s, [event.start_s, event.end_s + patience_s])
        found.append(smoothed[low:high].max() if high > low else 0.0)
    return np.array(found)


def missed(stream: Scored, point: OperatingPoint, patience_s: float) -> npt.NDArray[np.bool_]:
    """(n_events,) phrases without a detection of the runtime from their start until `patience_s` after their end.

    A score that was high before and stays so is no detection: a detector that is always on hears nothing.
    """
    times_s = np.array([found.time_s for found in fired(stream, point)])
    bounds = [np.searchsorted(times_s, [event.start_s, event.end_s + patience_s]) for event in stream.events]
    return np.array([low == high for low, high in bounds], dtype=bool)


def at_rate(dev: Heard, fa_per_hour: float, window: int, settings: Settings) -> tuple[OperatingPoint, bool, bool]:
    """The lowest threshold at which the runtime's own detections in dev keep to a rate.

    -> (operating point, whether it is only a bound, whether the rate is kept: not when even a threshold of 1 fires too often).
    """
    heights = np.sort(dev.heights(window, settings.refractory_s))
    threshold, is_bound = metrics.threshold_at(heights, dev.hours, fa_per_hour, settings.threshold_floor)
    while True:
        point = OperatingPoint(
            threshold=min(threshold, 1.0), smoothing_window=window, refractory_s=settings.refractory_s,
            target_fa_per_hour=fa_per_hour, chosen_on=f"dev, {dev.hours:.2f} h",
        )  # fmt: skip
        kept = dev.false_accepts(point) <= fa_per_hour * dev.hours + 1e-9
        over = heights[heights >= point.threshold]
        if kept or threshold >= 1.0 or not len(over):
            return point, is_bound, kept
        threshold = float(np.nextafter(np.float32(over[0]), np.float32(2)))


def choose(dev: Heard, settings: Settings) -> OperatingPoint:
    """The smoothing with the fewest misses over the conditions of dev at the target rate, and its threshold."""
    ways = []
    for window in settings.smoothing_windows:
        point, _, kept = at_rate(dev, settings.target_fa_per_hour, window, settings)
        misses = np.mean([missed(s, point, settings.patience_s).mean() for s in dev.streams["positives"]])
        ways.append((not kept, float(misses), window, point))
    return min(ways, key=lambda way: way[:3])[3]


def judge(heard: Heard, dev: Heard, point: OperatingPoint, settings: Settings) -> dict[str, Any]:
    """Figures of one split as plain values."""
    window, patience_s = point.smoothing_window, settings.patience_s
    scores = {s.condition.name: best(s, window, patience_s) for s in heard.streams["positives"] if s.condition}
    accepts = heard.false_accepts(point)
    heights = heard.heights(window, settings.refractory_s)
    _, fa, misses = metrics.det(scores["clean"], heights, heard.hours)
    return {
        "split": heard.split,
        "hours": heard.hours,
        "false_accepts": rate(accepts, heard.hours),
        "conditions": [
            {"name": s.condition.name, **share(missed(s, point, patience_s))} for s in heard.streams["positives"] if s.condition
        ],
        "rates": [_at_rate(target, heard, dev, window, settings) for target in RATES],
        "zero_false_accepts": {
            "threshold": float(heights.max(initial=0.0)),
            "conditions": [{"name": name, **share(found <= heights.max(initial=0.0))} for name, found in scores.items()],
        },
        "by_recording": {e.recording: float(best_score) for e, best_score in _clean(heard, window, patience_s)},
        "near_misses": {
            event.recording: float(score)
            for stream in heard.streams["near_misses"]
            for event, score in zip(stream.events, best(stream, window, patience_s), strict=True)
        },
        "loudest_negatives": _loudest(heard, window, settings.refractory_s),
        "det": {"fa_per_hour": fa.tolist(), "frr": misses.tolist()},
    }  # fmt: skip


def _at_rate(target: float, heard: Heard, dev: Heard, window: int, settings: Settings) -> dict[str, Any]:
    """Threshold from dev at a rate; misses and false accepts of this split at that threshold."""
    there, is_bound, kept = at_rate(dev, target, window, settings)
    misses = {s.condition.name: missed(s, there, settings.patience_s) for s in heard.streams["positives"] if s.condition}
    return {
        "target_fa_per_hour": target,
        "threshold": there.threshold,
        "is_bound": is_bound,
        "kept_on_dev": kept,
        "clean": share(misses["clean"]),
        "all_conditions": share(np.concatenate(list(misses.values()))),
        "false_accepts": rate(heard.false_accepts(there), heard.hours),
    }


def share(missed: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Misses of n with Wilson's interval."""
    low, high = metrics.wilson(int(missed.sum()), len(missed))
    return {"missed": int(missed.sum()), "n": len(missed), "frr": float(missed.mean()), "low": low, "high": high}


def rate(count: int, hours: float) -> dict[str, Any]:
    """Events an hour with the exact Poisson interval."""
    low, high = metrics.poisson(count, hours)
    return {"count": count, "hours": hours, "per_hour": count / max(hours, 1e-9), "low": low, "high": high}


def _clean(heard: Heard, window: int, patience_s: float) -> list[tuple[Event, float]]:
    clean = next(s for s in heard.streams["positives"] if s.condition and s.condition.name == "clean")
    return list(zip(clean.events, best(clean, window, patience_s).tolist(), strict=True))


def _loudest(heard: Heard, window: int, refractory_s: float, most: int = 10) -> list[dict[str, Any]]:
    """Where the highest scores of the negatives lie."""
    rows = []
    for stream in heard.streams["negatives"]:
        smoothed = smooth(stream.scores, window)
        at = int(smoothed.argmax())
        rows.append({"stream": stream.name, "time_s": float(stream.times_s[at]), "score": float(smoothed[at])})
    return sorted(rows, key=lambda row: float(str(row["score"])), reverse=True)[:most]


def counted(recordings: Iterable[Recording]) -> list[dict[str, Any]]:
    """Recordings, speakers, hours and licences by split, label and source."""
    rows: dict[tuple[str, str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        rows[recording.split, recording.label, recording.source].append(recording)
    return [
        {
            "split": split, "label": label, "source": source, "n": len(found), "speakers": len({r.speaker for r in found}),
            "hours": sum(r.n_samples for r in found) / 16_000 / 3600, "licences": sorted({r.licence for r in found}),
        }
        for (split, label, source), found in sorted(rows.items())
    ]  # fmt: skip


def by_source(judged: dict[str, Any], recordings: dict[str, Recording], threshold: float) -> list[dict[str, Any]]:
    """Clean misses apart for every source of the phrase: real voices are not averaged with made ones."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, score in judged["by_recording"].items():
        found[recordings[name].source].append(score)
    return [{"source": source, **share(np.array(scores) < threshold)} for source, scores in sorted(found.items())]


def by_text(judged: dict[str, Any], recordings: dict[str, Recording], threshold: float) -> list[dict[str, Any]]:
    """Near misses by what was said, the worst first."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, score in judged["near_misses"].items():
        found[recordings[name].text].append(score)
    rows = [
        {"text": text, "n": len(scores), "fired": int((np.array(scores) >= threshold).sum()), "highest": max(scores)}
        for text, scores in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["fired"], -row["highest"], row["text"]))

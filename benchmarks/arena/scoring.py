"""From times and scores to figures: misses by condition and false wakes an hour, at several thresholds, the same way for all.

A phrase is heard when a detection falls from its start to a second after its end. A detection is a rise of the score to the
threshold, followed by a second without another: the same rule for phrases and for false wakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith import metrics
from wakesmith.runtime import events

PATIENCE_S = 1.0
REFRACTORY_S = 1.0
LATER_S = 0.5
"""How far past the patience an engine that is only late would be found."""
RATES = (0.1, 0.5, 1.0, 2.0)
"""False accepts an hour that the table has a row for."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """One stream after an engine: phrases or recordings in it (name, start, end), hours of them, times and scores (n,)."""

    name: str
    condition: str | None
    events: list[tuple[str, float, float]]
    hours: float
    times_s: Numbers
    scores: npt.NDArray[np.float32]

    def detections(self, threshold: float) -> Numbers:
        return np.array([found.time_s for found in events(self.times_s, self.scores, threshold, REFRACTORY_S)])


def judge(heard: list[Heard], own_threshold: float) -> dict[str, Any]:
    """Figures of one engine: rows at no false accepts, at each rate, and at its own threshold."""
    positives = [one for one in heard if one.condition is not None]
    negatives = [one for one in heard if one.condition is None]
    hours = sum(one.hours for one in negatives)
    keywords = [one for one in negatives if one.name.startswith("keywords")]
    points = {
        "0 false accepts of other keywords alone": lowest_threshold(keywords, 0),
        "0 false accepts": lowest_threshold(negatives, 0),
    }
    points |= {f"{rate:g} FA/h": lowest_threshold(negatives, int(rate * hours + 1e-9)) for rate in RATES}
    points["own threshold"] = own_threshold
    rows: dict[float, list[str]] = {}  # settings that come to the same threshold share a row
    for name, threshold in points.items():
        rows.setdefault(threshold, []).append(name)
    clean = next(one for one in positives if one.condition == "clean")
    return {
        "points": [_point(", ".join(names), at, positives, negatives) for at, names in rows.items()],
        "latency_s": _latency_s(clean, own_threshold),
        "late": int((~_hits(clean, own_threshold, 0) & _hits(clean, own_threshold, LATER_S)).sum()),
        "loudest_negatives": loudest(negatives),
    }


def lowest_threshold(negatives: list[Heard], allowed: int) -> float:
    """The lowest threshold with at most `allowed` detections in all negatives, chosen on these very negatives."""
    heights = np.sort(np.concatenate([one.scores[metrics.peaks(one.times_s, one.scores, REFRACTORY_S)] for one in negatives]))[
        ::-1
    ]
    heights = heights[heights > 0]
    if len(heights) <= allowed:
        return _over(0.0)
    for height in np.unique(heights[: allowed + 1]):  # rising; a rise may be a detection of its own without a peak of its own
        if sum(len(one.detections(_over(height))) for one in negatives) <= allowed:
            return _over(height)
    raise AssertionError("over the highest score there is no detection")


def _over(height: float) -> float:
    return float(np.nextafter(np.float32(height), np.float32(2)))


def _point(name: str, threshold: float, positives: list[Heard], negatives: list[Heard]) -> dict[str, Any]:
    found = {kind: [one for one in negatives if one.name.startswith(kind)] for kind in ("keywords", "speech")}
    return {
        "name": name,
        "threshold": threshold,
        "conditions": {str(one.condition): share(~_hits(one, threshold, 0)) for one in positives},
        "false_accepts": rate(negatives, threshold),
        "by_kind": {kind: rate(streams, threshold) for kind, streams in found.items()},
        "elsewhere": {str(one.condition): _elsewhere(one, threshold) for one in positives},
    }


def _hits(one: Heard, threshold: float, later_s: float) -> npt.NDArray[np.bool_]:
    """(n_events,) whether a detection falls from a phrase's start to its end and the patience."""
    times_s = one.detections(threshold)
    bounds = [np.searchsorted(times_s, [start, end + PATIENCE_S + later_s]) for _, start, end in one.events]
    return np.array([low < high for low, high in bounds], dtype=bool)


def _elsewhere(one: Heard, threshold: float) -> int:
    """Detections in a stream of phrases that belong to none of them: an engine that babble sets off is seen here."""
    times_s = one.detections(threshold)
    inside = [(start <= times_s) & (times_s <= end + PATIENCE_S) for _, start, end in one.events]
    return int((~np.any(inside, axis=0)).sum())


def _latency_s(clean: Heard, threshold: float) -> float | None:
    """Median from the end of a phrase to its first detection."""
    times_s = clean.detections(threshold)
    firsts = []
    for _, start, end in clean.events:
        low, high = np.searchsorted(times_s, [start, end + PATIENCE_S])
        if low < high:
            firsts.append(times_s[low] - end)
    return float(np.median(firsts)) if firsts else None


def loudest(negatives: list[Heard], most: int = 10) -> list[dict[str, Any]]:
    """The recordings among the negatives that come closest to the phrase, or past it."""
    rows = []
    for one in negatives:
        for name, start, end in one.events:
            low, high = np.searchsorted(one.times_s, [start, end + REFRACTORY_S / 3])
            if low < high:
                rows.append({"recording": name, "score": float(one.scores[low:high].max())})
    return sorted(rows, key=lambda row: -float(str(row["score"])))[:most]


def share(missed: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Misses of n with Wilson's interval."""
    low, high = metrics.wilson(int(missed.sum()), len(missed))
    return {"missed": int(missed.sum()), "n": len(missed), "frr": float(missed.mean()), "low": low, "high": high}


def rate(negatives: list[Heard], threshold: float) -> dict[str, Any]:
    """False accepts an hour with the exact Poisson interval."""
    count, hours = sum(len(one.detections(threshold)) for one in negatives), sum(one.hours for one in negatives)
    low, high = metrics.poisson(count, hours)
    return {"count": count, "hours": hours, "per_hour": count / max(hours, 1e-9), "low": low, "high": high}

"""From scores to figures: the operating point from dev, misses and false accepts at it on any split."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from wakesmith import metrics
from wakesmith.card import OperatingPoint
from wakesmith.steps._heard import Heard, best, missed

if TYPE_CHECKING:
    from wakesmith.steps.evaluate import Settings

SetBy = Literal["peak", "tail", "floor"]
RATES = (0.1, 0.5, 1.0, 2.0)
"""False accepts per hour that the report has a row for."""
N_TO_CHOOSE = 10
"""False accepts in dev at which ways to listen are compared: of 15 wholly unlike ways compared at the one loudest peak, a 95 %
interval held 73 to 89 % of simulated counts; compared at ten it held 84 to 97 % (benchmarks/choosing_ways.py)."""


def at_rate(dev: Heard, fa_per_hour: float, window: int, refractory_s: float, floor: float) -> tuple[OperatingPoint, bool, bool]:
    """The lowest threshold, not under `floor`, at which the runtime's own detections in dev keep to a rate.

    Where dev's hours hold few events at that rate, the tail of its peaks tells: one loud peak alone does not.
    -> (operating point, whether the hours are too few, whether the rate is kept: not when even a threshold of 1 fires too often).
    """
    heights = np.sort(dev.heights(window, refractory_s))
    threshold, is_bound = metrics.threshold_at(heights, dev.hours, fa_per_hour, floor)
    beyond = metrics.threshold_beyond(heights, dev.hours, fa_per_hour)
    if beyond is not None:
        point = _point(max(beyond, floor), "tail" if beyond > floor else "floor", window, refractory_s, fa_per_hour, dev.hours)
        return point, is_bound, is_kept(dev, point)
    while True:
        set_by: SetBy = "peak" if threshold > floor else "floor"
        point = _point(min(threshold, 1.0), set_by, window, refractory_s, fa_per_hour, dev.hours)
        kept = dev.false_accepts(point) <= fa_per_hour * dev.hours + 1e-9
        over = heights[heights >= point.threshold]
        if kept or threshold >= 1.0 or not len(over):
            return point, is_bound, kept
        threshold = float(np.nextafter(np.float32(over[0]), np.float32(2)))


def is_kept(dev: Heard, point: OperatingPoint) -> bool:
    """Whether dev keeps to the rate that a point was chosen for. Over a tail's threshold it may hold some more, by chance."""
    count, asked = dev.false_accepts(point), point.target_fa_per_hour or math.inf
    least = metrics.poisson(count, dev.hours)[0] if point.set_by in ("tail", "floor") else count / dev.hours
    return least <= asked + 1e-9


def _point(threshold: float, set_by: SetBy, window: int, refractory_s: float, fa_per_hour: float, hours: float) -> OperatingPoint:
    return OperatingPoint(
        threshold=threshold, smoothing_window=window, refractory_s=refractory_s, target_fa_per_hour=fa_per_hour,
        chosen_on=f"dev, {hours:.2f} h", set_by=set_by,
    )  # fmt: skip


def choose(dev: Heard, settings: Settings) -> tuple[OperatingPoint, list[dict[str, Any]]]:
    """The smoothing and the refractory time with the fewest misses in dev -> their point at the target rate, all that was tried.

    They are compared at a rate that gives dev `N_TO_CHOOSE` false accepts: at the target one loud peak would choose the way in
    which it happens to be low, and the threshold would promise too much. Misses are averaged over the conditions; of equals the
    first in the settings' order is taken. A long refractory time counts a burst once, but misses a phrase said again soon.
    """
    ways, tried = [], []
    compared_at = max(settings.target_fa_per_hour, N_TO_CHOOSE / dev.hours)
    for number, (refractory_s, window) in enumerate(itertools.product(settings.refractory_s, settings.smoothing_windows)):
        point, _, kept = at_rate(dev, settings.target_fa_per_hour, window, refractory_s, settings.threshold_floor)
        loose, *_ = at_rate(dev, compared_at, window, refractory_s, settings.threshold_floor)
        misses = float(np.mean([missed(s, loose, settings.patience_s).mean() for s in dev.streams["positives"]]))
        ways.append((not kept, misses, number, point))
        tried.append({
            "smoothing_window": window, "refractory_s": refractory_s, "threshold": point.threshold,
            "compared_at_fa_per_hour": compared_at, "frr": misses,
        })  # fmt: skip
    return min(ways, key=lambda way: way[:3])[3], tried


def judge(heard: Heard, dev: Heard, point: OperatingPoint, settings: Settings) -> dict[str, Any]:
    """Figures of one split as plain values."""
    window, patience_s = point.smoothing_window, settings.patience_s
    clean = next(stream for stream in heard.streams["positives"] if stream.condition and stream.condition.name == "clean")
    scores, lost = best(clean, window, patience_s), missed(clean, point, patience_s)
    _, fa, misses = metrics.det(scores, heard.heights(window, point.refractory_s), heard.hours)
    return {
        "split": heard.split,
        "hours": heard.hours,
        **at_point(heard, point, patience_s),
        "rates": [_at_rate(target, heard, dev, point, settings) for target in RATES],
        "by_recording": {e.recording: float(score) for e, score in zip(clean.events, scores, strict=True)},
        "missed_recordings": [e.recording for e, gone in zip(clean.events, lost, strict=True) if gone],
        "near_misses": near_misses(heard, window, patience_s),
        "loudest_negatives": [
            {"stream": stream.name, "time_s": time_s, "score": score, "recording": owner.recording if owner else ""}
            for score, stream, time_s in heard.loudest(window, point.refractory_s, most=10)
            for owner in [stream.owner(time_s)]
        ],
        "det": {"fa_per_hour": fa.tolist(), "frr": misses.tolist()},
    }  # fmt: skip


def at_point(heard: Heard, point: OperatingPoint, patience_s: float) -> dict[str, Any]:
    """False accepts, and misses under each condition, of one split at an operating point."""
    positives = [(stream.condition, stream) for stream in heard.streams["positives"] if stream.condition]
    return {
        "false_accepts": rate(heard.false_accepts(point), heard.hours),
        "conditions": [{"name": c.name, **share(missed(stream, point, patience_s))} for c, stream in positives],
    }


def near_misses(heard: Heard, window: int, patience_s: float) -> dict[str, float]:
    """Highest smoothed score of each near miss, by recording."""
    return {
        event.recording: float(score)
        for stream in heard.streams["near_misses"]
        for event, score in zip(stream.events, best(stream, window, patience_s), strict=True)
    }


def _at_rate(target: float, heard: Heard, dev: Heard, point: OperatingPoint, settings: Settings) -> dict[str, Any]:
    """Threshold from dev at a rate; misses and false accepts of this split at that threshold."""
    there, is_bound, kept = at_rate(dev, target, point.smoothing_window, point.refractory_s, settings.threshold_floor)
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

"""Dev's false accepts -> those of unseen audio, with an interval: dev is a sample too, and false accepts come in bursts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from wakesmith import metrics
from wakesmith.card import OperatingPoint
from wakesmith.data.splits import Group
from wakesmith.steps._heard import Heard
from wakesmith.steps._judge import RATES, at_rate, is_kept, rate

N_PEAKS = 50
"""Loudest peaks of dev that bursts are measured on: at the threshold itself dev has one or two. Voices that set the bundle off
do so more unevenly the lower the threshold lies, so this errs to the wide side."""


def bursts(dev: Heard, window: int, refractory_s: float) -> float:
    """How much more than Poisson's the number of false accepts varies when the speakers are others: 1 or more."""
    hours = dev.hours_of()
    loudest = [stream.owner(time_s) for _, stream, time_s in dev.loudest(window, refractory_s, N_PEAKS)]
    counts: Counter[Group] = Counter(event.group for event in loudest if event)
    return metrics.burstiness(np.array([counts[group] for group in hours]), np.array(list(hours.values())))


def expected(dev: Heard, point: OperatingPoint, new_hours: float) -> dict[str, Any]:
    """False accepts an hour of unseen audio of dev's kind, and their number in `new_hours`, at a threshold chosen on dev."""
    count, burst = dev.false_accepts(point), bursts(dev, point.smoothing_window, point.refractory_s)
    set_by_peak = point.set_by == "peak"
    mean, low, high = metrics.expected_rate(count, dev.hours, set_by_peak=set_by_peak, burst=burst)
    least, most = metrics.expected_count(count, dev.hours, new_hours, set_by_peak=set_by_peak, burst=burst)
    return {
        "per_hour": mean, "low": low, "high": high, "dev_count": count, "dev_hours": dev.hours, "set_by_peak": set_by_peak,
        "burst": burst, "dev_voices": len(dev.hours_of()), "hours": new_hours, "least": least, "most": most,
    }  # fmt: skip


def compared(dev: Heard, test: Heard, point: OperatingPoint, floor: float) -> list[dict[str, Any]]:
    """Prediction from dev beside what test held: the shipped point first, then each rate of the report."""
    window, refractory_s = point.smoothing_window, point.refractory_s
    points = [point, *(at_rate(dev, target, window, refractory_s, floor)[0] for target in RATES)]
    rows = []
    for number, one in enumerate(points):
        told, observed = expected(dev, one, test.hours), rate(test.false_accepts(one), test.hours)
        rows.append({
            "is_shipped": number == 0, "target_fa_per_hour": one.target_fa_per_hour, "threshold": one.threshold,
            "predicted": told, "observed": observed, "is_inside": told["least"] <= observed["count"] <= told["most"],
            "kept_on_dev": is_kept(dev, one),
        })  # fmt: skip
    return rows

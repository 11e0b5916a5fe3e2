"""Which way to a threshold keeps to the rate that was asked for: the count of dev's events, or the tail of its loudest peaks?

    python benchmarks/threshold_ways.py RUN [RUN ...] [--rates 0.5 1 2] [--draws 1000]

Each RUN is a run folder that `evaluate` went through. Many times a half of dev's voices, drawn by chance, gives the thresholds
and the peaks of the other half over them are counted; test takes no part. Printed, for each rate, is how many events a half holds
at it and the false accepts observed over those asked for: 1 is a rate that was kept. A way that is right in the middle lies over
1 on the mean, as a threshold too low lets through more than one too high keeps out. `metrics.COUNTED_EVENTS` says from how many
events on the count chooses.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wakesmith import bundle, metrics
from wakesmith.errors import DataError
from wakesmith.progress import mute
from wakesmith.runtime.detector import smooth
from wakesmith.steps import _kept

LEAST_HOURS = 0.5
"""Of a half: where one voice speaks most of dev, a draw may leave little to the others."""


class Peaks(NamedTuple):
    heights: npt.NDArray[np.float64]
    voices: npt.NDArray[np.int64]
    """Number of who spoke, for each height."""
    hours: npt.NDArray[np.float64]
    """Of each voice."""


def of_dev(run: Path) -> Peaks:
    """All peaks of dev's negatives, by who spoke, at the smoothing that the bundle ships with."""
    dev, point = _kept.read(run, 0)["dev"], bundle.load_card(run / "bundle").operating_point
    if point is None:
        raise DataError(f"{run}: its bundle has no operating point. Run: wakesmith evaluate {run}")
    hours = dev.hours_of()
    number, heights, voices = {group: i for i, group in enumerate(hours)}, [], []
    for stream in dev.streams["negatives"]:
        smoothed = smooth(stream.scores, point.smoothing_window)
        for at in metrics.peaks(stream.times_s, smoothed, point.refractory_s):
            if owner := stream.owner(float(stream.times_s[at])):
                heights.append(float(smoothed[at]))
                voices.append(number[owner.group])
    return Peaks(np.array(heights), np.array(voices), np.array(list(hours.values())))


def kept(found: Peaks, rate: float, n_draws: int, chance: np.random.Generator) -> tuple[float, float, float]:
    """-> (events that a half holds at a rate, false accepts observed over asked for: by the count, by the tail)."""
    asked, observed = [], []
    while len(asked) < n_draws:
        chosen = chance.random(len(found.hours)) < 0.5
        hours, new_hours = found.hours[chosen].sum(), found.hours[~chosen].sum()
        if min(hours, new_hours) < LEAST_HOURS:
            continue
        own, other = found.heights[chosen[found.voices]], found.heights[~chosen[found.voices]]
        counted, _ = metrics.threshold_at(own, hours, rate, 0.0)
        tail = metrics.threshold_beyond(own, hours, rate)
        if tail is None:
            raise DataError(f"a half of dev holds {len(own)} peaks; expected {metrics.LEAST_PEAKS} at least. Take a longer dev.")
        asked.append((rate * hours, rate * new_hours))
        observed.append([(other >= threshold).sum() for threshold in (counted, tail)])
    own_events, new_events = np.sum(asked, axis=0)
    by_count, by_tail = np.sum(observed, axis=0) / new_events
    return own_events / n_draws, by_count, by_tail


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0], help="false accepts an hour asked for"
    )
    parser.add_argument("--draws", type=int, default=1000, help="halves that are drawn")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    mute()
    metrics.COUNTED_EVENTS = math.inf  # both ways are compared at every rate
    print("| run | asked for (FA/h) | events of a half | observed over asked for, by the count | by the tail |")
    print("| --- | --- | --- | --- | --- |")
    for run in chosen.runs:
        found = of_dev(run)
        for rate in chosen.rates:
            events, by_count, by_tail = kept(found, rate, chosen.draws, np.random.default_rng(chosen.seed))
            print(f"| {run.name} | {rate:g} | {events:.1f} | {by_count:.2f} | {by_tail:.2f} |")


if __name__ == "__main__":
    main()

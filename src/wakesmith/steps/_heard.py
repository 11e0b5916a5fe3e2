"""What a bundle heard of a split: its scores, and what the runtime makes of them. No figure is chosen or judged here."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith import metrics
from wakesmith.card import OperatingPoint
from wakesmith.data.splits import Group
from wakesmith.runtime.detector import events as detections
from wakesmith.runtime.detector import smooth
from wakesmith.steps._streams import Condition, Event, hours

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """One stream after the runtime: raw scores and what was in it."""

    name: str
    condition: Condition | None
    events: list[Event]
    times_s: Numbers
    scores: Numbers
    kept: str = ""
    """Name of the file of its scores."""

    @property
    def hours(self) -> float:
        return hours(self.events)

    def owner(self, time_s: float) -> Event | None:
        """What was playing, or had just played: the last event that began before a time."""
        before = int(np.searchsorted([event.start_s for event in self.events], time_s)) - 1
        return self.events[before] if before >= 0 else None

    def windows(self, patience_s: float) -> list[tuple[float, float]]:
        """Seconds from and to which a detection is of each phrase: until `patience_s` after its end, or the next one begins."""
        nexts = [*(event.start_s for event in self.events[1:]), np.inf]
        return [(one.start_s, min(one.end_s + patience_s, after)) for one, after in zip(self.events, nexts, strict=True)]


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
        times_s: Numbers,
        scores: Numbers,
        kept: str = "",
    ) -> None:
        self.streams[kind].append(Scored(name, condition, events, times_s, scores, kept))

    @property
    def hours(self) -> float:
        return sum(stream.hours for stream in self.streams["negatives"])

    def heights(self, window: int, refractory_s: float) -> Numbers:
        """Peaks of all negative streams."""
        found = [np.zeros(0)]
        for stream in self.streams["negatives"]:
            smoothed = smooth(stream.scores, window)
            found.append(smoothed[metrics.peaks(stream.times_s, smoothed, refractory_s)])
        return np.concatenate(found)

    def loudest(self, window: int, refractory_s: float, most: int) -> list[tuple[float, Scored, float]]:
        """The highest peaks of the negatives: (score, stream, time in it), highest first."""
        rows = []
        for stream in self.streams["negatives"]:
            smoothed = smooth(stream.scores, window)
            for at in metrics.peaks(stream.times_s, smoothed, refractory_s)[:most]:
                rows.append((float(smoothed[at]), stream, float(stream.times_s[at])))
        return sorted(rows, key=lambda row: -row[0])[:most]

    def false_accepts(self, point: OperatingPoint) -> int:
        return sum(len(fired(stream, point)) for stream in self.streams["negatives"])

    def hours_of(self) -> dict[Group, float]:
        """Hours of the negatives by group."""
        made: dict[Group, float] = defaultdict(float)
        for stream in self.streams["negatives"]:
            for event in stream.events:
                made[event.group] += hours([event])
        return made


def fired(stream: Scored, point: OperatingPoint) -> list[Any]:
    return detections(stream.times_s, smooth(stream.scores, point.smoothing_window), point.threshold, point.refractory_s)


def best(stream: Scored, window: int, patience_s: float) -> Numbers:
    """(n_events,) highest smoothed score in the window of each phrase."""
    smoothed = smooth(stream.scores, window)
    found = []
    for span_s in stream.windows(patience_s):
        low, high = np.searchsorted(stream.times_s, span_s)
        found.append(smoothed[low:high].max() if high > low else 0.0)
    return np.array(found)


def missed(stream: Scored, point: OperatingPoint, patience_s: float) -> npt.NDArray[np.bool_]:
    """(n_events,) phrases without a detection of the runtime in their window.

    A score that was high before and stays so is no detection: a detector that is always on hears nothing.
    """
    times_s = np.array([found.time_s for found in fired(stream, point)])
    bounds = [np.searchsorted(times_s, span_s) for span_s in stream.windows(patience_s)]
    return np.array([low == high for low, high in bounds], dtype=bool)

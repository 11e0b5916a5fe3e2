"""What the page Judge shows of a run's scores: figures at any threshold, and each mistake there. Scores in, plain values out.

They come from the functions that `wakesmith evaluate` reports by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wakesmith.card import OperatingPoint
from wakesmith.data.records import Recording
from wakesmith.runtime.detector import smooth
from wakesmith.steps import _groups, _judge
from wakesmith.steps._heard import Heard, Scored, best, fired, missed

STEP = 0.001
"""Of the threshold slider."""
MISS, FALSE_WAKE, NEAR_MISS = "miss", "false wake", "near miss that fires"
KINDS = (FALSE_WAKE, MISS, NEAR_MISS)
BEFORE_S, AFTER_S = 2.0, 0.7
"""Of a detection, what is shown and played."""


@dataclass(frozen=True)
class Mistake:
    """A place in a stream where the detector was wrong; times from the start of the stream."""

    kind: str
    split: str
    stream: str
    condition: str
    recording: str
    score: float
    """The highest smoothed score there."""
    start_s: float
    end_s: float
    """Of the phrase; of a false wake, the detection."""

    @property
    def window_s(self) -> tuple[float, float]:
        """What is played."""
        if self.kind == FALSE_WAKE:
            return max(0.0, self.end_s - BEFORE_S), self.end_s + AFTER_S
        return max(0.0, self.start_s - 1.0), self.end_s + 1.5

    @property
    def name(self) -> str:
        """Names the place in a file of marks."""
        return f"{self.split}/{self.stream}@{self.end_s:.2f}"


def snapped(threshold: float, shipped: float) -> float:
    """A slider's value -> the threshold that is meant: the shipped one when it is the nearest step."""
    return shipped if abs(threshold - shipped) <= STEP / 2 + 1e-9 else threshold


def moved(point: OperatingPoint, threshold: float) -> OperatingPoint:
    return point.model_copy(update={"threshold": threshold})


def at(heard: dict[str, Heard], point: OperatingPoint, patience_s: float) -> dict[str, dict[str, Any]]:
    """Misses under each condition and false accepts of each split at an operating point, as report.json has them."""
    return {split: _judge.at_point(own, point, patience_s) for split, own in heard.items()}


def near_misses(
    heard: Heard, recordings: Mapping[str, Recording], point: OperatingPoint, patience_s: float
) -> list[dict[str, Any]]:
    """By what was said, as report.json has them."""
    judged = {"near_misses": _judge.near_misses(heard, point.smoothing_window, patience_s)}
    return _groups.by_text(judged, recordings, point.threshold)


def mistakes(heard: Heard, point: OperatingPoint, patience_s: float) -> list[Mistake]:
    """All of a split at an operating point: false wakes from the loudest, misses from the lowest score, near misses that fire."""
    wakes = [
        _of_detection(heard.split, stream, one, point) for stream in heard.streams["negatives"] for one in fired(stream, point)
    ]
    misses = [row for stream in heard.streams["positives"] for row in _missed(heard.split, stream, point, patience_s)]
    near = [row for stream in heard.streams["near_misses"] for row in _near(heard.split, stream, point, patience_s)]
    wakes.sort(key=lambda one: -one.score)
    misses.sort(key=lambda one: one.score)
    return [*wakes, *misses, *sorted(near, key=lambda one: -one.score)]


def _of_detection(split: str, stream: Scored, found: Any, point: OperatingPoint) -> Mistake:
    owner = stream.owner(found.time_s)
    recording = owner.recording if owner else ""
    _, scores = scores_in(stream, point.smoothing_window, found.time_s, found.time_s + AFTER_S)
    highest = float(scores.max(initial=found.score))  # it fires as the score rises to the threshold, the peak comes after
    return Mistake(FALSE_WAKE, split, stream.name, _condition(stream), recording, highest, found.time_s, found.time_s)


def _missed(split: str, stream: Scored, point: OperatingPoint, patience_s: float) -> Iterator[Mistake]:
    scores, gone = best(stream, point.smoothing_window, patience_s), missed(stream, point, patience_s)
    for event, score in ((stream.events[i], float(scores[i])) for i in np.flatnonzero(gone)):
        yield Mistake(MISS, split, stream.name, _condition(stream), event.recording, score, event.start_s, event.end_s)


def _near(split: str, stream: Scored, point: OperatingPoint, patience_s: float) -> Iterator[Mistake]:
    scores = best(stream, point.smoothing_window, patience_s)
    for event, score in zip(stream.events, map(float, scores), strict=True):
        if score >= point.threshold:
            yield Mistake(NEAR_MISS, split, stream.name, _condition(stream), event.recording, score, event.start_s, event.end_s)


def _condition(stream: Scored) -> str:
    return stream.condition.name if stream.condition else "as recorded"


def scores_in(stream: Scored, window: int, start_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed scores of a stretch of a stream: (n,) seconds from `start_s`, (n,) scores."""
    low, high = np.searchsorted(stream.times_s, [start_s, end_s])
    return stream.times_s[low:high] - start_s, smooth(stream.scores, window)[low:high]

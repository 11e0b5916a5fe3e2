"""What a bundle makes of a sound: samples in, scores and detections out, as the runtime hears them; and their picture."""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith import audio
from wakesmith.errors import BundleError
from wakesmith.report.plots import COLOURS, across, legend
from wakesmith.runtime.detector import TAIL_S, Detection, Detector, smooth

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 220, 44, 12, 12, 34
LIVE_S = 10.0
"""What is shown of the microphone."""
MOST_FILE_S = 600.0
MOST_POINTS = 1200


@dataclass(frozen=True)
class Heard:
    """Of one bundle: smoothed scores over time, one line a phrase, and what woke it."""

    name: str
    times_s: np.ndarray
    scores: dict[str, np.ndarray]
    thresholds: dict[str, float]
    found: list[Detection]


def whole(bundle: Path, name: str, samples: audio.Samples) -> Heard:
    """A whole sound, (N,) at 16 kHz, with silence after its end. Raises BundleError, AudioError."""
    stream = Stream(bundle, name, keep_s=float("inf"))
    stream.feed(samples)
    stream.feed(np.zeros(round(TAIL_S * audio.SAMPLE_RATE_HZ), np.float32))
    return stream.heard()


@dataclass
class Stream:
    """A bundle at a stream of chunks; keeps the last `keep_s` seconds of what it made of them."""

    bundle: Path
    name: str
    keep_s: float = LIVE_S
    detector: Detector = field(init=False)

    def __post_init__(self) -> None:
        self.detector = Detector.load(self.bundle)
        if None in self.detector.points.values():
            raise BundleError(f"{self.bundle}: has no threshold yet. Press Go on in the tab Forge, which evaluates it.")
        self.times: deque[float] = deque()
        self.raw: deque[Any] = deque()
        self.found: list[Detection] = []

    def feed(self, samples: audio.Samples) -> list[Detection]:
        """(N,) -> what woke it now"""
        times_s, scores = self.detector.hear(samples)
        new = self.detector.detect(times_s, scores)
        self.times.extend(times_s)
        self.raw.extend(scores)
        while self.times and self.times[-1] - self.times[0] > self.keep_s:
            self.times.popleft()
            self.raw.popleft()
        self.found += new
        return new

    def heard(self) -> Heard:
        points = {phrase: point for phrase, point in self.detector.points.items() if point is not None}
        scores = np.array(self.raw, dtype=np.float64).reshape(len(self.raw), len(points))
        smoothed = {phrase: smooth(scores[:, i], point.smoothing_window) for i, (phrase, point) in enumerate(points.items())}
        thresholds = {phrase: point.threshold for phrase, point in points.items()}
        return Heard(self.name, np.array(self.times), smoothed, thresholds, self.found)


def plot(heard: Sequence[Heard]) -> str:
    """Scores over time, the thresholds dashed, a mark at each detection."""
    ends = [one.times_s[-1] for one in heard if len(one.times_s)]
    if not ends:
        return "<p class=soft>Nothing was heard yet.</p>"
    start, end = max(0.0, min(one.times_s[0] for one in heard if len(one.times_s)) - 0.1), max(ends)

    def x(at_s: float) -> float:
        return float(LEFT + (at_s - start) / max(end - start, 0.1) * (WIDTH - LEFT - RIGHT))

    def y(score: float) -> float:
        return TOP + (1 - min(max(score, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)

    parts = [across(y(score), f"{score:g}", LEFT, WIDTH - RIGHT) for score in (0.0, 0.5, 1.0)]
    parts += [
        f"<text x='{x(at):.0f}' y='{HEIGHT - 14}' text-anchor={anchor}>{at:.1f} s</text>"
        for at, anchor in ((start, "start"), ((start + end) / 2, "middle"), (end, "end"))
    ]
    names = []
    lines = [(one, phrase) for one in heard for phrase in one.scores]
    for (one, phrase), colour in zip(lines, COLOURS * (1 + len(lines) // len(COLOURS)), strict=False):
        names.append((f"{one.name}: {phrase}", colour))
        shown = " ".join(f"{x(t):.1f},{y(s):.1f}" for t, s in zip(*_thinned(one.times_s, one.scores[phrase]), strict=True))
        at = y(one.thresholds[phrase])
        parts.append(f"<polyline points='{shown}' fill=none stroke='{colour}' stroke-width=2 stroke-linejoin=round />")
        parts.append(
            f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{at:.1f}' y2='{at:.1f}' stroke='{colour}' stroke-dasharray='5 5' />"
        )
        parts += [
            f"<circle cx='{x(hit.time_s):.1f}' cy='{y(hit.score):.1f}' r=6 style='fill:{colour}' />"
            for hit in one.found
            if hit.phrase == phrase and hit.time_s >= start
        ]
    svg = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='Score over time'>{''.join(parts)}</svg>"
    return f"{legend(names)}{svg}<p class=soft>Score over time; the threshold is dashed, a dot is a detection.</p>"


def rows(heard: Sequence[Heard]) -> list[list[str]]:
    """Every detection, in order of time."""
    hits = sorted(((hit.time_s, one.name, hit) for one in heard for hit in one.found), key=lambda each: each[:2])
    return [[f"{at:.2f} s", name, hit.phrase, f"{hit.score:.3f}"] for at, name, hit in hits]


def summary(heard: Sequence[Heard]) -> str:
    told = "; ".join(f"{one.name}: {len(one.found)} detection{'' if len(one.found) == 1 else 's'}" for one in heard)
    return f"<p role=status><b>{html.escape(told)}</b></p>"


def _thinned(times_s: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest of neighbours: a peak is what matters."""
    size = -(-len(times_s) // MOST_POINTS)
    if size <= 1:
        return times_s, scores
    at = [start + int(np.argmax(scores[start : start + size])) for start in range(0, len(scores), size)]
    return times_s[at], scores[at]

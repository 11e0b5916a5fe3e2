"""Where a bundle fires, or nearly fires, among sounds that are not its phrase. Recordings of train or dev in, peaks out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wakesmith import metrics
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.card import OperatingPoint
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.clips import VIEW_SAMPLES
from wakesmith.data.records import Recording
from wakesmith.errors import DataError
from wakesmith.promise import Point
from wakesmith.runtime.detector import smooth
from wakesmith.steps import _score, _streams
from wakesmith.steps._heard import Heard, Scored

SEARCHED = ("train", "dev")
SLACK_SAMPLES = (SAMPLE_RATE_HZ // 5, SAMPLE_RATE_HZ // 10)
"""A view of a peak ends so long before it (the mean of scores lags) to so long after it."""
CUT_SAMPLES = VIEW_SAMPLES + sum(SLACK_SAMPLES)
LEAST_HEARD_S = 0.4
"""What fires so soon after a recording began was the one before it."""


class Peak(NamedTuple):
    recording: str
    at: int
    """Samples from the start of the recording."""
    score: float

    @property
    def cut(self) -> int:
        """Where the clip of `CUT_SAMPLES` starts, of which a view may end anywhere in the slack; may be negative."""
        return self.at + SLACK_SAMPLES[1] - CUT_SAMPLES


def others(recordings: Iterable[Recording], split: str, labels: Collection[str]) -> list[Recording]:
    """All of a split with one of these labels. Raises DataError for test: what is learned from must never be heard there."""
    if split not in SEARCHED:
        raise DataError(f"mine: '{split}' is not searched, only {' and '.join(SEARCHED)} are.")
    return sorted((r for r in recordings if r.split == split and r.label in labels), key=lambda r: r.id)


def listen(folder: Path, store: AudioStore, split: str, seed: int, labels: Collection[str]) -> Heard:
    """The bundle of a run hears all sounds of a split with these labels, at full length; scores are kept by model and sound."""
    found = others(store.recordings.values(), split, labels)
    streams = _streams.of_negatives(store, found, math.inf, seed, split) if found else iter(())
    return _score.hear(folder, (("negatives", None, stream) for stream in streams), split)


def above(heard: Heard, point: OperatingPoint, least: float) -> list[Peak]:
    """Peaks of the smoothed score from `least` on, apart by the refractory time, the highest first."""
    found = [peak for stream in heard.streams["negatives"] for peak in of_stream(stream, point, least)]
    return sorted(found, key=lambda peak: (-peak.score, peak.recording, peak.at))


def of_stream(stream: Scored, point: OperatingPoint, least: float) -> list[Peak]:
    made = []
    for score, time_s in of_scores(stream.times_s, stream.scores, point, least):
        owner = stream.owner(time_s - LEAST_HEARD_S)
        if owner is not None:
            made.append(Peak(owner.recording, round((time_s - owner.start_s) * SAMPLE_RATE_HZ), score))
    return made


def of_scores(
    times_s: metrics.Numbers, scores: metrics.Numbers, point: OperatingPoint | Point, least: float
) -> list[tuple[float, float]]:
    """(n,), (n,) raw scores -> (height, time in seconds) of the peaks, highest first."""
    smoothed = smooth(scores, point.smoothing_window)
    peaks = metrics.peaks(times_s, smoothed, max(point.refractory_s, 1e-3))
    return [(float(smoothed[at]), float(times_s[at])) for at in peaks if smoothed[at] >= least]


def is_near(peak: Peak, known: Iterable[int]) -> bool:
    """Whether a clip of the same sound is known, by places in the same recording: nearly all of a view is shared."""
    return any(abs(at - peak.at) < sum(SLACK_SAMPLES) for at in known)


def sound(store: AudioStore, peak: Peak) -> np.ndarray:
    """(CUT_SAMPLES,) int16 about a peak; before and after its recording there is silence."""
    source, made = store.int16(peak.recording), np.zeros(CUT_SAMPLES, np.int16)
    start, end = max(0, peak.cut), min(len(source), peak.cut + CUT_SAMPLES)
    if end > start:
        made[start - peak.cut : end - peak.cut] = source[start:end]
    return made

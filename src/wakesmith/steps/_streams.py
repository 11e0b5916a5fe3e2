"""Continuous audio for the evaluation, from the recordings of one split, the same for the same seed.

Positives stand in a long stream over a bed of noise or babble; negatives are hours of other speech and noise, as recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wakesmith import audio
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import power
from wakesmith.data.records import Recording
from wakesmith.rng import rng

SPEECH_DBFS = -23.0
"""Level that phrases are brought to, over their loud half, so that one bed gives every phrase its SNR."""
PIECE_S = 300.0


@dataclass(frozen=True)
class Condition:
    """What lies under the positives: nothing, or a kind of bed at a signal-to-noise ratio."""

    bed: str = "clean"
    snr_db: float = float("inf")

    @property
    def name(self) -> str:
        return "clean" if self.bed == "clean" else f"{self.bed} {self.snr_db:g} dB"


@dataclass(frozen=True)
class Event:
    """A phrase in a stream: where it starts and ends, and whose it is."""

    recording: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Stream:
    name: str
    samples: Samples
    events: list[Event]

    @property
    def hours(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ / 3600


def of_events(
    store: Any, bank: Any, recordings: list[Recording], split: str, condition: Condition, gap_s: tuple[float, float],
    seed: int, name: str,
) -> Stream:  # fmt: skip
    """Recordings one after another with drawn gaps. The bed, and only the bed, differs between conditions."""
    parts, events, at = [], [], 0
    for recording in recordings:
        chance = rng(seed, "gap", recording.id)
        sound = store.recording(recording.id)
        start, end = bounds(recording, sound)
        gain = np.sqrt(10 ** (SPEECH_DBFS / 10) / max(power(sound[start:end]), 1e-9))
        gap = round(chance.uniform(*gap_s) * SAMPLE_RATE_HZ)
        parts += [np.zeros(gap, np.float32), np.clip(sound * np.float32(gain), -1, 1)]
        events.append(Event(recording.id, (at + gap + start) / SAMPLE_RATE_HZ, (at + gap + end) / SAMPLE_RATE_HZ))
        at += gap + len(sound)
    samples = np.concatenate([*parts, np.zeros(2 * SAMPLE_RATE_HZ, np.float32)])
    if condition.bed != "clean":
        wanted = 10 ** ((SPEECH_DBFS - condition.snr_db) / 10)
        samples = np.clip(samples + bed(bank, condition.bed, split, len(samples), wanted, seed), -1, 1)
    return Stream(name, samples, events)


def bounds(recording: Recording, sound: Samples) -> tuple[int, int]:
    if recording.phrase_end:
        return recording.phrase_start, recording.phrase_end
    return audio.speech_bounds(sound)


def bed(bank: Any, kind: str, split: str, n_samples: int, mean_power: float, seed: int) -> Samples:
    """(N,) of beds in a drawn order, each at the wanted power over its loud half."""
    chance = rng(seed, "bed", kind, split)
    made: list[Samples] = []
    while sum(len(sound) for sound in made) < n_samples:
        sound = bank.take(kind, split, int(chance.integers(bank.count(kind, split))))
        made.append(sound * np.float32(np.sqrt(mean_power / max(power(sound), 1e-12))))
    return np.concatenate(made)[:n_samples]


def of_negatives(store: Any, recordings: list[Recording], max_hours: float, seed: int, split: str) -> Iterator[Stream]:
    """Streams of about five minutes, recordings in a drawn order with a third of a second between them."""
    gap = np.zeros(SAMPLE_RATE_HZ // 3, np.float32)
    parts: list[Samples] = []
    held = total = number = 0
    for index in rng(seed, "negatives", split).permutation(len(recordings)):
        sound = store.recording(recordings[index].id)
        parts += [sound, gap]
        held += len(sound) + len(gap)
        if held >= PIECE_S * SAMPLE_RATE_HZ:
            yield Stream(f"{split}-negatives-{number:03d}", np.concatenate(parts), [])
            total, held, number, parts = total + held, 0, number + 1, []
            if total >= max_hours * 3600 * SAMPLE_RATE_HZ:
                return
    if parts:
        yield Stream(f"{split}-negatives-{number:03d}", np.concatenate(parts), [])

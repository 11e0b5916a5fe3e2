"""Continuous audio for the evaluation, from the recordings of one split, the same for the same seed.

Positives stand in a long stream, near or across a room, over a bed of noise, babble or music; negatives are hours of other
speech and noise, as recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import power
from wakesmith.data.records import ROOM, Recording
from wakesmith.data.splits import Group, group_of
from wakesmith.rng import rng

SPEECH_DBFS = -23.0
"""Level that phrases are brought to, over their loud half, so that one bed gives every phrase its SNR."""
PIECE_S = 300.0
GAP_SAMPLES = SAMPLE_RATE_HZ // 3
"""Silence after each recording of other speech and noise."""
MUSIC = "music"
"""Text of the recordings of noise that are music: `text: music` of a source, or a manifest's column."""


@dataclass(frozen=True)
class Condition:
    """How the positives are heard: near or across a room; over nothing, or a kind of bed at a signal-to-noise ratio."""

    bed: str = "clean"
    snr_db: float = float("inf")
    in_room: bool = False

    @property
    def name(self) -> str:
        under = "" if self.bed == "clean" else f"{self.bed} {self.snr_db:g} dB"
        return " ".join(filter(None, ["room" if self.in_room else "", under])) or "clean"


@dataclass(frozen=True)
class Event:
    """A phrase, or another recording, in a stream: where it starts and ends, and whose it is."""

    recording: str
    start_s: float
    end_s: float
    group: Group = ("", "")


def hours(events: Iterable[Event]) -> float:
    """Of what is heard in a stream: the silence between is ours, and sets nothing off."""
    return sum(event.end_s - event.start_s for event in events) / 3600


@dataclass(frozen=True)
class Stream:
    name: str
    samples: Samples
    events: list[Event]

    @property
    def hours(self) -> float:
        return hours(self.events)


class Beds:
    """What is mixed in, by kind and split: the bank's beds and rooms, and music straight from the recordings that are music."""

    def __init__(self, store: Any, bank: Any) -> None:
        self._store, self._bank = store, bank
        self._found: dict[str, list[str]] = {}

    def _music(self, split: str) -> list[str]:
        """Names of the recordings."""
        if split not in self._found:
            self._found[split] = [one.id for one in self._store.of(split, "noise") if one.text == MUSIC]
        return self._found[split]

    def count(self, kind: str, split: str) -> int:
        return len(self._music(split)) if kind == MUSIC else int(self._bank.count(kind, split))

    def take(self, kind: str, split: str, number: int) -> Samples:
        sound = self._store.recording(self._music(split)[number]) if kind == MUSIC else self._bank.take(kind, split, number)
        return np.asarray(sound, np.float32)


def of_events(
    store: Any, beds: Any, recordings: Sequence[Recording], split: str, condition: Condition, gap_s: tuple[float, float],
    seed: int, name: str,
) -> Stream:  # fmt: skip
    """Recordings one after another with drawn gaps. The bed and the room, and only they, differ between conditions."""
    gaps = [round(rng(seed, "gap", one.id).uniform(*gap_s) * SAMPLE_RATE_HZ) for one in recordings]
    lengths = [one.n_samples for one in recordings]
    samples = np.zeros(sum(gaps) + sum(lengths) + 2 * SAMPLE_RATE_HZ, np.float32)
    events, at = [], 0
    for recording, gap in zip(recordings, gaps, strict=True):
        sound = store.recording(recording.id)
        start, end = recording.phrase_start, recording.phrase_end
        assert end, f"{recording.id}: prepare has not said where its phrase lies"
        assert len(sound) == recording.n_samples, f"{recording.id}: {len(sound)} samples, not {recording.n_samples} as it says"
        heard = across_room(sound, beds, split, seed, recording.id) if condition.in_room else sound
        gain = np.sqrt(10 ** (SPEECH_DBFS / 10) / max(power(heard[start:end]), 1e-9))
        at += gap
        place = samples[at : at + len(heard)]  # a room's tail rings into the gap
        place += np.clip(heard * np.float32(gain), -1, 1)[: len(place)]
        events.append(Event(recording.id, (at + start) / SAMPLE_RATE_HZ, (at + end) / SAMPLE_RATE_HZ, group_of(recording)))
        at += len(sound)
    if condition.bed != "clean":
        wanted = 10 ** ((SPEECH_DBFS - condition.snr_db) / 10)
        samples += bed(beds, condition.bed, split, len(samples), wanted, seed)
    return Stream(name, np.clip(samples, -1, 1, out=samples), events)


def across_room(sound: Samples, beds: Any, split: str, seed: int, recording: str) -> Samples:
    """(N,) -> (N + tail,): through a response that is drawn for the recording; direct sound first, so that time does not move."""
    from scipy.signal import fftconvolve

    number = int(rng(seed, "room", recording).integers(beds.count(ROOM, split)))
    return np.asarray(fftconvolve(sound, beds.take(ROOM, split, number)), np.float32)


def bed(beds: Any, kind: str, split: str, n_samples: int, mean_power: float, seed: int) -> Samples:
    """(N,) of beds in a drawn order, each at the wanted power over its loud half."""
    chance = rng(seed, "bed", kind, split)
    made, at = np.empty(n_samples, np.float32), 0
    while at < n_samples:
        sound = beds.take(kind, split, int(chance.integers(beds.count(kind, split))))
        place = made[at : at + len(sound)]
        np.multiply(sound[: len(place)], np.float32(np.sqrt(mean_power / max(power(sound), 1e-12))), out=place)
        at += len(sound)
    return made


def of_negatives(
    store: Any, recordings: Sequence[Recording], max_hours: float, seed: int, split: str, piece_s: float = PIECE_S
) -> Iterator[Stream]:
    """Streams of about five minutes, recordings in a drawn order with a third of a second between them."""
    gap = np.zeros(GAP_SAMPLES, np.float32)
    parts: list[Samples] = []
    events: list[Event] = []
    held = total = number = 0
    for index in rng(seed, "negatives", split).permutation(len(recordings)):
        recording = recordings[index]
        sound = store.recording(recording.id)
        parts += [sound, gap]
        events.append(Event(recording.id, held / SAMPLE_RATE_HZ, (held + len(sound)) / SAMPLE_RATE_HZ, group_of(recording)))
        held += len(sound) + len(gap)
        if held >= piece_s * SAMPLE_RATE_HZ:
            yield Stream(f"{split}-negatives-{number:03d}", np.concatenate(parts), events)
            total, held, number, parts, events = total + held, 0, number + 1, [], []
            if total >= max_hours * 3600 * SAMPLE_RATE_HZ:
                return
    if parts:
        yield Stream(f"{split}-negatives-{number:03d}", np.concatenate(parts), events)

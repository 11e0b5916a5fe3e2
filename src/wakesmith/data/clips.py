"""Recordings -> clips of 2.0 s: what one view (1.5 s) is cut from, with room to shift."""

from __future__ import annotations

import array
import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.data.classes import plain
from wakesmith.data.lazy import Picked
from wakesmith.data.records import ROOM, UNLABELLED, Clip, Recording
from wakesmith.rng import rng

VIEW_SAMPLES = SAMPLE_RATE_HZ * 3 // 2
SLACK_SAMPLES = SAMPLE_RATE_HZ // 2
CLIP_SAMPLES = VIEW_SAMPLES + SLACK_SAMPLES
EVENT_END_SAMPLES = VIEW_SAMPLES + 800
"""Where a phrase ends in its clip: a view that ends 50 to 350 ms later lies inside the clip either way."""
SHORTEST_CLIP_SAMPLES = SAMPLE_RATE_HZ // 2
"""What is left at the end of a recording makes a clip of its own from this length on."""
PARTIAL = (0.3, 0.6)
"""How much of a phrase is heard when it has only begun."""
_BLOCK = SAMPLE_RATE_HZ // 20


def clips_of(recording: Recording, samples: npt.NDArray[np.int16], silence_dbfs: float, most: int, seed: int) -> list[Clip]:
    """Clips of one recording: one where a phrase is, and what a voice said beside it; else consecutive ones that are not silent,
    `most` drawn of them.

    samples (N,) int16. A room (impulse response) has none.
    """
    if recording.label == ROOM:
        return []
    if recording.label in ("wake", "near_miss"):
        assert recording.phrase_end, f"{recording.id}: prepare has not said where its phrase lies"
        return [_clip(recording, recording.phrase_end - EVENT_END_SAMPLES, EVENT_END_SAMPLES), *_beside(recording)]
    starts = [start for start in _starts(len(samples)) if _loud(samples, start, silence_dbfs)]
    if len(starts) > most:
        drawn = rng(seed, recording.id, "clips").choice(len(starts), size=most, replace=False)
        starts = [starts[index] for index in sorted(drawn)]
    return [_clip(recording, start, 0) for start in starts]


def _clip(recording: Recording, start: int, event_end: int) -> Clip:
    return Clip(f"{recording.id}@{start}", recording.id, start, CLIP_SAMPLES, recording.label, recording.split, event_end)


def _beside(recording: Recording) -> list[Clip]:
    """Other speech before and after a phrase that `speak` made: else a voice that says little besides stands for it."""
    if not recording.is_spoken:
        return []  # what people say beside it may hold it again
    made = []
    for place, first, last in (("before", 0, recording.phrase_start), ("after", recording.phrase_end, recording.n_samples)):
        if last - first < SHORTEST_CLIP_SAMPLES:
            continue
        starts = [first + start for start in _starts(last - first)]
        if last - first < CLIP_SAMPLES:  # silence fills it up on the side where the phrase is not
            starts = [last - CLIP_SAMPLES if place == "before" else first]
        for start in starts:
            name = f"{recording.id}@{start}+{place}"
            made.append(Clip(name, recording.id, start, CLIP_SAMPLES, "speech", recording.split))
    return made


def partials(clips: Iterable[Clip], recordings: Mapping[str, Recording], share: float, seed: int) -> Iterator[Clip]:
    """Of a drawn share of the train clips with the phrase one more, whose views end when a part of it was heard: near misses.

    Like any moment of a stream they end without a fade or a pause, so only what is missing tells them from the phrase.
    """
    for clip in clips:
        if clip.label == "wake" and clip.split == "train" and rng(seed, clip.id, "partial").random() < share:
            said = recordings[clip.recording]
            start, end = said.phrase_start, said.phrase_end
            first, last = (start + round(heard * (end - start)) for heard in PARTIAL)
            cut = first - VIEW_SAMPLES  # with no event in the clip a view may end anywhere in its slack
            name = f"{clip.recording}@{cut}+partial"
            yield Clip(name, clip.recording, cut, VIEW_SAMPLES + last - first, "near_miss", clip.split)


def _starts(n_samples: int) -> list[int]:
    """Starts of consecutive clips; a short recording lies in the middle of its clip, so that every view holds all it can."""
    if n_samples <= CLIP_SAMPLES:
        return [-((CLIP_SAMPLES - n_samples) // 2)]
    starts = list(range(0, n_samples - CLIP_SAMPLES + 1, CLIP_SAMPLES))
    left = n_samples - starts[-1] - CLIP_SAMPLES
    return [*starts, n_samples - CLIP_SAMPLES] if left >= SHORTEST_CLIP_SAMPLES else starts


def _loud(samples: npt.NDArray[np.int16], start: int, silence_dbfs: float) -> bool:
    """Whether any 50 ms of a clip is louder than `silence_dbfs` (root mean square)."""
    heard = samples[max(0, start) : start + CLIP_SAMPLES].astype(np.float32)
    heard = np.pad(heard, (0, -len(heard) % _BLOCK)).reshape(-1, _BLOCK)
    return bool(np.square(heard / 32_767).mean(axis=1).max(initial=0.0) > 10 ** (silence_dbfs / 10))


def drawn(clips: Sequence[Clip], most: Mapping[str, int], seed: int) -> Picked[Clip]:
    """At most `most[label]` clips of a label in a split, drawn evenly by chance; their order stays."""
    sides: dict[tuple[str, str], array.array[int]] = collections.defaultdict(lambda: array.array("q"))
    for number, clip in enumerate(clips):
        sides[clip.label, clip.split].append(number)
    stays = np.ones(len(clips), bool)
    for (label, split), numbers in sorted(sides.items()):
        extra = len(numbers) - most.get(label, len(numbers))
        if extra > 0:
            stays[rng(seed, label, split, "clips").choice(np.array(numbers), size=extra, replace=False)] = False
    return Picked(clips, np.flatnonzero(stays))


def unlabel(clips: Sequence[Clip], recordings: Mapping[str, Recording], most: int, seed: int) -> Iterator[Clip]:
    """Take the label from train clips beyond `most` of each phrase; how they are cut stays."""
    sides: dict[str, array.array[int]] = collections.defaultdict(lambda: array.array("q"))
    for number, clip in enumerate(clips):
        if clip.label == "wake" and clip.split == "train":
            sides[plain(recordings[clip.recording].text)].append(number)
    dropped = np.zeros(len(clips), bool)
    for text, numbers in sorted(sides.items()):
        order = rng(seed, text, "labelled").permutation(len(numbers))
        dropped[np.array(numbers)[order[most:]]] = True
    for clip, drops in zip(clips, dropped, strict=True):
        yield dataclasses.replace(clip, label=UNLABELLED) if drops else clip

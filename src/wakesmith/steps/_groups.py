"""Figures by who spoke and what was said: judged figures and recordings in, rows of plain values by source, speaker, text out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wakesmith.steps._heard import Heard, fired, missed
from wakesmith.steps._judge import rate, share

if TYPE_CHECKING:
    from wakesmith.card import OperatingPoint
    from wakesmith.data.records import Recording


def counted(recordings: Iterable[Recording]) -> list[dict[str, Any]]:
    """Recordings, speakers, hours and licences by split, label and source."""
    lengths: Counter[tuple[str, str, str]] = Counter()
    counts: Counter[tuple[str, str, str]] = Counter()
    speakers, licences = defaultdict(set), defaultdict(set)
    for recording in recordings:
        key = recording.split, recording.label, recording.source
        counts[key] += 1
        lengths[key] += recording.n_samples
        speakers[key].add(recording.speaker)
        licences[key].add(recording.licence)
    return [
        {
            "split": key[0], "label": key[1], "source": key[2], "n": counts[key], "speakers": len(speakers[key]),
            "hours": lengths[key] / 16_000 / 3600, "licences": sorted(licences[key]),
        }
        for key in sorted(counts)
    ]  # fmt: skip


def by_source(judged: dict[str, Any], recordings: Mapping[str, Recording]) -> list[dict[str, Any]]:
    """Clean misses apart for every source of the phrase: real voices are not averaged with made ones."""
    found: dict[str, list[bool]] = defaultdict(list)
    lost = set(judged["missed_recordings"])
    for name in judged["by_recording"]:
        found[recordings[name].source].append(name in lost)
    return [{"source": source, **share(np.array(gone))} for source, gone in sorted(found.items())]


def by_speaker(judged: dict[str, Any], recordings: Mapping[str, Recording], most: int = 10) -> dict[str, Any]:
    """How many speakers of each source are missed more often than heard, clean, and who is missed most; known speakers alone."""
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    lost = set(judged["missed_recordings"])
    for name in judged["by_recording"]:
        if recordings[name].speaker:
            found[recordings[name].source, recordings[name].speaker].append(name in lost)
    halves: dict[str, list[bool]] = defaultdict(list)
    for (source, _), gone in found.items():
        halves[source].append(sum(gone) > len(gone) / 2)
    order = sorted(found.items(), key=lambda own: (-sum(own[1]) / len(own[1]), -len(own[1]), own[0]))
    worst = [{"source": who[0], "speaker": who[1], "missed": sum(gone), "n": len(gone)} for who, gone in order if any(gone)]
    return {
        "mostly_missed": [{"source": source, **share(np.array(more))} for source, more in sorted(halves.items())],
        "worst": worst[:most],
    }


def false_accepts_by_source(heard: Heard, point: OperatingPoint) -> list[dict[str, Any]]:
    """Which sources of other sounds set the bundle off."""
    hours: dict[str, float] = defaultdict(float)
    for (source, _), own in heard.hours_of().items():
        hours[source] += own
    owners = [stream.owner(one.time_s) for stream in heard.streams["negatives"] for one in fired(stream, point)]
    counts = Counter(owner.group[0] for owner in owners if owner)
    return [{"source": source, **rate(counts[source], own)} for source, own in sorted(hours.items())]


def confusion(heard: Sequence[Heard], points: Sequence[OperatingPoint], phrases: Sequence[str], patience_s: float) -> list[Any]:
    """Which phrases fire when each is said clean: `heard` and `points` by phrase -> a row by phrase that was said."""
    columns = []
    for number, (one, point) in enumerate(zip(heard, points, strict=True)):
        said = [stream for stream in one.streams["negatives"] if stream.condition]  # the other phrases, in their order
        said.insert(number, one.streams["positives"][0])
        columns.append([int(np.count_nonzero(~missed(stream, point, patience_s))) for stream in said])
    n_said = [len(one.streams["positives"][0].events) for one in heard]
    return [
        {"said": phrase, "n": n, "fired": dict(zip(phrases, fires, strict=True))}
        for phrase, n, *fires in zip(phrases, n_said, *columns, strict=True)
    ]


def by_text(judged: dict[str, Any], recordings: Mapping[str, Recording], threshold: float) -> list[dict[str, Any]]:
    """Near misses by what was said, the worst first."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, score in judged["near_misses"].items():
        found[recordings[name].text].append(score)
    rows = [
        {"text": text, "n": len(scores), "fired": int((np.array(scores) >= threshold).sum()), "highest": max(scores)}
        for text, scores in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["fired"], -row["highest"], row["text"]))

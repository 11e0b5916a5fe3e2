"""What the bundle's card tells of a run: the sources it learned from, and what was measured of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.card import Measured, Misses, OperatingPoint, Rate, Source
from wakesmith.data.records import Recording
from wakesmith.data.sources import Key, key
from wakesmith.steps._heard import Heard, Scored, fired

MISSES = ("missed", "n", "frr", "low", "high")
PLACES = ("path", "checkpoint")
"""Settings of a teacher that say where it lies."""


def sources(recordings: Iterable[Recording], fingerprints: Mapping[Key, str] = {}) -> list[Source]:
    """Recordings by source and licence; of train and dev alone, since nothing is learned from test."""
    n_samples: dict[Key, list[int]] = defaultdict(list)
    for one in recordings:
        if one.split in ("train", "dev"):
            n_samples[key(one)].append(one.n_samples)
    return [
        Source(
            name=source,
            licence=licence,
            recordings=len(sizes),
            hours=sum(sizes) / SAMPLE_RATE_HZ / 3600,
            fingerprint=fingerprints.get((source, licence), ""),
        )
        for (source, licence), sizes in sorted(n_samples.items())
    ]


def teacher(told: Mapping[str, Any], facts: Iterable[str]) -> dict[str, Any]:
    """The card that `teach` wrote -> the facts of it that ship."""
    shared = anywhere(told)
    return {fact: shared[fact] for fact in facts if fact in shared}


def anywhere(told: Mapping[str, Any]) -> dict[str, Any]:
    """The card that `teach` wrote, for others too: folders of this machine are told by their last name."""
    made, part = dict(told), told.get("teacher", {})
    for one in (part, *part.get("members", [])):
        for place in filter(None, map(one.get, PLACES)):
            made["encoder_source"] = made["encoder_source"].replace(place, Path(place).absolute().name)
    if part:
        made["teacher"] = _named(part)
    return made


def _named(part: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a teacher; where one lies, the folder's last name."""
    made = {**part, **{key: Path(part[key]).absolute().name for key in PLACES if part.get(key)}}
    return made | ({"members": [_named(one) for one in part["members"]]} if "members" in part else {})


def measured(told: dict[str, Any], test: Heard, point: OperatingPoint, patience_s: float) -> Measured:
    """The report of one phrase, and the streams of test behind it -> what its card says."""
    predicted = told["predictions"][0]["predicted"]
    late = delays_s(test.streams["positives"][0], point, patience_s)
    return Measured(
        false_accepts=Rate(**told["test"]["false_accepts"]),
        predicted=Rate(
            count=predicted["dev_count"],
            hours=predicted["dev_hours"],
            **{key: predicted[key] for key in ("per_hour", "low", "high")},
        ),
        conditions=[_misses(row["name"], row) for row in told["test"]["conditions"]],
        sources=[_misses(row["source"], row) for row in told["sources"]],
        near_misses=sum(row["n"] for row in told["near_misses"]),
        near_misses_fired=sum(row["fired"] for row in told["near_misses"]),
        delay_s=float(np.median(late)) if len(late) else None,
        late_s=float(np.percentile(late, 95)) if len(late) else None,
    )


def delays_s(stream: Scored, point: OperatingPoint, patience_s: float) -> np.ndarray:
    """(n,) seconds from the end of each phrase that was heard until its detection; less than 0: before the end."""
    times_s = np.array([hit.time_s for hit in fired(stream, point)])
    made = []
    for event, (start_s, end_s) in zip(stream.events, stream.windows(patience_s), strict=True):
        own = times_s[(times_s >= start_s) & (times_s < end_s)]
        made += [own[0] - event.end_s] if len(own) else []
    return np.array(made)


def _misses(name: str, row: dict[str, Any]) -> Misses:
    return Misses(name=name, **{key: row[key] for key in MISSES})

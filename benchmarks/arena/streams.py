"""The streams that every engine hears, made once from a seed: folder/*.npy (int16, 16 kHz) and streams.json."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith import audio
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import power
from wakesmith.data.records import Recording
from wakesmith.errors import DataError
from wakesmith.importers import manifest_csv
from wakesmith.progress import say, track
from wakesmith.rng import rng
from wakesmith.run import write_json
from wakesmith.steps import _streams
from wakesmith.steps._streams import Condition

CONDITIONS = (Condition(), Condition("pink", 10.0), Condition("babble", 10.0), Condition("babble", 5.0))
GAP_S = (1.5, 2.5)
BED_S = 30
N_BEDS = 40
TALKERS = 6
INDEX = "streams.json"


@dataclass(frozen=True)
class Written:
    """A stream on disk, and what is in it (name, start, end in seconds); negatives have no condition. Its seconds are of that."""

    name: str
    condition: str | None
    file: str
    fingerprint: str
    seconds: float
    events: list[tuple[str, float, float]]


def make(data: Path, keyword: str, seed: int, folder: Path) -> list[Written]:
    """All streams of a keyword; taken as they are when they were made from the same manifests, seed and code."""
    wanted = _made_of(data, keyword, seed)
    if (folder / INDEX).exists():
        kept = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if kept["made_of"] == wanted:
            return [Written(**{**row, "events": [tuple(event) for event in row["events"]]}) for row in kept["streams"]]
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _write(stream, condition, folder)
        for condition, stream in track(_streams_of(data, keyword, seed), "streams")
    ]  # fmt: skip
    write_json(folder / INDEX, {"made_of": wanted, "streams": [dataclasses.asdict(one) for one in written]})
    return written


def fingerprint(written: list[Written]) -> str:
    """Of all streams together: two tables with the same one are about the same sound."""
    return hashlib.blake2b("/".join(one.fingerprint for one in written).encode(), digest_size=8).hexdigest()


def _streams_of(data: Path, keyword: str, seed: int) -> Iterator[tuple[Condition | None, _streams.Stream]]:
    positives, others, speech, talkers = recordings(data, keyword)
    counts = f"{len(positives)} positives, {len(others)} of other keywords, {len(speech)} of speech, {len(talkers)} for babble"
    say(f"{keyword}: {counts}")
    for one in positives:
        if not one.phrase_end:
            raise DataError(f"{one.path}: the manifest does not say when its phrase is over. Give speech_end_s.")
    beds = Beds(talkers, seed)
    positives = [dataclasses.replace(one, n_samples=len(audio.read(one.path))) for one in positives]
    for condition in CONDITIONS:
        name = f"positives-{condition.name.replace(' ', '-')}"
        yield condition, _streams.of_events(Files(positives), beds, positives, "", condition, GAP_S, seed, name)
    for kind, found in (("keywords", others), ("speech", speech)):
        for stream in _streams.of_negatives(Files(found), found, math.inf, seed, kind):
            yield None, stream


def recordings(data: Path, keyword: str) -> tuple[list[Recording], list[Recording], list[Recording], list[Recording]]:
    """-> (the keyword, other keywords, test speech, dev speech for the babble); none but the first holds the keyword."""
    wake, negative = str(data / "wake" / "manifest.csv"), str(data / "negative" / "manifest.csv")
    labels = sorted({row["label"] for _, row in manifest_csv.rows(manifest_csv.find_manifest(Path(wake)))})
    if keyword not in labels:
        raise DataError(f"{wake}: no label '{keyword}'. It has: {', '.join(labels)}.")
    holding = [label for label in labels if holds(label, keyword)]

    def read(path: str, **chosen: Any) -> list[Recording]:
        found = manifest_csv.build(manifest_csv.Config(path=path, **chosen)).recordings()
        return sorted((recording for recording, _ in found), key=lambda one: one.id)

    return (
        read(wake, label="wake", keep={"label": [keyword]}),
        _without(keyword, read(wake, label="speech", drop={"label": holding})),
        _without(keyword, read(negative, label="speech", keep={"split": ["test"]})),
        _without(keyword, read(negative, label="speech", keep={"split": ["dev"]})),
    )


def holds(text: str, keyword: str) -> bool:
    """Whether a label or a text has the keyword in it, as whole words or not."""
    return keyword.replace("_", " ") in text.lower().replace("_", " ")


def _without(keyword: str, found: list[Recording]) -> list[Recording]:
    return [recording for recording in found if not holds(recording.text, keyword)]


class Files:
    """A store that reads each recording from its file."""

    def __init__(self, found: list[Recording]) -> None:
        self.recordings = {recording.id: recording for recording in found}

    def recording(self, name: str) -> Samples:
        return audio.read(self.recordings[name].path)


class Beds:
    """Beds of half a minute by number: pink noise, and babble of six people at once, none of whom is heard in the negatives.

    They are not our training's own: those would favour our bundle.
    """

    def __init__(self, talkers: list[Recording], seed: int) -> None:
        self.seed, self.speakers = seed, sorted({recording.speaker for recording in talkers})
        if len(self.speakers) < 2:
            raise DataError("negative/: babble needs speech of two or more speakers with split dev.")
        self._spoken = {who: [one for one in talkers if one.speaker == who] for who in self.speakers}

    def count(self, kind: str, split: str) -> int:
        return N_BEDS

    @functools.cache  # noqa: B019 (one object, gone with the run)
    def take(self, kind: str, split: str, number: int) -> Samples:
        chance, n_samples = rng(self.seed, kind, number), BED_S * SAMPLE_RATE_HZ
        if kind == "pink":
            hz = np.maximum(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ), 20.0)
            return np.asarray(np.fft.irfft(np.fft.rfft(chance.standard_normal(n_samples)) / np.sqrt(hz)), np.float32)
        who = chance.choice(len(self.speakers), min(TALKERS, len(self.speakers)), replace=False)
        voices = [np.roll(self._voice(self.speakers[one]), -int(chance.integers(1 << 30)))[:n_samples] for one in who]
        return np.sum([voice / np.sqrt(max(power(voice), 1e-9)) for voice in voices], axis=0, dtype=np.float32)

    @functools.cache  # noqa: B019
    def _voice(self, speaker: str) -> Samples:
        """All that a person says in a row, again and again up to the length of a bed."""
        spoken = np.concatenate([audio.read(one.path) for one in self._spoken[speaker]])
        return np.tile(spoken, -(-BED_S * SAMPLE_RATE_HZ // len(spoken)))


def _write(stream: _streams.Stream, condition: Condition | None, folder: Path) -> Written:
    samples = audio.to_int16(stream.samples)
    file = folder / f"{stream.name}.npy"
    np.save(file, samples)
    return Written(
        stream.name,
        condition.name if condition else None,
        str(file.resolve()),
        hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest(),
        stream.hours * 3600,
        [(event.recording, event.start_s, event.end_s) for event in stream.events],
    )


def _made_of(data: Path, keyword: str, seed: int) -> str:
    manifests = [manifest_csv.find_manifest(data / name) for name in ("wake", "negative")]
    code = [Path(__file__), Path(str(_streams.__file__))]
    parts = [file.read_bytes() for file in (*manifests, *code)]
    return hashlib.blake2b(b"/".join([keyword.encode(), str(seed).encode(), *parts]), digest_size=8).hexdigest()

"""`prepare`: what was spoken and the sources -> 16 kHz mono in one store, split by group, checked for leaks, cut into clips."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from wakesmith import audio, config, pool, registry
from wakesmith.augment import _generated as generated
from wakesmith.config import Source
from wakesmith.data import clips, duplicates, room, sources, splits
from wakesmith.data.audio_store import AUDIO, CARD, CLIPS, OFFSETS, RECORDINGS
from wakesmith.data.records import SPLITS, Recording, load_jsonl, save_jsonl
from wakesmith.data.spool import Spool
from wakesmith.errors import AudioError, DataError
from wakesmith.progress import say, track
from wakesmith.rng import rng
from wakesmith.run import write_json, write_text
from wakesmith.steps import _leakage

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

SPOKEN = "spoken"
RANK = {split: rank for rank, split in enumerate(("test", "dev", "train"))}
"""Of two copies the one in the split with the lower rank stays: a test set is not thinned out by training data."""
LATEST_END_S = 0.1
"""After the end of its recording a phrase may be said to end, for rounded times; what is said to end later lies elsewhere."""


class Settings(config.Settings):
    sources: list[Source] = []
    """Recordings beside the spoken ones."""
    dev_share: float = Field(default=0.15, gt=0, lt=0.5)
    """Part of the speakers, voices and sources that choose the threshold."""
    test_share: float = Field(default=0.15, gt=0, lt=0.5)
    """Part of them that the report is about."""
    silence_dbfs: float = -60.0
    """A clip of other speech or noise whose loudest 50 ms lie under this is left out."""
    shortest_s: float = Field(default=0.15, gt=0)
    """Shorter files go to the quarantine."""
    most_clips: dict[str, int] = {"speech": 3000, "noise": 1000}
    """At most so many clips of a label in each split, drawn by chance; a label that is not named has no limit."""
    most_labelled: int = Field(default=0, ge=0)
    """Keep the label of at most so many train clips of each phrase, drawn by chance; the others become unlabelled. 0: all."""
    partial_share: float = Field(default=0.0, ge=0, le=1)
    """For such a part of the train recordings of the phrase, its beginning alone (30 to 60 % of it) is a near miss."""
    most_clips_per_recording: int = Field(default=200, ge=1)
    """At most so many clips of one recording, drawn by chance."""
    near_duplicate: float = Field(default=0.8, gt=0, le=1)
    """Likeness of two waveforms, 0..1, from which recordings in different splits count as one."""
    n_generated: int = Field(default=150, ge=0)
    """Recordings of 10 s of coloured noise and hum, made when no source has noise: the student must hear what no voice is."""

    @model_validator(mode="after")
    def _labels(self) -> Settings:
        for label in self.most_clips:
            if label not in ("speech", "noise"):
                raise ValueError(f"most_clips: '{label}' has no limit; only speech and noise have")
        return self


EMPTY = np.zeros(0, np.int16)


@dataclasses.dataclass
class Decoded:
    """A recording that was read: its sound, a digest of it, and prints that find near copies."""

    recording: Recording
    samples: np.ndarray
    digest: str
    prints: np.ndarray


def run(recipe: Recipe, folder: Path) -> Path:
    """Write folder/prepare. Raises DataError for a source without a usable file, and for a leak."""
    settings, out = recipe.data, folder / "prepare"
    decoded, quarantine = _decode_all(folder, settings, out)
    if not any(one.recording.label == "noise" for one in decoded):
        decoded += _generated(settings.n_generated, recipe.seed)
    _write_lines(out / "quarantine.jsonl", quarantine)
    if quarantine:
        say(f"prepare: {len(quarantine)} files in quarantine, see {out / 'quarantine.jsonl'}")
    shares = {"train": 1 - settings.dev_share - settings.test_share, "dev": settings.dev_share, "test": settings.test_share}
    split = splits.assign([one.recording for one in decoded], shares, recipe.seed)
    for one, recording in zip(decoded, split, strict=True):
        one.recording = recording
    copies = _copies(decoded, settings.near_duplicate)
    kept = [one for i, one in enumerate(decoded) if i not in {copy["left_out"] for copy in copies}]
    _leakage.tell([one.recording for one in kept], [one.recording for one in decoded], copies, out)
    splits.check_needed(splits.count(one.recording for one in kept))
    _store(kept, settings, recipe.seed, out)
    return out


def check_sources(settings: Settings) -> None:
    """List every source, so that a wrong path is told before an hour of work. Raises DataError."""
    for _ in _of_sources(settings):
        pass


def _found(folder: Path, settings: Settings) -> Iterator[tuple[str, Recording, Path]]:
    """(source, recording, file) of everything, not yet decoded."""
    for recording in load_jsonl(folder / "speak" / "recordings.jsonl", Recording):
        yield SPOKEN, recording, folder / "speak" / recording.path
    yield from _of_sources(settings)


def _of_sources(settings: Settings) -> Iterator[tuple[str, Recording, Path]]:
    for source in settings.sources:
        importer = registry.build("importers", source)
        name = str(source.model_dump().get("path", source.name))
        for recording, path in importer.recordings():
            yield name, recording, path
        for reason, count in importer.dropped.items():
            say(f"prepare: {name}: {count} left out: {reason}")


def _decode_all(folder: Path, settings: Settings, out: Path) -> tuple[list[Decoded], list[dict[str, str]]]:
    """All that can be used, its sound and prints maps of files; and what cannot, with the reason."""
    found = list(_found(folder, settings))
    seen = Counter(recording.id for _, recording, _ in found)
    twice = [name for name, count in seen.items() if count > 1]
    if twice:
        raise DataError(f"data.sources: the recording {twice[0]} is listed twice. Name each file in one source only.")
    decoded, quarantine = [], []
    usable: Counter[str] = Counter()
    jobs = [(recording, path, settings.shortest_s, source != SPOKEN) for source, recording, path in found]
    sounds, prints = Spool(out, np.int16), Spool(out, duplicates.PRINT)
    with pool.workers(0) as processes:
        results = track(processes.map(_decode, jobs, chunksize=16), "recordings", total=len(jobs))
        for (source, _, path), result in zip(found, results, strict=True):
            if isinstance(result, str):
                quarantine.append({"path": str(path), "source": source, "reason": result})
            else:
                sounds.add(result.samples)
                prints.add(result.prints)
                decoded.append(dataclasses.replace(result, samples=EMPTY, prints=duplicates.NONE))
                usable[source] += 1
    for one, sound, print_ in zip(decoded, sounds.maps(), prints.maps(), strict=True):
        one.samples, one.prints = sound, print_
    for source in dict.fromkeys(source for source, _, _ in found):
        if not usable[source]:
            reasons = [row["reason"] for row in quarantine if row["source"] == source]
            raise DataError(f"{source}: none of {len(reasons)} files can be used. The first: {reasons[0]}")
    return decoded, quarantine


def _decode(job: tuple[Recording, Path, float, bool]) -> Decoded | str:
    """A file -> its sound, or the reason why not."""
    recording, path, shortest_s, printed = job
    try:
        samples = audio.read(path)
    except AudioError as error:
        return str(error)
    if np.abs(samples).max() < audio.SILENT_PEAK:
        return f"{path}: silent. Record it again or leave it out."
    if len(samples) < shortest_s * audio.SAMPLE_RATE_HZ:
        return f"{path}: {len(samples) / audio.SAMPLE_RATE_HZ:.2f} s is too short to hold speech."
    end_s, whole_s = recording.phrase_end / audio.SAMPLE_RATE_HZ, len(samples) / audio.SAMPLE_RATE_HZ
    if end_s > whole_s + LATEST_END_S:
        return (
            f"{path}: its phrase is said to end at {end_s:.2f} s, but it is {whole_s:.2f} s long. Mend its times or leave it out."
        )
    sound = audio.to_int16(samples)
    # Voices of one synthesiser say one phrase very alike: among them only the very same sound is a copy.
    prints = duplicates.prints(sound) if printed else duplicates.NONE
    digest = hashlib.blake2b(sound.tobytes(), digest_size=16).hexdigest()
    if recording.label in ("wake", "near_miss") and not recording.phrase_end:
        start, end = audio.phrase_bounds(samples)
        recording = dataclasses.replace(recording, phrase_start=start, phrase_end=end)
    return Decoded(dataclasses.replace(recording, n_samples=len(sound)), sound, digest, prints)


def _generated(n_recordings: int, seed: int) -> list[Decoded]:
    made = []
    for number in range(n_recordings):
        sound = audio.to_int16(generated.bed(rng(seed, "noise", number), number, 10 * audio.SAMPLE_RATE_HZ))
        name = f"noise-{number:04d}"
        recording = Recording(f"generated/{name}", name, "", "noise", f"generated/{name}", "generated", "none needed", len(sound))
        made.append(Decoded(recording, sound, hashlib.blake2b(sound.tobytes(), digest_size=16).hexdigest(), duplicates.NONE))
    return made


def _copies(decoded: list[Decoded], threshold: float) -> list[dict[str, Any]]:
    """Pairs across splits that hold the same sound; `left_out` is the one that goes."""
    pairs: list[tuple[int, int, float]] = []
    first_of: dict[str, int] = {}
    for i in sorted(range(len(decoded)), key=lambda i: RANK[decoded[i].recording.split]):
        first = first_of.setdefault(decoded[i].digest, i)
        if decoded[first].recording.split != decoded[i].recording.split:
            pairs.append((first, i, 1.0))
    split_of = np.array([SPLITS.index(one.recording.split) for one in decoded])
    near = duplicates.near_duplicates(
        [one.prints for one in decoded], split_of, lambda i: decoded[i].samples, lambda *_: threshold
    )
    rows, same = [], {frozenset(pair[:2]) for pair in pairs}
    for first, second, likeness in [*pairs, *(one for one in near if frozenset(one[:2]) not in same)]:
        kept, left_out = sorted((first, second), key=lambda i: RANK[decoded[i].recording.split])
        rows.append({"kept": kept, "left_out": left_out, "likeness": float(round(likeness, 4))})
    return rows


def _store(kept: list[Decoded], settings: Settings, seed: int, out: Path) -> None:
    """audio.npy with offsets, recordings, clips, and last the card that makes them a store."""
    lengths = [len(one.samples) for one in kept]
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    room.check(out, 2 * sum(lengths), "give fewer or shorter recordings")
    sound = np.lib.format.open_memmap(out / AUDIO, "w+", np.int16, (sum(lengths),))
    room.reserve(sound, np.ones(1, bool))
    for start, one in zip(offsets, kept, strict=True):
        sound[start : start + len(one.samples)] = one.samples
    sound.flush()
    np.save(out / OFFSETS, offsets)
    recordings = [one.recording for one in kept]
    by_id = {one.recording.id: one.samples for one in kept}
    made = clips.make_clips(
        recordings, by_id.__getitem__, settings.silence_dbfs, settings.most_clips_per_recording, settings.most_clips, seed
    )
    if settings.most_labelled:
        made = clips.unlabel({one.recording.id: one.recording.text for one in kept}, made, settings.most_labelled, seed)
    made += clips.partials(made, {r.id: r for r in recordings}, settings.partial_share, seed)
    save_jsonl(out / RECORDINGS, recordings)
    save_jsonl(out / CLIPS, made)
    sources.write(out, ((one.recording, one.digest) for one in kept))
    digest = hashlib.blake2b("".join(one.digest for one in kept).encode(), digest_size=16).hexdigest()
    write_json(out / CARD, {"audio": digest, "n_recordings": len(kept), "n_clips": len(made)})
    say(f"prepare: {len(kept)} recordings, {sum(lengths) / audio.SAMPLE_RATE_HZ / 3600:.2f} h, {len(made)} clips")


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

"""`prepare`: what was spoken and the sources -> 16 kHz mono in one store, split by group, checked for leaks, cut into clips."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from wakesmith import audio, config, pool
from wakesmith.augment import _generated as generated
from wakesmith.config import Source
from wakesmith.data import clips, dealt, duplicates, room, sources, splits
from wakesmith.data.audio_store import AUDIO, CARD, CLIPS, OFFSETS, RECORDINGS
from wakesmith.data.lazy import Numbers, Picked
from wakesmith.data.records import SPLITS, ById, Clip, Lines, Recording, save_jsonl, split_numbers
from wakesmith.data.spool import Objects, Spool
from wakesmith.errors import AudioError, DataError
from wakesmith.progress import say, track
from wakesmith.rng import rng
from wakesmith.run import write_json, write_text
from wakesmith.steps import _leakage, _listed, _start

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

SPOKEN = "spoken"
RANK = {split: rank for rank, split in enumerate(("test", "dev", "train"))}
"""Of two copies the one in the split with the lower rank stays: a test set is not thinned out by training data."""
DECODED_AT_ONCE = 16
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
    start: str | None = Field(default=None, min_length=1)
    """The file of `train.start`, where its run had other splits: whom that student learned from is in train here. `shipped`: all
    those that come with Wakesmith."""
    n_generated: int = Field(default=150, ge=0)
    """Recordings of 10 s of coloured noise and hum, made when no source has noise: the student must hear what no voice is."""

    @model_validator(mode="after")
    def _labels(self) -> Settings:
        for label, most in self.most_clips.items():
            if label not in ("speech", "noise"):
                raise ValueError(f"most_clips: '{label}' has no limit; only speech and noise have")
            if most < 0:
                raise ValueError(f"most_clips: {label} is {most}, expected 0 or more; leave {label} out for no limit")
        return self


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A recording that was read: its sound, a digest of it, and prints that find near copies."""

    recording: Recording
    samples: npt.NDArray[np.int16]
    digest: str
    prints: duplicates.Prints


@dataclasses.dataclass(frozen=True)
class Heard:
    """All that was read, or some of it; what is long lies on the disk."""

    recordings: Sequence[Recording]
    sounds: Sequence[npt.NDArray[np.int16]]
    prints: Sequence[duplicates.Prints]
    digests: npt.NDArray[np.bytes_]
    """(n,) hex of each sound."""

    def only(self, numbers: Numbers) -> Heard:
        sounds, prints = Picked(self.sounds, numbers), Picked(self.prints, numbers)
        return Heard(Picked(self.recordings, numbers), sounds, prints, self.digests[numbers])


def run(recipe: Recipe, folder: Path) -> Path:
    """Write folder/prepare. Raises DataError for a source without a usable file, and for a leak."""
    settings, out = recipe.data, folder / "prepare"
    found, quarantine = _decode_all(folder, recipe, out)
    _write_lines(out / "quarantine.jsonl", quarantine)
    if quarantine:
        say(f"prepare: {len(quarantine)} files in quarantine, see {out / 'quarantine.jsonl'}")
    shares = {"train": 1 - settings.dev_share - settings.test_share, "dev": settings.dev_share, "test": settings.test_share}
    learned = Objects(out, _start.bound(settings.start, found.recordings)) if settings.start else found.recordings
    assigned = Objects(out, splits.assign(learned, shares, recipe.seed))
    found = dataclasses.replace(found, recordings=assigned)
    copies = _copies(found, settings.near_duplicate, out)
    stays = np.ones(len(assigned), bool)
    stays[[copy["left_out"] for copy in copies]] = False
    kept = found.only(np.flatnonzero(stays))
    _leakage.tell(kept.recordings, assigned, copies, out)
    others = f" Or share out whom {settings.start} learned from, too: {_start.NEITHER}" if settings.start else ""
    splits.check_needed(splits.count(kept.recordings), others)
    _store(kept, settings, recipe.seed, out)
    return out


def _found(folder: Path, recipe: Recipe) -> Iterator[_listed.Listed]:
    """Everything, not yet decoded."""
    for recording in Lines(folder / "speak" / "recordings.jsonl", Recording):
        yield SPOKEN, recording, folder / "speak" / recording.path
    yield from _listed.of_sources(recipe.data.sources, recipe.phrases)


def _decode_all(folder: Path, recipe: Recipe, out: Path) -> tuple[Heard, list[dict[str, str]]]:
    """All that can be used, with generated noise where there is none; and what cannot, with the reason."""
    settings, found = recipe.data, Objects(out, _found(folder, recipe))
    _listed.check_once(lambda: found)
    quarantine: list[dict[str, str]] = []
    usable = {source: 0 for source, _, _ in found}
    sounds, prints, digests = Spool(out, np.int16), Spool(out, duplicates.PRINT), bytearray()

    def taken(decoded: Decoded) -> Recording:
        sounds.add(decoded.samples)
        prints.add(decoded.prints)
        digests.extend(decoded.digest.encode())
        return decoded.recording

    def every(processes: Executor) -> Iterator[Recording]:
        has_noise = False
        jobs = ((recording, path, settings.shortest_s, source != SPOKEN) for source, recording, path in found)
        results = track(dealt.in_order(processes, _decode, jobs, DECODED_AT_ONCE), "recordings", total=len(found))
        for (source, _, path), result in zip(found, results, strict=True):
            if isinstance(result, str):
                quarantine.append({"path": str(path), "source": source, "reason": result})
            else:
                usable[source] += 1
                has_noise = has_noise or result.recording.label == "noise"
                yield taken(result)
        if not has_noise:
            yield from map(taken, _generated(settings.n_generated, recipe.seed))

    with pool.workers(0) as processes:
        recordings = Objects(out, every(processes))
    for source, count in usable.items():
        if not count:
            reasons = [row["reason"] for row in quarantine if row["source"] == source]
            raise DataError(f"{source}: none of {len(reasons)} files can be used. The first: {reasons[0]}")
    return Heard(recordings, sounds.pieces(), prints.pieces(), np.frombuffer(digests, "S32")), quarantine


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


def _generated(n_recordings: int, seed: int) -> Iterator[Decoded]:
    for number in range(n_recordings):
        sound = audio.to_int16(generated.bed(rng(seed, "noise", number), number, 10 * audio.SAMPLE_RATE_HZ))
        name = f"noise-{number:04d}"
        recording = Recording(f"generated/{name}", name, "", "noise", f"generated/{name}", "generated", "none needed", len(sound))
        yield Decoded(recording, sound, hashlib.blake2b(sound.tobytes(), digest_size=16).hexdigest(), duplicates.NONE)


def _copies(found: Heard, threshold: float, out: Path) -> list[dict[str, Any]]:
    """Pairs across splits that hold the same sound; `left_out` is the one that goes."""
    split_of = split_numbers(found.recordings)
    rank = np.array([RANK[split] for split in SPLITS])[split_of]
    order = np.argsort(rank, kind="stable")
    _, first, alike = np.unique(found.digests[order], return_index=True, return_inverse=True)
    first_of = np.empty(len(order), np.int64)
    first_of[order] = order[first][alike]
    pairs = [(int(first_of[i]), int(i), 1.0) for i in order[(split_of[first_of] != split_of)[order]]]
    near = duplicates.near_duplicates(found.prints, split_of, found.sounds.__getitem__, lambda *_: threshold, out)
    rows, same = [], {frozenset(pair[:2]) for pair in pairs}
    for one, other, likeness in [*pairs, *(one for one in near if frozenset(one[:2]) not in same)]:
        kept, left_out = sorted((one, other), key=lambda i: rank[i])
        rows.append({"kept": kept, "left_out": left_out, "likeness": float(round(likeness, 4))})
    return rows


def _store(kept: Heard, settings: Settings, seed: int, out: Path) -> None:
    """audio.npy with offsets, recordings, clips, and last the card that makes them a store."""
    ends = np.cumsum(np.fromiter(map(len, kept.sounds), np.int64, len(kept.sounds)))
    n_samples, offsets = int(ends[-1]), np.r_[0, ends[:-1]]
    room.check(out, 2 * n_samples, "give fewer or shorter recordings")
    sound = np.lib.format.open_memmap(out / AUDIO, "w+", np.int16, (n_samples,))
    room.reserve(sound, np.ones(1, bool))
    for start, end, own in zip(offsets, ends, kept.sounds, strict=True):
        sound[start:end] = own
    sound.flush()
    np.save(out / OFFSETS, offsets)
    save_jsonl(out / RECORDINGS, kept.recordings)
    n_clips = save_jsonl(out / CLIPS, _clips(kept, ById(Lines(out / RECORDINGS, Recording)), settings, seed, out))
    sources.write(out, zip(kept.recordings, map(bytes.decode, kept.digests), strict=True))
    digest = hashlib.blake2b(kept.digests.tobytes(), digest_size=16).hexdigest()
    write_json(out / CARD, {"audio": digest, "n_recordings": len(kept.recordings), "n_clips": n_clips})
    say(f"prepare: {len(kept.recordings)} recordings, {n_samples / audio.SAMPLE_RATE_HZ / 3600:.2f} h, {n_clips} clips")


def _clips(kept: Heard, by_id: ById[Recording], settings: Settings, seed: int, out: Path) -> Iterator[Clip]:
    """What the recordings are cut into; each choice among clips looks at all that the one before left."""
    cut = (
        clip
        for recording, sound in zip(kept.recordings, kept.sounds, strict=True)
        for clip in clips.clips_of(recording, sound, settings.silence_dbfs, settings.most_clips_per_recording, seed)
    )
    made: Sequence[Clip] = clips.drawn(Objects(out, cut), settings.most_clips, seed)
    if settings.most_labelled:
        made = Objects(out, clips.unlabel(made, by_id, settings.most_labelled, seed))
    yield from made
    yield from clips.partials(made, by_id, settings.partial_share, seed)


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

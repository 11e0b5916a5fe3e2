"""All audio of a run as one memory-mapped int16 array: recordings and clips in, float32 samples out."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.audio import Samples, to_float
from wakesmith.data.lazy import Picked
from wakesmith.data.records import SPLITS, ById, Clip, Lines, Recording, split_numbers
from wakesmith.errors import DataError

AUDIO, OFFSETS, RECORDINGS, CLIPS, CARD = "audio.npy", "offsets.npy", "recordings.jsonl", "clips.jsonl", "store.json"


class AudioStore:
    """What `prepare` wrote. Cheap to open and to send to a worker process: it holds the folder, and maps what it is asked for.

    Of a recording or clip a few numbers lie in memory, whatever else is known of it: so there may be any number of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, folder: Path) -> AudioStore:
        """Raises DataError when the folder does not hold a whole store."""
        missing = [name for name in (AUDIO, OFFSETS, RECORDINGS, CLIPS, CARD) if not (Path(folder) / name).is_file()]
        if missing:
            raise DataError(f"{folder}: no audio store here ({', '.join(missing)} missing). Run `prepare` first.")
        return cls(folder)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    @functools.cached_property
    def recordings(self) -> ById[Recording]:
        """By id, in the order of the store."""
        return ById(Lines(self.folder / RECORDINGS, Recording))

    @functools.cached_property
    def clips(self) -> Lines[Clip]:
        return Lines(self.folder / CLIPS, Clip)

    def of(self, split: str, *labels: str) -> Picked[Recording]:
        """The recordings of a split with these labels: label by label, each in the order of the ids."""
        every = self.recordings.records
        in_split = np.flatnonzero(self._split_numbers == SPLITS.index(split))
        found: dict[str, list[tuple[str, int]]] = {label: [] for label in labels}
        for number in in_split.tolist():
            one = every[number]
            if one.label in found:
                found[one.label].append((one.id, number))
        return Picked(every, np.array([number for own in found.values() for _, number in sorted(own)], np.int64))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the audio, the recordings and the clips: any change of them changes it."""
        digest = hashlib.blake2b(digest_size=16)
        for name in (CARD, RECORDINGS, CLIPS):
            with (self.folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
        return digest.hexdigest()

    def recording(self, recording_id: str) -> Samples:
        """One whole recording. -> (n_samples,) float32. Raises DataError for an id that is not here."""
        return to_float(self.int16(recording_id))

    def clip(self, clip: Clip) -> Samples:
        """One clip. -> (clip.n_samples,) float32; before the start and past the end of the recording there is silence."""
        source = self.int16(clip.recording)
        start, end = max(0, clip.start), min(len(source), clip.start + clip.n_samples)
        samples = np.zeros(clip.n_samples, dtype=np.float32)
        if end > start:
            samples[start - clip.start : end - clip.start] = to_float(source[start:end])
        return samples

    def int16(self, recording_id: str) -> npt.NDArray[np.int16]:
        """One whole recording as it lies in the store, without a copy."""
        try:
            number, recording = self.recordings.find(recording_id)
        except KeyError as error:
            raise DataError(f"{self.folder}: no recording '{recording_id}'. Run `prepare` again.") from error
        start = self._starts[number]
        return self._audio[start : start + recording.n_samples]

    @functools.cached_property
    def _audio(self) -> npt.NDArray[np.int16]:
        return np.load(self.folder / AUDIO, mmap_mode="r")  # type: ignore[no-any-return]

    @functools.cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        offsets: npt.NDArray[np.int64] = np.load(self.folder / OFFSETS, mmap_mode="r")
        if len(offsets) != len(self.recordings):
            raise DataError(f"{self.folder}: {OFFSETS} and {RECORDINGS} differ in length. Run `prepare` again.")
        return offsets

    @functools.cached_property
    def _split_numbers(self) -> npt.NDArray[np.uint8]:
        return split_numbers(self.recordings.records)

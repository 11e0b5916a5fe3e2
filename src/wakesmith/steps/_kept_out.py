"""What judges a run is never learned: a user's sounds in, the recordings of dev and test that hold them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wakesmith.data import duplicates
from wakesmith.errors import DataError

if TYPE_CHECKING:
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.data.records import Recording
    from wakesmith.steps._rounds import Round

Sound = npt.NDArray[np.int16]


def holders(store: AudioStore, sounds: Sequence[Sound], near_duplicate: float) -> list[Recording | None]:
    """For each sound, (N,) int16, the recording of dev or test that is the same one: written again, cut, made louder, resampled
    or coded otherwise. None: there is none."""
    judges = [one for one in store.recordings.values() if one.split != "train"]
    made: list[Recording | None] = [
        next((one for one in judges if one.n_samples == len(sound) and _is_same(sound, store.int16(one.id))), None)
        for sound in sounds
    ]
    for number, judge in _near(store, sounds, judges, near_duplicate):
        made[number] = made[number] or judge
    return made


def _is_same(one: Sound, other: Sound) -> bool:
    # Written to a file again, a sample comes back a step or two away.
    return bool(np.abs(one.astype(np.int32) - other).max(initial=0) <= 2)


def _near(
    store: AudioStore, sounds: Sequence[Sound], judges: Sequence[Recording], near_duplicate: float
) -> Iterator[tuple[int, Recording]]:
    """(number of the sound, recording) of near duplicates."""
    if not sounds:
        return
    known = [duplicates.prints(store.int16(one.id)) for one in judges]
    for number, judge, shift in duplicates.copies([duplicates.prints(one) for one in sounds], known):
        if duplicates.likeness(sounds[number], store.int16(judges[judge].id), shift) >= near_duplicate:
            yield number, judges[judge]


def check_learned(store: AudioStore, rounds: Sequence[Round], near_duplicate: float) -> None:
    """Recordings may have become dev or test after a user's copy of them was learned. Raises DataError that names both files."""
    for one in rounds:
        if one.plan["kind"] != "learn":  # what was mined lies in train, or counts no more
            continue
        learned = list(one.store.recordings.values())
        found = holders(store, [one.store.int16(recording.id) for recording in learned], near_duplicate)
        for recording, judge in zip(learned, found, strict=True):
            if judge is not None:
                raise DataError(
                    f"{recording.path}: was learned in round {one.name}, and is the same sound as {judge.path}, which is in "
                    f"{judge.split} now and would be judged by what knows it. Take that one out of data.sources, or delete "
                    f"{one.folder} to unlearn the round."
                )

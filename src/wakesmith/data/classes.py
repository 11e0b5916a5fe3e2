"""The classes inside a teacher and a student: names from the phrases, numbers for the clips."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from wakesmith import text as texts
from wakesmith.data.records import LABELS, UNLABELLED, Clip, Recording
from wakesmith.errors import DataError

NO_CLASS = -1
"""Number of a clip that nobody named."""


def names(phrases: list[str]) -> list[str]:
    """In the order of the logits: `LABELS` for one phrase; for several, each phrase is a class in place of `wake`."""
    return list(LABELS) if len(phrases) == 1 else [*phrases, *LABELS[1:]]


def numbers(clips: Collection[Clip], recordings: Mapping[str, Recording], phrases: list[str]) -> npt.NDArray[np.int64]:
    """(n_clips,) class of each clip, NO_CLASS where unlabelled. Raises DataError for a text that is none of several phrases."""
    n_before = len(phrases) - 1  # where the other labels have moved up by

    def number(clip: Clip) -> int:
        if clip.label == UNLABELLED:
            return NO_CLASS
        return LABELS.index(clip.label) + n_before if clip.label != LABELS[0] else said(recordings[clip.recording], phrases)

    return np.fromiter(map(number, clips), np.int64, len(clips))


def said(recording: Recording, phrases: Sequence[str]) -> int:
    """Which of the phrases a recording of one says. Raises DataError for a text that is none of several."""
    if len(phrases) == 1:
        return 0
    known = [plain(phrase) for phrase in phrases]
    if plain(recording.text) not in known:
        raise DataError(f"{recording.path}: says '{recording.text}', which is none of {', '.join(phrases)}.")
    return known.index(plain(recording.text))


def plain(text: str) -> str:
    """Text without what a file name or a sentence may change of a phrase: case, spaces, underscores, the coding of accents."""
    return " ".join(texts.folded(text.replace("_", " ")).split())

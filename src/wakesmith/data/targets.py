"""The teacher's answers by (clip, view): calibrated logits (C,), embedding (E,), whether finite. Made once, read by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.data import answers
from wakesmith.data.answers import EMPTY, NON_FINITE, OK
from wakesmith.errors import DataError

__all__ = ["EMPTY", "NON_FINITE", "OK", "TargetStore"]

Array = npt.NDArray[np.float32]
LOGITS, EMBEDDING = "logits", "embedding"


class TargetStore:
    """A folder: logits.npy (n_clips, K, C), embedding.npy (n_clips, K, E), both fp16, state.npy (n_clips, K), manifest.json."""

    def __init__(self, stored: answers.Answers) -> None:
        self.stored = stored
        self.n_clips, self.n_views = stored.manifest["keys"]
        (self.n_classes,), (self.embedding_size,) = stored.manifest["arrays"][LOGITS], stored.manifest["arrays"][EMBEDDING]

    @classmethod
    def open(cls, folder: Path) -> TargetStore:
        """Open to read. Raises DataError when nothing was labelled here."""
        return cls(answers.open_whole(folder, "teacher's answers"))

    @classmethod
    def create(cls, folder: Path, made_by: Mapping[str, Any], keys: tuple[int, int], n_classes: int, size: int) -> TargetStore:
        """Open to write: go on with what `made_by` (fingerprints) describes, or start empty. `keys`: (n_clips, K)."""
        return cls(answers.create(folder, made_by, keys, {LOGITS: (n_classes,), EMBEDDING: (size,)}))

    @property
    def made_by(self) -> dict[str, Any]:
        """Fingerprints of teacher and views, and the names of the classes."""
        return dict(self.stored.manifest["made_by"])

    @property
    def state(self) -> npt.NDArray[np.uint8]:
        """(n_clips, K): EMPTY, OK or NON_FINITE."""
        return self.stored.state

    def read(self, clip_index: int, view: int) -> tuple[Array, Array, int]:
        """Logits (C,), embedding (E,), state (OK or NON_FINITE; then the numbers are 0 and must not be learned from).

        Raises DataError for a key that the teacher did not answer.
        """
        inside = 0 <= clip_index < self.n_clips and 0 <= view < self.n_views
        state = int(self.state[clip_index, view]) if inside else EMPTY
        if state == EMPTY:
            raise DataError(f"{self.stored.folder}: no answer for clip {clip_index}, view {view}. Run `label` again.")
        logits, embedding = (self.stored.arrays[name][clip_index, view].astype(np.float32) for name in (LOGITS, EMBEDDING))
        return logits, embedding, state

    def batch(self, clips: npt.NDArray[np.intp], views: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[Any]]:
        """Many at once, for the trainer: (B,), (B,) -> teacher_logits (B, C), teacher_embedding (B, E), teacher_state (B,)."""
        logits, embedding = (self.stored.arrays[name][clips, views].astype(np.float32) for name in (LOGITS, EMBEDDING))
        return {"teacher_logits": logits, "teacher_embedding": embedding, "teacher_state": self.state[clips, views]}

    def write(self, clips: npt.NDArray[np.intp], views: npt.NDArray[np.intp], logits: Array, embedding: Array) -> None:
        """Store the answers of some keys: (B,), (B,), (B, C), (B, E)."""
        self.stored.write((clips, views), **{LOGITS: logits, EMBEDDING: embedding})

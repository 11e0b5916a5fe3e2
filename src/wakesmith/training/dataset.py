"""Batches for the trainer: row `position * n_views + view` -> features, label and, when distilling, the teacher's answer.

A whole batch is read by one index into each memory map: row by row, reading took longer than a small student's step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from wakesmith import metrics
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.augment.shift import VIEW_SAMPLES
from wakesmith.data.joined import Answered, Joined
from wakesmith.data.sampling import Row


class Rows(Dataset[Any]):
    """frames: (n_clips, K, T, F); labels: (n_clips,); clips: the numbers of the clips that take part, in order."""

    def __init__(
        self, frames: np.ndarray | Joined, labels: np.ndarray, clips: npt.ArrayLike, n_views: int, answered: Answered | None
    ) -> None:  # fmt: skip
        self.frames, self.labels, self.clips, self.n_views, self.answered = frames, labels, np.asarray(clips), n_views, answered

    def __len__(self) -> int:
        return len(self.clips) * self.n_views

    def clip_of(self, number: int) -> int:
        return int(self.clips[number // self.n_views])

    def __getitems__(self, rows: Sequence[Row | int]) -> dict[str, Tensor]:
        """One batch: features (B, T, F), labels (B,), row (B,), chances (B, n) where the sampler gave them, teacher_*."""
        numbers = np.array([row.number if isinstance(row, Row) else row for row in rows])
        clips, views = self.clips[numbers // self.n_views], numbers % self.n_views
        batch = {"features": self.frames[clips, views].astype(np.float32), "labels": self.labels[clips], "row": numbers}
        if isinstance(rows[0], Row):
            batch["chances"] = np.stack([row.chances for row in rows if isinstance(row, Row)])
        if self.answered is not None:
            batch |= self.answered.batch(clips, views)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def __getitem__(self, row: Row | int) -> dict[str, Tensor]:
        return self.__getitems__([row])


def as_it_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The collator: `Rows` gives whole batches."""
    return batch


def dev_metrics(prediction: Any, n_phrases: int = 1) -> dict[str, float]:
    """What is told of dev during training; no teacher takes part."""
    told = measured(prediction, n_phrases)
    return {name: told[name] for name in ("accuracy", "wake_auc", "frr", "nll")}


def measured(prediction: Any, n_phrases: int) -> dict[str, float]:
    """All figures of dev views, the same as on the teacher's card."""
    hours_per_clip = VIEW_SAMPLES / SAMPLE_RATE_HZ / 3600
    return metrics.answers(prediction.predictions, prediction.label_ids, hours_per_clip, n_phrases=n_phrases, near_miss=n_phrases)

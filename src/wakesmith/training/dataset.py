"""Rows for the trainer: row `position * n_views + view` -> features, label and, with a target store, the teacher's answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import Dataset

from wakesmith import metrics


class Rows(Dataset[dict[str, Any]]):
    """frames: (n_clips, K, T, F); labels: (n_clips,); clips: the numbers of the clips that take part, in order."""

    def __init__(self, frames: np.ndarray, labels: np.ndarray, clips: list[int], n_views: int, targets: Any) -> None:
        self.frames, self.labels, self.clips, self.n_views, self.targets = frames, labels, clips, n_views, targets

    def __len__(self) -> int:
        return len(self.clips) * self.n_views

    def __getitem__(self, row: int) -> dict[str, Any]:
        clip, view = self.clips[row // self.n_views], row % self.n_views
        item = {"features": self.frames[clip, view].astype(np.float32), "labels": self.labels[clip]}
        if self.targets is not None:
            logits, embedding, state = self.targets.read(clip, view)
            item |= {"teacher_logits": logits, "teacher_embedding": embedding, "teacher_state": np.int64(state)}
        return item


def dev_metrics(prediction: Any) -> dict[str, float]:
    """Accuracy and the wake class against the rest on dev clips; no teacher takes part."""
    logits, labels = prediction.predictions, prediction.label_ids
    wake = labels == 0
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = shifted[:, 0] / shifted.sum(axis=1)
    return {
        "accuracy": float((logits.argmax(axis=1) == labels).mean()),
        "eer": float(metrics.eer(scores[wake], scores[~wake])),
        "missed_over_highest_negative": float((scores[wake] <= scores[~wake].max()).mean()),
    }

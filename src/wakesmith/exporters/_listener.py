"""Front-end and student as the one network that ships: samples, or features, and state in, scores and state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.features.log_mel import HOP_SAMPLES
from wakesmith.students._streaming import Student

STEP_SAMPLES = 8 * HOP_SAMPLES  # 80 ms
"""What a step is near to: as many whole scores as come closest to it."""


Streams = Sequence[npt.NDArray[Any]]
"""Sound of train that an exporter quantises by, as its `calibrates_on` says: None for none at all; "features": (T, F) each, for a
model that leaves every front-end outside; "inputs": what the listener takes, (N,) samples each or such features."""


class Listener(nn.Module):
    """samples (1, step_samples), state (1, S) -> scores (1, n): the probability of the first class; state (1, S).

    For K > 1 phrases the scores are (1, n, K): the probabilities of the first K classes. A front-end that `is_outside` stays out:
    features (1, step_frames, F) take the place of the samples, and the state is the student's alone.
    """

    def __init__(self, front_end: nn.Module, student: Student, n_phrases: int = 1) -> None:
        super().__init__()
        self.n_phrases = n_phrases
        self.front_end, self.student = front_end.eval(), student.eval()
        self.is_outside = bool(getattr(front_end, "is_outside", False))
        self.front_size = int(front_end.state_size)  # type: ignore[arg-type]
        self.state_size = self.front_size + student.state_size
        hop_samples = int(front_end.hop_samples)  # type: ignore[arg-type]
        self.scores_per_step = max(1, round(STEP_SAMPLES / (hop_samples * student.hop_frames)))
        self.step_frames = self.scores_per_step * student.hop_frames
        self.step_samples = self.step_frames * hop_samples
        context_samples = int(getattr(front_end, "context_samples", self.front_size))
        self.receptive_samples = student.receptive_frames * hop_samples + context_samples
        self.input_name = "features" if self.is_outside else "samples"
        self.input_shape = (1, self.step_frames, int(front_end.n_mels)) if self.is_outside else (1, self.step_samples)  # type: ignore[arg-type]

    def forward(self, heard: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        features, front_state = heard, state[:, :0]
        if not self.is_outside:
            features, front_state = self.front_end.step(heard, state[:, : self.front_size])  # type: ignore[operator]
        logits, student_state = self.student.step(features, state[:, self.front_size :])
        scores = torch.softmax(logits, dim=-1)[..., : self.n_phrases]
        return scores.squeeze(-1) if self.n_phrases == 1 else scores, torch.cat([front_state, student_state], dim=1)

"""Front-end and student as the one network that ships: samples and state in, scores and state out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wakesmith.features.log_mel import HOP_SAMPLES
from wakesmith.students._streaming import Student

STEP_SAMPLES = 8 * HOP_SAMPLES  # 80 ms
"""What a step is near to: as many whole scores as come closest to it."""


class Listener(nn.Module):
    """samples (1, step_samples), state (1, S) -> scores (1, n): the probability of the first class; state (1, S).

    For K > 1 phrases the scores are (1, n, K): the probabilities of the first K classes.
    """

    def __init__(self, front_end: nn.Module, student: Student, n_phrases: int = 1) -> None:
        super().__init__()
        self.n_phrases = n_phrases
        self.front_end, self.student = front_end.eval(), student.eval()
        self.front_size = int(front_end.state_size)  # type: ignore[arg-type]
        self.state_size = self.front_size + student.state_size
        hop_samples = int(front_end.hop_samples) * student.hop_frames  # type: ignore[arg-type]
        self.scores_per_step = max(1, round(STEP_SAMPLES / hop_samples))
        self.step_samples = self.scores_per_step * hop_samples
        self.receptive_samples = student.receptive_frames * int(front_end.hop_samples) + self.front_size  # type: ignore[arg-type]

    def forward(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        features, front_state = self.front_end.step(samples, state[:, : self.front_size])  # type: ignore[operator]
        logits, student_state = self.student.step(features, state[:, self.front_size :])
        scores = torch.softmax(logits, dim=-1)[..., : self.n_phrases]
        return scores.squeeze(-1) if self.n_phrases == 1 else scores, torch.cat([front_state, student_state], dim=1)

"""Logit standardisation, Sun et al. 2024 (arXiv 2403.01427): kd on z-scores, so that the student is free in shift and scale.

T^2 * KL(teacher || student) of Z(logits) / T with Z(z) = (z - mean) / standard deviation, both over the classes of a row.
"""

from __future__ import annotations

from torch import Tensor

from wakesmith.losses._log_space import kl
from wakesmith.losses._soft import SoftLoss, SoftSettings, refuse_few_classes

NEEDS_TEACHER = True
FLOOR = 1e-8  # of the variance: equal logits become 0, with a finite gradient


class Config(SoftSettings):
    name: str = "logit_standard"


class LogitStandard(SoftLoss):
    def softened(self, logits: Tensor, temperature: float) -> Tensor:
        centred = logits - logits.mean(-1, keepdim=True)
        return centred * (centred.square().mean(-1, keepdim=True) + FLOOR).rsqrt() / temperature

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return kl(student, teacher)


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> LogitStandard:
    refuse_few_classes(config.name, n_classes, "the z-scores of two numbers are 1 and -1 whatever they are")
    return LogitStandard(config)

"""Decoupled knowledge distillation, Zhao et al. 2022 (arXiv 2203.08679, equation 7): T^2 * (a * TCKD + b * NCKD).

TCKD is KL(teacher || student) of "target class or not", NCKD that among the other classes alone. In plain kd, which is
TCKD + (1 - p) * NCKD with the teacher's probability p of the target, a sure teacher says nothing of the others.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from wakesmith.data.classes import NO_CLASS
from wakesmith.losses._log_space import kl_of_logs, split
from wakesmith.losses._soft import SoftLoss, SoftSettings, refuse_few_classes

NEEDS_TEACHER = True


class Config(SoftSettings):
    name: str = "dkd"
    target_weight: float = Field(default=1.0, ge=0.0)
    """Weight of TCKD: alpha in the paper, not the teacher's share, which is `alpha` here."""
    non_target_weight: float = Field(default=1.0, ge=0.0)
    """Weight of NCKD: beta in the paper, which tries 0.5 to 10."""


class DecoupledDistillation(SoftLoss):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.target_weight, self.non_target_weight = config.target_weight, config.non_target_weight

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        # Without a label the teacher's first choice is the target: of what it hears it is the best guess.
        target = torch.where(labels == NO_CLASS, teacher.argmax(-1), labels)
        of_target, of_others = terms(student, teacher, target)
        return self.target_weight * of_target + self.non_target_weight * of_others


def terms(student: Tensor, teacher: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, C), (B, C), classes (B,) -> TCKD (B,), NCKD (B,)."""
    sides = zip(split(student, target), split(teacher, target), strict=True)
    of_target, of_others = (kl_of_logs(*logs) for logs in sides)
    return of_target, of_others


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> DecoupledDistillation:
    refuse_few_classes(config.name, n_classes, "beside the target there is one class, so its second term is always 0")
    return DecoupledDistillation(config)

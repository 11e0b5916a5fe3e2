"""Knowledge distillation, Hinton et al. 2015 (arXiv 1503.02531, section 2): T^2 * KL(teacher || student), softened by T."""

from __future__ import annotations

from torch import Tensor

from wakesmith.losses._log_space import kl
from wakesmith.losses._soft import SoftLoss, SoftSettings

NEEDS_TEACHER = True


class Config(SoftSettings):
    name: str = "kd"


class KnowledgeDistillation(SoftLoss):
    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return kl(student, teacher)


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> KnowledgeDistillation:
    return KnowledgeDistillation(config)

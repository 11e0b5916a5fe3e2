"""Knowledge distillation, Hinton et al. 2015 (arXiv 1503.02531): alpha * T^2 * KL(teacher || student), both softened by T."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from wakesmith.config import PartSettings
from wakesmith.losses._base import Answers, Loss, Moment, warmed

NEEDS_TEACHER = True
ACROSS_ROWS = False


class Config(PartSettings):
    name: str = "kd"
    alpha: float = Field(default=0.9, ge=0.0, le=1.0)
    """Share of the teacher; the hard labels get the rest. 0 equals plain training."""
    temperature: float = Field(default=2.0, gt=0.0)
    warm_up_steps: int = Field(default=50, ge=0)


def kl_rows(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """(B, C), (B, C) -> (B,): T^2 * KL(teacher || student), in float32 and in log space on both sides."""
    student = functional.log_softmax(logits.float() / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, dim=-1)
    return functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1) * temperature**2


class KnowledgeDistillation(Loss):
    needs_teacher = NEEDS_TEACHER
    has_alpha = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.alpha, self.temperature, self.warm_up_steps = config.alpha, config.temperature, config.warm_up_steps

    def weight(self, moment: Moment) -> float:
        return warmed(self.alpha, moment.step, self.warm_up_steps)

    def told(self, moment: Moment) -> dict[str, float]:
        return {"alpha": self.weight(moment), "temperature": self.temperature}

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        assert answers.teacher_logits is not None
        return kl_rows(answers.logits, answers.teacher_logits, self.temperature)


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> KnowledgeDistillation:
    return KnowledgeDistillation(config)

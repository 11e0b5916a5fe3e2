"""The family of losses on softened logits, kd, dkd, dist and logit_standard: alpha * T^2 * a comparison of (B, C) with (B, C).

T^2 keeps the gradients as large as they are at T = 1 (Hinton et al. 2015, section 2).
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.losses._base import Answers, Loss, Moment, warmed
from wakesmith.losses._schedule import Alpha, Temperature, at

LEAST_CLASSES = 3


class SoftSettings(PartSettings):
    alpha: Alpha = 0.9
    """Share of the teacher, 0 to 1; the hard labels get the rest. 0 equals plain training. Or a schedule: {start, end, shape}."""
    temperature: Temperature = 2.0
    """Divides the logits of both sides; over 0. Or a schedule."""
    warm_up_steps: int = Field(default=50, ge=0)
    """Steps over which alpha rises from 0."""


class SoftLoss(Loss):
    needs_teacher = True
    has_alpha = True

    def __init__(self, config: SoftSettings) -> None:
        super().__init__()
        self.alpha, self.temperature, self.warm_up_steps = config.alpha, config.temperature, config.warm_up_steps

    def weight(self, moment: Moment) -> float:
        return warmed(at(self.alpha, moment), moment.step, self.warm_up_steps)

    def told(self, moment: Moment) -> dict[str, float]:
        return {"alpha": self.weight(moment), "temperature": at(self.temperature, moment)}

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        assert answers.teacher_logits is not None
        temperature = at(self.temperature, moment)
        student, teacher = (self.softened(x, temperature) for x in (answers.logits, answers.teacher_logits))
        return temperature**2 * self.compare(student, teacher, answers.labels)

    def softened(self, logits: Tensor, temperature: float) -> Tensor:
        return logits / temperature

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Softened logits (B, C), (B, C), labels (B,) or -1 -> (B,): 0 where both are equal."""
        raise NotImplementedError


def refuse_few_classes(name: str, n_classes: int, why: str) -> None:
    """Two logits hold one number, which these losses throw away."""
    if n_classes < LEAST_CLASSES:
        raise ConfigError(
            f"losses: '{name}' needs {LEAST_CLASSES} classes or more, and there are {n_classes}: {why}. Use kd instead."
        )

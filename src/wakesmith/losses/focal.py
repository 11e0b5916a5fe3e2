"""Focal loss, Lin et al. 2017 (arXiv 1708.02002, equation 4): -(1 - p)^gamma * log p with the probability p of the label.

Rows that are learned already count little; gamma 0 is cross-entropy.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from wakesmith.config import PartSettings
from wakesmith.losses._base import Answers, HardLoss, Moment
from wakesmith.losses._log_space import split

NEEDS_TEACHER = False


class Config(PartSettings):
    name: str = "focal"
    gamma: float = Field(default=2.0, ge=0.0)
    """How little the rows that are learned already count; 0: cross-entropy."""


class Focal(HardLoss):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gamma = config.gamma

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        log_p, log_rest = split(answers.logits, answers.labels)[0].unbind(-1)
        # A power of 1 - p has no finite gradient at p = 1 when gamma is under 1; its logarithm has.
        return -(self.gamma * log_rest).exp() * log_p


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> Focal:
    return Focal(config)

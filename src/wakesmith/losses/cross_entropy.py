"""Cross-entropy with the hard labels; label smoothing after Szegedy et al. 2016 (arXiv 1512.00567, section 7)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from wakesmith.config import PartSettings
from wakesmith.losses._base import Answers, HardLoss, Moment

NEEDS_TEACHER = False


class Config(PartSettings):
    name: str = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each label that is spread over the other classes."""


class CrossEntropy(HardLoss):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.label_smoothing = config.label_smoothing

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        return functional.cross_entropy(answers.logits, answers.labels, reduction="none", label_smoothing=self.label_smoothing)


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> CrossEntropy:
    return CrossEntropy(config)

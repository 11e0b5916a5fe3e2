"""DIST, Huang et al. 2022 (arXiv 2205.10536): softened probabilities correlate, instead of being equal.

T^2 * (b * mean over rows of (1 - Pearson with the teacher's row) + g * mean over classes of (1 - Pearson with its column)).
The second mean, over the batch, is spread evenly: every row holds it.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from wakesmith.losses._soft import SoftLoss, SoftSettings, refuse_few_classes

NEEDS_TEACHER = True
FLOOR = 1e-12


class Config(SoftSettings):
    name: str = "dist"
    inter_weight: float = Field(default=1.0, ge=0.0)
    """Of the classes within a row: beta in the paper."""
    intra_weight: float = Field(default=1.0, ge=0.0)
    """Of the rows within a class: gamma in the paper."""


class Dist(SoftLoss):
    across_rows = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.inter_weight, self.intra_weight = config.inter_weight, config.intra_weight

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        student, teacher = student.softmax(-1), teacher.softmax(-1)
        inter = uncorrelated(student, teacher)
        intra = uncorrelated(student.T, teacher.T).mean()
        return self.inter_weight * inter + self.intra_weight * intra


def uncorrelated(a: Tensor, b: Tensor) -> Tensor:
    """(M, N), (M, N) -> (M,): 1 - Pearson's correlation."""
    # For unit vectors 1 - ab = |a - b|^2 / 2, which is exactly 0 for equals, also where a constant has no correlation.
    return 0.5 * (_standard(a) - _standard(b)).square().sum(-1)


def _standard(values: Tensor) -> Tensor:
    """(M, N) -> (M, N): mean 0 and length 1; a constant becomes 0."""
    centred = values - values.mean(-1, keepdim=True)
    return centred * (centred.square().sum(-1, keepdim=True) + FLOOR).rsqrt()


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> Dist:
    refuse_few_classes(config.name, n_classes, "two numbers correlate with 1 or -1 whatever they are")
    return Dist(config)

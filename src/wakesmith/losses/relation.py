"""Relational knowledge distillation, Park et al. 2019 (arXiv 1904.05068, section 3.2): the shape of a batch of embeddings.

d * mean over pairs of huber(|s_i - s_j| / mean distance, the teacher's) + a * mean over triplets of huber(cosine of the angle
at s_j, the teacher's). A row holds its pairs and the angles at it. No projector: distances and angles know no size of space.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import smooth_l1_loss as huber

from wakesmith.losses._base import Answers, Moment
from wakesmith.losses._embeddings import EmbeddingLoss, EmbeddingSettings

NEEDS_TEACHER = True
FLOOR = 1e-8  # of a squared distance: rows nearer than this have no distance and no direction, and no gradient


class Config(EmbeddingSettings):
    name: str = "relation"
    distance_weight: float = Field(default=1.0, ge=0.0)
    """Of the distances between two rows."""
    angle_weight: float = Field(default=2.0, ge=0.0)
    """Twice that of the distance in the paper."""


class Relation(EmbeddingLoss):
    across_rows = True

    def __init__(self, config: Config, teacher_size: int) -> None:
        super().__init__(config, teacher_size)
        self.distance_weight, self.angle_weight = config.distance_weight, config.angle_weight

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        assert answers.teacher_embedding is not None
        n_rows = len(answers.embedding)
        distances, angles = relations(answers.embedding)
        teacher_distances, teacher_angles = relations(answers.teacher_embedding)
        # Fewer than two rows have no pair and fewer than three no angle: sums of nothing, 0 with a gradient of 0.
        of_distance = huber(distances, teacher_distances, reduction="none").sum(-1) / max(1, n_rows - 1)
        of_angle = huber(angles, teacher_angles, reduction="none").sum((-2, -1)) / max(1, (n_rows - 1) * (n_rows - 2))
        return self.distance_weight * of_distance + self.angle_weight * of_angle


def relations(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """(B, D) -> distances of the pairs over their mean (B, B), cosines at each row between each two others (B, B, B)."""
    n_rows = len(embeddings)
    between = embeddings[None] - embeddings[:, None]  # (B, B, D)
    squares = between.square().sum(-1)
    apart = squares > FLOOR
    # Chosen before the root, whose gradient at 0 is not finite.
    distances = torch.where(apart, squares, 1.0).sqrt() * apart  # (B, B)
    mean = distances.sum() / max(1, n_rows * (n_rows - 1))
    directions = between / torch.where(apart, distances, torch.inf)[..., None]
    others = 1.0 - torch.eye(n_rows, device=embeddings.device)
    return distances / mean.clamp_min(FLOOR**0.5), directions @ directions.mT * others


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> Relation:
    return Relation(config, teacher_size)

"""The student's embedding, through a linear projector, points where the teacher's does: 1 - cosine.

After FitNets (Romero et al. 2015, arXiv 1412.6550, equation 3), with the cosine for the distance.

The projector is trained and saved with the student and is left behind at export.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from wakesmith.losses._base import Answers, Moment
from wakesmith.losses._embeddings import EmbeddingLoss, EmbeddingSettings

NEEDS_TEACHER = True


class Config(EmbeddingSettings):
    name: str = "embedding"


class Embedding(EmbeddingLoss):
    def __init__(self, config: Config, student_size: int, teacher_size: int) -> None:
        super().__init__(config, teacher_size)
        self.projector = nn.Linear(student_size, teacher_size)

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        assert answers.teacher_embedding is not None
        projected = self.projector(answers.embedding)  # (B, D of the teacher)
        return 1.0 - functional.cosine_similarity(projected, answers.teacher_embedding, dim=-1)


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> Embedding:
    return Embedding(config, student_size, teacher_size)

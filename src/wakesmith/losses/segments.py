"""The student's middle frames, through a projector, say segment by segment what the teacher heard: 1 - cosine.

As DistilHuBERT (Chang et al. 2022, arXiv 2110.01900) has a student predict a teacher's frames; here those are the principal
components of `teach.head.content`. The last embedding has to hold a whole word; the middle frames get to know sounds, and real
people's speech teaches them those. The projector is a convolution over time, trained and saved with the student and left behind
at export: it may look ahead, so a sound need not be known at once.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from wakesmith.errors import ConfigError
from wakesmith.losses._base import Answers, Moment
from wakesmith.losses._embeddings import EmbeddingLoss, EmbeddingSettings

NEEDS_TEACHER = NEEDS_MIDDLE = True


class Config(EmbeddingSettings):
    name: str = "segments"
    size: int = Field(default=32, ge=1, le=128)
    """Numbers of a segment: `teach.head.content`."""
    kernel: int = Field(default=9, ge=1, le=49)
    """Middle frames that the projector looks at for one, an odd number."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel}: expected an odd number, as many frames before as after")
        return kernel


def check(config: Config, teacher: str, content: int) -> None:
    """Raises ValueError, when a recipe is read, for a teacher that does not say segments of this size."""
    if config.size != content:
        raise ValueError(f"losses: segments.size is {config.size} and teach.head.content {content}; they are the same numbers")
    if teacher == "ensemble":
        raise ValueError("losses: segments are those of one encoder; leave the loss out with an ensemble")


class Segments(EmbeddingLoss):
    needs_middle = NEEDS_MIDDLE

    def __init__(self, config: Config, middle_size: int, teacher_size: int) -> None:
        super().__init__(config, teacher_size)
        if not middle_size:
            raise ConfigError("losses: 'segments' needs a student with middle frames, such as mixednet. Leave the loss out.")
        if teacher_size % config.size:
            raise ConfigError(f"losses: segments.size {config.size} is no part of the {teacher_size} numbers of the teacher.")
        self.size, self.n_segments = config.size, teacher_size // config.size
        self.projector = nn.Conv1d(middle_size, config.size, config.kernel, padding=config.kernel // 2)

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        assert answers.teacher_embedding is not None
        assert answers.middle is not None, "the learner did not ask the student for its middle frames"
        return 1.0 - functional.cosine_similarity(self.said(answers.middle).flatten(1), answers.teacher_embedding, dim=-1)

    def said(self, middle: Tensor) -> Tensor:
        """(B, D, T) -> (B, S, size): the projector's answers, averaged segment by segment as `adaptive_avg_pool1d` does.

        What each tap of the projector sees is averaged first: S products in place of T, and no other layout of the frames.
        """
        n_taps = self.projector.kernel_size[0]
        seen = _seen(middle.shape[2], self.n_segments, n_taps).to(middle)
        averages = torch.matmul(seen, middle.transpose(1, 2)).reshape(len(middle), self.n_segments, -1)  # (B, S, taps D)
        return functional.linear(averages, self.projector.weight.transpose(1, 2).flatten(1), self.projector.bias)


@lru_cache(maxsize=8)
def _seen(n_frames: int, n_segments: int, n_taps: int) -> Tensor:
    """(S taps, T): the mean over a segment's frames of what a tap sees there; zeros beyond the ends."""
    beyond = functional.pad(torch.eye(n_frames), (0, 0, n_taps // 2, n_taps // 2))  # (T + taps - 1, T)
    taps = torch.stack([beyond[tap : tap + n_frames] for tap in range(n_taps)])  # (taps, T, T): of each frame
    return functional.adaptive_avg_pool1d(taps.transpose(1, 2), n_segments).permute(2, 0, 1).flatten(0, 1)


def build(config: Config, student_size: int, teacher_size: int, n_classes: int) -> Segments:
    """student_size: channels of the student's middle frames. Raises ConfigError for a student without, and for other numbers."""
    return Segments(config, student_size, teacher_size)

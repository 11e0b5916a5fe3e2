"""A head on Google's speech embedding, as openWakeWord programs run it: 16 embeddings of 80 ms each -> one score; 60k parameters.

Of the 16 that a program hands over it hears the last 9: those that lie wholly inside of a view of 1.5 s, so that it is trained on
embeddings as a stream gives them and not on such as begin with silence.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.features.speech_embedding import HOP_SAMPLES, N_VALUES, SpeechEmbedding
from wakesmith.students._norm import GroupedBatchNorm
from wakesmith.students._streaming import CausalConv, Chain, Student, last_frames

TAKES = "embeddings"
MOST_FRAMES = 16


class Config(PartSettings):
    name: str = "speech_embedding_head"
    width: Annotated[int, Field(ge=4, le=512)] = 64
    """Channels of both hidden layers."""
    frames: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 9
    """Embeddings that it hears, of the 16 that openWakeWord gives it."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class Again(nn.Module):
    """The second hidden layer: each frame by itself."""

    context = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 1, bias=False)
        self.norm = GroupedBatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, t, 1) -> (B, D, t, 1)"""
        return torch.relu(self.norm(self.conv(x)))


class SpeechEmbeddingHead(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__()
        width = config.width
        self.chain = Chain([CausalConv(N_VALUES, width, (config.frames, 1), (1, 1)), Again(width)], N_VALUES, 1)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, n_classes)
        self.embedding_size = width
        self.state_size, self.hop_frames = self.chain.state_size, self.chain.hop_frames
        self.receptive_frames = self.chain.receptive_frames

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = last_frames(features, self.receptive_frames)
        embedding = self.chain(x.transpose(1, 2).unsqueeze(3))[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, state = self.chain.step(features.transpose(1, 2).unsqueeze(3), state)
        return self.head(x[:, :, :, 0].transpose(1, 2)), state


def build(config: Config, n_values: int, n_frames: int, n_classes: int) -> SpeechEmbeddingHead:
    """A student for views of `n_frames` embeddings. Raises ConfigError when they are none, or when it would hear longer ones."""
    if n_values != N_VALUES:
        raise ConfigError(
            f"student: speech_embedding_head hears {N_VALUES} values a frame, and was given {n_values}. "
            "Set features: speech_embedding."
        )
    # A view of 1.5 s has 960 samples before its 18 chunks, which hold what the rest of the context is.
    context_frames = SpeechEmbedding.context_samples // HOP_SAMPLES
    most = n_frames - context_frames
    if config.frames > most:
        way = f"At most {most}." if most >= 1 else f"Take longer views: {context_frames + config.frames} of 80 ms and more."
        raise ConfigError(f"student.frames: {config.frames} do not fit into a view of {n_frames} embeddings. {way}")
    return SpeechEmbeddingHead(config, n_classes)

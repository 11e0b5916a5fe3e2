"""DS-CNN: a causal stack of depthwise separable convolutions over time and frequency; about 25k parameters, a score each 40 ms.

After Zhang et al., "Hello Edge" (arXiv:1711.07128), made causal, with long time kernels so that 1.44 s are heard. The first layer
strides by 4 in time and frequency: what follows is small enough to train in minutes on two cores.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.students._streaming import CausalConv, Chain, MeanOverTime, Separable, Student, last_frames

FIRST_KERNEL = (12, 5)
STRIDE_FRAMES = 4
KERNELS = (5, 7, 7, 7)
"""Frames of 40 ms that each block sees. Long kernels, not dilated ones: those train four times slower on a CPU."""
CONTEXT_FRAMES = 2
"""The front-end's window reaches this much further back than its own frame."""


class Config(PartSettings):
    name: str = "ds_cnn"
    width: Annotated[int, Field(ge=4, le=1024)] = 64
    """Channels of every layer."""
    mean_frames: Annotated[int, Field(ge=1, le=200)] = 12
    """Length of the mean before the last layer, in frames of 40 ms."""
    stride_bins: Literal[2, 4] = 4
    """Frequency stride of the first layer; 2 keeps more detail and trains three times slower."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class DsCnn(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_mels: int, n_classes: int) -> None:
        super().__init__()
        width = config.width
        n_bins = -(-n_mels // config.stride_bins)
        layers: list[nn.Module] = [CausalConv(1, width, FIRST_KERNEL, (STRIDE_FRAMES, config.stride_bins))]
        for i, kernel in enumerate(KERNELS):
            layers.append(Separable(width, (kernel, 3), stride_bins=2 if i == 0 else 1))
        n_bins = -(-n_bins // 2)
        layers.append(MeanOverTime(config.mean_frames))
        self.chain = Chain(layers, 1, n_mels)
        # One weight per channel and bin where the paper takes the mean: a band keeps its own meaning.
        self.join = nn.Conv2d(width, width, (1, n_bins), groups=width)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, n_classes)
        self.embedding_size = width
        self.state_size, self.hop_frames = self.chain.state_size, self.chain.hop_frames
        self.receptive_frames = self.chain.receptive_frames
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = last_frames(features, self.receptive_frames).unsqueeze(1)
        embedding = self.join(self.chain(x))[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, state = self.chain.step(features.unsqueeze(1), state)
        embedding = self.join(x)[:, :, :, 0].transpose(1, 2)  # (1, t, D)
        return self.head(embedding), state


def build(config: Config, n_mels: int, n_frames: int, n_classes: int) -> DsCnn:
    """A student for views of `n_frames` frames. Raises ConfigError when it would need longer ones."""
    student = DsCnn(config, n_mels, n_classes)
    beyond = student.receptive_frames + CONTEXT_FRAMES - n_frames
    if beyond > 0:
        most = config.mean_frames - -(-beyond // STRIDE_FRAMES)
        raise ConfigError(
            f"student.mean_frames: {config.mean_frames} do not fit into a view of {n_frames} frames. At most {most}."
        )
    return student

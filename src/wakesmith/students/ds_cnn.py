"""DS-CNN: a causal stack of depthwise separable convolutions over time and frequency; about 25k parameters, a score each 20 ms.

After Zhang et al., "Hello Edge" (arXiv:1711.07128), made causal, its time kernels dilated so that 1.44 s are heard.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.students._streaming import CausalConv, Chain, MeanOverTime, Separable, Student, last_frames

DILATIONS = (1, 2, 4, 4)


class Config(PartSettings):
    name: str = "ds_cnn"
    width: Annotated[int, Field(ge=4, le=1024)] = 64
    """Channels of every layer."""
    mean_frames: Annotated[int, Field(ge=1, le=200)] = 24
    """Length of the mean before the last layer, in frames of 20 ms."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1


class DsCnn(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_mels: int, n_classes: int) -> None:
        super().__init__()
        width = config.width
        layers: list[nn.Module] = [CausalConv(1, width, (10, 5), stride=(2, 2))]
        n_bins = (n_mels + 1) // 2
        for i, dilation in enumerate(DILATIONS):
            stride_bins = 2 if i < 2 else 1
            layers.append(Separable(width, width, (5, 3), stride_bins=stride_bins, dilation=dilation))
            n_bins = -(-n_bins // stride_bins)
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
    if student.receptive_frames > n_frames - 2:  # the front-end's window reaches two frames further back
        longest = config.mean_frames - -(-(student.receptive_frames - n_frames + 2) // 2)
        raise ConfigError(f"student.mean_frames: {config.mean_frames} frames reach back further than a view of {n_frames}. At most {longest}.")
    return student

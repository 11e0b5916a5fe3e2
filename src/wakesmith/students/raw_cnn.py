"""RawCnn: convolutions over the samples themselves, no spectrum between; about 42k parameters, a score each 40 ms.

The first layer holds filters of 5 ms that are learned (as in Dai et al. 2017, arXiv:1610.00087), depthwise separable ones stride
from 1.25 to 40 ms, and long kernels over time follow as in `ds_cnn`.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.features.raw import HOP_SAMPLES
from wakesmith.students._norm import GroupedBatchNorm
from wakesmith.students._streaming import CausalConv, Chain, MeanOverTime, Separable, Student, check_fit, last_frames

TAKES = "samples"
FIRST_KERNEL, FIRST_STRIDE = 80, 20
STRIDES = (8, 4)
"""Together with the first one 640 samples: 40 ms."""
KERNELS = (5, 7, 7, 7)
"""Frames of 40 ms."""


class Config(PartSettings):
    name: str = "raw_cnn"
    filters: Annotated[int, Field(ge=8, le=512)] = 32
    """Channels of the first layer."""
    width: Annotated[int, Field(ge=8, le=512)] = 80
    """Channels of the layers after it."""
    mean_frames: Annotated[int, Field(ge=1, le=200)] = 12
    """Length of the mean before the last layer, in frames of 40 ms."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class Slower(nn.Module):
    """Depthwise convolution with a stride over time, pointwise convolution, batch norm, ReLU."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_in, n_in, (2 * stride, 1), (stride, 1), groups=n_in, bias=False)
        self.pointwise = nn.Conv2d(n_in, n_out, 1, bias=False)
        self.norm = GroupedBatchNorm(n_out)
        self.context, self.stride_frames = stride, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, 1) -> (B, D', t / stride, 1)"""
        return torch.relu(self.norm(self.pointwise(self.depthwise(x))))


class RawCnn(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [CausalConv(1, config.filters, (FIRST_KERNEL, 1), (FIRST_STRIDE, 1))]
        n_in = config.filters
        for stride in STRIDES:
            layers.append(Slower(n_in, config.width, stride))
            n_in = config.width
        layers += [Separable(n_in, (kernel, 1)) for kernel in KERNELS]
        layers.append(MeanOverTime(config.mean_frames))
        self.chain = Chain(layers, 1, 1)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(n_in, n_classes)
        self.embedding_size = n_in
        self.state_size, self.hop_frames = self.chain.state_size, self.chain.hop_frames // HOP_SAMPLES
        self.receptive_frames = -(-self.chain.receptive_frames // HOP_SAMPLES)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        samples = last_frames(features, self.receptive_frames).reshape(len(features), 1, -1, 1)
        embedding = self.chain(samples[:, :, -self.chain.receptive_frames :])[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, state = self.chain.step(features.reshape(1, 1, -1, 1), state)
        return self.head(x[:, :, :, 0].transpose(1, 2)), state


def build(config: Config, n_values: int, n_frames: int, n_classes: int) -> RawCnn:
    """A student for views of `n_frames` frames. Raises ConfigError when they hold no samples, or are too short."""
    if n_values != HOP_SAMPLES:
        raise ConfigError(f"student: raw_cnn hears samples, {HOP_SAMPLES} a frame, and was given {n_values}. Set features: raw.")
    student = RawCnn(config, n_classes)
    check_fit(student, n_frames, config.mean_frames, context_frames=1)
    return student

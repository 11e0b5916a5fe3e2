"""TC-ResNet (Choi et al. 2019, arXiv:1904.03814): residual convolutions over time alone, the mel bins as channels.

About 60k parameters, a score each 80 ms. After TC-ResNet8, with three differences:
- causal: nothing is padded in time, and the mean at the end is over the last frames, not over the clip.
- the last block has kernels of 5 frames in place of 9, so that it hears less than 1.5 s, and 64 channels in place of 48.
- dropout comes at rate 0 unless asked for; the paper's is 0.5.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.students._streaming import CausalConv, Chain, MeanOverTime, Nested, Student, check_fit, last_frames

FIRST_WIDTH, FIRST_KERNEL = 16, 3
BLOCKS = ((24, 9), (32, 9), (64, 5))
"""Channels, kernel of both convolutions; each block strides by 2."""


class Config(PartSettings):
    name: str = "tc_resnet"
    width: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    """Factor of the channels of every layer; the paper's second size has 1.5."""
    mean_frames: Annotated[int, Field(ge=1, le=100)] = 4
    """Length of the mean before the last layer, in frames of 80 ms."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class Block(Nested):
    """Two convolutions, the first with stride 2, and past them a pointwise one."""

    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        first = CausalConv(n_in, n_out, (kernel, 1), (2, 1))
        super().__init__(Chain([first, CausalConv(n_out, n_out, (kernel, 1), (1, 1), relu=False)], n_in, 1))
        self.aside = CausalConv(n_in, n_out, (1, 1), (2, 1))

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x

    def join(self, through: Tensor, past: Tensor) -> Tensor:
        return torch.relu(through + self.aside(past))


class TcResNet(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_mels: int, n_classes: int) -> None:
        super().__init__()
        n_in = round(FIRST_WIDTH * config.width)
        layers: list[nn.Module] = [CausalConv(n_mels, n_in, (FIRST_KERNEL, 1), (1, 1))]
        for channels, kernel in BLOCKS:
            layers.append(Block(n_in, round(channels * config.width), kernel))
            n_in = round(channels * config.width)
        layers.append(MeanOverTime(config.mean_frames))
        self.chain = Chain(layers, n_mels, 1)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(n_in, n_classes)
        self.embedding_size = n_in
        self.state_size, self.hop_frames = self.chain.state_size, self.chain.hop_frames
        self.receptive_frames = self.chain.receptive_frames

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.chain(_as_channels(last_frames(features, self.receptive_frames)))[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, state = self.chain.step(_as_channels(features), state)
        return self.head(x[:, :, :, 0].transpose(1, 2)), state


def _as_channels(features: Tensor) -> Tensor:
    """(B, T, F) -> (B, F, T, 1)"""
    return features.transpose(1, 2).unsqueeze(3)


def build(config: Config, n_mels: int, n_frames: int, n_classes: int) -> TcResNet:
    """A student for views of `n_frames` frames. Raises ConfigError when it would need longer ones."""
    student = TcResNet(config, n_mels, n_classes)
    check_fit(student, n_frames, config.mean_frames)
    return student

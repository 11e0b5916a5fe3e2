"""BC-ResNet (Kim et al. 2021, arXiv:2106.04140): residuals that see only the mean over frequency, and are added to every bin.

What differs from the paper:
- causal: nothing is padded in time, and the mean at the end is over the last frames, not over the clip.
- the first layer strides in time as well. The paper's dilations of 1, 2, 4 and 8 frames of 10 ms then are kernels of 3 frames of
  40 ms without dilation: they hear as far, and a training step takes 115 ms of CPU in place of 402.
- sub-spectral norm is a batch norm of each channel over groups of rows, then a scale and a shift of each channel and bin.
  At inference both are the same: a factor and an offset of a channel in a band, which no other row changes.
- dropout comes once, before the last layer.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.students._norm import GroupedBatchNorm
from wakesmith.students._streaming import CausalConv, Chain, MeanOverTime, Nested, Student, check_fit, last_frames

FIRST_KERNEL = (6, 5)
STRIDE_FRAMES = 4
FIRST_WIDTH, LAST_WIDTH = 16, 32
STAGES = ((2, 8, 1), (2, 12, 2), (4, 16, 2), (4, 20, 1))
"""Blocks, channels for each unit of tau, frequency stride of the first block."""
KERNEL = 3
LAST_KERNEL = 5


class Config(PartSettings):
    name: str = "bc_resnet"
    tau: Annotated[float, Field(ge=1.0, le=8.0)] = 1.0
    """Width: the paper's 1, 1.5, 2, 3, 6 and 8, or any between."""
    mean_frames: Annotated[int, Field(ge=1, le=200)] = 8
    """Length of the mean before the last layer, in frames of 40 ms."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class BandNorm(nn.Module):
    """Batch norm of each channel, then a scale and a shift of each channel and bin. (B, D, T, F) -> (B, D, T, F)"""

    def __init__(self, n_channels: int, n_bins: int) -> None:
        super().__init__()
        self.norm = GroupedBatchNorm(n_channels)
        self.scale = nn.Parameter(torch.ones(n_channels, 1, n_bins))
        self.shift = nn.Parameter(torch.zeros(n_channels, 1, n_bins))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, self.norm(x), self.scale)


class OverTime(nn.Module):
    """On the mean over frequency: depthwise convolution over time, batch norm, swish, pointwise convolution."""

    def __init__(self, n_channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_channels, n_channels, (kernel, 1), groups=n_channels, bias=False)
        self.norm = GroupedBatchNorm(n_channels)
        self.pointwise = nn.Conv2d(n_channels, n_channels, 1, bias=False)
        self.context = kernel - 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, 1) -> (B, D, t, 1)"""
        out: Tensor = self.pointwise(nn.functional.silu(self.norm(self.depthwise(x))))
        return out


class Broadcast(Nested):
    """y = ReLU(x + f(x) + g(mean of f(x) over frequency)): f over frequency, g over time. Without x where its shape changes."""

    def __init__(self, n_in: int, n_out: int, n_bins: int, stride_bins: int) -> None:
        super().__init__(Chain([OverTime(n_out, KERNEL)], n_out, 1))
        self.adds = n_in == n_out and stride_bins == 1
        self.entry = nn.Identity() if self.adds else CausalConv(n_in, n_out, (1, 1), (1, 1))
        self.over_bins = nn.Conv2d(n_out, n_out, (1, 3), (1, stride_bins), (0, 1), groups=n_out, bias=False)
        self.norm = BandNorm(n_out, n_bins)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.norm(self.over_bins(self.entry(x)))
        return out.mean(dim=3, keepdim=True), x + out if self.adds else out

    def join(self, through: Tensor, past: Tensor) -> Tensor:
        return torch.relu(past + through)


class BcResNet(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_mels: int, n_classes: int) -> None:
        super().__init__()
        n_in, n_bins = round(FIRST_WIDTH * config.tau), -(-n_mels // 2)
        layers: list[nn.Module] = [CausalConv(1, n_in, FIRST_KERNEL, (STRIDE_FRAMES, 2))]
        for n_blocks, channels, stride_bins in STAGES:
            n_out, n_bins = round(channels * config.tau), -(-n_bins // stride_bins)
            for i in range(n_blocks):
                layers.append(Broadcast(n_in, n_out, n_bins, stride_bins if i == 0 else 1))
                n_in = n_out
        layers.append(Whole(n_in, (LAST_KERNEL, n_bins)))
        self.embedding_size = round(LAST_WIDTH * config.tau)
        layers += [CausalConv(n_in, self.embedding_size, (1, 1), (1, 1)), MeanOverTime(config.mean_frames)]
        self.chain = Chain(layers, 1, n_mels)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.embedding_size, n_classes)
        self.state_size, self.hop_frames = self.chain.state_size, self.chain.hop_frames
        self.receptive_frames = self.chain.receptive_frames

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.chain(last_frames(features, self.receptive_frames).unsqueeze(1))[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, state = self.chain.step(features.unsqueeze(1), state)
        return self.head(x[:, :, :, 0].transpose(1, 2)), state


class Whole(nn.Module):
    """Depthwise convolution over all bins at once. (B, D, context + t, F) -> (B, D, t, 1)"""

    def __init__(self, n_channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_channels, n_channels, kernel, groups=n_channels, bias=False)
        self.context = kernel[0] - 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.depthwise(x)
        return out


def build(config: Config, n_mels: int, n_frames: int, n_classes: int) -> BcResNet:
    """A student for views of `n_frames` frames. Raises ConfigError when it would need longer ones."""
    student = BcResNet(config, n_mels, n_classes)
    check_fit(student, n_frames, config.mean_frames)
    return student

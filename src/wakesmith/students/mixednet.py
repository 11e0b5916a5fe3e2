"""MixedNet: causal convolutions over time alone, several kernel lengths side by side; about 30k parameters, a score each 30 ms.

In the spirit of microWakeWord's MixedNet (Ahrendt; after MixConv, Tan and Le, arXiv:1907.09595). The mel bins are the channels of
the first layer, so that nothing has a frequency axis, and every layer is one that microcontrollers have: convolutions and ReLU.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.students._norm import GroupedBatchNorm
from wakesmith.students._over_time import TimeConv
from wakesmith.students._streaming import CausalConv, Chain, Student, last_frames

FIRST_KERNEL = 5
STRIDE_FRAMES = 3
KERNELS = ((5,), (7, 11), (9, 15), (17,))
"""Frames of 30 ms that the channels of each block see; two lengths: half of the channels each."""
SHOWS_MIDDLE = True
N_LOWER = 3
"""Layers up to the middle one."""
CONTEXT_FRAMES = 2
"""The front-end's window reaches this much further back than its own frame."""


class Config(PartSettings):
    name: str = "mixednet"
    first_width: Annotated[int, Field(ge=8, le=512)] = 32
    """Channels of the first layer, which holds a weight for each of them, mel bin and five frames."""
    width: Annotated[int, Field(ge=8, le=512)] = 64
    """Channels of the blocks."""
    tail_frames: Annotated[int, Field(ge=1, le=100)] = 4
    """Frames of 30 ms that the last layer weighs."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class MixedSeparable(nn.Module):
    """Depthwise convolution over time, its groups of channels of different kernel lengths; pointwise convolution, norm, ReLU."""

    def __init__(self, n_in: int, n_out: int, lengths: tuple[int, ...]) -> None:
        super().__init__()
        sizes = [len(part) for part in torch.arange(n_in).tensor_split(len(lengths))]
        # A plain module each, for the usual first weights; they are run as one convolution.
        groups = [nn.Conv2d(n, n, (k, 1), groups=n, bias=False) for n, k in zip(sizes, lengths, strict=True)]
        self.depthwise = nn.ModuleList(groups)
        self.pointwise = TimeConv(n_in, n_out)
        self.norm = GroupedBatchNorm(n_out)
        self.context = max(lengths) - 1

    def kernel(self) -> Tensor:
        """(D, 1, context + 1, 1): the shorter kernels see nothing of the oldest frames."""
        weights = [group.weight for group in self.depthwise if isinstance(group, nn.Conv2d)]
        return torch.cat([nn.functional.pad(w, (0, 0, self.context + 1 - w.shape[2], 0)) for w in weights])

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, 1) -> (B, D', t, 1)"""
        mixed = nn.functional.conv2d(x, self.kernel(), groups=x.shape[1])
        return torch.relu(self.norm(self.pointwise(mixed)))


class WeightedSum(nn.Module):
    """Each channel's own weights for its last frames; no mean, as the end of a word is not like its beginning."""

    def __init__(self, n_channels: int, n_frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, n_channels, (n_frames, 1), groups=n_channels)
        self.context = n_frames - 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, 1) -> (B, D, t, 1)"""
        out: Tensor = self.conv(x)
        return out


class MixedNet(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_mels: int, n_classes: int) -> None:
        super().__init__()
        first = TimeConv(n_mels, config.first_width, FIRST_KERNEL, STRIDE_FRAMES)
        layers: list[nn.Module] = [CausalConv(n_mels, config.first_width, (FIRST_KERNEL, 1), (STRIDE_FRAMES, 1), conv=first)]
        n_in = config.first_width
        for lengths in KERNELS:
            layers.append(MixedSeparable(n_in, config.width, lengths))
            n_in = config.width
        layers.append(WeightedSum(config.width, config.tail_frames))
        self.chain = Chain(layers, n_mels, 1)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, n_classes)
        self.embedding_size = self.middle_size = config.width
        self.state_size, self.hop_frames = self.chain.state_size, self.chain.hop_frames
        self.receptive_frames = self.chain.receptive_frames
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.chain(_as_channels(last_frames(features, self.receptive_frames)))[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding

    def look(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lower, upper = list(self.chain.layers)[:N_LOWER], list(self.chain.layers)[N_LOWER:]
        before = _context(lower[:1]) + STRIDE_FRAMES * _context(lower[1:])  # zeros: the view's start is seen too
        frames = _through(lower, _as_channels(nn.functional.pad(features, (0, 0, before, 0)))).permute(0, 2, 3, 1)
        # Taken apart with the channels last: the gradient of a part lies in memory in the order of its dimensions
        middle = frames.squeeze(2).transpose(1, 2)
        newest = middle.transpose(1, 2)[:, -1 - _context(upper) :]
        embedding = _through(upper, _as_channels(newest))[:, :, 0, 0]
        return self.head(self.drop(embedding)), embedding, middle

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, state = self.chain.step(_as_channels(features), state)
        return self.head(x[:, :, :, 0].transpose(1, 2)), state


def _context(layers: Iterable[nn.Module]) -> int:
    return sum(int(layer.context) for layer in layers)  # type: ignore


def _through(layers: Iterable[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _as_channels(features: Tensor) -> Tensor:
    """(B, T, F) -> (B, F, T, 1)"""
    return features.unsqueeze(2).permute(0, 3, 1, 2)


def build(config: Config, n_mels: int, n_frames: int, n_classes: int) -> MixedNet:
    """A student for views of `n_frames` frames. Raises ConfigError when it would need longer ones."""
    student = MixedNet(config, n_mels, n_classes)
    beyond = student.receptive_frames + CONTEXT_FRAMES - n_frames
    if beyond > 0:
        most = config.tail_frames - -(-beyond // STRIDE_FRAMES)
        way = f"At most {most}." if most >= 1 else f"Take longer views: clip_s of {(beyond + n_frames) / 100:.2f} s."
        raise ConfigError(f"student.tail_frames: {config.tail_frames} do not fit into a view of {n_frames} frames. {way}")
    return student

"""MobileNetV3-Small (Howard et al., arXiv:1905.02244) on one channel of log-mel: 1,519,618 parameters with two classes.

Windowed: it hears the last frames as one picture, again every 80 ms. Its state is those frames. At every width its weights have
the names and shapes of torchvision's `mobilenet_v3_small(width_mult=width)`, so that such weights load strictly.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.students._norm import GroupedBatchNorm
from wakesmith.students._streaming import Student, last_frames

HOP_FRAMES = 8
CONTEXT_FRAMES = 2
"""The front-end's window reaches this much further back than its own frame."""
Row = tuple[int, int, int, int, bool, type[nn.Module], int]
BLOCKS: list[Row] = [
    # channels in, kernel, channels inside, channels out, squeeze-excite, activation, stride
    (16, 3, 16, 16, True, nn.ReLU, 2),
    (16, 3, 72, 24, False, nn.ReLU, 2),
    (24, 3, 88, 24, False, nn.ReLU, 1),
    (24, 5, 96, 40, True, nn.Hardswish, 2),
    (40, 5, 240, 40, True, nn.Hardswish, 1),
    (40, 5, 240, 40, True, nn.Hardswish, 1),
    (40, 5, 120, 48, True, nn.Hardswish, 1),
    (48, 5, 144, 48, True, nn.Hardswish, 1),
    (48, 5, 288, 96, True, nn.Hardswish, 2),
    (96, 5, 576, 96, True, nn.Hardswish, 1),
    (96, 5, 576, 96, True, nn.Hardswish, 1),
]
LAST_FACTOR, HIDDEN = 6, 1024
HAS_LAST_LAYER = False
"""Two layers lie over its embedding, with an activation between them."""


class Config(PartSettings):
    name: str = "mobilenet_v3"
    width: Annotated[float, Field(ge=0.25, le=1.0)] = 1.0
    """Share of the channels of every layer; a quarter of them: 117,642 parameters."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Drawn for each micro-batch and process: with it, their number changes the result a little."""


class SqueezeExcite(nn.Module):
    """Each channel is scaled by what all of them say on average."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        n_squeezed = _to_eighth(n_channels / 4)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(n_channels, n_squeezed, 1)
        self.fc2 = nn.Conv2d(n_squeezed, n_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = nn.functional.hardsigmoid(self.fc2(torch.relu(self.fc1(self.avgpool(x)))))
        return x * scale


class InvertedResidual(nn.Module):
    def __init__(
        self, n_in: int, kernel: int, n_inside: int, n_out: int, excite: bool, act: type[nn.Module], stride: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if n_inside != n_in:
            layers.append(conv_norm(n_in, n_inside, 1, act))
        layers.append(conv_norm(n_inside, n_inside, kernel, act, stride, groups=n_inside))
        if excite:
            layers.append(SqueezeExcite(n_inside))
        layers.append(conv_norm(n_inside, n_out, 1, None))
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return x + out if self.adds else out


class MobileNetV3(Student):
    listens = "windowed"
    hop_frames = HOP_FRAMES

    def __init__(self, config: Config, n_mels: int, receptive_frames: int, n_classes: int) -> None:
        super().__init__()
        self.n_mels, self.receptive_frames = n_mels, receptive_frames
        self.state_size = (receptive_frames - HOP_FRAMES) * n_mels
        rows = [_scaled(row, config.width) for row in BLOCKS]
        first, n_out, n_hidden = rows[0][0], rows[-1][3], _to_eighth(HIDDEN * config.width)
        n = self.embedding_size = LAST_FACTOR * n_out
        blocks = [InvertedResidual(*row) for row in rows]
        self.features = nn.Sequential(conv_norm(1, first, 3, nn.Hardswish, 2), *blocks, conv_norm(n_out, n, 1, nn.Hardswish))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        head = (nn.Linear(n, n_hidden), nn.Hardswish(), nn.Dropout(config.dropout), nn.Linear(n_hidden, n_classes))
        self.classifier = nn.Sequential(*head)
        _initialise(self)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        picture = last_frames(features, self.receptive_frames).unsqueeze(1)
        embedding = self.avgpool(self.features(picture)).flatten(1)
        return self.classifier(embedding), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        frames = torch.cat([state.reshape(1, -1, self.n_mels), features], dim=1)
        starts = range(0, features.shape[1], HOP_FRAMES)
        windows = torch.cat([frames[:, start : start + self.receptive_frames] for start in starts])
        logits, _ = self(windows)
        return logits.unsqueeze(0), frames[:, features.shape[1] :].reshape(1, -1)


def conv_norm(n_in: int, n_out: int, kernel: int, act: type[nn.Module] | None, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the size but for its stride, batch norm, activation."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    # The published momentum of 0.01 wants a hundred epochs; ours are few, and the statistics must keep up.
    norm = GroupedBatchNorm(n_out, eps=1e-3, momentum=0.1)
    return nn.Sequential(conv, norm, *([act()] if act else []))


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)


def _scaled(row: Row, width: float) -> Row:
    n_in, kernel, n_inside, n_out = row[:4]
    return (_to_eighth(n_in * width), kernel, _to_eighth(n_inside * width), _to_eighth(n_out * width), *row[4:])


def _to_eighth(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8 and never under nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def build(config: Config, n_mels: int, n_frames: int, n_classes: int) -> MobileNetV3:
    """A student for views of `n_frames` frames: it hears the most whole hops that lie inside with the front-end's window."""
    receptive_frames = (n_frames - CONTEXT_FRAMES) // HOP_FRAMES * HOP_FRAMES
    if receptive_frames < 4 * HOP_FRAMES:
        raise ConfigError(
            f"clip_s: a view of {n_frames} frames is too short, mobilenet_v3 needs {4 * HOP_FRAMES + CONTEXT_FRAMES}."
        )
    return MobileNetV3(config, n_mels, receptive_frames, n_classes)

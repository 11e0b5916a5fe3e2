"""Raw features: (B, N) samples at 16 kHz -> (B, T, 160) frames, the samples of 10 ms each, for students that hear sound itself.

Each sample less most of the one before it, as speech falls by 6 dB an octave; then compressed, so that a sound half as loud is a
step lower and not half the size. No clip is measured for it: training, the exported graph and a stream compute the same numbers.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.config import PartSettings

GIVES = "samples"
HOP_SAMPLES = SAMPLE_RATE_HZ // 100  # 10 ms


class Config(PartSettings):
    name: str = "raw"
    emphasis: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95
    """Share of the sample before that is taken off."""
    floor: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    """Amplitude, of full scale 1, up to which sound stays as it is; the louder is compressed."""
    spread: Annotated[float, Field(gt=0.0)] = 1.5
    """What the result is divided by; it brings speech to a deviation of about 1."""


class Raw(nn.Module):
    """The front-end. `step` carries the last sample."""

    hop_samples = HOP_SAMPLES
    state_size = 1
    n_mels = HOP_SAMPLES
    """Values in a frame, under the name that every front-end has for them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.emphasis, self.floor, self.spread = config.emphasis, config.floor, config.spread

    def initial_state(self) -> Tensor:
        return torch.zeros(1, self.state_size)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, N) with N a multiple of 160 -> (B, N / 160, 160); before the first sample there was silence."""
        return self._frames(nn.functional.pad(samples, (self.state_size, 0)))

    def step(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(1, n), (1, S) -> (1, n / 160, 160), (1, S)"""
        joined = torch.cat([state, samples], dim=1)
        return self._frames(joined), joined[:, -self.state_size :]

    def _frames(self, joined: Tensor) -> Tensor:
        """(B, 1 + N) -> (B, N / 160, 160)"""
        risen = joined[:, 1:] - self.emphasis * joined[:, :-1]
        pressed = risen.sign() * torch.log1p(risen.abs() / self.floor) / self.spread
        return pressed.reshape(len(joined), -1, HOP_SAMPLES)


def build(config: Config) -> Raw:
    return Raw(config)

"""Micro features: (B, N) samples at 16 kHz -> (B, T, 40) frames of 0 to 26, one per 10 ms: the front-end of ESPHome devices.

It remembers the noise of the last seconds, so a clip sounds different to it in a stream than by itself. In training each view is
heard after other sound. It lies outside of the exported model, as on a device: `runtime.front_ends.micro`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from wakesmith.audio import Samples
from wakesmith.config import PartSettings, span
from wakesmith.runtime.front_ends import FrontEnd, micro


class Config(PartSettings):
    name: str = "micro"
    history_s: Annotated[list[float], span(0, 30)] = [0.5, 3.0]
    """Least and most sound before each view in training. The noise that the front-end follows is learned within two seconds."""


class Micro(nn.Module):
    """The front-end. What `step` carries is an object that only it can read, and that it changes: a stream has its own."""

    hop_samples = micro.HOP_SAMPLES
    context_samples = micro.WINDOW_SAMPLES - micro.HOP_SAMPLES
    n_mels = micro.N_BINS
    is_outside = True
    state_size = 0
    """Numbers of its state that pass through the exported model."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.history_s = config.history_s

    def initial_state(self) -> FrontEnd:
        return micro.begin({})

    def forward(self, samples: Tensor, history: Sequence[Samples] = ()) -> Tensor:
        """(B, N) -> (B, N / 160, 40); each begins after silence, or after its own `history`: (n,), both of whole hops."""
        streams = [self.initial_state() for _ in samples]
        for stream, before in zip(streams, history, strict=True) if history else ():
            stream.step(before)
        return torch.stack([torch.from_numpy(stream.step(one.numpy())) for stream, one in zip(streams, samples, strict=True)])

    def step(self, samples: Tensor, state: FrontEnd) -> tuple[Tensor, FrontEnd]:
        """(1, n) -> (1, n / 160, 40)"""
        return torch.from_numpy(state.step(samples[0].numpy()))[None], state


def build(config: Config) -> Micro:
    return Micro(config)

"""Log-mel features: (B, N) samples at 16 kHz -> (B, T, F) frames, one per 10 ms, each of the 25 ms that end with it.

Built of slices and matrix products alone, so that training, the exported graph and a stream compute the same numbers.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.config import PartSettings

HOP_SAMPLES = SAMPLE_RATE_HZ // 100  # 10 ms
WINDOW_SAMPLES = SAMPLE_RATE_HZ // 40  # 25 ms
HALF = WINDOW_SAMPLES // 2
BIN_HZ = SAMPLE_RATE_HZ / WINDOW_SAMPLES  # 40 Hz


class Config(PartSettings):
    name: str = "log_mel"
    n_mels: Annotated[int, Field(ge=8, le=80)] = 40
    """Bands of a frame."""
    low_hz: Annotated[float, Field(ge=BIN_HZ / 2)] = 60.0
    """Lower end of the lowest band."""
    high_hz: Annotated[float, Field(le=SAMPLE_RATE_HZ / 2)] = 7600.0
    """Upper end of the highest band."""
    floor: Annotated[float, Field(gt=0.0)] = 1e-5
    """Power of a band that counts as silence: white noise of about -72 dB of full scale."""
    mean: float = -5.0
    """Of the log power; with `spread` it brings recordings of speech and noise to about mean 0 and deviation 1."""
    spread: Annotated[float, Field(gt=0.0)] = 4.0
    """Deviation of the log power, which it is divided by."""

    @model_validator(mode="after")
    def _check(self) -> Config:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz {self.low_hz} must lie below high_hz {self.high_hz}")
        if not mel_filters(self.n_mels, self.low_hz, self.high_hz).any(axis=0).all():
            raise ValueError(f"{self.n_mels} mel bands between {self.low_hz} and {self.high_hz} Hz leave some empty: take fewer")
        return self


class LogMel(nn.Module):
    """The front-end. `step` carries the samples that the next window still needs."""

    hop_samples = HOP_SAMPLES
    state_size = WINDOW_SAMPLES - HOP_SAMPLES
    cosines: Tensor
    sines: Tensor
    filters: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.n_mels = config.n_mels
        self.floor, self.mean, self.spread = config.floor, config.mean, config.spread
        filters = mel_filters(config.n_mels, config.low_hz, config.high_hz)  # (bins, F)
        used = np.flatnonzero(filters.any(axis=1))
        first, last = int(used[0]), int(used[-1]) + 1
        cosines, sines = half_fourier(first, last)
        for name, value in {"cosines": cosines, "sines": sines, "filters": filters[first:last]}.items():
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)), persistent=False)

    def initial_state(self) -> Tensor:
        return torch.zeros(1, self.state_size)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, N) with N a multiple of 160 -> (B, N / 160, F); before the first sample there was silence."""
        return self._frames(nn.functional.pad(samples, (self.state_size, 0)))

    def step(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(1, n), (1, S) -> (1, n / 160, F), (1, S)"""
        joined = torch.cat([state, samples], dim=1)
        return self._frames(joined), joined[:, -self.state_size :]

    def _frames(self, joined: Tensor) -> Tensor:
        """(B, state_size + N) -> (B, N / 160, F)"""
        # The window is symmetric about its middle: each pair of samples is folded into a sum, for the cosines, and a difference,
        # for the sines. That halves the work.
        windows = _windows(joined)  # (B, T, 400)
        left, right = windows[..., :HALF], windows[..., HALF:].flip(-1)
        real = (left + right) @ self.cosines
        imaginary = (left - right) @ self.sines
        power = (real * real + imaginary * imaginary) @ self.filters
        return (torch.log(power.clamp_min(self.floor)) - self.mean) / self.spread


def _windows(joined: Tensor) -> Tensor:
    """(B, 240 + N) -> (B, N / 160, 400): each hop of 160 samples with the 240 before it."""
    spare = 3 * HOP_SAMPLES - WINDOW_SAMPLES
    hops = nn.functional.pad(joined, (spare, 0)).reshape(joined.shape[0], -1, HOP_SAMPLES)  # (B, T + 2, 160)
    return torch.cat([hops[:, :-2, spare:], hops[:, 1:-1], hops[:, 2:]], dim=2)


def half_fourier(first: int, last: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Hann-windowed cosines and sines of bins first..last about the middle of the window, for its left half: (200, bins) each."""
    n = np.arange(HALF) - (WINDOW_SAMPLES - 1) / 2
    hann = np.cos(np.pi * n / WINDOW_SAMPLES) ** 2
    phase = 2 * np.pi / WINDOW_SAMPLES * n[:, None] * np.arange(first, last)
    return hann[:, None] * np.cos(phase), hann[:, None] * np.sin(phase)


def mel_filters(n_mels: int, low_hz: float, high_hz: float) -> npt.NDArray[np.float64]:
    """Triangles of height 1, evenly spaced on the mel scale of HTK: (201 bins, F)."""
    edges_mel = np.linspace(_mel(low_hz), _mel(high_hz), n_mels + 2)
    edges_hz = 700.0 * (np.exp(edges_mel / 1127.0) - 1.0)
    hz = np.arange(HALF + 1)[:, None] * BIN_HZ
    rising = (hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - hz) / np.diff(edges_hz)[1:]
    return np.clip(np.minimum(rising, falling), 0.0, None)


def _mel(hz: float) -> float:
    return 1127.0 * math.log1p(hz / 700.0)


def build(config: Config) -> LogMel:
    return LogMel(config)

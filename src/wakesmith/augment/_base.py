"""What an effect is: numbers are drawn by name from chance, then applied; the two never mix.

An effect file holds `Config` and `build(config)`; the effect has `draw(chance, clip, bank) -> dict` of plain numbers and
`apply(samples, drawn, bank) -> samples`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from wakesmith.audio import Samples
from wakesmith.data.records import Clip

Drawn = dict[str, Any]


class Bank(Protocol):
    """Sounds that effects mix in, of the clip's own split: (n, N) float32 beds and (n, M) float32 room responses."""

    def count(self, kind: str, split: str) -> int: ...

    def take(self, kind: str, split: str, number: int) -> Samples: ...


class Effect(Protocol):
    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn: ...

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples: ...


def power(samples: Samples) -> float:
    """Mean square of the loud half: pauses do not count as speech."""
    frames = np.square(samples[: len(samples) // 160 * 160].reshape(-1, 160)).mean(axis=1)
    return float(np.sort(frames)[len(frames) // 2 :].mean()) if len(frames) else 0.0


def mix_at_snr(samples: Samples, other: Samples, snr_db: float) -> Samples:
    """Add another sound at a signal-to-noise ratio of the loud half of each. Silence takes the other at -40 dBFS less the SNR."""
    wanted = (power(samples) or 1e-4) * 10 ** (-snr_db / 10)
    return samples + other * np.float32(np.sqrt(wanted / max(power(other), 1e-12)))

"""A noise gate, as telephones and browsers have: what lies far under the loudest part is turned down, of any label alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip

FRAME_MS = 10
FRAME = SAMPLE_RATE_HZ * FRAME_MS // 1000


class Config(PartSettings):
    name: str = "gate"
    RISING = (("least_threshold_db", "most_threshold_db"),)
    probability: float = Field(default=0.25, ge=0, le=1)
    """Of a view to pass a noise gate."""
    least_threshold_db: float = Field(default=20.0, ge=0)
    """The gate closes on frames so far under the loudest one; the least takes the most away."""
    most_threshold_db: float = Field(default=45.0, ge=0)
    """The most takes the least away."""
    most_hold_ms: float = Field(default=250.0, ge=0)
    """How long it stays open after the last loud frame."""
    most_release_ms: float = Field(default=200.0, ge=0)
    """How long it takes to close."""
    least_floor_db: float = Field(default=15.0, ge=0)
    """By how much a closed gate turns down, at the least; at the most 90 dB, which is silence."""


class Gate:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        c = self.config
        return {
            "used": bool(chance.random() < c.probability),
            "threshold_db": float(chance.uniform(c.least_threshold_db, c.most_threshold_db)),
            "hold_ms": float(chance.uniform(0, c.most_hold_ms)),
            "release_ms": float(chance.uniform(0, c.most_release_ms)),
            "floor_db": float(chance.uniform(min(c.least_floor_db, 90.0), 90.0)),
        }

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        n_frames = len(samples) // FRAME
        if not drawn["used"] or n_frames == 0:
            return samples
        power = np.square(samples[: n_frames * FRAME].reshape(n_frames, FRAME)).mean(axis=1)
        is_open = power >= power.max() * 10 ** (-drawn["threshold_db"] / 10)
        closed = closing(is_open, drawn["hold_ms"], drawn["release_ms"])
        gain = 10 ** (-drawn["floor_db"] * closed / 20)
        # Straight from the middle of one frame to that of the next: no clicks, and open by the time a loud frame is half over.
        middles = (np.arange(n_frames) + 0.5) * FRAME
        return np.asarray(samples * np.interp(np.arange(len(samples)), middles, gain), np.float32)


def closing(is_open: npt.NDArray[np.bool_], hold_ms: float, release_ms: float) -> npt.NDArray[np.float64]:
    """(T,) frames that are loud -> (T,) 0 open .. 1 closed."""
    frames = np.arange(len(is_open))
    last = np.maximum.accumulate(np.where(is_open, frames, -len(is_open) * 1000))
    return np.clip(((frames - last) * FRAME_MS - hold_ms) / max(release_ms, FRAME_MS), 0, 1)


def build(config: Config) -> Gate:
    return Gate(config)

"""How loud the view arrives, and whether the microphone clips. Comes last."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip


class Config(PartSettings):
    name: str = "level"
    RISING = (("least_peak_dbfs", "most_peak_dbfs"),)
    least_peak_dbfs: float = Field(default=-32.0, le=0)
    """Softest view: its loudest sample."""
    most_peak_dbfs: float = Field(default=-1.0, le=0)
    """Loudest view."""
    clipping_probability: float = Field(default=0.05, ge=0, le=1)
    """Of a view that is clipped."""
    most_clipping_db: float = Field(default=12.0, ge=0)
    """How far over full scale it was, at the most."""


class Level:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        peak_dbfs = chance.uniform(self.config.least_peak_dbfs, self.config.most_peak_dbfs)
        clips, over_db = chance.random() < self.config.clipping_probability, chance.uniform(0, self.config.most_clipping_db)
        return {"peak_dbfs": float(peak_dbfs), "over_db": float(over_db) if clips else 0.0}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        peak = max(float(np.abs(samples).max()), 1e-6)
        scaled = samples * np.float32(10 ** (drawn["over_db"] / 20) / peak)
        return np.asarray(np.clip(scaled, -1.0, 1.0) * np.float32(10 ** (drawn["peak_dbfs"] / 20)), np.float32)


def build(config: Config) -> Level:
    return Level(config)

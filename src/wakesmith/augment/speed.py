"""Faster or slower, and so higher or lower, about the end of the view (the phrase stays where it ended)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip


class Config(PartSettings):
    name: str = "speed"
    probability: float = Field(default=0.5, ge=0, le=1)
    """Of a view to be played faster or slower."""
    most_percent: float = Field(default=12.0, gt=0, lt=50)
    """By how much, at the most; pitch and tempo move together."""


class Speed:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        used, percent = chance.random() < self.config.probability, chance.uniform(-1, 1) * self.config.most_percent
        return {"ratio": 1.0 + percent / 100 if used else 1.0}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        if drawn["ratio"] == 1.0:
            return samples
        last = len(samples) - 1
        at = last - np.arange(last, -1, -1) * drawn["ratio"]
        return np.asarray(np.interp(at, np.arange(len(samples)), samples, left=0.0), np.float32)


def build(config: Config) -> Speed:
    return Speed(config)

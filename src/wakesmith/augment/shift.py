"""Where the view is cut: the phrase has ended a little before the end; other sound is cut anywhere. Clip (M,) -> view (N,)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip

VIEW_S = 1.5
VIEW_SAMPLES = round(VIEW_S * SAMPLE_RATE_HZ)


class Config(PartSettings):
    name: str = "shift"
    RISING = (("least_ms", "most_ms"),)
    least_ms: int = Field(default=50, ge=0)
    """Shortest time from the end of the phrase to the end of the view."""
    most_ms: int = Field(default=350, ge=0, le=1000)
    """Longest time."""


class Shift:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        if clip.event_end:
            margin_ms = chance.uniform(self.config.least_ms, self.config.most_ms)
            return {"end": clip.event_end + round(margin_ms * SAMPLE_RATE_HZ / 1000)}
        return {"end": int(chance.integers(VIEW_SAMPLES, max(VIEW_SAMPLES, clip.n_samples) + 1))}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        end = drawn["end"]
        view = samples[max(0, end - VIEW_SAMPLES) : end]
        before = max(0, VIEW_SAMPLES - end)  # the clip begins inside the view
        return np.pad(view, (before, VIEW_SAMPLES - before - len(view)))


def build(config: Config) -> Shift:
    return Shift(config)

"""Other speech before the phrase: in a stream a word rarely follows silence."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples, speech_bounds
from wakesmith.augment._base import Bank, Drawn, power
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip

FADE = SAMPLE_RATE_HZ // 50


class Config(PartSettings):
    name: str = "context"
    probability: float = Field(default=0.4, ge=0, le=1)
    """Of other speech before the phrase."""
    most_gap_ms: int = Field(default=250, ge=0)
    """Longest pause between the two."""


class Context:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        n_beds = bank.count("speech", clip.split)
        used = chance.random() < self.config.probability and clip.event_end > 0 and n_beds > 0
        return {
            "used": bool(used), "split": clip.split,
            "bed": int(chance.integers(max(1, n_beds))), "offset": float(chance.random()),
            "gap": round(chance.uniform(0, self.config.most_gap_ms) * SAMPLE_RATE_HZ / 1000),
            "level_db": float(chance.uniform(-6, 3)),
        }  # fmt: skip

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        if not drawn["used"]:
            return samples
        end = speech_bounds(samples)[0] - drawn["gap"]
        if end <= 2 * FADE:
            return samples
        bed = bank.take("speech", drawn["split"], drawn["bed"])
        start = round(drawn["offset"] * (len(bed) - end))
        gain = np.sqrt(power(samples) / max(power(bed), 1e-9)) * 10 ** (drawn["level_db"] / 20)
        before = bed[start : start + end] * np.float32(gain)
        before[-FADE:] *= np.linspace(1, 0, FADE, dtype=np.float32)
        mixed = samples.copy()
        mixed[:end] += before
        return mixed


def build(config: Config) -> Context:
    return Context(config)

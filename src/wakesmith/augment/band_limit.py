"""Cheap microphones and telephones: a tilt of the spectrum, or a band cut out of it."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip


class Config(PartSettings):
    name: str = "band_limit"
    tilt_probability: float = Field(default=0.4, ge=0, le=1)
    """Of a spectrum that falls or rises evenly."""
    most_tilt_db: float = Field(default=10.0, ge=0)
    """Difference between 100 Hz and 8 kHz, at the most, to either side."""
    band_probability: float = Field(default=0.12, ge=0, le=1)
    """Of a narrow band: from 80 to 400 Hz up to 3 to 6.5 kHz."""


class BandLimit:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        tilt, band = chance.random() < self.config.tilt_probability, chance.random() < self.config.band_probability
        tilt_db = chance.uniform(-1, 1) * self.config.most_tilt_db
        low_hz, high_hz = chance.uniform(80, 400), chance.uniform(3000, 6500)
        return {"tilt_db": tilt_db if tilt else 0.0, "low_hz": low_hz if band else 0.0, "high_hz": high_hz if band else 8000.0}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        if drawn["tilt_db"] == 0.0 and drawn["low_hz"] == 0.0:
            return samples
        from scipy import fft

        hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
        octaves = np.log2(np.clip(hz, 100, 8000) / 894.4) / 6.32  # -0.5..0.5 about the middle of the scale
        gain_db = drawn["tilt_db"] * octaves
        outside = np.maximum(drawn["low_hz"] - hz, 0) / 100 + np.maximum(hz - drawn["high_hz"], 0) / 400
        gain = 10 ** ((gain_db - 24 * outside).clip(min=-60) / 20)
        return np.asarray(fft.irfft(fft.rfft(samples) * gain.astype(np.float32), len(samples)), np.float32)


def build(config: Config) -> BandLimit:
    return BandLimit(config)

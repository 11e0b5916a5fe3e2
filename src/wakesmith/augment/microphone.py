"""The frequency response of a drawn microphone: tilt, ripple, resonances, low cut and roll-off. It has no phase: time stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip

GRID_HZ = np.geomspace(20, SAMPLE_RATE_HZ / 2, 256)
"""Where the response is worked out; in between it is drawn straight."""
OCTAVES = np.log2(GRID_HZ)
KNOTS = np.log2(np.geomspace(62.5, 8000, 10))
PADDING = SAMPLE_RATE_HZ // 10  # so that what a sharp cut rings does not come round to the other end


class Config(PartSettings):
    name: str = "microphone"
    probability: float = Field(default=0.5, ge=0, le=1)
    """Of a view to be heard by a drawn microphone."""
    most_tilt_db: float = Field(default=8.0, ge=0)
    """Difference between 62 Hz and 8 kHz, at the most, to either side."""
    most_ripple_db: float = Field(default=4.0, ge=0)
    """Of a smooth random curve, at the most, to either side."""
    most_resonances: int = Field(default=3, ge=0)
    """Peaks and dips, at the most."""
    most_resonance_db: float = Field(default=10.0, ge=0)
    """Height of a peak; a dip has half of it."""
    low_cut_probability: float = Field(default=0.5, ge=0, le=1)
    """Of a high pass between 50 and 300 Hz, 6 to 24 dB an octave."""
    roll_off_probability: float = Field(default=0.4, ge=0, le=1)
    """Of a low pass between 3 and 8 kHz, 12 to 72 dB an octave."""


class Microphone:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        c = self.config
        used, low, high = chance.random(3) < (c.probability, c.low_cut_probability, c.roll_off_probability)
        cuts = {
            "low_hz": _log_uniform(chance, 50, 300) if low else 0.0, "low_order": int(chance.integers(1, 5)),
            "high_hz": _log_uniform(chance, 3000, 8000) if high else 0.0, "high_order": int(chance.integers(2, 13)),
        }  # fmt: skip
        tilt_db = chance.uniform(-1, 1) * c.most_tilt_db
        ripple_db = chance.uniform(-1, 1, len(KNOTS)) * c.most_ripple_db
        resonances = [
            (_log_uniform(chance, 150, 7000), chance.uniform(-0.5, 1) * c.most_resonance_db, chance.uniform(0.08, 0.5))
            for _ in range(int(chance.integers(0, c.most_resonances + 1)))
        ]
        return {"used": bool(used), "tilt_db": tilt_db, "ripple_db": ripple_db.tolist(), "resonances": resonances, **cuts}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        if not drawn["used"]:
            return samples
        from scipy import fft

        n = fft.next_fast_len(len(samples) + PADDING, real=True)
        hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
        gain = np.interp(hz, GRID_HZ, 10 ** (response_db(drawn) / 20)).astype(np.float32)
        return np.asarray(fft.irfft(fft.rfft(samples, n) * gain, n)[: len(samples)], np.float32)


def response_db(drawn: Drawn) -> npt.NDArray[np.float64]:
    """(256,) dB at GRID_HZ."""
    span = KNOTS[-1] - KNOTS[0]
    smooth = np.interp(OCTAVES, KNOTS, drawn["ripple_db"])
    gain_db = smooth + drawn["tilt_db"] * ((OCTAVES - KNOTS[0]) / span - 0.5)
    for hz, height_db, half_width in drawn["resonances"]:  # half width in octaves
        gain_db += height_db / (1 + np.square((OCTAVES - np.log2(hz)) / half_width))
    if drawn["low_hz"]:
        gain_db -= 10 * np.log10(1 + (drawn["low_hz"] / GRID_HZ) ** (2 * drawn["low_order"]))
    if drawn["high_hz"]:
        gain_db -= 10 * np.log10(1 + (GRID_HZ / drawn["high_hz"]) ** (2 * drawn["high_order"]))
    return np.asarray(gain_db.clip(min=-60))


def _log_uniform(chance: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(chance.uniform(np.log(low), np.log(high))))


def build(config: Config) -> Microphone:
    return Microphone(config)

"""What lossy coding leaves: a telephone line (8 kHz, mu-law), MP3 and Opus at low bit rates, one after another where drawn."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples, resample
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip

PEAK = 0.5
"""Of what is coded: decoders overshoot."""


class Config(PartSettings):
    name: str = "codec"
    RISING = (("least_kbps", "most_kbps"),)
    telephone_probability: float = Field(default=0.1, ge=0, le=1)
    """Of the sound of a telephone."""
    mp3_probability: float = Field(default=0.1, ge=0, le=1)
    """Of MP3."""
    opus_probability: float = Field(default=0.05, ge=0, le=1)
    """Opus takes some five times as long as MP3."""
    least_kbps: float = Field(default=8.0, ge=6, le=256)
    """Of Opus. MP3 draws among qualities that make 22 to 37 kbit/s of speech."""
    most_kbps: float = Field(default=32.0, ge=6, le=256)
    """Of Opus, at the most."""


class Codec:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        c = self.config
        telephone, mp3, opus = chance.random(3) < (c.telephone_probability, c.mp3_probability, c.opus_probability)
        # A level of 0 is no loudness: mu-law's steps grow with the sound, so a quiet one is coded more finely.
        mu_law_dbfs, compression = chance.uniform(-30, 0), chance.uniform(0.5, 0.99)
        kbps = float(np.exp(chance.uniform(np.log(c.least_kbps), np.log(c.most_kbps))))
        return {
            "telephone": bool(telephone), "mu_law_dbfs": float(mu_law_dbfs),
            "mp3": float(compression) if mp3 else None, "opus_kbps": kbps if opus else None,
        }  # fmt: skip

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        peak = float(np.abs(samples).max())
        if peak == 0 or not (drawn["telephone"] or drawn["mp3"] or drawn["opus_kbps"]):
            return samples
        heard = samples * np.float32(PEAK / peak)
        if drawn["telephone"]:
            heard = telephone(heard, drawn["mu_law_dbfs"])
        if drawn["mp3"]:
            heard = coded(heard, format="MP3", bitrate_mode="VARIABLE", compression_level=drawn["mp3"])
        if drawn["opus_kbps"]:
            # libsndfile's scale: 0 is 256 kbit/s, 1 is 6.
            heard = coded(heard, format="OGG", subtype="OPUS", compression_level=(256 - drawn["opus_kbps"]) / 250)
        return np.asarray(heard * np.float32(peak / PEAK), np.float32)


def telephone(samples: Samples, peak_dbfs: float) -> Samples:
    """(N,) with a peak of PEAK -> (N,): 8 kHz, each sample one of 256 steps of mu-law, back to 16 kHz."""
    gain = np.float32(10 ** (peak_dbfs / 20) / PEAK)
    narrow = np.clip(resample(samples, SAMPLE_RATE_HZ, 8000) * gain, -1, 1)
    steps = np.rint(np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    decoded = np.sign(narrow) * np.expm1(steps * np.log(256)) / 255
    return resample(np.asarray(decoded / gain, np.float32), 8000, SAMPLE_RATE_HZ)[: len(samples)]


def coded(samples: Samples, **how: Any) -> Samples:
    """(N,) -> (N,) through a file in memory; MP3 needs a variable bit rate, else its delay is not told and not taken back."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, **how)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    assert len(decoded) == len(samples), (len(decoded), len(samples), how)
    return np.asarray(decoded, np.float32)


def build(config: Config) -> Codec:
    return Codec(config)

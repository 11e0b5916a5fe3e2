"""Noise or music under the view, at a signal-to-noise ratio; recorded where the run has it, else generated."""

from __future__ import annotations

from pydantic import Field

from wakesmith.augment._bed import Bed, BedSettings


class Config(BedSettings):
    name: str = "noise"
    probability: float = Field(default=0.6, ge=0, le=1)
    least_snr_db: float = -2.0


def build(config: Config) -> Bed:
    return Bed(config, "noise")

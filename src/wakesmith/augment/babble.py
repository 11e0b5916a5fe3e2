"""Babble under the view: three to eight other talkers of the same split. Clips of noise stay without voices."""

from __future__ import annotations

from pydantic import Field

from wakesmith.augment._bed import Bed, BedSettings


class Config(BedSettings):
    name: str = "babble"
    probability: float = Field(default=0.35, ge=0, le=1)


def build(config: Config) -> Bed:
    return Bed(config, "babble", spared=("noise",))

"""A room: the view through an impulse response whose direct sound comes first, so that time does not move."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.augment import _rooms
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip


class Config(PartSettings):
    name: str = "room"
    probability: float = Field(default=0.55, ge=0, le=1)
    """Of a view to be heard in a room."""


class Room:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        used, n_rooms = chance.random() < self.config.probability, bank.count("room", clip.split)
        return {"used": bool(used and n_rooms), "split": clip.split, "room": int(chance.integers(max(1, n_rooms)))}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        if not drawn["used"]:
            return samples
        return _rooms.through(samples, bank.take("room", drawn["split"], drawn["room"]))


def build(config: Config) -> Room:
    return Room(config)

"""A room and who else talks in it: one to a dozen others at drawn levels, from another place of the same room.

It stands for `room` and `babble` together: use it in their place.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.augment import _rooms
from wakesmith.augment._base import Bank, Drawn, mix_at_snr
from wakesmith.augment._bed import BedSettings
from wakesmith.data.records import Clip


class Config(BedSettings):
    name: str = "scene"
    RISING = (*BedSettings.RISING, ("least_talkers", "most_talkers"))
    probability: float = Field(default=0.35, ge=0, le=1)
    """Of other talkers; clips of noise stay without voices."""
    room_probability: float = Field(default=0.55, ge=0, le=1)
    """Of all talkers to be in a room, the same one."""
    least_talkers: int = Field(default=1, ge=1)
    """Fewest other talkers."""
    most_talkers: int = Field(default=12, ge=1)
    """Few are drawn more often than many: one is as likely as two or three together."""
    spread_db: float = Field(default=12.0, ge=0)
    """How far the softest talker may lie under the loudest."""
    most_farther_db: float = Field(default=6.0, ge=0)
    """By how much the direct sound of a room is turned down, at the most, as from farther off."""


class Scene:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        c, n_beds, n_rooms = self.config, bank.count("speech", clip.split), bank.count("room", clip.split)
        talked, roomy = chance.random(2) < (c.probability, c.room_probability)
        snr_db, farther_db = chance.uniform(c.least_snr_db, c.most_snr_db), chance.uniform(0, c.most_farther_db)
        room = int(chance.integers(max(1, n_rooms))) if roomy and n_rooms else None
        n_talkers = int(np.exp(chance.uniform(np.log(c.least_talkers), np.log(c.most_talkers + 1))))
        talkers = [
            (int(chance.integers(n_beds)), float(chance.random()), float(-chance.random() * c.spread_db))
            for _ in range(n_talkers if talked and n_beds and clip.label != "noise" else 0)
        ]
        return {
            "split": clip.split, "room": room, "farther_db": float(farther_db), "snr_db": float(snr_db), "talkers": talkers,
        }  # fmt: skip

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        split, room, n = drawn["split"], drawn["room"], len(samples)
        others = _others(drawn, bank, n + _rooms.ROOM_SAMPLES) if drawn["talkers"] else None
        if room is not None:
            samples = _rooms.through(samples, _rooms.farther(bank.take("room", split, room), drawn["farther_db"]))
            others = _rooms.through(others, bank.take("beside", split, room)) if others is not None else None
        # Their reverberation has begun before the view does.
        return samples if others is None else mix_at_snr(samples, others[-n:], drawn["snr_db"])


def _others(drawn: Drawn, bank: Bank, n: int) -> Samples:
    """(n,) of all other talkers together."""
    total = np.zeros(n, np.float32)
    for number, offset, level_db in drawn["talkers"]:
        bed = bank.take("speech", drawn["split"], number)
        start = round(offset * (len(bed) - n))
        total += bed[start : start + n] * np.float32(10 ** (level_db / 20))
    return total


def build(config: Config) -> Scene:
    return Scene(config)

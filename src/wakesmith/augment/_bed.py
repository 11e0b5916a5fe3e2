"""A bed of the bank under the view, at a drawn signal-to-noise ratio: what `noise` and `babble` share."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.augment._base import Bank, Drawn, mix_at_snr
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip


class BedSettings(PartSettings):
    RISING: ClassVar[tuple[tuple[str, str], ...]] = (("least_snr_db", "most_snr_db"),)
    probability: float = Field(default=0.5, ge=0, le=1)
    """Of a view to get it."""
    least_snr_db: float = 0.0
    """Loudest bed: so far the speech lies over it."""
    most_snr_db: float = 25.0
    """Softest bed."""


class Bed:
    """Beds of one kind; clips whose label is in `spared` get none."""

    def __init__(self, config: BedSettings, kind: str, spared: tuple[str, ...] = ()) -> None:
        self.config, self.kind, self.spared = config, kind, spared

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        n_beds = bank.count(self.kind, clip.split)
        used = chance.random() < self.config.probability and n_beds > 0 and clip.label not in self.spared
        return {
            "used": bool(used), "split": clip.split, "bed": int(chance.integers(max(1, n_beds))),
            "offset": float(chance.random()), "snr_db": float(chance.uniform(self.config.least_snr_db, self.config.most_snr_db)),
        }  # fmt: skip

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        if not drawn["used"]:
            return samples
        bed = bank.take(self.kind, drawn["split"], drawn["bed"])
        start = round(drawn["offset"] * (len(bed) - len(samples)))
        return mix_at_snr(samples, bed[start : start + len(samples)], drawn["snr_db"])

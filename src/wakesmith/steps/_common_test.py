"""What the arms of a comparison are tested on alike: test views (n, 24000) in, frames as a front-end hears them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wakesmith.training.history import History


@dataclass(frozen=True)
class Heard:
    """Test views (n, 24000) as a history asks a store for them."""

    samples: npt.NDArray[np.float32]
    fingerprint: str
    n_views = 1

    @property
    def n_clips(self) -> int:
        return len(self.samples)

    @property
    def n_samples(self) -> int:
        return int(self.samples.shape[1])

    def holds(self, clip: int, view: int) -> bool:
        return True

    def read(self, clip: int, view: int) -> npt.NDArray[np.float32]:
        return np.asarray(self.samples[clip])


def frames_of(front_end: Any, samples: npt.NDArray[np.float32], name: str) -> Iterator[Tensor]:
    """Test views (n, 24000) -> (B, T, F), as training and dev hear them: after a history, where the front-end has one.

    name: what the histories, of other test views, are drawn by; so they are the same in every arm.
    """
    views, history = Heard(samples, name), None
    if hasattr(front_end, "history_s"):
        history = History(views, ["test"] * len(samples), front_end.history_s)
    for at in range(0, len(samples), 256):
        batch = torch.from_numpy(samples[at : at + 256])
        yield front_end(batch, [history(at + row, 0) for row in range(len(batch))]) if history else front_end(batch)

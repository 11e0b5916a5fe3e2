"""What the arms of a comparison are tested on alike: test views (n, 24000) in, frames as a front-end hears them out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import fields
from wakesmith.errors import DataError
from wakesmith.run import fingerprint
from wakesmith.training.history import History


def check(name: str, prepared: Path, own: Path) -> None:
    """Raises DataError where the arm `name`, whose clips lie in `prepared`, is tested on other sound than the run, in `own`."""
    if prepared.resolve() != own.resolve() and _named(prepared) != _named(own):
        raise DataError(
            f"compare: the arm '{name}' has other test clips than the run, so that they have no test in common. Leave `phrase`, "
            "`language`, `seed`, `speak` and `data` to the run, except what changes train alone, such as data.most_labelled."
        )


def _named(prepared: Path) -> str:
    """Names the clips, the recordings and the sound of test."""
    store, digest = AudioStore.open(prepared), hashlib.blake2b()
    clips = [fields(one) for one in store.clips if one.split == "test"]
    recordings = [one for one in store.recordings.values() if one.split == "test"]
    for one in recordings:
        digest.update(store.int16(one.id).tobytes())
    return fingerprint(clips, [fields(one) for one in recordings], digest.hexdigest())


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

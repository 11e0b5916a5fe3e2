"""The plan of a tuning: which layers learn, how fast at each step, and from which clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.errors import TeacherError
from wakesmith.rng import rng
from wakesmith.teachers._base import Tunable
from wakesmith.teachers._head import Head
from wakesmith.teachers._tune_settings import Tuning

Keys = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64]


class Views(Protocol):
    """Reader of views by clip and view number."""

    @property
    def fingerprint(self) -> str: ...

    def read(self, clip: int, view: int) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True)
class Rows:
    """Clips that are heard: keys (n, 2) of (clip, view), class numbers (n,)."""

    views: Views
    keys: Keys
    labels: Labels

    def samples(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(B,) row numbers -> (B, N)."""
        return torch.from_numpy(np.stack([self.views.read(int(clip), int(view)) for clip, view in self.keys[rows]]))


def top_layers(encoder: Tunable, n_layers: int) -> list[nn.Module]:
    """The layers that learn, lowest first."""
    layers = encoder.layers()
    if n_layers > len(layers):
        raise TeacherError(f"teach.tune.n_layers: {n_layers}, but {encoder.source} has {len(layers)} layers. Give 0 for all.")
    return layers[-n_layers:]  # all for 0


def param_groups(layers: list[nn.Module], head: Head, how: Tuning) -> list[dict[str, Any]]:
    """One group per layer, lowest first, then the head; `rate` is the highest rate it reaches."""
    rates = [how.lr * how.layer_decay**below for below in reversed(range(len(layers)))]
    return [
        {"params": list(module.parameters()), "rate": rate}
        for module, rate in zip([*layers, head], [*rates, how.head_lr], strict=True)
    ]


def rows_of(step: int, batch: int, n_rows: int, seed: int) -> npt.NDArray[np.int64]:
    """(batch,) rows of a step. Each epoch is a permutation decided by seed and epoch alone; batches run on over its end."""
    places = np.arange(step * batch, (step + 1) * batch)
    orders = {epoch: rng(seed, "tune", "order", epoch).permutation(n_rows) for epoch in np.unique(places // n_rows)}
    return np.array([orders[place // n_rows][place % n_rows] for place in places], dtype=np.int64)

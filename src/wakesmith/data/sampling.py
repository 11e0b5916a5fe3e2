"""Which clip and which view comes when, and the chance that perturbs it: balanced over classes, decided by (seed, epoch) alone.

So a resumed run goes on as it would have, and neither the micro-batch nor the number of processes changes what a row hears.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from wakesmith.data.classes import NO_CLASS
from wakesmith.errors import DataError
from wakesmith.rng import rng

N_CHANCES = 8


class Row(NamedTuple):
    """One row of a batch: `clip_position * n_views + view`, and the uniform numbers (N_CHANCES,) that its perturbation uses."""

    number: int
    chances: npt.NDArray[np.float32]


class BalancedSampler(Sampler[Row]):
    """The rows of one epoch, every class with its share of them.

    labels: (n_clips,) class numbers, NO_CLASS for unlabelled clips. shares: one a class, used as ratios among those that are
    there; `unlabelled_share` of the epoch's rows are drawn from the unlabelled clips, when there are any.
    """

    def __init__(
        self, labels: np.ndarray, n_views: int, n_rows: int, shares: list[float], seed: int, unlabelled_share: float = 0.0
    ) -> None:
        self.members = [np.flatnonzero(labels == c) for c in range(len(shares))]
        ratios = np.array([share if len(clips) else 0.0 for share, clips in zip(shares, self.members, strict=True)])
        if ratios.sum() == 0:
            raise DataError("train: no clips of any class with a share. Give more data, or raise train.class_shares.")
        unlabelled = np.flatnonzero(labels == NO_CLASS)
        n_labelled = n_rows - (round(unlabelled_share * n_rows) if len(unlabelled) else 0)
        self.counts = _shared_out(ratios / ratios.sum(), n_labelled)
        self.members, self.counts = [*self.members, unlabelled], np.r_[self.counts, n_rows - n_labelled]
        self.n_views, self.n_rows, self.seed, self.epoch = n_views, n_rows, seed, 0

    def __len__(self) -> int:
        return self.n_rows

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Row]:
        chance = rng(self.seed, "sampler", self.epoch)
        rows = []
        for members, count in zip(self.members, self.counts, strict=True):
            if count == 0:
                continue
            # Whole rounds over the class first: a rare clip is heard as often as its neighbours.
            rounds = -(-count // len(members))
            drawn = np.concatenate([chance.permutation(members) for _ in range(rounds)])[:count]
            rows.append(drawn * self.n_views + chance.integers(self.n_views, size=count))
        order = chance.permutation(np.concatenate(rows))
        chances = rng(self.seed, "perturb", self.epoch).random((self.n_rows, N_CHANCES), dtype=np.float32)
        return map(Row, order.tolist(), chances)


def _shared_out(shares: npt.NDArray[np.float64], n_rows: int) -> npt.NDArray[np.int64]:
    """Whole rows by largest remainder; a class with a share has at least one. Raises DataError when there are too few."""
    wanted = np.count_nonzero(shares)
    if n_rows < wanted:
        raise DataError(f"train: {n_rows} rows an epoch cannot hold {wanted} classes. Raise train.batch, or give more clips.")
    exact = shares * n_rows
    counts = np.maximum(np.floor(exact), shares > 0).astype(np.int64)
    while (left := n_rows - counts.sum()) != 0:
        off = exact - counts
        if left < 0:  # single rows were given away: the classes with the most give them back
            off[counts < 2] = np.inf
        counts[int(np.argmax(off) if left > 0 else np.argmin(off))] += np.sign(left)
    return counts

"""Which clip and which view comes when: balanced over classes, decided by (seed, epoch) alone, so that a resumed run goes on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

from wakesmith.data.records import LABELS
from wakesmith.errors import DataError
from wakesmith.rng import rng


class BalancedSampler(Sampler[int]):
    """Row numbers `clip_position * n_views + view` of one epoch. Every class has its share of the epoch's rows.

    labels: (n_clips,) class numbers. shares: one per class, used as ratios among the classes that are there.
    """

    def __init__(self, labels: np.ndarray, n_views: int, n_rows: int, shares: list[float], seed: int) -> None:
        self.of_class = [np.flatnonzero(labels == c) for c in range(len(LABELS))]
        ratios = np.array([share if len(members) else 0.0 for share, members in zip(shares, self.of_class, strict=True)])
        if ratios.sum() == 0:
            raise DataError("train: no clips of any class with a share. Give more data, or raise train.class_shares.")
        self.counts = np.floor(ratios / ratios.sum() * n_rows).astype(int)
        self.counts[int(np.argmax(ratios))] += n_rows - self.counts.sum()
        self.n_views, self.n_rows, self.seed, self.epoch = n_views, n_rows, seed, 0

    def __len__(self) -> int:
        return self.n_rows

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        chance = rng(self.seed, "sampler", self.epoch)
        rows = []
        for members, count in zip(self.of_class, self.counts, strict=True):
            if count == 0:
                continue
            # Whole rounds over the class first: a rare clip is heard as often as its neighbours.
            rounds = -(-count // len(members))
            drawn = np.concatenate([chance.permutation(members) for _ in range(rounds)])[:count]
            rows.append(drawn * self.n_views + chance.integers(self.n_views, size=count))
        order = chance.permutation(np.concatenate(rows))
        return iter(torch.from_numpy(order).tolist())

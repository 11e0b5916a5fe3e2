"""Which clip and which view comes when, and the chance that perturbs it: balanced over classes, decided by (seed, epoch) alone.

So a resumed run goes on as it would have, and neither the micro-batch nor the number of processes changes what a row hears.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from wakesmith.data.classes import NO_CLASS
from wakesmith.errors import DataError
from wakesmith.rng import rng

N_CHANCES = 8
MOST_OFTEN = 8
"""So many times as often as by its number a clip is heard at most, where a share is asked for it."""


class Row(NamedTuple):
    """One row of a batch: `clip_position * n_views + view`, and the uniform numbers (N_CHANCES,) that its perturbation uses."""

    number: int
    chances: npt.NDArray[np.float32]


class Part(NamedTuple):
    """Clips that get a share of their class's rows of their own, whatever their number."""

    members: npt.NDArray[np.bool_]
    """(n_clips,)"""
    label: int
    """The class's number; members of other classes do not count."""
    share: float
    """Of the rows of that class, when there are such clips and others beside them."""


def own_parts(recorded: npt.NDArray[np.bool_], labels: np.ndarray, n_phrases: int, share: float) -> list[Part]:
    """A part of each phrase for its recorded clips, where they are fewer than `share` of it. (n_clips,), (n_clips,)."""
    phrases = [(phrase, recorded & (labels == phrase), share * np.count_nonzero(labels == phrase)) for phrase in range(n_phrases)]
    return [Part(own, phrase, share) for phrase, own, wanted in phrases if 0 < np.count_nonzero(own) < wanted]


def voice_parts(
    voices: npt.NDArray[np.str_], labels: np.ndarray, n_phrases: int, share: float, taken: Sequence[Part] = ()
) -> list[Part]:
    """Parts of near misses and of other speech by voice, mixed as in what says the phrase: so a voice does not tell the class.

    voices (n_clips,): the synthesiser of a clip, empty for a recorded one. labels (n_clips,). share: how much of other speech is
    spoken at least; 0: no parts. taken: parts that come first.
    """
    mixture = collections.Counter(voices[(labels >= 0) & (labels < n_phrases) & (voices != "")].tolist()).most_common()
    n_said = sum(count for _, count in mixture)
    made = []
    for label, least in ((n_phrases, 1.0), (n_phrases + 1, share)) if share else ():
        of_class = labels == label
        if not of_class.any():
            continue
        spoken = max(least, float((voices[of_class] != "").mean()))
        left = 1 - sum(part.share for part in taken if part.label == label)
        for voice, count in mixture if spoken < 1 else mixture[1:]:  # the most common voice gets the rest where there is no other
            members = of_class & (voices == voice)
            often = min(spoken * count / n_said, MOST_OFTEN * members.sum() / of_class.sum())
            if members.any():
                made.append(Part(members, label, left * often))
    return made


class BalancedSampler(Sampler[Row]):
    """The rows of one epoch, every class with its share of them.

    labels: (n_clips,) class numbers, NO_CLASS for unlabelled clips. shares: one a class, used as ratios among those that are
    there; `unlabelled_share` of the epoch's rows are drawn from the unlabelled clips, when there are any.
    """

    def __init__(
        self, labels: np.ndarray, n_views: int, n_rows: int, shares: list[float], seed: int, unlabelled_share: float = 0.0,
        parts: Sequence[Part] = (),
    ) -> None:  # fmt: skip
        groups = [group for c, share in enumerate(shares) for group in _groups(labels == c, share, c, parts)]
        self.members = [np.flatnonzero(mask) for mask, _ in groups]
        ratios = np.array([share for _, share in groups])
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
        return (Row(int(number), own) for number, own in zip(order, chances, strict=True))


def _groups(
    clips: npt.NDArray[np.bool_], share: float, label: int, parts: Sequence[Part]
) -> list[tuple[npt.NDArray[np.bool_], float]]:
    """The clips of one class (n_clips,) -> its parts and what is beside them, each with its ratio of all rows."""
    own = [part for part in parts if part.label == label]
    if any(not 0 < part.share < 1 for part in own) or sum(part.share for part in own) >= 1:
        given = " and ".join(f"{part.share:g}" for part in own)
        raise DataError(f"train: parts of a class lie between 0 and 1 of its rows, in sum below 1; got {given}. Change them.")
    beside, groups = clips.copy(), []
    for part in own:
        groups.append((part.members & beside, part.share))
        beside &= ~part.members
    groups.append((beside, 1 - sum(ratio for mask, ratio in groups if mask.any())))
    there = sum(ratio for mask, ratio in groups if mask.any())
    return [(mask, share * ratio / there if mask.any() else 0.0) for mask, ratio in groups]


def _shared_out(shares: npt.NDArray[np.float64], n_rows: int) -> npt.NDArray[np.int64]:
    """Whole rows by largest remainder; who has a share has at least one. Raises DataError when there are too few."""
    wanted = np.count_nonzero(shares)
    if n_rows < wanted:
        raise DataError(
            f"train: {n_rows} rows an epoch cannot hold {wanted} classes and parts. Raise train.batch, or give more clips."
        )
    exact = shares * n_rows
    counts = np.maximum(np.floor(exact), shares > 0).astype(np.int64)
    while (left := n_rows - counts.sum()) != 0:
        off = exact - counts
        if left < 0:  # single rows were given away: the classes with the most give them back
            off[counts < 2] = np.inf
        counts[int(np.argmax(off) if left > 0 else np.argmin(off))] += np.sign(left)
    return counts

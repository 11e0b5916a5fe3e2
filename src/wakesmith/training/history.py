"""What was heard before a view, for front-ends that remember seconds of sound: the same for the same clip and view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.rng import rng

HOP_SAMPLES = SAMPLE_RATE_HZ // 100
OWN_SHARE, QUIET_SHARE = 0.5, 0.15
QUIET_DBFS = (-80.0, -50.0)


class History:
    """Before half of the views lies their own room and noise, before some near silence, before the others clips of their split.

    splits: of each clip. length_s: least and most of it.
    """

    def __init__(self, views: Any, splits: Sequence[str], length_s: Sequence[float]) -> None:
        assert len(splits) == views.n_clips, (len(splits), views.n_clips)
        self.views, self.splits, self.length_s = views, splits, length_s
        held = [clip for clip in range(views.n_clips) if views.holds(clip, 0)]
        self.clips = {split: [clip for clip in held if splits[clip] == split] for split in set(splits)}

    def __call__(self, clip: int, view: int) -> Samples:
        """-> (n,) samples, whole hops of 10 ms"""
        chance = rng("history", self.views.fingerprint, clip, view)
        n_samples = round(chance.uniform(self.length_s[0], self.length_s[1]) * SAMPLE_RATE_HZ / HOP_SAMPLES) * HOP_SAMPLES
        kind = chance.random()
        if kind < OWN_SHARE:
            return self._own(clip, view, n_samples)
        if kind < OWN_SHARE + QUIET_SHARE:
            loud = 10 ** (chance.uniform(*QUIET_DBFS) / 20)
            return (loud * chance.standard_normal(n_samples)).astype(np.float32)
        return self._others(clip, n_samples, chance)

    def _own(self, clip: int, view: int, n_samples: int) -> Samples:
        """The view to and fro: played backwards up to its first sample, nothing jumps there."""
        sound: Samples = self.views.read(clip, view)
        n_turns = -(-n_samples // len(sound))
        turns = [sound[::-1] if turn % 2 == 0 else sound for turn in range(n_turns)][::-1]
        return np.concatenate([*turns, sound[:0]])[n_turns * len(sound) - n_samples :]

    def _others(self, clip: int, n_samples: int, chance: np.random.Generator) -> Samples:
        """Views of any clips of its split, one after the other."""
        clips, parts = self.clips[self.splits[clip]], [np.zeros(0, np.float32)]
        for _ in range(-(-n_samples // self.views.n_samples)):
            other = clips[int(chance.integers(len(clips)))]
            held = [view for view in range(self.views.n_views) if self.views.holds(other, view)]
            parts.append(self.views.read(other, held[int(chance.integers(len(held)))]))
        joined = np.concatenate(parts)
        return joined[len(joined) - n_samples :]

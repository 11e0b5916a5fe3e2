"""Chance by name: the same words give the same generator in any process and any order (counter-based, Philox)."""

from __future__ import annotations

import hashlib

import numpy as np


def rng(*words: object) -> np.random.Generator:
    """A generator that depends on the words alone: `rng(seed, clip_id, view, "snr")`."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))

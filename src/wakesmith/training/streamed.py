"""A student hears a stream as a device does, hop by hop, and shows its embeddings. Samples in, pieces of a few seconds out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.data.sampling import N_CHANCES
from wakesmith.training.perturb import Perturbation

PIECE_S = 6
"""Heard at once, and perturbed alike."""


class Stream(NamedTuple):
    """Recordings in a row: samples (N,), a time of each in seconds (n,), and its class (n,)."""

    samples: Samples
    at_s: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


def hop_s(student: Any, front: Any) -> float:
    """Seconds from one embedding to the next."""
    return float(student.hop_frames * front.hop_samples / SAMPLE_RATE_HZ)


def hops(seconds: float, student: Any, front: Any) -> int:
    """So many hops, one at least."""
    return max(1, round(seconds / hop_s(student, front)))


@torch.no_grad()
def pieces(
    student: Any, front: nn.Module, perturb: Perturbation | None, samples: Samples, chance: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """(N,) samples -> embeddings (t, D) and logits (t, C) of each piece, whole seconds of hops (the last may be shorter).

    front: samples (1, N) -> frames (1, T, F).
    """
    hop, device = student.hop_frames, student.head.weight.device
    whole = len(samples) // front.hop_samples * front.hop_samples  # type: ignore[operator]
    frames = front(torch.from_numpy(np.ascontiguousarray(samples[:whole], np.float32))[None]).to(device)
    per_piece = PIECE_S * hops(1.0, student, front) * hop
    state, seen = student.initial_state().to(device), []
    watch = student.head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    try:
        for at in range(0, frames.shape[1] // hop * hop, per_piece):
            piece = frames[:, at : at + per_piece]
            piece = piece[:, : piece.shape[1] // hop * hop]
            if perturb is not None:
                piece = perturb(piece, torch.rand(1, N_CHANCES, generator=chance).to(device))
            logits, state = student.step(piece, state)
            yield seen.pop().float(), logits[0].float()
    finally:
        watch.remove()

"""What comes nearest to the phrase in hours of other sound: embeddings of the moments at which a student is surest of it.

The rows of a training hold few moments of each recording, a detector hears all of them, and its threshold is set by the worst.
A stream is heard as a device hears it, hop by hop; of each second the highest score counts, of all seconds the highest are kept
(hard negatives, after Sung and Poggio 1998, https://doi.org/10.1109/34.655648).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.data.sampling import N_CHANCES
from wakesmith.training.perturb import Perturbation

APART_S = 1.0
PIECE = 6
"""Seconds that are heard at once, and perturbed alike."""
LEAST_HEARD_S = 0.2
"""What scores so soon after a recording began belongs to the one before it."""


class Stream(NamedTuple):
    """Recordings in a row: samples (N,), where each starts, in seconds (n,), and its class (n,)."""

    samples: Samples
    starts_s: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


class Moments(NamedTuple):
    embedding: Tensor
    """(n, D)"""
    labels: Tensor
    """(n,)"""
    score: Tensor
    """(n,) highest probability of a phrase, falling."""


@torch.no_grad()
def moments(
    student: Any, front: nn.Module, perturb: Perturbation | None, streams: Iterable[Stream], n: int, n_phrases: int, seed: int
) -> Moments:
    """The `n` moments that score highest, at most one of each second. front: samples (1, N) -> frames (1, T, F)."""
    device = student.head.weight.device
    chance = torch.Generator().manual_seed(seed)
    best = Moments(torch.empty(0, student.head.in_features), torch.empty(0, dtype=torch.long), torch.empty(0))
    for stream in streams:
        whole = len(stream.samples) // front.hop_samples * front.hop_samples  # type: ignore[operator]
        frames = front(torch.from_numpy(np.ascontiguousarray(stream.samples[:whole], np.float32))[None])
        found = list(_of_frames(student, frames.to(device), perturb, stream, n_phrases, front.hop_samples, chance))
        if not found:
            continue
        together = [torch.cat([mine, *theirs]) for mine, theirs in zip(best, zip(*found, strict=True), strict=True)]
        order = together[2].argsort(descending=True, stable=True)[:n]
        best = Moments(*(values[order] for values in together))
    return Moments(*(values.to(device) for values in best))


def _of_frames(
    student: Any, frames: Tensor, perturb: Perturbation | None, stream: Stream, n_phrases: int, hop_samples: Any,
    chance: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:  # fmt: skip
    """(1, T, F) -> for every piece the highest moments of its seconds."""
    hop = student.hop_frames
    hop_s, state = hop * hop_samples / SAMPLE_RATE_HZ, student.initial_state().to(frames.device)
    apart = max(1, round(APART_S / hop_s))
    per_piece = PIECE * apart * hop
    seen: list[Tensor] = []
    watch = student.head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    try:
        for at in range(0, frames.shape[1] // hop * hop, per_piece):
            piece = frames[:, at : at + per_piece]
            piece = piece[:, : piece.shape[1] // hop * hop]
            if perturb is not None:
                piece = perturb(piece, torch.rand(1, N_CHANCES, generator=chance).to(piece.device))
            logits, state = student.step(piece, state)
            scores = torch.softmax(logits[0].float(), dim=1)[:, :n_phrases].amax(dim=1).cpu()
            picked = np.array([i + int(scores[i : i + apart].argmax()) for i in range(0, len(scores), apart)])
            times_s = (at // hop + picked + 1) * hop_s
            owner = np.searchsorted(stream.starts_s, times_s - LEAST_HEARD_S) - 1
            picked, owner = picked[owner >= 0], owner[owner >= 0]
            yield seen.pop()[picked].float().cpu(), torch.from_numpy(stream.classes[owner]), scores[picked]
    finally:
        watch.remove()

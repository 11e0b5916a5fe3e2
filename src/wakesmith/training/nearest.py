"""What comes nearest to the phrase in hours of other sound: embeddings of the moments at which a student is surest of it.

The rows of a training hold few moments of each recording, a detector hears all of them, and its threshold is set by the worst.
Of each second the highest score counts, of all seconds the highest are kept (hard negatives, after Sung and Poggio 1998,
https://doi.org/10.1109/34.655648).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wakesmith.training import streamed
from wakesmith.training.perturb import Perturbation

LEAST_HEARD_S = 0.2
"""What scores so soon after a recording began belongs to the one before it."""


class Moments(NamedTuple):
    embedding: Tensor
    """(n, D)"""
    labels: Tensor
    """(n,)"""
    score: Tensor
    """(n,) highest probability of a phrase, falling."""


def moments(
    student: Any,
    front: nn.Module,
    perturb: Perturbation | None,
    streams: Iterable[streamed.Stream],
    n: int,
    n_phrases: int,
    seed: int,
) -> Moments:
    """The `n` moments that score highest, at most one of each second. streams: where each recording starts."""
    device = student.head.weight.device
    chance = torch.Generator().manual_seed(seed)
    best = Moments(torch.empty(0, student.head.in_features), torch.empty(0, dtype=torch.long), torch.empty(0))
    for stream in streams:
        found = list(_seconds(student, front, perturb, stream, n_phrases, chance))
        if not found:
            continue
        together = [torch.cat([mine, *theirs]) for mine, theirs in zip(best, zip(*found, strict=True), strict=True)]
        order = together[2].argsort(descending=True, stable=True)[:n]
        best = Moments(*(values[order] for values in together))
    return Moments(*(values.to(device) for values in best))


def _seconds(
    student: Any, front: nn.Module, perturb: Perturbation | None, stream: streamed.Stream, n_phrases: int, chance: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:  # fmt: skip
    """The highest moments of the seconds of each piece."""
    hop_s, second, at = streamed.hop_s(student, front), streamed.hops(1.0, student, front), 0
    for embeddings, logits in streamed.pieces(student, front, perturb, stream.samples, chance):
        scores = torch.softmax(logits, dim=1)[:, :n_phrases].amax(dim=1).cpu()
        picked = np.array([i + int(scores[i : i + second].argmax()) for i in range(0, len(scores), second)])
        owner = np.searchsorted(stream.at_s, (at + picked + 1) * hop_s - LEAST_HEARD_S) - 1
        at += len(scores)
        picked, owner = picked[owner >= 0], owner[owner >= 0]
        yield embeddings[picked].cpu(), torch.from_numpy(stream.classes[owner]), scores[picked]

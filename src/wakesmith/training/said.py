"""Phrases in a stream, each as the moments around its end, of which one has to be heard.

The rows of a training end anywhere about a phrase and each of them must say it; a detector fires on the best of many moments.
Learning by the best of a bag: multiple instance learning (Dietterich et al. 1997, https://doi.org/10.1016/S0004-3702(96)00034-3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wakesmith.errors import DataError
from wakesmith.training import streamed
from wakesmith.training.perturb import Perturbation

BEFORE_S, AFTER_S = 0.24, 0.42
"""Of the end of a phrase: when its moments begin and end."""
APART_S = 0.03


class Bags(NamedTuple):
    embedding: Tensor
    """(n, moments, D) float16"""
    labels: Tensor
    """(n,)"""


def bags(student: Any, front: nn.Module, perturb: Perturbation | None, streams: Iterable[streamed.Stream], seed: int) -> Bags:
    """The moments of every phrase whose moments all lie in its stream. streams: where each phrase ends.

    Raises DataError when no phrase is left.
    """
    chance, apart = torch.Generator().manual_seed(seed), streamed.hops(APART_S, student, front)
    hop_s, n_hops = streamed.hop_s(student, front), streamed.hops(BEFORE_S + AFTER_S, student, front)
    embeddings, labels = [], []
    for stream in streams:
        heard = torch.cat([piece for piece, _ in streamed.pieces(student, front, perturb, stream.samples, chance)])
        for end_s, label in zip(stream.at_s, stream.classes, strict=True):
            first = round((end_s - BEFORE_S) / hop_s)
            if first >= 0 and first + n_hops <= len(heard):
                embeddings.append(heard[first : first + n_hops : apart].half())
                labels.append(int(label))
    if not labels:
        raise DataError("train.last_layer_said: train's streams hold no phrase whole. Set it to 0, or give more recordings.")
    return Bags(torch.stack(embeddings), torch.tensor(labels, device=embeddings[0].device))

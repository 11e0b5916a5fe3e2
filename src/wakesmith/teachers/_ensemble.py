"""Teachers that answer together: logs of the weighted mean of probabilities, embeddings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.errors import TeacherError
from wakesmith.teachers._card import MEMBERS, Card, EnsembleCard, Teacher, load_card, load_single, pooled, save_card, save_teacher

if TYPE_CHECKING:
    from wakesmith.teachers._base import Encoder

LOWEST_LOGIT = -1e4  # finite in fp16, whose least number is -65504
RULES = {
    "equal": "the same for all",
    "dev_loss": "lowest negative log-likelihood of the mixture on dev, one more clip for each member (EM)",
}


class Ensemble:
    """Members with their shares. See `_card.Teaches`."""

    def __init__(self, members: list[Teacher], card: EnsembleCard) -> None:
        self.members, self.card = members, card
        self.fingerprint = card.fingerprint
        self._weights = torch.tensor(list(card.weights.values()), dtype=torch.float32)

    @property
    def encoders(self) -> list[Encoder]:
        return [member.encoder for member in self.members]

    @property
    def embedding_size(self) -> int:
        return sum(member.embedding_size for member in self.members)

    def answer_pooled(self, states: Sequence[npt.NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """One (B, L, S, D) fp16 a member -> logits (B, C), embedding (B, E1 + E2 + ...)."""
        answers = [member.answer_pooled([own]) for member, own in zip(self.members, states, strict=True)]
        return mix([logits for logits, _ in answers], self._weights), side_by_side([one for _, one in answers], self._weights)

    def answer(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) float32 at 16 kHz -> logits (B, C), embedding (B, E1 + E2 + ...)."""
        return self.answer_pooled([pooled(encoder, samples) for encoder in self.encoders])


def mix(logits: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Log of the weighted mean of probabilities: M of (B, C), (M,) -> (B, C). Finite in fp16 where the members are finite."""
    logs = torch.stack([one.log_softmax(dim=-1) for one in logits])  # in logs, for tiny probabilities would become 0
    return (logs + weights.log()[:, None, None]).logsumexp(dim=0).clamp_min(LOWEST_LOGIT)


def side_by_side(embeddings: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Each at unit length times the root of its share, so that the whole has unit length: M of (B, E) -> (B, sum of E)."""
    return torch.cat(
        [share.sqrt() * nn.functional.normalize(one, dim=-1) for one, share in zip(embeddings, weights, strict=True)], dim=-1
    )


def shares(rule: str, logits: Sequence[Tensor], labels: npt.NDArray[np.int64], rounds: int = 2000) -> npt.NDArray[np.float64]:
    """Weight of each member from its calibrated answers on dev: M of (n, C), (n,) -> (M,), sum 1.

    By expectation maximisation, which climbs to the one best mixture from equal weights. The likelihood of a small dev set would
    drop a member for a single clip; one more clip for each member keeps all in.
    """
    n_members = len(logits)
    weights = np.full(n_members, 1 / n_members)
    if rule == "equal":
        return weights
    rows = torch.arange(len(labels))
    likelihood = np.stack([one.double().softmax(dim=-1)[rows, torch.from_numpy(labels)].numpy() for one in logits])  # (M, n)
    likelihood = np.maximum(likelihood, 1e-12)
    for _ in range(rounds):
        joint = weights[:, None] * likelihood
        new = ((joint / joint.sum(axis=0)).sum(axis=1) + 1) / (len(labels) + n_members)
        moved, weights = np.abs(new - weights).max(), new
        if moved < 1e-9:
            break
    return weights


def save(folder: Path, ensemble: Ensemble) -> None:
    """Members first, then the card that makes the bundle whole."""
    for name, member in zip(ensemble.card.members, ensemble.members, strict=True):
        save_teacher(folder / MEMBERS / name, member)
    save_card(folder, ensemble.card)


def load(folder: Path, card: EnsembleCard) -> Ensemble:
    """Raises TeacherError when a member is not the one that was weighed."""
    members = []
    for name, fingerprint in zip(card.members, card.member_fingerprints, strict=True):
        own = load_card(folder / MEMBERS / name)
        if not isinstance(own, Card) or own.fingerprint != fingerprint:
            raise TeacherError(
                f"{folder / MEMBERS / name}: not the member that the ensemble was weighed with. Run `teach` again."
            )
        members.append(load_single(folder / MEMBERS / name, own))
    return Ensemble(members, card)

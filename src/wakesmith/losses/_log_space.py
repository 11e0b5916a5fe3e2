"""Logits (B, C) compared in log space: nothing is divided by a probability, and nothing runs over."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Logits (B, C), (B, C) -> (B,): KL(teacher || student)."""
    return kl_of_logs(student.log_softmax(-1), teacher.log_softmax(-1))


def kl_of_logs(student: Tensor, teacher: Tensor) -> Tensor:
    """Log probabilities (B, C), (B, C) -> (B,): KL(teacher || student)."""
    return functional.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)


def split(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C), (B,) -> log probabilities: target class or not (B, 2), and of the other classes among themselves (B, C - 1)."""
    n_classes = logits.shape[-1]
    others_at = (target[:, None] + torch.arange(1, n_classes, device=logits.device)) % n_classes
    others = logits.gather(1, others_at)
    either = torch.cat([logits.gather(1, target[:, None]), others.logsumexp(-1, keepdim=True)], dim=1)
    return either.log_softmax(-1), others.log_softmax(-1)

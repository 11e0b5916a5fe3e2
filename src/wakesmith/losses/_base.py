"""What a loss is: rows in, one number a row out; the trainer divides the sum by the number of valid rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Answers:
    """One batch seen by both. Logits (B, C), embeddings (B, D), labels (B,); the teacher's side is None in plain training."""

    logits: Tensor
    embedding: Tensor
    labels: Tensor
    teacher_logits: Tensor | None = None
    teacher_embedding: Tensor | None = None


class Loss(nn.Module):
    """Base of the losses. `weight(step)` is what its mean is multiplied by at an optimiser step."""

    needs_teacher = False

    def weight(self, step: int) -> float:
        raise NotImplementedError

    def forward(self, answers: Answers) -> Tensor:
        """-> (B,) float32."""
        raise NotImplementedError


def warmed(full: float, step: int, warm_up_steps: int) -> float:
    """A weight that grows linearly from 0 to `full` over the warm-up."""
    return full if step >= warm_up_steps else full * step / warm_up_steps

"""What a loss is: rows in, one number a row out; the trainer divides the sum by the number of valid rows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from wakesmith.data.classes import NO_CLASS


@dataclass(frozen=True)
class Answers:
    """One batch seen by both. Logits (B, C), embeddings (B, D), labels (B,), NO_CLASS (-1) where there is none.

    The teacher's side is None in plain training; middle, (B, D', T') frames over the whole view, where no loss asks for it.
    """

    logits: Tensor
    embedding: Tensor
    labels: Tensor
    teacher_logits: Tensor | None = None
    teacher_embedding: Tensor | None = None
    middle: Tensor | None = None

    def float(self) -> Answers:
        """The same in float32; labels as they are."""
        values = (getattr(self, field.name) for field in fields(self))
        return Answers(*(_float(value) for value in values))


def _float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def chosen(answers: Answers, rows: Tensor) -> Answers:
    """The rows of a mask, by index."""
    kept = torch.nonzero(rows).flatten()
    return replace(answers, **{name: value[kept] for name, value in vars(answers).items() if value is not None})


@dataclass(frozen=True)
class Moment:
    """An optimiser step, from 0, and how many there will be: what a schedule goes by."""

    step: int
    n_steps: int


class Loss(nn.Module):
    """Base of the losses: `rows` is what each of them adds."""

    needs_teacher = False
    across_rows = False
    """Rows look at their batch mates."""
    needs_middle = False
    """It looks at the student's middle frames, and is built with their size in place of the embedding's."""
    has_alpha = False
    """Its weight is the teacher's share; the hard losses get what it leaves."""

    def weight(self, moment: Moment) -> float:
        """What its mean is multiplied by."""
        raise NotImplementedError

    def told(self, moment: Moment) -> dict[str, float]:
        """What changes over the steps, for the log."""
        return {}

    def forward(self, answers: Answers, moment: Moment) -> Tensor:
        """-> (B,) float32. In float32 under autocast too: squares, exponentials and logarithms need it."""
        assert not self.needs_teacher or answers.teacher_logits is not None, "a loss with a teacher got plain answers"
        with torch.autocast(answers.logits.device.type, enabled=False):
            return self.rows(answers.float(), moment)

    def rows(self, answers: Answers, moment: Moment) -> Tensor:
        """Float32 answers -> (B,)."""
        raise NotImplementedError


class HardLoss(Loss):
    """A loss with the labels alone. The trainer gives it 1 - alpha, and labelled rows only."""

    def weight(self, moment: Moment) -> float:
        return 1.0

    def forward(self, answers: Answers, moment: Moment) -> Tensor:
        assert bool((answers.labels != NO_CLASS).all()), "a hard loss got rows without a label"
        return super().forward(answers, moment)


def warmed(full: float, step: int, warm_up_steps: int) -> float:
    """A weight that grows linearly from 0 to `full` over the warm-up."""
    return full if step >= warm_up_steps else full * step / warm_up_steps

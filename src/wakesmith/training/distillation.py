"""`DistillationTrainer`: the student learns from a teacher's stored answers beside the hard labels.

A batch also holds {teacher_logits (B, C), teacher_embedding (B, D), teacher_state (B,)}, read by (clip, view).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.trainer_callback import TrainerCallback

from wakesmith.errors import ConfigError, TeacherError
from wakesmith.losses._base import Answers, Loss
from wakesmith.training.trainer import Trainer

ANSWERED = 1  # data.targets: 0 empty, 1 ok, 2 non-finite
MAX_DROPPED = 0.01


class DistillationTrainer(Trainer):
    """Loss = (1 - alpha) * hard + alpha * T^2 * KL + embedding term; non-finite teacher rows are dropped by index and counted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.soft_losses():
            raise ConfigError("losses: distillation needs a loss with a teacher, such as kd or embedding; add one.")
        self.distilled_in_epoch = self.distilled = self.dropped = 0
        self.add_callback(_EpochGuard(self))

    def soft_losses(self) -> list[Loss]:
        return [part for part in self.learner.parts() if part.needs_teacher]

    def weighted(self, outputs: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
        step = self.state.global_step
        alpha = sum(part.weight(step) for part in self.soft_losses() if hasattr(part, "alpha"))
        hard = super().weighted(outputs, inputs)
        loss = hard * (1 - alpha)
        if not self.learner.training:
            return hard  # the dev loss is told without the teacher
        answers = self.answered(outputs, inputs)
        for part in self.soft_losses():
            if len(answers.labels):
                loss = loss + self.term(part, part(answers).mean(), part.weight(step))
        return loss

    def answered(self, outputs: dict[str, Tensor], inputs: dict[str, Tensor]) -> Answers:
        """The rows with a finite teacher answer; an empty entry is an error, a non-finite one is dropped and counted."""
        state = inputs["teacher_state"]
        if bool((state == 0).any()):
            raise TeacherError("train: a view has no teacher answer in the target store. Answer them: wakesmith label RUN")
        kept = torch.nonzero(state == ANSWERED).flatten()
        self.distilled += len(kept)
        self.distilled_in_epoch += len(kept)
        self.dropped += len(state) - len(kept)
        seen = self.distilled + self.dropped
        if seen >= 1000 and self.dropped > MAX_DROPPED * seen:
            raise TeacherError(
                f"train: {self.dropped} of {seen} teacher answers are not finite. Check the teacher: wakesmith teach RUN"
            )
        return Answers(
            outputs["logits"][kept], outputs["embedding"][kept], inputs["labels"][kept],
            inputs["teacher_logits"][kept], inputs["teacher_embedding"][kept],
        )  # fmt: skip

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs["distilled_rows"], logs["dropped_rows"] = self.distilled, self.dropped
        super().log(logs, start_time)


class _EpochGuard(TrainerCallback):
    """An epoch that distilled nothing is a broken run, however well the labels alone do."""

    def __init__(self, trainer: DistillationTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.trainer.distilled_in_epoch = 0

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.trainer.distilled_in_epoch == 0:
            raise TeacherError(f"train: epoch {state.epoch:.0f} distilled no sample. Check the target store: wakesmith label RUN")

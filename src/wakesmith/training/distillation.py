"""`DistillationTrainer`: the student learns from a teacher's answers beside the hard labels.

A batch also holds {teacher_logits (B, C), teacher_embedding (B, E), teacher_state (B,)}, read from the store by (clip, view), or
{samples (B, N)}, which a live teacher answers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers.trainer_callback import TrainerCallback

from wakesmith.data.answers import EMPTY, OK
from wakesmith.errors import ConfigError, TeacherError
from wakesmith.losses._base import Answers, Loss, Moment
from wakesmith.progress import say
from wakesmith.training.trainer import Batch, Trainer

MAX_DROPPED = 0.01
"""Share of the teacher's answers that may be NaN or infinite before the run stops."""
LEAST_SEEN = 500
MOST_NAMED = 5


class DistillationTrainer(Trainer):
    """Loss = (1 - alpha) * hard + alpha * soft + embedding term; rows whose teacher answer is not finite are dropped by index.

    A mask times the loss, or `where` on the loss, would still give NaN gradients. `names`: clip number -> what to call it.
    """

    def __init__(self, *args: Any, teacher: Any = None, names: Any = str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.soft_losses():
            raise ConfigError("losses: distillation needs a loss with a teacher, such as kd or embedding; add one.")
        check_shares(self.soft_losses())
        self.teacher, self.names = teacher, names
        self.distilled_in_epoch = self.distilled = 0
        self.dropped: dict[int, int] = {}  # clip number -> how often
        self.add_callback(_EpochGuard(self))

    def soft_losses(self) -> list[Loss]:
        return [part for part in self.learner.parts() if part.needs_teacher]

    def begin(self, inputs: Batch) -> None:
        super().begin(inputs)
        if self.teacher is not None:
            with torch.no_grad():
                inputs["teacher_logits"], inputs["teacher_embedding"] = (
                    answer.to(self.args.device) for answer in self.teacher.answer(inputs.pop("samples"))
                )
        elif bool((inputs["teacher_state"] == EMPTY).any()):
            raise TeacherError("train: a view has no teacher answer in the target store. Answer them: wakesmith label RUN")
        finite = inputs["teacher_logits"].isfinite().all(dim=1) & inputs["teacher_embedding"].isfinite().all(dim=1)
        inputs["answered"] = finite & (inputs["teacher_state"] == OK) if "teacher_state" in inputs else finite
        self._count(inputs)
        self.counts["answered"] = self._everywhere(inputs["answered"].sum())

    def _count(self, inputs: Batch) -> None:
        bad = inputs["row"][~inputs["answered"]].tolist()
        n_good = len(inputs["row"]) - len(bad)
        self.distilled += n_good
        self.distilled_in_epoch += n_good
        for row in bad:
            clip = self.train_dataset.clip_of(row)  # type: ignore[union-attr]
            self.dropped[clip] = self.dropped.get(clip, 0) + 1
        seen, dropped = self.distilled + sum(self.dropped.values()), sum(self.dropped.values())
        # Three standard deviations of chance are allowed over the budget: early on a few rows are a large share.
        if seen >= LEAST_SEEN and dropped > MAX_DROPPED * seen + 3 * math.sqrt(MAX_DROPPED * seen):
            raise TeacherError(
                f"train: {dropped} of {seen} teacher answers are not finite ({self.dropped_names()}). "
                "Check the teacher (wakesmith teach RUN --check), or set teacher.dtype to float32."
            )

    def dropped_names(self) -> str:
        named = [self.names(clip) for clip in list(self.dropped)[:MOST_NAMED]]
        return ", ".join(named) + (f" and {len(self.dropped) - MOST_NAMED} more clips" if len(self.dropped) > MOST_NAMED else "")

    def weighted(self, outputs: Batch, inputs: Batch) -> Tensor:
        alpha = sum(part.weight(self.moment) for part in self.soft_losses() if part.has_alpha)
        terms = {"hard": self.hard(outputs, inputs) * (1 - alpha)}
        kept = torch.nonzero(inputs["answered"]).flatten()
        answers = Answers(
            outputs["logits"][kept], outputs["embedding"][kept], inputs["labels"][kept],
            inputs["teacher_logits"][kept], inputs["teacher_embedding"][kept],
        )  # fmt: skip
        for part in self.soft_losses():
            if len(kept):
                terms[type(part).__name__] = self.term(part, answers, self.counts["answered"])
        if self.is_told:
            self._tell(terms, outputs["embedding"], answers)
        return torch.stack(list(terms.values())).sum()

    def _tell(self, terms: dict[str, Tensor], embedding: Tensor, answers: Answers) -> None:
        """Share of each term in the gradient at the student's embedding, which all terms pass (GradNorm, arXiv 1711.02257)."""
        norms = {}
        for name, term in terms.items():
            found = torch.autograd.grad(term, embedding, retain_graph=True, allow_unused=True)[0] if term.requires_grad else None
            norms[name] = float(found.norm()) if found is not None else 0.0
        total = sum(norms.values()) or 1.0
        self.facts |= {f"gradient_share/{name}": norm / total for name, norm in norms.items()}
        if len(answers.labels) and answers.teacher_logits is not None:
            told = answers.teacher_logits.float().log_softmax(dim=1)
            agrees = answers.logits.argmax(dim=1) == told.argmax(dim=1)
            self.facts["agreement"] = float(agrees.float().mean())
            self.facts["teacher_entropy"] = float(-(told.exp() * told).sum(dim=1).mean())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs["distilled_rows"], logs["dropped_rows"] = self.distilled, sum(self.dropped.values())
        super().log(logs, start_time)


def check_shares(losses: list[Loss]) -> None:
    """The teacher's shares of several losses are parts of one whole."""
    for step in range(11):
        total = sum(loss.weight(Moment(step * 10**6, 10**7)) for loss in losses if loss.has_alpha)
        if total > 1 + 1e-9:
            raise ConfigError(
                f"losses: the alphas add up to {total:.2f}, expected at most 1. The hard labels get what they leave."
            )


class _EpochGuard(TrainerCallback):
    """An epoch that distilled nothing is a broken run, however well the labels alone do."""

    def __init__(self, trainer: DistillationTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.trainer.distilled_in_epoch = 0

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.trainer.distilled_in_epoch == 0:
            raise TeacherError(f"train: epoch {state.epoch:.0f} distilled no sample. Check the target store: wakesmith label RUN")

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self.trainer.dropped:
            say(f"train: {sum(self.trainer.dropped.values())} rows had no finite teacher answer: {self.trainer.dropped_names()}")

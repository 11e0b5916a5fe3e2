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
from wakesmith.losses._base import Answers, Loss, Moment, chosen
from wakesmith.progress import say
from wakesmith.students._norm import group_sizes
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
        self.soft_losses = [part for part in self.learner.parts() if part.needs_teacher]
        if not self.soft_losses:
            raise ConfigError("losses: distillation needs a loss with a teacher, such as kd or embedding; add one.")
        check_shares(self.soft_losses)
        self.teacher, self.names = teacher, names
        self.n_distilled = self.n_dropped = self.distilled_in_epoch = 0
        self.dropped: dict[int, int] = {}  # clip number -> how often, in this process
        self.add_callback(_EpochGuard(self))

    def answer(self, inputs: Batch) -> Batch:
        if self.teacher is not None:
            self._ask(inputs)
        elif bool((inputs["teacher_state"] == EMPTY).any()):
            raise TeacherError("train: a view has no teacher answer in the target store. Answer them: wakesmith label RUN")
        finite = inputs["teacher_logits"].isfinite().all(dim=1) & inputs["teacher_embedding"].isfinite().all(dim=1)
        inputs["answered"] = finite & (inputs["teacher_state"] == OK) if "teacher_state" in inputs else finite
        return inputs

    def begin(self, inputs: Batch) -> None:
        super().begin(inputs)
        self.answer(inputs)
        self.counts["answered"] = self.everywhere(inputs["answered"].sum())

    @torch.no_grad()
    def _ask(self, inputs: Batch) -> None:
        """The live teacher's answers, in pieces as small as the student's."""
        samples = inputs.pop("samples")
        answers = [self.teacher.answer(piece) for piece in torch.split(samples, self.micro_batch or len(samples))]
        for name, parts in zip(("teacher_logits", "teacher_embedding"), zip(*answers, strict=True), strict=True):
            inputs[name] = torch.cat(parts).to(self.args.device)

    def done(self, inputs: Batch) -> None:
        super().done(inputs)
        answered, n_rows = int(self.counts["answered"]), len(inputs["row"]) * self.args.world_size
        self.n_distilled += answered
        self.distilled_in_epoch += answered
        if answered == n_rows:
            return
        self.n_dropped += n_rows - answered
        for row in inputs["row"][~inputs["answered"]].tolist():
            clip = self.train_dataset.clip_of(row)  # type: ignore[union-attr]
            self.dropped[clip] = self.dropped.get(clip, 0) + 1
        seen = self.n_distilled + self.n_dropped
        # Three standard deviations of chance are allowed over the budget: early on a few rows are a large share.
        if seen >= LEAST_SEEN and self.n_dropped > MAX_DROPPED * seen + 3 * math.sqrt(MAX_DROPPED * seen):
            raise TeacherError(
                f"train: {self.n_dropped} of {seen} teacher answers are not finite ({self.dropped_names()}). "
                "Check the teacher (wakesmith teach RUN --check), or set teacher.dtype to float32."
            )

    def dropped_names(self) -> str:
        named = [self.names(clip) for clip in list(self.dropped)[:MOST_NAMED]]
        return ", ".join(named) + (f" and {len(self.dropped) - MOST_NAMED} more clips" if len(self.dropped) > MOST_NAMED else "")

    def weighted(self, outputs: Batch, inputs: Batch) -> Tensor:
        alpha = sum(part.weight(self.moment) for part in self.soft_losses if part.has_alpha)
        terms = [("hard", self.hard(outputs, inputs) * (1 - alpha))]
        everything = Answers(
            outputs["logits"], outputs["embedding"], inputs["labels"], inputs["teacher_logits"], inputs["teacher_embedding"],
            outputs.get("middle"),
        )  # fmt: skip
        answers = everything if bool(inputs["answered"].all()) else chosen(everything, inputs["answered"])
        for part in self.soft_losses:
            total = (
                part(answers, self.moment).sum() if not part.across_rows else self._across(part, everything, inputs["answered"])
            )
            terms.append((type(part).__name__, self.term(part, total, max(1.0, self.counts["answered"]))))
        if self.is_told:
            self._tell(terms, outputs.get("middle", outputs["embedding"]), answers)
        return torch.stack([term for _, term in terms]).sum()

    def _across(self, part: Loss, answers: Answers, answered: Tensor) -> Tensor:
        """A loss whose rows look at their mates, in the groups of the batch norm: so the micro-batch changes nothing here too."""
        totals, start = [], 0
        for size in group_sizes(len(answered)):
            here = torch.zeros_like(answered)
            here[start : start + size] = answered[start : start + size]
            totals.append(part(chosen(answers, here), self.moment).sum())
            start += size
        return torch.stack(totals).sum()

    def _tell(self, terms: list[tuple[str, Tensor]], passed: Tensor, answers: Answers) -> None:
        """Share of each term in the gradient at the student's embedding, or its middle frames where a loss looks at them: what
        all terms pass (GradNorm, arXiv 1711.02257)."""
        merged: Batch = {}
        for name, term in terms:  # losses of one class have one name in the log
            merged[name] = merged[name] + term if name in merged else term
        norms = {}
        for name, term in merged.items():
            found = torch.autograd.grad(term, passed, retain_graph=True, allow_unused=True)[0] if term.requires_grad else None
            norms[name] = float(found.norm()) if found is not None else 0.0
        total = sum(norms.values()) or 1.0
        self.facts |= {f"gradient_share/{name}": norm / total for name, norm in norms.items()}
        if len(answers.labels) and answers.teacher_logits is not None:
            told = answers.teacher_logits.float().log_softmax(dim=1)
            agrees = answers.logits.argmax(dim=1) == told.argmax(dim=1)
            self.facts["agreement"] = float(agrees.float().mean())
            self.facts["teacher_entropy"] = float(-(told.exp() * told).sum(dim=1).mean())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs["distilled_rows"], logs["dropped_rows"] = self.n_distilled, self.n_dropped
        super().log(logs, start_time)

    def counted(self) -> dict[str, Any]:
        return {"distilled": self.n_distilled, "dropped": self.n_dropped, "clips": list(self.dropped.items())}

    def take_counted(self, counted: dict[str, Any]) -> None:
        self.n_distilled, self.n_dropped, self.dropped = counted["distilled"], counted["dropped"], dict(counted["clips"])


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
            say(f"train: {self.trainer.n_dropped} rows had no finite teacher answer: {self.trainer.dropped_names()}")

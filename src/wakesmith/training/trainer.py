"""`Trainer`: transformers' Trainer for a student, with class balance, averaged weights (EMA) and metrics as JSON lines.

A batch is {features (B, T, F), labels (B,), row (B,), chances (B, n)}; the model answers {logits (B, C), embedding (B, D)}. The
batch is the effective one: it is cut into micro-batches here, and every loss is a sum over its rows divided by the rows of the
whole batch in all processes, so that micro-batch and process count change nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, TrainerCallback

from wakesmith.data.sampling import BalancedSampler
from wakesmith.losses._base import Answers, Loss, Moment
from wakesmith.progress import say, track
from wakesmith.students._norm import GROUP_ROWS, defer, fold, forget
from wakesmith.training.dataset import as_it_is
from wakesmith.training.perturb import Perturbation

WHOLE = "whole"
Batch = dict[str, Tensor]


class Learner(nn.Module):
    """The student and its losses in one module, so that what a loss learns (a projector) is optimised, saved and resumed."""

    def __init__(self, student: nn.Module, losses: list[Loss], perturb: Perturbation | None = None) -> None:
        super().__init__()
        self.student, self.losses, self.perturb = student, nn.ModuleList(losses), perturb

    def parts(self) -> list[Loss]:
        return [part for part in self.losses if isinstance(part, Loss)]

    def forward(self, features: Tensor, chances: Tensor | None = None) -> dict[str, Tensor]:
        if self.training and self.perturb is not None and chances is not None:
            features = self.perturb(features, chances)
        logits, embedding = self.student(features)
        return {"logits": logits, "embedding": embedding}


class Trainer(transformers.Trainer):
    """Hard labels alone. `sampler` decides the order; `ema_decay` averages the weights that are exported.

    `micro_batch`: rows that pass through the student at once (0: all); halved when memory runs out.
    """

    def __init__(
        self, learner: Learner, args: transformers.TrainingArguments, train: Dataset[Any], dev: Dataset[Any],
        sampler: BalancedSampler, ema_decay: float, metrics_path: Path, dev_metrics: Any, micro_batch: int = 0,
    ) -> None:  # fmt: skip
        self.sampler, self.ema_decay, self.metrics_path, self.micro_batch = sampler, ema_decay, metrics_path, micro_batch
        self.sums: dict[str, Tensor] = {}  # of the loss terms, since the last log
        self.facts: dict[str, float] = {}  # of the step that is logged next
        self.n_batches, self.waited_s, self.since = 0, 0.0, time.perf_counter()
        self.all_rows, self.all_s = 0, 0.0
        self.counts: dict[str, float] = {}
        collator: Any = as_it_is
        super().__init__(
            learner, args, train_dataset=train, eval_dataset=dev, compute_metrics=dev_metrics, data_collator=collator
        )
        self.loss_is_scaled_for_ga = True
        defer(learner)
        self.ema = {name: value.clone() for name, value in learner.student.state_dict().items()}
        self.remove_callback(PrinterCallback)
        if self.is_world_process_zero():
            writer = SummaryWriter(str(metrics_path.parent / "tensorboard"))  # type: ignore[no-untyped-call]
            self.add_callback(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
        self.add_callback(_AfterStep(self))

    @property
    def learner(self) -> Learner:
        return self.accelerator.unwrap_model(self.model)  # type: ignore[no-any-return]

    @property
    def moment(self) -> Moment:
        return Moment(self.state.global_step, self.state.max_steps)

    @property
    def is_told(self) -> bool:
        """Whether the step at work is one that is logged: what costs time is computed then only."""
        return (self.state.global_step + 1) % max(1, int(self.args.logging_steps)) == 0

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[Any]:
        return self.sampler

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        started = time.perf_counter()
        found = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.waited_s += time.perf_counter() - started
        return found

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None) -> Tensor:
        """One effective batch; when memory runs out it is done again from its start, in smaller pieces."""
        while True:
            try:
                return self._in_pieces(model, inputs)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(len(inputs["labels"]), error)
                model.zero_grad()
                forget(model)

    def _in_pieces(self, model: nn.Module, inputs: Batch) -> Tensor:
        inputs = {name: value.to(self.args.device) for name, value in inputs.items()}
        model.train()
        self.begin(inputs)
        pieces = cut(inputs, self.micro_batch)
        total: Tensor = torch.zeros((), device=self.args.device)
        for number, piece in enumerate(pieces, start=1):
            apart = contextlib.nullcontext() if number == len(pieces) else self.accelerator.no_sync(model)
            with apart, self.compute_loss_context_manager():
                loss = self.compute_loss(model, piece)
                # DDP takes the mean over the processes, the counts are of all: together the sum over all rows
                self.accelerator.backward(loss * self.args.world_size)
            total += loss.detach()
        fold(model)
        self.n_batches += 1
        total *= self.args.world_size
        return total

    def _shrink(self, n_rows: int, error: RuntimeError) -> None:
        now = self.micro_batch or n_rows
        smaller = now // 2 // GROUP_ROWS * GROUP_ROWS
        if smaller < GROUP_ROWS or self.args.world_size > 1:
            raise error
        self.micro_batch = smaller
        say(f"train: memory ran out with {now} rows at once; going on with {smaller}, which changes no result")

    def begin(self, inputs: Batch) -> None:
        """Count the rows that each kind of loss is a mean over, in the whole batch and in all processes."""
        self.counts = {"labelled": self._everywhere((inputs["labels"] >= 0).sum())}

    def _everywhere(self, count: Tensor) -> float:
        if self.args.world_size > 1:
            torch.distributed.all_reduce(count)
        return max(1.0, float(count))

    def compute_loss(self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        outputs = model(inputs["features"], inputs.get("chances"))
        if not self.learner.training:
            self.counts = {"labelled": max(1, int((inputs["labels"] >= 0).sum()))}
            loss = self.hard(outputs, inputs)  # the dev loss is told without the teacher
        else:
            loss = self.weighted(outputs, inputs)
        return (loss, {"logits": outputs["logits"]}) if return_outputs else loss

    def weighted(self, outputs: Batch, inputs: Batch) -> Tensor:
        """This piece's part of what is minimised."""
        return self.hard(outputs, inputs)

    def hard(self, outputs: Batch, inputs: Batch) -> Tensor:
        """The losses with the labels, over the rows that have one."""
        rows = torch.nonzero(inputs["labels"] >= 0).flatten()
        answers = Answers(outputs["logits"][rows], outputs["embedding"][rows], inputs["labels"][rows])
        loss = outputs["logits"].new_zeros(())
        for part in self.learner.parts():
            if not part.needs_teacher:
                loss = loss + self.term(part, answers, self.counts["labelled"])
        return loss

    def term(self, part: Loss, answers: Answers, n_rows: float) -> Tensor:
        """One loss: the sum over these rows by the rows of the whole batch, times its weight. Noted for the log unweighted."""
        mean: Tensor = part(answers, self.moment).sum() / n_rows
        if self.learner.training:
            name = type(part).__name__
            self.sums[name] = self.sums.get(name, 0.0) + mean.detach()
            if self.is_told:
                self.facts |= {f"{name}/{key}": value for key, value in part.told(self.moment).items()}
        return mean * part.weight(self.moment)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.n_batches and "loss" in logs:
            logs |= {f"loss/{name}": float(value) / self.n_batches for name, value in self.sums.items()}
            took_s = time.perf_counter() - self.since
            n_rows = self.n_batches * self.args.per_device_train_batch_size * self.args.world_size
            logs |= {**self.facts, "samples_per_s": n_rows / took_s, "waiting_share": self.waited_s / took_s}
            self.all_rows, self.all_s = self.all_rows + n_rows, self.all_s + took_s
            self.sums.clear()
            self.facts.clear()
            self.n_batches, self.waited_s, self.since = 0, 0.0, time.perf_counter()
        super().log(logs, start_time)
        if self.is_world_process_zero():
            with self.metrics_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.state.global_step, **logs}) + "\n")

    def samples_per_s(self) -> float:
        """Rows a second since this process began to train."""
        return self.all_rows / self.all_s if self.all_s else 0.0

    @torch.no_grad()
    def average(self) -> None:
        """One step of the moving average; early steps count more, so that the start is soon forgotten."""
        decay = min(self.ema_decay, (1 + self.state.global_step) / (10 + self.state.global_step))
        student = self.learner.student.state_dict()
        moving = [name for name, value in student.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.ema[name] for name in moving], [student[name] for name in moving], 1 - decay)
        for name in student.keys() - set(moving):
            self.ema[name].copy_(student[name])

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.is_world_process_zero():
            folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
            save_file({name: value.contiguous() for name, value in self.ema.items()}, folder / "ema.safetensors")
            (folder / WHOLE).touch()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.ema = load_file(Path(resume_from_checkpoint) / "ema.safetensors", device=str(self.args.device))


class _AfterStep(TrainerCallback):
    """Averages the weights and moves the progress bar."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        left = state.max_steps - state.global_step
        self.bar = track(range(left), "train", total=state.max_steps, done=state.global_step)
        next(self.bar, None)
        self.trainer.since = time.perf_counter()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Among several processes the loader does not pass the epoch on, and each would be as the first.
        self.trainer.sampler.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.trainer.average()
        next(self.bar, None)


def cut(inputs: Batch, most_rows: int) -> list[Batch]:
    """A batch in pieces of at most `most_rows` rows (0: whole), in whole groups of the students' batch norm."""
    n_rows = len(inputs["labels"])
    if not most_rows or most_rows >= n_rows:
        return [inputs]
    ends = [*range(0, n_rows - n_rows % GROUP_ROWS, most_rows), n_rows]
    return [{name: value[a:b] for name, value in inputs.items()} for a, b in itertools.pairwise(ends)]


def is_out_of_memory(error: RuntimeError) -> bool:
    """Of the GPU, or of the CPU's allocator, which raises no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "out of memory" in str(error)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; halves left by an interruption are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None


def cut_metrics(path: Path, step: int) -> None:
    """Drop the lines after a step: what an interrupted run had logged and will log again."""
    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

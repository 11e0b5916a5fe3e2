"""`Trainer`: transformers' Trainer for a student, with class balance, averaged weights (EMA) and metrics as JSON lines.

A batch is {features (B, T, F), labels (B,), row (B,), chances (B, n)}. It is the effective one: it is cut into micro-batches
here, and every loss is a sum over its rows divided by the rows of the whole batch in all processes: their number changes nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback

from wakesmith import memory
from wakesmith.data.sampling import BalancedSampler
from wakesmith.errors import WakesmithError
from wakesmith.losses._base import Answers, Loss, Moment, chosen
from wakesmith.progress import say
from wakesmith.students._norm import GROUP_ROWS, defer, fold
from wakesmith.training.after_step import AfterStep
from wakesmith.training.average import Average
from wakesmith.training.checkpoints import WHOLE
from wakesmith.training.dataset import as_it_is
from wakesmith.training.learner import Learner

Batch = dict[str, Tensor]


class Trainer(transformers.Trainer):
    """Hard labels alone. `sampler` decides the order; `ema_decay` averages the weights that are judged and exported.

    `micro_batch`: rows that pass through the student at once (0: all); halved when memory runs out.
    """

    def __init__(
        self, learner: Learner, args: transformers.TrainingArguments, train: Dataset[Any], dev: Dataset[Any],
        sampler: BalancedSampler, ema_decay: float, metrics_path: Path, dev_metrics: Any, micro_batch: int = 0,
    ) -> None:  # fmt: skip
        self.learner, self.sampler, self.metrics_path = learner, sampler, metrics_path
        self.micro_batch, self.norms = micro_batch, defer(learner)
        self.counts: dict[str, float] = {}  # rows of the batch at work that each kind of loss is a mean over
        self.terms: dict[str, Tensor] = {}  # losses of the batch at work
        self.sums: dict[str, Tensor] = {}  # of the terms, since the last log
        self.facts: dict[str, float] = {}  # of the step that is logged next
        self.n_batches, self.waited_s, self.other_s, self.since = 0, 0.0, 0.0, time.perf_counter()
        self.all_rows, self.all_s = 0, 0.0
        collator: Any = as_it_is
        super().__init__(
            learner, args, train_dataset=train, eval_dataset=dev, compute_metrics=dev_metrics, data_collator=collator
        )
        self.average = Average(learner.student, ema_decay)
        self.remove_callback(PrinterCallback)
        if self.is_world_process_zero():
            writer = SummaryWriter(str(metrics_path.parent / "tensorboard"))  # type: ignore[no-untyped-call]
            self.add_callback(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
        self.add_callback(AfterStep(self))

    @property
    def moment(self) -> Moment:
        return Moment(self.state.global_step, self.state.max_steps)

    @property
    def is_told(self) -> bool:
        """Whether the step at work is one that is logged: what costs time is computed then only.

        Before a checkpoint it is, so that a resumed run, which sums from there on, logs what an undisturbed one does.
        """
        every = (self.args.logging_steps, self.args.save_steps)
        return any((self.state.global_step + 1) % max(1, int(steps)) == 0 for steps in every)

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[Any]:
        return self.sampler

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Dev lies in memory: no process needs to read it."""
        return self.get_test_dataloader(self.eval_dataset if eval_dataset is None else eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        loader: Any = DataLoader(test_dataset, self.args.eval_batch_size, collate_fn=as_it_is)  # type: ignore[arg-type]
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        started = time.perf_counter()
        found = list(itertools.islice(epoch_iterator, num_batches))
        self.waited_s += time.perf_counter() - started
        return found, None

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None) -> Tensor:
        """One effective batch; when memory runs out it is done again from its start, in smaller pieces."""
        while True:
            try:
                return self._in_pieces(model, dict(inputs))
            except RuntimeError as error:
                if not memory.ran_out(error):
                    raise
                self._shrink(len(inputs["labels"]), error)
                model.zero_grad()
                for layer in self.norms:
                    layer.forget()

    def _in_pieces(self, model: nn.Module, inputs: Batch) -> Tensor:
        inputs = {name: value.to(self.args.device) for name, value in inputs.items()}
        if not self.learner.training:  # the wrapper of several processes does not notice that dev was looked at
            model.train()
        self.terms = {}
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
        self.done(inputs)
        total *= self.args.world_size
        return total

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """On torch's own optimizer: accelerate's wrapper looks for a package on the disk at every step."""
        if self.accelerator.scaler is None:
            self.optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        return super().create_scheduler(num_training_steps, optimizer)

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        self.accelerator.unscale_gradients()
        return nn.utils.clip_grad_norm_(self.learner.learned, self.args.max_grad_norm)

    def answer(self, inputs: Batch) -> Batch:
        """The batch with the teacher's answers, and `answered` (B,) bool, where there is one."""
        return inputs

    def begin(self, inputs: Batch) -> None:
        """Count the rows that each kind of loss is a mean over, in the whole batch and in all processes."""
        self.counts = {"labelled": max(1.0, self.everywhere((inputs["labels"] >= 0).sum()))}

    def done(self, inputs: Batch) -> None:
        """A batch went through: take its statistics over."""
        fold(self.norms)
        self.n_batches += 1
        for name, term in self.terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term

    def everywhere(self, count: Tensor) -> float:
        """The sum over all processes."""
        if self.args.world_size > 1:
            torch.distributed.all_reduce(count)
        return float(count)

    def _shrink(self, n_rows: int, error: RuntimeError) -> None:
        now = self.micro_batch or n_rows
        smaller = now // 2 // GROUP_ROWS * GROUP_ROWS
        if smaller < GROUP_ROWS or self.args.world_size > 1:
            way_out = "set train.micro_batch lower" if smaller >= GROUP_ROWS else "take a smaller student or teacher"
            raise WakesmithError(f"train: memory ran out with {now} rows at once; {way_out}.") from error
        self.micro_batch = smaller
        say(f"train: memory ran out with {now} rows at once; going on with {smaller}, which changes no result")

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
        answers = Answers(outputs["logits"], outputs["embedding"], inputs["labels"])
        labelled = inputs["labels"] >= 0
        if not bool(labelled.all()):
            answers = chosen(answers, labelled)
        loss = outputs["logits"].new_zeros(())
        for part in self.learner.parts():
            if not part.needs_teacher:
                loss = loss + self.term(part, part(answers, self.moment).sum(), self.counts["labelled"])
        return loss

    def term(self, part: Loss, total: Tensor, n_rows: float) -> Tensor:
        """One loss: its sum over these rows by the rows of the whole batch, times its weight. Noted for the log unweighted."""
        mean: Tensor = total / n_rows
        if self.learner.training:
            name = type(part).__name__
            self.terms[name] = self.terms[name] + mean.detach() if name in self.terms else mean.detach()
            if self.is_told:
                self.facts |= {f"{name}/{key}": value for key, value in part.told(self.moment).items()}
        return mean * part.weight(self.moment)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.n_batches and "loss" in logs:
            logs |= {f"loss/{name}": self.everywhere(value) / self.n_batches for name, value in self.sums.items()}
            took_s = time.perf_counter() - self.since - self.other_s
            n_rows = self.n_batches * self.args.per_device_train_batch_size * self.args.world_size
            logs |= {**self.facts, "samples_per_s": n_rows / took_s, "waiting_share": self.waited_s / took_s}
            self.all_rows, self.all_s = self.all_rows + n_rows, self.all_s + took_s
            self.sums.clear()
            self.facts.clear()
            self.n_batches, self.waited_s, self.other_s, self.since = 0, 0.0, 0.0, time.perf_counter()
        super().log(logs, start_time)
        if self.is_world_process_zero() and "train_runtime" not in logs:  # of this process alone, not of the training
            with self.metrics_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.state.global_step, **logs}) + "\n")

    def samples_per_s(self) -> float:
        """Rows a second since this process began to train, without the looks at dev."""
        return self.all_rows / self.all_s if self.all_s else 0.0

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Dev hears what will ship: the averaged weights."""
        with self.average.inside(), self._apart():
            return super().evaluation_loop(*args, **kwargs)

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """What happens inside is no time of training."""
        started = time.perf_counter()
        yield
        self.other_s += time.perf_counter() - started

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Weights may lie in memory channels last; safetensors takes them in one order alone."""
        given = self.model.state_dict() if state_dict is None else state_dict  # type: ignore[union-attr]
        super()._save(output_dir, {name: value.contiguous() for name, value in given.items()})

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with self._apart():
            super()._save_checkpoint(model, trial)
        if self.is_world_process_zero():
            folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
            save_file({name: value.contiguous() for name, value in self.average.mean.items()}, folder / "ema.safetensors")
            (folder / "counted.json").write_text(json.dumps(self.counted()), encoding="utf-8")
            (folder / WHOLE).touch()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder = Path(resume_from_checkpoint)
        self.average.mean = load_file(folder / "ema.safetensors", device=str(self.args.device))
        self.take_counted(json.loads((folder / "counted.json").read_text(encoding="utf-8")))

    def go_on(self, checkpoint: Path | None) -> None:
        """Train to the end, from a checkpoint or from the start."""
        if checkpoint and int(checkpoint.name.split("-")[1]) == self.args.max_steps:
            self._load_from_checkpoint(str(checkpoint))  # transformers would train a step more
        else:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if readers := getattr(self.callback_handler.train_dataloader, "_iterator", None):
            # Left to garbage collection, which may take their queue first, each would be waited for 5 s in vain.
            readers._shutdown_workers()

    def counted(self) -> dict[str, Any]:
        """What was counted so far and a resumed run goes on from."""
        return {}

    def take_counted(self, counted: dict[str, Any]) -> None:
        """Go on from what `counted` gave."""


def cut(inputs: Batch, most_rows: int) -> list[Batch]:
    """A batch in pieces of at most `most_rows` rows (0: whole), in whole groups of the students' batch norm."""
    n_rows = len(inputs["labels"])
    if not most_rows or most_rows >= n_rows:
        return [inputs]
    ends = [*range(0, n_rows - n_rows % GROUP_ROWS, most_rows), n_rows]
    return [{name: value[a:b] for name, value in inputs.items()} for a, b in itertools.pairwise(ends)]

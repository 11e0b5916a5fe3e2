"""`Trainer`: transformers' Trainer for a student, with class balance, averaged weights (EMA) and metrics as JSON lines.

A batch is {features (B, T, F), labels (B,)}; the model answers {logits (B, C), embedding (B, D)}.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, TrainerCallback

from wakesmith.data.sampling import BalancedSampler
from wakesmith.losses._base import Answers, Loss
from wakesmith.progress import track
from wakesmith.training.perturb import Perturbation

WHOLE = "whole"


class Learner(nn.Module):
    """The student and its losses in one module, so that what a loss learns (a projector) is optimised, saved and resumed."""

    def __init__(self, student: nn.Module, losses: list[Loss], perturb: Perturbation | None = None) -> None:
        super().__init__()
        self.student, self.losses, self.perturb = student, nn.ModuleList(losses), perturb

    def parts(self) -> list[Loss]:
        return [part for part in self.losses if isinstance(part, Loss)]

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        if self.training and self.perturb is not None:
            features = self.perturb(features)
        logits, embedding = self.student(features)
        return {"logits": logits, "embedding": embedding}


class Trainer(transformers.Trainer):
    """Hard labels alone. `sampler` decides the order; `ema_decay` averages the weights that are exported."""

    def __init__(
        self, learner: Learner, args: transformers.TrainingArguments, train: Dataset[Any], dev: Dataset[Any],
        sampler: BalancedSampler, ema_decay: float, metrics_path: Path, dev_metrics: Any,
    ) -> None:  # fmt: skip
        self.sampler, self.ema_decay, self.metrics_path = sampler, ema_decay, metrics_path
        self.terms: dict[str, list[float]] = {}
        super().__init__(learner, args, train_dataset=train, eval_dataset=dev, compute_metrics=dev_metrics, data_collator=collate)
        self.model_accepts_loss_kwargs = False
        self.ema = {name: value.clone() for name, value in learner.student.state_dict().items()}
        self.remove_callback(PrinterCallback)
        writer = SummaryWriter(str(metrics_path.parent / "tensorboard"))  # type: ignore[no-untyped-call]
        self.add_callback(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
        self.add_callback(_AfterStep(self))

    @property
    def learner(self) -> Learner:
        return self.accelerator.unwrap_model(self.model)  # type: ignore[no-any-return]

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        return self.sampler

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(inputs["features"])
        loss = self.weighted(outputs, inputs)
        return (loss, {"logits": outputs["logits"]}) if return_outputs else loss

    def weighted(self, outputs: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
        """Sum of the hard-label losses, each the mean over its rows."""
        answers = Answers(outputs["logits"], outputs["embedding"], inputs["labels"])
        loss = outputs["logits"].new_zeros(())
        for part in self.hard_losses():
            loss = loss + self.term(part, part(answers).mean(), part.weight(self.state.global_step))
        return loss

    def hard_losses(self) -> list[Loss]:
        return [part for part in self.learner.parts() if not part.needs_teacher]

    def term(self, part: Loss, mean: Tensor, weight: float) -> Tensor:
        """Note the plain mean of a loss for the log; -> its weighted share of the sum."""
        if self.learner.training:
            self.terms.setdefault(type(part).__name__, []).append(float(mean.detach()))
        return mean * weight

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        for name, values in self.terms.items():
            logs[f"loss/{name}"] = float(np.mean(values))
        self.terms.clear()
        super().log(logs, start_time)
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.state.global_step, **logs}) + "\n")

    @torch.no_grad()
    def average(self) -> None:
        """One step of the moving average; early steps count more, so that the start is soon forgotten."""
        decay = min(self.ema_decay, (1 + self.state.global_step) / (10 + self.state.global_step))
        for name, value in self.learner.student.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        save_file({name: value.contiguous() for name, value in self.ema.items()}, folder / "ema.safetensors")
        (folder / WHOLE).touch()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.ema = load_file(Path(resume_from_checkpoint) / "ema.safetensors")


class _AfterStep(TrainerCallback):
    """Averages the weights and moves the progress bar."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        left = state.max_steps - state.global_step
        self.bar = track(range(left), "train", total=state.max_steps, done=state.global_step)
        next(self.bar, None)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.trainer.average()
        next(self.bar, None)


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows of arrays and numbers -> one batch of tensors."""
    return {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}


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

"""Stage two of `teach`: the upper transformer layers of an encoder learn together with the head that was trained on them frozen.

Class-weighted cross-entropy as in stage one, rates that fall from layer to layer, and a stop by what counts in the end: misses at
the threshold that allows half a false accept per hour on dev.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from wakesmith import metrics
from wakesmith.errors import TeacherError
from wakesmith.progress import say, track
from wakesmith.teachers import _tune_state as state
from wakesmith.teachers._base import Encoder, Tunable
from wakesmith.teachers._fit import balanced_loss, class_weights, rate_share
from wakesmith.teachers._head import Head, pool_time
from wakesmith.teachers._tune_plan import Keys, Labels, Rows, Views, param_groups, rows_of, top_layers
from wakesmith.teachers._tune_settings import Tuning
from wakesmith.teachers._tune_step import Step

TUNABLE = ("hubert", "wav2vec2", "wavlm", "whisper")
FA_PER_HOUR = 0.5
NO_MATTER = {"micro_batch", "keep", "activation_checkpointing"}
"""Settings that may change between interruption and resumption: the result is the same but for rounding, and for which numbers
dropout takes out, which a micro-batch draws together."""


@dataclass(frozen=True)
class Tuned:
    """The best weights by dev, which encoder and head hold too, and how dev came along."""

    encoder_weights: dict[str, Tensor]
    """The whole encoder on the CPU: what `Tunable.take` loads."""
    head_weights: dict[str, Tensor]
    history: list[dict[str, Any]]
    """Each look at dev: step, frr, wake_auc, accuracy (see `metrics.answers`), balanced loss; train_loss: mean since the last."""
    best_step: int
    """0: tuning made nothing better, and the weights are those of stage one."""
    n_redone: int
    """Steps that overflowed in half precision and were done again in float32."""
    micro_batch: int
    """Clips at once that fitted into memory."""


def check_tunable(encoder: Encoder) -> Tunable:
    """Raises TeacherError for an encoder that gives no gradients."""
    if not all(hasattr(encoder, what) for what in ("module", "hidden", "layers", "activation_checkpointing", "take")):
        raise TeacherError(
            f"teach.tune: {encoder.source} cannot be tuned, its weights are fixed. "
            f"Choose a teacher that can ({', '.join(TUNABLE)}), or leave stage two out: teach.tune.steps: 0"
        )
    return cast(Tunable, encoder)


def tune(
    encoder: Encoder, head: Head, how: Tuning, views: Views, train_keys: Keys, train_labels: Labels, dev_keys: Keys,
    dev_labels: Labels, folder: Path, seed: int, names: list[str], n_phrases: int = 1,
    label_smoothing: float = 0.0,
) -> Tuned:  # fmt: skip
    """Train the upper layers and the head; both then hold the best weights, frozen. Goes on where it was interrupted.

    `names`: the classes in the order of the logits, wake phrases first. Writes folder/checkpoints/ and folder/tuning.safetensors.
    Raises TeacherError for an encoder that cannot be tuned, too little memory, or a loss that is not finite.
    """
    encoder = check_tunable(encoder)
    layers = top_layers(encoder, how.n_layers)
    train, dev = Rows(views, train_keys, train_labels), Rows(views, dev_keys, dev_labels)
    made_by = fingerprint(encoder, head, how, train, dev, [seed, label_smoothing, names, n_phrases])
    try:
        for module in (*layers, head):
            module.requires_grad_(True)
        encoder.activation_checkpointing(how.activation_checkpointing)
        step = Step(encoder, head, how, class_weights(train_labels, len(names)), label_smoothing, seed)
        course = _Course(step, layers, train, dev, folder, names, n_phrases, made_by)
        course.run()
    finally:
        encoder.activation_checkpointing(False)
        for module in (encoder.module, head):
            module.eval().requires_grad_(False)
            module.zero_grad(set_to_none=True)
        head.cpu()
    return course.outcome()


def fingerprint(encoder: Encoder, head: Head, how: Tuning, train: Rows, dev: Rows, words: list[Any]) -> str:
    """Of everything that decides the result. -> 32 hex digits."""
    told = [encoder.fingerprint(), train.views.fingerprint, how.model_dump_json(exclude=NO_MATTER), *words]
    digest = hashlib.blake2b("/".join(map(str, told)).encode(), digest_size=16)
    for numbers in (train.keys, train.labels, dev.keys, dev.labels):
        digest.update(np.ascontiguousarray(numbers, dtype=np.int64).tobytes())
    digest.update(to_bytes({name: value.cpu().contiguous() for name, value in sorted(head.state_dict().items())}))
    return digest.hexdigest()


class _Course:
    """A tuning from its start, or from where it was interrupted, to its end."""

    def __init__(
        self, step: Step, layers: list[nn.Module], train: Rows, dev: Rows, folder: Path, names: list[str], n_phrases: int,
        made_by: str,
    ) -> None:  # fmt: skip
        self.step, self.layers, self.train, self.dev = step, layers, train, dev
        self.folder, self.names, self.n_phrases, self.made_by = folder, names, n_phrases, made_by
        self.encoder, self.head, self.how = step.encoder, step.head, step.how
        self.device = next(self.encoder.module.parameters()).device
        self.head.to(self.device)
        step.class_weights = step.class_weights.to(self.device)
        self.optimizer = torch.optim.AdamW(param_groups(layers, self.head, self.how), weight_decay=self.how.weight_decay)
        self.done, self.history = 0, list[dict[str, Any]]()
        self.best = self._learned()
        self._resume()

    def run(self) -> None:
        if not self.history:
            self._look([])
        losses = []
        for step in track(range(self.done, self.how.steps), "teach: tune", total=self.how.steps, done=self.done):
            if len(self.history) - 1 - self._best_at() >= self.how.patience:
                break
            losses.append(self._advance(step))
            self.done = step + 1
            if self.done % self.how.evaluate_every == 0 or self.done == self.how.steps:
                self._look(losses)
                losses = []
        self._put(self.best)
        first, best = self.history[0], self.history[self._best_at()]
        told = ", ".join(f"{what} {first[what]:.4f} -> {best[what]:.4f}" for what in ("frr", "loss"))
        say(f"teach: tuned {len(self.layers)} layers, best after {best['step']} of {self.done} steps: dev {told}")

    def outcome(self) -> Tuned:
        encoder, head = ({k: v.cpu().clone() for k, v in m.state_dict().items()} for m in (self.encoder.module, self.head))
        best = self.history[self._best_at()]["step"]
        return Tuned(encoder, head, self.history, best, self.step.n_redone, self.step.micro.size)

    def _advance(self, step: int) -> float:
        """One step of the optimiser. -> loss"""
        for module in (*self.layers, self.head):
            module.train()  # not the rest: dropout there teaches nothing, and some front ends keep gradients when they train
        rows = rows_of(step, self.how.batch, len(self.train.labels), self.step.seed)
        labels = torch.from_numpy(self.train.labels[rows]).to(self.device)
        loss = self.step.gradients(step, self.train.samples(rows).to(self.device), labels)
        share = rate_share(step, self.how.steps, self.how.warm_up_share)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * share
        self.optimizer.step()
        return loss

    def _look(self, losses: list[float]) -> None:
        """Evaluate on dev, keep the weights when they are the best, and save."""
        logits = self.step.micro.fit(self._hear)
        if not logits.isfinite().all():
            raise TeacherError(f"teach: after {self.done} steps the teacher answers NaN or infinity on dev. Lower teach.tune.lr.")
        clip_hours = self.dev.samples(np.zeros(1, np.int64)).shape[1] / self.encoder.rate_hz / 3600
        found = metrics.answers(
            logits.numpy(), self.dev.labels, clip_hours, FA_PER_HOUR, self.n_phrases, near_miss=self.n_phrases
        )
        told = {what: found[what] for what in ("frr", "wake_auc", "accuracy")}
        told["loss"] = balanced_loss(logits, self.dev.labels)
        if losses:
            told["train_loss"] = float(np.mean(losses))
        self.history.append({"step": self.done, **told})
        if self._best_at() == len(self.history) - 1:
            self.best = self._learned()
        self._save()

    @torch.no_grad()
    def _hear(self, size: int) -> Tensor:
        """Logits of dev. -> (N, C) on the CPU"""
        for module in (self.encoder.module, self.head):
            module.eval()
        parts = np.split(np.arange(len(self.dev.labels)), range(size, len(self.dev.labels), size))
        heard = (pool_time(self.encoder.encode(self.dev.samples(rows))).to(self.device) for rows in parts)
        return torch.cat([self.head(states)[0].cpu() for states in heard])

    def _best_at(self) -> int:
        """Which look at dev was the best; of equal ones the first."""
        return min(range(len(self.history)), key=lambda at: (self.history[at]["frr"], self.history[at]["loss"]))

    def _modules(self) -> list[tuple[str, nn.Module]]:
        return [("encoder", self.encoder.module), ("head", self.head)]

    def _learned(self) -> dict[str, Tensor]:
        """A copy of what tuning changes, by the names of a checkpoint."""
        return {
            f"{prefix}.{name}": param.detach().cpu().clone()
            for prefix, module in self._modules()
            for name, param in module.named_parameters()
            if param.requires_grad
        }

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        """The way back from `_learned`; weights that tuning does not change are passed over."""
        for prefix, module in self._modules():
            for name, param in module.named_parameters():
                if param.requires_grad:
                    param.copy_(weights[f"{prefix}.{name}"])

    def _save(self) -> None:
        weights = {f"{prefix}.{name}": value for prefix, module in self._modules() for name, value in module.state_dict().items()}
        step, micro_batch = self.step, self.step.micro.size
        told = state.Progress(self.made_by, self.done, step.scale, step.calm, step.n_redone, micro_batch, self.history)
        rest = {**state.moments(self.optimizer), **{f"best.{name}": value for name, value in self.best.items()}}
        preprocessing = getattr(self.encoder, "preprocessing", None)
        state.save(self.folder, told, weights, {"labels": self.names, "preprocessing": preprocessing}, rest, self.how.keep)

    def _resume(self) -> None:
        found = state.load(self.folder, self.made_by)
        if found is None:
            state.clear(self.folder)
            return
        told, weights, rest = found
        state.prune(self.folder, told.step, self.how.keep)  # a stop may lie between a state and the end of what it replaces
        self.done, self.history = told.step, told.history
        self.step.scale, self.step.calm, self.step.n_redone = told.scale, told.calm, told.n_redone
        self.step.micro.size = min(self.step.micro.size, told.micro_batch)
        state.take_moments(self.optimizer, rest)
        self._put(weights)
        self.best = {name.removeprefix("best."): value for name, value in rest.items() if name.startswith("best.")}

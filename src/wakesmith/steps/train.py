"""`train`: views and stored teacher answers -> the student's weights, resumable to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wakesmith import config, registry
from wakesmith.data.records import LABELS
from wakesmith.run import write_json

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe


class Settings(config.Settings):
    distil: bool = True
    """False trains on the hard labels alone."""
    steps: int = Field(default=1500, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warm_up_share: float = Field(default=0.05, ge=0, lt=1)
    class_shares: list[float] = Field(default=[0.35, 0.08, 0.4, 0.17], min_length=len(LABELS), max_length=len(LABELS))
    """Share of each class in a batch: wake, near miss, speech, noise."""
    band_stretch: float = Field(default=0.1, ge=0, le=0.5)
    """Widest stretch of the student's frequency axis: other throats."""
    band_shift: float = Field(default=1.5, ge=0)
    """Widest shift of it, in bands."""
    band_gain: float = Field(default=0.4, ge=0)
    """Widest colouring, in units of the features: other microphones."""
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    evaluations: int = Field(default=5, ge=1)
    """How often the dev set is looked at, and a checkpoint is kept."""


def run(recipe: Recipe, folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    from wakesmith.data.audio_store import AudioStore
    from wakesmith.data.targets import TargetStore
    from wakesmith.data.views import ViewStore
    from wakesmith.training import features as cache
    from wakesmith.training.perturb import Perturbation
    from wakesmith.training.trainer import Learner, cut_metrics, last_whole_checkpoint

    out = folder / "train"
    if (out / "card.json").exists():
        return _tidied(out)
    views, clips = ViewStore.open(folder / "views"), AudioStore.open(folder / "prepare").clips
    targets = TargetStore.open(folder / "label") if recipe.train.distil else None
    torch.manual_seed(recipe.seed)
    front_end = registry.build("features", recipe.features)
    frames = cache.make(front_end, views, out / "features.npy")
    student = registry.build("students", recipe.student, frames.shape[3], frames.shape[2], len(LABELS))
    teacher_size = targets.embedding_size if targets else 0
    losses = [
        registry.build("losses", loss, student.embedding_size, teacher_size)
        for loss in recipe.losses
        if targets or not registry.load("losses", loss.name).NEEDS_TEACHER
    ]
    perturb = Perturbation(recipe.train.band_stretch, recipe.train.band_shift, recipe.train.band_gain)
    trainer = _trainer(recipe, Learner(student, losses, perturb), clips, frames, targets, out)
    checkpoint = last_whole_checkpoint(out / "checkpoints")
    cut_metrics(out / "metrics.jsonl", int(checkpoint.name.split("-")[1]) if checkpoint else 0)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    weights = {name: value.contiguous() for name, value in trainer.ema.items()}
    save_file(weights, out / "model.safetensors.part")
    (out / "model.safetensors.part").replace(out / "model.safetensors")
    n_frames, parameters = int(frames.shape[2]), sum(p.numel() for p in student.parameters())
    write_json(
        out / "card.json", {"n_classes": len(LABELS), "n_frames": n_frames, "parameters": parameters, "distilled": bool(targets)}
    )
    return _tidied(out)


def _tidied(out: Path) -> Path:
    """What only the training needed goes."""
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    (out / "features.npy").unlink(missing_ok=True)
    return out


def _trainer(recipe: Recipe, learner: Any, clips: Any, frames: Any, targets: Any, out: Path) -> Any:
    import numpy as np

    from wakesmith.data.sampling import BalancedSampler
    from wakesmith.training.dataset import Rows, dev_metrics
    from wakesmith.training.distillation import DistillationTrainer
    from wakesmith.training.trainer import Trainer

    of_split = {split: [i for i, clip in enumerate(clips) if clip.split == split] for split in ("train", "dev")}
    labels = np.array([LABELS.index(clip.label) for clip in clips])
    n_views = frames.shape[1]
    train = Rows(frames, labels, of_split["train"], n_views, targets)
    dev = Rows(frames, labels, of_split["dev"], 1, None)
    n_rows = -(-len(train.clips) // recipe.train.batch) * recipe.train.batch  # whole batches: each epoch equally long
    sampler = BalancedSampler(labels[of_split["train"]], n_views, n_rows, recipe.train.class_shares, recipe.seed)
    kind = DistillationTrainer if targets else Trainer
    arguments = _arguments(recipe, out)
    return kind(learner, arguments, train, dev, sampler, recipe.train.ema_decay, out / "metrics.jsonl", dev_metrics)


def _arguments(recipe: Recipe, out: Path) -> Any:
    import transformers

    settings = recipe.train
    every = -(-settings.steps // settings.evaluations)
    return transformers.TrainingArguments(
        output_dir=str(out / "checkpoints"), max_steps=settings.steps, per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=256, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine", warmup_steps=int(settings.warm_up_share * settings.steps), max_grad_norm=5.0,
        logging_steps=max(1, min(50, every)), eval_strategy="steps", eval_steps=every, save_steps=every, save_total_limit=2,
        seed=recipe.seed, data_seed=recipe.seed, remove_unused_columns=False, label_names=["labels"], report_to=[],
        disable_tqdm=True, dataloader_pin_memory=False, dataloader_drop_last=False, dataloader_num_workers=0, log_level="error",
    )  # fmt: skip

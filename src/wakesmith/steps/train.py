"""`train`: views and the teacher's answers -> the student's weights, resumable to the bit."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith import ranks, registry
from wakesmith import run as record
from wakesmith.data import classes
from wakesmith.data.records import SPLITS, split_numbers
from wakesmith.errors import ConfigError
from wakesmith.progress import say
from wakesmith.run import write_json

if TYPE_CHECKING:
    import numpy as np

    from wakesmith.steps._material import Material
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._rounds import Round


def run(recipe: Recipe, folder: Path) -> Path:
    """Write folder/train: model.safetensors, losses.safetensors, card.json, metrics.jsonl, tensorboard/.

    The clips of the run's rounds are learned too. Of the settings that the last round began with, its training goes on from the
    student before it, for the steps of its plan; a student of other settings is trained anew, for `train.steps`.
    """
    from wakesmith.steps import _rounds

    rounds = _rounds.of(recipe, folder)
    last = _rounds.started_from(recipe, rounds)
    if last is None:
        return fit(recipe, folder, folder / "train", recipe.train.distil, rounds)
    shorter = recipe.model_copy(update={"train": recipe.train.model_copy(update={"steps": last.plan["steps"]})})
    return fit(shorter, folder, folder / "train", recipe.train.distil, rounds, last.folder / _rounds.BEFORE)


def fit(
    recipe: Recipe, folder: Path, out: Path, distil: bool, rounds: Sequence[Round] = (), start_from: Path | None = None
) -> Path:
    """Train one student on the views of the run in `folder` and its rounds, into `out`. What is there and whole is left as it is.

    `start_from`: the folder of an earlier training, whose weights are the first ones.
    """
    from safetensors.torch import save_file

    from wakesmith.steps import _in_streams, _start
    from wakesmith.steps._material import Material
    from wakesmith.training import checkpoints, last_layer

    if (out / "card.json").exists():
        return _tidied(out)
    out.mkdir(parents=True, exist_ok=True)
    if start_from is None:
        recipe = recipe.model_copy(update={"train": _start.settings(recipe)})
        _start.tell(recipe)
    material, arguments = Material(folder, rounds), _arguments(recipe, out)
    _start.check_voices(recipe, material.recordings)
    with ranks.first_goes_first():
        frames = material.features(recipe, out)
    trainer = _trainer(recipe, arguments, material, frames, distil, start_from)
    with ranks.first_goes_first():
        checkpoint = checkpoints.last_whole(out / "checkpoints")
        if ranks.is_first():
            checkpoints.cut_metrics(out / "metrics.jsonl", int(checkpoint.name.split("-")[1]) if checkpoint else 0)
    trainer.go_on(checkpoint)
    if recipe.train.last_layer_steps:
        steps, dropout = recipe.train.last_layer_steps, recipe.train.last_layer_dropout
        last_layer.refit(trainer, steps, dropout, _seed(recipe), *_in_streams.heard(recipe, folder, trainer, _seed(recipe)))
    card = _card(trainer, frames, distil, len(recipe.phrases))
    if trainer.is_world_process_zero():
        learned = {"losses": trainer.learner.losses.state_dict(), "model": trainer.average.mean}
        told = {"model": _start.metadata(recipe, folder, rounds)}
        for name, state in learned.items():
            weights = {key: value.contiguous().cpu() for key, value in state.items()}
            save_file(weights, out / f"{name}.safetensors.part", told.get(name))
            (out / f"{name}.safetensors.part").replace(out / f"{name}.safetensors")
        write_json(out / "card.json", card)
        _tidied(out)
    return out


def features_of(recipe: Recipe, folder: Path, out: Path, name: str = "features.npy") -> np.ndarray:
    """(n_clips, K, T, F) of all views, made once; for this training alone, or kept in folder/features for the next."""
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.data.views import ViewStore
    from wakesmith.training import features

    views = ViewStore.open(folder / "views")
    splits = [SPLITS[number] for number in split_numbers(AudioStore.open(folder / "prepare").clips)]
    stamp = record.fingerprint(views.fingerprint, views.n_views, recipe.features.model_dump(mode="json"))[:16]
    path = folder / "features" / f"{stamp}.npy" if recipe.train.keep_features else out / name
    frames = features.make(registry.build("features", recipe.features), views, path, splits)
    assert frames.shape[:2] == (views.n_clips, views.n_views), f"{path}: features of other views"
    return frames


def _seed(recipe: Recipe) -> int:
    return recipe.seed if recipe.train.seed is None else recipe.train.seed


def _tidied(out: Path) -> Path:
    """What only the training needed goes."""
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    for path in out.glob("features*.npy"):
        path.unlink()
    return out


def _trainer(
    recipe: Recipe, arguments: Any, material: Material, frames: Any, distil: bool, start_from: Path | None = None
) -> Any:  # fmt: skip
    import numpy as np

    from wakesmith.data.lazy import Picked
    from wakesmith.data.sampling import BalancedSampler, own_parts, voice_parts
    from wakesmith.steps import _rounds
    from wakesmith.training.dataset import Rows, dev_metrics
    from wakesmith.training.distillation import DistillationTrainer
    from wakesmith.training.trainer import Trainer

    settings, clips, recordings = recipe.train, material.clips, material.recordings
    labels = classes.numbers(clips, recordings, recipe.phrases)
    splits, takes_part = split_numbers(clips), labels >= 0
    train_clips = np.flatnonzero((splits == SPLITS.index("train")) & (takes_part | distil))
    dev_clips = np.flatnonzero((splits == SPLITS.index("dev")) & takes_part)
    n_views, n_phrases = frames.shape[1], len(recipe.phrases)
    answered, teacher, teacher_size = material.answers(recipe) if distil else (None, None, 0)
    n_rows = -(-len(train_clips) // settings.batch) * settings.batch  # whole batches: each epoch equally long
    shares = [settings.class_shares[0] / n_phrases] * n_phrases + settings.class_shares[1:]
    own = Picked(clips, train_clips)
    recorded = np.fromiter((not recordings[clip.recording].is_spoken for clip in own), bool, len(own))
    parts = _rounds.parts(material.rounds, material.sizes[0], train_clips, labels[train_clips])
    parts += own_parts(recorded, labels[train_clips], n_phrases, settings.own_share)
    voices = np.array(
        ["" if real else sys.intern(recordings[clip.recording].source) for clip, real in zip(own, recorded, strict=True)]
    )
    parts += voice_parts(voices, labels[train_clips], n_phrases, settings.spoken_share, parts)
    sampler = BalancedSampler(labels[train_clips], n_views, n_rows, shares, _seed(recipe), settings.unlabelled_share, parts)
    out = Path(arguments.output_dir).parent
    given = (
        _learner(recipe, frames, teacher_size, distil, start_from), arguments,
        Rows(frames, labels, train_clips, n_views, answered), Rows(frames, labels, dev_clips, 1, None),
        sampler, settings.ema_decay, out / "metrics.jsonl", functools.partial(dev_metrics, n_phrases=n_phrases),
    )  # fmt: skip
    if not distil:
        return Trainer(*given, micro_batch=settings.micro_batch)
    return DistillationTrainer(*given, micro_batch=settings.micro_batch, teacher=teacher, names=lambda number: clips[number].id)


def _learner(recipe: Recipe, frames: Any, teacher_size: int, distil: bool, start_from: Path | None) -> Any:
    import torch

    from wakesmith.steps import _start
    from wakesmith.training.learner import Learner
    from wakesmith.training.perturb import Perturbation

    torch.manual_seed(_seed(recipe))  # here: what a live teacher drew when it was built must not matter
    n_classes = len(classes.names(recipe.phrases))
    student = registry.build("students", recipe.student, frames.shape[3], frames.shape[2], n_classes)
    if recipe.train.last_layer_steps and not isinstance(getattr(student, "head", None), torch.nn.Linear):
        raise ConfigError(
            f"train.last_layer_steps: the student '{recipe.student.name}' has no `head`, one linear layer over its embedding. "
            "Its module says so by HAS_LAST_LAYER = False; train it with --set train.last_layer_steps=0"
        )
    losses = [
        registry.build("losses", loss, looked_at(student, loss.name), teacher_size, n_classes)
        for loss in recipe.losses
        if distil or not registry.load("losses", loss.name).NEEDS_TEACHER
    ]
    perturb = Perturbation(recipe.train.band_stretch, recipe.train.band_shift, recipe.train.band_gain)
    learner = Learner(student, losses, perturb)
    if start_from is not None:
        return _taken_up(learner, start_from)
    first = _start.file_of(recipe)
    if first is not None:
        _start.begin(student, first)
    return learner


def looked_at(student: Any, loss: str) -> int:
    """Channels of what a loss compares: the student's middle frames, or its embedding."""
    needs_middle = getattr(registry.load("losses", loss), "NEEDS_MIDDLE", False)
    return int(student.middle_size if needs_middle else student.embedding_size)


def _taken_up(learner: Any, folder: Path) -> Any:
    """The learner with the weights that an earlier training left."""
    from safetensors.torch import load_file

    from wakesmith.steps.export import load_weights

    load_weights(learner.student, folder / "model.safetensors")
    if (folder / "losses.safetensors").exists():
        learner.losses.load_state_dict(load_file(folder / "losses.safetensors"), strict=True)
    else:
        say(f"train: {folder} keeps no losses.safetensors, as trainings of earlier versions; what losses learn begins anew")
    return learner


def _card(trainer: Any, frames: Any, distilled: bool, n_phrases: int) -> dict[str, Any]:
    """Facts of the trained student; `dev` holds the same figures as the teacher's card, on the same views."""
    from wakesmith.training.dataset import measured

    dev = trainer.predict(trainer.eval_dataset)
    student = trainer.learner.student
    n_classes = dev.predictions.shape[1]
    return {
        "n_classes": n_classes, "n_frames": int(frames.shape[2]), "parameters": sum(p.numel() for p in student.parameters()),
        "distilled": distilled, "dropped_rows": trainer.counted().get("dropped", 0), "samples_per_s": trainer.samples_per_s(),
        "dev": measured(dev, n_phrases),
    }  # fmt: skip


def _arguments(recipe: Recipe, out: Path) -> Any:
    import torch
    import transformers

    from wakesmith.students._norm import GROUP_ROWS

    settings = recipe.train
    every, n_ranks = -(-settings.steps // settings.evaluations), ranks.n_ranks()
    if n_ranks > 1 and settings.batch % (GROUP_ROWS * n_ranks):
        raise ConfigError(
            f"train.batch: {settings.batch} rows cannot be shared by {n_ranks} processes with the result of one; "
            f"take a multiple of {GROUP_ROWS * n_ranks}."
        )
    arguments = transformers.TrainingArguments(
        output_dir=str(out / "checkpoints"), max_steps=settings.steps, per_device_train_batch_size=settings.batch // n_ranks,
        per_device_eval_batch_size=256, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine", warmup_steps=int(settings.warm_up_share * settings.steps), max_grad_norm=5.0,
        logging_steps=max(1, min(settings.log_every, every)), eval_strategy="steps", eval_steps=every, save_steps=every,
        save_total_limit=2, seed=_seed(recipe), data_seed=_seed(recipe), remove_unused_columns=False, label_names=["labels"],
        report_to=[], disable_tqdm=True, dataloader_pin_memory=False, dataloader_num_workers=settings.workers,
        dataloader_persistent_workers=settings.workers > 0, ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False, log_level="error",  # the statistics are shared where they are folded
        use_cpu=n_ranks > 1 and not torch.cuda.is_available(),  # without it, processes on a CPU would each train alone
    )  # fmt: skip
    assert arguments.world_size == n_ranks, (arguments.world_size, n_ranks)
    return arguments

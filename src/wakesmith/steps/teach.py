"""`teach`: views of train and dev -> a head on the frozen encoder, calibrated on dev and passed by the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from wakesmith import config
from wakesmith.data import classes
from wakesmith.data.records import Clip
from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.run import write_json
from wakesmith.teachers._card import CARD, HeadSettings, save_teacher

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe
    from wakesmith.teachers._card import Teacher
    from wakesmith.teachers._ensemble import Ensemble
    from wakesmith.teachers._lesson import Lesson

VERDICT = "gate.json"


class Settings(config.Settings):
    views: int = Field(default=2, ge=1)
    """Views of each training clip that the head learns from (no more than there are)."""
    max_encodings: int = Field(default=12_000, ge=8)
    """At most so many training views, drawn evenly over the classes: a bound on time and disk."""
    head: HeadSettings = HeadSettings()
    epochs: int = Field(default=12, ge=1)
    patience: int = Field(default=4, ge=1)
    """Epochs without a better dev loss after which training stops."""
    batch_size: int = Field(default=64, ge=2)
    lr: float = Field(default=2e-3, gt=0.0)
    weight_decay: float = Field(default=0.1, ge=0.0)
    label_smoothing: float = Field(default=0.05, ge=0.0, lt=0.5)
    gate: Literal["error", "warn", "off"] = "error"
    """What happens when the teacher hears too little on dev to be imitated."""
    min_wake_auc: float = Field(default=0.9, ge=0.5, le=1.0)
    """Least area under the ROC curve of the wake phrase against all else on dev."""


def run(recipe: Recipe, folder: Path) -> Path:
    """Write folder/teach: head.safetensors, card.json, gate.json; of an ensemble, members/<n>-<name>/ in place of the head.

    What the encoders heard is kept in folder/encodings. Raises TeacherError at a closed gate.
    """
    settings: Settings = recipe.teach
    out = folder / "teach"
    out.mkdir(parents=True, exist_ok=True)
    (out / CARD).unlink(missing_ok=True)  # a stop from here on leaves no teacher that looks whole
    teacher = teach(recipe, lesson_of(recipe, folder))
    gate = verdict(settings, teacher.card.dev)
    write_json(out / VERDICT, {**gate, "dev": teacher.card.dev})
    say(_told(teacher.card.encoder_source, teacher.card.dev, gate))
    if gate["reasons"] and settings.gate == "error":
        raise TeacherError(
            f"teach: the gate is closed: {' '.join(gate['reasons'])} Use another teacher or more data, or set teach.gate to warn."
        )
    _save(out, teacher, gate)
    return out


def lesson_of(recipe: Recipe, folder: Path) -> Lesson:
    """What the views of a run folder teach."""
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers import _encodings
    from wakesmith.teachers._lesson import Lesson

    settings: Settings = recipe.teach
    audio, views = AudioStore.open(folder / "prepare"), ViewStore.open(folder / "views")
    clips = audio.clips
    check_labels(clips)
    keys = _encodings.keys_to_teach(clips, min(settings.views, views.n_views), settings.max_encodings, recipe.seed)
    return Lesson(
        views=views, keys=keys, numbers=classes.numbers(clips, audio.recordings, recipe.phrases)[keys[:, 0]],
        is_dev=np.array([clips[clip].split == "dev" for clip in keys[:, 0]]), labels=classes.names(recipe.phrases),
        n_phrases=len(recipe.phrases), encodings=folder / _encodings.FOLDER,
        made_by={"views": views.fingerprint, "seed": recipe.seed, "teach": settings.model_dump(mode="json")},
    )  # fmt: skip


def check_labels(clips: list[Clip]) -> None:
    """Train and dev must hold the wake phrase and something else."""
    for split in ("train", "dev"):
        found = {clip.label for clip in clips if clip.split == split}
        if "wake" not in found or len(found) < 2:
            told = ", ".join(sorted(found)) or "none"
            raise TeacherError(
                f"teach: {split} needs clips of the wake phrase and of other sounds, its labels are: {told}. "
                "Give more speakers or other sources, then run `prepare` again."
            )


def teach(recipe: Recipe, lesson: Lesson) -> Teacher | Ensemble:
    """One encoder with its head, or an ensemble of them; not judged yet."""
    from wakesmith.teachers import _lesson
    from wakesmith.teachers._fit import FitSettings

    settings: Settings = recipe.teach
    how = FitSettings(
        epochs=settings.epochs, batch_size=settings.batch_size, lr=settings.lr, weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing, patience=settings.patience, seed=recipe.seed,
    )  # fmt: skip
    work = _lesson.teach_all if recipe.teacher.name == "ensemble" else _lesson.teach_one
    return work(lesson, recipe.teacher, settings.head, how)


def verdict(settings: Settings, metrics: dict[str, float]) -> dict[str, Any]:
    """Policy, whether the teacher passed, and in words why not."""
    reasons = []
    if settings.gate != "off":
        if metrics["accuracy"] <= metrics["majority_accuracy"]:
            reasons.append(
                f"accuracy {metrics['accuracy']:.3f} does not beat the majority class ({metrics['majority_accuracy']:.3f})."
            )
        if metrics["wake_auc"] < settings.min_wake_auc:
            reasons.append(f"AUC of the wake phrase {metrics['wake_auc']:.3f} is under {settings.min_wake_auc:.3f}.")
    return {"policy": settings.gate, "passed": None if settings.gate == "off" else not reasons, "reasons": reasons}


def _told(source: str, metrics: dict[str, float], gate: dict[str, Any]) -> str:
    numbers = f"accuracy {metrics['accuracy']:.3f}, wake AUC {metrics['wake_auc']:.4f}, calibration error {metrics['ece']:.3f}"
    outcome = {True: "passed", False: "failed: " + " ".join(gate["reasons"]), None: "off"}[gate["passed"]]
    return f"teach: {source}: dev {numbers}; gate {outcome}"


def _save(out: Path, teacher: Teacher | Ensemble, gate: dict[str, Any]) -> None:
    from wakesmith.teachers import _ensemble

    if isinstance(teacher, _ensemble.Ensemble):
        teacher.card = teacher.card.model_copy(update={"gate": gate})
        _ensemble.save(out, teacher)
    else:
        teacher.card = teacher.card.model_copy(update={"gate": gate})
        save_teacher(out, teacher)

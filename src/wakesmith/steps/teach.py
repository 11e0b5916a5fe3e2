"""`teach`: views of train and dev -> a head on the encoder, frozen or tuned, calibrated on dev and passed by the gate."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from wakesmith import config, ranks
from wakesmith.data import classes
from wakesmith.data.records import UNLABELLED, Clip
from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.run import fingerprint, write_json
from wakesmith.teachers._card import CARD, HeadSettings
from wakesmith.teachers._tune_settings import Tuning

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe
    from wakesmith.teachers._card import Teacher, Teaches
    from wakesmith.teachers._ensemble import Ensemble
    from wakesmith.teachers._lesson import Lesson

VERDICT, PLAIN = "gate.json", "plain"
PLAIN_READS = ("phrase", "seed", "features", "student", "losses", "train")
"""Sections of the recipe that decide what the student without a teacher becomes."""


class Settings(config.Settings):
    views: int = Field(default=2, ge=1)
    """Views of each training clip that the head learns from (no more than there are)."""
    max_encodings: int = Field(default=12_000, ge=8)
    """At most so many training views, drawn evenly over the classes: a bound on time and disk."""
    head: HeadSettings = HeadSettings()
    epochs: int = Field(default=12, ge=1)
    """At most so many passes of the head over its encodings."""
    patience: int = Field(default=4, ge=1)
    """Epochs without a better dev loss after which training stops."""
    batch_size: int = Field(default=64, ge=2)
    """Encodings of one step of the head."""
    lr: float = Field(default=2e-3, gt=0.0)
    """Learning rate of the head."""
    weight_decay: float = Field(default=0.1, ge=0.0)
    """Of the head."""
    label_smoothing: float = Field(default=0.05, ge=0.0, lt=0.5)
    """Share of each label that is spread over the other classes: a head that is never quite sure is calibrated better."""
    tune: Tuning = Tuning()
    """Stage two: the encoder learns too."""
    gate: Annotated[Literal["error", "warn", "off"], BeforeValidator(lambda value: "off" if value is False else value)] = "error"
    """What happens when the teacher hears too little on dev to be imitated. (YAML reads a bare off as false.)"""
    min_wake_auc: float = Field(default=0.9, ge=0.5, le=1.0)
    """Least area under the ROC curve of the wake phrase against all else on dev."""
    max_ece: float = Field(default=0.1, gt=0.0, le=1.0)
    """Largest calibration error on dev, after the temperature is fitted; where few clips make more by chance alone, that."""
    against_plain: bool = False
    """The teacher must also beat the student that is trained without it, in misses on dev. That student is trained for it."""

    @model_validator(mode="after")
    def _content_of_one_encoder(self) -> Settings:
        if self.head.content and self.tune.steps:
            raise ValueError(
                "head.content is found in what the encoder heard before stage two changes it; set tune.steps or head.content to 0"
            )
        return self

    @property
    def asks_plain(self) -> bool:
        """Whether the gate needs the student without a teacher."""
        return self.against_plain and self.gate != "off"


def run(recipe: Recipe, folder: Path) -> Path:
    """Write folder/teach: head.safetensors, encoder.safetensors where it was tuned, card.json, gate.json; of an ensemble,
    members/<n>-<name>/ in place of the weights.

    What the encoders heard is kept in folder/encodings, how far a tuning is in folder/tuning.
    Raises TeacherError at a closed gate.
    """
    settings: Settings = recipe.teach
    if settings.asks_plain and ranks.n_ranks() > 1:
        raise TeacherError(
            "teach.against_plain: the first process teaches alone, its student would wait. Run `teach` without torchrun."
        )
    out = folder / "teach"
    out.mkdir(parents=True, exist_ok=True)
    (out / CARD).unlink(missing_ok=True)  # a stop from here on leaves no teacher that looks whole
    lesson = lesson_of(recipe, folder)
    teacher = teach(recipe, lesson)
    gate = judge(recipe, folder, teacher, lesson)
    write_json(out / VERDICT, gate)
    say(_told(teacher.card.encoder_source, gate))
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


def check_labels(clips: Collection[Clip]) -> None:
    """Train and dev must hold the wake phrase and something else."""
    for split in ("train", "dev"):
        found = {clip.label for clip in clips if clip.split == split} - {UNLABELLED}
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
    return work(lesson, recipe.teacher, settings.head, how, settings.tune)


def judge(recipe: Recipe, folder: Path, teacher: Teaches, lesson: Lesson) -> dict[str, Any]:
    """The gate's verdict as the settings ask for it. See `_gate.judge`."""
    from wakesmith.teachers import _gate

    settings: Settings = recipe.teach
    plain = plain_student(recipe, folder) if settings.asks_plain else None
    return _gate.judge(_gate.Limits(settings.gate, settings.min_wake_auc, settings.max_ece), teacher, lesson, plain)


def plain_student(recipe: Recipe, folder: Path) -> dict[str, float]:
    """Figures on dev of the student trained without a teacher, in folder/plain; it is trained when it is not there.

    Its folder is named after what it is made from, so that another teacher is compared with the same student.
    """
    from wakesmith.data.views import ViewStore
    from wakesmith.steps import train

    by_chance = recipe.train.model_copy(update={"start": None})  # a first student would have been taught
    recipe = recipe.model_copy(update={"train": by_chance})
    settings = recipe.model_dump(mode="json", include=set(PLAIN_READS))
    views = ViewStore.open(folder / "views")
    out = folder / PLAIN / fingerprint("plain", settings, views.fingerprint, views.n_views)[:16]
    if not (out / CARD).exists():
        say("teach: the student is trained without a teacher, to compare")
    train.fit(recipe, folder, out, distil=False)
    return dict(json.loads((out / CARD).read_text(encoding="utf-8"))["dev"])


def _told(source: str, gate: dict[str, Any]) -> str:
    dev = gate["dev"]
    numbers = (
        f"accuracy {dev['accuracy']:.3f}, wake AUC {dev['wake_auc']:.4f}, calibration error {dev['ece']:.3f}, "
        f"misses {dev['frr']:.3f} at {dev['fa_per_hour']:g} FA/h"
    )
    outcome = {True: "passed", False: "failed: " + " ".join(gate["reasons"]), None: "off"}[gate["passed"]]
    return f"teach: {source}: dev {numbers}; gate {outcome}"


def _save(out: Path, teacher: Teacher | Ensemble, gate: dict[str, Any]) -> None:
    from wakesmith.teachers import _ensemble
    from wakesmith.teachers._card import Teacher, save_teacher

    kept = {key: value for key, value in gate.items() if key != "dev"}
    if isinstance(teacher, Teacher):
        teacher.card = teacher.card.model_copy(update={"gate": kept})
        save_teacher(out, teacher)
    else:
        teacher.card = teacher.card.model_copy(update={"gate": kept})
        _ensemble.save(out, teacher)

"""`teach`: views of train and dev -> a head on the frozen encoder, calibrated on dev and passed by the gate."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wakesmith import config, registry
from wakesmith.data import classes
from wakesmith.data.records import Clip
from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.teachers._card import CARD, Card, HeadSettings, head_bytes, save_card

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wakesmith.data.answers import Answers
    from wakesmith.data.views import ViewStore
    from wakesmith.steps._recipe import Recipe
    from wakesmith.teachers._base import Encoder
    from wakesmith.teachers._fit import Encodings
    from wakesmith.teachers._head import Head

ENCODINGS, VERDICT = "encodings", "gate.json"


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
    """Write folder/teach: encodings/ (cache), head.safetensors, card.json, gate.json. Raises TeacherError at a closed gate."""
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._encodings import encode, keys_to_teach

    settings: Settings = recipe.teach
    out = folder / "teach"
    out.mkdir(parents=True, exist_ok=True)
    (out / CARD).unlink(missing_ok=True)  # a stop from here on leaves no teacher that looks whole
    audio, views = AudioStore.open(folder / "prepare"), ViewStore.open(folder / "views")
    clips = audio.clips
    check_labels(clips)
    encoder: Encoder = registry.build("teachers", recipe.teacher)
    keys = keys_to_teach(clips, min(settings.views, views.n_views), settings.max_encodings, recipe.seed)
    store = encode(encoder, views, keys, out / ENCODINGS)
    train, dev = _split(store, keys, clips, classes.numbers(clips, audio.recordings, recipe.phrases))
    head, temperature, metrics = train_head(settings, recipe.seed, train, dev, len(classes.names(recipe.phrases)))
    gate = verdict(settings, metrics)
    _write_json(out / VERDICT, {**gate, "dev": metrics})
    say(_told(encoder, metrics, gate))
    if gate["reasons"] and settings.gate == "error":
        raise TeacherError(
            f"teach: the gate is closed: {' '.join(gate['reasons'])} Use another teacher or more data, or set teach.gate to warn."
        )
    made_by = {"views": views.fingerprint, "seed": recipe.seed, "teach": settings.model_dump(mode="json")}
    _save(out, recipe, encoder, head, temperature, metrics, gate, made_by, train, views)
    return out


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


def _split(
    store: Answers, keys: npt.NDArray[np.int64], clips: list[Clip], numbers: npt.NDArray[np.int64]
) -> tuple[Encodings, Encodings]:
    """Finite encodings of train and of dev, with their class numbers."""
    import numpy as np

    from wakesmith.data.answers import OK
    from wakesmith.teachers._encodings import STATES
    from wakesmith.teachers._fit import Encodings

    labels = numbers[keys[:, 0]]
    is_dev = np.array([clips[clip].split == "dev" for clip in keys[:, 0]])
    finite = np.asarray(store.state) == OK
    bad = int((~finite).sum())
    if bad > 0.01 * len(keys):
        raise TeacherError(f"teach: the encoder gave NaN or infinity for {bad} of {len(keys)} views. Use teacher.dtype float32.")
    states = store.arrays[STATES]
    train, dev = (np.flatnonzero(finite & chosen) for chosen in (~is_dev, is_dev))
    return Encodings(states[train], labels[train]), Encodings(states[dev], labels[dev])


def train_head(
    settings: Settings, seed: int, train: Encodings, dev: Encodings, n_classes: int
) -> tuple[Head, float, dict[str, float]]:
    """-> trained head, its calibration temperature, metrics on dev after calibration."""
    from wakesmith.teachers._fit import FitSettings, fit_head, fit_temperature, logits_of, measure

    how = FitSettings(
        epochs=settings.epochs, batch_size=settings.batch_size, lr=settings.lr, weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing, patience=settings.patience, seed=seed,
    )  # fmt: skip
    head = fit_head(settings.head, how, train, dev, n_classes)
    logits = logits_of(head, dev)
    temperature = fit_temperature(logits, dev.labels)
    return head, temperature, measure(logits / temperature, dev.labels)


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


def _told(encoder: Encoder, metrics: dict[str, float], gate: dict[str, Any]) -> str:
    numbers = f"accuracy {metrics['accuracy']:.3f}, wake AUC {metrics['wake_auc']:.4f}, calibration error {metrics['ece']:.3f}"
    outcome = {True: "passed", False: "failed: " + " ".join(gate["reasons"]), None: "off"}[gate["passed"]]
    return f"teach: {encoder.source}: dev {numbers}; gate {outcome}"


def _save(
    out: Path, recipe: Recipe, encoder: Encoder, head: Head, temperature: float, metrics: dict[str, float],
    gate: dict[str, Any], made_by: dict[str, Any], train: Encodings, views: ViewStore,
) -> None:  # fmt: skip
    weights = head_bytes(head)
    card = Card(
        teacher=recipe.teacher.model_dump(mode="json"), encoder_fingerprint=encoder.fingerprint(),
        encoder_source=encoder.source, encoder_licence=encoder.licence, labels=classes.names(recipe.phrases),
        n_layers=encoder.n_layers, n_segments=int(train.states.shape[2]), hidden_size=encoder.hidden_size,
        clip_samples=views.n_samples, head=head.settings, head_sha256=hashlib.sha256(weights).hexdigest(), trained=True,
        calibration_temperature=temperature, dev=metrics, gate=gate, made_by=made_by,
    )  # fmt: skip
    save_card(out, card, weights)


def _write_json(path: Path, data: dict[str, Any]) -> None:
    aside = path.with_name(path.name + ".part")
    aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)

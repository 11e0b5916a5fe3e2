"""train/model.safetensors -> bundle/{model.onnx, card.json, README.md}, and the like in bundles/NAME/ for each other target.

Operating points and figures are for `evaluate` to add.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

import wakesmith
from wakesmith import bundle, config, registry
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.card import Card, Phrase
from wakesmith.data import classes
from wakesmith.errors import BundleError
from wakesmith.run import code

MAIN = "onnx"
"""The target that lies in RUN/bundle: `evaluate`, `mine` and `learn` hear through it."""
OTHERS = "bundles"
TEACHER_FACTS = (
    "encoder_source",
    "encoder_licence",
    "encoder_fingerprint",
    "head_sha256",
    "calibration_temperature",
    "member_fingerprints",
    "weights",
    "dev",
)


class Settings(config.Settings):
    targets: list[config.Exporter] = Field(default_factory=lambda: [config.part("exporters", MAIN)])
    """Files that the run makes. RUN/bundle is the one of `onnx`, made in any case; RUN/bundles/NAME holds each other."""
    calibration_s: float = Field(default=240.0, ge=60.0, le=3600.0)
    """Sound of train that a target's numbers are quantised and checked by, where it needs any."""

    @field_validator("targets")
    @classmethod
    def _apart(cls, targets: list[config.PartSettings]) -> list[config.PartSettings]:
        names = [one.name for one in targets]
        if len(set(names)) < len(names):
            raise ValueError("a target is named twice")
        return targets

    @property
    def main(self) -> config.PartSettings:
        return next((one for one in self.targets if one.name == MAIN), config.part("exporters", MAIN))

    @property
    def others(self) -> list[config.PartSettings]:
        return [one for one in self.targets if one.name != MAIN]


def run(recipe: Any, folder: Path) -> Path:
    """Build the student that was trained, load its weights, write its bundles whole or not at all. -> folder/bundle"""
    from wakesmith.exporters._listener import Listener
    from wakesmith.steps import _targets

    settings = recipe.export
    labels = classes.names(recipe.phrases)
    facts = _train_facts(folder, len(recipe.phrases), len(labels))
    front_end = registry.build("features", recipe.features)
    student = registry.build("students", recipe.student, front_end.n_mels, facts["n_frames"], facts["n_classes"])
    load_weights(student, folder / "train" / "model.safetensors")
    listener = Listener(front_end, student, len(recipe.phrases))
    told = _told(recipe, folder, listener, labels[: facts["n_classes"]])
    streams = _targets.Streams(folder, recipe.seed, settings.calibration_s, listener)
    for name in ("bundle", OTHERS):
        shutil.rmtree(folder / f"{name}.part", ignore_errors=True)
    _write(settings.main, listener, streams, told, folder / "bundle.part")
    for target in settings.others:
        _write(target, listener, streams, told, folder / f"{OTHERS}.part" / target.name)
    _put(folder / f"{OTHERS}.part", folder / OTHERS)
    return _put(folder / "bundle.part", folder / "bundle")


def _write(target: config.PartSettings, listener: Any, streams: Any, told: dict[str, Any], out: Path) -> None:
    """One bundle. `told`: what its card says of the student."""
    from wakesmith.steps import _targets

    exporter = registry.build("exporters", target)
    outside = _targets.is_outside(told["features"]["name"], exporter)
    path = out / exporter.file_name
    out.mkdir(parents=True)
    exporter.export(listener, path, streams.of(exporter.calibrates_on))
    place: Literal["inside", "outside"] = "outside" if outside else "inside"
    bundle.save_card(out, Card(**told, model=path.name, sha256=bundle.file_sha256(path), front_end=place))


def _told(recipe: Any, folder: Path, listener: Any, labels: list[str]) -> dict[str, Any]:
    """What the card of each bundle of a run says alike."""
    from wakesmith.steps import _rounds, _start

    begun = _start.read(folder / "train" / "model.safetensors") if recipe.train.start else None
    data = _start.learned(folder, _rounds.of(recipe, folder), begun)
    return {
        "phrases": [Phrase(text=text) for text in recipe.phrases],
        "language": recipe.language,
        "labels": labels,
        "rate_hz": SAMPLE_RATE_HZ,
        "step_samples": listener.step_samples,
        "scores_per_step": listener.scores_per_step,
        "state_size": listener.state_size,
        "receptive_samples": listener.receptive_samples,
        "listens": listener.student.listens,
        "features": recipe.features.model_dump(mode="json"),
        "student": recipe.student.model_dump(mode="json"),
        "parameters": sum(weight.numel() for weight in listener.student.parameters()),
        "teacher": _teacher(folder) if recipe.train.distil else None,
        "data_licences": sorted({one.licence for one in data}),
        "data": data,
        "versions": _versions(),
        "code": code(),
        "seed": recipe.seed,
    }


def check_one_phrase(phrases: list[str]) -> None:
    """Rounds of `mine` and `learn` go by one score. Raises BundleError."""
    if len(phrases) > 1:
        raise BundleError(
            f"phrase: `mine` and `learn` know bundles of one phrase, this is one of {len(phrases)}: {', '.join(phrases)}. "
            "Leave them out, with --set mine.rounds=0, or forge each phrase by itself."
        )


def load_weights(
    student: Any, path: Path, way_out: str = "Train again: wakesmith train.", others: Mapping[str, Any] | None = None
) -> None:
    """Strict: every missing, unexpected or mis-shaped weight is named. Raises BundleError. `others`: besides the file's."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path) | dict(others or {})
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: not readable ({error}). {way_out}") from error
    own = student.state_dict()
    wrong = [f"missing {name}" for name in own if name not in weights]
    wrong += [f"unexpected {name}" for name in weights if name not in own]
    for name in own.keys() & weights.keys():
        if own[name].shape != weights[name].shape:
            wrong.append(f"{name} is {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}")
        elif not weights[name].isfinite().all():
            wrong.append(f"{name} holds NaN or infinity")
    if wrong:
        shown = "; ".join(sorted(wrong)[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise BundleError(f"{path}: these weights are not of this student: {shown}. {way_out}")
    student.load_state_dict(weights, strict=True)


def _train_facts(folder: Path, n_phrases: int, n_labels: int) -> dict[str, int]:
    path = folder / "train" / "card.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        facts = {key: int(data[key]) for key in ("n_classes", "n_frames")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: not readable, or without n_classes and n_frames. Train first: wakesmith train.") from error
    if not n_phrases < facts["n_classes"] <= n_labels:
        raise BundleError(
            f"{path}: n_classes {facts['n_classes']} is not {n_phrases + 1} to {n_labels}. Train again: wakesmith train."
        )
    return facts


def _teacher(folder: Path) -> dict[str, Any] | None:
    """The few facts of the teacher's card that a user of the bundle wants; None when the student learned alone."""
    path = folder / "teach" / "card.json"
    if not path.is_file():
        return None
    from wakesmith.steps import _model_card

    return _model_card.teacher(json.loads(path.read_text(encoding="utf-8")), TEACHER_FACTS)


def _versions() -> dict[str, str]:
    found = {"wakesmith": wakesmith.__version__}
    for name in ("torch", "onnx", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _put(aside: Path, place: Path) -> Path:
    """The new folder, where there is one, takes the old one's place."""
    old = place.with_name(place.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.replace(old)
    if aside.exists():
        aside.replace(place)
    shutil.rmtree(old, ignore_errors=True)
    return place

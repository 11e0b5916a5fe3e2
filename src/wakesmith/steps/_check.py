"""`teach --check`: the teacher beside its members, the majority class and the student without it; and the gate's verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith.errors import ConfigError, TeacherError
from wakesmith.run import Run
from wakesmith.steps import teach
from wakesmith.steps._train_settings import NO_LABELS, learn_labels
from wakesmith.tables import Look, aligned

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

COLUMNS = ("accuracy", "prior_accuracy", "balanced_accuracy", "wake_auc", "frr", "ece")


def run(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Judge the teacher of a run again, as it lies there; nothing is changed but that the plain student is trained if need be.

    -> {"teacher", "gate": verdict, "rows": {name: measures on dev}}. A teacher that the gate kept out left its verdict only.
    """
    if not learn_labels(recipe.losses):
        raise ConfigError(NO_LABELS.format("teach --check"))
    with Run(folder).alone():
        return _run(recipe, folder)


def _run(recipe: Recipe, folder: Path) -> dict[str, Any]:
    from wakesmith.teachers import _card

    out, lesson = folder / "teach", teach.lesson_of(recipe, folder)
    if not (out / _card.CARD).exists() and (out / teach.VERDICT).exists():
        gate = json.loads((out / teach.VERDICT).read_text(encoding="utf-8"))
        return _report(recipe.teacher.name, gate, {}, teach.plain_student(recipe, folder))
    teacher = _card.load_teacher(out)
    card = teacher.card
    if (card.made_by["views"], card.labels) != (lesson.views.fingerprint, lesson.labels):
        raise TeacherError(f"{out}: the teacher was taught on other views or classes than this run's. Run `teach` again.")
    gate = teach.judge(recipe, folder, teacher, lesson)
    members = {}
    if isinstance(card, _card.EnsembleCard):
        own = {name: _card.load_card(out / _card.MEMBERS / name) for name in card.members}
        members = {f"  {name} ({card.weights[name]:.0%})": one.dev for name, one in own.items()}
    return _report(card.teacher["name"], gate, members, teach.plain_student(recipe, folder))


def _report(name: str, gate: dict[str, Any], members: dict[str, dict[str, float]], plain: dict[str, float]) -> dict[str, Any]:
    dev = gate.pop("dev")
    # One answer for all clips: no threshold parts them, so the phrase is missed; there is no confidence to calibrate.
    right = dict.fromkeys(("accuracy", "prior_accuracy"), dev["majority_accuracy"])
    majority = {**right, "balanced_accuracy": dev["chance_accuracy"], "wake_auc": 0.5, "frr": 1.0}
    rows = {f"teacher: {name}": dev, **members, "student without teacher": plain, "majority class": majority}
    return {"teacher": name, "gate": gate, "rows": rows}


def table(report: dict[str, Any], look: Look = aligned) -> str:
    """For a terminal."""
    dev = next(iter(report["rows"].values()))
    bound = " (bound)" if dev["fa_hours"] * dev["fa_per_hour"] < 1 else ""
    head = ["on dev", "accuracy", "told shares", "balanced", "wake AUC", f"FRR at {dev['fa_per_hour']:g} FA/h{bound}", "ECE"]
    lines = [head, *([name, *(_shown(row.get(key)) for key in COLUMNS)] for name, row in report["rows"].items())]
    return "\n".join([*look(lines), "", *_told(report["gate"])])


def _told(gate: dict[str, Any]) -> list[str]:
    checks = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in gate["checks"].items())
    outcome = {True: "passed", False: "closed", None: "off"}[gate["passed"]]
    return [f"gate ({gate['policy']}): {outcome}" + (f"; {checks}" if checks else ""), *(f"  {told}" for told in gate["reasons"])]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""The course of a round: begun, its clips found, a student trained that knows them, exported, evaluated, told beside what was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from wakesmith import ranks
from wakesmith.errors import WakesmithError
from wakesmith.progress import say
from wakesmith.run import Run, write_json
from wakesmith.steps import _recipe, _rounds, export, forge, learn, mine
from wakesmith.steps._rounds import BEFORE, BUNDLE_BEFORE, FOLDER, FOUND, PLAN, TOLD, Round

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe
    from wakesmith.teachers._card import Teaches

KEPT = (("train/model.safetensors", "model.safetensors"), ("train/losses.safetensors", "losses.safetensors"))
JUDGED = {"frr_clean": "clean misses", "frr_all": "misses of all conditions", "fa_per_hour": "FA/h"}
AFTER = ("train", "export", "evaluate")


def take_up(recipe: Recipe, place: Run, command: str) -> Round | None:
    """Check that the run is whole, and finish a round that was interrupted. -> that round."""
    export.check_one_phrase(recipe.phrases)
    if ranks.n_ranks() > 1:
        raise WakesmithError(f"{command}: a round is the work of one process. Run it without torchrun.")
    road = _recipe.road(recipe)
    forge.check_whole(recipe, place, [step for step in road if step not in AFTER], command)
    open_rounds = [one for one in _rounds.of(recipe, place.folder) if not one.is_told]
    for one in open_rounds:
        say(f"{command}: round {one.name} was interrupted and is finished first")
        say(line(finish(recipe, place, one)))
    forge.check_whole(recipe, place, road, command)
    return open_rounds[-1] if open_rounds else None


def begin(recipe: Recipe, place: Run, kind: Literal["mine", "learn"], asked: Mapping[str, int] | None = None) -> Round:
    """A round without clips yet, beside what it sets out from. One that was stopped before it had its clips begins again.

    asked: what its plan also says, of the command that makes it.
    """
    settings: mine.Settings | learn.Settings = getattr(recipe, kind)
    earlier = {one.plan["kind"]: one.plan["share"] for one in _rounds.of(recipe, place.folder)}
    _rounds.check_share(kind, settings.share, recipe.train.own_share, earlier)
    rounds = place.folder / FOLDER
    for path in rounds.glob("[0-9][0-9]*"):
        if not Round(path).is_found:
            shutil.rmtree(path)
    taken = [int(path.name) for path in rounds.glob("[0-9][0-9]*")]
    folder = rounds / f"{max(taken, default=0) + 1:02d}"
    (folder / BEFORE).mkdir(parents=True)
    shutil.copytree(place.folder / "bundle", folder / BUNDLE_BEFORE)
    shutil.copy2(place.folder / "evaluate" / "report.json", folder / BEFORE)
    for source, name in KEPT:
        if (place.folder / source).exists():
            shutil.copy2(place.folder / source, folder / BEFORE / name)
    plan: dict[str, Any] = {
        "kind": kind,
        "share": settings.share,
        "steps": max(1, round(settings.steps_share * recipe.train.steps)),
    }
    plan |= {"settings": settings.model_dump(mode="json"), **(asked or {})}
    plan |= {step: _recipe.fingerprint(recipe, step) for step in ("prepare", "train")}
    write_json(folder / PLAN, plan)
    return Round(folder)


def found(one: Round, told: dict[str, Any]) -> None:
    """From here on the round counts."""
    write_json(one.folder / FOUND, told)


def drop(one: Round) -> None:
    """A round that found nothing leaves nothing."""
    shutil.rmtree(one.folder)


def finish(recipe: Recipe, place: Run, one: Round) -> dict[str, Any]:
    """Train with the round's clips, export, evaluate; write round.json. -> what it says."""
    for step in AFTER:
        forge.go(recipe, place, step)
    told = {"round": int(one.name), **one.plan, **one.found}
    told["before"] = figures(one.folder / BEFORE / "report.json")
    told["after"] = figures(place.folder / "evaluate" / "report.json")
    if one.plan["kind"] == "learn":
        told["files"] = learn.heard_again(one, place.folder / "bundle", told["files"])
    write_json(one.folder / TOLD, told)
    return told


def figures(report: Path) -> dict[str, dict[str, float]]:
    """Misses and false accepts of dev and test at the shipped threshold."""
    data = json.loads(report.read_text(encoding="utf-8"))
    made = {}
    for split in ("dev", "test"):
        rows, rate = data[split]["conditions"], data[split]["false_accepts"]
        made[split] = {
            "frr_clean": rows[0]["missed"] / rows[0]["n"],
            "frr_all": sum(row["missed"] for row in rows) / sum(row["n"] for row in rows),
            "false_accepts": rate["count"], "hours": rate["hours"], "fa_per_hour": rate["per_hour"],
        }  # fmt: skip
    return made


def line(told: dict[str, Any]) -> str:
    """A round in one line: of a mined one dev alone, for further rounds may follow."""
    splits = ("dev",) if told["kind"] == "mine" else ("dev", "test")
    shown = "; ".join(f"{split} {_change(told, split)}" for split in splits)
    return f"round {told['round']:02d}: {told['n_clips']} clips; {shown}{_warning(told)}"


def _warning(told: dict[str, Any]) -> str:
    """A sentence when dev got worse: the new bundle stands all the same."""
    old, new = told["before"]["dev"], told["after"]["dev"]
    worse = [words for key, words in JUDGED.items() if new[key] > old[key]]
    if not worse:
        return ""
    kept = f"{FOLDER}/{told['round']:02d}/{BUNDLE_BEFORE}"
    return f". On dev it got worse: {', '.join(worse)}. The bundle before it is kept: {kept}"


def _change(told: dict[str, Any], split: str) -> str:
    old, new = told["before"][split], told["after"][split]
    return (
        f"misses clean {old['frr_clean']:.1%} -> {new['frr_clean']:.1%}, all conditions {old['frr_all']:.1%} -> "
        f"{new['frr_all']:.1%}, FA/h {old['fa_per_hour']:.2f} -> {new['fa_per_hour']:.2f} of {new['hours']:.2f} h"
    )


def teacher_of(recipe: Recipe, folder: Path) -> Teaches | None:
    """The run's teacher; None when the run was trained without one."""
    if not recipe.train.distil:
        return None
    from wakesmith.teachers._card import load_teacher

    return load_teacher(folder / "teach")


def answers(teacher: Teaches, views: npt.NDArray[np.float32], batch: int) -> npt.NDArray[np.float64]:
    """(n, VIEW_SAMPLES) as recorded -> the teacher's probabilities (n, C)."""
    import torch

    from wakesmith import metrics

    pieces = [teacher.answer(torch.from_numpy(views[i : i + batch]))[0].numpy() for i in range(0, len(views), batch)]
    return np.asarray(metrics.softmax(np.concatenate(pieces)), np.float64)

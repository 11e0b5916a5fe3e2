"""`compare`: the same student with and without each teacher, on the same views, with the same steps and seeds.

Every arm is the run's recipe with a few settings changed; `none` learns from the labels alone. What arms share (voices, clips,
views, a teacher's answers) is made once, by fingerprint. Figures of a cell (arm, seed) are kept, so that an interrupted
comparison goes on, and one more seed or teacher costs only itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith import pool, progress
from wakesmith.config import merge
from wakesmith.errors import ConfigError
from wakesmith.progress import say
from wakesmith.run import Run, fingerprint, write_json
from wakesmith.steps import _files, _recipe, forge

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

PLAIN = "none"
FOLDER, CELLS, MADE = "compare", "cells", "made"


@dataclass(frozen=True)
class Arm:
    """One way to train: a name, and the settings that it changes."""

    name: str
    over: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One student to train: its recipe, and the folder of its own, a run folder in which shared steps are links."""

    recipe: Recipe
    folder: Path

    @property
    def last(self) -> str:
        return "evaluate" if len(self.recipe.phrases) == 1 else "train"


def run(values: Mapping[str, Any], folder: Path, arms: list[Arm], n_seeds: int, jobs: int) -> dict[str, Any]:
    """Compare arms in the run folder of the recipe `values`; `jobs` students are trained at once, each on one thread.

    -> what folder/compare/compare.json holds.
    """
    from wakesmith.steps import _common_test, _compare

    base = _recipe.load(dict(values))
    taught = base if Run(folder).is_whole("teach", _recipe.fingerprint(base, "teach")) else None
    recipes = {arm.name: _of_arm(values, arm, taught) for arm in [Arm(PLAIN, {"train": {"distil": False}}), *arms]}
    if len(recipes) != len(arms) + 1:
        raise ConfigError(f"compare: two arms have one name; each needs its own, and '{PLAIN}' is the one without a teacher.")
    cells = {name: [cell_of(seeded(recipe, seed), folder) for seed in range(n_seeds)] for name, recipe in recipes.items()}
    with Run.open(folder).alone():  # its config.yaml stays as it is
        for name, own in cells.items():
            say(f"compare: {name}")
            for cell in own:
                shared_steps(cell, folder)
            _common_test.check(name, own[0].folder / "prepare", cells[PLAIN][0].folder / "prepare")
        _train([own[seed] for seed in range(n_seeds) for own in cells.values()], jobs)
        results = _judge_all(base, cells)
    told = _compare.summary(results, base)
    write_json(folder / FOLDER / "compare.json", told)
    return told


def cell_of(recipe: Recipe, folder: Path) -> Cell:
    from wakesmith.steps import _compare

    last = Cell(recipe, folder).last
    name = fingerprint(_recipe.fingerprint(recipe, last), _compare.TRAINING)[:16]
    return Cell(recipe, folder / FOLDER / CELLS / name)


def shared_steps(cell: Cell, folder: Path) -> None:
    """Everything up to the training, made here or linked."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    place = forge.plan(cell.recipe, cell.folder)
    for shared in ("encodings", "features"):
        (folder / shared).mkdir(exist_ok=True)
        _link(cell.folder / shared, folder / shared)
    for step in _recipe.road(cell.recipe, "train")[:-1]:
        _link(cell.folder / step, _home(cell.recipe, step, folder))
        forge.go(cell.recipe, place, step, quiet=True)


def _train(cells: list[Cell], jobs: int) -> None:
    """Small networks gain little from a second thread: as many students at once as there are cores are done soonest."""
    cells = [cell for cell in cells if not Run(cell.folder).is_whole("train", _recipe.fingerprint(cell.recipe, "train"))]
    if not cells:
        return
    _features(cells)
    with pool.workers(jobs, progress.mute) as processes:  # one that failed is told now, not after all the others
        waiting = [processes.submit(_train_one, cell) for cell in cells]
        for finished in progress.track(as_completed(waiting), "compare: students", total=len(waiting)):
            finished.result()


def _features(cells: list[Cell]) -> None:
    """The features of all views, before processes ask for the same file."""
    from wakesmith.steps import train

    for cell in cells:
        train.features_of(cell.recipe, cell.folder, cell.folder / "train")


def _train_one(cell: Cell) -> None:
    forge.go(cell.recipe, Run(cell.folder), "train", quiet=True)


def _judge_all(base: Recipe, cells: dict[str, list[Cell]]) -> dict[str, list[dict[str, Any]]]:
    """The figures of every trained student, measured once."""
    from wakesmith.steps import _compare

    name = _compare.stamp(base)
    results = {arm: [cell.folder / f"figures-{name}.json" for cell in own] for arm, own in cells.items()}
    todo = [(cell, path) for arm, own in cells.items() for cell, path in zip(own, results[arm], strict=True) if not path.exists()]
    heard = _compare.views_of_test(base, cells[PLAIN][0].folder) if todo else {}  # it changes nothing of the run's views
    for cell, path in progress.track(todo, "compare: judged"):
        for step in _recipe.road(cell.recipe, cell.last):
            forge.go(cell.recipe, Run(cell.folder), step, quiet=True)
        write_json(path, _compare.figures(cell.recipe, cell.folder, heard, name))
    return {arm: [json.loads(path.read_text(encoding="utf-8")) for path in paths] for arm, paths in results.items()}


def _of_arm(values: Mapping[str, Any], arm: Arm, taught: Recipe | None = None) -> Recipe:
    """`taught`: the run's recipe where its teacher is whole; an arm with that teacher takes it, and its answers, as they are."""
    own = [step for step, section in _files.READERS.items() if section in arm.over]

    def made(**kept: Any) -> Recipe:
        kept["train"] = {"keep_features": True, "start": None}  # what one of these learned from a teacher, none may begin with
        return _files.seen(_recipe.load(merge(merge(dict(values), kept), dict(arm.over))), own)

    if taught:
        recipe = _recipe.with_teacher_of(made(), taught)
        if _recipe.fingerprint(recipe, "teach") == _recipe.fingerprint(taught, "teach"):
            return recipe
    # A weak teacher is a result here, not a reason to stop; its verdict is written all the same. It is not judged beside the
    # student without it: that is an arm, and each seed's is another, for which the teacher would be taught again.
    return made(teach={"gate": "warn", "against_plain": False}, label={"keep_encodings": True})


def seeded(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with the n-th seed of weights and order; views and teacher stay the same."""
    if recipe.train.seed is not None:
        raise ConfigError("train.seed: compare gives each training a seed of its own; leave it out.")
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": (1000 * recipe.seed + seed) % 2**32})})


def _home(recipe: Recipe, step: str, folder: Path) -> Path:
    """Where the output of a shared step lies: the run's own folder when it is the same, else one named by its fingerprint."""
    stamp = _recipe.fingerprint(recipe, step)
    home = folder / step if Run(folder).is_whole(step, stamp) else folder / FOLDER / MADE / f"{step}-{stamp[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    return home


def _link(link: Path, home: Path) -> None:
    target = os.path.relpath(home, link.parent)  # relative: the run folder may be moved or copied
    if link.is_symlink() and os.readlink(link) != target:
        link.unlink()
    if not link.is_symlink():
        link.symlink_to(target, target_is_directory=True)

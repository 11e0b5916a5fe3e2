"""`forge`: the whole road, a step at a time; what is whole is passed over."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith import progress, ranks
from wakesmith.config import read_yaml, to_yaml
from wakesmith.data import classes
from wakesmith.errors import ConfigError, WakesmithError
from wakesmith.progress import say
from wakesmith.run import CONFIG, Run, write_text
from wakesmith.steps import _files, _recipe, _rounds, _start, _targets, export, speak

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

SIDE_BY_SIDE = ("label", "train")
"""Steps in which every process that torchrun started does its share; the others are the first one's."""


def run(recipe: Recipe, folder: Path) -> Path:
    """Phrase to tested bundle in one run folder. -> the bundle's folder."""
    _check_rounds(recipe)
    steps = _recipe.road(recipe)
    if recipe.mine.rounds and ranks.n_ranks() > 1:
        raise WakesmithError("mine.rounds: a round is the work of one process. Set it to 0 here, then: wakesmith mine RUN")
    recipe = checked(recipe)
    with _alone(folder) as place:
        _plan(recipe, place)
        for number, step in enumerate(steps, start=1):
            go(recipe, place, step, f"[{number}/{len(steps)}] ")
        if recipe.mine.rounds:
            from wakesmith.steps import mine

            mine.go_on(recipe, place, recipe.mine.rounds)
    return folder / "bundle"


def checked(recipe: Recipe) -> Recipe:
    """All that can be refused before the first step is: phrases, voices, lists, sources, teacher, targets.

    -> the recipe with digests of the files that it names.
    """
    speak.check(recipe)
    _targets.check(recipe)
    _start.check(recipe)
    return _files.seen(recipe)


def plan(recipe: Recipe, folder: Path) -> Run:
    """Write a recipe that was checked into the run folder."""
    _check_rounds(recipe)
    place = Run.open(folder)
    with place.alone():
        _plan(recipe, place)
    return place


def _check_rounds(recipe: Recipe) -> None:
    if recipe.mine.rounds:
        export.check_one_phrase(recipe.phrases)


def _plan(recipe: Recipe, place: Run) -> None:
    if not ranks.is_first():
        return
    before = _before(place.folder)
    _check_phrases(recipe, before, place.folder)
    for step, digest in (before.get("files") or {}).items():
        if recipe.files.get(step, digest) != digest:
            say(f"{step}: the files that its settings name changed since; it and the steps after it are made anew")
    write_text(place.folder / CONFIG, to_yaml(recipe))


def _before(folder: Path) -> dict[str, Any]:
    """The recipe that lies in a run folder."""
    return read_yaml(folder / CONFIG) if (folder / CONFIG).exists() else {}


def _check_phrases(recipe: Recipe, before: dict[str, Any], folder: Path) -> None:
    """A run of other phrases is not forged anew in its place: hours of work may lie there."""
    there = before.get("phrase")
    phrases = [there] if isinstance(there, str) else there or recipe.phrases
    if {classes.plain(one) for one in phrases} != {classes.plain(one) for one in recipe.phrases}:
        raise ConfigError(
            f"{folder}: is the run of '{', '.join(phrases)}'. Name another folder for '{', '.join(recipe.phrases)}'."
        )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Run]:
    """The run folder, held by the first process for all that torchrun started."""
    if not ranks.is_first():
        progress.mute()
    ranks.begin()
    with ranks.first_goes_first():
        place = Run.open(folder)
    with place.alone() if ranks.is_first() else contextlib.nullcontext():
        yield place


def one(recipe: Recipe, folder: Path, step: str) -> Path:
    """A single step; the ones that it reads from must be whole."""
    place = Run.open(folder)
    recipe = recipe.model_copy(update={"files": _before(folder).get("files") or {}})  # as the earlier steps saw them
    check_whole(recipe, place, _recipe.needs(recipe, step), step)
    if step in ("prepare", "train"):
        _start.check(recipe)
    recipe = _files.seen(recipe, (step,))
    if step in ("train", "export"):  # before the settings are written, and the bundle that is there makes room
        _targets.check(recipe)
    with _alone(folder) as place:
        _plan(recipe, place)
        go(recipe, place, step)
    return folder / _recipe.FOLDERS.get(step, step)


def check_whole(recipe: Recipe, place: Run, steps: Iterable[str], reader: str) -> None:
    """Raises WakesmithError for a step whose output is missing, or of other settings."""
    rounds = _rounds.fingerprints(recipe, place.folder)
    for step in steps:
        if not place.is_whole(_recipe.FOLDERS.get(step, step), _recipe.fingerprint(recipe, step, rounds)):
            raise WakesmithError(
                f"{place.folder}: '{reader}' reads from '{step}', which is not whole here. Run: wakesmith {step} {place.folder}"
            )


def go(recipe: Recipe, place: Run, step: str, number: str = "", quiet: bool = False) -> None:
    """Run a step unless it is whole; `quiet`: do not say so when it is."""
    rounds = _rounds.fingerprints(recipe, place.folder)
    stamp, name = _recipe.fingerprint(recipe, step, rounds), _recipe.FOLDERS.get(step, step)
    with ranks.first_goes_first():
        begun = not place.is_whole(name, stamp)
        if begun and ranks.is_first():
            place.begin(name, stamp)
    if not begun:
        if not quiet:
            say(f"{number}{step}: whole, nothing to do")
        return
    say(f"{number}{step}")
    started = time.monotonic()
    if step == "train":
        _rounds.bring_up(recipe, place.folder)
    if ranks.is_first() or step in SIDE_BY_SIDE:
        importlib.import_module(f"wakesmith.steps.{step}").run(recipe, place.folder)
    ranks.barrier()
    if ranks.is_first():
        place.finish(name, stamp, time.monotonic() - started)
        if step == "export":
            place.forget("evaluate")  # what it wrote into the bundle went with the one before
    ranks.barrier()

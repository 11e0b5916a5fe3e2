"""`sweep`: which settings of student and training miss least on dev. Optuna asks, the run's views and answers are learned from.

Any number of commands share a study, on one machine or several: what they know of one another stands in its storage.
Only dev is heard.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith import pool, progress
from wakesmith.config import merge, read_yaml
from wakesmith.errors import ConfigError, WakesmithError
from wakesmith.progress import say
from wakesmith.run import CONFIG, Run, fingerprint, write_json
from wakesmith.steps import _recipe, _space, _sweep, forge

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._space import Space
    from wakesmith.tables import Row

FOLDER, STUDY = "sweep", "study.db"
SHOWN = 10
LOOK_EVERY_S = 1.0


def run(
    values: Mapping[str, Any], folder: Path, space: Space, trials: int = 20, storage: str | None = None, workers: int = 1,
    limits: Mapping[str, float] = {},
) -> dict[str, Any]:  # fmt: skip
    """Bring the study of the run in `folder` up to `trials`, others counted. -> what folder/sweep/NAME.json holds.

    limits: most of `parameters`, `bytes`, `latency_ms`. What keeps to all of them is better than what does not.
    """
    recipe = _of(values, folder)
    forge.check_whole(recipe, Run(folder), _recipe.road(recipe, "train")[:-1], "sweep")
    (folder / FOLDER).mkdir(exist_ok=True)
    name = f"{recipe.phrases[0]}-{_stamp(recipe, space, limits)}"
    given = (dict(values), folder, space, trials, storage, name, dict(limits))
    study = _study(storage, folder, name)
    with Run(folder).together():
        if workers == 1:
            work(*given)
        else:
            _beside(study, given, workers)
    told = {"study": name, "limits": dict(limits), "trials": ranked(study, limits)}
    write_json(folder / FOLDER / f"{name}.json", told)
    return told


def work(
    values: Mapping[str, Any], folder: Path, space: Space, trials: int, storage: str | None, name: str,
    limits: Mapping[str, float],
) -> None:  # fmt: skip
    """Trial after trial until there are enough. torch has one thread: a trial's result depends on its settings alone."""
    import torch

    torch.set_num_threads(1)
    study, recipe = _study(storage, folder, name), _of(values, folder)
    while (trial := _next(study, folder, trials, recipe.seed, limits)) is not None:
        with _sweep.seen(trial):
            _try(study, trial, values, folder, space, limits)


def _try(study: Study, trial: Trial, values: Any, folder: Path, space: Space, limits: Mapping[str, float]) -> None:
    """Train, measure and tell the study. Settings that do not go together fail, and are told with the reason."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    state, value = TrialState.COMPLETE, None
    try:
        settings = _space.over({key: choice.suggested(trial, key) for key, choice in space.items()})
        recipe = _of(merge(values, settings), folder)
        told: dict[str, Any] = {"parameters": _sweep.parameters(recipe, folder)}
        if max(_sweep.over(told, limits), default=0) > 0:
            state = TrialState.PRUNED  # too large before it is trained
        else:
            told = _sweep.figures(recipe, folder)
            value = told["frr"]
    except WakesmithError as error:
        state, told = TrialState.FAIL, {"reason": str(error)}
    with contextlib.suppress(UpdateFinishedTrialError):  # it was silent for too long, and another is at it
        for key, one in {**told, "over": _sweep.over(told, limits)}.items():
            trial.set_user_attr(key, one)
        study.tell(trial, value, state)


def _next(study: Study, folder: Path, trials: int, seed: int, limits: Mapping[str, float]) -> Trial | None:
    """The next trial, first those that lost their worker; None when there are enough."""
    from optuna.trial import TrialState

    with _sweep.in_turn(folder / FOLDER / "next.lock"):
        for number in _sweep.take_up(study):
            say(f"sweep: the worker of trial {number} is gone; its settings are tried again")
        found = study.get_trials(deepcopy=False)
        waiting = any(one.state == TrialState.WAITING for one in found)
        if not waiting and sum(not one.user_attrs.get(_sweep.TAKEN) for one in found) >= trials:
            return None
        trial = study.ask()
    study.sampler = _sampler(seed, trial.number, limits)  # of its own number: which worker asks makes no difference
    return trial


def _sampler(seed: int, number: int, limits: Mapping[str, float]) -> Any:
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints are experimental in Optuna
        own = int(fingerprint(seed, number)[:8], 16)
        keeps = (lambda trial: trial.user_attrs.get("over", [0.0] * len(limits))) if limits else None
        return TPESampler(seed=own, multivariate=False, constraints_func=keeps)


def _beside(study: Study, given: tuple[Any, ...], workers: int) -> None:
    """Workers in processes of their own; where the system ends one, its trial is taken up by the others, or by new ones."""
    shown: set[int] = set()
    while True:
        processes = [pool.process(_muted_work, *given) for _ in range(workers)]
        while any(one.is_alive() for one in processes):
            processes[0].join(LOOK_EVERY_S) if processes[0].is_alive() else time.sleep(LOOK_EVERY_S)
            _tell_new(study, shown)
        if not any(one.exitcode for one in processes) or not _sweep.take_up(study):
            return


def _muted_work(*given: Any) -> None:
    progress.mute()
    work(*given)


def _tell_new(study: Study, shown: set[int]) -> None:
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in shown:
            shown.add(trial.number)
            say(f"sweep: trial {trial.number}: {_in_words(_row(trial, {}))}")


def _study(storage: str | None, folder: Path, name: str) -> Study:
    """The study, made where it is new."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _sweep.in_turn(folder / FOLDER / "next.lock"):  # tables of a new file are made once
        return optuna.create_study(storage=_opened(storage, folder), study_name=name, load_if_exists=True)


def _opened(storage: str | None, folder: Path) -> BaseStorage | str:
    """None: a file of the run folder; with `://` what Optuna knows by URL; else a journal, a file that machines may share."""
    if storage is None:
        return f"sqlite:///{folder.absolute() / FOLDER / STUDY}"
    if "://" in storage:
        return storage
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not Path(storage).absolute().parent.is_dir():
        raise ConfigError(f"--storage {storage}: no such folder. Make it, or give a URL such as sqlite:///FILE.")
    return JournalStorage(JournalFileBackend(storage))


def ranked(study: Study, limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """Finished trials, the best first: those within the limits, then by misses, then by size."""
    rows = [_row(one, limits) for one in study.get_trials(deepcopy=False)
            if one.state.is_finished() and not one.user_attrs.get(_sweep.TAKEN)]  # fmt: skip
    inf = float("inf")
    return sorted(
        rows, key=lambda row: (row["frr"] is None, not row["keeps"], row["frr"], row.get("parameters", inf), row["trial"])
    )


def _row(trial: FrozenTrial, limits: Mapping[str, float]) -> dict[str, Any]:
    known = ("fa_per_hour", "parameters", "bytes", "latency_ms", "cell", "reason", "again")
    told = {key: trial.user_attrs[key] for key in known if key in trial.user_attrs}
    settings = {key: json.loads(one) if isinstance(one, str) else one for key, one in trial.params.items()}
    keeps = all(one <= 0 for one in _sweep.over(told, limits))
    return {"trial": trial.number, "settings": settings, "frr": trial.value, "keeps": keeps, **told}


def table(told: Mapping[str, Any]) -> list[Row]:
    """Head and a row for each of the best trials."""
    rows: list[Row] = [["trial", "misses, dev", "parameters", "bytes", "latency ms", "within limits", "settings"]]
    for one in told["trials"][:SHOWN]:
        misses = "-" if one["frr"] is None else f"{one['frr']:.1%}"
        size = [f"{one[key]:,.0f}" if key in one else "-" for key in ("parameters", "bytes")]
        latency = f"{one['latency_ms']:.1f}" if "latency_ms" in one else "-"
        said = one.get("reason") or " ".join(_set_words(one["settings"]))
        rows.append([str(one["trial"]), misses, *size, latency, "yes" if one["keeps"] else "no", said])
    return rows


def best(told: Mapping[str, Any], folder: Path, given: Sequence[str] = ()) -> str:
    """The command that trains the best, or what is in its way. given: what the user set for all trials, as KEY=VALUE."""
    first = next((one for one in told["trials"] if one["frr"] is not None and one["keeps"]), None)
    if first is None:
        return "No trial keeps to the limits: raise them, widen the space, or give more --trials."
    words = [f"--set {shlex.quote(one)}" for one in given] + _set_words(first["settings"])
    return f"The best: wakesmith train {shlex.quote(str(folder))} " + " ".join(words)


def _set_words(settings: Mapping[str, Any]) -> list[str]:
    return [f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in settings.items()]


def _in_words(row: Mapping[str, Any]) -> str:
    if row["frr"] is None:
        return row.get("reason") or "too large, not trained" if "parameters" in row or "reason" in row else "its worker is gone"
    return f"misses {row['frr']:.1%} on dev, {row['parameters']:,} parameters; {' '.join(_set_words(row['settings']))}"


def _of(values: Mapping[str, Any], folder: Path) -> Recipe:
    """The recipe of a trial. Its teacher is the run's, also where that was judged beside the run's student without it."""
    recipe = _recipe.load(merge(dict(values), {"train": {"keep_features": True}}))
    return _recipe.with_teacher_of(recipe, _recipe.load(read_yaml(folder / CONFIG))) if recipe.teach.asks_plain else recipe


def _stamp(recipe: Recipe, space: Space, limits: Mapping[str, float]) -> str:
    """Another space, run or limit is another study in the same storage."""
    plain = {key: choice.model_dump(mode="json") for key, choice in space.items()}
    judged = recipe.evaluate.model_dump(mode="json")
    return fingerprint("sweep", _recipe.fingerprint(recipe, "train"), plain, judged, dict(limits))[:8]

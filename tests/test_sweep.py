"""`sweep` on a tiny run: trials are kept, shared between workers and commands, taken up again, and kept within limits."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from wakesmith.config import ConfigError, read_yaml, to_yaml
from wakesmith.errors import WakesmithError
from wakesmith.steps import _recipe, _space, _sweep, sweep

needs_optuna = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("optuna"), reason="the extra `sweep` is not installed"
)
VALUES = {"phrase": "hey nova", "student": {"name": "ds_cnn", "width": 8}}
SPACE = {"student.width": {"values": [4, 8]}, "train.learning_rate": {"low": 0.001, "high": 0.01, "log": True}}


def space_of(given: dict) -> _space.Space:
    return _space.space_of(VALUES, given, "space.yaml")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "empty"),
        ({"student.widht": {"values": [8]}}, "^space.yaml: student.widht=8: student.widht: unknown key. Did you mean 'width'"),
        ({"views.n_views": {"values": [8]}}, "views.n_views: a trial changes features, student, losses, train alone"),
        ({"student.width": {"low": 8}}, "expected values: .*or low and high"),
        ({"student.width": {"low": 8, "high": 8}}, "expected low under high"),
        ({"train.learning_rate": {"low": 0, "high": 1, "log": True}}, "over 0 for log"),
        ({"student.width": {"low": 8, "high": 16, "setp": 4}}, "student.width: setp: unknown key. Did you mean 'step'"),
        ({"train.ema_decay": {"low": 0.5, "high": 2.0}}, "train.ema_decay=2.0"),
        ({"student.width": {"values": [8, "wide"]}}, "student.width=wide"),
    ],
)  # fmt: skip
def test_a_space_that_no_trial_could_take_is_refused(given: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        space_of(given)


def test_parts_are_values_too():
    space = space_of(
        {"student": {"values": ["tc_resnet", {"name": "ds_cnn", "width": 16}]}, "losses": {"values": [["cross_entropy", "kd"]]}}
    )
    trial = SimpleNamespace(suggest_categorical=lambda key, choices: choices[-1])
    settings = {key: choice.suggested(trial, key) for key, choice in space.items()}

    recipe = _recipe.load(VALUES, _space.over(settings))
    assert (recipe.student.name, recipe.student.width, len(recipe.losses)) == ("ds_cnn", 16, 2)


def test_trials_have_the_teacher_that_the_run_judged_beside_its_own_student(tmp_path):
    values = {**VALUES, "teach": {"against_plain": True}}
    recipe = _recipe.load(values)
    (tmp_path / "config.yaml").write_text(to_yaml(recipe))

    trial = sweep._of({**values, "student": {"name": "ds_cnn", "width": 4}, "train": {"steps": 9}}, tmp_path)

    stamps = {step: _recipe.fingerprint(recipe, step) for step in ("views", "teach", "label", "train")}
    for one in (trial, pickle.loads(pickle.dumps(trial)), trial.model_copy()):
        same = [step for step, stamp in stamps.items() if _recipe.fingerprint(one, step) == stamp]
        assert same == ["views", "teach", "label"]


def test_a_limit_is_a_share_of_itself():
    assert _sweep.over({"parameters": 150, "bytes": 50}, {"parameters": 100, "bytes": 100, "latency_ms": 1}) == [0.5, -0.5, 0.0]


def test_a_worker_of_this_machine_is_seen_to_live_and_to_die():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = {**_sweep.here(), "pid": child.pid, "began": _sweep._began(child.pid)}
    trial = SimpleNamespace(user_attrs={"worker": worker, "seen": 0.0}, datetime_start=None)

    assert not _sweep.is_dead(trial, time.time())
    child.kill()
    child.wait()
    assert _sweep.is_dead(trial, time.time())


def test_a_worker_elsewhere_is_dead_after_a_silence():
    trial = SimpleNamespace(
        user_attrs={"worker": {"machine": "another", "pid": 1, "began": "1"}, "seen": 1000.0}, datetime_start=None
    )

    assert not _sweep.is_dead(trial, 1000 + _sweep.GRACE_S - 1)
    assert _sweep.is_dead(trial, 1000 + _sweep.GRACE_S + 1)


@needs_optuna
def test_a_lost_trial_waits_again_with_its_settings_three_times(tmp_path: Path):
    (tmp_path / "sweep").mkdir()
    study = sweep._study(str(tmp_path / "journal"), tmp_path, "one")
    for tries in range(_sweep.MOST_TRIES):
        trial = study.ask()
        width = trial.suggest_categorical("student.width", ["4", "8"])
        trial.set_user_attr("worker", {**_sweep.here(), "began": "long ago"})
        assert _sweep.take_up(study) == [tries]

    widths = {one.params["student.width"] for one in study.trials}
    assert widths == {width}
    assert [one.state.name for one in study.trials] == ["FAIL"] * _sweep.MOST_TRIES
    assert [one.user_attrs[_sweep.TAKEN] for one in study.trials] == [True, True, False]


@needs_optuna
def test_what_keeps_to_the_limits_comes_first(tmp_path: Path):
    import optuna

    study = optuna.create_study()
    for frr, parameters in ((0.1, 900), (0.3, 100), (0.2, 100), (None, 2000)):
        trial = study.ask()
        trial.suggest_categorical("student.width", ["8"])
        trial.set_user_attr("parameters", parameters)
        study.tell(trial, frr, optuna.trial.TrialState.PRUNED if frr is None else None)
    told = {"trials": sweep.ranked(study, {"parameters": 500})}

    assert [one["frr"] for one in told["trials"]] == [0.2, 0.3, 0.1, None]
    assert sweep.best(told, Path("runs/x")) == "The best: wakesmith train runs/x --set student.width=8"
    assert sweep.best(told, Path("runs/x"), ["train.steps=20"]).endswith("--set train.steps=20 --set student.width=8")
    assert [row[5] for row in sweep.table(told)[1:]] == ["yes", "yes", "no", "no"]


# On a run


def swept(run: Path, trials: int, **given: object) -> dict:
    values = read_yaml(run / "config.yaml") | {"train": {"steps": 20, "batch": 32, "evaluations": 1}}
    return sweep.run(values, run, _space.space_of(values, SPACE, "space.yaml"), trials, **given)


@needs_optuna
def test_a_run_without_answers_is_refused(tmp_path: Path):
    with pytest.raises(WakesmithError, match="'sweep' reads from"):
        sweep.run(VALUES, tmp_path, space_of(SPACE))


@needs_optuna
@pytest.mark.slow
def test_a_sweep_goes_on_and_says_what_is_best(run: Path):
    told = swept(run, 3)
    again = swept(run, 4)
    before = {one["trial"]: one for one in told["trials"]}

    assert len(told["trials"]) == 3
    assert len(again["trials"]) == 4
    assert all(before[one["trial"]] == one for one in again["trials"] if one["trial"] in before)
    assert all(0 <= one["frr"] <= 1 and one["bytes"] > 1000 and one["latency_ms"] > 40 for one in told["trials"])
    assert sweep.best(again, run).startswith(f"The best: wakesmith train {run} --set student.width=")
    assert list((run / "compare" / "made").glob("*")) == []  # the run's own views and answers
    assert not list((run / "compare" / "cells").glob("*/evaluate/scores/test-*"))


@needs_optuna
@pytest.mark.slow
def test_the_same_sweep_elsewhere_gives_the_same(run: Path, tmp_path: Path):
    import shutil

    shutil.copytree(run, tmp_path / "other")
    one, other = (swept(place, 2)["trials"] for place in (run, tmp_path / "other"))
    for row in (*one, *other):
        del row["latency_ms"]  # a time

    assert one == other


@needs_optuna
@pytest.mark.slow
def test_what_is_too_large_is_not_trained(run: Path):
    told = swept(run, 4, limits={"parameters": 1000.0})
    large = [one for one in told["trials"] if one["settings"]["student.width"] == 8]

    assert told["trials"][0]["keeps"]
    assert large
    assert all(one["frr"] is None and not one["keeps"] for one in large)
    assert len(list((run / "compare" / "cells").iterdir())) == 4 - len(large)


SCRIPT = """
import sys
from pathlib import Path
from tests.test_sweep import swept
if __name__ == "__main__":
    swept(Path(sys.argv[1]), int(sys.argv[2]), storage=sys.argv[3] or None, workers=int(sys.argv[4]))
"""


def command(tmp_path: Path, run: Path, trials: int, storage: str = "", workers: int = 1) -> subprocess.Popen:
    (tmp_path / "sweep_it.py").write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "sweep_it.py"), str(run), str(trials), storage, str(workers)], env=environment
    )


def results(run: Path) -> list[dict]:
    (path,) = (run / "sweep").glob("*.json")
    return json.loads(path.read_text())["trials"]


@needs_optuna
@pytest.mark.slow
def test_two_workers_share_a_study(run: Path, tmp_path: Path):
    assert command(tmp_path, run, 4, workers=2).wait() == 0
    found = results(run)

    assert sorted(one["trial"] for one in found) == [0, 1, 2, 3]
    assert all(one["frr"] is not None for one in found)


@needs_optuna
@pytest.mark.slow
def test_two_commands_share_a_journal(run: Path, tmp_path: Path):
    both = [command(tmp_path, run, 4, str(tmp_path / "journal")) for _ in range(2)]

    assert [one.wait() for one in both] == [0, 0]
    assert len(results(run)) == 4


@needs_optuna
@pytest.mark.slow
def test_the_trial_of_a_killed_worker_is_taken_up_again(run: Path, tmp_path: Path):
    first = command(tmp_path, run, 2)
    while first.poll() is None and not list(run.glob("compare/cells/*/train/begun.json")):
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    assert command(tmp_path, run, 2).wait() == 0
    found = results(run)
    assert len(found) == 2
    assert [one["again"] for one in found if "again" in one] == [0]
    assert all(one["frr"] is not None for one in found)

"""What was stopped is taken up as if it had not been: each test is named after what once went wrong."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_run import made, place
from tests.test_training import targets, trainer
from wakesmith.run import BEGUN, WHOLE
from wakesmith.steps import mine
from wakesmith.teachers import _tune_state
from wakesmith.training.checkpoints import cut_metrics, last_whole


def logged(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: one for key, one in line.items() if key not in ("samples_per_s", "waiting_share")} for line in lines]


def stopped(folder: Path, step: int) -> Path:
    """A training as it lies on disk when it was stopped after its checkpoint of a step. -> that checkpoint"""
    for path in (folder / "checkpoints").glob("checkpoint-*"):
        if int(path.name.split("-")[1]) > step:
            shutil.rmtree(path)
    cut_metrics(folder / "metrics.jsonl", step)
    return last_whole(folder / "checkpoints")


def test_a_training_stopped_before_its_weights_were_kept_takes_no_step_more(tmp_path):
    """transformers goes through the rest of the epoch when the last step is not its end."""
    one = trainer(tmp_path / "a", targets(), steps=3, batch=8)
    one.args.save_steps = 3
    one.go_on(None)

    again = trainer(tmp_path / "a", targets(), steps=3, batch=8)
    again.go_on(stopped(tmp_path / "a", 3))

    assert all(bool((one.average.mean[name] == value).all()) for name, value in again.average.mean.items())
    assert again.n_distilled == one.n_distilled


@pytest.mark.slow
def test_a_resumed_training_logs_what_an_undisturbed_one_does(tmp_path):
    """The losses of the steps between a line of the log and a checkpoint were lost, and the end was told twice."""
    for stop in (None, 4):
        one = trainer(tmp_path / "a", targets(), steps=8)
        one.args.logging_steps, one.args.save_steps = 3, 4
        one.go_on(stop and stopped(tmp_path / "a", stop))
        if stop is None:
            undisturbed = logged(tmp_path / "a")

    assert logged(tmp_path / "a") == undisturbed
    assert [line["step"] for line in undisturbed] == [3, 4, 6, 8]


def test_a_step_that_was_cleared_in_part_does_not_count_as_made(tmp_path, monkeypatch):
    run = place(tmp_path)
    made(run, "views", "a")

    def killed(folder: Path) -> None:
        (folder / "made").unlink()
        raise SystemExit

    monkeypatch.setattr(shutil, "rmtree", killed)
    try:
        run.begin("views", "b")
    except SystemExit:
        monkeypatch.undo()

    assert not (run.folder / "views" / WHOLE).exists()
    assert not (run.folder / "views" / BEGUN).exists()
    assert run.begin("views", "a")


def test_an_interrupted_command_of_several_rounds_makes_no_more_than_were_asked_for():
    """Stopped in the second of two rounds, `mine --rounds 2` made four."""

    def done(asked: int, left: int) -> SimpleNamespace:
        return SimpleNamespace(plan={"kind": "mine", "asked": asked, "left": left}, told=(asked, left))

    first, second, other = done(2, 1), done(2, 0), SimpleNamespace(plan={"kind": "learn"}, told="learned")

    assert mine.begun([], None, 2) == ([], 2)
    assert mine.begun([other, first], first, 2) == ([(2, 1)], 1)  # it was stopped in the first, which was just finished
    assert mine.begun([other, first], None, 2) == ([(2, 1)], 1)  # between them
    assert mine.begun([first, second], second, 2) == ([(2, 1), (2, 0)], 0)
    assert mine.begun([first, second], None, 2) == ([], 2)  # it was whole: this is another command
    assert mine.begun([first], None, 3) == ([], 3)


KILLED = """
import os, signal, sys
from pathlib import Path
from wakesmith import pool
from wakesmith.run import Run

with Run(Path(sys.argv[1])).alone(), pool.workers(1, fork=True) as processes:
    print(processes.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_of_a_killed_command_end_and_do_not_hold_its_folder(tmp_path):
    """Those of `evaluate` waited for ever, and no other process was let into the run folder."""
    run = place(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, run.folder], capture_output=True, text=True, timeout=60)
    worker = int(done.stdout)

    assert done.returncode == -signal.SIGKILL
    with run.alone():
        pass
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or "State:\tZ" in Path(f"/proc/{worker}/status").read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the worker lives on")


def test_a_tuning_stopped_before_its_old_checkpoint_was_gone_leaves_none(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for step in (2, 4, 6):
        (tmp_path / "checkpoints" / f"step-{step}.safetensors").touch()

    _tune_state.prune(tmp_path, 4, keep=1)

    assert [path.stem for path in _tune_state.checkpoints(tmp_path)] == ["step-4", "step-6"]  # 6 is not named by a state yet

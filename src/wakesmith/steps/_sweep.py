"""One trial of a sweep: a student trained on the run's views and answers, and what it is like on dev. Test is not heard."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.run import Run, fingerprint, write_json
from wakesmith.steps import _compare, compare, forge

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

    from wakesmith.steps._recipe import Recipe

VERSION = 1
"""Of the figures: another one measures every trial anew."""
BEAT_S, GRACE_S = 10.0, 120.0
"""A trial at work says so this often; one that was silent for so long is taken from its worker."""
MOST_TRIES = 3
TAKEN = "taken_up"
"""Mark of a trial whose worker is gone and that waits again under another number."""
TIMED_S, TIMES = 2.0, 3
"""The runtime's time is the least of so many hearings of so many seconds of noise."""


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def figures(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Train the student of a recipe, unless another trial did, and measure it on dev. -> plain values"""
    from wakesmith.steps import train

    cell = compare.cell_of(recipe, folder)
    with in_turn(folder / "sweep" / f"{cell.folder.name}.lock"):
        heard_by = fingerprint("sweep", VERSION, recipe.evaluate.model_dump(mode="json"))[:8]
        path = cell.folder / f"dev-{heard_by}.json"
        if not path.is_file():
            compare.shared_steps(cell, folder)
            with in_turn(folder / "sweep" / "features.lock"):
                train.features_of(cell.recipe, cell.folder, cell.folder / "train")
            for step in ("train", "export"):
                forge.go(cell.recipe, Run(cell.folder), step, quiet=True)
            write_json(path, _on_dev(recipe, cell.folder))
    return {**json.loads(path.read_text(encoding="utf-8")), "cell": cell.folder.name}


def _on_dev(recipe: Recipe, cell: Path) -> dict[str, Any]:
    """Misses of dev over all phrases and conditions at the target rate; size of the file; latency."""
    from wakesmith import bundle
    from wakesmith.steps import _judge, _score, evaluate

    card, rows, per_hour = bundle.load_card(cell / "bundle"), [], 0.0
    for number in range(len(recipe.phrases)):
        streams = evaluate.streams(recipe.evaluate, recipe.seed, cell, "dev", recipe.phrases, number)
        heard = _score.hear(cell, streams, "dev", number)
        point, _ = _judge.choose(heard, recipe.evaluate)
        told = _judge.at_point(heard, point, recipe.evaluate.patience_s)
        rows += told["conditions"]
        per_hour = max(per_hour, told["false_accepts"]["per_hour"])
    n_bytes = (cell / "bundle" / card.model).stat().st_size
    return {
        "frr": _compare.missed(rows), "fa_per_hour": per_hour, "parameters": card.parameters, "bytes": n_bytes,
        "latency_ms": 1000 * card.step_s + _step_ms(cell / "bundle", card.step_samples),
    }  # fmt: skip


def _step_ms(bundle: Path, step_samples: int) -> float:
    """Processor time of the runtime for a step, on one thread of this machine."""
    from wakesmith.runtime.detector import Detector

    detector = Detector.load(bundle)
    noise = np.random.default_rng(1).normal(0, 0.1, round(TIMED_S * SAMPLE_RATE_HZ)).astype(np.float32)
    took_s = []
    for _ in range(TIMES):
        started = time.process_time()
        detector.scores(noise)
        took_s.append(time.process_time() - started)
    return 1000 * min(took_s) * step_samples / len(noise)


def parameters(recipe: Recipe, folder: Path) -> int:
    """Of the student, built for this alone: what is too large need not be trained."""
    from wakesmith import registry
    from wakesmith.data import classes
    from wakesmith.data.clips import VIEW_SAMPLES

    front_end = registry.build("features", recipe.features)
    n_frames = VIEW_SAMPLES // front_end.hop_samples
    student = registry.build("students", recipe.student, front_end.n_mels, n_frames, len(classes.names(recipe.phrases)))
    return sum(weight.numel() for weight in student.parameters())


def over(told: Mapping[str, float], limits: Mapping[str, float]) -> list[float]:
    """By how much each limit is passed, as a share of it; 0 and less: kept. Optuna's constraints."""
    return [told[name] / most - 1 if name in told else 0.0 for name, most in limits.items()]


# A worker that is killed says nothing: who is at a trial, and when they were last seen, stands in the trial.


def here() -> dict[str, Any]:
    """This process, so that others on the machine can see whether it lives."""
    return {"machine": _machine(), "pid": os.getpid(), "began": _began(os.getpid())}


def _machine() -> str:
    """Names the numbering of processes that this one sees; empty where the system does not tell it."""
    boot, own = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    return f"{boot.read_text().strip()} {os.readlink(own)}" if boot.is_file() and own.is_symlink() else ""


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty: there is none of that number, or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


@contextlib.contextmanager
def seen(trial: Trial) -> Iterator[None]:
    """Say at once, and every `BEAT_S`, that this process is at the trial."""
    from optuna.exceptions import UpdateFinishedTrialError

    done = threading.Event()

    def beat() -> None:
        with contextlib.suppress(UpdateFinishedTrialError):  # it was silent for too long, and another is at it
            while not done.wait(BEAT_S):
                trial.storage.set_trial_user_attr(trial._trial_id, "seen", time.time())

    trial.set_user_attr("worker", here())
    trial.set_user_attr("seen", time.time())
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def is_dead(trial: FrozenTrial, now: float) -> bool:
    """Whether the worker of a running trial is gone: on this machine at once, elsewhere after `GRACE_S` of silence."""
    worker = trial.user_attrs.get("worker", {})
    if worker.get("machine") and worker["machine"] == _machine():
        return bool(_began(worker["pid"]) != worker["began"])
    started = trial.datetime_start or datetime.fromtimestamp(0)
    since = trial.user_attrs.get("seen", started.timestamp())
    return bool(now - since > GRACE_S)


def take_up(study: Study) -> list[int]:
    """Trials whose worker is gone fail, and wait again with the same settings, `MOST_TRIES` times. -> their numbers."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    taken = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not is_dead(trial, time.time()):
            continue
        tries = trial.user_attrs.get("tries", 1)
        with contextlib.suppress(UpdateFinishedTrialError):  # another worker was first
            study._storage.set_trial_user_attr(trial._trial_id, TAKEN, tries < MOST_TRIES)
            if not study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL):
                continue
            taken.append(trial.number)
            if tries < MOST_TRIES:
                again = {"again": trial.user_attrs.get("again", trial.number), "tries": tries + 1}
                study.enqueue_trial(trial.params, user_attrs=again)
    return taken

"""Kill a step at chosen moments, begin it again, and compare what it leaves with an undisturbed run, byte for byte.

    python -m tests.kills FOLDER [--steps views,train] [--kills 20] [--seed 1]    prints a JSON object a step

This process imports everything once; each start of a step is a fork of it that runs the real command in a process group of its
own, so that a kill costs no start of Python. Moments are counted: every opening to write, renaming, making and removing of a
file in the run folder, in the command and its workers, is one, and the kill comes just before it. Other kills come at a time
drawn over the step's duration, for what lies between two moments: sums, and what libraries write without Python. One in three of
those ends the command alone, as the system does when memory is short: its workers must not stand in the way of the next start.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COUNT, KILL_AT, PLACE = "WAKESMITH_TEST_MOMENTS", "WAKESMITH_TEST_KILL_AT", "WAKESMITH_TEST_PLACE"
STEPS = ("speak", "prepare", "views", "teach", "label", "train", "export", "evaluate", "mine", "learn")
TIMED = {"took_s", "cost", "samples_per_s", "waiting_share", "versions", "seconds"} | {
    f"{kind}_{what}" for kind in ("train", "eval") for what in ("runtime", "samples_per_second", "steps_per_second")
}
"""Keys of JSON files that tell of time."""
NOT_COMPARED = ("tensorboard", ".lock", "report.html", "cost.json", "cost.json.part")
"""Names with times inside; the page is made of report.json alone."""
SHARED_OUT = (STEPS[:8], STEPS[8:])
"""What two processes do side by side in about the same time."""
RECIPE = {
    "speak": {"n_wake": 0, "n_near_miss": 0, "n_speech": 70, "jobs": 2},
    "views": {
        "n_views": 2, "n_rooms": 0, "most_beds": 3,
        "effects": [{"name": name} for name in ("shift", "noise", "level")],
    },
    "teach": {
        "gate": "warn", "epochs": 4, "patience": 4, "lr": 5e-3, "batch_size": 16, "head": {"dropout": 0.1},
        "tune": {"steps": 6, "batch": 16, "evaluate_every": 2, "keep": 1},
    },
    "train": {"steps": 24, "batch": 32, "evaluations": 3, "log_every": 3, "last_layer_steps": 300, "last_layer_nearest": 40,
              "last_layer_said": 30},
    "mine": {"least_score": 0.01, "steps_share": 0.5, "most": 6},
    "learn": {"steps_share": 0.5},
}  # fmt: skip


@dataclass
class Told:
    """What became of one step."""

    step: str
    moments: int = 0
    """Openings, renamings, makings and removals of an undisturbed run."""
    took_s: float = 0.0
    kills: int = 0
    inside: int = 0
    """Kills after the step's first moment."""
    starts: int = 0
    differences: list[str] = field(default_factory=list)


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: count the moments of this process and its like, and end them all at the chosen one."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        path = arguments[0]
    else:
        return
    if not isinstance(path, str | bytes | os.PathLike) or not os.fsdecode(path).startswith(os.environ[PLACE]):
        return
    os.write(_counter[0], b".")
    if os.lseek(_counter[0], 0, os.SEEK_CUR) == int(os.environ[KILL_AT]):
        os.killpg(0, signal.SIGKILL)


_counter: list[int] = []


def begin_to_watch() -> None:
    _counter.append(os.open(os.environ[COUNT], os.O_WRONLY | os.O_APPEND))
    sys.addaudithook(watch)


if __name__ == "__mp_main__" and COUNT in os.environ:
    begin_to_watch()  # a worker of a watched command


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for told in run(asked.folder, asked.steps.split(","), asked.kills, asked.seed):
        print(json.dumps(asdict(told)), flush=True)


def both(folder: Path, n_kills: int, seed: int, steps: Sequence[str] = STEPS) -> Iterator[Told]:
    """Kill all of `steps`, in two processes of their own below `folder`."""
    running = []
    for number, own in enumerate([step for step in half if step in steps] for half in SHARED_OUT):
        if own:
            words = [str(folder / str(number)), "--steps", ",".join(own), "--kills", str(n_kills), "--seed", str(seed)]
            command = [sys.executable, "-m", "tests.kills", *words]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]))
    for process in running:
        assert process.stdout is not None
        for line in process.stdout:
            yield Told(**json.loads(line))
        assert process.wait() == 0, process.args


def run(folder: Path, steps: list[str], n_kills: int, seed: int) -> Iterator[Told]:
    """Make the run in `folder`, step by step, then kill each of `steps` so many times."""
    preload()
    scene = Scene(folder)
    scene.make()
    last = max(STEPS.index(step) for step in steps)
    for step in STEPS[: last + 1]:
        told = scene.undisturbed(step)
        if step in steps:
            scene.disturb(told, n_kills, random.Random(f"{seed}/{step}"))
            yield told
        scene.go_on(step)


def preload() -> None:
    """All that a step imports, and no thread."""
    import importlib
    import pkgutil

    import onnxruntime  # noqa: F401
    import scipy.signal  # noqa: F401
    import torch
    import torch.utils.tensorboard
    import transformers.models.whisper.modeling_whisper
    import transformers.trainer  # noqa: F401

    import wakesmith

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(wakesmith.__path__, "wakesmith."):
        if not module.name.startswith("wakesmith.web") and not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:
                continue  # a part whose extra is not installed


class Scene:
    """A run folder, always at the same place, with what an undisturbed step makes of it beside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder.resolve(), folder.resolve() / "run"
        self.before, self.after = self.folder / "before", self.folder / "after"
        self.log, self.count = self.folder / "log.txt", self.folder / "moments"

    def make(self) -> None:
        """Recordings, a teacher's encoder, a user's own files, and a run folder with its recipe."""
        import numpy as np

        from tests import tiny_encoders, tiny_run
        from wakesmith import audio
        from wakesmith.steps import forge

        tiny_run.recordings(self.folder / "sounds")
        tiny_encoders.save("whisper", self.folder / "whisper")
        (self.folder / "own").mkdir()
        for number in range(3):
            audio.write(self.folder / "own" / f"{number}.wav", tiny_run.sound("wake", np.random.default_rng(100 + number)))
        forge.plan(tiny_run.recipe(self.folder, **RECIPE), self.run)

    def command(self, step: str) -> list[str]:
        if step == "learn":
            return ["learn", str(self.run / "bundle"), "--misses", str(self.folder / "own"), "--trust"]
        return [step, str(self.run), *(["--rounds", "1"] if step == "mine" else [])]

    def undisturbed(self, step: str) -> Told:
        """What the step makes is kept in `after`, what it started from in `before`."""
        _copy(self.run, self.before)
        started = time.monotonic()
        status = self._wait(self._start(step))
        assert status == 0, f"{step}: {self.log.read_text()}"
        told = Told(step, self.count.stat().st_size, time.monotonic() - started)
        shutil.rmtree(self.after, ignore_errors=True)
        self.run.rename(self.after)
        return told

    def go_on(self, step: str) -> None:
        """The next step sets out from the undisturbed one."""
        _copy(self.after, self.run)

    def disturb(self, told: Told, n_kills: int, chance: random.Random) -> None:
        """Kill and begin again until there were so many kills; some starts are killed in their turn."""
        while told.kills < n_kills:
            _copy(self.before, self.run)
            kills = []
            while not kills or (chance.random() < 0.4 and not self._is_done(told.step)):
                kills.append(self._killed(told, chance))
            if not self._is_done(told.step):
                told.starts += 1
                status = self._wait(self._start(told.step))
                if status:
                    told.differences.append(f"after {kills}: {self.log.read_text().strip()[-1500:]}")
                    continue
            told.differences += [f"after {kills}: {found}" for found in differences(self.after, self.run)]

    def _is_done(self, step: str) -> bool:
        """Whether a round was told before its command ended: the same command would then make another."""
        told, before = (len(list(folder.glob("rounds/*/round.json"))) for folder in (self.run, self.before))
        return step in ("mine", "learn") and told > before

    def _killed(self, told: Told, chance: random.Random) -> str:
        """One start that is killed, at a moment or at a time. -> which"""
        told.starts += 1
        if chance.random() < 0.6:
            at = chance.randint(1, told.moments)
            status = self._wait(self._start(told.step, at))
            what = f"moment {at} of {told.moments}"
        else:
            alone, after_s = chance.random() < 1 / 3, chance.uniform(0, told.took_s)
            pid = self._start(told.step)
            self._await_work(pid)
            time.sleep(after_s)
            (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
            status = self._wait(pid)
            what = f"{after_s:.3f} s{', the command alone' if alone else ''}"
        killed = os.WIFSIGNALED(status)
        told.kills += killed
        told.inside += killed and self.count.stat().st_size > 0
        return what if killed else f"{what} (it was over: {status})"

    def _await_work(self, pid: int) -> None:
        while self.count.stat().st_size == 0 and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.002)

    def _start(self, step: str, kill_at: int = 0) -> int:
        """-> process number of a fork that runs the command, and leads its group."""
        self.count.write_bytes(b"")
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            os.environ.update({COUNT: str(self.count), KILL_AT: str(kill_at), PLACE: f"{self.run}{os.sep}"})
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = ["wakesmith", *self.command(step)]
            begin_to_watch()
            from wakesmith.cli import main as wakesmith

            wakesmith()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 0)
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        os._exit(70)

    def _wait(self, pid: int) -> int:
        """-> its status. Workers of a command that was killed alone are left to themselves."""
        return os.waitpid(pid, 0)[1]


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def differences(wanted: Path, found: Path) -> list[str]:
    """Files that one of two run folders lacks, or holds with other contents; times are not compared."""
    files = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (wanted, found)]
    compared = [path for path in sorted(files[0] | files[1]) if not set(path.parts) & set(NOT_COMPARED)]
    told = []
    for path in compared:
        if not all(path in own for own in files):
            told.append(f"{path}: {'missing' if path in files[0] else 'left over'}")
        elif _content(wanted / path) != _content(found / path):
            told.append(f"{path}: differs")
    return told


def _content(path: Path) -> Any:
    from wakesmith.steps import rerun

    data = path.read_bytes()
    if path.suffix == ".json":
        return rerun.timeless(json.loads(data), TIMED)
    if path.suffix == ".jsonl":
        return [rerun.timeless(json.loads(line), TIMED) for line in data.splitlines()]
    return data


if __name__ == "__main__":
    main()

"""A command at work: the command line in a process of its own, told by its output. One a run folder."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from wakesmith import config
from wakesmith.errors import ConfigError, WakesmithError
from wakesmith.run import CONFIG, Run

LOG = "forge.log"
STEP = re.compile(r"\[(\d+)/(\d+)\] (\w+)")
COUNT = re.compile(r"(.+): (\d+) of (\d+)(?:, (.+) left)?")
LAST_LINES = 12
ASKED = "$ wakesmith "
"""Before the words of the command, in the first line of what it said."""
ANSWERS = {"learn": ("round ",), "mine": ("rounds made: ", "nothing new was found")}
"""How a line of the answer begins of a command that came to its end; the others', forge's: a bundle."""
STOPPED = "Stopped. What was made is kept: press Go on."

_started: dict[Path, subprocess.Popen[bytes]] = {}
_gate = threading.Lock()


@dataclass(frozen=True)
class Progress:
    """Of the step that runs: its number from 1, the number of steps, its name, the part of it that is made (0..1)."""

    number: int = 0
    n_steps: int = 0
    step: str = ""
    part: float = 0.0
    what: str = ""
    left: str = ""
    """Time, as the command tells it."""

    @property
    def share(self) -> float:
        """Of the whole road, every step counted alike."""
        return (self.number - 1 + self.part) / self.n_steps if self.n_steps else 0.0


def forging(folder: Path, phrases: list[str]) -> list[str]:
    """The command that begins, or goes on, with the run's own config.yaml."""
    if any("," in phrase for phrase in phrases):
        raise ConfigError("phrase: a comma separates phrases; leave it out of one.")
    return ["forge", "--preset", str(folder / CONFIG), "--out", str(folder), "--", ",".join(phrases)]


def start(folder: Path, words: list[str]) -> None:
    """Begin `wakesmith WORDS` on a run folder. Raises WakesmithError when something is at work here."""
    with _gate:
        if at_work(folder):
            raise WakesmithError(f"{folder}: a command is at work here already. Wait for it, or press Stop.")
        with (folder / LOG).open("wb") as log:
            log.write(f"{ASKED}{shlex.join(words)}\n".encode())
            log.flush()
            _started[folder.resolve()] = subprocess.Popen(
                [sys.executable, "-m", "wakesmith.cli", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip


def at_work(folder: Path) -> bool:
    """Whether a process holds the run folder or is on its way there, whoever started it."""
    return _own(folder) is not None or Run(folder).worker() is not None


def stop(folder: Path) -> None:
    """End it as Ctrl-C does; what is made is kept. Raises WakesmithError when none is at work."""
    own = _own(folder)
    worker = own.pid if own else Run(folder).worker()
    if not worker:
        raise WakesmithError(f"{folder}: nothing is at work here.")
    try:
        # One that the page began leads a group, with the processes that it began; another's group is not ours to stop.
        send = os.killpg if os.getpgid(worker) == worker else os.kill
        send(worker, signal.SIGTERM)
    except ProcessLookupError as error:
        raise WakesmithError(f"{folder}: it has ended just now.") from error
    except PermissionError as error:
        raise WakesmithError(f"{folder}: process {worker} belongs to another user. Stop it there, with Ctrl-C.") from error


def _own(folder: Path) -> subprocess.Popen[bytes] | None:
    process = _started.get(folder.resolve())
    return process if process is not None and process.poll() is None else None


def lines(folder: Path) -> list[str]:
    """What the last command that the page began has said; empty when there was none."""
    path = folder / LOG
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def progress(said: list[str]) -> Progress:
    """Read from the command's output."""
    now = Progress()
    for line in said:
        if step := STEP.match(line):
            now = Progress(int(step[1]), int(step[2]), step[3])
        elif (count := COUNT.fullmatch(line)) and now.n_steps:
            made, whole = int(count[2]), int(count[3])
            what = f"{count[1]}: {made:,} of {whole:,}"
            now = Progress(now.number, now.n_steps, now.step, made / max(whole, 1), what, count[4] or "")
    return now


def asked(said: list[str]) -> str:
    """The command whose output this is: forge, learn or mine; empty when there was none."""
    return said[0].removeprefix(ASKED).partition(" ")[0] if said and said[0].startswith(ASKED) else ""


def ended(folder: Path, said: list[str]) -> tuple[str, str]:
    """How the last command ended: ("done" | "stopped" | "failed" | "none", a sentence)."""
    command, again = asked(said), STOPPED
    if command in ANSWERS:
        again = f"Stopped. What was made is kept: press {command.capitalize()} again."
    told = [line.removeprefix("wakesmith: ") for line in said if line.startswith("wakesmith: ")]
    if told and told[-1].startswith("interrupted"):  # its helpers may have said more
        return "stopped", again
    if told:
        after = said[max(i for i, line in enumerate(said) if line.startswith("wakesmith: ")) + 1 :]
        return "failed", "\n".join([told[-1], *after])
    if any(line.startswith("Traceback") for line in said):
        return "failed", f"It broke off: {said[-1]} All that it said lies in {folder / LOG}."
    if not said:
        return _without_log(folder)
    if not any(line.startswith(ANSWERS.get(command, ("bundle: ",))) for line in said):
        return "stopped", again
    if command in ANSWERS:
        return "done", "\n".join(line for line in said if line.startswith(("round ", *ANSWERS[command])))
    return "done", "Done. Watch how it learned, judge what it hears, and try it in the tabs above."


def _without_log(folder: Path) -> tuple[str, str]:
    try:
        config.read_yaml(folder / CONFIG)
    except WakesmithError as error:  # a run folder that was damaged by hand
        return "failed", str(error)
    if (folder / "evaluate" / "whole.json").exists():
        return "done", "Forged. Go on makes only what a changed recipe needs."
    return "none", "Planned, not forged yet. Press Go on."

"""The run folder: one sub-folder a step, with a stamp of what it was made from; what is whole is never made again."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import multiprocessing.process
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from wakesmith import refused
from wakesmith.errors import WakesmithError

CONFIG = "config.yaml"
OWN = (".lock", CONFIG + ".part")
"""What a run that was stopped in its first moment leaves."""
BEGUN, WHOLE = "begun.json", "whole.json"
KEPT_ASIDE = ("teach", "train", "bundle", "evaluate")
"""Steps whose outdated output is moved to `old/`; that of the others is large and made again in minutes."""
TAKEN_UP = ("speak",)
"""Steps that know by themselves what they can use of what was made with other settings."""

LOOK_S = 0.5
"""Who looks at who works in a folder holds its lock for less than this."""


@dataclass(frozen=True)
class Run:
    """A folder of a run. A step is whole when its stamp holds the fingerprint of the settings and steps that it comes from."""

    folder: Path

    @staticmethod
    def open(folder: Path) -> Run:
        """Make the folder, or take an earlier run up. A folder of something else is refused."""
        if folder.exists() and not folder.is_dir():
            raise WakesmithError(f"{folder}: is a file, not a folder. Name another: --out FOLDER")
        strangers = [] if not folder.exists() else [path.name for path in folder.iterdir() if path.name not in OWN]
        if strangers and not (folder / CONFIG).exists():
            raise WakesmithError(
                f"{folder}: not empty and not a run of wakesmith (it holds {strangers[0]}). Name another: --out FOLDER"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WakesmithError(f"{folder}: cannot be made ({error.strerror}). Name another: --out FOLDER") from error
        return Run(folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for this process; a second one is refused. The lock goes with the process, however it ends."""
        if getattr(multiprocessing.process.current_process(), "_inheriting", False):
            raise WakesmithError(
                "A worker process reads the script that started it, and this one begins the work anew when it is read. Put what "
                "it does under: if __name__ == '__main__':"
            )
        refusal = f"{self.folder}: another process is at work here. Wait for it, or use --out FOLDER"
        with self._locked(fcntl.LOCK_EX, refusal) as lock:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            except Exception as error:
                if message := refused.told(error, self.folder):
                    raise WakesmithError(message) from error
                raise

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Hold the folder beside others that read from it alone; who would write is refused meanwhile, and refuses."""
        with self._locked(fcntl.LOCK_SH, f"{self.folder}: another process writes here. Wait for it."):
            yield

    @contextlib.contextmanager
    def _locked(self, how: int, refusal: str) -> Iterator[IO[str]]:
        with (self.folder / ".lock").open("a") as lock:
            try:
                _take(lock, how)
            except OSError as error:
                raise WakesmithError(refusal) from error
            _held.add(lock)
            try:
                yield lock
            finally:
                _held.discard(lock)

    def worker(self) -> int | None:
        """Number of the process that holds the folder; None when none does."""
        try:
            with (self.folder / ".lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    return int(lock.read() or 0)
        except (FileNotFoundError, ValueError):
            return None
        return None

    def begin(self, step: str, fingerprint: str) -> bool:
        """-> True when the step has to run. Output of the same settings is taken up, that of others cleared away first."""
        folder = self.folder / step
        if stamp(folder / WHOLE) == fingerprint:
            return False
        if step in TAKEN_UP:
            (folder / WHOLE).unlink(missing_ok=True)
        elif folder.exists() and any(folder.iterdir()) and stamp(folder / BEGUN) != fingerprint:
            self.clear(step)
        folder.mkdir(exist_ok=True)
        write_json(folder / BEGUN, {"fingerprint": fingerprint})
        return True

    def clear(self, step: str) -> None:
        folder = self.folder / step
        made_by = stamp(folder / WHOLE)
        if step in KEPT_ASIDE and made_by:
            old = self.folder / "old" / f"{step}-{made_by[:8]}"
            old.parent.mkdir(exist_ok=True)
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        else:
            for name in (WHOLE, BEGUN):  # first: what is cleared in part must not count as made
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(folder)

    def finish(self, step: str, fingerprint: str, took_s: float) -> None:
        made_by = {"versions": versions(), "machine": machine()}
        write_json(self.folder / step / WHOLE, {"fingerprint": fingerprint, "took_s": round(took_s, 1), **made_by})

    def forget(self, step: str) -> None:
        """The step has to run again, whatever it left."""
        (self.folder / step / WHOLE).unlink(missing_ok=True)

    def is_whole(self, step: str, fingerprint: str) -> bool:
        return stamp(self.folder / step / WHOLE) == fingerprint


_held: set[IO[str]] = set()


def _let_go() -> None:
    # A worker that outlives a killed parent for a moment would hold the folder against its successor.
    for lock in _held:
        lock.close()


os.register_at_fork(after_in_child=_let_go)


def stamp(path: Path) -> str | None:
    """The fingerprint in a stamp file; None when it is not there or was cut short."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["fingerprint"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Aside first, then renamed: what a name holds is always whole."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def fingerprint(*parts: Any) -> str:
    """Hex digest of plain values, the same on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def versions() -> dict[str, str]:
    """What made a run: this package, Python and what the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in ("wakesmith", "numpy", "torch", "transformers", "onnxruntime", "soxr"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return {**found, "code": code()}


@functools.cache
def code() -> str:
    """Names the files of this package: a version under development changes without its number."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.suffix in (".py", ".yaml", ".txt")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def machine() -> dict[str, str]:
    """What else changes the last bits of a number: the processor, and the threads of torch, once it is there."""
    found = {"processor": _processor()}
    if "torch" in sys.modules:
        found["threads"] = str(sys.modules["torch"].get_num_threads())
    return found


def _processor() -> str:
    """Its name; where the system does not tell it, its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _take(lock: IO[str], how: int) -> None:
    """Raises OSError when another process holds the lock for longer than a look takes (`Run.worker`)."""
    last_s = time.monotonic() + LOOK_S
    while True:
        try:
            return fcntl.flock(lock, how | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > last_s:
                raise
            time.sleep(LOOK_S / 100)

"""Streams -> scores: the shipped bundle through the runtime, a stream a process; scores lie on disk, by model and sound.

So does a stream that waits for its process: hours of samples would fill the memory, the more the more cores there are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith import bundle, pool
from wakesmith.progress import track
from wakesmith.runtime.detector import Detector
from wakesmith.steps._heard import Heard


def hear(folder: Path, streams: Iterable[Any], split: str, phrase: int = 0, place: Path | None = None) -> Heard:
    """Score streams of a split with the run's bundle, in parallel; scores that an interrupted run made are taken up.

    Kept are the scores of one phrase, by its number. place: another bundle of the run.
    """
    place = place or folder / "bundle"
    sha256 = bundle.load_card(place).sha256
    scores = folder / "evaluate" / "scores"
    scores.mkdir(parents=True, exist_ok=True)
    heard = Heard(split)
    # Forked: the many short calls of a test would wait longer for new processes than for their scores.
    waits = scores / "waiting"
    shutil.rmtree(waits, ignore_errors=True)  # of a run that was killed
    waits.mkdir()
    try:
        with pool.workers(0, _start, (place,), fork=True) as processes:
            for scored in track(_scored(processes, streams, scores, waits, sha256, phrase), f"{split} streams"):
                heard.add(*scored)
    finally:
        shutil.rmtree(waits)
    return heard


def _scored(processes: Executor, streams: Any, scores: Path, waits: Path, sha256: str, phrase: int) -> Iterator[Any]:
    """What `Heard.add` takes, in order. Few streams wait at once, in files of the folder `waits`."""
    waiting: deque[Any] = deque()
    for kind, condition, stream in streams:
        path, samples = scores / file_name(stream, sha256), waits / f"{stream.name}.npy"
        if not path.exists():
            np.save(samples, stream.samples)
        future = processes.submit(_score, path, samples, phrase)
        waiting.append((kind, stream.name, condition, stream.events, future, path.name))
        del stream
        if len(waiting) > 2 * (os.cpu_count() or 1):
            *told, future, name = waiting.popleft()
            yield (*told, *future.result(), name)
    for *told, future, name in waiting:
        yield (*told, *future.result(), name)


def file_name(stream: Any, sha256: str) -> str:
    """Names a stream, a model file and what it hears: scores of another file or other sound are never taken up."""
    key = hashlib.blake2b(stream.samples, key=bytes.fromhex(sha256), digest_size=8).hexdigest()
    return f"{stream.name}-{key}.npz"


_worker: dict[str, Any] = {}


def _start(bundle: Path) -> None:
    _worker["detector"] = Detector.load(bundle)


def _score(path: Path, samples: Path, phrase: int) -> tuple[np.ndarray, np.ndarray]:
    """File of (N,) -> times (n,), scores of the phrase (n,); on disk lie those of all phrases. The samples' file goes."""
    if not path.exists():
        times_s, scores = _worker["detector"].scores(np.load(samples))
        samples.unlink()
        aside = path.with_suffix(".part.npz")
        np.savez(aside, times_s=times_s, scores=scores)
        aside.replace(path)
    return read(path, phrase)


def read(path: Path, phrase: int) -> tuple[np.ndarray, np.ndarray]:
    """Stored scores -> times (n,), scores of the phrase (n,)."""
    with np.load(path) as made:
        times_s, scores = made["times_s"], made["scores"]
    return times_s, scores.reshape(len(times_s), -1)[:, phrase]

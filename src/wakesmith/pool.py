"""Worker processes that begin clean (spawned, so no thread of a numeric library is copied) and end when their parent does."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

LOOK_EVERY_S = 0.5


def workers(jobs: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()) -> ProcessPoolExecutor:
    """A pool of `jobs` processes, each with one thread for numeric work; 0: one for each core."""
    jobs = jobs or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(os.getpid(), initializer, initargs))


def _begin(parent: int, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with(parent: int) -> None:
    # A parent that was killed cannot tell its workers; they would write on beside its successor.
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)

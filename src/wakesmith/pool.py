"""Worker processes that begin clean (spawned, so no thread of a numeric library is copied) and end when their parent does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any

from wakesmith.errors import WakesmithError

LOOK_EVERY_S = 0.2
STOPS = {signal.SIGINT, signal.SIGTERM}
WHY = {
    signal.SIGKILL: "most likely because memory ran out. Close other programs, or take fewer processes",
    signal.SIGBUS: "because the disk is full. Make room",
}


@contextlib.contextmanager
def workers(
    jobs: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = (), fork: bool = False
) -> Iterator[Executor]:
    """A pool of `jobs` processes, each with one thread for numeric work; 0: one for each core.

    When the block is left by an exception the workers are killed: what they were at is begun again at the next start.
    `fork`: they begin at once, as copies of this process. Raises WakesmithError when the system ended one of them.
    """
    context = multiprocessing.get_context("fork" if fork else "spawn")
    begin = (os.getpid(), initializer, initargs)
    processes = _Pool(jobs or os.cpu_count() or 1, mp_context=context, initializer=_begin, initargs=begin)
    try:
        yield processes
    except BrokenProcessPool as error:
        children = list(processes._processes.values())
        processes.shutdown()
        raise _why({child.exitcode for child in children}) or error from error
    except BaseException:
        for child in processes._processes.values():
            child.kill()
        raise
    finally:
        processes.shutdown(cancel_futures=True)


def process(work: Callable[..., None], *args: Any) -> BaseProcess:
    """`work(*args)` in a process of its own, begun like those of a pool; where the system ends it, others go on."""
    made = multiprocessing.get_context("spawn").Process(target=_apart, args=(os.getpid(), work, args))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        made.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return made


def _apart(parent: int, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    _begin(parent, None, ())
    work(*args)


def _why(exit_codes: set[int | None]) -> BaseException | None:
    """What ended a worker, as its fellows were then ended by SIGTERM; None for what is a mistake of ours."""
    for number, reason in WHY.items():
        if -number in exit_codes:
            return WakesmithError(f"the system ended a worker process, {reason}. What was made is kept: run the same command.")
    return KeyboardInterrupt() if exit_codes == {-signal.SIGTERM} else None


class _Pool(ProcessPoolExecutor):
    """Its processes begin where no signal reaches them: Ctrl-C goes to the whole group, and the parent speaks for all."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
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

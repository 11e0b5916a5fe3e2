"""Progress with time left: a bar on a terminal, a line now and then elsewhere. Goes to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from wakesmith.text import printable

Item = TypeVar("Item")
PLAIN_EVERY_S = 10.0
_muted = False


def mute() -> None:
    """Tell nothing from this process: its parent does."""
    global _muted
    _muted = True


def track(items: Iterable[Item], label: str, total: int | None = None, done: int = 0) -> Iterator[Item]:
    """Yield the items, showing how many of `total` are made and the time left; `done` were made before."""
    if total is None and isinstance(items, Sized):
        total = len(items) + done
    if _muted:
        yield from items
        return
    shown = _bar if sys.stderr.isatty() else _plain
    yield from shown(items, label, total, done)


def duration(seconds: float) -> str:
    """As a person counts it: `45 s`, `27 minutes`, `3.5 hours`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def say(text: str) -> None:
    """One line of news for a person."""
    if not _muted:
        print(printable(text), file=sys.stderr, flush=True)


def _bar(items: Iterable[Item], label: str, total: int | None, done: int) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, completed=done)
        for item in items:
            yield item
            progress.advance(task)


def _plain(items: Iterable[Item], label: str, total: int | None, done: int) -> Iterator[Item]:
    start = shown = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
        now = time.monotonic()
        if now - shown >= PLAIN_EVERY_S:
            shown = now
            left = f" of {total}, {duration((now - start) / count * (total - done - count))} left" if total else ""
            say(f"{label}: {done + count}{left}")
    if count:
        say(f"{label}: {done + count} done in {duration(time.monotonic() - start)}")

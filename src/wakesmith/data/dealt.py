"""Work dealt out to processes: of a long list only so many items wait as keep the processes busy."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
WAITING = 4 * (os.cpu_count() or 1)


def in_order(processes: Executor, work: Callable[[Item], Made], items: Iterable[Item], at_once: int = 1) -> Iterator[Made]:
    """`work` of each item, in their order; a process takes `at_once` of them."""
    items = iter(items)
    waiting: deque[Future[list[Made]]] = deque()
    for some in iter(lambda: list(itertools.islice(items, at_once)), []):
        waiting.append(processes.submit(_each, work, some))
        if len(waiting) > WAITING:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _each(work: Callable[[Item], Made], items: list[Item]) -> list[Made]:
    return [work(item) for item in items]

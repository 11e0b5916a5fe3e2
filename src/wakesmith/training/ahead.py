"""The next batch, read in a thread while the one before is learned: reading copies, and leaves the interpreter free."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Ahead:
    """Of one iterator at a time; the order, and so the result, is that of the iterator."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "batches")
        self.of: Iterator[Any] | None = None
        self.coming: Future[Any] | None = None

    def take(self, batches: Iterator[Any]) -> Any:
        """The next of `batches`, None after the last; what reading raised is raised here."""
        if self.coming is None or self.of is not batches:
            self.of, self.coming = batches, self.pool.submit(next, batches, None)
        found = self.coming.result()
        self.coming = self.pool.submit(next, batches, None) if found is not None else None
        return found

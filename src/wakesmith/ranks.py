"""Processes that torchrun started side by side, on one machine or several that share the run folder; one process without it."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE = datetime.timedelta(hours=24)  # the others wait while the first one teaches


def rank() -> int:
    """Number of this process; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def n_ranks() -> int:
    """How many processes torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process does what only one may do: stamps, cards, and telling of progress."""
    return rank() == 0


def begin() -> None:
    """Join the others."""
    if n_ranks() > 1:
        import torch

        if not torch.distributed.is_initialized():
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)


def barrier() -> None:
    """Wait until all have come here."""
    if n_ranks() > 1:
        import torch

        begin()
        torch.distributed.barrier()


@contextlib.contextmanager
def first_goes_first() -> Iterator[None]:
    """The others enter the block when the first process has left it."""
    if not is_first():
        barrier()
    yield
    if is_first():
        barrier()


def of_this_rank(items: list[Item]) -> list[Item]:
    """Every n-th item: the shares of all processes together are the whole list."""
    return items[rank() :: n_ranks()]

"""Rows of cells, the head first, as lines of text: ruled on a terminal, plain columns elsewhere."""

from __future__ import annotations

import io
import itertools
import shutil
import sys
from collections.abc import Callable, Sequence

Row = Sequence[str]
Look = Callable[[Sequence[Row]], list[str]]
GAP = 3
"""Between columns on a terminal."""
EDGES = 2
MOST_WHOLE = 24
"""Letters of a cell that is not wrapped, as a figure with its interval."""


def aligned(rows: Sequence[Row]) -> list[str]:
    """Columns, without any mark that a program would have to take out."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def markdown(rows: Sequence[Row]) -> list[str]:
    """What a document may quote."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def ruled(rows: Sequence[Row]) -> list[str]:
    """For the eye: a line under the head, long cells wrapped to the terminal's width; columns that do not fit come below."""
    width, least = shutil.get_terminal_size().columns, [_least(column) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for low, high in _fitting(least, width):
        part = [[row[0], *row[low:high]] for row in rows]
        lines += [*([""] if lines else []), *_ruled(part, [least[0], *least[low:high]], width)]
    return lines


def _least(column: Sequence[str]) -> int:
    """Letters that a column needs so that no word and no figure of it is broken in two."""
    head, *cells = column
    words = [word for text in (head, *(cell for cell in cells if len(cell) > MOST_WHOLE)) for word in text.split()]
    return max(map(len, [*words, *(cell for cell in cells if len(cell) <= MOST_WHOLE)]), default=0)


def _fitting(least: Sequence[int], width: int) -> list[tuple[int, int]]:
    """Columns (first, after the last) that stand beside the first one of all."""
    begun = EDGES + least[0]
    ends, used = [1], begun
    for i, own in enumerate(least[1:], start=1):
        if used + GAP + own > width and i > ends[-1]:
            ends, used = [*ends, i], begun
        used += GAP + own
    return list(itertools.pairwise([*ends, len(least)])) or [(1, 1)]


def _ruled(rows: Sequence[Row], least: Sequence[int], width: int) -> list[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table, spare = Table(box=box.SIMPLE_HEAD, pad_edge=False), width - EDGES - sum(least) - GAP * (len(least) - 1)
    for head, letters, column in zip(rows[0], least, zip(*rows, strict=True), strict=True):
        more = max(0, min(spare, max(map(len, column)) - letters))
        table.add_column(Text(head), overflow="fold", width=letters + more)
        spare -= more
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    console.print(table)
    shown = console.file.getvalue().strip("\n")  # type: ignore[attr-defined]
    return [line.rstrip() for line in shown.splitlines() if line.strip()]


def for_stdout(elsewhere: Look = aligned) -> Look:
    """`ruled` where standard output is a terminal."""
    return ruled if sys.stdout.isatty() else elsewhere

"""Rows of cells, the head first, as lines of text: ruled on a terminal, plain columns elsewhere."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Sequence

Row = Sequence[str]
Look = Callable[[Sequence[Row]], list[str]]


def aligned(rows: Sequence[Row]) -> list[str]:
    """Columns, without any mark that a program would have to take out."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def markdown(rows: Sequence[Row]) -> list[str]:
    """What a document may quote."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def ruled(rows: Sequence[Row]) -> list[str]:
    """For the eye: a line under the head, long cells wrapped to the terminal's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in rows[0]:
        table.add_column(Text(head), overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), force_terminal=True, width=shutil.get_terminal_size().columns)
    console.print(table)
    shown = console.file.getvalue().strip("\n")  # type: ignore[attr-defined]
    return [line.rstrip() for line in shown.splitlines() if line.strip()]


def for_stdout(elsewhere: Look = aligned) -> Look:
    """`ruled` where standard output is a terminal."""
    return ruled if sys.stdout.isatty() else elsewhere

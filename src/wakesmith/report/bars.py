"""Figures with their intervals, a row each, as SVG on one scale: plain values in."""

from __future__ import annotations

import html as escape
from collections.abc import Sequence
from typing import Any

from wakesmith.report.plots import RIGHT, TOP, WIDTH, legend, ticks

ROW, LEFT, FOOT = 28, 164, 44


def misses(rows: Sequence[dict[str, Any]], head: str) -> str:
    """Shares of phrases missed: rows of name, frr, low, high -> a point and its interval each."""
    top = max(0.1, *(row["high"] for row in rows))
    made = _axis(len(rows), top, [(share, f"{100 * share:.3g} %") for share in ticks(top)], f"missed, {head}", ROW)
    for number, row in enumerate(rows):
        made += _row(number, row["name"], ROW) + _bar(number * ROW + 14, row["low"], row["frr"], row["high"], top, "var(--a)")
    return _svg(made, len(rows) * ROW, f"Misses, {head}")


def predictions(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Predicted and observed false accepts per hour with their 95 % intervals, a pair of bars for each threshold."""
    top = max(row[side]["high"] for row in rows for side in ("predicted", "observed")) * 1.02
    high = 40
    made = _axis(len(rows), top, [(rate, f"{rate:g}") for rate in _rounded(ticks(top))], "false accepts per hour", high)
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        made += _row(number, name, high)
        for offset, side, colour in ((13, "predicted", "var(--b)"), (26, "observed", "var(--a)")):
            told = row[side]
            made += _bar(number * high + offset, told["low"], told["per_hour"], told["high"], top, colour)
    keys = legend([("predicted from dev", "var(--b)"), ("observed on test", "var(--a)")])
    return keys + _svg(made, len(rows) * high, "Predicted and observed false accepts per hour")


def minutes(rows: Sequence[dict[str, Any]]) -> str:
    """Time of each step: rows of step, took_s."""
    top = max([row["took_s"] / 60 for row in rows], default=0.0) or 1.0
    made = _axis(len(rows), top, [(at, f"{at:g}") for at in _rounded(ticks(top))], "minutes", ROW)
    for number, row in enumerate(rows):
        at = number * ROW + TOP + 4
        width = max(1.0, _x(row["took_s"] / 60, top) - LEFT)
        made += _row(number, row["step"], ROW)
        made += f"<rect class=bar x='{LEFT}' y='{at}' width='{width:.1f}' height='{ROW - 10}' />"
    return _svg(made, len(rows) * ROW, "Minutes of each step")


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]  # 0.1 * 3 is no 0.3


def _x(value: float, top: float) -> float:
    return LEFT + value / top * (WIDTH - LEFT - RIGHT)


def _axis(n_rows: int, top: float, marks: Sequence[tuple[float, str]], unit: str, row_height: int) -> str:
    end = TOP + n_rows * row_height
    made = f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{end + 38}' text-anchor=middle>{escape.escape(unit)}</text>"
    for value, label in marks:
        at = _x(value, top)
        made += f"<line class=grid x1='{at:.1f}' y1='{TOP}' x2='{at:.1f}' y2='{end}' />"
        made += f"<text x='{at:.1f}' y='{end + 18}' text-anchor=middle>{label}</text>"
    return made


def _row(number: int, name: str, row_height: int) -> str:
    shown = name if len(name) <= 20 else name[:19] + "…"
    y = TOP + number * row_height + row_height / 2 + 5
    return f"<text x='{LEFT - 10}' y='{y}' text-anchor=end>{escape.escape(shown)}</text>"


def _bar(at: float, low: float, middle: float, high: float, top: float, colour: str) -> str:
    y = TOP + at
    line = f"x1='{_x(low, top):.1f}' x2='{_x(high, top):.1f}' y1='{y}' y2='{y}'"
    point = f"<circle cx='{_x(middle, top):.1f}' cy='{y}' r=5 style='fill:{colour}' />"
    return f"<line class=interval {line} style='stroke:{colour}' stroke-width=3 />{point}"


def _svg(parts: str, height: int, title: str) -> str:
    return f"<svg viewBox='0 {TOP - 8} {WIDTH} {height + FOOT + 8}' role=img aria-label='{escape.escape(title)}'>{parts}</svg>"

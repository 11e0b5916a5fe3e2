"""Curves as SVG, drawn by hand: the page needs no library and no network."""

from __future__ import annotations

import html as escape
import math
from typing import Any

from wakesmith import metrics

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 352, 56, 32, 44, 28


Curve = tuple[str, dict[str, Any], float, int, str]
"""Name, points, hours of negatives, phrases, colour."""


def trade_off(curves: list[Curve]) -> str:
    """FRR over false accepts per hour, logarithmic. Each curve begins at the least rate its hours can show: one event.

    The shade is Wilson's 95 % interval of the misses.
    """
    drawn = []
    for name, curve, hours, n_phrases, colour in curves:
        points = [(f, m) for f, m in zip(curve["fa_per_hour"], curve["frr"], strict=True) if f * hours > 0.5]
        drawn.append((name, points, hours, n_phrases, colour))
    rates = [f for _, points, *_ in drawn for f, _ in points]
    if not rates:
        return "<p>No threshold let a false accept through, so there is no curve to draw.</p>"
    low = math.floor(math.log10(min(rates)))
    high = max(low + 1, math.ceil(math.log10(max(rates))))
    worst = max(m for _, points, *_ in drawn for _, m in points)
    top = min(1.0, max(0.1, math.ceil(worst * 10) / 10))

    def x(fa: float) -> float:
        return float(LEFT + (math.log10(fa) - low) / (high - low) * (WIDTH - LEFT - RIGHT))

    def y(miss: float) -> float:
        return float(TOP + (1 - min(miss, top) / top) * (HEIGHT - TOP - BOTTOM))

    marks = "".join(_tick(x(10.0**e), HEIGHT - BOTTOM, f"{10.0**e:g}", vertical=True) for e in range(low, high + 1))
    marks += "".join(_tick(LEFT, y(top * i / 5), f"{100 * top * i / 5:.0f} %", vertical=False) for i in range(6))
    lines = ""
    for number, (name, points, _, n_phrases, colour) in enumerate(drawn):
        ends = [(f, metrics.wilson(round(m * n_phrases), n_phrases)) for f, m in points]
        edge = [(f, high) for f, (_, high) in ends] + [(f, low) for f, (low, _) in reversed(ends)]
        shade = " ".join(f"{x(f):.1f},{y(m):.1f}" for f, m in edge)
        lines += f"<polygon points='{shade}' fill='{colour}' fill-opacity=0.12 />"
        path = " ".join(f"{x(f):.1f},{y(m):.1f}" for f, m in points)
        lines += f"<polyline points='{path}' fill=none stroke='{colour}' stroke-width=2.5 stroke-linejoin=round />"
        lines += f"<text x='{WIDTH - 60}' y='{TOP + 18 + 18 * number}' style='fill:{colour}'>{name}</text>"
    axes = f"<text x='{WIDTH / 2 - 60}' y='{HEIGHT - 6}'>false accepts per hour</text><text x=8 y=14>missed, clean</text>"
    title = "Misses over false accepts per hour"
    least = ", ".join(f"{name} {1 / hours:.2g}" for name, _, hours, *_ in drawn if hours > 0)
    note = f"A curve begins at one event in all its hours (an hour: {least}); lower rates cannot be seen with this audio. "
    note += "The shade is the 95 % interval of the misses."
    svg = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{title}'>{marks}{lines}{axes}</svg>"
    return f"{svg}<p class=soft>{note}</p>"


def predictions(names: list[str], rows: list[dict[str, Any]]) -> str:
    """Predicted and observed false accepts per hour with their 95 % intervals, a pair of bars for each threshold."""
    most = max([row[side]["high"] for row in rows for side in ("predicted", "observed")])
    top, left, height = most * 1.05, 110, TOP + 40 * len(rows) + BOTTOM

    def x(rate: float) -> float:
        return float(left + rate / top * (WIDTH - left - RIGHT))

    marks = ""
    for i in range(5):
        at = x(top * i / 4)
        marks += f"<line class=grid x1='{at:.1f}' y1='{TOP}' x2='{at:.1f}' y2='{height - BOTTOM}' />"
        marks += f"<text x='{at - 10:.1f}' y='{height - BOTTOM + 16}'>{top * i / 4:.3g}</text>"
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        marks += f"<text x=8 y='{TOP + 40 * number + 22}'>{escape.escape(name)}</text>"
        for offset, side, colour in ((12, "predicted", "var(--b)"), (24, "observed", "var(--a)")):
            told, at = row[side], TOP + 40 * number + offset
            bar = f"x1='{x(told['low']):.1f}' x2='{x(told['high']):.1f}' y1='{at}' y2='{at}'"
            marks += f"<line class=interval {bar} style='stroke:{colour}' stroke-width=3 />"
            marks += f"<circle cx='{x(told['per_hour']):.1f}' cy='{at}' r=4.5 style='fill:{colour}' />"
    keys = "<text x=110 y=14 style='fill:var(--b)'>predicted from dev</text>"
    keys += "<text x=260 y=14 style='fill:var(--a)'>observed on test</text>"
    keys += f"<text x='{WIDTH / 2 - 60}' y='{height - 6}'>false accepts per hour</text>"
    title = "Predicted and observed false accepts per hour"
    return f"<svg viewBox='0 0 {WIDTH} {height}' role=img aria-label='{title}'>{marks}{keys}</svg>"


def _tick(x: float, y: float, text: str, *, vertical: bool) -> str:
    if vertical:
        line, label = f"x1='{x:.1f}' y1='{TOP}' x2='{x:.1f}' y2='{y:.1f}'", f"x='{x - 8:.1f}' y='{y + 16:.1f}'"
    else:
        line, label = f"x1='{x}' y1='{y:.1f}' x2='{WIDTH - RIGHT}' y2='{y:.1f}'", f"x=8 y='{y + 4:.1f}'"
    return f"<line class=grid {line} /><text {label}>{text}</text>"


def training(rows: list[dict[str, Any]]) -> str:
    """Every loss term over the steps, each on its own scale from 0 to its highest."""
    names = sorted({key for row in rows for key in row if key.startswith("loss/") or key == "eval_loss"})
    steps = max([row["step"] for row in rows], default=0)
    if not names or not steps:
        return "<p>No log.</p>"
    shown = []
    for name in names:
        values = [(row["step"], row[name]) for row in rows if name in row]
        top = max(max(v for _, v in values), 1e-9)
        points = " ".join(f"{10 + 180 * s / steps:.1f},{70 - 60 * v / top:.1f}" for s, v in values)
        title = escape.escape(f"{name.removeprefix('loss/')}: {values[0][1]:.3f} to {values[-1][1]:.3f}")
        line = f"<polyline points='{points}' fill=none stroke='var(--a)' stroke-width=2 />"
        axis = "<line class=grid x1=10 y1=70 x2=190 y2=70 />"
        shown.append(f"<div class=card><span class=soft>{title}</span><svg viewBox='0 0 200 80'>{axis}{line}</svg></div>")
    told = f"Over {steps} steps; eval_loss is on dev, without the teacher."
    return f"<p class=soft>{told}</p><div class=cards>{''.join(shown)}</div>"

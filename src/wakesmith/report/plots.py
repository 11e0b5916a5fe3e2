"""Curves as SVG, drawn by hand: the page needs no library and no network."""

from __future__ import annotations

import html as escape
import math
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 352, 56, 32, 44, 28


def trade_off(curves: list[tuple[str, dict[str, Any], float, str]]) -> str:
    """FRR over false accepts per hour, logarithmic. Each curve begins at the least rate its hours can show: one event."""
    drawn = []
    for name, curve, hours, colour in curves:
        points = [(f, m) for f, m in zip(curve["fa_per_hour"], curve["frr"], strict=True) if f * hours > 0.5]
        drawn.append((name, points, hours, colour))
    rates = [f for _, points, _, _ in drawn for f, _ in points]
    if not rates:
        return "<p>No threshold let a false accept through, so there is no curve to draw.</p>"
    low = math.floor(math.log10(min(rates)))
    high = max(low + 1, math.ceil(math.log10(max(rates))))
    worst = max(m for _, points, _, _ in drawn for _, m in points)
    top = min(1.0, max(0.1, math.ceil(worst * 10) / 10))

    def x(fa: float) -> float:
        return float(LEFT + (math.log10(fa) - low) / (high - low) * (WIDTH - LEFT - RIGHT))

    def y(miss: float) -> float:
        return float(TOP + (1 - miss / top) * (HEIGHT - TOP - BOTTOM))

    marks = "".join(_tick(x(10.0**e), HEIGHT - BOTTOM, f"{10.0**e:g}", vertical=True) for e in range(low, high + 1))
    marks += "".join(_tick(LEFT, y(top * i / 5), f"{100 * top * i / 5:.0f} %", vertical=False) for i in range(6))
    lines = ""
    for number, (name, points, _, colour) in enumerate(drawn):
        path = " ".join(f"{x(f):.1f},{y(m):.1f}" for f, m in points)
        lines += f"<polyline points='{path}' fill=none stroke='{colour}' stroke-width=2.5 stroke-linejoin=round />"
        lines += f"<text x='{WIDTH - 60}' y='{TOP + 18 + 18 * number}' style='fill:{colour}'>{name}</text>"
    axes = f"<text x='{WIDTH / 2 - 60}' y='{HEIGHT - 6}'>false accepts per hour</text><text x=8 y=14>missed, clean</text>"
    title = "Misses over false accepts per hour"
    least = ", ".join(f"{name} {1 / hours:.2g}" for name, _, hours, _ in drawn if hours > 0)
    note = f"A curve begins at one event in all its hours (an hour: {least}); lower rates cannot be seen with this audio."
    svg = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{title}'>{marks}{lines}{axes}</svg>"
    return f"{svg}<p class=soft>{note}</p>"


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

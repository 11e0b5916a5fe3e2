"""Curves as SVG, drawn by hand: the page needs no library and no network. Colours are the page's variables."""

from __future__ import annotations

import html as escape
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from wakesmith import metrics

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 352, 64, 28, 52, 30
COLOURS = tuple(f"var(--{name})" for name in "abcde")
"""Of the curves in one plot, in their order."""


class Curve(NamedTuple):
    name: str
    det: dict[str, Any]
    """fa_per_hour, frr: a list each."""
    hours: float
    """Of negatives."""
    n_phrases: int
    colour: str


class Mark(NamedTuple):
    """An operating point: its false accepts an hour and its misses, each with its interval."""

    name: str
    rate: dict[str, Any]
    """per_hour, low, high."""
    share: dict[str, Any]
    """frr, low, high."""
    colour: str


def ticks(high: float, most: int = 6) -> list[float]:
    """At most so many round numbers (1, 2 or 5 times a power of ten apart) from 0 on, the last at or under `high`."""
    rough = high / (most - 1)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= rough * (1 - 1e-9))
    return [step * i for i in range(int(high / step * (1 + 1e-9)) + 1)]


def legend(names: Iterable[tuple[str, str]], marks: Iterable[tuple[str, str]] = ()) -> str:
    """(name, colour) of lines, and of points -> a line that wraps on a phone."""
    shown = [f"<span><i style='background:{colour}'></i>{escape.escape(name)}</span>" for name, colour in names]
    shown += [f"<span><i class=dot style='border-color:{colour}'></i>{escape.escape(name)}</span>" for name, colour in marks]
    return f"<p class=legend>{''.join(shown)}</p>"


def across(y: float, text: str, left: float, right: float) -> str:
    """A line of the grid over the whole width, with its number before it."""
    line = f"<line class=grid x1='{left}' y1='{y:.1f}' x2='{right}' y2='{y:.1f}' />"
    return f"{line}<text x='{left - 6}' y='{y + 4:.1f}' text-anchor=end>{text}</text>"


def trade_off(curves: list[Curve], marks: Iterable[Mark] = ()) -> str:
    """FRR over false accepts per hour, logarithmic. Each curve begins at the least rate its hours can show: one event.

    The shade is Wilson's 95 % interval of the misses; a cross is an operating point with both of its intervals.
    """
    marks, drawn = list(marks), []
    for one in curves:
        points = [(f, m) for f, m in zip(one.det["fa_per_hour"], one.det["frr"], strict=True) if f * one.hours > 0.5]
        drawn.append((one, points))
    rates = [f for _, points in drawn for f, _ in points]
    if not rates:
        return "<p>No threshold let a false accept through, so there is no curve to draw.</p>"
    seen = [*rates, *(mark.rate["high"] for mark in marks), *(mark.rate["low"] for mark in marks if mark.rate["low"] > 0)]
    low = math.floor(math.log10(max(min(rates) / 10, min(seen))))
    high = max(low + 1, math.ceil(math.log10(max(rates))))
    worst = max([m for _, points in drawn for _, m in points] + [mark.share["high"] for mark in marks])
    top = min(1.0, max(0.1, math.ceil(worst * 10) / 10))

    def x(fa: float) -> float:
        share = (math.log10(max(fa, 10.0**low)) - low) / (high - low)
        return float(LEFT + min(share, 1.0) * (WIDTH - LEFT - RIGHT))

    def y(miss: float) -> float:
        return float(TOP + (1 - min(miss, top) / top) * (HEIGHT - TOP - BOTTOM))

    parts = [_upright(x(10.0**e), f"{10.0**e:g}") for e in range(low, high + 1)]
    parts += [across(y(miss), f"{100 * miss:.3g} %", LEFT, WIDTH - RIGHT) for miss in ticks(top)]
    for one, points in drawn:
        ends = [(f, metrics.wilson(round(m * one.n_phrases), one.n_phrases)) for f, m in points]
        edge = [(f, upper) for f, (_, upper) in ends] + [(f, lower) for f, (lower, _) in reversed(ends)]
        shade = " ".join(f"{x(f):.1f},{y(m):.1f}" for f, m in edge)
        parts.append(f"<polygon points='{shade}' fill='{one.colour}' fill-opacity=0.12 />")
        path = " ".join(f"{x(f):.1f},{y(m):.1f}" for f, m in points)
        parts.append(f"<polyline points='{path}' fill=none stroke='{one.colour}' stroke-width=2.5 stroke-linejoin=round />")
    parts += [_cross(mark, x, y) for mark in marks]
    parts.append(f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{HEIGHT - 8}' text-anchor=middle>false accepts per hour</text>")
    parts.append("<text x=4 y=14>missed, clean</text>")
    least = ", ".join(f"{one.name} {1 / one.hours:.2g}" for one, _ in drawn if one.hours > 0)
    note = f"A curve begins at one event in all its hours (an hour: {least}); lower rates cannot be seen with this audio. "
    note += "The shade is the 95 % interval of the misses" + ("; a cross is an operating point with both." if marks else ".")
    title = "Misses over false accepts per hour"
    svg = f"<svg class=curves viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{title}'>{''.join(parts)}</svg>"
    keys = legend([(one.name, one.colour) for one, _ in drawn], [(mark.name, mark.colour) for mark in marks])
    return f"{keys}{svg}<p class=soft>{escape.escape(note)}</p>"


def _cross(mark: Mark, x: Any, y: Any) -> str:
    at = x(mark.rate["per_hour"]), y(mark.share["frr"])
    bars = (
        (x(mark.rate["low"]), at[1], x(mark.rate["high"]), at[1]),
        (at[0], y(mark.share["low"]), at[0], y(mark.share["high"])),
    )
    lines = "".join(f"<line class=cross x1='{a:.1f}' y1='{b:.1f}' x2='{c:.1f}' y2='{d:.1f}' />" for a, b, c, d in bars)
    return f"<g style='stroke:{mark.colour}'>{lines}<circle class=point cx='{at[0]:.1f}' cy='{at[1]:.1f}' r=6 /></g>"


def _upright(x: float, text: str) -> str:
    foot = HEIGHT - BOTTOM
    line = f"<line class=grid x1='{x:.1f}' y1='{TOP}' x2='{x:.1f}' y2='{foot}' />"
    return f"{line}<text x='{x:.1f}' y='{foot + 18}' text-anchor=middle>{text}</text>"


def term_name(key: str) -> str:
    """A key of the training's log as words: `loss/KnowledgeDistillation` -> `knowledge distillation`."""
    name = key.rpartition("/")[2]
    return {"eval_loss": "loss on dev", "hard": "labels"}.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def training(rows: list[dict[str, Any]]) -> str:
    """Every loss term over the steps, each on its own scale from 0 to its highest."""
    names = sorted({key for row in rows for key in row if key.startswith("loss/") or key == "eval_loss"})
    steps = max([row["step"] for row in rows], default=0)
    if not names or not steps:
        return "<p>No log.</p>"
    shown = [_term(name, [(row["step"], row[name]) for row in rows if name in row], steps) for name in names]
    told = f"Over {steps:,} steps, each term on its own scale from 0; the loss on dev is from labels alone."
    return f"<p class=soft>{told}</p><div class=cards>{''.join(shown)}</div>"


def _term(name: str, values: list[tuple[int, float]], steps: int) -> str:
    top = max(max(v for _, v in values), 1e-9)
    points = " ".join(f"{6 + 188 * s / steps:.1f},{70 - 60 * v / top:.1f}" for s, v in values)
    title = escape.escape(term_name(name))
    line = f"<polyline points='{points}' fill=none stroke='var(--a)' stroke-width=2 />"
    axis = "<line class=grid x1=6 y1=70 x2=194 y2=70 />"
    told = f"{values[0][1]:.3f} to {values[-1][1]:.3f}"
    return f"<div class=card><span class=soft>{title}</span> {told}<svg viewBox='0 0 200 76' role=img>{axis}{line}</svg></div>"

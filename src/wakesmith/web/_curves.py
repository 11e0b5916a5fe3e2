"""How a training goes: rows of metrics.jsonl in, small plots out, each with its own scale."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wakesmith.report.plots import COLOURS, across, legend, term_name, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 320, 170, 44, 10, 10, 24
MOST_POINTS = 240
STYLE = """<style>.ws .panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(19rem,100%),1fr));gap:1rem 1.4rem}
.ws .panel{margin:0;min-width:0} .ws .panel svg{max-width:none} .ws .panel svg text{font-size:12px}
.ws .panel figcaption{font-weight:600} .ws .panel .legend{font-size:.85rem;margin:.1rem 0}</style>"""


class Panel(NamedTuple):
    """A plot: keys of the log that share one scale, from 0 to `top` (None: to the highest value)."""

    title: str
    keys: tuple[str, ...]
    told: str
    top: float | None = None


def log(folder: Path) -> list[dict[str, Any]]:
    """The log of the training; a last line that is being written is left for the next look."""
    path = folder / "train" / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def panels(rows: Sequence[dict[str, Any]]) -> list[Panel]:
    """What this log has to show."""
    terms = _found(rows, "loss/")
    shares = _found(rows, "gradient_share/")
    wanted = [
        Panel("Missed on dev", ("eval_frr",), "share of clips of the phrase", 1.0),
        Panel("Loss on dev", ("eval_loss",), "from labels alone, without the teacher"),
        Panel("Agreement with the teacher", ("agreement",), "share of rows with the same first guess", 1.0),
        *(Panel(term_name(key).capitalize(), (key,), "loss term in training") for key in terms),
        Panel("Teacher's entropy", ("teacher_entropy",), "nats; 0: it is always sure"),
        Panel("Shares of the gradient", shares, "how much each term pulls", 1.0),
        Panel("Dropped rows", ("dropped_rows",), "teacher answers that were not finite, in all"),
        Panel("Throughput", ("samples_per_s",), "views a second"),
    ]
    return [one for one in wanted if any(key in row for row in rows for key in one.keys)]


def drawn(rows: Sequence[dict[str, Any]], steps: int) -> str:
    """All panels over 0..`steps` steps."""
    return f"{STYLE}<div class=panels>{''.join(_panel(one, rows, steps) for one in panels(rows))}</div>"


def _panel(panel: Panel, rows: Sequence[dict[str, Any]], steps: int) -> str:
    series = [[(row["step"], float(row[key])) for row in rows if key in row] for key in panel.keys]
    top = panel.top or max([value for points in series for _, value in points], default=0.0) or 1.0

    def x(step: float) -> float:
        return LEFT + step / max(steps, 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)

    parts = [across(y(value), _number(value), LEFT, WIDTH - RIGHT) for value in ticks(top, 4)]
    parts += [f"<text x='{x(step):.0f}' y='{HEIGHT - 6}' text-anchor={at}>{text}</text>" for step, text, at in _ends(steps)]
    for points, colour in zip(series, COLOURS, strict=False):
        shown = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in _thinned(points))
        parts.append(f"<polyline points='{shown}' fill=none stroke='{colour}' stroke-width=2 stroke-linejoin=round />")
        if points:
            parts.append(f"<circle cx='{x(points[-1][0]):.1f}' cy='{y(points[-1][1]):.1f}' r=3 style='fill:{colour}' />")
    last = [_number(points[-1][1]) if points else "-" for points in series]
    now = ", ".join(last)
    title = html.escape(panel.title)
    told = [(f"{term_name(key)} {value}", colour) for key, value, colour in zip(panel.keys, last, COLOURS, strict=False)]
    names = legend(told) if len(series) > 1 else ""
    label = f"{title}, {html.escape(panel.told)}: {now} after {rows[-1]['step']:,} steps"
    svg = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{label}'>{''.join(parts)}</svg>"
    caption = title if len(series) > 1 else f"{title}: {now}"
    head = f"<figcaption>{caption}</figcaption><span class=soft>{html.escape(panel.told)}</span>"
    return f"<figure class=panel>{head}{names}{svg}</figure>"


def _ends(steps: int) -> list[tuple[int, str, str]]:
    return [(0, "0", "start"), (steps // 2, f"{steps // 2:,}", "middle"), (steps, f"{steps:,} steps", "end")]


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Means of neighbours, so that a long training is one readable line; the last point stays."""
    size = -(-len(points) // MOST_POINTS)
    if size <= 1:
        return points
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _found(rows: Iterable[dict[str, Any]], before: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for row in rows for key in row if key.startswith(before)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

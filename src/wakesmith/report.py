"""The report for people: plain values in; a table for the terminal, or one self-contained page, out."""

from __future__ import annotations

import html as escape
import math
import re
from typing import Any

from wakesmith.errors import DataError

Row = list[str]


def table(report: dict[str, Any]) -> str:
    """The main figures of the test split, for a terminal. Raises DataError as `check` does."""
    check(report)
    test, point = report["test"], report["operating_point"]
    lines = [
        f"'{report['phrase']}': {report['student']['name']}, {report['student']['parameters']:,} parameters, "
        f"{report['student']['bytes'] / 1024:.0f} KB; threshold {point['threshold']:.3f} (chosen on {point['chosen_on']})",
        "",
        *_aligned([["phrase under", *SHARE_HEAD], *map(_condition_row, test["conditions"])]),
        "",
        *_aligned([_RATE_HEAD, *(_rate_row(row) for row in test["rates"])]),
        "",
        f"At the shipped threshold, test: {_rate_text(test['false_accepts'])}.",
        "Near misses that fire: {} of {}.".format(*near_misses_fired(report)),
    ]
    if len(report["sources"]) > 1:
        lines += ["", *_aligned([["clean, by source", *SHARE_HEAD], *map(_source_row, report["sources"])])]
    return "\n".join(lines)


def check(report: dict[str, Any]) -> None:
    """Refuse figures of dev, on which the threshold was chosen, where test is promised. Raises DataError."""
    for split in ("dev", "test"):
        found = report[split].get("split")
        if found != split:
            raise DataError(f"report: the figures under '{split}' come from '{found}'. Evaluate again: wakesmith evaluate RUN")
    shared = sorted(report["dev"]["by_recording"].keys() & report["test"]["by_recording"].keys())
    if shared:
        raise DataError(f"report: recording '{shared[0]}' is in dev and in test ({len(shared)} are). Prepare and evaluate again.")


_RATE_HEAD = ["FA/h on dev", "threshold", "FRR clean", "FRR all conditions", "false accepts on test"]


def _condition_row(row: dict[str, Any]) -> Row:
    return [row["name"], f"{row['missed']} of {row['n']}", _percent(row["frr"]), _interval(row)]


def _interval(row: dict[str, Any]) -> str:
    return f"{_percent(row['low'])} to {_percent(row['high'])}"


def near_misses_fired(report: dict[str, Any]) -> tuple[int, int]:
    """Near misses of test at or over the shipped threshold, and all of them."""
    return sum(row["fired"] for row in report["near_misses"]), sum(row["n"] for row in report["near_misses"])


def _source_row(row: dict[str, Any]) -> Row:
    return _condition_row({"name": row["source"], **row})


def _rate_row(row: dict[str, Any]) -> Row:
    bound = " (bound)" if row["is_bound"] else ""
    return [
        f"{row['target_fa_per_hour']:g}{bound}", f"{row['threshold']:.3f}", _percent(row["clean"]["frr"]),
        _percent(row["all_conditions"]["frr"]), _rate_text(row["false_accepts"]),
    ]  # fmt: skip


def _rate_text(rate: dict[str, Any]) -> str:
    if rate["count"] == 0:
        return f"0 in {rate['hours']:.2f} h (under {rate['high']:.2f}/h with 95 %)"
    return f"{rate['count']} in {rate['hours']:.2f} h = {rate['per_hour']:.2f}/h ({rate['low']:.2f} to {rate['high']:.2f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _aligned(rows: list[Row]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


STYLE = """
:root{--ink:#1b1f24;--soft:#5b6470;--paper:#fff;--line:#d9dee4;--a:#0b62a8;--b:#b3541e;--panel:#f5f7f9}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4b0;--paper:#14171b;--line:#323941;--a:#6cb4ee;--b:#f0a06a;
  --panel:#1c2127}}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--line:#bbb;--a:#0b62a8;--b:#b3541e;--panel:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:54rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;margin:.2rem 0}
h2{font-size:1.15rem;margin:2.2rem 0 .5rem;break-after:avoid}
p{margin:.4rem 0}
.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1rem;break-inside:avoid}
.card b{display:block;font-size:1.5rem}
.card span{overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:600}
td.long{overflow-wrap:anywhere}
tr,svg{break-inside:avoid}
svg{width:100%;height:auto;max-width:40rem}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}
.grid{stroke:var(--line)}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;white-space:pre-wrap}
.warn{border-left:4px solid var(--b);padding:.3rem .8rem;background:var(--panel)}
"""
HEAD = (
    "<!doctype html><html lang=en><head><meta charset=utf-8>"
    "<meta name=viewport content='width=device-width,initial-scale=1'><title>{}: Wakesmith report</title><style>{}</style></head>"
)
SHARE_HEAD = ["missed", "FRR", "95 % interval"]
DATA_HEAD = ["Split", "Class", "Source", "Recordings", "Speakers", "Hours", "Licence"]


def html(report: dict[str, Any]) -> str:
    """One page that needs nothing else: light and dark, phone and print. Raises DataError as `check` does."""
    check(report)
    test, phrase = report["test"], escape.escape(report["phrase"])
    parts = [
        f"<h1>“{phrase}”</h1><p class=soft>{escape.escape(_made_of(report))}</p>",
        _cards(report),
        "".join(f"<p class=warn>{escape.escape(text)}</p>" for text in warnings(report)),
        "<h2>How well it hears, at the shipped threshold</h2>",
        _html_table([["phrase under", *SHARE_HEAD], *map(_condition_row, test["conditions"])]),
        "<h2>By source, clean</h2>",
        _html_table([["source", *SHARE_HEAD], *map(_source_row, report["sources"])]),
        "<h2>Misses at other rates of false accepts</h2>",
        "<p class=soft>Each threshold was chosen on dev and is only applied to test.</p>",
        _html_table([_RATE_HEAD, *(_rate_row(row) for row in test["rates"])]),
        "<h2>Trade-off</h2>",
        _det(
            [(name, report[name]["det"], report[name]["hours"], f"var(--{ink})") for name, ink in (("test", "a"), ("dev", "b"))]
        ),
        "<h2>Near misses</h2><p class=soft>Phrases made to sound like it; they are not among the false accepts per hour.</p>",
        _near_misses(report["near_misses"]),
        "<h2>Training</h2>",
        _training(report["training"]),
        _teacher(report["teacher"]),
        "<h2>Data</h2>",
        _html_table([DATA_HEAD, *map(_data_row, report["data"])]),
        f"<h2>How this was measured</h2><p>{escape.escape(method(report))}</p>",
        f"<h2>How to use it</h2><pre>{escape.escape(USE)}</pre>",
    ]
    return f"{HEAD.format(phrase, STYLE)}<body><main>{''.join(parts)}</main></body></html>\n"


USE = """wakesmith detect bundle recording.wav
wakesmith listen bundle

from wakesmith import load_bundle
detector = load_bundle("bundle")
detector.process(samples)   # 16 kHz, chunks of any size -> [Detection(time_s, score)]"""


def warnings(report: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a figure."""
    test, dev, told = report["test"], report["dev"], []
    rate = report["operating_point"]["target_fa_per_hour"]
    if dev["hours"] * rate < 1:
        told.append(
            f"Dev holds {dev['hours']:.2f} h of negatives: too few to choose a threshold for {rate:g} false accepts an hour. "
            "It lies just over the loudest one."
        )
    if test["hours"] < 3 / rate:
        told.append(
            f"Test holds {test['hours']:.2f} h of negatives: a rate of {rate:g} an hour would show itself surely only in "
            f"{3 / rate:.0f} h or more."
        )
    if all(row["source"] in VOICES for row in report["sources"]):
        told.append(
            "Every phrase of the test was said by a synthetic voice. Real voices are missed more often: give recordings with "
            "--test-recordings."
        )
    return told


def method(report: dict[str, Any]) -> str:
    """What a miss, a false accept and the threshold are here."""
    point = report["operating_point"]
    return (
        "The shipped bundle ran through the runtime over continuous audio. A phrase is heard when the smoothed score "
        "reaches the threshold between its start and shortly after its end; noise or babble lies under the phrases at the "
        f"level named. False accepts are detections in other speech and noise, {point['refractory_s']:g} s apart at least; "
        f"near misses are counted apart. Threshold and smoothing were chosen on {point['chosen_on']}, and applied to test "
        "unchanged. Where those hours are too few for one event at a rate, the threshold lies just over the loudest "
        "negative of dev, and is a bound, not an estimate. It never goes under a floor (evaluate.threshold_floor): a "
        "quiet hour says little about the next hundred. FRR intervals are Wilson's, rates have exact Poisson intervals, "
        "both of 95 %; with no event at all the upper end is one-sided."
    )


VOICES = ("espeak", "kokoro", "hibari", "piper", "command")


def _made_of(report: dict[str, Any]) -> str:
    student, teacher = report["student"], report["teacher"]
    taught = f", distilled from {teacher_name(teacher)}" if teacher else ", trained without a teacher"
    return f"{student['name']}, {student['parameters']:,} parameters, {student['bytes'] / 1024:.0f} KB{taught}"


def teacher_name(card: dict[str, Any]) -> str:
    """The part's name, as the teacher's card has it."""
    return str(card["teacher"]["name"])


def _cards(report: dict[str, Any]) -> str:
    point, clean, fa = report["operating_point"], report["test"]["conditions"][0], report["test"]["false_accepts"]
    fired, near = near_misses_fired(report)
    cards = [
        ("Missed, clean", _percent(clean["frr"]), f"{_interval(clean)}, n = {clean['n']}"),
        (
            "False accepts an hour",
            f"{fa['per_hour']:.2f}" if fa["count"] else f"< {fa['high']:.2f}",
            f"{fa['count']} in {fa['hours']:.2f} h",
        ),
        ("Near misses that fire", _percent(fired / near) if near else "none tried", f"{fired} of {near}"),
        ("Threshold", f"{point['threshold']:.3f}", f"mean of {point['smoothing_window']} scores"),
    ]
    shown = (f"<div class=card><span class=soft>{a}</span><b>{escape.escape(b)}</b>{escape.escape(c)}</div>" for a, b, c in cards)
    return f"<div class=cards>{''.join(shown)}</div>"


def _html_table(rows: list[Row]) -> str:
    head, *body = rows
    cells = "".join(f"<th>{escape.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in body)
    return f"<div class=wide><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"


def _cell(text: str) -> str:
    # A long word without a space, as a path, breaks anywhere: else it pushes the table over a phone's edge.
    long = " class=long" if max(map(len, text.split()), default=0) > 24 else ""
    return f"<td{long}>{escape.escape(text)}</td>"


def _near_misses(rows: list[dict[str, Any]], most: int = 20) -> str:
    if not rows:
        return "<p>The run has none.</p>"
    fired, n = sum(row["fired"] for row in rows), sum(row["n"] for row in rows)
    shown = [[row["text"], str(row["n"]), str(row["fired"]), f"{row['highest']:.3f}"] for row in rows[:most]]
    return f"<p>{fired} of {n} fire. The worst:</p>" + _html_table([["Said", "Times", "Fired", "Highest score"], *shown])


def _data_row(row: dict[str, Any]) -> Row:
    counts = [str(row["n"]), str(row["speakers"]), f"{row['hours']:.2f}"]
    return [row["split"], row["label"], row["source"], *counts, ", ".join(row["licences"])]


def _teacher(card: dict[str, Any] | None) -> str:
    if not card:
        return ""
    kept = [(key, value) for key, value in _flat(card) if _for_people(value)]
    plain = [[key, f"{value:.4g}" if isinstance(value, float) else str(value)] for key, value in kept]
    return "<h2>Teacher</h2>" + _html_table([["Figure", "Value"], *plain[:30]])


def _for_people(value: Any) -> bool:
    return not isinstance(value, list) and value not in ("", None) and not re.fullmatch("[0-9a-f]{16,}", str(value))


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
    return rows


WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 352, 56, 32, 44, 28


def _det(curves: list[tuple[str, dict[str, Any], float, str]]) -> str:
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


def _training(rows: list[dict[str, Any]]) -> str:
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

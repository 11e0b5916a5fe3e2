"""The report for people: plain values in; a table for the terminal, or one self-contained page, out."""

from __future__ import annotations

import html as escape
import math
from typing import Any

Row = list[str]


def table(report: dict[str, Any]) -> str:
    """The main figures of the test split, for a terminal."""
    test, point = report["test"], report["operating_point"]
    lines = [
        f"'{report['phrase']}': {report['student']['name']}, {report['student']['parameters']:,} parameters, "
        f"{report['student']['bytes'] / 1024:.0f} KB; threshold {point['threshold']:.3f} (chosen on {point['chosen_on']})",
        "",
        *_aligned([["phrase under", "missed", "FRR", "95 % interval"], *(_condition_row(row) for row in test["conditions"])]),
        "",
        *_aligned([_RATE_HEAD, *(_rate_row(row) for row in test["rates"])]),
        "",
        f"At the shipped threshold, test: {_rate_text(test['false_accepts'])}.",
        f"Near misses that fire: {sum(row['fired'] for row in report['near_misses'])} of {sum(row['n'] for row in report['near_misses'])}.",
    ]
    if len(report["sources"]) > 1:
        lines += ["", *_aligned([["clean, by source", "missed", "FRR", "95 % interval"], *(_source_row(row) for row in report["sources"])])]
    return "\n".join(lines)


_RATE_HEAD = ["FA/h on dev", "threshold", "FRR clean", "FRR all conditions", "false accepts on test"]


def _condition_row(row: dict[str, Any]) -> Row:
    return [row["name"], f"{row['missed']} of {row['n']}", _percent(row["frr"]), f"{_percent(row['low'])} to {_percent(row['high'])}"]


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
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4b0;--paper:#14171b;--line:#323941;--a:#6cb4ee;--b:#f0a06a;--panel:#1c2127}}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--line:#bbb;--a:#0b62a8;--b:#b3541e;--panel:#fff}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:54rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft)}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1rem}.card b{display:block;font-size:1.5rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.93rem}th,td{text-align:left;padding:.35rem .7rem .35rem 0;
border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:600}tr{break-inside:avoid}
svg{width:100%;height:auto;max-width:40rem}svg text{fill:var(--soft);font:12px system-ui,sans-serif}.grid{stroke:var(--line)}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;overflow-x:auto}
.warn{border-left:4px solid var(--b);padding:.3rem .8rem;background:var(--panel)}
"""


def html(report: dict[str, Any]) -> str:
    """One page that needs nothing else: light and dark, phone and print."""
    test, phrase = report["test"], escape.escape(report["phrase"])
    parts = [
        f"<h1>“{phrase}”</h1><p class=soft>{escape.escape(_made_of(report))}</p>",
        _cards(report),
        "".join(f"<p class=warn>{escape.escape(text)}</p>" for text in warnings(report)),
        "<h2>How well it hears, at the shipped threshold</h2>",
        _html_table([["Phrase under", "Missed", "FRR", "95 % interval"], *(_condition_row(row) for row in test["conditions"])]),
        "<h2>By source, clean</h2>",
        _html_table([["Source", "Missed", "FRR", "95 % interval"], *(_source_row(row) for row in report["sources"])]),
        "<h2>Misses at other rates of false accepts</h2><p class=soft>Each threshold was chosen on dev and is only applied to test.</p>",
        _html_table([_RATE_HEAD, *(_rate_row(row) for row in test["rates"])]),
        "<h2>Trade-off</h2>",
        _det([("test", test["det"], "var(--a)"), ("dev", report["dev"]["det"], "var(--b)")]),
        "<h2>Near misses</h2><p class=soft>Phrases made to sound like it; they are not among the false accepts per hour.</p>",
        _near_misses(report["near_misses"]),
        "<h2>Training</h2>",
        _training(report["training"]),
        _teacher(report["teacher"]),
        "<h2>Data</h2>",
        _html_table([["Split", "Class", "Source", "Recordings", "Speakers", "Hours", "Licence"], *(_data_row(row) for row in report["data"])]),
        f"<h2>How to use it</h2><pre>{escape.escape(USE)}</pre>",
    ]
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'><title>{phrase}: Wakesmith report</title>"
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"


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
        told.append(f"Dev holds {dev['hours']:.2f} h of negatives: too few to choose a threshold for {rate:g} false accepts an hour. It lies just over the loudest one.")
    if test["hours"] < 3 / rate:
        told.append(f"Test holds {test['hours']:.2f} h of negatives: a rate of {rate:g} an hour would show itself surely only in {3 / rate:.0f} h or more.")
    if all(row["source"] in VOICES for row in report["sources"]):
        told.append("Every phrase of the test was said by a synthetic voice. Real voices are missed more often: give recordings with --test-recordings.")
    return told


VOICES = ("espeak", "kokoro", "hibari", "piper", "command")


def _made_of(report: dict[str, Any]) -> str:
    student, teacher = report["student"], report["teacher"]
    taught = f", distilled from {teacher_name(teacher)}" if teacher else ", trained without a teacher"
    return f"{student['name']}, {student['parameters']:,} parameters, {student['bytes'] / 1024:.0f} KB{taught}"


def teacher_name(card: dict[str, Any]) -> str:
    encoder = card.get("encoder", {})
    return str(encoder.get("name", "a teacher") if isinstance(encoder, dict) else encoder)


def _cards(report: dict[str, Any]) -> str:
    test, point = report["test"], report["operating_point"]
    clean = test["conditions"][0]
    fa = test["false_accepts"]
    shown = f"{fa['per_hour']:.2f}" if fa["count"] else f"&lt; {fa['high']:.2f}"
    return (
        "<div class=cards>"
        f"<div class=card><span class=soft>Missed, clean</span><b>{_percent(clean['frr'])}</b>{_percent(clean['low'])} to {_percent(clean['high'])}, n = {clean['n']}</div>"
        f"<div class=card><span class=soft>False accepts an hour</span><b>{shown}</b>{fa['count']} in {fa['hours']:.2f} h</div>"
        f"<div class=card><span class=soft>Threshold</span><b>{point['threshold']:.3f}</b>mean of {point['smoothing_window']} scores</div></div>"
    )


def _html_table(rows: list[Row]) -> str:
    head, *body = rows
    cells = "".join(f"<th>{escape.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<div class=wide><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"


def _near_misses(rows: list[dict[str, Any]], most: int = 20) -> str:
    if not rows:
        return "<p>The run has none.</p>"
    fired, n = sum(row["fired"] for row in rows), sum(row["n"] for row in rows)
    shown = [[row["text"], str(row["n"]), str(row["fired"]), f"{row['highest']:.3f}"] for row in rows[:most]]
    return f"<p>{fired} of {n} fire. The worst:</p>" + _html_table([["Said", "Times", "Fired", "Highest score"], *shown])


def _data_row(row: dict[str, Any]) -> Row:
    return [row["split"], row["label"], row["source"], str(row["n"]), str(row["speakers"]), f"{row['hours']:.2f}", ", ".join(row["licences"])]


def _teacher(card: dict[str, Any] | None) -> str:
    if not card:
        return ""
    plain = [[key, f"{value:.4g}" if isinstance(value, float) else str(value)] for key, value in _flat(card) if not isinstance(value, list)]
    return "<h2>Teacher</h2>" + _html_table([["Figure", "Value"], *plain[:30]])


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
    return rows


WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 340, 56, 44, 12


def _det(curves: list[tuple[str, dict[str, Any], str]]) -> str:
    """FRR over false accepts per hour; the hours are a logarithmic axis from 0.05 to 50."""
    low, high = math.log10(0.05), math.log10(50)

    def x(fa: float) -> float:
        return LEFT + (math.log10(min(max(fa, 0.05), 50)) - low) / (high - low) * (WIDTH - LEFT - 10)

    worst = max([0.1, *(m for _, c, _ in curves for f, m in zip(c["fa_per_hour"], c["frr"], strict=True) if f <= 50 and m < 0.999)])
    top = min(1.0, math.ceil(worst * 10) / 10)

    def y(miss: float) -> float:
        return TOP + (1 - min(miss, top) / top) * (HEIGHT - TOP - BOTTOM)

    marks = "".join(_tick(x(v), HEIGHT - BOTTOM, f"{v:g}", vertical=True) for v in (0.1, 0.5, 1, 2, 5, 10, 50))
    marks += "".join(_tick(LEFT, y(top * i / 5), f"{100 * top * i / 5:.0f} %", vertical=False) for i in range(6))
    lines = ""
    for number, (name, curve, colour) in enumerate(curves):
        points = " ".join(f"{x(f):.1f},{y(m):.1f}" for f, m in zip(curve["fa_per_hour"], curve["frr"], strict=True) if f <= 50)
        lines += f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width=2.5 />"
        lines += f"<text x='{WIDTH - 60}' y='{TOP + 14 + 18 * number}' style='fill:{colour}'>{name}</text>"
    axes = f"<text x='{WIDTH / 2}' y='{HEIGHT - 6}'>false accepts per hour</text><text x=4 y=10>missed, clean</text>"
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='Misses over false accepts per hour'>{marks}{lines}{axes}</svg>"


def _tick(x: float, y: float, text: str, *, vertical: bool) -> str:
    if vertical:
        return f"<line class=grid x1='{x:.1f}' y1='{TOP}' x2='{x:.1f}' y2='{y:.1f}' /><text x='{x - 8:.1f}' y='{y + 16:.1f}'>{text}</text>"
    return f"<line class=grid x1='{x}' y1='{y:.1f}' x2='{WIDTH - 10}' y2='{y:.1f}' /><text x=8 y='{y + 4:.1f}'>{text}</text>"


def _training(rows: list[dict[str, Any]]) -> str:
    """Every loss term over the steps, each on its own scale from 0 to its highest."""
    names = sorted({key for row in rows for key in row if key.startswith("loss/")} | ({"eval_loss"} if any("eval_loss" in r for r in rows) else set()))
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
        shown.append(f"<div class=card><span class=soft>{title}</span><svg viewBox='0 0 200 80'><line class=grid x1=10 y1=70 x2=190 y2=70 />{line}</svg></div>")
    return f"<p class=soft>Over {steps} steps; eval_loss is on dev, without the teacher.</p><div class=cards>{''.join(shown)}</div>"

"""The report as one self-contained page: light and dark, phone and print."""

from __future__ import annotations

import html as escape
import re
from typing import Any

from wakesmith.report.facts import (
    BUNDLE_HEAD,
    MOSTLY_HEAD,
    PREDICTION_HEAD,
    RATE_HEAD,
    SHARE_HEAD,
    SPEAKER_HEAD,
    Row,
    bundle_rows,
    check,
    condition_row,
    confusion_rows,
    interval,
    made_of,
    method,
    near_misses_fired,
    of_phrases,
    percent,
    prediction,
    prediction_row,
    rate_row,
    rate_text,
    side_by_side,
    source_row,
    speaker_row,
    tuning,
    warnings,
)
from wakesmith.report.plots import predictions, trade_off, training

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
DATA_HEAD = ["Split", "Class", "Source", "Recordings", "Speakers", "Hours", "Licence"]
USE = """wakesmith detect bundle recording.wav
wakesmith listen bundle

from wakesmith import load_bundle
detector = load_bundle("bundle")
detector.process(samples)   # 16 kHz, chunks of any size -> [Detection(time_s, score, phrase)]"""


def html(report: dict[str, Any]) -> str:
    """One page that needs nothing else: light and dark, phone and print. Raises DataError as `check` does."""
    check(report)
    each, compared = of_phrases(report), side_by_side(report)
    title = escape.escape(", ".join(one["phrase"] for one in each))
    parts = [
        f"<h1>{', '.join(map(_quoted, each))}</h1><p class=soft>{escape.escape(made_of(report))}</p>",
        _confusion(confusion_rows(report)),
        *((f"<h1>{_quoted(one)}</h1>" if len(each) > 1 else "") + _of_phrase(one) for one in each),
        _bundles(bundle_rows(report)),
        "<h2>Training</h2>",
        training(report["training"]),
        _compared(compared),
        _teacher(report["teacher"], told=("dev",) if compared else ()),
        "<h2>Data</h2>",
        _html_table([DATA_HEAD, *map(_data_row, report["data"])]),
        f"<h2>How this was measured</h2><p>{escape.escape(method(report))}</p>",
        f"<h2>How to use it</h2><pre>{escape.escape(USE)}</pre>",
    ]
    return f"{HEAD.format(title, STYLE)}<body><main>{''.join(parts)}</main></body></html>\n"


def _quoted(report: dict[str, Any]) -> str:
    return f"“{escape.escape(report['phrase'])}”"


def _of_phrase(report: dict[str, Any]) -> str:
    """What was measured of one phrase."""
    test = report["test"]
    parts = [
        _cards(report),
        "".join(f"<p class=warn>{escape.escape(text)}</p>" for text in warnings(report)),
        "<h2>How well it hears, at the shipped threshold</h2>",
        _html_table([["phrase under", *SHARE_HEAD], *map(condition_row, test["conditions"])]),
        "<h2>By source, clean</h2>",
        _html_table([["source", *SHARE_HEAD], *map(source_row, report["sources"])]),
        _speakers(report["speakers"]),
        "<h2>False accepts: predicted and observed</h2>",
        f"<p>{escape.escape(prediction(report))} {escape.escape(tuning(report))}</p>",
        predictions([prediction_row(row)[0] for row in report["predictions"]], report["predictions"]),
        _html_table([PREDICTION_HEAD, *map(prediction_row, report["predictions"])]),
        _html_table(
            [
                ["set off by", "false accepts on test"],
                *([row["source"], rate_text(row)] for row in report["false_accepts_by_source"]),
            ]
        ),
        "<h2>Misses at other rates of false accepts</h2>",
        "<p class=soft>Each threshold was chosen on dev and is only applied to test.</p>",
        _html_table([RATE_HEAD, *(rate_row(row) for row in test["rates"])]),
        "<h2>Trade-off</h2>",
        trade_off(
            [
                (name, report[name]["det"], report[name]["hours"], len(report[name]["by_recording"]), f"var(--{ink})")
                for name, ink in (("test", "a"), ("dev", "b"))
            ]
        ),
        "<h2>Near misses</h2><p class=soft>Phrases made to sound like it; they are not among the false accepts per hour.</p>",
        _near_misses(report["near_misses"]),
    ]
    return "".join(parts)


def _bundles(rows: list[Row]) -> str:
    if not rows:
        return ""
    told = "On the same streams as the float bundle above, each at an operating point of its own, chosen on dev."
    return f"<h2>The other files of this run</h2><p class=soft>{told}</p>" + _html_table([BUNDLE_HEAD, *rows])


def _confusion(rows: list[Row]) -> str:
    if not rows:
        return ""
    told = "Recordings of test, clean. A phrase that fires when another is said is a false accept of it."
    return f"<h2>Phrases taken for one another</h2><p class=soft>{told}</p>" + _html_table(rows)


def _cards(report: dict[str, Any]) -> str:
    point, clean, fa = report["operating_point"], report["test"]["conditions"][0], report["test"]["false_accepts"]
    fired, near = near_misses_fired(report)
    cards = [
        ("Missed, clean", percent(clean["frr"]), f"{interval(clean)}, n = {clean['n']}"),
        (
            "False accepts an hour",
            f"{fa['per_hour']:.2f}" if fa["count"] else f"< {fa['high']:.2f}",
            f"{fa['count']} in {fa['hours']:.2f} h",
        ),
        ("Near misses that fire", percent(fired / near) if near else "none tried", f"{fired} of {near}"),
        (
            "Threshold",
            f"{point['threshold']:.3f}",
            f"mean of {point['smoothing_window']} scores, {point['refractory_s']:g} s apart",
        ),
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


def _speakers(told: dict[str, Any]) -> str:
    """Who is missed most; nothing where no speaker is known."""
    if not told["mostly_missed"]:
        return ""
    made = "<h2>By speaker, clean</h2><p class=soft>Speakers of whom more than half of the phrases are missed.</p>"
    made += _html_table([["source", *MOSTLY_HEAD], *map(source_row, told["mostly_missed"])])
    return made + (_html_table([SPEAKER_HEAD, *map(speaker_row, told["worst"])]) if told["worst"] else "")


def _near_misses(rows: list[dict[str, Any]], most: int = 20) -> str:
    if not rows:
        return "<p>The run has none.</p>"
    fired, n = sum(row["fired"] for row in rows), sum(row["n"] for row in rows)
    shown = [[row["text"], str(row["n"]), str(row["fired"]), f"{row['highest']:.3f}"] for row in rows[:most]]
    return f"<p>{fired} of {n} fire. The worst:</p>" + _html_table([["Said", "Times", "Fired", "Highest score"], *shown])


def _data_row(row: dict[str, Any]) -> Row:
    counts = [str(row["n"]), str(row["speakers"]), f"{row['hours']:.2f}"]
    return [row["split"], row["label"], row["source"], *counts, ", ".join(row["licences"])]


def _compared(rows: list[Row]) -> str:
    if not rows:
        return ""
    told = (
        "Both answered the views of dev, clip by clip, not test. What the shipped bundle misses in continuous audio of test "
        "stands at the top."
    )
    return f"<h2>Teacher and student side by side</h2><p class=soft>{told}</p>" + _html_table(rows)


def _teacher(card: dict[str, Any] | None, told: tuple[str, ...]) -> str:
    """The teacher's card, without the parts that were told before."""
    if not card:
        return ""
    left = {key: value for key, value in card.items() if key not in told}
    kept = [(key, value) for key, value in _flat(left) if _for_people(value)]
    plain = [[key, f"{value:.4g}" if isinstance(value, float) else str(value)] for key, value in kept]
    return "<h2>Teacher</h2>" + _html_table([["Figure", "Value"], *plain[:30]])


def _for_people(value: Any) -> bool:
    return not isinstance(value, list) and value not in ("", None) and not re.fullmatch("[0-9a-f]{16,}", str(value))


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
    return rows

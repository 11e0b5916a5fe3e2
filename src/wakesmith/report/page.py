"""The report as one self-contained page: light and dark, phone and print."""

from __future__ import annotations

import html as escape
from typing import Any

from wakesmith.report.bars import minutes, misses, predictions
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
    teacher_rows,
    tuning,
    warnings,
)
from wakesmith.report.plots import Curve, Mark, trade_off, training
from wakesmith.report.style import STYLE

HEAD = (
    "<!doctype html><html lang=en><head><meta charset=utf-8>"
    "<meta name=viewport content='width=device-width,initial-scale=1'><title>{}: Wakesmith report</title><style>{}</style></head>"
)
DATA_HEAD = ["Split", "Class", "Source", "Recordings", "Speakers", "Hours"]
LICENCE_HEAD = ["Source", "Licence"]
USE = """wakesmith detect bundle recording.wav
wakesmith listen bundle                     # the microphone
wakesmith serve bundle --host 0.0.0.0       # Home Assistant, over Wyoming

from wakesmith import load_bundle
detector = load_bundle("bundle")
detector.process(samples)   # 16 kHz, chunks of any size -> [Detection(time_s, score, phrase)]"""
USE_MORE = (
    "<code>bundle</code> is the folder beside <code>evaluate</code> in the run. Its <code>README.md</code> says where it works, "
    "and what its licences allow; files for devices lie in <code>bundles</code>, when the run was asked for them."
)
SECTIONS = {
    "hears": "How well it hears", "fails": "Where it fails", "made": "What was forged", "cost": "What it cost",
    "use": "How to use it", "measured": "How this was measured",
}  # fmt: skip


def html(report: dict[str, Any]) -> str:
    """One page that needs nothing else: light and dark, phone and print. Raises DataError as `check` does."""
    check(report)
    each = of_phrases(report)
    title = escape.escape(", ".join(one["phrase"] for one in each))
    parts = [
        f"<h1>{', '.join(map(_quoted, each))}</h1><p class=soft>{escape.escape(made_of(report))}</p>",
        *(_verdict(one, named=len(each) > 1) for one in each),
        f"<nav>{''.join(f'<a href=#{key}>{name}</a>' for key, name in SECTIONS.items())}</nav>",
        _section("hears", *(_hears(one, named=len(each) > 1) for one in each), _confusion(confusion_rows(report))),
        _section("fails", *(_fails(one, named=len(each) > 1) for one in each)),
        _section("made", *_made(report)),
        _section("cost", *_cost(report)),
        _section("use", f"<pre>{escape.escape(USE)}</pre>", f"<p>{USE_MORE}</p>"),
        _section("measured", f"<p>{escape.escape(method(report))}</p>"),
    ]
    return f"{HEAD.format(title, STYLE)}<body><main>{''.join(parts)}</main></body></html>\n"


def _section(key: str, *parts: str) -> str:
    return f"<section><h2 id={key}>{SECTIONS[key]}</h2>{''.join(parts)}</section>"


def _quoted(report: dict[str, Any]) -> str:
    return f"“{escape.escape(report['phrase'])}”"


def _verdict(report: dict[str, Any], *, named: bool) -> str:
    """The first that a reader wants to know, in a sentence, then what must be known with it."""
    clean, fa = report["test"]["conditions"][0], report["test"]["false_accepts"]
    told = f"Said clean, it is missed {_of_hundred(clean['frr'])} times of 100 ({interval(clean)}). {_woke(fa)}"
    name = f"{_quoted(report)}: " if named else ""
    warned = "".join(f"<p class=warn>{escape.escape(text)}</p>" for text in warnings(report))
    return f"<p class=verdict>{name}{escape.escape(told)}</p>{_cards(report)}{warned}"


def _woke(fa: dict[str, Any]) -> str:
    if fa["count"] == 0:
        never = f"it never woke by mistake (under {fa['high']:.2f} an hour with 95 %)."
        return f"In {fa['hours']:.2f} h of other speech and noise {never}"
    times = "once" if fa["count"] == 1 else f"{fa['count']} times"
    return (
        f"In {fa['hours']:.2f} h of other speech and noise it woke by mistake {times}: {fa['per_hour']:.2f} an hour "
        f"({fa['low']:.2f} to {fa['high']:.2f})."
    )


def _of_hundred(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


def _hears(report: dict[str, Any], *, named: bool) -> str:
    """What was measured of one phrase at the shipped threshold, and at others."""
    test = report["test"]
    curves = [
        Curve(name, report[name]["det"], report[name]["hours"], len(report[name]["by_recording"]), f"var(--{ink})")
        for name, ink in (("test", "a"), ("dev", "b"))
    ]
    mark = Mark("as shipped, on test", test["false_accepts"], test["conditions"][0], "var(--c)")
    parts = [
        f"<h3>{_quoted(report)}</h3>" if named else "",
        "<h3>Said under noise, at the shipped threshold</h3>",
        _pair(
            misses(test["conditions"], "with 95 % interval"),
            html_table([["phrase under", *SHARE_HEAD], *map(condition_row, test["conditions"])]),
        ),
        "<h3>By source, clean</h3>",
        html_table([["source", *SHARE_HEAD], *map(source_row, report["sources"])]),
        "<h3>Misses against false accepts</h3>",
        _pair(
            trade_off(curves, [mark]),
            "<p class=soft>Each threshold here was chosen on dev and is only applied to test.</p>"
            + html_table([RATE_HEAD, *(rate_row(row) for row in test["rates"])]),
        ),
    ]
    return "".join(parts)


def _fails(report: dict[str, Any], *, named: bool) -> str:
    """What wakes it by mistake, and who is missed."""
    by_source = [[row["source"], rate_text(row)] for row in report["false_accepts_by_source"]]
    parts = [
        f"<h3>{_quoted(report)}</h3>" if named else "",
        "<h3>False accepts: predicted and observed</h3>",
        f"<p>{escape.escape(prediction(report))} {escape.escape(tuning(report))}</p>",
        _pair(
            predictions([_target(row) for row in report["predictions"]], report["predictions"]),
            html_table([PREDICTION_HEAD, *map(prediction_row, report["predictions"])]),
        ),
        html_table([["set off by", "false accepts on test"], *by_source]),
        "<h3>Near misses</h3><p class=soft>Phrases made to sound like it; they are not among the false accepts per hour.</p>",
        _near_misses(report["near_misses"]),
        _speakers(report["speakers"]),
    ]
    return "".join(parts)


def _pair(plot: str, figures: str) -> str:
    return f"<div class=pair><div>{plot}</div><div>{figures}</div></div>"


def _target(row: dict[str, Any]) -> str:
    """Of a threshold: what it was chosen for."""
    shown = prediction_row(row)[0]
    return shown if row["is_shipped"] else f"{shown}/h on dev"


def _made(report: dict[str, Any]) -> list[str]:
    compared = side_by_side(report)
    return [
        f"<p>{escape.escape(made_of(report))}.</p><h3>Data</h3>",
        html_table([DATA_HEAD, *map(_data_row, report["data"])]),
        html_table([LICENCE_HEAD, *_licence_rows(report["data"])]),
        "<h3>Training</h3>",
        training(report["training"]),
        _compared(compared),
        _teacher(report["teacher"], told=bool(compared)),
        _bundles(bundle_rows(report)),
    ]


def _cost(report: dict[str, Any]) -> list[str]:
    """Minutes of each step, and the size of what came of it. Reports from before steps were timed have none."""
    rows, student = report.get("cost", []), report["student"]
    size = f"<p>To run: {student['parameters']:,} parameters in {student['bytes'] / 1024:,.0f} KB.</p>"
    if not rows:
        return [size, "<p>How long its steps took is not known. Evaluated again, the report tells it.</p>"]
    took_s = sum(row["took_s"] for row in rows)
    told = f"To make: {took_s / 60:.1f} minutes on the machine that made it, each step the last time that it ran."
    return [f"<p>{told}</p>", minutes(rows), size]


def _bundles(rows: list[Row]) -> str:
    if not rows:
        return ""
    told = "On the same streams as the float bundle above, each at an operating point of its own, chosen on dev."
    return f"<h3>The other files of this run</h3><p class=soft>{told}</p>" + html_table([BUNDLE_HEAD, *rows])


def _confusion(rows: list[Row]) -> str:
    if not rows:
        return ""
    told = "Recordings of test, clean. A phrase that fires when another is said is a false accept of it."
    return f"<h3>Phrases taken for one another</h3><p class=soft>{told}</p>" + html_table(rows)


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


def html_table(rows: list[Row]) -> str:
    """A head and its rows; nothing in a cell is taken for HTML."""
    head, *body = rows
    cells = "".join(f"<th>{escape.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in body)
    return f"<div class=wide><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"


def _cell(text: str) -> str:
    # Figures stay in one line, and text gets room for some words: on a phone the table is then drawn aside, not taller.
    # A long word without a space, as a path, breaks anywhere: else it pushes the table far over a phone's edge.
    long, wordy = max(map(len, text.split()), default=0) > 24, len(text) > 24
    return f"<td{' class=long' if long else ' class=words' if wordy else ''}>{escape.escape(text)}</td>"


def _speakers(told: dict[str, Any]) -> str:
    """Who is missed most; nothing where no speaker is known."""
    if not told["mostly_missed"]:
        return ""
    made = "<h3>By speaker, clean</h3><p class=soft>Speakers of whom more than half of the phrases are missed.</p>"
    made += html_table([["source", *MOSTLY_HEAD], *map(source_row, told["mostly_missed"])])
    return made + (html_table([SPEAKER_HEAD, *map(speaker_row, told["worst"])]) if told["worst"] else "")


def _near_misses(rows: list[dict[str, Any]], most: int = 20) -> str:
    if not rows:
        return "<p>The run has none.</p>"
    fired, n = sum(row["fired"] for row in rows), sum(row["n"] for row in rows)
    shown = [[row["text"], str(row["n"]), str(row["fired"]), f"{row['highest']:.3f}"] for row in rows[:most]]
    return f"<p>{fired} of {n} fire. The worst:</p>" + html_table([["Said", "Times", "Fired", "Highest score"], *shown])


def _data_row(row: dict[str, Any]) -> Row:
    counts = [str(row["n"]), str(row["speakers"]), f"{row['hours']:.2f}"]
    return [row["split"], row["label"], row["source"], *counts]


def _licence_rows(rows: list[dict[str, Any]]) -> list[Row]:
    """Of each source once: the table of data names a source in each split and class."""
    found = dict.fromkeys((row["source"], licence) for row in rows for licence in row["licences"])
    sources = dict.fromkeys(source for source, _ in found)
    return [[source, ", ".join(licence for of, licence in found if of == source)] for source in sources]


def _compared(rows: list[Row]) -> str:
    if not rows:
        return ""
    told = (
        "Both answered the views of dev, clip by clip, not test. What the shipped bundle misses in continuous audio of test "
        "stands at the top."
    )
    return f"<h3>Teacher and student side by side</h3><p class=soft>{told}</p>" + html_table(rows)


def _teacher(card: dict[str, Any] | None, *, told: bool) -> str:
    """Who it is and how well it answers, unless that was told before; all settings stand in its card."""
    if not card:
        return ""
    rows = teacher_rows({**card, "dev": {}} if told else card)
    more = "<p class=soft>Every setting that made it stands in <code>teach/card.json</code> of the run.</p>"
    return f"<h3>Teacher</h3>{more}" + html_table([["what", "value"], *rows])

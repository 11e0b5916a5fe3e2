"""The figures of Judge as HTML and rows of text: plain values in."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from wakesmith.report.facts import condition_row, interval, percent, rate_text
from wakesmith.report.page import html_table
from wakesmith.report.plots import Curve, Mark, trade_off
from wakesmith.web._figures import Mistake
from wakesmith.web._looks import framed

MOST = 300
"""Mistakes in the list at once."""
HEAD = ["score", "what", "heard", "who", "where"]
CHOOSE_ON_DEV = (
    "Choose the threshold by dev alone. Test only tells what was chosen: a threshold that is picked by test makes test look "
    "better than the next room will be."
)


def figures(at: dict[str, dict[str, Any]], near: dict[str, list[dict[str, Any]]], threshold: float, shipped: float) -> str:
    """dev and test side by side at a threshold."""
    is_shipped = "the shipped one" if threshold == shipped else f"shipped: {shipped:.4f}"
    head = f"<p>Threshold <b>{threshold:.4f}</b> ({is_shipped})</p>"
    splits = f"<div class=now>{_split('dev', at, near)}{_split('test', at, near)}</div>"
    return framed(head, splits, f"<p class=soft>{CHOOSE_ON_DEV}</p>")


def _split(split: str, at: dict[str, dict[str, Any]], near: dict[str, list[dict[str, Any]]]) -> str:
    clean, fa = at[split]["conditions"][0], at[split]["false_accepts"]
    fired, n = (sum(row[key] for row in near[split]) for key in ("fired", "n"))
    cards = [
        ("Missed, clean (FRR)", percent(clean["frr"]), f"{interval(clean)}; {clean['missed']} of {clean['n']}"),
        ("False accepts an hour", f"{fa['per_hour']:.2f}", rate_text(fa)),
        ("Near misses that fire", percent(fired / n) if n else "none tried", f"{fired} of {n}"),
    ]
    shown = (f"<div class=card><span class=soft>{a}</span><b>{b}</b>{html.escape(c)}</div>" for a, b, c in cards)
    return f"<div id=figures-{split}><h3>{split}</h3><div class=cards>{''.join(shown)}</div></div>"


def conditions(at: dict[str, dict[str, Any]]) -> str:
    """Misses under noise and in rooms, and what the two splits have of each."""
    parts = []
    for split, own in at.items():
        table = html_table([["phrase under", "missed", "FRR", "95 % interval"], *map(condition_row, own["conditions"])])
        parts.append(f"<div><h3>{split}</h3>{table}</div>")
    return framed(f"<div class=pair>{''.join(parts)}</div>")


def near_misses(near: dict[str, list[dict[str, Any]]], most: int = 15) -> str:
    parts = []
    for split, rows in near.items():
        shown = [[row["text"], str(row["n"]), str(row["fired"]), f"{row['highest']:.3f}"] for row in rows[:most]]
        table = html_table([["said", "times", "fired", "highest score"], *shown]) if shown else "<p>The run has none.</p>"
        parts.append(f"<div><h3>{split}, the worst {len(shown)} of {len(rows)}</h3>{table}</div>")
    return framed(f"<div class=pair>{''.join(parts)}</div>")


def det(report: dict[str, Any], at: dict[str, Any], others: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The student's curves with its points at the threshold, other runs' test curves, teacher and student clip by clip."""
    curves = [_curve(split, report[split], f"var(--{ink})") for split, ink in (("dev", "b"), ("test", "a"))]
    curves += [_curve(f"{name}, test", one["test"], f"var(--{ink})") for (name, one), ink in zip(others, "def", strict=False)]
    marks = [
        Mark(f"here, on {split}", at[split]["false_accepts"], at[split]["conditions"][0], f"var(--{ink})")
        for split, ink in (("dev", "b"), ("test", "a"))
    ]
    clips = [
        _clip_by_clip(side, report.get(side), "var(--c)" if side == "teacher" else "var(--soft)")
        for side in ("teacher", "student")
    ]
    told = [mark for mark in clips if mark] if all(clips) else []
    note = (
        "<p class=soft>Teacher and student clip by clip: the views of dev one by one, not continuous audio. Compare these two "
        "with one another alone; the teacher hears whole clips and has no curve.</p>"
    )
    head = "<h3>Misses against false accepts (DET curve)</h3>"
    return framed(head, trade_off(curves, [*marks, *told]), note if told else "")


def _curve(name: str, judged: dict[str, Any], colour: str) -> Curve:
    return Curve(name, judged["det"], judged["hours"], len(judged["by_recording"]), colour)


def _clip_by_clip(side: str, card: dict[str, Any] | None, colour: str) -> Mark | None:
    """A teacher's or student's misses on single clips of dev; none where they were not measured."""
    dev = (card or {}).get("dev", {})
    if "fa_per_hour" not in dev:
        return None
    rate = dict.fromkeys(("per_hour", "low", "high"), dev["fa_per_hour"])
    return Mark(f"{side}, clip by clip on dev", rate, dict.fromkeys(("frr", "low", "high"), dev["frr"]), colour)


def rows(found: Sequence[Mistake], recordings: dict[str, Any]) -> list[list[str]]:
    """The list of mistakes."""
    return [
        [f"{one.score:.3f}", recordings[one.recording].text or "-", one.condition, _who(recordings[one.recording]), _where(one)]
        for one in found[:MOST]
    ]


def _who(recording: Any) -> str:
    return " / ".join(filter(None, [recording.source, recording.speaker]))


def _where(one: Mistake) -> str:
    return f"{one.stream}, {int(one.end_s) // 60}:{one.end_s % 60:04.1f}"


def title(one: Mistake, recording: Any, threshold: float) -> str:
    """Of the mistake that is looked at."""
    told = f"{one.kind}, {one.split}, {one.condition}: score {one.score:.3f}, threshold {threshold:.3f}"
    said = f"“{recording.text}”, " if recording.text else ""
    return framed(
        f"<h3>{html.escape(told[0].upper() + told[1:])}</h3><p class=soft>{html.escape(said + _who(recording))}; "
        f"labelled {html.escape(recording.label)}; {html.escape(recording.id)}</p>"
    )

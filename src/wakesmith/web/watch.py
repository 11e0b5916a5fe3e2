"""Watch: how the student learns, live, and who teaches it."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith import config
from wakesmith.report.facts import teacher_rows
from wakesmith.report.page import html_table
from wakesmith.run import CONFIG
from wakesmith.web import _curves, _looks, _runs, _work
from wakesmith.web._told import told

TITLE = "Watch"
EVERY_S = 2.0
NO_LOG = "The training has not begun. What comes before it is shown in the tab Forge; the curves begin with the step `train`."
NO_TEACHER = "No teacher yet: the step `teach` makes it. A run with `train.distil: false` has none."


def build(runs: Path, chosen: _runs.Chosen) -> None:
    """The teacher's verdict, then the curves."""
    teacher = gr.HTML(elem_id="teacher-card")
    curves = gr.HTML(_looks.message(_runs.CHOOSE), elem_id="curves")
    timer = gr.Timer(EVERY_S, active=False)
    look = gr.Button("Look again", elem_id="look-again")
    for event in (chosen.working.change, timer.tick, look.click):
        event(told(lambda name: shown(runs, name)), chosen.run, [curves, teacher, timer], show_progress="hidden")


def shown(runs: Path, name: str | None) -> tuple[Any, ...]:
    """-> (curves, teacher, the timer, which runs while the run is at work)"""
    if not name:
        return _looks.message(_runs.CHOOSE), "", gr.Timer(active=False)
    folder = _runs.folder(runs, name)
    return _curves_of(folder), _teacher_of(folder), gr.Timer(active=_work.at_work(folder))


def _curves_of(folder: Path) -> str:
    found = _curves.log(folder)
    if not found:
        return _looks.message(NO_LOG)
    asked = config.read_yaml(folder / CONFIG).get("train", {}).get("steps", 0)
    steps, last = max(asked, found[-1]["step"]), found[-1]["step"]
    head = f"<h3>How it learns: step {last:,} of {steps:,}</h3>"
    return _looks.framed(head, _curves.drawn(found, steps))


def _teacher_of(folder: Path) -> str:
    path = folder / "teach" / "card.json"
    if not path.exists():
        return _looks.message(NO_TEACHER)
    card = json.loads(path.read_text(encoding="utf-8"))
    table = html_table([["", ""], *teacher_rows(card)])
    return _looks.framed(_verdict(card.get("gate") or {}), f"<details><summary>Who teaches it</summary>{table}</details>")


def _verdict(gate: dict[str, Any]) -> str:
    if gate.get("passed") is None:
        return "<p class=warn>The gate is off: nobody asked whether this teacher is worth imitating.</p>"
    if gate["passed"]:
        return (
            "<p><b>The gate is open</b>: it is right more often than the largest class, calibrated, and answers alike twice.</p>"
        )
    return f"<p class=warn><b>The gate is closed</b>: {html.escape(' '.join(map(str, gate.get('reasons', []))))}</p>"

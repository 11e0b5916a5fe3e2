"""The page: a run is chosen on top, and each tab shows it. One file a tab."""

from __future__ import annotations

import importlib
from pathlib import Path

import gradio as gr

from wakesmith.web import _runs

TABS = (
    "forge",
    "watch",
    "judge",
    "try_out",
    "compare",
    "take_away",
)
"""Files with TITLE and `build(runs, run)`, in the order of the page."""
NOTHING = "There is no run yet. Forge the first one below."


def build(runs: Path) -> gr.Blocks:
    """The whole page over the run folders right below `runs`."""
    page: gr.Blocks = gr.Blocks(title="Wakesmith", fill_width=False)
    with page:
        with gr.Row(elem_id="top", equal_height=True):
            gr.HTML("<h1>Wakesmith</h1>", elem_id="name", padding=False)
            run = gr.Dropdown(label="Run", choices=[], value=None, interactive=True, elem_id="run", scale=3, info=NOTHING)
            refresh = gr.Button("Refresh", elem_id="refresh", scale=0, min_width=100)
        with gr.Tabs(elem_id="tabs"):
            for name in TABS:
                tab = importlib.import_module(f"wakesmith.web.{name}")
                with gr.Tab(tab.TITLE, id=name):
                    tab.build(runs, run)
        for event in (page.load, refresh.click):
            event(lambda chosen: choices(runs, chosen), run, run, show_progress="hidden")
    return page


def choices(runs: Path, chosen: str | None = None) -> gr.Dropdown:
    """The chooser with the runs of now: `chosen` stays if it is among them, else the newest is taken."""
    found = _runs.names(runs)
    value = chosen if chosen in found else next(iter(found), None)
    return gr.Dropdown(choices=found, value=value, info=f"In {runs}, the newest first." if found else NOTHING)

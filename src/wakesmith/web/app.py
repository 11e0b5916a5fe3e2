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
"""Files with TITLE and `build(runs, chosen)`, in the order of the page."""
LOOK_EVERY_S = 3.0


def build(runs: Path) -> gr.Blocks:
    """The whole page over the run folders right below `runs`."""
    page: gr.Blocks = gr.Blocks(title="Wakesmith", fill_width=False)
    with page:
        with gr.Row(elem_id="top", equal_height=True):
            gr.HTML("<h1>Wakesmith</h1>", elem_id="name", padding=False)
            run = gr.Dropdown(label="Run", choices=[], value=None, interactive=True, elem_id="run", scale=3, info=_runs.NOTHING)
            refresh = gr.Button("Refresh", elem_id="refresh", scale=0, min_width=100)
        chosen = _runs.Chosen(run, gr.State(""), gr.State(""))
        with gr.Tabs(elem_id="tabs"):
            for name in TABS:
                tab = importlib.import_module(f"wakesmith.web.{name}")
                with gr.Tab(tab.TITLE, id=name):
                    tab.build(runs, chosen)
        for event in (page.load, refresh.click):
            event(lambda name: _runs.choices(runs, name), run, run, show_progress="hidden")
        for event in (run.change, refresh.click, gr.Timer(LOOK_EVERY_S).tick):
            event(lambda name: _runs.stand(runs, name), run, [chosen.made, chosen.working], show_progress="hidden")
    return page

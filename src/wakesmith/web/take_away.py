"""Take away: the bundles of a run, to download, and what to do with each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith.errors import WakesmithError
from wakesmith.web import _bundles, _looks, _runs
from wakesmith.web._told import told

TITLE = "Take away"


def build(runs: Path, run: gr.Dropdown) -> None:
    """The tab."""
    state = gr.HTML(_looks.message("Choose a run at the top."), elem_id="take-state")
    with gr.Column(visible=False) as body:
        target = gr.Radio(label="For", choices=[], interactive=True, elem_id="target")
        download = gr.DownloadButton("Download as zip", variant="primary", elem_id="download")
        steps = gr.Markdown(elem_id="next-steps")

    def opened(name: str | None) -> list[Any]:
        try:
            found = list(_bundles.of(_runs.folder(runs, name)))
        except WakesmithError as error:
            return [gr.HTML(_looks.message(str(error)), visible=True), gr.Column(visible=False), gr.skip()]
        return [gr.HTML(visible=False), gr.Column(visible=True), gr.Radio(choices=found, value=found[0])]

    def shown(name: str | None, chosen: str | None) -> list[Any]:
        if not name or not chosen or not _bundles.is_there(folder := _runs.folder(runs, name), chosen):
            return [gr.skip(), gr.skip()]
        return [gr.DownloadButton(value=str(_bundles.zipped(folder, chosen))), _bundles.told(folder, chosen)]

    opening = run.change(opened, run, [state, body, target], show_progress="hidden")
    for event in (opening.success, target.input):
        event(told(shown), [run, target], [download, steps], show_progress="hidden")

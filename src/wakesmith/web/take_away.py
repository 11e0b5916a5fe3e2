"""Take away: the bundles of a run, to download, and what to do with each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith.errors import WakesmithError
from wakesmith.web import _bundles, _looks, _runs
from wakesmith.web._told import told

TITLE = "Take away"
FOR = {
    "onnx": "Home Assistant, browser, Python (onnx)", "onnx_int8": "the same, smaller (onnx_int8)",
    "esphome": "an ESP32-S3 with ESPHome (esphome)", "tflite": "TFLite programs (tflite)",
    "openwakeword": "programs of openWakeWord (openwakeword)",
}  # fmt: skip
"""What an exporter's file is for; one that is not named here is shown by its own name."""


def build(runs: Path, chosen: _runs.Chosen) -> None:
    """The tab."""
    run = chosen.run
    state = gr.HTML(_looks.message(_runs.CHOOSE), elem_id="take-state")
    with gr.Column(visible=False) as body, gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            target = gr.Radio(label="For", choices=[], interactive=True, elem_id="target")
            download = gr.DownloadButton("Download as zip", variant="primary", elem_id="download")
        with gr.Column(scale=2, min_width=320):
            steps = gr.Markdown(elem_id="next-steps")

    def opened(name: str | None) -> list[Any]:
        # A damaged bundle must not leave the one before it under the button.
        nothing = [gr.DownloadButton(value=None), ""]
        try:
            found = list(_bundles.of(_runs.folder(runs, name)))
        except WakesmithError as error:
            return [gr.HTML(_looks.message(str(error)), visible=True), gr.Column(visible=False), gr.skip(), *nothing]
        choices = [(FOR.get(one, one), one) for one in found]
        return [gr.HTML(visible=False), gr.Column(visible=True), gr.Radio(choices=choices, value=found[0]), *nothing]

    def shown(name: str | None, kind: str | None) -> list[Any]:
        if not name or not kind or not _bundles.is_there(folder := _runs.folder(runs, name), kind):
            return [gr.skip(), gr.skip()]
        return [gr.DownloadButton(value=str(_bundles.zipped(folder, kind))), _bundles.told(folder, kind)]

    opening = chosen.made.change(opened, run, [state, body, target, download, steps], show_progress="hidden")
    for event in (opening.success, target.input):
        event(told(shown), [run, target], [download, steps], show_progress="hidden")

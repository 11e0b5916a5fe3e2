"""The tab of that name."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

TITLE = "Watch"


def build(runs: Path, run: gr.Dropdown) -> None:
    gr.Markdown("")

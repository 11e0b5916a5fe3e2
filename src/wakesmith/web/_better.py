"""Make it better: `learn` and `mine` on the chosen run, in a process of their own, as the command line runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith.errors import WakesmithError
from wakesmith.web import _feedback, _runs, _state, _work
from wakesmith.web._told import told

EVERY_S = 2.0
WHAT = (
    "### Make it better\nLearn takes what was sent above. Mine looks for what nearly wakes it in train and dev, and learns that; "
    "test stays unheard. Each makes a new bundle and tells the figures before and after; the bundle before is kept."
)


def build(runs: Path, chosen: _runs.Chosen) -> None:
    gr.Markdown(WHAT)
    trust = gr.Checkbox(label="Learn from what the teacher doubts too", elem_id="trust")
    with gr.Row():
        learn = gr.Button("Learn", variant="primary", elem_id="learn", min_width=100)
        mine = gr.Button("Mine", elem_id="mine", min_width=100)
        stop = gr.Button("Stop", interactive=False, elem_id="stop-better", min_width=100)
    state = gr.HTML(elem_id="better")
    timer = gr.Timer(EVERY_S, active=False)
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    shown = [state, learn, mine, stop, timer]
    learn.click(told(lambda name, doubted: learning(_runs.folder(runs, name), doubted)), [chosen.run, trust], shown, **quiet)
    mine.click(told(lambda name: mining(_runs.folder(runs, name))), chosen.run, shown, **quiet)
    stop.click(told(lambda name: stopped(_runs.folder(runs, name))), chosen.run, shown, **quiet)
    for event in (chosen.working.change, timer.tick):
        event(told(lambda name: _shown(_runs.folder(runs, name)) if name else [gr.skip()] * 5), chosen.run, shown, **quiet)


def learning(folder: Path, trust: bool) -> list[Any]:
    """`wakesmith learn` with what was sent. Raises WakesmithError when nothing was."""
    words = _feedback.words(folder)
    if not words:
        raise WakesmithError("Nothing was sent yet. Record or choose a sound above, and press Send to learn.")
    _work.start(folder, [*words, *(["--trust"] if trust else [])])
    return _shown(folder)


def mining(folder: Path) -> list[Any]:
    """`wakesmith mine`, one round."""
    _work.start(folder, ["mine", str(folder)])
    return _shown(folder)


def stopped(folder: Path) -> list[Any]:
    _work.stop(folder)
    return _shown(folder, "Stopping: it keeps what it has, and the same button goes on.")


def _shown(folder: Path, news: str = "") -> list[Any]:
    """A forge is told in its own tab."""
    html, working = _state.told(folder, news)
    own = _work.asked(_work.lines(folder)) in _work.ANSWERS
    free = gr.Button(interactive=not working)
    return [html if own else "", free, free, gr.Button(interactive=working and own), gr.Timer(active=working)]

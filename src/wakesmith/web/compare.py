"""Compare: runs in a table, and what their configurations have otherwise."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from wakesmith import config
from wakesmith.errors import WakesmithError
from wakesmith.report.page import html_table
from wakesmith.run import CONFIG
from wakesmith.web import _compared, _looks, _runs
from wakesmith.web._told import told

TITLE = "Compare"
READING = "The runs are read."
NO_RUN = "There is no run yet. Forge one in the tab Forge; it appears here when it was evaluated."


def build(runs: Path, chosen: _runs.Chosen) -> None:
    """The tab."""
    compared = gr.Dropdown(label="Runs to compare", multiselect=True, choices=[], value=[], interactive=True, elem_id="compared")
    table = gr.HTML(_looks.message(READING if _runs.names(runs) else NO_RUN), elem_id="compare-table")
    differ = gr.HTML(elem_id="differences")

    def found(before: list[str]) -> gr.Dropdown:
        names = _runs.names(runs)
        kept = [one for one in before or [] if one in names] or names
        return gr.Dropdown(choices=names, value=kept)

    reading = chosen.made.change(found, compared, compared, show_progress="hidden")
    for event in (reading.success, compared.input):
        event(told(lambda names: shown(runs, names)), compared, [table, differ], show_progress="hidden")


def shown(runs: Path, names: list[str]) -> tuple[str, str]:
    """(table, differences); a run that is not whole, or has gone, must not hide the others."""
    if not names:
        return _looks.message(NO_RUN if not _runs.names(runs) else "Choose the runs to compare above."), ""
    rows, folders, waiting = [], [], []
    for name in names:
        try:
            folders.append(folder := _runs.folder(runs, name))
            rows += _compared.rows(folder)
        except WakesmithError as error:
            waiting.append(_looks.message(str(error)))
    return _table(rows, waiting), _differences(folders)


def _table(rows: list[list[str]], waiting: list[str]) -> str:
    note = (
        "<p class=soft>Of test, at the threshold that each run ships. In brackets: 95 % intervals; those of all conditions "
        "count each phrase once a condition. Runs with other test recordings compare no further than their data do.</p>"
    )
    return (
        _looks.framed(f"<div class=dense>{html_table([_compared.HEAD, *rows])}</div>", note, *waiting)
        if rows
        else "".join(waiting)
    )


def _is_readable(folder: Path) -> bool:
    """Whether its configuration is YAML: one damaged run must not hide the others."""
    try:
        config.read_yaml(folder / CONFIG)
    except WakesmithError:
        return False
    return True


def _differences(folders: list[Path]) -> str:
    folders = [one for one in folders if _is_readable(one)]
    if len(folders) < 2:
        return _looks.message("Choose a second run to see what their configurations have otherwise.")
    rows = _compared.differences(folders)
    table = html_table(rows) if len(rows) > 1 else "<p>None: the configurations are the same.</p>"
    return _looks.framed("<h3>Differences of the configurations</h3>", table)

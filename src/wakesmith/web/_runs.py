"""Which runs there are, and where a run of a name lies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import gradio as gr

from wakesmith import bundle
from wakesmith.errors import ConfigError
from wakesmith.run import CONFIG, WHOLE
from wakesmith.web import _judged, _work

NOTHING = "There is no run yet. Forge the first one below."
CHOOSE = "Choose a run at the top, or forge the first one in the tab Forge."


class Chosen(NamedTuple):
    """The run that is chosen at the top, and what tells the tabs to look at it again."""

    run: gr.Dropdown
    made: gr.State
    """Changes with the run, and when its bundle or its figures are new."""
    working: gr.State
    """Changes with the run, and when work on it begins or ends, wherever that was started."""


def stand(runs: Path, name: str | None) -> tuple[str, str]:
    """-> (made, working) of a run; a run that has gone has none."""
    if not name or name not in names(runs):
        return "", ""
    made = (runs / name / "bundle" / bundle.CARD, runs / name / "evaluate" / WHOLE)
    times = [path.stat().st_mtime_ns if path.exists() else 0 for path in made]
    return f"{name} {times}", f"{name} {_work.at_work(runs / name)}"


def names(runs: Path) -> list[str]:
    """Of the run folders that `folder` takes, the one that was planned or forged last first."""
    return [path.name for path in _judged.found(runs) if not _refusal(runs, path.name)]


def choices(runs: Path, chosen: str | None = None) -> gr.Dropdown:
    """The chooser with the runs of now: `chosen` stays if it is among them, else the newest is taken."""
    found = names(runs)
    value = chosen if chosen in found else next(iter(found), None)
    return gr.Dropdown(choices=found, value=value, info=f"In {runs}, the newest first." if found else NOTHING)


def folder(runs: Path, name: str | None) -> Path:
    """The folder of a run. Raises ConfigError when none is chosen, or it is not a run right below `runs`."""
    if not name:
        raise ConfigError("No run is chosen. Choose one at the top, or forge the first one in the tab Forge.")
    place = below(runs, name)
    if not (place / CONFIG).is_file():
        raise ConfigError(f"{place}: no run of wakesmith lies here. Refresh the list of runs, and choose another.")
    return place


def below(runs: Path, name: str) -> Path:
    """A folder right below `runs`, which need not be there. Raises ConfigError for a name that leads elsewhere."""
    if told := _refusal(runs, name):
        raise ConfigError(told)
    return runs / name


def _refusal(runs: Path, name: str) -> str:
    """Why a name is not taken; empty: it is."""
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0") or name.startswith("."):
        return f"{name!r}: not the name of a run. Expected letters, digits, - and _, as in hey_nova."
    if (runs / name).resolve().parent != runs.resolve():
        return f"{name}: leads out of {runs}. Copy the run into that folder, or start: wakesmith ui --runs FOLDER"
    return ""

"""Which runs there are, and where a run of a name lies."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from wakesmith.errors import ConfigError
from wakesmith.run import CONFIG

NOTHING = "There is no run yet. Forge the first one below."
CHOOSE = "Choose a run at the top, or forge the first one in the tab Forge."


def names(runs: Path) -> list[str]:
    """Folders right below `runs` that hold a run, the one that was planned or forged last first."""
    found = [path.parent for path in runs.glob(f"*/{CONFIG}")]
    return [path.name for path in sorted(found, key=lambda path: -(path / CONFIG).stat().st_mtime)]


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
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0") or name.startswith("."):
        raise ConfigError(f"{name!r}: not the name of a run. Expected letters, digits, - and _, as in hey_nova.")
    if (runs / name).resolve().parent != runs.resolve():
        raise ConfigError(f"{name}: leads out of {runs}. Copy the run into that folder, or start: wakesmith ui --runs FOLDER")
    return runs / name

"""How the work on a run stands, as HTML: what is at work, how far it is, how the last one ended."""

from __future__ import annotations

import html
from pathlib import Path

from wakesmith.web import _looks, _work

WORD = {"working": "At work", "done": "Done", "stopped": "Stopped", "failed": "Failed", "none": "Not begun"}


def told(folder: Path, news: str = "") -> tuple[str, bool]:
    """-> (HTML, whether something is at work). news: what the user just asked for."""
    said, working = _work.lines(folder), _work.at_work(folder)
    word, text = ("working", news or _left(said)) if working else _work.ended(folder, said)
    now = _work.progress(said)
    bar = f"<progress max=1 value='{now.share:.3f}' aria-label='Progress'></progress>" if working and now.n_steps else ""
    log = f"<details><summary>What it says</summary><pre>{html.escape(chr(10).join(said[-_work.LAST_LINES :]))}</pre></details>"
    body = f"<p role=status><b>{html.escape(folder.name)}: {WORD[word]}.</b> {_lines(text)}</p>{bar}{log if said else ''}"
    return _looks.framed(f"<div class='work {word}'>{body}</div>"), working


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _left(said: list[str]) -> str:
    now = _work.progress(said)
    if not now.n_steps:
        return said[-1] if len(said) > 1 else "It begins: the first words take a few seconds."
    left = f", {now.left} left of this step" if now.left else ""
    return f"Step {now.number} of {now.n_steps}: {now.step}. {now.what}{left}"

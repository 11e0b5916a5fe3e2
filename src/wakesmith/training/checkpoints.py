"""Which checkpoint a training goes on from, and what of its log still holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from wakesmith.run import write_text

WHOLE = "whole"


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; halves left by an interruption are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None


def cut_metrics(path: Path, step: int) -> None:
    """Drop the lines after a step: what an interrupted run had logged and will log again, the last perhaps in part."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(f"{line}\n")
        except ValueError:
            break
    write_text(path, "".join(kept))

"""Our bundle through our runtime, smoothed as its card says."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from wakesmith import __version__, bundle, runtime
from wakesmith.errors import BundleError
from wakesmith.runtime import Detector


def describe(keyword: str, folder: str | None) -> dict[str, Any] | str:
    if folder is None:
        return "wakesmith needs a bundle. Give one: --bundle FOLDER"
    card = bundle.check(folder)
    if card.operating_point is None:
        raise BundleError(f"{folder}: no operating point yet. Run `wakesmith evaluate`.")
    if card.phrase.lower() != keyword.replace("_", " "):
        return f"the bundle {folder} hears '{card.phrase}', not '{keyword}'"
    return {
        "version": __version__,
        "threshold": card.operating_point.threshold,
        "smoothing_window": card.operating_point.smoothing_window,
        "parameters": card.parameters,
        "student": card.student["name"],
        "runtime": _runtime(),
        "models": [str(Path(folder) / card.model)],
    }


def listen(keyword: str, folder: str | None, as_shipped: bool) -> Any:
    assert folder is not None
    detector = Detector.load(folder)
    assert detector.point is not None
    window = detector.point.smoothing_window
    recent = deque([0.0] * window, maxlen=window)

    def hear(chunk: np.ndarray) -> list[float]:
        means = []
        for score in detector.hear(chunk)[1]:
            recent.append(float(score))
            means.append(sum(recent) / window)
        return means

    return hear


def _runtime() -> str:
    """Scores rest on the runtime's code too: other code, other scores."""
    files = sorted(Path(runtime.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]

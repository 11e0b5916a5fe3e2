"""Porcupine 1.9.5, the last that needs no key. It tells detections at a sensitivity, and no scores.

The same keyword stands in one instance at many sensitivities, the strictest last: of those that fire in a frame it names the
last, so the frame's score is 1 - the lowest sensitivity that fires there. Frames over a threshold, with equal quiet times, are
then the detections of an instance at that sensitivity alone (compared at 11 sensitivities over 400 s of speech: equal).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pvporcupine

SENSITIVITIES = [step / 40 for step in range(40, -1, -1)]
DEFAULT = 0.5
LEAST = 0.001
"""Score of a frame where the highest sensitivity alone fires; nothing at all is 0."""


def describe(keyword: str, bundle: str | None) -> dict[str, Any] | str:
    if _name(keyword) not in pvporcupine.KEYWORDS:
        return f"Porcupine has no model of '{keyword}', but of: {', '.join(sorted(pvporcupine.KEYWORDS))}"
    models = [pvporcupine.KEYWORD_PATHS[_name(keyword)], pvporcupine.MODEL_PATH]
    return {"version": version("pvporcupine"), "threshold": 1 - DEFAULT, "models": models}


def listen(keyword: str, bundle: str | None, as_shipped: bool) -> Any:
    sensitivities = [DEFAULT] if as_shipped else SENSITIVITIES
    engine = pvporcupine.create(keywords=[_name(keyword)] * len(sensitivities), sensitivities=sensitivities)
    waiting = np.zeros(0, np.int16)

    def hear(chunk: np.ndarray) -> list[float]:
        nonlocal waiting
        waiting, scores = np.concatenate([waiting, chunk]), []
        while len(waiting) >= engine.frame_length:
            frame, waiting = waiting[: engine.frame_length], waiting[engine.frame_length :]
            fired = engine.process(frame)
            scores.append(max(1 - sensitivities[fired], LEAST) if fired >= 0 else 0.0)
        return scores

    return hear


def _name(keyword: str) -> str:
    return keyword.replace("_", " ")

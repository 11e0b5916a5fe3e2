"""openWakeWord through pyopen-wakeword: melspectrogram and embedding shared by all its words, and the head of one."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyopen_wakeword

MODELS = Path(pyopen_wakeword.__file__).parent / "models"
SHARED = ("melspectrogram", "embedding_model")
THRESHOLD = 0.5
"""The default of its own command and of Home Assistant's add-on."""


def describe(keyword: str, bundle: str | None) -> dict[str, Any] | str:
    known = sorted({path.stem for path in MODELS.glob("*.tflite")} - set(SHARED))
    if keyword not in known:
        return f"openWakeWord has no model of '{keyword}', but of: {', '.join(known)}"
    return {
        "version": version("pyopen-wakeword"),
        "threshold": math.nextafter(THRESHOLD, 1),  # it fires over the threshold, not at it
        "models": [str(MODELS / f"{name}.tflite") for name in (keyword, *SHARED)],
    }


def listen(keyword: str, bundle: str | None, as_shipped: bool) -> Any:
    model = pyopen_wakeword.OpenWakeWord.from_model(MODELS / f"{keyword}.tflite")
    features = pyopen_wakeword.OpenWakeWordFeatures.from_builtin()

    def hear(chunk: np.ndarray) -> list[float]:
        return [
            score for embedding in features.process_streaming(chunk.tobytes()) for score in model.process_streaming(embedding)
        ]

    hear(np.zeros(1_280, np.int16))  # at its start it hears 8 s of silence at once: not part of the stream
    return hear

"""microWakeWord through pymicro-wakeword, as Home Assistant's satellites run it."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pymicro_wakeword

MODELS = Path(pymicro_wakeword.__file__).parent / "models"


def describe(keyword: str, bundle: str | None) -> dict[str, Any] | str:
    manifest = MODELS / f"{keyword}.json"
    if not manifest.exists():
        return f"microWakeWord has no model of '{keyword}', but of: {', '.join(sorted(p.stem for p in MODELS.glob('*.json')))}"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    return {
        "version": version("pymicro-wakeword"),
        "threshold": math.nextafter(told["micro"]["probability_cutoff"], 1),  # it fires over the cutoff, not at it
        "models": [str(MODELS / told["model"])],
    }


def listen(keyword: str, bundle: str | None, as_shipped: bool) -> Any:
    model = pymicro_wakeword.MicroWakeWord.from_config(MODELS / f"{keyword}.json")
    features, waiting = pymicro_wakeword.MicroWakeWordFeatures(), 0

    def hear(chunk: np.ndarray) -> list[float]:
        # The score is the mean of its sliding window. Between two runs of the model it answers 0, which is no score.
        nonlocal waiting
        scores = []
        for frame in features.process_streaming(chunk.tobytes()):
            mean = model.process_streaming_prob(frame)
            waiting = (waiting + 1) % model.stride
            if waiting == 0:
                scores.append(mean)
        return scores

    return hear

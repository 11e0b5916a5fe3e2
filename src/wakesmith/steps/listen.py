"""`listen`: the microphone through bundles, a line for each detection."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wakesmith.progress import say

if TYPE_CHECKING:
    from wakesmith.runtime.detector import Detection


def run(bundles: Sequence[Path], device: str | None, threshold: float | None, as_json: bool = False) -> None:
    """Until interrupted."""
    from wakesmith.runtime import Detectors, microphone

    detectors = Detectors.load(bundles, threshold)
    heard = microphone.chunks(device)
    say(f"listening for {' and '.join(map(repr, detectors.phrases))} (Ctrl-C ends)")
    for samples in heard:
        for hit in detectors.process(samples):
            print(_line(hit, as_json), flush=True)


def _line(hit: Detection, as_json: bool) -> str:
    if not as_json:
        return f"{time.strftime('%H:%M:%S')}  {hit.phrase}  score {hit.score:.3f}"
    return json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "phrase": hit.phrase, "score": round(hit.score, 4)})

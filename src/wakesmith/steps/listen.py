"""`listen`: the microphone through a bundle, a line for each detection."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wakesmith.progress import say

if TYPE_CHECKING:
    from wakesmith.runtime.detector import Detection


def run(bundle: Path, device: str | None, threshold: float | None, as_json: bool = False) -> None:
    """Until interrupted."""
    from wakesmith.runtime import microphone
    from wakesmith.runtime.detector import Detector

    detector = Detector.load(bundle, threshold)
    say(f"listening for {' and '.join(map(repr, detector.card.texts))} (Ctrl-C ends)")
    for samples in microphone.chunks(device):
        for hit in detector.process(samples):
            print(_line(hit, as_json), flush=True)


def _line(hit: Detection, as_json: bool) -> str:
    if not as_json:
        return f"{time.strftime('%H:%M:%S')}  {hit.phrase}  score {hit.score:.3f}"
    return json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "phrase": hit.phrase, "score": round(hit.score, 4)})

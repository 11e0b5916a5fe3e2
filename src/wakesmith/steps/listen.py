"""`listen`: the microphone through a bundle, a line for each detection."""

from __future__ import annotations

import time
from pathlib import Path

from wakesmith.progress import say


def run(bundle: Path, device: str | None, threshold: float | None) -> None:
    """Until interrupted."""
    from wakesmith.runtime import microphone
    from wakesmith.runtime.detector import Detector

    detector = Detector.load(bundle, threshold)
    say(f"listening for {' and '.join(map(repr, detector.card.texts))} (Ctrl-C ends)")
    for samples in microphone.chunks(device):
        for hit in detector.process(samples):
            print(f"{time.strftime('%H:%M:%S')}  {hit.phrase}  score {hit.score:.3f}", flush=True)

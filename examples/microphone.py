"""Several bundles on one microphone: python microphone.py BUNDLE... (Ctrl-C ends)"""

import sys
from collections.abc import Iterable

import numpy as np

from wakesmith import Detector, load_bundle
from wakesmith.runtime import microphone


def listen(detectors: list[Detector], chunks: Iterable[np.ndarray]) -> None:
    """Each chunk, (any length,) at 16 kHz, goes to every detector."""
    for samples in chunks:
        for detector in detectors:
            for hit in detector.process(samples):
                print(f"{hit.phrase}  at {hit.time_s:.2f} s, score {hit.score:.3f}", flush=True)


if __name__ == "__main__":
    listen([load_bundle(folder) for folder in sys.argv[1:]], microphone.chunks())

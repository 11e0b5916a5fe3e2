"""How well a bundle hears your own recordings: python evaluate.py BUNDLE PHRASES OTHERS

PHRASES holds sound files with the phrase once in each, OTHERS anything without it: hours of talk, television, music.
None of them should have been learned from, nor have chosen the threshold.
"""

import sys
from pathlib import Path

from wakesmith import audio, load_bundle
from wakesmith.importers.wav_folders import ENDINGS
from wakesmith.metrics import poisson, wilson


def detections(detector, path: Path) -> tuple[int, float]:
    """How often the bundle fires in a file, and the hours of it."""
    stream, samples = detector.another(), audio.read(path)
    return len([*stream.process(samples), *stream.finish()]), len(samples) / audio.SAMPLE_RATE_HZ / 3600


def heard(detector, folder: str) -> list[tuple[int, float]]:
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in ENDINGS)
    return [detections(detector, path) for path in files]


def main(bundle: str, phrases: str, others: str) -> None:
    detector = load_bundle(bundle)
    said = [count for count, _ in heard(detector, phrases)]
    missed, (low, high) = said.count(0), wilson(said.count(0), len(said))
    print(f"missed {missed} of {len(said)} phrases: {low:.1%} to {high:.1%} with 95 %")
    quiet = heard(detector, others)
    wakes, hours = sum(count for count, _ in quiet), sum(length for _, length in quiet)
    low, high = poisson(wakes, hours)
    print(f"{wakes} false wakes in {hours:.2f} h: {low:.2f} to {high:.2f} an hour with 95 %")


if __name__ == "__main__":
    main(*sys.argv[1:])

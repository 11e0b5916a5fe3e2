"""Wakesmith forges wake words: a phrase in, a tiny streaming detector and a truthful report out. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wakesmith.runtime.detector import Detector

os.environ.setdefault("GOMP_SPINCOUNT", "2000")
"""OpenMP's threads, torch's, wait for one another by spinning, for milliseconds: where another program has one of the cores, a
training then takes several times as long (benchmarks/busy_machine.py). Read when torch is imported; what is set stays."""

__version__ = "0.1.0"
__all__ = ["Detector", "__version__", "load_bundle"]


def load_bundle(folder: str | Path, threshold: float | Mapping[str, float] | None = None) -> Detector:
    """A bundle folder -> a detector of 16 kHz chunks of any size. `threshold`, or one by phrase, replaces the bundle's."""
    from wakesmith.runtime.detector import Detector

    return Detector.load(folder, threshold)


def __getattr__(name: str) -> Any:
    if name == "Detector":
        from wakesmith.runtime.detector import Detector

        return Detector
    raise AttributeError(f"module 'wakesmith' has no attribute '{name}'")

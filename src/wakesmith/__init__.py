"""Wakesmith forges wake words: a phrase in, a tiny streaming detector and a truthful report out. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wakesmith.runtime.detector import Detector

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

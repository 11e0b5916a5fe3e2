"""Hearing with a bundle: numpy and an inference engine, never torch."""

from wakesmith.runtime.detector import Detection, Detector, events, smooth
from wakesmith.runtime.several import Detectors

__all__ = ["Detection", "Detector", "Detectors", "events", "smooth"]

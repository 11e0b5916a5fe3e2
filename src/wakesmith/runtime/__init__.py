"""Hearing with a bundle: numpy and an inference engine, never torch."""

from wakesmith.runtime.detector import Detection, Detector, events, smooth

__all__ = ["Detection", "Detector", "events", "smooth"]

"""One inference engine each, by the ending of the model file, behind the front-end that the card says lies outside of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wakesmith.errors import BundleError
from wakesmith.promise import Promise
from wakesmith.runtime import front_ends
from wakesmith.runtime.front_ends import FrontEnd

Floats = npt.NDArray[np.float32]
MOST_SILENT_STEPS = 30_000
"""Five minutes in steps of 10 ms."""
State = Any
"""What is remembered of one stream. Only its engine looks inside, and it may change it: a stream has its own."""


class Engine(Protocol):
    """Runs one step of a model."""

    def begin(self) -> State:
        """Of a stream before which there was silence: `card.receptive_samples` of it have been heard."""
        ...

    def step(self, heard: Floats, state: State) -> tuple[Floats, State]:
        """(1, step_samples), or (1, T, F) features -> scores (1, n), or (1, n, K) for K > 1 phrases; what to remember."""
        ...


class Fronted:
    """A model of features behind its front-end: samples (1, step_samples) go in."""

    def __init__(self, model: Engine, begin: Callable[[], FrontEnd]) -> None:
        self.model, self.begin_front_end = model, begin

    def begin(self) -> State:
        remembered = self.model.begin()  # first: a micro front-end that goes while an error passes takes the error with it
        return self.begin_front_end(), remembered

    def step(self, heard: Floats, state: State) -> tuple[Floats, State]:
        front_end, remembered = state
        scores, remembered = self.model.step(front_end.step(heard[0])[None], remembered)
        return scores, (front_end, remembered)


def load(path: Path, card: Promise) -> Engine:
    """The engine that runs a model file. Raises BundleError, and ConfigError for a package that is not installed."""
    silence = np.zeros((1, card.step_samples), np.float32)
    if card.front_end == "inside":
        return _of(path, card, silence)
    begin = front_ends.of(card.features, card.step_samples)
    return Fronted(_of(path, card, begin().step(silence[0])[None]), begin)


def _of(path: Path, card: Promise, silence: Floats) -> Engine:
    """`silence`: a step of it, as the model takes it."""
    if path.suffix == ".onnx":
        from wakesmith.runtime.engines.onnx import OnnxEngine

        return OnnxEngine(path, card, silence)
    if path.suffix == ".tflite":
        from wakesmith.runtime.engines.tflite import TfliteEngine

        return TfliteEngine(path, card, silence)
    raise BundleError(f"{path}: no engine runs '{path.suffix}' files. Known: .onnx, .tflite.")


def silent_steps(card: Promise) -> int:
    # A model that has heard nothing at all is in a state that no stream brings about: let it hear silence first.
    n_steps = -(-card.receptive_samples // card.step_samples)
    if n_steps > MOST_SILENT_STEPS:
        raise BundleError(
            f"card.json: receptive_samples {card.receptive_samples} are {n_steps} steps, expected at most {MOST_SILENT_STEPS}. "
            "Export the bundle again."
        )
    return n_steps

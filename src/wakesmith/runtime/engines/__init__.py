"""One inference engine each, by the ending of the model file: `load(path, card) -> Engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wakesmith.bundle import Card
from wakesmith.errors import BundleError

Floats = npt.NDArray[np.float32]


class Engine(Protocol):
    """Runs one step of a model."""

    def step(self, samples: Floats, state: Floats) -> tuple[Floats, Floats]:
        """(1, step_samples), (1, S) -> scores (1, n), or (1, n, K) for K > 1 phrases; state (1, S)."""
        ...


def load(path: Path, card: Card) -> Engine:
    """The engine that runs a model file."""
    if path.suffix == ".onnx":
        from wakesmith.runtime.engines.onnx import OnnxEngine

        return OnnxEngine(path, card)
    raise BundleError(f"{path}: no engine runs '{path.suffix}' files. Known: .onnx.")

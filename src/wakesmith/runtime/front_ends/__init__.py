"""Front-ends outside of the model, by the name that the card's `features` have; what has no file here lies inside the model.

A file holds `begin(settings) -> FrontEnd`. Nothing here imports torch.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class FrontEnd(Protocol):
    """Hears one stream, and keeps of it what it needs; a fresh one has heard silence."""

    def step(self, samples: Floats) -> Floats:
        """The next samples, (n,) of whole hops -> (T, F), a frame a hop."""
        ...


def of(features: Mapping[str, Any]) -> Callable[[], FrontEnd] | None:
    """What begins a stream of a card's front-end; None: the front-end lies inside the model."""
    name = str(features.get("name"))
    if name not in names():
        return None
    return functools.partial(importlib.import_module(f"{__name__}.{name}").begin, features)


def names() -> list[str]:
    """Those that there are; they are listed, not imported."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

"""Front-ends that lie outside of a bundle's model: a file each, by the name that the card's `features` have.

A file holds HOP_SAMPLES and `begin(settings) -> FrontEnd`. Nothing here imports torch.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wakesmith.errors import BundleError

Floats = npt.NDArray[np.float32]


class FrontEnd(Protocol):
    """Hears one stream, and keeps of it what it needs; a fresh one has heard silence."""

    hop_samples: int

    def step(self, samples: Floats) -> Floats:
        """The next samples, (n,) of whole hops -> (T, F), a frame a hop."""
        ...


def of(features: Mapping[str, Any], step_samples: int) -> Callable[[], FrontEnd]:
    """What begins a stream of a card's front-end. Raises BundleError for an unknown one, or steps that are no whole hops."""
    name = features.get("name")
    if name not in names():
        raise BundleError(f"card.json: no front-end '{name}' is known. There are: {', '.join(names())}. Update wakesmith.")
    module = importlib.import_module(f"{__name__}.{name}")
    if step_samples % module.HOP_SAMPLES:
        raise BundleError(
            f"card.json: step_samples {step_samples} is no multiple of {module.HOP_SAMPLES}. Export the bundle again."
        )
    return functools.partial(module.begin, features)


def names() -> list[str]:
    """Those that there are; they are listed, not imported."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

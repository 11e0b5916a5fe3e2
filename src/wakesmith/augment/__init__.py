"""Augmentation: a view is a pure function of (clip id, view number, effects, seed). (M,) clip -> (24000,) view.

Each effect draws its numbers from a generator named by clip, view and effect: another effect's options change nothing of it.
"""

from __future__ import annotations

from typing import Any

from wakesmith.audio import Samples
from wakesmith.augment._base import Bank, Drawn, Effect
from wakesmith.data.records import Clip
from wakesmith.rng import rng

Named = list[tuple[str, Effect]]


def draw(clip: Clip, view: int, seed: int, effects: Named, bank: Bank) -> dict[str, Drawn]:
    """The numbers of one view, by effect: what a log or a test can print."""
    return {name: effect.draw(rng(seed, clip.id, view, name), clip, bank) for name, effect in effects}


def apply(samples: Samples, drawn: dict[str, Drawn], effects: Named, bank: Bank) -> Samples:
    """The drawn numbers on a clip's samples, in the order of the effects."""
    for name, effect in effects:
        samples = effect.apply(samples, drawn[name], bank)
    return samples


def augment(samples: Samples, clip: Clip, view: int, seed: int, effects: Named, bank: Bank) -> Samples:
    """One view of a clip: (M,) -> (24000,) float32."""
    return apply(samples, draw(clip, view, seed, effects, bank), effects, bank)


def build(configs: list[Any]) -> Named:
    """Settings -> effects with their names."""
    from wakesmith import registry

    return [(config.name, registry.build("augment", config)) for config in configs]

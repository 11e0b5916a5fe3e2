"""The gate: is a teacher worth imitating? It is asked the way `label` asks it, about clips of dev, and the figures decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from wakesmith import metrics
from wakesmith.rng import rng
from wakesmith.teachers._card import Teaches
from wakesmith.teachers._encodings import read_views
from wakesmith.teachers._lesson import Lesson, answers_on_dev

MAX_DIFFERENCE = 0.02
"""Between two answers for one clip, over the larger of 1 and the logit. States are rounded to fp16 before the head, which moves a
logit by less; dropout moves it by more."""
N_HEARD_TWICE = 32


@dataclass(frozen=True)
class Limits:
    """What a teacher must keep to."""

    policy: Literal["error", "warn", "off"]
    min_wake_auc: float
    max_ece: float


def judge(limits: Limits, teacher: Teaches, lesson: Lesson, plain: dict[str, float] | None = None) -> dict[str, Any]:
    """Ask the teacher about dev. -> {"policy", "passed", "reasons", "checks", "dev"}; `plain`: dev of the student without it."""
    if limits.policy == "off":
        return {"policy": "off", "passed": None, "reasons": [], "checks": {}, "dev": dict(teacher.card.dev)}
    logits = answers_on_dev(teacher, lesson)
    dev = lesson.measures(logits)
    checks = {**differences(teacher, lesson, logits), "ece_by_chance": _ece_by_chance(logits)}
    return {**verdict(limits, dev, checks, plain), "dev": dev}


def differences(teacher: Teaches, lesson: Lesson, stored: Tensor) -> dict[str, float]:
    """Largest relative differences of logits on a few clips of dev: heard twice, and live against `stored` (n_dev, C)."""
    rows = np.unique(np.linspace(0, len(stored) - 1, N_HEARD_TWICE).astype(int))
    samples = torch.from_numpy(read_views(lesson.views, lesson.keys[lesson.is_dev][rows]))
    once, twice = (teacher.answer(samples)[0] for _ in range(2))
    return {"heard_twice": _largest(once, twice), "live_against_stored": _largest(once, stored[rows])}


def _ece_by_chance(logits: Tensor) -> float:
    """Calibration error that chance alone may make on so many clips."""
    finite = logits.isfinite().all(dim=1)
    return round(metrics.ece_by_chance(metrics.softmax(logits[finite].numpy()), rng(0, "gate", "ece")), 6)


def _largest(one: Tensor, other: Tensor) -> float:
    """Over rows that are finite on both sides; those that are not are counted by `teach` and `label`."""
    finite = (one.isfinite() & other.isfinite()).all(dim=1)
    apart = (one - other).abs() / one.abs().clamp_min(1.0)
    return round(float(apart[finite].max()), 6) if finite.any() else 0.0


def verdict(
    limits: Limits, dev: dict[str, float], checks: dict[str, float], plain: dict[str, float] | None = None
) -> dict[str, Any]:
    """Figures -> policy, whether the teacher passed, and in words why not."""
    max_ece = max(limits.max_ece, checks["ece_by_chance"])
    reasons = [*_hears_nothing(limits.min_wake_auc, max_ece, dev), *_differs(checks)]
    if plain is not None:
        reasons += _beaten(dev, plain)
        checks = {**checks, "plain_frr": plain["frr"], "plain_nll": plain["nll"]}
    return {"policy": limits.policy, "passed": not reasons, "reasons": reasons, "checks": checks}


def _hears_nothing(min_wake_auc: float, max_ece: float, dev: dict[str, float]) -> list[str]:
    accuracy = max(dev["accuracy"], dev["prior_accuracy"])  # heads learn with all classes alike; the majority knows better
    tests = {
        f"accuracy {accuracy:.3f} does not beat the majority class ({dev['majority_accuracy']:.3f})."
        : accuracy > dev["majority_accuracy"],
        f"balanced accuracy {dev['balanced_accuracy']:.3f} does not beat chance ({dev['chance_accuracy']:.3f})."
        : dev["balanced_accuracy"] > dev["chance_accuracy"],
        f"AUC of the wake phrase {dev['wake_auc']:.3f} is under {min_wake_auc:.3f}."
        : dev["wake_auc"] >= min_wake_auc,
        f"calibration error {dev['ece']:.3f} is over {max_ece:.3f}."
        : dev["ece"] <= max_ece,
    }  # fmt: skip
    return [told for told, kept in tests.items() if not kept]


def _differs(checks: dict[str, float]) -> list[str]:
    told = {
        "heard_twice": "two answers for the same clip differ by {:.3g} (at most {}): dropout or other chance is at work.",
        "live_against_stored": "live answers differ from those through the stored encodings by {:.3g} (at most {}): "
        "the encoder is not the one that was heard, or not frozen.",
    }
    return [text.format(checks[name], MAX_DIFFERENCE) for name, text in told.items() if not checks[name] <= MAX_DIFFERENCE]


def _beaten(dev: dict[str, float], plain: dict[str, float]) -> list[str]:
    """The student without teacher must miss more, or as much and be less sure of the right class."""
    if (dev["frr"], dev["nll"]) < (plain["frr"], plain["nll"]):
        return []
    return [
        f"misses {dev['frr']:.3f} of the phrase at {dev['fa_per_hour']:g} false accepts an hour on dev, the student trained "
        f"without it {plain['frr']:.3f} (loss {dev['nll']:.3f} against {plain['nll']:.3f})."
    ]

"""A number that may change over the steps: `alpha: 0.9`, or `alpha: {start: 0.0, end: 0.9, shape: cosine}`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from wakesmith.config import Settings
from wakesmith.losses._base import Moment


class Schedule(Settings):
    """From `start` at the first step to `end` at the last."""

    start: float
    end: float
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, moment: Moment) -> float:
        share = min(1.0, moment.step / max(1, moment.n_steps - 1))
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.start + (self.end - self.start) * share


def at(value: float | Schedule, moment: Moment) -> float:
    return value.at(moment) if isinstance(value, Schedule) else value


def _checked(fits: Callable[[float], bool], wanted: str) -> Any:
    """Check at both ends, before the union: one plain message instead of one for each of its members."""

    def check(value: Any) -> Any:
        ends = (value.start, value.end) if isinstance(value, Schedule) else (value,)
        if any(isinstance(end, bool) or not isinstance(end, int | float) or not fits(end) for end in ends):
            raise ValueError(f"expected {wanted}, or such a start and end")
        return value

    return BeforeValidator(check)


Alpha = Annotated[float | Schedule, _checked(lambda value: 0 <= value <= 1, "a number from 0 to 1")]
Temperature = Annotated[float | Schedule, _checked(lambda value: 0 < value < math.inf, "a number over 0")]

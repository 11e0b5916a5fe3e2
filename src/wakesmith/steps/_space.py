"""The space of a sweep: a key of the recipe -> the values that trials may give it. Plain values in, checked choices out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from wakesmith import config
from wakesmith.config import assignment, merge
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe

if TYPE_CHECKING:
    from optuna.trial import Trial

SWEPT = ("features", "student", "losses", "train")
"""Sections that a trial may change: what is before them is made once."""


class Choice(config.Settings):
    """The values of one key: some that are named, or all between two ends."""

    values: list[Any] | None = Field(default=None, min_length=1)
    """Any that the key takes, parts with their options too."""
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Draw its logarithm evenly."""
    step: int | float | None = Field(default=None, gt=0)
    """From one value to the next; none: every number, of whole numbers 1."""

    @model_validator(mode="after")
    def _one_way(self) -> Choice:
        if (self.values is None) == (self.low is None or self.high is None):
            raise ValueError("expected values: [...], or low and high")
        if self.low is not None and self.high is not None and (self.low >= self.high or (self.log and self.low <= 0)):
            raise ValueError(f"expected low under high{', over 0 for log' if self.log else ''}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self

    @property
    def tried(self) -> list[Any]:
        """What must be allowed for all between to be."""
        return self.values if self.values is not None else [self.low, self.high]

    def suggested(self, trial: Trial, key: str) -> Any:
        if self.values is not None:  # as text: the storage knows no lists and no parts
            return json.loads(trial.suggest_categorical(key, [json.dumps(one) for one in self.values]))
        assert self.low is not None
        assert self.high is not None
        if isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float):
            return trial.suggest_int(key, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)


Space = dict[str, Choice]


def space_of(values: Mapping[str, Any], given: Mapping[str, Any], source: str) -> Space:
    """A file of `key: {values} or {low, high}` -> the space. Raises ConfigError for a key or a value that no trial could take."""
    if not given:
        raise ConfigError(f"{source}: empty. Write lines such as: student.width: {{values: [16, 32]}}")
    space: Space = {}
    for key, choice in given.items():
        if key.partition(".")[0] not in SWEPT:
            raise ConfigError(
                f"{source}: {key}: a trial changes {', '.join(SWEPT)} alone; the rest is made once for all of them."
            )
        space[key] = config.parse(Choice, choice if isinstance(choice, Mapping) else {"values": choice}, f"{source}: {key}")
        for value in space[key].tried:
            config.parse(_recipe.Recipe, merge(values, over({key: value})), f"{source}: {key}={value}")
    return space


def over(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"student.width": 8} -> {"student": {"width": 8}}; a section comes before its keys."""
    made: dict[str, Any] = {}
    for key in sorted(settings):
        made = merge(made, assignment(f"{key}={json.dumps(settings[key])}"))
    return made

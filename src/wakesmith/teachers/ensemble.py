"""Several teachers that answer together: the weighted mean of their calibrated probabilities.

Each member is taught its own head and calibrated on dev before anything is mixed: logits of different networks have different
scales, probabilities of calibrated ones mean the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from wakesmith import registry
from wakesmith.config import PartSettings, Teacher

if TYPE_CHECKING:
    from wakesmith.teachers._base import Encoder


class Config(PartSettings):
    name: Literal["ensemble"] = "ensemble"
    members: list[Teacher] = Field(min_length=2)
    """Settings of teachers, at least two."""
    weights: Literal["dev_loss", "equal"] = "dev_loss"
    """Share of each member: what gives the mixture the lowest loss on dev, or the same for all."""

    @field_validator("members")
    @classmethod
    def _flat(cls, members: list[PartSettings]) -> list[PartSettings]:
        if any(isinstance(member, Config) for member in members):
            raise ValueError("an ensemble cannot be a member of an ensemble; list its members here")
        return members


def build(config: Config) -> list[Encoder]:
    """The members' encoders."""
    return [registry.build("teachers", member) for member in config.members]

"""The family of losses on embeddings, embedding and relation: a weight that warms up, and a teacher that has an embedding."""

from __future__ import annotations

from pydantic import Field

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError
from wakesmith.losses._base import Loss, Moment, warmed


class EmbeddingSettings(PartSettings):
    weight: float = Field(default=0.5, ge=0.0)
    """Beside the logits' losses: it takes nothing from the hard labels."""
    warm_up_steps: int = Field(default=50, ge=0)
    """Steps over which the weight rises from 0."""


class EmbeddingLoss(Loss):
    needs_teacher = True

    def __init__(self, config: EmbeddingSettings, teacher_size: int) -> None:
        super().__init__()
        if teacher_size < 1:
            raise ConfigError(
                f"losses: '{config.name}' needs a teacher's embedding, and this teacher has none. Leave the loss out, "
                "or take another teacher."
            )
        self.full, self.warm_up_steps = config.weight, config.warm_up_steps

    def weight(self, moment: Moment) -> float:
        return warmed(self.full, moment.step, self.warm_up_steps)

    def told(self, moment: Moment) -> dict[str, float]:
        return {"weight": self.weight(moment)}

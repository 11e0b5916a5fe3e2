"""Settings of stage two of `teach`: the head on the frozen encoder comes first, then the encoder's upper part learns with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wakesmith import config


class Tuning(config.Settings):
    steps: int = Field(default=0, ge=0)
    """Steps of the optimiser; 0: stage two is left out. At least 1,000 are worth the name on a real teacher."""
    batch: int = Field(default=128, ge=1)
    """Clips that one step learns from. Small batches make a pretrained transformer forget."""
    micro_batch: int = Field(default=16, ge=1)
    """Clips in memory at once; gradients add up over `batch`. Halved by itself when memory runs out."""
    n_layers: int = Field(default=0, ge=0)
    """Topmost transformer layers that learn; 0: all. What lies below them (always the convolutions) never changes."""
    lr: float = Field(default=3e-5, gt=0.0)
    """Rate of the topmost layer: small, for it has learned from thousands of hours and hears a few here."""
    layer_decay: float = Field(default=0.9, gt=0.0, le=1.0)
    """Each layer below gets this share of the rate above it: what lies lower is more general."""
    head_lr: float = Field(default=5e-4, gt=0.0)
    """The head is trained already; it only follows the encoder."""
    warm_up_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the steps over which the rates rise; along a cosine they then fall to 0."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Of the encoder and the head."""
    evaluate_every: int = Field(default=100, ge=1)
    """Steps between two looks at dev, each of which leaves a checkpoint."""
    patience: int = Field(default=5, ge=1)
    """Looks at dev without a better operating point (then: balanced loss) after which tuning stops."""
    keep: int = Field(default=3, ge=1)
    """Newest checkpoints that are kept; the best weights are kept beside them."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the encoder while it learns (float32: that of teacher.dtype); the head and the loss are always float32. A step whose
    gradients overflow is done again without the half precision."""
    activation_checkpointing: bool = False
    """Compute activations twice instead of storing them: less memory for about a third more time."""

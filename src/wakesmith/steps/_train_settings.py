"""The settings of `train`, and what of them and the losses cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from wakesmith import config, registry
from wakesmith.data.records import LABELS

NO_LABELS = (
    "losses: a student without a teacher ({}) learns from the labels alone, and none of these losses looks at them. Add one: "
    '--set "losses=[cross_entropy, kd]"'
)


class Settings(config.Settings):
    distil: bool = True
    """False trains on the hard labels alone."""
    targets: Literal["cached", "live"] = "cached"
    """Whether the teacher's answers come from `label`'s store, or from the teacher at every step, which costs far more."""
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Of initial weights and order; none: the run's. Views and answers stay as they are."""
    start: str | None = Field(default=None, min_length=1)
    """RUN/train/model.safetensors of another run, whose student is the first one here: of the same `features` and `student`.
    None of its speakers may judge this run: those of its seed and sources do not, and `data.start` sees to the others. `shipped`:
    the one of these settings that comes with Wakesmith, and by chance where none does. null: weights drawn by chance."""
    start_steps_share: float = Field(default=1.0, gt=0, le=1)
    """Share of `steps`, where the training begins with another run's student or one that ships."""
    start_rate_share: float = Field(default=1.0, gt=0, le=1)
    """Share of `learning_rate` there: a high one unlearns what that student knows."""
    steps: int = Field(default=1500, ge=1)
    """Of the optimiser."""
    batch: int = Field(default=64, ge=2)
    """Rows of one optimiser step, over all processes."""
    micro_batch: int = Field(default=0, ge=0, multiple_of=16)
    """Rows that pass through the student at once; 0: all of them, and fewer when memory runs out. Changes no result."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest, after the warm-up; along a cosine it then falls to 0."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of the student and what the losses learn."""
    warm_up_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the rate rises."""
    class_shares: list[float] = Field(default=[0.35, 0.08, 0.4, 0.17], min_length=len(LABELS), max_length=len(LABELS))
    """Share of each class in a batch: wake (spread evenly over several phrases), near miss, speech, noise."""
    unlabelled_share: float = Field(default=0.3, ge=0, lt=1)
    """Share of the rows that are unlabelled clips, where there are any; plain training has none."""
    own_share: float = Field(default=0.3, ge=0, lt=1)
    """Least share of a phrase's rows that were recorded, where others were spoken by `speak`; 0: what their number gives."""
    spoken_share: float = Field(default=0.5, ge=0, lt=1)
    """Least share of other speech that is spoken; each voice says as much of it as of the phrase. 0: what their numbers give."""
    band_stretch: float = Field(default=0.1, ge=0, le=0.5)
    """Widest stretch of the student's frequency axis: other throats."""
    band_shift: float = Field(default=1.5, ge=0)
    """Widest shift of it, in bands."""
    band_gain: float = Field(default=0.4, ge=0)
    """Widest colouring, in units of the features: other microphones."""
    last_layer_steps: int = Field(default=0, ge=0)
    """Of the last layer by itself, after the training, on embeddings that no longer change; 0: it stays as it was trained."""
    last_layer_dropout: float = Field(default=0.85, ge=0, lt=1)
    """Share of the embedding that is left out each time while it learns by itself."""
    last_layer_nearest: int = Field(default=0, ge=0)
    """Moments of train's other sound from which it then learns too: those that score most like the phrase, heard hop by hop.
    Left out where train holds no recording of other speech."""
    last_layer_said: int = Field(default=0, ge=0)
    """Phrases of train that it then hears in streams too, quiet, in noise and in babble, of which the best moment counts; each
    at most once under each of these."""
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the running mean of the weights, which is what ships; 0: the last weights."""
    evaluations: int = Field(default=5, ge=1)
    """How often the dev set is looked at, and a checkpoint is kept."""
    log_every: int = Field(default=10, ge=1)
    """Steps from one line of metrics.jsonl to the next."""
    workers: int = Field(default=0, ge=0)
    """Processes that read batches; the features lie in a memory map, so none is fastest as a rule."""
    keep_features: bool = False
    """Keep the student's features of all views for another training."""

    @field_validator("class_shares")
    @classmethod
    def _shares(cls, shares: list[float]) -> list[float]:
        if min(shares) < 0 or sum(shares) == 0:
            raise ValueError("expected shares of 0 or more, one of them over 0, as in [0.35, 0.08, 0.4, 0.17]")
        return shares


def learn_labels(losses: Sequence[config.PartSettings]) -> bool:
    """Whether anything is left of the losses where no teacher is asked."""
    return not all(registry.load("losses", loss.name).NEEDS_TEACHER for loss in losses)


def ask_teacher(losses: Sequence[config.PartSettings]) -> bool:
    """Whether anything of the losses listens to the teacher."""
    return any(registry.load("losses", loss.name).NEEDS_TEACHER for loss in losses)

"""What the trainer does between the steps: the order's epoch, the averaged weights, the progress bar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import TrainerCallback

from wakesmith.progress import track

if TYPE_CHECKING:
    from wakesmith.training.trainer import Trainer


class AfterStep(TrainerCallback):
    """Tells the order its epoch, averages the weights and moves the progress bar."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        left = state.max_steps - state.global_step
        self.bar = track(range(left), "train", total=state.max_steps, done=state.global_step)
        next(self.bar, None)
        self.trainer.average.hold()  # wrapping the model for several processes has put other tensors in
        self.trainer.since = time.perf_counter()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Among several processes the loader does not pass the epoch on, and each would be as the first.
        self.trainer.sampler.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.average.step(state.global_step)
        control.should_log = control.should_log or state.global_step % int(args.save_steps) == 0
        next(self.bar, None)

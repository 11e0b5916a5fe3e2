"""The running mean of a student's weights (EMA), which is what is judged and shipped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """`own`: the student's weights and statistics by name, the tensors themselves; `mean`: their running mean."""

    def __init__(self, student: nn.Module, decay: float) -> None:
        self.student, self.decay = student, decay
        self.hold()
        self.mean = {name: value.clone() for name, value in self.own.items()}

    def hold(self) -> None:
        """Find the student's tensors, so that no step walks the modules for them."""
        self.own = {name: value.detach() for name, value in self.student.state_dict(keep_vars=True).items()}

    @torch.no_grad()
    def step(self, n_steps: int) -> None:
        """One more step of the mean after `n_steps` of training; early ones count more, so that the start is soon forgotten."""
        decay = min(self.decay, (1 + n_steps) / (10 + n_steps))
        moving = [name for name, value in self.own.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.mean[name] for name in moving], [self.own[name] for name in moving], 1 - decay)
        for name in self.own.keys() - set(moving):
            self.mean[name].copy_(self.own[name])

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The student has the mean for its weights."""
        kept = {name: value.clone() for name, value in self.own.items()}
        self._put(self.mean)
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, value in self.own.items():
            value.copy_(weights[name])

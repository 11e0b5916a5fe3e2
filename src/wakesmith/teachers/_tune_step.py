"""One step of tuning: gradients of an effective batch, whatever fits into memory at once and in whatever precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from wakesmith import memory
from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.rng import rng
from wakesmith.teachers._base import Tunable
from wakesmith.teachers._head import Head, pool_time
from wakesmith.teachers._tune_settings import Tuning

Result = TypeVar("Result")
MAX_NORM = 1.0
FIRST_SCALE, GROW_AFTER = 2.0**16, 200
"""float16 loses gradients under 6e-8: the loss is scaled up, less after an overflow, more after so many steps without one."""


@dataclass
class MicroBatch:
    """How many clips fit into memory at once; found by trying."""

    size: int

    def fit(self, work: Callable[[int], Result]) -> Result:
        """`work(size)`, again with half the size as long as memory runs out. Raises TeacherError when one clip is too much."""
        while True:
            try:
                return work(self.size)
            except RuntimeError as error:
                if not memory.ran_out(error):
                    raise
            # Outside the handler: the error's traceback held on to the tensors that were too many.
            if self.size == 1:
                raise TeacherError(
                    "teach: one clip is too much for the memory. Set teach.tune.activation_checkpointing: true, "
                    "lower teach.tune.n_layers, or choose a smaller teacher."
                )
            self.size = (self.size + 1) // 2
            say(f"teach: out of memory; {self.size} clips at once from here on, the effective batch stays")
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


@dataclass
class Step:
    """Fills the gradients of everything that asks for them; `micro`, `scale`, `calm` and `n_redone` are its state."""

    encoder: Tunable
    head: Head
    how: Tuning
    class_weights: Tensor
    label_smoothing: float
    seed: int
    scale: float = FIRST_SCALE
    calm: int = 0
    """Steps since the last overflow."""
    n_redone: int = 0
    """Steps done again in float32."""
    micro: MicroBatch = field(init=False)

    def __post_init__(self) -> None:
        self.micro = MicroBatch(min(self.how.micro_batch, self.how.batch))
        self.params = [p for module in (self.encoder.module, self.head) for p in module.parameters() if p.requires_grad]

    def gradients(self, step: int, samples: Tensor, labels: Tensor) -> float:
        """(B, N), (B,) -> the mean loss; the clipped gradients are left in the parameters.

        Raises TeacherError when they are not finite even in float32.
        """
        if self.how.precision != "float32":
            loss, norm = self._accumulated(step, samples, labels, getattr(torch, self.how.precision))
            if self._is_finite(loss, norm):
                return loss
            self.n_redone += 1
        loss, norm = self._accumulated(step, samples, labels, torch.float32)
        if not torch.tensor([loss, norm]).isfinite().all():
            raise TeacherError(
                f"teach: loss {loss:g} and gradient norm {norm:g} in step {step} are not finite. "
                "Lower teach.tune.lr and teach.tune.head_lr, or raise teach.tune.warm_up_share."
            )
        return loss

    def _is_finite(self, loss: float, norm: float) -> bool:
        """Whether a step in half precision may stand. Adapts the scale."""
        finite = bool(torch.tensor([loss, norm]).isfinite().all())
        self.calm = self.calm + 1 if finite else 0
        if not finite:
            self.scale = max(1.0, self.scale / 2)
        elif self.calm % GROW_AFTER == 0:
            self.scale *= 2
        return finite

    def _accumulated(self, step: int, samples: Tensor, labels: Tensor, dtype: torch.dtype) -> tuple[float, float]:
        """-> mean loss, norm of the gradients before they were clipped."""
        scale = self.scale if dtype == torch.float16 else 1.0
        total = self.micro.fit(lambda size: self._sum(step, samples, labels, dtype, scale, size))
        grads = [p.grad for p in self.params if p.grad is not None]
        torch._foreach_div_(grads, scale)
        norm = nn.utils.get_total_norm(grads)
        nn.utils.clip_grads_with_norm_(self.params, MAX_NORM, norm)
        return float(total), float(norm)

    def _sum(self, step: int, samples: Tensor, labels: Tensor, dtype: torch.dtype, scale: float, size: int) -> Tensor:
        """Gradients of the sum over all rows, divided by their number: the same however the rows are cut."""
        for param in self.params:
            param.grad = None
        total = torch.zeros((), device=samples.device)
        with torch.random.fork_rng(devices=[samples.device] if samples.device.type == "cuda" else []):
            for start in range(0, len(labels), size):
                # Dropout depends on the names of the step and the row: a step done again or resumed draws the same.
                torch.manual_seed(int(rng(self.seed, "tune", "dropout", step, start).integers(2**63)))
                part = slice(start, start + size)
                loss = self.loss(samples[part], labels[part], dtype) / len(labels)
                (loss * scale).backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        return total

    def loss(self, samples: Tensor, labels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Class-weighted cross-entropy, summed. (B, N), (B,) -> ()."""
        with torch.autocast(samples.device.type, dtype, enabled=dtype != torch.float32):
            states = self.encoder.hidden(samples)
        logits, _ = self.head(pool_time(states.float()))
        return nn.functional.cross_entropy(
            logits, labels, self.class_weights, reduction="sum", label_smoothing=self.label_smoothing
        )

"""What is optimised: the student and its losses in one module, so that what a loss learns (a projector) is saved and resumed."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from wakesmith.losses._base import Loss
from wakesmith.training.perturb import Perturbation


class Learner(nn.Module):
    """features (B, T, F), chances (B, n) -> {logits (B, C), embedding (B, D)}; perturbed in training only.

    Where a loss asks for it, middle (B, D', T') in training too.
    """

    def __init__(self, student: nn.Module, losses: list[Loss], perturb: Perturbation | None = None) -> None:
        super().__init__()
        self.student, self.losses, self.perturb = student, nn.ModuleList(losses), perturb

    def parts(self) -> list[Loss]:
        return [part for part in self.losses if isinstance(part, Loss)]

    @cached_property
    def learned(self) -> list[nn.Parameter]:
        """What is optimised, found once: walking the modules for it takes as long as clipping its gradient."""
        return list(self.parameters())

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.learned:
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def forward(self, features: Tensor, chances: Tensor | None = None) -> dict[str, Tensor]:
        if self.training and self.perturb is not None and chances is not None:
            features = self.perturb(features, chances)
        if self.training and any(part.needs_middle for part in self.parts()):
            return dict(zip(("logits", "embedding", "middle"), self.student.look(features), strict=True))  # type: ignore[operator]
        logits, embedding = self.student(features)
        return {"logits": logits, "embedding": embedding}

"""Batch norm over groups of 16 rows, so that the micro-batch and the number of processes change nothing of what is learned.

"Ghost batch norm", Hoffer et al. 2017 (arXiv 1705.08741). Where the trainer asks for it (`defer`), the running statistics take
one step an optimiser step (`fold`), over all groups of all micro-batches and processes; elsewhere one step a forward.
What it costs against one group: benchmarks/distillation_cost.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUP_ROWS = 16


def group_sizes(n_rows: int) -> list[int]:
    """Groups of 16; the last one takes what is left over."""
    whole = max(1, n_rows // GROUP_ROWS)
    return [GROUP_ROWS] * (whole - 1) + [n_rows - GROUP_ROWS * (whole - 1)]


class GroupedBatchNorm(nn.BatchNorm2d):
    """(B, D, T, F) -> (B, D, T, F); weights and buffers are named as BatchNorm2d's."""

    def __init__(self, n_channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(n_channels, eps=eps, momentum=momentum)
        self.deferred = False
        self.forget()

    def forget(self) -> None:
        """Drop the statistics that were not folded in."""
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        parts = []
        for group in torch.split(x, group_sizes(len(x))):
            mean, var = statistics = x.new_zeros(2, self.num_features)
            parts.append(
                nn.functional.batch_norm(group, mean, var, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
            )
            self.seen.append(statistics)
        if not self.deferred:
            fold([self])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


@torch.no_grad()
def fold(layers: list[GroupedBatchNorm]) -> None:
    """Move the running statistics by one step towards the mean of what the groups since the last call had, in all processes."""
    layers = [layer for layer in layers if layer.seen]
    if not layers:
        return
    means = [torch.stack(layer.seen).mean(dim=0) for layer in layers]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        flat = torch.cat([mean.flatten() for mean in means])
        torch.distributed.all_reduce(flat)
        pieces = torch.split(flat / torch.distributed.get_world_size(), [mean.numel() for mean in means])
        means = [piece.view_as(mean) for piece, mean in zip(pieces, means, strict=True)]
    running = [buffer for layer in layers for buffer in (layer.running_mean, layer.running_var) if buffer is not None]
    torch._foreach_lerp_(running, [row for mean in means for row in mean], layers[0].momentum or 0.0)
    for layer in layers:
        layer.forget()


def defer(model: nn.Module) -> list[GroupedBatchNorm]:
    """From here on the running statistics of the model wait for `fold`. -> its layers of this kind."""
    layers = [layer for layer in model.modules() if isinstance(layer, GroupedBatchNorm)]
    for layer in layers:
        layer.deferred = True
    return layers

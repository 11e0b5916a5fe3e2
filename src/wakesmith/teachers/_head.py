"""The head on a frozen encoder: pooled hidden states (B, L, T, D) -> logits (B, C) and embedding (B, E)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wakesmith.teachers._card import HeadSettings

MAX_SEGMENTS = 16


def pool_time(states: Tensor, max_segments: int = MAX_SEGMENTS) -> Tensor:
    """Average neighbouring frames so that at most `max_segments` are left. (B, L, T, D) -> (B, L, S, D)."""
    batch, layers, frames, size = states.shape
    if frames <= max_segments:
        return states
    flat = states.reshape(batch * layers, frames, size).transpose(1, 2)
    pooled = nn.functional.adaptive_avg_pool1d(flat, max_segments)
    return pooled.transpose(1, 2).reshape(batch, layers, max_segments, size)


class Head(nn.Module):
    """Learned softmax weights over the layers, projection with GELU, pooling over time, embedding, classifier."""

    def __init__(self, settings: HeadSettings, n_layers: int, n_segments: int, hidden_size: int, n_classes: int) -> None:
        super().__init__()
        self.settings = settings
        size = settings.embedding_size
        self.layer_weights = nn.Parameter(torch.zeros(n_layers))
        self.project = nn.Linear(hidden_size, size)
        self.positions = nn.Parameter(torch.zeros(n_segments, size))  # attention alone would not know what came first
        self.mix = nn.Conv1d(size, size, kernel_size=3, padding=1)
        self.attend = nn.Linear(size, 1) if settings.pooling == "attention" else None
        self.embed = nn.Linear(size, size)
        self.classify = nn.Linear(size, n_classes)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, S, D) as `pool_time` gives it -> logits (B, C), embedding (B, E)."""
        states = nn.functional.layer_norm(states, states.shape[-1:])  # layers differ in scale by orders of magnitude
        mixed = torch.einsum("l,blsd->bsd", self.layer_weights.softmax(dim=0), states)
        hidden = nn.functional.gelu(self.project(self.dropout(mixed)) + self.positions)  # (B, S, E)
        hidden = hidden + nn.functional.gelu(self.mix(hidden.transpose(1, 2))).transpose(1, 2)
        hidden = self.dropout(hidden)
        # (B, S, 1): how much each segment counts; the same for all when the mean is taken
        shares = hidden.new_full((1, hidden.shape[1], 1), 1 / hidden.shape[1])
        if self.attend is not None:
            shares = self.attend(hidden).softmax(dim=1)
        pooled = (shares * hidden).sum(dim=1)  # (B, E)
        embedding = self.embed(pooled)
        return self.classify(self.dropout(nn.functional.gelu(embedding))), embedding

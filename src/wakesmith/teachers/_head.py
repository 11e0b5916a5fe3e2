"""The head on a frozen encoder: pooled hidden states (B, L, T, D) -> logits (B, C) and embedding (B, E)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wakesmith.errors import ConfigError, TeacherError
from wakesmith.teachers._card import HeadSettings

MAX_SEGMENTS = 16
MAX_FITTED = 20_000
"""Segments that the principal components of the content are found from."""


def pool_time(states: Tensor, max_segments: int = MAX_SEGMENTS) -> Tensor:
    """Average neighbouring frames so that at most `max_segments` are left. (B, L, T, D) -> (B, L, S, D)."""
    batch, layers, frames, size = states.shape
    if frames <= max_segments:
        return states
    flat = states.reshape(batch * layers, frames, size).transpose(1, 2)
    pooled = nn.functional.adaptive_avg_pool1d(flat, max_segments)
    return pooled.transpose(1, 2).reshape(batch, layers, max_segments, size)


class Content(nn.Module):
    """What was said, segment by segment: principal components of the encoder's upper layers, the strong ones damped.

    A head's embedding holds what tells the phrase from all else as synthetic voices say it. The segments hold all speech, so a
    student that imitates them learns from real people too, who never say the phrase. Nothing here is trained.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, n_layers: int, n_segments: int, hidden_size: int, size: int) -> None:
        super().__init__()
        if size > hidden_size:
            raise ConfigError(f"teach.head.content: {size} numbers of {hidden_size}; take at most {hidden_size}.")
        self.lowest = n_layers // 2
        self.register_buffer("mean", torch.zeros(n_segments, hidden_size))
        self.register_buffer("basis", torch.zeros(hidden_size, size))

    def upper(self, states: Tensor) -> Tensor:
        """(B, L, S, D) -> (B, S, D): mean of the upper half of the layers, each at unit scale."""
        return nn.functional.layer_norm(states, states.shape[-1:])[:, self.lowest :].mean(dim=1)

    def fit(self, states: Tensor) -> None:
        """From (B, L, S, D). A component is divided by the root of its spread, so that the strongest do not drown the rest.

        Raises TeacherError when there are fewer segments than components.
        """
        upper = self.upper(states)
        self.mean.copy_(upper.mean(dim=0))
        rows = (upper - self.mean).flatten(0, 1)[:MAX_FITTED]
        n = self.basis.shape[1]
        if len(rows) < n:
            raise TeacherError(
                f"teach.head.content: {n} numbers from {len(rows)} segments. Take fewer, or give more train clips."
            )
        _, spread, axes = torch.linalg.svd(rows, full_matrices=False)
        self.basis.copy_((axes[:n] / (spread[:n, None] / len(rows) ** 0.5).clamp_min(1e-6).sqrt()).T)

    def forward(self, states: Tensor) -> Tensor:
        """(B, L, S, D) -> (B, S * size)"""
        return ((self.upper(states) - self.mean) @ self.basis).flatten(1)


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
        self.content = Content(n_layers, n_segments, hidden_size, settings.content) if settings.content else None
        self.answer_size = n_segments * settings.content if settings.content else size
        """Of the vector that the student may imitate."""

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, S, D) as `pool_time` gives it -> logits (B, C), embedding (B, E): the head's own, or the content."""
        content = self.content(states) if self.content is not None else None
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
        return self.classify(self.dropout(nn.functional.gelu(embedding))), embedding if content is None else content

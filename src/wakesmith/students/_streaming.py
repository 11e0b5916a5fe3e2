"""Causal layers whose state is visible: a layer takes frames and the frames before them, and gives back what it must remember.

Layout inside: (B, D, T, F) channels, frames, frequency bins. Nothing is padded in time: a whole clip and a stream run the same
code, the clip with no state (the first `context` frames are used up), the stream with the state in front.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wakesmith.errors import ConfigError
from wakesmith.students._norm import GroupedBatchNorm


class Student(nn.Module):
    """What every student is.

    forward: features (B, T, F) -> logits (B, C), embedding (B, D), both at the last frame.
    step: features (1, t, F) with t a multiple of `hop_frames`, state (1, S) -> logits (1, t / hop_frames, C), state (1, S).
    """

    listens: str
    hop_frames: int
    """Frames from one score to the next."""
    receptive_frames: int
    """Frames that a score depends on; at most those of a view, so that a lone clip scores as it does in a stream."""
    state_size: int
    embedding_size: int
    middle_size = 0
    """Channels of the middle frames that `look` shows; 0: there are none."""

    def initial_state(self) -> Tensor:
        return torch.zeros(1, self.state_size)

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def look(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What forward gives, and frames of a middle layer over the whole of (B, T, F): (B, middle_size, T'), evenly apart."""
        raise NotImplementedError


def check_fit(student: Student, n_frames: int, mean_frames: int, context_frames: int = 2) -> None:
    """Raises ConfigError for a mean over so many hops, with which the student would need longer views than `n_frames`.

    context_frames: so far the front-end's window reaches back beyond its own frame.
    """
    beyond = student.receptive_frames + context_frames - n_frames
    if beyond > 0:
        most = mean_frames - -(-beyond // student.hop_frames)
        way = f"At most {most}." if most >= 1 else f"Take longer views: {beyond + n_frames} frames and more."
        raise ConfigError(f"student.mean_frames: {mean_frames} do not fit into a view of {n_frames} frames. {way}")


def last_frames(features: Tensor, n_frames: int) -> Tensor:
    """The last `n_frames` of (B, T, F); a shorter clip gets zeros, an average sound, in front."""
    missing = n_frames - features.shape[1]
    if missing > 0:
        return nn.functional.pad(features, (0, 0, missing, 0))
    return features[:, -missing:] if missing < 0 else features


class CausalConv(nn.Module):
    """Convolution, batch norm, ReLU where asked. Time: causal, by state; frequency: padded to keep F / stride bins.

    conv: another of that shape, in place of torch's.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel: tuple[int, int], stride: tuple[int, int], *, relu: bool = True,
        conv: nn.Conv2d | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = conv or nn.Conv2d(n_in, n_out, kernel, stride, (0, (kernel[1] - 1) // 2), bias=False)
        self.norm = GroupedBatchNorm(n_out)
        self.context, self.stride_frames, self.relu = kernel[0] - stride[0], stride[0], relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, F) -> (B, D', t / stride, F')"""
        out: Tensor = self.norm(self.conv(x))
        return torch.relu(out) if self.relu else out


class Separable(nn.Module):
    """Depthwise then pointwise convolution, batch norm, ReLU; the input is added where its shape allows."""

    def __init__(self, n_channels: int, kernel: tuple[int, int], *, stride_bins: int = 1) -> None:
        super().__init__()
        pad_bins = (kernel[1] - 1) // 2
        self.depthwise = nn.Conv2d(n_channels, n_channels, kernel, (1, stride_bins), (0, pad_bins), groups=n_channels, bias=False)
        # No norm between the two: it would cost as much time as the convolutions themselves.
        self.pointwise = nn.Conv2d(n_channels, n_channels, 1, bias=False)
        self.norm = GroupedBatchNorm(n_channels)
        self.context = kernel[0] - 1
        self.adds = stride_bins == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, F) -> (B, D, t, F / stride)"""
        out: Tensor = self.norm(self.pointwise(self.depthwise(x)))
        return torch.relu(out + x[:, :, self.context :] if self.adds else out)


class MeanOverTime(nn.Module):
    """Mean over the last `n_frames` frames."""

    def __init__(self, n_frames: int) -> None:
        super().__init__()
        self.n_frames, self.context = n_frames, n_frames - 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, F) -> (B, D, t, F)"""
        if x.shape[2] == self.n_frames:
            return x.mean(dim=2, keepdim=True)
        return nn.functional.avg_pool2d(x, (self.n_frames, 1), stride=1)


class Chain(nn.Module):
    """Layers in a row and their states in one flat tensor.

    Each layer has `context`, the frames it needs before the new ones, and `stride_frames` where that is not 1. A `Nested` layer
    remembers for itself.
    """

    state_size: int

    def __init__(self, layers: list[nn.Module], n_channels: int, n_bins: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.shapes: list[tuple[int, int, int]] = []
        """(D, context, F) of each layer's state; of a nested one (1, S, 1)."""
        self.receptive_frames, self.hop_frames = 1, 1
        x = torch.zeros(1, n_channels, 1, n_bins)
        for layer in layers:
            own = (1, layer.inner.state_size, 1) if isinstance(layer, Nested) else None
            self.shapes.append(own or (x.shape[1], _context(layer), x.shape[3]))
            self.receptive_frames += (_context(layer) + _stride(layer) - 1) * self.hop_frames
            self.hop_frames *= _stride(layer)
            with torch.no_grad():
                x = layer.eval()(x.new_zeros(1, x.shape[1], _context(layer) + _stride(layer), x.shape[3]))
            layer.train()
        self.state_size = sum(d * t * f for d, t, f in self.shapes)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip of `receptive_frames` frames: (B, D, T, F) -> (B, D', 1, F')."""
        for layer in self.layers:
            x = layer(x)
        return x

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(1, D, t, F), (1, S) -> (1, D', t / hop_frames, F'), (1, S)."""
        kept, at = [], 0
        for layer, (d, t, f) in zip(self.layers, self.shapes, strict=True):
            before = state[:, at : at + d * t * f]
            at += d * t * f
            if isinstance(layer, Nested):
                x, after = layer.step(x, before)
                kept.append(after)
                continue
            if t:
                x = torch.cat([before.reshape(1, d, t, f), x], dim=2)
                kept.append(x[:, :, -t:].reshape(1, -1))
            x = layer(x)
        return x, torch.cat(kept, dim=1)


class Nested(nn.Module):
    """A layer around a chain, with a way past it that remembers nothing: only what the chain needs is kept, and computed once."""

    def __init__(self, inner: Chain) -> None:
        super().__init__()
        self.inner = inner
        self.context = inner.receptive_frames - inner.hop_frames
        self.stride_frames = inner.hop_frames

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, T, F) -> what goes through the chain, what goes past it; each frame by itself."""
        raise NotImplementedError

    def join(self, through: Tensor, past: Tensor) -> Tensor:
        """What came through the chain, what came past it -> (B, D', t / stride, F')"""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, context + t, F) -> (B, D', t / stride, F')"""
        through, past = self.split(x)
        return self.join(self.inner(through), past[:, :, self.context :])

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(1, D, t, F), (1, S) -> (1, D', t / stride, F'), (1, S)"""
        through, past = self.split(x)
        through, state = self.inner.step(through, state)
        return self.join(through, past), state


def _context(layer: nn.Module) -> int:
    return int(layer.context)  # type: ignore[arg-type]


def _stride(layer: nn.Module) -> int:
    return int(getattr(layer, "stride_frames", 1))

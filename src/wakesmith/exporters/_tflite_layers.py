"""A student of convolutions over time as plain layers of numpy: norms folded into weights, its softmax as planes.

A microcontroller's logistic gives p = 1 / (1 + e^m), where the softmax over the classes needs m = log(e^d1 + e^d2 + ...) of the
other logits' leads d over the phrase's. No op takes that logarithm, but it is convex: the largest of the planes q.d + H(q), H the
entropy of shares q, lies under it and touches it wherever softmax(d) is one of the q. Two dozen planes come within 0.08 of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.errors import BundleError
from wakesmith.students._streaming import CausalConv, Student
from wakesmith.students.mixednet import MixedNet, MixedSeparable, WeightedSum

Floats = npt.NDArray[np.float64]

PLANE_PARTS = 5
"""Shares of the planes are multiples of one fifth: 21 planes for three other classes, and scores within 0.02 of the softmax."""


@dataclass(frozen=True)
class Layer:
    """A convolution over time, then ReLU where asked. Before its first frame there were zeros."""

    name: str
    weight: Floats
    """(D', k, D); depthwise (D, k)."""
    bias: Floats
    """(D',)"""
    stride: int = 1
    relu: bool = False

    @property
    def is_depthwise(self) -> bool:
        return self.weight.ndim == 2

    @property
    def context(self) -> int:
        """Frames that it remembers."""
        return int(self.weight.shape[1]) - self.stride

    def __call__(self, x: Floats) -> Floats:
        """(T, D) -> (T / stride, D')"""
        padded = np.concatenate([np.zeros((self.context, x.shape[1])), x])
        n_out = len(x) // self.stride
        out = np.zeros((n_out, len(self.weight))) + self.bias
        for k in range(self.weight.shape[1]):
            seen = padded[k : k + n_out * self.stride : self.stride]
            out += seen * self.weight[:, k] if self.is_depthwise else seen @ self.weight[:, k].T
        return np.maximum(out, 0.0) if self.relu else out


def of(student: Student) -> list[Layer]:
    """The layers of a student; the last one gives each other class's lead over the first: d = logit - logit of the phrase.

    Raises BundleError for a student that is made of anything else.
    """
    if not isinstance(student, MixedNet):
        raise BundleError(
            f"student {type(student).__name__}: streaming TFLite is made of convolutions over time alone, and this student "
            "is not. Take the student mixednet, or the exporter onnx."
        )
    layers: list[Layer] = []
    for i, module in enumerate(student.chain.layers):
        layers += _layers(f"layer{i}", module, student.head)
    return layers


def _layers(name: str, module: nn.Module, head: nn.Linear) -> list[Layer]:
    if isinstance(module, CausalConv):
        weight, bias = _folded(module.conv, module.norm)
        return [Layer(name, weight, bias, int(module.conv.stride[0]), relu=True)]
    if isinstance(module, MixedSeparable):
        kernel = _numbers(module.kernel())[:, 0, :, 0]
        weight, bias = _folded(module.pointwise, module.norm)
        return [Layer(f"{name}.depthwise", kernel, np.zeros(len(kernel))), Layer(f"{name}.pointwise", weight, bias, relu=True)]
    assert isinstance(module, WeightedSum), type(module)
    lead = _numbers(head.weight[1:] - head.weight[:1])  # (C - 1, D)
    kernel, offset = _numbers(module.conv.weight)[:, 0, :, 0], _numbers(module.conv.bias)
    bias = lead @ offset + _numbers(head.bias[1:] - head.bias[:1])
    return [Layer("leads", np.einsum("cd,dk->ckd", lead, kernel), bias)]


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Floats, Floats]:
    """Weights (D', k, D) and bias (D',) that do what convolution and norm do."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = _numbers(norm.weight) / np.sqrt(_numbers(norm.running_var) + norm.eps)
    weight = _numbers(conv.weight)[:, :, :, 0].transpose(0, 2, 1)
    return weight * gain[:, None, None], _numbers(norm.bias) - _numbers(norm.running_mean) * gain


def _numbers(tensor: Tensor | None) -> Floats:
    assert tensor is not None
    return tensor.detach().cpu().to(torch.float64).numpy()


def evened(layers: Sequence[Layer], streams: Sequence[Floats]) -> list[Layer]:
    """The same function, with channels that all come to about the same height, so that one scale serves them all.

    ReLU lets a factor pass from one layer to the next (Nagel et al., arXiv:1906.04721). A depthwise layer takes it whole, as each
    of its channels has a scale of its own; a pointwise one takes the root, half of the way.
    """
    made, layers = [], list(layers)
    for i, layer in enumerate(layers):
        streams = [layer(x) for x in streams]
        height = np.max([np.abs(x).max(axis=0) for x in streams], axis=0)
        if i + 1 < len(layers):
            after = layers[i + 1]
            factor = np.where(height > 0, height, 1.0) ** (1.0 if after.is_depthwise else 0.5)
            side = factor[:, None] if after.is_depthwise else factor
            layers[i + 1] = replace(after, weight=after.weight * side)
            layer = replace(layer, weight=(layer.weight.T / factor).T, bias=layer.bias / factor)
            streams = [x / factor for x in streams]
        made.append(layer)
    return made


def planes(n_other: int) -> tuple[Floats, Floats]:
    """Shares q and heights of the planes, (P, n_other) and (P,): the largest of q.d + height is about log(e^d1 + ...).

    Heights are raised by half of the largest gap, so that the planes lie as far over the curve as under it.
    """
    parts = [row for row in itertools.product(range(PLANE_PARTS + 1), repeat=n_other) if sum(row) == PLANE_PARTS]
    shares = np.array(parts) / PLANE_PARTS
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    return shares, entropy + _largest_gap(shares, entropy) / 2


def _largest_gap(shares: Floats, heights: Floats) -> float:
    around = np.linspace(-8.0, 8.0, 81)
    leads = np.stack(np.meshgrid(*[around] * (shares.shape[1] - 1), [0.0], indexing="ij"), axis=-1).reshape(-1, shares.shape[1])
    return float((np.logaddexp.reduce(leads, axis=1) - (leads @ shares.T + heights).max(axis=1)).max())


def scores(layers: Sequence[Layer], features: Floats) -> Floats:
    """(T, F) -> (T / stride,): the softmax score of the first class, by these layers and from no state."""
    x: Any = features
    for layer in layers:
        x = layer(x)
    return np.asarray(1.0 / (1.0 + np.exp(np.logaddexp.reduce(x, axis=1))))

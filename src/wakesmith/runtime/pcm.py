"""PCM of any usual format -> mono float32 at 16 kHz, chunk by chunk: where it is cut changes nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ, to_float
from wakesmith.errors import AudioError

Floats = npt.NDArray[np.float32]
RATES_HZ = (8_000, 192_000)
MOST_CHANNELS = 32


class Converter:
    """Whole samples of little-endian PCM: 1 byte unsigned, or 2 to 4 bytes signed. Channels are averaged. Raises AudioError."""

    def __init__(self, rate_hz: int, width: int, channels: int) -> None:
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            raise AudioError(f"a rate of {rate_hz} Hz cannot be used: expected {RATES_HZ[0]} to {RATES_HZ[1]}, best 16000.")
        if width not in (1, 2, 3, 4):
            raise AudioError(f"samples of {width} bytes cannot be used: expected 1 to 4, best 2.")
        if not 1 <= channels <= MOST_CHANNELS:
            raise AudioError(f"{channels} channels cannot be used: expected 1 to {MOST_CHANNELS}, best 1.")
        self._width, self._channels = width, channels
        self.second_bytes = rate_hz * width * channels
        self._resampler = None
        if rate_hz != SAMPLE_RATE_HZ:
            import soxr

            self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def check(self, data: bytes) -> None:
        """Raises AudioError for bytes that end inside a sample."""
        if len(data) % (self._width * self._channels):
            raise AudioError(
                f"{len(data)} bytes are no whole number of samples of {self._width} bytes in {self._channels} channels."
            )

    def convert(self, data: bytes) -> Floats:
        """The next bytes -> (N,) in -1..1; a resampler is some milliseconds late, `rest` has those."""
        self.check(data)
        mono = _floats(data, self._width)
        if self._channels > 1:
            mono = mono.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        return mono if self._resampler is None else np.asarray(self._resampler.resample_chunk(mono), np.float32)

    def rest(self) -> Floats:
        """What the resampler still holds at the end of the stream."""
        nothing = np.zeros(0, np.float32)
        return nothing if self._resampler is None else np.asarray(self._resampler.resample_chunk(nothing, last=True), np.float32)


def _floats(data: bytes, width: int) -> Floats:
    """Bytes -> (N,) in -1..1."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if width == 2:
        return to_float(np.frombuffer(data, "<i2"))
    if width == 3:  # as the upper bytes of four
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data = padded.tobytes()
    return np.asarray(np.frombuffer(data, "<i4") / 2.0**31, np.float32)

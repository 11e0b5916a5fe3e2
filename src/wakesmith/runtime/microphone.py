"""The microphone as a stream of 16 kHz chunks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import AudioError

CHUNK_SAMPLES = SAMPLE_RATE_HZ * 80 // 1000
LONGEST_LAG = 250
"""Chunks that may wait, 20 s: who hears slower than that will never catch up."""


def chunks(device: int | str | None = None, chunk_samples: int = CHUNK_SAMPLES) -> Iterator[npt.NDArray[np.int16]]:
    """(chunk_samples,) int16 for ever. It is opened at once: raises AudioError here when there is no PortAudio or no such device,
    so that nobody is asked to speak before; and where chunks are taken, at too long a lag."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise AudioError("the microphone needs the package sounddevice. Install it: pip install 'wakesmith[live]'") from error
    except OSError as error:
        raise AudioError(
            "the microphone needs PortAudio. Install it: apt install libportaudio2, or brew install portaudio"
        ) from error

    heard: queue.Queue[bytes] = queue.Queue(maxsize=LONGEST_LAG)
    lagging = threading.Event()

    def take(data: object, n_samples: int, time: object, status: object) -> None:
        try:
            heard.put_nowait(bytes(data))  # type: ignore[call-overload]
        except queue.Full:
            lagging.set()

    try:
        stream = sounddevice.RawInputStream(
            SAMPLE_RATE_HZ, chunk_samples, numbered(device), channels=1, dtype="int16", callback=take
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(
            f"microphone {'default' if device is None else device}: cannot be opened ({error}). List them: python -m sounddevice"
        ) from error
    return _taken(stream, heard, lagging)


def _taken(stream: Any, heard: queue.Queue[bytes], lagging: threading.Event) -> Iterator[npt.NDArray[np.int16]]:
    with stream:
        while not lagging.is_set():
            yield np.frombuffer(heard.get(), dtype=np.int16)
    raise AudioError("the microphone's sound piles up faster than it is heard. Use a faster machine or a smaller student.")


def numbered(device: int | str | None) -> int | str | None:
    """A number as a number: PortAudio would look for the text in the names."""
    return int(device) if isinstance(device, str) and device.isdecimal() else device

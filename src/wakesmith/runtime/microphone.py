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
from wakesmith.progress import say

CHUNK_SAMPLES = SAMPLE_RATE_HZ * 80 // 1000
LONGEST_LAG = 250
"""Chunks that may wait, 20 s: who hears slower than that will never catch up."""
SILENT_S = 5.0
"""No chunk for so long: a microphone that was pulled out says nothing more, not even that."""


class Silent(AudioError):
    """The microphone gives no sound any more."""


def chunks(device: int | str | None = None, chunk_samples: int = CHUNK_SAMPLES) -> Iterator[npt.NDArray[np.int16]]:
    """(chunk_samples,) int16 for ever. It is opened at once: raises AudioError here when there is no PortAudio or no such device,
    so that nobody is asked to speak before; and where chunks are taken, at too long a lag, and Silent when none comes."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise AudioError("the microphone needs the package sounddevice. Install it: pip install 'wakesmith[live]'") from error
    except OSError as error:
        raise AudioError(
            "the microphone needs PortAudio. Install it: apt install libportaudio2, or brew install portaudio"
        ) from error

    heard: queue.Queue[bytes] = queue.Queue(maxsize=LONGEST_LAG)
    lagging, lost = threading.Event(), threading.Event()

    def take(data: object, n_samples: int, time: object, status: Any) -> None:
        if status.input_overflow:
            lost.set()
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
    return _taken(stream, heard, lagging, lost)


def _taken(
    stream: Any, heard: queue.Queue[bytes], lagging: threading.Event, lost: threading.Event
) -> Iterator[npt.NDArray[np.int16]]:
    is_told = False
    with stream:
        while not lagging.is_set():
            try:
                chunk = heard.get(timeout=SILENT_S)
            except queue.Empty:
                raise Silent(
                    f"the microphone went silent: nothing came for {SILENT_S:g} s. Plug it in and start again."
                ) from None
            if lost.is_set() and not is_told:
                is_told = True
                say("some of the microphone's sound was lost, as the machine is busy: a phrase may be missed. This is told once.")
            yield np.frombuffer(chunk, dtype=np.int16)
    raise AudioError("the microphone's sound piles up faster than it is heard. Use a faster machine or a smaller student.")


def numbered(device: int | str | None) -> int | str | None:
    """A number as a number: PortAudio would look for the text in the names."""
    return int(device) if isinstance(device, str) and device.isdecimal() else device

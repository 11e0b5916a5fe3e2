"""Simulated rooms (pyroomacoustics, image sources): shoebox rooms of living size, talkers near and far. Made once a run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wakesmith import pool
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.rng import rng

ROOM_SAMPLES = SAMPLE_RATE_HZ // 2
BEFORE_PEAK = 16  # 1 ms: the rise of the direct sound
DIRECT = BEFORE_PEAK + 40  # and 2.5 ms after its peak
MOST_REFLECTIONS = 30
"""Of one path; 12 left rooms 38 % short of the reverberation that was drawn for them, 30 leave 13 % and cost 15 ms a place."""


def aligned(response: Samples) -> Samples:
    """(n,) -> (ROOM_SAMPLES,): direct sound first, faded out at the end, unit energy."""
    response = np.asarray(response, np.float32)
    start = max(0, int(np.abs(response).argmax()) - BEFORE_PEAK)
    kept = response[start : start + ROOM_SAMPLES]
    kept = kept * np.linspace(1, 0, len(kept), dtype=np.float32) ** 0.3
    kept = np.pad(kept, (0, ROOM_SAMPLES - len(kept)))
    return np.asarray(kept / np.sqrt(np.square(kept).sum() + 1e-12), np.float32)


def through(samples: Samples, response: Samples) -> Samples:
    """(N,) as heard in a room. -> (N,)"""
    from scipy import fft

    n = fft.next_fast_len(len(samples) + len(response), real=True)
    return np.asarray(fft.irfft(fft.rfft(samples, n) * fft.rfft(response, n), n)[: len(samples)], np.float32)


def farther(response: Samples, by_db: float) -> Samples:
    """The same room with its direct sound so much weaker, of unit energy: what is heard from farther off."""
    moved = response.copy()
    moved[:DIRECT] *= np.float32(10 ** (-by_db / 20))
    return np.asarray(moved / np.sqrt(np.square(moved).sum() + 1e-12), np.float32)


def simulated(seed: int, number: int) -> npt.NDArray[np.float32]:
    """(2, ROOM_SAMPLES) of one drawn room, 2..8 m long, reverberation 0.1..0.7 s: a talker 0.3..4 m away, someone elsewhere."""
    import pyroomacoustics

    pyroomacoustics.constants.set("num_threads", 1)  # it sums by thread: else the bytes depend on the number of cores
    chance = rng(seed, "room", number)
    size = chance.uniform([2.0, 2.0, 2.2], [8.0, 6.0, 3.5])
    rt60_s = chance.uniform(0.1, 0.7)
    microphone = chance.uniform(0.3, size - 0.3)
    talker = chance.uniform(0.3, size - 0.3)
    toward = (talker - microphone) / np.linalg.norm(talker - microphone)
    talker = np.clip(microphone + toward * chance.uniform(0.3, 4.0), 0.2, size - 0.2)
    try:
        absorption, order = pyroomacoustics.inverse_sabine(rt60_s, size)
    except ValueError:  # too short a tail for so large a room: walls that swallow nearly all
        absorption, order = 0.95, 3
    room = pyroomacoustics.ShoeBox(
        size, fs=SAMPLE_RATE_HZ, materials=pyroomacoustics.Material(absorption), max_order=min(order, MOST_REFLECTIONS)
    )
    room.add_source(talker)
    room.add_source(chance.uniform(0.2, size - 0.2))
    room.add_microphone(microphone)
    room.compute_rir()
    return np.stack([aligned(response) for response in room.rir[0]])


def _one(arguments: tuple[int, int]) -> npt.NDArray[np.float32]:
    return simulated(*arguments)


def bank(seed: int, n_rooms: int, jobs: int) -> np.ndarray:
    """(n, 2, ROOM_SAMPLES) float32."""
    with pool.workers(jobs) as processes:
        return np.stack(list(processes.map(_one, [(seed, number) for number in range(n_rooms)], chunksize=8)))

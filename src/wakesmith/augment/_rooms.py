"""Simulated rooms (pyroomacoustics, image sources): shoebox rooms of living size, talkers near and far. Made once a run."""

from __future__ import annotations

import numpy as np

from wakesmith import pool
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.rng import rng

ROOM_SAMPLES = SAMPLE_RATE_HZ // 2
BEFORE_PEAK = 16  # 1 ms: the rise of the direct sound
MOST_REFLECTIONS = 30
"""Of one path; 12 left rooms 38 % short of the reverberation that was drawn for them, 30 leave 13 % and cost 15 ms a room."""


def aligned(response: Samples) -> Samples:
    """(n,) -> (ROOM_SAMPLES,): direct sound first, faded out at the end, unit energy."""
    response = np.asarray(response, np.float32)
    start = max(0, int(np.abs(response).argmax()) - BEFORE_PEAK)
    kept = response[start : start + ROOM_SAMPLES]
    kept = kept * np.linspace(1, 0, len(kept), dtype=np.float32) ** 0.3
    kept = np.pad(kept, (0, ROOM_SAMPLES - len(kept)))
    return np.asarray(kept / np.sqrt(np.square(kept).sum() + 1e-12), np.float32)


def simulated(seed: int, number: int) -> Samples:
    """One drawn room: 2..8 m long, reverberation 0.1..0.7 s, talker 0.3..4 m away."""
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
    room.add_microphone(microphone)
    room.compute_rir()
    return aligned(room.rir[0][0])


def _one(arguments: tuple[int, int]) -> Samples:
    return simulated(*arguments)


def bank(seed: int, n_rooms: int, jobs: int) -> np.ndarray:
    """(n, ROOM_SAMPLES) float32."""
    with pool.workers(jobs) as processes:
        return np.stack(list(processes.map(_one, [(seed, number) for number in range(n_rooms)], chunksize=8)))

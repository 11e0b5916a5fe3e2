"""Finds the same sound twice: (N,) samples -> prints (hash, frame); prints of many recordings -> pairs that are near duplicates.

Prints are 32 signs of how band energies change over time and frequency (after Haitsma and Kalker, "A highly robust audio
fingerprinting system", ISMIR 2002): gain does not touch them, and a copy that was cut, resampled or coded keeps many. Recordings
with prints in common fall into one hash bucket; what comes together there is judged on all its prints, then on its waveform.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ, Samples, to_float
from wakesmith.data.spool import Parts

HOP = 256
WINDOW = 512
BAND_HZ = (300.0, 3400.0)  # what telephone and 8 kHz copies still hold
N_BANDS = 17
SMOOTH_FRAMES = 12
LAG_FRAMES = 4
APART_FRAMES = 6
QUIET_DB = 40.0
UNCERTAIN_BITS = 4
PRINT = np.dtype([("hash", "<u4"), ("frame", "<u4")])
Prints = npt.NDArray[np.void]
NONE: Prints = np.empty(0, dtype=PRINT)
OWNED = np.dtype([*PRINT.descr, ("owner", "<u4")])
"""A print and the number of its recording."""
VOTE = np.dtype([("first", "<u4"), ("second", "<u4"), ("shift", "<i4")])
"""Two recordings with a print in common, and how many frames later the second has it."""

LONG_SAMPLES = 15 * SAMPLE_RATE_HZ
NEIGHBOURS = 16
"""Entries of a bucket that each entry is paired with: bounds the work when a bucket is crowded."""
VOTES = 2
"""Prints at the same shift that make a pair worth judging."""
MOST_UNLIKE = 0.4
"""Share of the bits of its prints in which a pair worth hearing may differ: 0.383 at most in 3,184 changed copies of real
recordings (Opus down to 6 kbit/s, cut, 10 dB of noise), more in two of three pairs that share two prints by chance. Those grow
with the square of the recordings, and a waveform costs 20 times what prints do."""
JUDGED_SAMPLES = 2 * SAMPLE_RATE_HZ
SHIFT_SAMPLES = 2 * HOP
MOST_AT_ONCE = 2_000_000
"""Prints that are sorted together: some 100 MB. More are taken in parts, each of which has all prints of its hashes."""
BLOCK = 1024
"""Recordings whose prints are read together."""
SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 4


def prints(samples: npt.NDArray[np.int16]) -> Prints:
    """(N,) int16 -> (M,) of PRINT, none for what is quiet. Of long recordings a quarter, chosen by content."""
    energy = _band_energy(to_float(samples))  # (T, N_BANDS)
    need = LAG_FRAMES + APART_FRAMES
    if len(energy) <= need:
        return NONE
    loud = energy.sum(axis=1)
    level = np.log(energy + loud.max() * 1e-6 + 1e-12)
    slope = np.diff(level, axis=1)  # (T, 16) along frequency
    change = slope[LAG_FRAMES:] - slope[:-LAG_FRAMES]  # (T - LAG, 16) and along time
    change = np.concatenate([change[:-APART_FRAMES], change[APART_FRAMES:]], axis=1)  # (M, 32)
    bits = (1 << np.arange(32, dtype=np.uint64)).astype(np.uint32)
    hashes = (change > 0) @ bits
    heard = loud[need // 2 : need // 2 + len(hashes)] > loud.max() * 10 ** (-QUIET_DB / 10)
    long = len(samples) > LONG_SAMPLES
    frames = np.flatnonzero(heard & (hashes % 4 == 0) if long else heard)
    found = _prints(hashes[frames], frames)
    if not long:  # few prints: those with one of the least certain bits turned as well
        weakest = np.argpartition(np.abs(change[frames]), UNCERTAIN_BITS, axis=1)[:, :UNCERTAIN_BITS]
        found = np.concatenate([found, *(_prints(hashes[frames] ^ bits[weakest[:, i]], frames) for i in range(UNCERTAIN_BITS))])
    _, first = np.unique(found["hash"], return_index=True)  # a steady tone says its hash once
    return found[np.sort(first)]


def _prints(hashes: npt.NDArray[np.uint32], frames: npt.NDArray[np.int64]) -> Prints:
    found = np.empty(len(frames), dtype=PRINT)
    found["hash"], found["frame"] = hashes, frames
    return found


def _band_energy(samples: Samples) -> npt.NDArray[np.float64]:
    """(N,) -> (T, N_BANDS) energy in bands of equal ratio, smoothed over some 190 ms so that the frame grid does not matter."""
    n_frames = 1 + (len(samples) - WINDOW) // HOP
    if n_frames < SMOOTH_FRAMES:
        return np.empty((0, N_BANDS))
    bands, window = _bands(), np.hanning(WINDOW).astype(np.float32)
    energy = np.empty((n_frames, N_BANDS))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    for start in range(0, n_frames, 2048):
        spectrum = np.fft.rfft(frames[start : start + 2048] * window, axis=1)
        energy[start : start + 2048] = (spectrum.real**2 + spectrum.imag**2) @ bands
    weights = np.hanning(SMOOTH_FRAMES + 2)[1:-1]
    n_smooth = n_frames - SMOOTH_FRAMES + 1
    smooth: npt.NDArray[np.float64] = sum((w * energy[i : i + n_smooth] for i, w in enumerate(weights)), np.zeros(()))
    return smooth


def _bands() -> npt.NDArray[np.float32]:
    """(WINDOW // 2 + 1, N_BANDS): triangles, equally spaced on the mel scale over BAND_HZ."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in BAND_HZ)
    edges_hz = 700 * (10 ** (np.linspace(low, high, N_BANDS + 2) / 2595) - 1)
    hz = np.arange(WINDOW // 2 + 1)[:, None] * SAMPLE_RATE_HZ / WINDOW
    rising = (hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - hz) / np.diff(edges_hz)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def candidates(all_prints: Sequence[Prints], groups: npt.NDArray[np.integer], folder: Path) -> list[tuple[int, int, int]]:
    """Pairs of recordings of different groups that share prints at one shift. -> (first, second, shift in frames), sorted.

    Sorts prints of the same hashes and compares neighbours, then votes of the same pairs; both lie in `folder`, part by part: the
    work grows as n log n with the length of the audio, and the memory beyond a part with what was found.
    """
    n_parts = -(-sum(map(len, all_prints)) // MOST_AT_ONCE) or 1
    prints, votes = Parts(folder, OWNED, n_parts), Parts(folder, VOTE, n_parts)
    for start in range(0, len(all_prints), BLOCK):
        rows = _owned(all_prints[start : start + BLOCK], start)
        prints.add(rows["hash"], rows)
    for rows in prints.joined():
        hashes, frames, owners = _by_hash(rows)
        of = groups[owners]
        for step in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero((hashes[step:] == hashes[:-step]) & (of[step:] != of[:-step]))
            found = np.empty(len(same), VOTE)  # owners rise within a bucket, the sort being stable
            found["first"], found["second"] = owners[same], owners[same + step]
            found["shift"] = frames[same + step] - frames[same]
            votes.add(found["first"] * np.uint32(65_599) + found["second"], found)
    return sorted(pair for found in votes.joined() for pair in _most_voted(_columns(found)))


def copies(own: Sequence[Prints], known: Sequence[Prints]) -> list[tuple[int, int, int]]:
    """Pairs of some recordings and known ones that share prints at one shift. -> (own, known, shift in frames), sorted.

    Every print is compared with every known one of its hash, however many there are: for a few recordings among many.
    """
    if not own or not known:
        return []
    hashes, frames, owners = _by_hash(_owned(known))
    found = [np.zeros((0, 3), np.int64)]
    for number, one in enumerate(own):
        first, last = (np.searchsorted(hashes, one["hash"], side) for side in ("left", "right"))
        n_each = last - first
        at = np.repeat(first, n_each) + np.arange(n_each.sum()) - np.repeat(np.cumsum(n_each) - n_each, n_each)
        shifts = frames[at] - np.repeat(one["frame"].astype(np.int64), n_each)
        found.append(np.stack([np.full(len(at), number), owners[at], shifts], axis=1))
    return _most_voted(np.concatenate(found).astype(np.int64))


def _owned(every: Sequence[Prints], first: int = 0) -> npt.NDArray[np.void]:
    """Prints of recordings, whose numbers begin with `first`, end to end: (P,) of OWNED."""
    lengths = [len(one) for one in every]
    rows, prints = np.empty(sum(lengths), OWNED), np.concatenate([NONE, *every])
    rows["hash"], rows["frame"] = prints["hash"], prints["frame"]
    rows["owner"] = np.repeat(np.arange(first, first + len(lengths)), lengths)
    return rows


def _by_hash(rows: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(P,) of OWNED in the order of their hashes: (P,) hashes, frames, owners."""
    order = np.argsort(rows["hash"], kind="stable")
    return rows["hash"][order], rows["frame"][order].astype(np.int32), rows["owner"][order].astype(np.int32)


def _columns(votes: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    return np.stack([votes[name].astype(np.int64) for name in ("first", "second", "shift")], axis=1)


def _most_voted(votes: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(V, 3) of (first, second, shift in frames) -> pairs with enough votes, each at the shift that has most."""
    if not len(votes):
        return []
    _, pair_of, n_votes = np.unique(votes[:, 0] * 2**32 + votes[:, 1], return_inverse=True, return_counts=True)
    votes = votes[n_votes[pair_of] >= VOTES]  # most pairs met once, by chance
    pairs, counts = np.unique(votes, axis=0, return_counts=True)
    best: dict[tuple[int, int], tuple[int, int]] = {}
    shifts = collections.defaultdict(dict)  # type: ignore[var-annotated]
    for (first, second, shift), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        shifts[first, second][shift] = count
    for pair, counted in shifts.items():
        best[pair] = max((counted.get(s - 1, 0) + n + counted.get(s + 1, 0), -abs(s), s)[::2] for s, n in counted.items())
    return sorted((*pair, shift) for pair, (count, shift) in best.items() if count >= VOTES)


def unlikeness(first: Prints, second: Prints, shift_frames: int) -> float:
    """Share of the bits in which prints of the same frames differ, where `second` runs `shift_frames` behind `first`."""
    one, two = _by_frame(first)[max(0, -shift_frames) :], _by_frame(second)[max(0, shift_frames) :]
    n_frames = min(len(one), len(two))
    one, two = one[:n_frames], two[:n_frames]
    differ = (one ^ two)[(one >= 0) & (two >= 0)]
    return float(np.bitwise_count(differ).mean() / 32)


def _by_frame(prints: Prints) -> npt.NDArray[np.int64]:
    """(M,) of PRINT -> (T,) hash of each frame, -1 for none; of hashes of one frame the first, which has no bit turned."""
    hashes = np.full(int(prints["frame"].max()) + 1, -1)
    hashes[prints["frame"][::-1]] = prints["hash"][::-1]
    return hashes


def likeness(first: npt.NDArray[np.int16], second: npt.NDArray[np.int16], shift_frames: int) -> float:
    """Correlation of two waveforms in the speech band, 0..1, where `second` runs `shift_frames` behind `first`.

    (N,) int16, (M,) int16. The best lag within 32 ms of the shift counts, over the loudest 2 s of what overlaps.
    """
    shift = shift_frames * HOP
    start, end = max(0, -shift), min(len(first), len(second) - shift)
    if end - start < SHORTEST_SAMPLES:
        return 0.0
    start, end = _loudest(first, start, end)
    n = 1 << (end - start + 2 * SHIFT_SAMPLES - 1).bit_length()
    one = _in_band(_cut(first, start, end), n)
    two = _in_band(_cut(second, start + shift - SHIFT_SAMPLES, end + shift + SHIFT_SAMPLES), n)
    length = end - start
    product = np.fft.irfft(np.conj(one) * two)[: 2 * SHIFT_SAMPLES + 1]
    running = np.concatenate([[0.0], np.cumsum(np.fft.irfft(two) ** 2)])
    power = running[length : length + 2 * SHIFT_SAMPLES + 1] - running[: 2 * SHIFT_SAMPLES + 1]
    scale = np.sqrt(np.maximum(power, 1e-9 * running[-1] + 1e-12) * np.square(np.fft.irfft(one)[:length]).sum())
    return float(min(1.0, np.abs(product / np.maximum(scale, 1e-12)).max()))


def _loudest(samples: npt.NDArray[np.int16], start: int, end: int) -> tuple[int, int]:
    """The 2 s with the most energy between start and end, on a grid of 0.5 s."""
    if end - start <= JUDGED_SAMPLES:
        return start, end
    grid = np.arange(start, end - JUDGED_SAMPLES + 1, JUDGED_SAMPLES // 4)
    running = np.concatenate([[0.0], np.cumsum(np.square(samples[start:end].astype(np.float64)))])
    at = int(grid[np.argmax(running[grid - start + JUDGED_SAMPLES] - running[grid - start])])
    return at, at + JUDGED_SAMPLES


def _cut(samples: npt.NDArray[np.int16], start: int, end: int) -> Samples:
    """samples[start:end] as float32, with zeros where there is nothing."""
    inner = to_float(samples[max(0, start) : max(0, end)])
    left = max(0, -start)
    return np.pad(inner, (left, end - start - left - len(inner)))


def _in_band(samples: Samples, n: int) -> npt.NDArray[np.complex128]:
    """(N,) -> (n // 2 + 1,) spectrum of n samples, nothing outside BAND_HZ."""
    spectrum = np.fft.rfft(samples, n)
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    spectrum[(hz < BAND_HZ[0]) | (hz > BAND_HZ[1])] = 0
    return spectrum


def near_duplicates(
    all_prints: Sequence[Prints],
    groups: npt.NDArray[np.integer],
    read: Callable[[int], npt.NDArray[np.int16]],
    threshold: Callable[[int, int], float],
    folder: Path,
) -> list[tuple[int, int, float]]:
    """Pairs of different groups whose sound is the same. -> (first, second, likeness), sorted.

    `read(i)` gives recording i, `threshold(i, j)` the likeness from which a pair counts, `folder` takes what waits.
    """
    found = []
    for first, second, shift in candidates(all_prints, groups, folder):
        if unlikeness(all_prints[first], all_prints[second], shift) > MOST_UNLIKE:
            continue
        alike = likeness(read(first), read(second), shift)
        if alike >= threshold(first, second):
            found.append((first, second, alike))
    return found

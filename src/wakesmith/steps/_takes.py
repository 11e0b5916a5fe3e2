"""One take of the phrase -> its level, clipping, noise and length, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ, Samples, phrase_bounds

FRAME = SAMPLE_RATE_HZ // 100
FULL_SCALE = 0.999
LOWEST_PEAK_DBFS = -60.0
LOWEST_SPEECH_DBFS = -50.0
"""Low enough for a phrase from across a room."""
LOWEST_SNR_DB = 8.0
MOST_CLIPPED = 0.001
SPEECH_S = (0.2, 2.2)
CUT_DB = 12.0
"""Speech that lies this near its level in the first or last 30 ms of a take was cut."""
_NONE = 1e-10


@dataclass(frozen=True)
class Take:
    """What is measured of one take."""

    peak_dbfs: float
    speech_dbfs: float
    """Over the loud half of the speech."""
    clipped: float
    """Share of the samples that lie at full scale."""
    snr_db: float
    """Loud half of the speech over the quietest tenth of the take."""
    speech_s: float
    """From the first to the last sound that stands out."""
    cut: str
    """`beginning` or `end`: where the take stops in the middle of a sound; empty: nowhere."""


def measure(samples: Samples) -> Take:
    """(N,) -> what is measured of it. Raises nothing: any sound has a level."""
    start, end = phrase_bounds(samples)
    frames, speech = _power(samples), np.sort(_power(samples[start:end]))
    loud = float(speech[len(speech) // 2 :].mean())
    quiet = float(np.sort(frames)[: max(1, len(frames) // 10)].mean())
    near = loud * 10 ** (-CUT_DB / 10)
    cut_first = start < 3 * FRAME and frames[:3].mean() > near
    cut_last = end > len(samples) - 3 * FRAME and frames[-3:].mean() > near
    return Take(
        peak_dbfs=2 * _db(float(np.abs(samples).max(initial=0.0))), speech_dbfs=_db(loud),
        clipped=float((np.abs(samples) >= FULL_SCALE).mean()), snr_db=_db(loud) - _db(quiet),
        speech_s=(end - start) / SAMPLE_RATE_HZ, cut="beginning" if cut_first else "end" if cut_last else "",
    )  # fmt: skip


def faults(take: Take) -> list[str]:
    """Why a take should be made again, in plain words with a way out; the first is the one to mend. Empty: it is good."""
    if take.peak_dbfs < LOWEST_PEAK_DBFS:
        return [f"nothing was heard (peak {take.peak_dbfs:.0f} dBFS): is it the right microphone, and is it on?"]
    found = []
    if take.clipped > MOST_CLIPPED:
        found.append(f"too loud: {take.clipped:.1%} of it is clipped. Step back, or turn the microphone down.")
    if take.snr_db < LOWEST_SNR_DB:
        found.append(
            f"only {take.snr_db:.0f} dB above the noise, {LOWEST_SNR_DB:.0f} are needed: come closer, or find a quieter place."
        )
        return found  # where the speech lies cannot be told then
    if take.speech_dbfs < LOWEST_SPEECH_DBFS:
        found.append(f"too quiet: {take.speech_dbfs:.0f} dBFS. Come closer, or turn the microphone up.")
    if not SPEECH_S[0] <= take.speech_s <= SPEECH_S[1]:
        found.append(f"{take.speech_s:.2f} s of sound cannot be the phrase: {SPEECH_S[0]:g} to {SPEECH_S[1]:g} s are expected.")
    if take.cut:
        found.append(f"its {take.cut} is cut off: speak a little {'later' if take.cut == 'beginning' else 'sooner'}.")
    return found


def _power(samples: Samples) -> np.ndarray:
    """(N,) -> mean power of each 10 ms."""
    samples = np.pad(samples, (0, max(0, FRAME - len(samples))))
    n_frames = len(samples) // FRAME
    return np.asarray(np.square(samples[: n_frames * FRAME].reshape(n_frames, FRAME)).mean(axis=1))


def _db(power: float) -> float:
    return float(10 * np.log10(max(power, _NONE)))

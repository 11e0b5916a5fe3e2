"""Another voice: tempo, and pitch with formants, each changed without the other, about the end of the view.

Tempo by overlapping and adding frames where they fit best (WSOLA); pitch and formants by resampling what was stretched before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._base import Bank, Drawn
from wakesmith.config import PartSettings
from wakesmith.data.records import Clip

FRAME = SAMPLE_RATE_HZ * 32 // 1000
HOP = FRAME // 2
REACH = SAMPLE_RATE_HZ * 8 // 1000
"""How far from its place a frame may be taken: more than half a period of the deepest voice."""
THIN = 4
"""The best fit is looked for at every fourth sample, where voices have their power, then among the neighbours."""
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


class Config(PartSettings):
    name: str = "voice"
    probability: float = Field(default=0.5, ge=0, le=1)
    """Of a view to get another tempo and pitch."""
    most_tempo_percent: float = Field(default=12.0, ge=0, lt=50)
    """Faster or slower by so much at the most."""
    most_pitch_percent: float = Field(default=10.0, ge=0, lt=50)
    """Higher or deeper by so much at the most, formants with it, as of a smaller or a larger head."""


class Voice:
    def __init__(self, config: Config) -> None:
        self.config = config

    def draw(self, chance: np.random.Generator, clip: Clip, bank: Bank) -> Drawn:
        used = bool(chance.random() < self.config.probability)
        tempo, pitch = chance.uniform(-1, 1, 2) * (self.config.most_tempo_percent, self.config.most_pitch_percent) / 100
        return {"tempo": 1.0 + float(tempo) if used else 1.0, "pitch": 1.0 + float(pitch) if used else 1.0}

    def apply(self, samples: Samples, drawn: Drawn, bank: Bank) -> Samples:
        tempo, pitch = drawn["tempo"], drawn["pitch"]
        if tempo == 1.0 and pitch == 1.0:
            return samples
        # From the end on, which so stays where it was; sound runs backwards as well as forwards here.
        heard = stretched(samples[::-1], pitch / tempo) if pitch != tempo else samples[::-1]
        heard = shrunk(heard, pitch)[: len(samples)]
        return np.ascontiguousarray(np.pad(heard, (0, len(samples) - len(heard)))[::-1])


def shrunk(samples: Samples, ratio: float) -> Samples:
    """(N,) -> (N / ratio,): shorter and so higher for a ratio over 1."""
    if ratio == 1.0:
        return samples
    import soxr

    return np.asarray(
        soxr.resample(np.ascontiguousarray(samples), SAMPLE_RATE_HZ * ratio, SAMPLE_RATE_HZ, quality="MQ"), np.float32
    )


def stretched(samples: Samples, ratio: float) -> Samples:
    """(N,) -> (about N * ratio,) at the same pitch."""
    n_frames = int(len(samples) * ratio) // HOP + 2
    places = np.rint(np.arange(n_frames) * HOP / ratio).astype(int)
    # Half a frame of silence in front, so that the first frame's middle lies on the first sample, and room to look around.
    padded = np.pad(samples, (HOP + REACH, FRAME + 4 * HOP + 2 * REACH))
    thin = padded[: len(padded) // THIN * THIN].reshape(-1, THIN).mean(axis=1)
    out = np.zeros((n_frames + 1) * HOP, np.float32)
    taken = REACH
    out[:FRAME] += padded[taken : taken + FRAME] * WINDOW
    for number in range(1, n_frames):
        taken = best_fit(padded, thin, taken + HOP, int(places[number]))
        out[number * HOP : number * HOP + FRAME] += padded[taken : taken + FRAME] * WINDOW
    return out[HOP:]


def best_fit(padded: Samples, thin: npt.NDArray[np.float32], follows: int, place: int) -> int:
    """Start of the frame within REACH of `place` (+ REACH) that is most like the one at `follows`, which would go on smoothly."""
    wanted = thin[follows // THIN : (follows + FRAME) // THIN]
    around = thin[place // THIN : (place + 2 * REACH + FRAME) // THIN]
    coarse = place + int(_likeness(around, wanted).argmax()) * THIN
    low = max(place, coarse - THIN + 1)
    high = min(place + 2 * REACH, coarse + THIN - 1)
    near = _likeness(padded[low : high + FRAME], padded[follows : follows + FRAME])
    return low + int(near.argmax())


def _likeness(around: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n + m - 1,), (m,) -> (n,): the cosine at every place, times the length of what is wanted."""
    energy = np.cumsum(np.concatenate([[0.0], np.square(around, dtype=np.float64)]))
    lengths = np.sqrt(energy[len(wanted) :] - energy[: -len(wanted)] + 1e-9)
    return np.asarray(np.correlate(around, wanted, "valid") / lengths, np.float32)


def build(config: Config) -> Voice:
    return Voice(config)

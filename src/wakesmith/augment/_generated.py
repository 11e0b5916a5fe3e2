"""Sound made from nothing: coloured noise and mains hum, for runs without recordings of noise."""

from __future__ import annotations

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ, Samples

COLOURS = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Exponent of 1/f in amplitude."""


def coloured(chance: np.random.Generator, n_samples: int, exponent: float) -> Samples:
    """(N,) noise whose amplitude falls as 1/f^exponent above 20 Hz; root mean square 0.1."""
    hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(chance.standard_normal(n_samples)) / np.maximum(hz, 20.0) ** exponent
    sound = np.fft.irfft(spectrum, n_samples)
    return np.asarray(0.1 * sound / sound.std(), np.float32)


def hum(chance: np.random.Generator, n_samples: int) -> Samples:
    """(N,) mains at 50 or 60 Hz with falling overtones over a little pink noise; root mean square 0.1."""
    base_hz, t = chance.choice([50.0, 60.0]), np.arange(n_samples) / SAMPLE_RATE_HZ
    tones = [chance.uniform(0.2, 1) / k * np.sin(2 * np.pi * (base_hz * k * t + chance.random())) for k in range(1, 12)]
    sound = sum(tones) + coloured(chance, n_samples, 0.5) * chance.uniform(0.5, 3)
    return np.asarray(0.1 * sound / sound.std(), np.float32)


def swelling(chance: np.random.Generator, sound: Samples) -> Samples:
    """The same sound, slowly louder and softer by up to 12 dB."""
    knots = chance.uniform(-6, 6, size=6)
    level_db = np.interp(np.linspace(0, 5, len(sound)), np.arange(6), knots)
    return (sound * 10 ** (level_db / 20)).astype(np.float32)


def bed(chance: np.random.Generator, number: int, n_samples: int) -> Samples:
    """(N,): every colour and hum in turn, by number."""
    kind = [*COLOURS, "hum"][number % (len(COLOURS) + 1)]
    sound = hum(chance, n_samples) if kind == "hum" else coloured(chance, n_samples, COLOURS[kind] * chance.uniform(0.7, 1.3))
    return swelling(chance, sound)


def beds(chance: np.random.Generator, n_beds: int, n_samples: int) -> np.ndarray:
    """(n, N) float32."""
    return np.stack([bed(chance, number, n_samples) for number in range(n_beds)])

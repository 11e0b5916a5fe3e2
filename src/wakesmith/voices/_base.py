"""What every voice has in common: an utterance goes in, 16 kHz samples come out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from wakesmith.audio import SAMPLE_RATE_HZ, SILENT_PEAK, Samples, resample, speech_bounds
from wakesmith.config import PartSettings, Settings
from wakesmith.errors import AudioError, ConfigError

EDGE_SAMPLES = SAMPLE_RATE_HZ // 100  # kept around what is loud, and faded, so that no cut clicks
TRIM_BELOW_PEAK_DB = 40.0


@dataclass(frozen=True)
class Utterance:
    """Something to say: a text, or the phonemes of it (espeak mnemonics, `_` between sounds, a space between words)."""

    text: str
    phonemes: str = ""
    """When given, these are said, and `text` only names them."""
    kind: str = ""
    """Of a near miss: how it was made."""
    language: str = ""
    """Of the text, when it is not the voice's own: one of `Voice.foreign`."""


class Shares(Settings):
    """A voice's part of each kind; 0: it says none of them."""

    wake: float = Field(default=1.0, ge=0)
    near_miss: float = Field(default=1.0, ge=0)
    speech: float = Field(default=1.0, ge=0)


def _over_0(value: Any) -> Any:
    """Before the union: one plain message instead of one for each of its members."""
    if not isinstance(value, Shares) and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ValueError("expected a number over 0, or one for each of wake, near_miss and speech")
    return value


class VoiceSettings(PartSettings):
    """What every voice can be told."""

    share: Annotated[float | Shares, BeforeValidator(_over_0)] = 1.0
    """Part of all utterances that this voice says, relative to the other voices; or of each kind: {wake: 1, speech: 0.2}."""
    language: str = ""
    """Language code such as en, es or de; empty: the recipe's."""
    only_for: list[str] = []
    """Languages of a phrase that this voice takes part for, such as [en]; empty: every one."""


class Voice(Protocol):
    """A speech synthesiser with one or many speakers."""

    name: str
    licence: str
    says_phonemes: bool
    foreign: frozenset[str]
    """Codes of languages that it can say although they are not its own."""

    def speakers(self) -> list[str]:
        """Names of all speakers, always in the same order."""

    def say(self, utterance: Utterance, speaker: str, rng: np.random.Generator) -> Samples:
        """-> (N,) float32 at 16 kHz, trimmed; rate, pitch and volume are drawn from `rng`."""


def need(module: str, package: str, voice: str) -> None:
    """Stop with the way out when an optional package is absent."""
    if find_spec(module) is None:
        raise ConfigError(f"voices: '{voice}' needs the package {package}. Install it: pip install {package}")


def check_letters(phrase: str) -> None:
    """A phrase that cannot be said is refused before anything is made."""
    if not any(letter.isalpha() for letter in phrase):
        raise ConfigError(f"phrase: expected words with letters, got {phrase!r}. Write it as it is said, such as 'hey nova'.")


def finished(samples: npt.NDArray[np.float32], rate_hz: int, rng: np.random.Generator, what: str) -> Samples:
    """Raw synthesis at any rate -> 16 kHz, trimmed to 10 ms around the speech, faded, peak drawn from 0.4 to 0.6."""
    if len(samples) == 0 or np.abs(samples).max() < SILENT_PEAK:
        raise AudioError(f"{what}: the voice made no sound. Leave this voice or this text out.")
    clean = resample(np.asarray(samples, dtype=np.float32), rate_hz, SAMPLE_RATE_HZ)
    start, end = speech_bounds(clean, TRIM_BELOW_PEAK_DB)
    clean = clean[max(0, start - EDGE_SAMPLES) : end + EDGE_SAMPLES]
    fade = np.linspace(0.0, 1.0, min(EDGE_SAMPLES, len(clean) // 2), dtype=np.float32)
    clean = clean * np.float32(rng.uniform(0.4, 0.6) / np.abs(clean).max())
    clean[: len(fade)] *= fade
    clean[len(clean) - len(fade) :] *= fade[::-1]
    return np.asarray(clean, dtype=np.float32)

"""hibari: one natural American voice in the package `hibari-tts` (Apache-2.0), fast; others come from its hub when named."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.config import span
from wakesmith.errors import ConfigError
from wakesmith.voices import _accents, _kokoro_sounds, _texts
from wakesmith.voices._base import Utterance, VoiceSettings, finished, need

RATE_HZ = 24_000


class Config(VoiceSettings):
    name: Literal["hibari"] = "hibari"
    speakers: list[str] = Field(default=["heart"], min_length=1)
    """`heart` lies in the package; emma, fenrir, fable and kore are fetched when first named."""
    speed: Annotated[list[float], span(0.5, 2)] = [0.75, 1.3]
    """Slowest and fastest speech; 1 is the voice's own pace."""
    pitch: Annotated[list[float], span(0.5, 2)] = [0.7, 1.2]
    """Largest and smallest person: pitch and formants move together and the pace stays; 1 is the voice's own."""
    accent_share: float = Field(default=0.5, ge=0, le=1)
    """Of what is said in the accents of other mother tongues."""


class HibariVoice:
    name = "hibari"
    licence = "hibari-tts (Apache-2.0)"
    says_phonemes = True
    foreign: frozenset[str] = frozenset()

    def __init__(self, config: Config) -> None:
        need("hibari", "hibari-tts", "hibari")
        from hibari.voices import VOICES

        self.config = config
        self.british = {name: bool(known["british"]) for name, known in VOICES.items()}
        if _texts.base(config.language or "en") != "en":
            raise ConfigError(
                f"voices: 'hibari' speaks English only, not '{config.language}'. "
                "Name voices that speak it: --set speak.voices=[espeak], or kokoro, piper or command."
            )
        unknown = [name for name in config.speakers if name not in VOICES]
        if unknown:
            raise ConfigError(f"voices.speakers: hibari has no {', '.join(unknown)}. There are: {', '.join(VOICES)}.")

    def speakers(self) -> list[str]:
        return list(self.config.speakers)

    def say(self, utterance: Utterance, speaker: str, rng: np.random.Generator) -> Samples:
        model = _model(speaker)
        speed, pitch = (float(np.exp(rng.uniform(*np.log(bounds)))) for bounds in (self.config.speed, self.config.pitch))
        if utterance.phonemes:
            parts = [_kokoro_sounds.from_espeak(utterance, "en-gb" if self.british[speaker] else "en-us")]
        else:
            parts = model.phonemize(utterance.text)
        if rng.random() < self.config.accent_share:
            parts = [_accents.accented(sounds, "" if utterance.phonemes else utterance.text, rng) for sounds in parts]
        # Read at another rate than it was made at, a voice is higher or lower in pitch and formants, and faster or slower.
        seed = int(rng.integers(2**31))
        said = [model.from_phonemes(sounds, speed / pitch, seed) for sounds in parts]
        samples = np.concatenate(said or [np.zeros(0, np.float32)])
        return finished(samples, round(RATE_HZ * pitch), rng, f"hibari/{speaker}: {utterance.text!r}")


@cache
def _model(speaker: str) -> Any:
    from hibari import Hibari

    try:
        return Hibari(voice=speaker)
    except RuntimeError as error:  # raised by its download
        raise ConfigError(f"voices.speakers: hibari cannot get '{speaker}' ({error}).") from error


def build(config: Config) -> HibariVoice:
    """Raises ConfigError without the package, or for an unknown speaker."""
    return HibariVoice(config)

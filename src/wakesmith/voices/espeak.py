"""espeak-ng: over 600 speakers (accent x variant), robotic but very varied, 100 languages; no network, no system package.

Package `espeakng-loader` (GPL-3.0-or-later; the sound it makes is free of that).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from wakesmith.audio import Samples
from wakesmith.config import span
from wakesmith.errors import ConfigError
from wakesmith.voices import _espeak, _texts
from wakesmith.voices._base import Utterance, VoiceSettings, finished

NOT_HUMAN = {  # whispers (caleb: 12 % of its power in 100..4000 Hz), robots, monsters and experiments
    "whisper", "whisperf", "caleb", "croak", "Demonic", "UniRobot", "anikaRobot", "announcer", "Tweaky", "AnxiousAndy", "fast",
    "kaukovalta", "RicishayMax", "RicishayMax2", "RicishayMax3",
    "robosoft", "robosoft2", "robosoft3", "robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8",
}  # fmt: skip
NOT_REPEATABLE = {"Reed", "victor"}  # their lists of numbers are too short: espeak reads on into what its memory holds
NOT_SPOKEN = {"en-shaw", "cmn-latn-pinyin"}  # ways of writing


class Config(VoiceSettings):
    name: Literal["espeak"] = "espeak"
    accents: list[str] = []
    """Voices of the language, such as en-us or en-gb-scotland; empty: all of them."""
    variants: list[str] = []
    """Such as f2 or klatt3; empty: all that sound human."""
    rate_wpm: Annotated[list[int], span(80, 450)] = [120, 200]
    """Slowest and fastest speech, in words a minute."""
    pitch: Annotated[list[int], span(0, 100)] = [25, 75]
    """Lowest and highest pitch, 0 to 100, relative to the variant's own."""
    pitch_range: Annotated[list[int], span(0, 100)] = [25, 80]
    """Flattest and liveliest melody, 0 to 100."""


class Espeak:
    """Every accent of the language with every human variant is a speaker."""

    name = "espeak"
    licence = "made with espeak-ng (the program is GPL-3.0-or-later, its output is free)"
    says_phonemes = True
    foreign = frozenset(_texts.foreign())

    def __init__(self, config: Config) -> None:
        self.config = config
        self.language = config.language or "en"
        self.accents = _chosen("accents", config.accents, accents(self.language), _espeak.languages().keys())
        human = sorted(variants() - NOT_HUMAN - NOT_REPEATABLE)
        self.variants = _chosen("variants", config.variants, human, variants())

    def speakers(self) -> list[str]:
        return [f"{accent}+{variant}" for accent in self.accents for variant in self.variants]

    def say(self, utterance: Utterance, speaker: str, rng: np.random.Generator) -> Samples:
        text = _espeak.spoken(utterance.phonemes) if utterance.phonemes else utterance.text.replace("[", " ")
        spans = (self.config.rate_wpm, self.config.pitch, self.config.pitch_range)
        rate, pitch, liveliness = (int(rng.integers(low, high, endpoint=True)) for low, high in spans)
        said_by = speaker
        if utterance.language:
            said_by = f"{_espeak.base_voice(utterance.language)}+{speaker.partition('+')[2]}"
        samples = _espeak.library().say(said_by, text, rate, pitch, liveliness)
        return finished(samples, _espeak.RATE_HZ, rng, f"espeak/{speaker}: {utterance.text!r}")


def accents(language: str) -> list[str]:
    """Voices of a language: `en` gives all accents of English, `en-gb` those of Britain alone."""
    wanted = language.lower()
    found = [
        name
        for name, codes in _espeak.languages().items()
        if name not in NOT_SPOKEN and any(code == wanted or code.startswith(wanted + "-") for code in [*codes[:1], name])
    ]
    return found or [_espeak.base_voice(language)]


def variants() -> set[str]:
    """All voice variants in the library's data."""
    import espeakng_loader

    return {path.name for path in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir() if path.is_file()}


def _chosen(key: str, asked: list[str], otherwise: list[str], known: object) -> list[str]:
    wrong = [name for name in asked if name not in known]  # type: ignore[operator]
    if wrong:
        raise ConfigError(f"voices.{key}: espeak has no {', '.join(wrong)}. There are: {', '.join(sorted(known))}.")  # type: ignore[call-overload]
    return asked or otherwise


def build(config: Config) -> Espeak:
    """Raises ConfigError without the package, or for an unknown language, accent or variant."""
    return Espeak(config)

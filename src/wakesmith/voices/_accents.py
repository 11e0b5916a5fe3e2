"""English as those say it who grew up with another language: sounds that theirs lacks become its nearest, vowels stay full.

Works on the alphabet of Kokoro and hibari, where every sound is one letter. The tables are coarse, by hand, of substitutions that
are commonly described; they were measured by what a detector then hears of real people (docs/log.md), not against a phonetician.
"""

from __future__ import annotations

import re

import numpy as np

FIVE_VOWELS = {"ɪ": "i", "ᵻ": "i", "ʊ": "u", "æ": "a", "ʌ": "a", "ɑ": "a", "ɜ": "e", "ɛ": "e", "ɔ": "o", "O": "o", "A": "e"}
"""Of Spanish, Italian, Japanese and many more."""
TAPS = {"ɹ": "ɾ", "T": "t"}
ACCENTS: dict[str, dict[str, str]] = {
    "es": FIVE_VOWELS | TAPS | {"v": "b", "z": "s", "h": "x", "ʃ": "ʧ", "ð": "d"},
    "it": FIVE_VOWELS | {"ɹ": "r", "T": "t", "θ": "t", "ð": "d", "h": ""},
    "pt": FIVE_VOWELS | TAPS | {"θ": "t", "ð": "d"},
    "ja": FIVE_VOWELS | TAPS | {"l": "ɾ", "v": "b", "θ": "s", "ð": "z", "f": "ɸ", "u": "ɯ"},
    "fr": {"ɪ": "i", "ᵻ": "i", "ʊ": "u", "æ": "a", "ʌ": "œ", "ɜ": "œ", "O": "o", "A": "e", "ɹ": "ʁ", "T": "t"}
    | {"θ": "s", "ð": "z", "h": ""},
    "de": {"æ": "ɛ", "ʌ": "a", "ɜ": "œ", "O": "o", "A": "e", "ɹ": "ʁ", "T": "t", "w": "v", "θ": "s", "ð": "z", "ʤ": "ʧ"},
    "ru": {"ɪ": "i", "ᵻ": "ɨ", "ʊ": "u", "æ": "ɛ", "ʌ": "a", "ɜ": "ɛ", "O": "o", "ɹ": "r", "T": "t", "w": "v", "θ": "s"}
    | {"ð": "z", "h": "x"},
    "hi": {"t": "ʈ", "T": "ʈ", "d": "ɖ", "ɹ": "ɾ", "v": "ʋ", "w": "ʋ", "θ": "t", "ð": "d", "O": "o", "A": "e", "ɜ": "ə"}
    | {"ɔ": "ɑ"},
    "zh": {"ɪ": "i", "ᵻ": "i", "ʊ": "u", "æ": "ɛ", "ɔ": "o", "T": "t", "v": "w", "z": "s", "θ": "s", "ð": "d"},
    "full vowels": {"T": "t"},
}  # fmt: skip
"""Mother tongue -> what each sound of English becomes; the last is careful speech, by natives too."""
VOWELS = "aeiouæɑɐɒɔəɛɜɪʊʌᵊᵻAIOQWY"
REDUCED = "əᵊ"


def accented(sounds: str, text: str, chance: np.random.Generator) -> str:
    """English sounds with an accent that is drawn; `text` tells which vowels were reduced, empty: full ones are drawn."""
    accent = ACCENTS[list(ACCENTS)[chance.integers(len(ACCENTS))]]
    words, spelled = sounds.split(), re.findall(r"[^\W\d_']+", text.lower())
    if len(spelled) != len(words):
        spelled = [""] * len(words)
    full = [_full(word, letters, chance) for word, letters in zip(words, spelled, strict=True)]
    return "".join(accent.get(sound, sound) for sound in " ".join(full))


def _full(word: str, letters: str, chance: np.random.Generator) -> str:
    """A word with full vowels in place of its reduced ones: those of its spelling where the two have equally many, else any.

    Half of the time each of them has a stress of its own, as where all syllables are equally long, or who speaks takes care.
    """
    written = [group[0].replace("y", "i") for group in re.findall(r"[aeiouy]+", letters)]
    places = [at for at, sound in enumerate(word) if sound in VOWELS]
    found, mark = list(word), "ˌ" if chance.random() < 0.5 else ""
    for number, at in enumerate(places):
        if found[at] in REDUCED:
            found[at] = mark + (written[number] if len(written) == len(places) else "aeo"[chance.integers(3)])
    return "".join(found)

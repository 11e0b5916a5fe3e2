"""Text or espeak mnemonics -> the phoneme alphabet of Kokoro and hibari (IPA, one letter for a diphthong or an affricate)."""

from __future__ import annotations

from wakesmith.voices import _espeak, _texts
from wakesmith.voices._base import Utterance

COMMON = [("dʒ", "ʤ"), ("tʃ", "ʧ"), ("ts", "ʦ"), ("dz", "ʣ"), ("\u0361", ""), ("\u200d", "")]
ENGLISH = [
    ("aɪə", "Iə"),
    ("aʊ", "W"),
    ("aɪ", "I"),
    ("eɪ", "A"),
    ("ɔɪ", "Y"),
    ("r", "ɹ"),
    ("əl", "ᵊl"),
    ("ɬ", "l"),
    ("x", "k"),
    ("ɐ", "ə"),
]
AMERICAN = [
    ("oʊ", "O"),
    ("ɚ", "əɹ"),
    ("ɜː", "ɜɹ"),
    ("ɜɹɹ", "ɜɹ"),
    ("əɹɹ", "əɹ"),
    ("ɾ", "T"),
    ("ʔ", "t"),
    ("ɪə", "iə"),
    ("o", "ɔ"),
    ("ː", ""),
]
OTHER = [("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A"), ("oʊ", "O"), ("əʊ", "Q"), ("ɔɪ", "Y")]
BRITISH = [("əʊ", "Q"), ("oʊ", "Q"), ("eə", "ɛː"), ("iə", "ɪə"), ("ɾ", "t"), ("ʔ", "t"), ("ɚ", "ə")]


def from_espeak(utterance: Utterance, language: str) -> str:
    """What is to be said, through espeak's IPA, in the alphabet of Kokoro for `language` (en-us, en-gb, es, ...)."""
    told = _espeak.spoken(utterance.phonemes) if utterance.phonemes else utterance.text.replace("[", " ")
    ipa = _espeak.library().ipa(told, language)
    english = [*ENGLISH, *(BRITISH if language == "en-gb" else AMERICAN)]
    for old, new in [*COMMON, *(english if _texts.base(language) == "en" else OTHER)]:
        # A stress mark stands before its vowel, so it never parts a pair.
        ipa = ipa.replace(old, new)
    return ipa

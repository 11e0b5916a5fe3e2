"""What `speak` is to say, and by whom: the phrase, its near misses and other speech, spread over the speakers of each voice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.rng import rng
from wakesmith.text import holds
from wakesmith.voices import _texts
from wakesmith.voices._base import Shares, Utterance, Voice
from wakesmith.voices._near_misses import almost, near_misses

if TYPE_CHECKING:
    from wakesmith.steps.speak import Settings

LABELS_MADE = ("wake", "near_miss", "speech")
WORDS_SHARE, MOST_WORDS = 2 / 3, 9
"""Of other speech: how much of it is words in any order, and how many in a row."""


@dataclass(frozen=True)
class Item:
    """One recording to make."""

    id: str
    label: str
    voice: int
    speaker: str
    utterance: Utterance
    before: str = ""
    """Said before the utterance."""
    after: str = ""
    """Said after it."""


def plan(settings: Settings, voices: list[config.PartSettings], phrases: list[str], language: str, seed: int) -> list[Item]:
    """Everything to say, spread evenly over the speakers of each voice, the same for the same arguments."""
    if not settings.n_wake + settings.n_near_miss + settings.n_speech:
        return []
    words = _texts.words(language, settings.words)
    kept_out = [*phrases, *(almost(phrases, language, words) if settings.n_near_miss else ())]
    sentences = _texts.sentences(language, settings.sentences, kept_out)
    items: list[Item] = []
    counts = {label: split_by_share(getattr(settings, f"n_{label}"), voices, label) for label in LABELS_MADE}
    for v, voice_settings in enumerate(voices):
        voice: Voice = registry.build("voices", voice_settings)
        speakers = voice.speakers()
        order = rng(seed, "speak", v, "speakers").permutation(len(speakers))
        for label in LABELS_MADE:
            chance = rng(seed, "speak", v, label)
            n = counts[label][v]
            if label == "wake":
                said = [Utterance(phrases[i % len(phrases)]) for i in range(n)]
            elif label == "near_miss":
                said = list(_near_misses_of(phrases, language, n, words, chance, voice.says_phonemes))
            else:
                lists = {code: _texts.foreign()[code] for code in sorted(voice.foreign) if code != _texts.base(language)}
                n_foreign = round(n * settings.foreign_share) if lists else 0
                said = [Utterance(text) for text in other_speech(n - n_foreign, sentences, words, kept_out, chance)]
                said += foreign_speech(n_foreign, lists, kept_out, chance)
            for i, utterance in enumerate(said):
                before, after = ("", "") if label == "speech" else carriers(settings, sentences, chance)
                name = f"{label}-{len(items):06d}"
                turn = i // len(phrases) if label == "wake" else i  # each speaker says all of several phrases
                items.append(Item(name, label, v, speakers[order[turn % len(speakers)]], utterance, before, after))
    return items


def _near_misses_of(
    phrases: list[str], language: str, n: int, words: list[str], chance: np.random.Generator, phonemes: bool
) -> Iterator[Utterance]:
    """Of each phrase its part of n; none that holds another of the phrases."""
    for number, phrase in enumerate(phrases):
        n_own = n * (number + 1) // len(phrases) - n * number // len(phrases)
        others = [other for other in phrases if other != phrase]
        if n_own:
            yield from near_misses(phrase, language, n_own, words, chance, phonemes, others)


def split_by_share(n: int, voices: list[config.PartSettings], label: str) -> list[int]:
    """n recordings of a kind -> how many each voice says. Raises ConfigError when no voice has a share of it."""
    shares = [getattr(voice, "share", 1.0) for voice in voices]
    ends = np.cumsum([getattr(share, label) if isinstance(share, Shares) else share for share in shares])
    if ends[-1] == 0:
        if n:
            raise ConfigError(f"speak.voices: no voice has a share of {label}, and speak.n_{label} is {n}. Give one a share.")
        return [0] * len(voices)
    return [int(count) for count in np.diff(np.rint(ends / ends[-1] * n), prepend=0)]


def other_speech(
    n: int, sentences: list[str], words: list[str], kept_out: list[str], chance: np.random.Generator
) -> Iterator[str]:
    """Sentences, and words in any order: some hundred sentences hold few of a language's sounds in a row.

    Kept out are the phrases, and words that are almost one: `compute` beside `computer` is a near miss. Of a list's 1,200 words
    it would come every ten minutes, and the threshold would be set by it alone.
    """
    for _ in range(n):
        text = str(sentences[chance.integers(len(sentences))])
        if chance.random() < WORDS_SHARE:
            picked = " ".join(words[i] for i in chance.integers(len(words), size=chance.integers(1, MOST_WORDS + 1)))
            text = text if holds(picked, kept_out) else picked
        yield text


def foreign_speech(n: int, lists: dict[str, list[str]], kept_out: list[str], chance: np.random.Generator) -> Iterator[Utterance]:
    """Words of other languages, each language equally often: a listener hears films, guests and radio. None holds a phrase.

    Raises ConfigError where no word is left.
    """
    if not n:
        return
    left = [(language, [word for word in words if not holds(word, kept_out)]) for language, words in lists.items()]
    left = [(language, words) for language, words in left if words]
    if not left:
        raise ConfigError(
            f"speak.foreign_share: expected words of other languages, but each of {', '.join(lists)} holds a phrase or nearly "
            "one. Say none: --set speak.foreign_share=0"
        )
    for i in range(n):
        language, words = left[i % len(left)]
        picked = [str(word) for word in chance.choice(words, size=chance.integers(1, MOST_WORDS + 1))]
        text = " ".join(picked)
        yield Utterance(picked[0] if holds(text, kept_out) else text, language=language)


def carriers(settings: Settings, sentences: list[str], chance: np.random.Generator) -> tuple[str, str]:
    """What is said before and after a phrase: at most one of them."""
    sentence = str(sentences[chance.integers(len(sentences))])
    place = chance.random()
    if place < settings.before_share:
        return "", sentence
    return (sentence, "") if place < settings.before_share + settings.after_share else ("", "")

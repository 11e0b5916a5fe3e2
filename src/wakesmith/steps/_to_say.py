"""What `speak` is to say, and by whom: the phrase, its near misses and other speech, spread over the speakers of each voice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
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
    """Everything to say, spread evenly over the speakers of each voice, the same for the same arguments.

    Each voice numbers each kind from 0, and each has its own chance: more of a kind begins with what there was, and what other
    voices say stays as it is.
    """
    if not settings.n_wake + settings.n_near_miss + settings.n_speech:
        return []
    words = _texts.words(language, settings.words)
    kept_out = [*phrases, *(almost(phrases, language, words) if settings.n_near_miss else ())]
    sentences = _texts.sentences(language, settings.sentences, kept_out)
    items: list[Item] = []
    counts = {label: split_by_share(getattr(settings, f"n_{label}"), voices, label) for label in LABELS_MADE}
    for v, (name, voice_settings) in enumerate(zip(_told_apart(voices), voices, strict=True)):
        voice: Voice = registry.build("voices", voice_settings)
        chance = partial(rng, seed, "speak", name)
        lists = {code: _texts.foreign()[code] for code in sorted(voice.foreign) if code != _texts.base(language)}
        n_wake, n_near_miss, n_speech = (counts[label][v] for label in LABELS_MADE)
        n_foreign = round(n_speech * settings.foreign_share) if lists else 0
        kinds: dict[str, Iterable[Utterance]] = {
            "wake": (Utterance(phrases[i % len(phrases)]) for i in range(n_wake)),
            **_near_misses_of(phrases, language, n_near_miss, words, chance, voice.says_phonemes),
            "speech": map(Utterance, other_speech(n_speech - n_foreign, sentences, words, kept_out, chance("speech"))),
            "speech-foreign": foreign_speech(n_foreign, lists, kept_out, chance("speech-foreign")),
        }
        speakers = voice.speakers()
        order = chance("speakers").permutation(len(speakers))  # one for all kinds: who says the phrase says other things too
        for kind, said in kinds.items():
            label = kind.split("-")[0]
            n_turns = len(phrases) if label == "wake" else 1  # each speaker says all of several phrases
            for i, utterance in enumerate(said):
                beside = ("", "") if label == "speech" else carriers(settings, sentences, chance(kind, i, "beside"))
                speaker = speakers[order[i // n_turns % len(speakers)]]
                items.append(Item(f"{kind}-{name}-{i:06d}", label, v, speaker, utterance, *beside))
    return items


def _told_apart(voices: list[config.PartSettings]) -> list[str]:
    """Their names, numbered from the second of a name on."""
    names = [voice.name for voice in voices]
    return [f"{name}{n}" if (n := names[: i + 1].count(name)) > 1 else name for i, name in enumerate(names)]


def _near_misses_of(
    phrases: list[str], language: str, n: int, words: list[str], chance: Callable[[str], np.random.Generator], phonemes: bool
) -> dict[str, list[Utterance]]:
    """Of each phrase its part of n, as a kind of its own; none that holds another of the phrases."""
    found = {}
    for number, phrase in enumerate(phrases):
        n_own = n * (number + 1) // len(phrases) - n * number // len(phrases)
        others = [other for other in phrases if other != phrase]
        kind = f"near_miss-{number + 1}" if others else "near_miss"
        if n_own:
            found[kind] = near_misses(phrase, language, n_own, words, chance(kind), phonemes, others)
    return found


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

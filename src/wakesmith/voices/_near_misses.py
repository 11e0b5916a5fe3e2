"""Near misses: utterances that sound like the wake phrase and are not it, made from its phonemes and from a word list.

Sounds are espeak mnemonics; which of them are taken for each other, `_confusions` knows. Stress stays where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from wakesmith.text import holds as text_holds
from wakesmith.voices import _confusions, _espeak, _texts
from wakesmith.voices._base import Utterance
from wakesmith.voices._confusions import REDUCED, Sounds

Word = list[str]  # the sounds of a word, each with its stress mark

STRESS = "',%=|"
ALMOST = 0.9
"""Share of sounds in common (Ratcliff and Obershelp) from which a word is hardly another than the phrase."""
FILL = ("b", "d", "k", "l", "m", "n", "s", "t")


def near_misses(
    phrase: str, language: str, n: int, word_list: list[str], rng: np.random.Generator, phonemes: bool = True,
    others: Sequence[str] = (),
) -> list[Utterance]:  # fmt: skip
    """n utterances, every kind equally often; `phonemes=False` leaves out those that only phonemes can tell.

    others: phrases too, which no near miss may hold. More of them begin with the same: kinds come in rounds, in drawn order.
    Distinct ones come first; when all have come they come again (for other speakers to say). Raises ConfigError without espeak.
    """
    kinds = candidates(phrase, language, word_list, phonemes, others)
    pools = [[made[i] for i in rng.permutation(len(made))] for made in kinds.values() if made]
    said: list[Utterance] = []
    for turn in range(-(-n // len(pools))):
        said += [pools[kind][turn % len(pools[kind])] for kind in rng.permutation(len(pools))]
    return said[:n]


def candidates(
    phrase: str, language: str, word_list: list[str], phonemes: bool = True, others: Sequence[str] = ()
) -> dict[str, list[Utterance]]:
    """All near misses by kind, without any that holds the sounds of the phrase, or of the others."""
    library = _espeak.library()
    wanted = _parsed(library.phonemes(phrase, language))
    listed = {word: _parsed(_told(word, language)) for word in word_list}
    sounds = _sounds(language, [phrase, *word_list])
    phrases = [phrase, *others]
    targets = [reduced(_parsed(library.phonemes(one, language)), sounds) for one in phrases]
    spelled = phrase.split()
    found: dict[str, list[Utterance]] = {}

    def add(kind: str, text: str, words: list[Word], by_text: bool) -> None:
        made = reduced(words, sounds)
        if words and not any(holds(made, target) for target in targets) and not text_holds(text, phrases):
            told = _joined(words)
            shown = text if by_text else f"/{library.ipa(_espeak.spoken(told), language)}/"
            utterance = Utterance(shown, "" if by_text else told, kind)
            if utterance not in found.setdefault(kind, []):
                found[kind].append(utterance)

    if phonemes:
        for words in _changed(wanted, sounds):
            add("one sound changed", "", words, by_text=False)
            for twice in _changed(words, sounds, after=_first_change(wanted, words)):
                add("two sounds changed", "", twice, by_text=False)
        for words in _cut(wanted, sounds):
            add("part", "", words, by_text=False)
        for words in _longer(wanted, sounds):
            add("syllable added", "", words, by_text=False)
    for text in _parts(spelled):
        add("part", text, _parsed(library.phonemes(text, language)), by_text=True)
    for text in _reordered(spelled):
        add("other order", text, _parsed(library.phonemes(text, language)), by_text=True)
    for text in _alike(spelled, wanted, listed, sounds):
        add("like words", text, _parsed(library.phonemes(text, language)), by_text=True)
    return found or {"other words": [Utterance(word, "", "other words") for word in word_list if not text_holds(word, others)]}


def almost(phrases: list[str], language: str, word_list: list[str]) -> set[str]:
    """The list's words that hold a phrase's sounds or nearly all of them, as `compute` does of `computer`."""
    sounds = _sounds(language, [*phrases, *word_list])
    listed = {word: reduced(_parsed(_told(word, language)), sounds) for word in word_list}
    found = set()
    for phrase in phrases:
        target = reduced(_parsed(_told(phrase, language)), sounds)
        alike = SequenceMatcher(None, b=target, autojunk=False)
        for word, own in listed.items():
            alike.set_seq1(own)
            if holds(own, target) or alike.ratio() >= ALMOST:
                found.add(word)
    return found


def n_syllables(phrase: str, language: str) -> int:
    """As espeak says it, a vowel each. Raises ConfigError without espeak."""
    vowels = _sounds(language, [phrase]).vowels
    return sum(sound in vowels for sound in _flat(_espeak.library().phonemes(phrase, language)))


def bare(sound: str) -> str:
    """A sound without its stress mark."""
    return sound.lstrip(STRESS)


def reduced(words: list[Word], sounds: Sounds) -> list[str]:
    """All sounds in a row, without stress, and with those merged that some accents merge."""
    return [sounds.merged(bare(sound)) for word in words for sound in word]


def holds(sounds: list[str], target: list[str]) -> bool:
    """Whether the target's sounds occur in a row."""
    return any(sounds[i : i + len(target)] == target for i in range(len(sounds) - len(target) + 1))


def _sounds(language: str, texts: list[str]) -> Sounds:
    """The sounds that occur in the texts, with their neighbours."""
    library = _espeak.library()
    told = [_flat(_told(text, language)) for text in texts]
    if _texts.base(language) == "en":
        return _confusions.english({sound for sounds in told for sound in sounds})
    found: Counter[tuple[str, str]] = Counter()
    for text, sounds in zip(texts, told, strict=True):
        ipa = [sound.strip("ˈˌ") for sound in _flat(library.phonemes(text, language, _espeak.AS_SINGLE_IPA))]
        if len(ipa) == len(sounds):
            found.update(zip(sounds, ipa, strict=True))
    return _confusions.from_ipa(dict(pair for pair, _ in found.most_common()))


@lru_cache(maxsize=8192)
def _told(text: str, language: str) -> str:
    """Phonemes: each voice, and each phrase, asks for those of the whole list."""
    return _espeak.library().phonemes(text, language)


def _flat(phonemes: str) -> list[str]:
    """All sounds of all words, without stress."""
    return [bare(sound) for word in _parsed(phonemes) for sound in word]


def _parsed(phonemes: str) -> list[Word]:
    return [[sound for sound in word.split("_") if bare(sound)] for word in phonemes.split()]


def _joined(words: list[Word]) -> str:
    return " ".join("_".join(word) for word in words)


def _changed(words: list[Word], sounds: Sounds, after: tuple[int, int] = (-1, -1)) -> Iterator[list[Word]]:
    """Each sound in turn, past the place `after`, made into each of its neighbours that the language has."""
    for w, word in enumerate(words):
        for s, sound in enumerate(word):
            if (w, s) <= after or _takes_its_place_from_the_next(word, s, sounds):
                continue
            mark = sound[: len(sound) - len(bare(sound))]
            for other in sounds.near.get(bare(sound), []):
                yield [*words[:w], [*word[:s], mark + other, *word[s + 1 :]], *words[w + 1 :]]


def _takes_its_place_from_the_next(word: Word, s: int, sounds: Sounds) -> bool:
    """A nasal before a consonant: `compute` with n is still heard as `compute`."""
    return bare(word[s]) in ("m", "n", "N") and s + 1 < len(word) and bare(word[s + 1]) not in sounds.vowels


def _first_change(old: list[Word], new: list[Word]) -> tuple[int, int]:
    return next((w, s) for w, word in enumerate(old) for s, sound in enumerate(word) if new[w][s] != sound)


def _cut(words: list[Word], sounds: Sounds) -> Iterator[list[Word]]:
    """Beginnings and ends that lack at least two sounds and keep at least three, a full vowel among them."""
    flat = [(w, sound) for w, word in enumerate(words) for sound in word]
    for size in range(3, len(flat) - 1):
        for piece in (flat[:size], flat[-size:]):
            if any(bare(sound) in sounds.vowels and sounds.merged(bare(sound)) != REDUCED for _, sound in piece):
                kept = [[sound for at, sound in piece if at == w] for w in range(len(words))]
                yield [word for word in kept if word]


def _longer(words: list[Word], sounds: Sounds) -> Iterator[list[Word]]:
    """A syllable more inside: after any vowel but the last, so that the phrase is never whole."""
    vowels = [(w, s) for w, word in enumerate(words) for s, sound in enumerate(word) if bare(sound) in sounds.vowels]
    for w, s in vowels[:-1]:
        for consonant in FILL:
            for vowel in sorted({bare(words[a][b]) for a, b in vowels}):
                if consonant in sounds.known:
                    yield [*words[:w], [*words[w][: s + 1], consonant, vowel, *words[w][s + 1 :]], *words[w + 1 :]]


def _parts(spelled: list[str]) -> Iterator[str]:
    """Every run of the phrase's words but the whole."""
    for size in range(1, len(spelled)):
        for start in range(len(spelled) - size + 1):
            yield " ".join(spelled[start : start + size])


def _reordered(spelled: list[str]) -> Iterator[str]:
    """Words turned round, and each said twice."""
    if len(spelled) > 1:
        yield " ".join(reversed(spelled))
        for shift in range(1, len(spelled)):
            yield " ".join(spelled[shift:] + spelled[:shift])
        for word in spelled:
            yield f"{word} {word}"


def _alike(
    spelled: list[str], wanted: list[Word], listed: dict[str, list[Word]], sounds: Sounds, most: int = 24
) -> Iterator[str]:
    """The list's words that begin or end most like each word of the phrase: alone, and in its place."""
    for at, word in enumerate(wanted if len(wanted) == len(spelled) else []):
        alike = {other: _likeness(reduced([word], sounds), reduced(its, sounds)) for other, its in listed.items()}
        best = sorted((name for name, shared in alike.items() if shared > 0), key=lambda name: (-alike[name], name))[:most]
        for other in best:
            yield other
            if len(spelled) > 1:
                yield " ".join([*spelled[:at], other, *spelled[at + 1 :]])


def _likeness(sounds: list[str], others: list[str]) -> float:
    """Sounds in common for their length (0..1), more for a shared beginning or end (rhyme); 0 for the same or an unlike word."""
    if sounds == others or not others:
        return 0.0
    common = SequenceMatcher(None, sounds, others, autojunk=False).ratio()
    edges = (sounds[:2] == others[:2]) + (sounds[-2:] == others[-2:])
    return common + 0.25 * edges if common >= 0.4 else 0.0

"""Near misses: utterances that sound like the wake phrase and are not it, made from its phonemes and from a word list.

Sounds are espeak mnemonics. A change keeps the kind of sound and moves its place (k -> t, m -> n, E -> V). Never changed are
voicing (k -> g), reduced vowels and mergers (cot and caught): many speakers do not tell these apart, so they would teach wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

import numpy as np

from wakesmith.voices import _espeak
from wakesmith.voices._base import Utterance
from wakesmith.voices._texts import letters

Word = list[str]  # the sounds of a word, each with its stress mark

NEAR = {
    "p": "t k f", "t": "p k s", "t#": "b n l", "k": "p t x", "b": "d g v", "d": "b g z", "g": "b d", "m": "n b", "n": "m d l",
    "N": "m", "f": "s T p S", "T": "f s S", "s": "f S T t", "S": "s f tS", "h": "f s w", "v": "z b w", "D": "z v l", "z": "v Z d",
    "Z": "z dZ", "tS": "S t k", "dZ": "Z d g", "l": "r w n j", "r": "l w", "w": "r v l", "j": "l w", "x": "k S",
    "i:": "eI u: E", "i": "eI u e", "I": "V a U", "E": "V aI oU", "e": "i o a", "eI": "aI i: oU", "a": "I eI U", "aa": "eI i: oU",
    "V": "E I i:", "0": "E aU I", "O2": "E aU I", "A:": "i: eI u:", "O:": "i: aU eI", "o": "u e a", "oU": "u: aU aI",
    "U": "E a eI",
    "u:": "oU i: aU", "u": "o i", "aI": "OI eI aU", "aU": "oU aI u:", "OI": "aI oU eI", "3:": "i: aU oU", "A@": "3: aU i:",
    "O@": "3: i: aI", "o@": "3: i: aI", "e@": "3: aU O@", "i@3": "O@ aU A@", "U@": "A@ aI",
}  # fmt: skip
SAME = {
    "a#": "@", "@2": "@", "@5": "@", "3": "@", "I2": "I", "i": "I", "i:": "I", "O2": "0", "A:": "0", "O:": "0", "aa": "a",
    "t#": "t", "t2": "t",
}  # fmt: skip
VOWEL = re.compile(r"[aeiouyAEIOUVYW@30&]")
STRESS = "',%=|"
FILL = ("b", "d", "k", "l", "m", "n", "s", "t")


def near_misses(
    phrase: str, language: str, n: int, word_list: list[str], rng: np.random.Generator, phonemes: bool = True
) -> list[Utterance]:
    """n utterances in drawn order, every kind equally often; `phonemes=False` leaves out those that only phonemes can tell.

    Distinct ones come first; when all have come they come again (for other speakers to say). Raises ConfigError without espeak.
    """
    kinds = candidates(phrase, language, word_list, phonemes)
    pools = [[made[i] for i in rng.permutation(len(made))] for made in kinds.values() if made]
    said = [pools[i % len(pools)][i // len(pools) % len(pools[i % len(pools)])] for i in range(n)]
    return [said[i] for i in rng.permutation(n)]


def candidates(phrase: str, language: str, word_list: list[str], phonemes: bool = True) -> dict[str, list[Utterance]]:
    """All near misses by kind, without any that holds the phrase's own sounds."""
    library = _espeak.library()
    wanted = _parsed(library.phonemes(phrase, language))
    listed = {word: _parsed(library.phonemes(word, language)) for word in word_list}
    known = {bare(sound) for words in [wanted, *listed.values()] for word in words for sound in word}
    target = reduced(wanted)
    spelled = phrase.split()
    found: dict[str, list[Utterance]] = {}

    def add(kind: str, text: str, words: list[Word], by_text: bool) -> None:
        if words and not holds(reduced(words), target) and letters(phrase) not in letters(text):
            told = _joined(words)
            shown = text if by_text else f"/{library.ipa(_espeak.spoken(told), language)}/"
            utterance = Utterance(shown, "" if by_text else told, kind)
            if utterance not in found.setdefault(kind, []):
                found[kind].append(utterance)

    if phonemes:
        for words in _changed(wanted, known):
            add("one sound changed", "", words, by_text=False)
            for twice in _changed(words, known, after=_first_change(wanted, words)):
                add("two sounds changed", "", twice, by_text=False)
        for words in _cut(wanted):
            add("part", "", words, by_text=False)
        for words in _longer(wanted, known):
            add("syllable added", "", words, by_text=False)
    for text in _parts(spelled):
        add("part", text, _parsed(library.phonemes(text, language)), by_text=True)
    for text in _reordered(spelled):
        add("other order", text, _parsed(library.phonemes(text, language)), by_text=True)
    for text in _alike(spelled, wanted, listed):
        add("like words", text, _parsed(library.phonemes(text, language)), by_text=True)
    return found or {"other words": [Utterance(word, "", "other words") for word in word_list]}


def bare(sound: str) -> str:
    """A sound without its stress mark."""
    return sound.lstrip(STRESS)


def reduced(words: list[Word]) -> list[str]:
    """All sounds in a row, without stress, and with those merged that some accents merge."""
    return [SAME.get(bare(sound), bare(sound)) for word in words for sound in word]


def holds(sounds: list[str], target: list[str]) -> bool:
    """Whether the target's sounds occur in a row."""
    return any(sounds[i : i + len(target)] == target for i in range(len(sounds) - len(target) + 1))


def _parsed(phonemes: str) -> list[Word]:
    return [[sound for sound in word.split("_") if bare(sound)] for word in phonemes.split()]


def _joined(words: list[Word]) -> str:
    return " ".join("_".join(word) for word in words)


def _is_vowel(sound: str) -> bool:
    return bool(VOWEL.match(bare(sound)))


def _changed(words: list[Word], known: set[str], after: tuple[int, int] = (-1, -1)) -> Iterator[list[Word]]:
    """Each sound in turn, past the place `after`, made into each of its neighbours that the language has."""
    for w, word in enumerate(words):
        for s, sound in enumerate(word):
            if (w, s) <= after or _takes_its_place_from_the_next(word, s):
                continue
            mark = sound[: len(sound) - len(bare(sound))]
            for other in NEAR.get(bare(sound), "").split():
                if other in known:
                    yield [*words[:w], [*word[:s], mark + other, *word[s + 1 :]], *words[w + 1 :]]


def _takes_its_place_from_the_next(word: Word, s: int) -> bool:
    """A nasal before a consonant: `compute` with n is still heard as `compute`."""
    return bare(word[s]) in ("m", "n", "N") and s + 1 < len(word) and not _is_vowel(word[s + 1])


def _first_change(old: list[Word], new: list[Word]) -> tuple[int, int]:
    return next((w, s) for w, word in enumerate(old) for s, sound in enumerate(word) if new[w][s] != sound)


def _cut(words: list[Word]) -> Iterator[list[Word]]:
    """Beginnings and ends that lack at least two sounds and keep at least three, a full vowel among them."""
    flat = [(w, sound) for w, word in enumerate(words) for sound in word]
    for size in range(3, len(flat) - 1):
        for piece in (flat[:size], flat[-size:]):
            if any(_is_vowel(sound) and SAME.get(bare(sound), bare(sound)) != "@" for _, sound in piece):
                kept = [[sound for at, sound in piece if at == w] for w in range(len(words))]
                yield [word for word in kept if word]


def _longer(words: list[Word], known: set[str]) -> Iterator[list[Word]]:
    """A syllable more inside: after any vowel but the last, so that the phrase is never whole."""
    vowels = [(w, s) for w, word in enumerate(words) for s, sound in enumerate(word) if _is_vowel(sound)]
    for w, s in vowels[:-1]:
        for consonant in FILL:
            for vowel in sorted({bare(words[a][b]) for a, b in vowels}):
                if consonant in known:
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


def _alike(spelled: list[str], wanted: list[Word], listed: dict[str, list[Word]], most: int = 24) -> Iterator[str]:
    """The list's words that begin or end most like each word of the phrase: alone, and in its place."""
    for at, word in enumerate(wanted if len(wanted) == len(spelled) else []):
        alike = {other: _likeness(reduced([word]), reduced(sounds)) for other, sounds in listed.items()}
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

"""Which sounds of a language are taken for each other, and which are one sound to many of its speakers.

Sounds are espeak mnemonics without stress. A change keeps the kind of sound and moves its place (k -> t, m -> n). Never changed
are voicing (k -> g), reduced vowels and mergers: many speakers do not tell these apart, so they would teach wrongly.
English has a table by hand, for its diphthongs and r-coloured vowels. In any other language the neighbours are read from the IPA
of its own sounds: those that occur in its word list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

ENGLISH_NEAR = {
    "p": "t k f", "t": "p k s", "t#": "b n l", "k": "p t x", "b": "d g v", "d": "b g z", "g": "b d", "m": "n b", "n": "m d l",
    "N": "m", "f": "s T p S", "T": "f s S", "s": "f S T t", "S": "s f tS", "h": "f s w", "v": "z b w", "D": "z v l", "z": "v Z d",
    "Z": "z dZ", "tS": "S t k", "dZ": "Z d g", "l": "r w n j", "r": "l w", "w": "r v l", "j": "l w", "x": "k S",
    "i:": "eI u: E", "i": "eI u e", "I": "V a U", "E": "V aI oU", "e": "i o a", "eI": "aI i: oU", "a": "I eI U", "aa": "eI i: oU",
    "V": "E I i:", "0": "E aU I", "O2": "E aU I", "A:": "i: eI u:", "O:": "i: aU eI", "o": "u e a", "oU": "u: aU aI",
    "U": "E a eI",
    "u:": "oU i: aU", "u": "o i", "aI": "OI eI aU", "aU": "oU aI u:", "OI": "aI oU eI", "3:": "i: aU oU", "A@": "3: aU i:",
    "O@": "3: i: aI", "o@": "3: i: aI", "e@": "3: aU O@", "i@3": "O@ aU A@", "U@": "A@ aI",
}  # fmt: skip
REDUCED = "@"
ENGLISH_SAME = {
    "a#": "@", "@2": "@", "@5": "@", "3": "@", "I2": "I", "i": "I", "i:": "I", "O2": "0", "A:": "0", "O:": "0", "aa": "a",
    "t#": "t", "t2": "t",
}  # fmt: skip
ENGLISH_VOWEL = re.compile(r"[aeiouyAEIOUVYW@30&]")

CONSONANTS = {  # IPA letters of a kind by place: lips, tip of the tongue, palate, back of the mouth
    "stop": ("p", "tʈ", "c", "kq"),
    "voiced stop": ("b", "dɖ", "ɟ", "ɡgɢ"),
    "affricate": ("", "ʦ", "ʧ", ""),
    "fricative": ("fɸ", "sθʂ", "ʃɕç", "xχhħ"),
    "voiced fricative": ("vβ", "zðʐ", "ʒʑʝ", "ɣʁɦʕ"),
    "nasal": ("mɱ", "nŋɳ", "ɲ", ""),  # many say ŋ for n at the end of a word
    "lateral": ("", "lɭɫ", "ʎ", ""),
    "rhotic": ("", "rɾɹɽ", "", "ʀ"),
    "glide": ("wʋ", "", "jɥ", "ɰ"),
}
VOWELS = (  # close, mid, open, each: front, front and rounded or central, back
    ("iɪ", "yʏɨʉ", "uʊɯ"),
    ("eɛ", "øœ", "oɔɤ"),
    ("æ", "aɐɑ", "ɒ"),
)
REDUCED_VOWELS = "əɘɵɜɚɝᵻ"
AFFRICATES = (("ts", "ʦ"), ("tʃ", "ʧ"), ("tɕ", "ʧ"), ("tʂ", "ʧ"))
BESIDE = [{"nasal", "voiced stop"}, {"nasal", "voiced fricative"}, {"lateral", "rhotic"}]
"""Kinds that are taken for each other at the same place."""
ACROSS = [{"affricate", "stop"}, {"affricate", "fricative"}]
"""Kinds that are taken for each other from one place to another."""


@dataclass(frozen=True)
class Sounds:
    """The sounds of one language."""

    near: Mapping[str, list[str]]
    """Sound -> those it can be changed into."""
    same: Mapping[str, str]
    """Sound -> the one it is to speakers who merge them; a reduced vowel -> `@`. A sound that is not here is itself."""
    vowels: frozenset[str]
    known: frozenset[str]
    """Those that occur."""

    def merged(self, sound: str) -> str:
        return self.same.get(sound, sound)


@dataclass(frozen=True)
class _Made:
    """How a sound is made."""

    kind: str
    place: tuple[int, ...]
    """Of a consonant one of four; of a vowel height and front to back, twice for a diphthong."""
    rest: str
    """Length, nasality, tone: what is no letter."""

    @property
    def merged(self) -> str:
        """Equal for sounds that speakers somewhere do not tell apart: Spanish s and z, y and ll, b and its soft form."""
        if self.kind in ("voiced fricative", "glide", "lateral") and self.place == (2,):
            return "palatal"
        return f"{'voiced' if self.kind.startswith('voiced') else self.kind}{self.place}"


def english(known: set[str]) -> Sounds:
    """The sounds that occur -> their neighbours by hand."""
    near = {sound: [other for other in others.split() if other in known] for sound, others in ENGLISH_NEAR.items()}
    return Sounds(near, ENGLISH_SAME, frozenset(filter(ENGLISH_VOWEL.match, known)), frozenset(known))


def from_ipa(inventory: Mapping[str, str]) -> Sounds:
    """Mnemonic -> IPA of every sound that occurs in a language, commonest first, to its neighbours."""
    made = {sound: how for sound, ipa in inventory.items() if (how := _made(ipa))}
    near = {sound: _neighbours(how, made) for sound, how in made.items()}
    same = {sound: REDUCED if how.kind == "reduced" else how.merged for sound, how in made.items()}
    vowels = frozenset(sound for sound, how in made.items() if how.kind in ("vowel", "reduced"))
    return Sounds(near, same, vowels, frozenset(inventory))


def _neighbours(how: _Made, made: Mapping[str, _Made]) -> list[str]:
    """Of those that are one sound to some speakers the one of the same kind, else the commonest."""
    found: dict[str, str] = {}
    for other, its in sorted(made.items(), key=lambda item: item[1].kind != how.kind):  # stable: commonest first
        if _near(how, its):
            found.setdefault(its.merged, other)
    return list(found.values())


def _made(ipa: str) -> _Made | None:
    """None for what is no sound that we know."""
    for two, one in AFFRICATES:
        ipa = ipa.replace(two, one)
    letters = [letter for letter in ipa if letter.isalpha() and letter not in "ːˑʰʲʷˤ"]
    rest = "".join(letter for letter in ipa if letter not in letters)
    if letters and letters[0] in REDUCED_VOWELS:
        return _Made("reduced", (), rest)
    cells = {one: (row, column) for row, line in enumerate(VOWELS) for column, cell in enumerate(line) for one in cell}
    if letters and len(letters) <= 2 and all(letter in cells for letter in letters):
        return _Made("vowel", tuple(number for letter in letters for number in cells[letter]), rest)
    for kind, places in CONSONANTS.items():
        for place, cell in enumerate(places):
            if len(letters) == 1 and letters[0] in cell:
                return _Made(kind, (place,), rest)
    return None


def _near(one: _Made, other: _Made) -> bool:
    if one.merged == other.merged or one.rest != other.rest or len(one.place) != len(other.place):
        return False
    if one.kind == other.kind == "vowel":
        # Up to two steps: e is near i, a and o, not u. Of a diphthong one part moves.
        steps = [abs(a - b) for a, b in zip(one.place, other.place, strict=True)]
        return sum(steps) <= 2 and (not any(steps[:2]) or not any(steps[2:]))
    if one.kind == other.kind:
        return one.kind != "reduced"
    kinds = {one.kind, other.kind}
    return kinds in BESIDE if one.place == other.place else kinds in ACROSS

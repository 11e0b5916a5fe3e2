"""Text for comparing and naming: whatever its case, however its accents are coded, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

APOSTROPHES = "'’"
WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai to Han


def composed(text: str) -> str:
    """Every accented letter as one (Unicode NFC): espeak reads n and a tilde after it as n."""
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """For comparing: small letters, composed. `SEÑOR` gives `señor`."""
    return composed(composed(text).casefold())


def is_letter(character: str) -> bool:
    """A letter, a digit, or a mark on one: the vowel signs of Hindi are marks."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def words(text: str) -> list[str]:
    """Folded words, apostrophes inside them kept. Scripts that set no spaces give a word a letter."""
    kept = "".join(one if is_letter(one) or one in APOSTROPHES else " " for one in folded(text))
    found = (word.strip(APOSTROPHES) for word in WITHOUT_SPACES.sub(r" \g<0> ", kept).split())
    return [word for word in found if word]


def holds(text: str, phrases: Sequence[str]) -> bool:
    """Whether any of the phrases occurs, in whole words."""
    return any(letters(phrase) in letters(text) for phrase in phrases)


def letters(text: str) -> str:
    """Words in small letters with one space around each, so that whole words are found: ` hey nova `."""
    return " " + " ".join(words(text)) + " "


def printable(text: str) -> str:
    """For a terminal or a file: what would move the cursor, turn the direction of writing or break UTF-8 is told by its number.

    Lines stay lines; `\\x1b[2J` gives `\\\\x1b[2J`.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)


def file_name(text: str) -> str:
    """`¡Señor López!` -> `señor_lópez`."""
    return "_".join("".join(one if is_letter(one) else " " for one in folded(text)).split())

"""Words and sentences to say: the shipped lists of a language, or files of one's own, one a line."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from wakesmith import text as texts
from wakesmith.errors import ConfigError

FOLDER = Path(__file__).parent


def words(language: str, path: str) -> list[str]:
    """Everyday words."""
    return _lines("words", language, path)


def sentences(language: str, path: str, phrases: list[str]) -> list[str]:
    """Everyday sentences in which no phrase occurs."""
    found = [line for line in _lines("sentences", language, path) if not texts.holds(line, phrases)]
    if not found:
        raise ConfigError(f"speak.sentences: every sentence holds {' or '.join(phrases)}. Name a file with other sentences.")
    return found


@cache
def foreign() -> dict[str, list[str]]:
    """Language -> some sixty of its everyday words, in its own writing."""
    lines = (FOLDER / "foreign_words.txt").read_text(encoding="utf-8").splitlines()
    parted = (line.split(": ", 1) for line in lines)
    return {language: texts.composed(words).split() for language, words in parted}


def check_script(phrase: str, language: str) -> None:
    """Raises ConfigError for letters that the language is not written in: in English espeak spells `привет` out.

    What a language is written in is what its list of words is; of one without, nothing is known.
    """
    known = foreign().get(base(language))
    if known is None and (FOLDER / f"words_{base(language)}.txt").is_file():
        known = words(language, "")
    usual = _scripts(known or [])
    if known and (strange := _scripts([phrase]) - usual):
        raise ConfigError(
            f"phrase: '{phrase}' has {' and '.join(sorted(strange))} letters, and '{base(language)}' is said from "
            f"{' and '.join(sorted(usual))} ones. Write it in those, or say its language: --set language=..."
        )


def _scripts(written: list[str]) -> set[str]:
    """The scripts of all letters, as Unicode names them: LATIN, CYRILLIC, CJK."""
    letters = {letter for text in written for letter in text if letter.isalpha() and unicodedata.category(letter) != "Lm"}
    return {unicodedata.name(letter).split()[0] for letter in letters - set("ªº")}


def base(language: str) -> str:
    """A region's language: es-419 -> es."""
    return language.lower().replace("_", "-").split("-")[0]


def _lines(key: str, language: str, path: str) -> list[str]:
    file = Path(path) if path else FOLDER / f"{key}_{base(language)}.txt"
    if not path and not file.is_file():
        there = ", ".join(sorted(found.stem.removeprefix(f"{key}_") for found in FOLDER.glob(f"{key}_*.txt")))
        raise ConfigError(
            f"speak.{key}: Wakesmith brings {key} for {there}, not for '{language}'. "
            f"Name a text file with one of them a line: --set speak.{key}=my_{key}.txt"
        )
    try:
        found = [line.strip() for line in texts.composed(file.read_text(encoding="utf-8")).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"speak.{key}: {file} cannot be read as UTF-8 text. Check the path.") from error
    if not found:
        raise ConfigError(f"speak.{key}: {file} is empty. Expected one of the {key} a line.")
    return found

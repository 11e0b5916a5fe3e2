"""Words and sentences to say: the shipped English lists, or files of one's own, one a line."""

from __future__ import annotations

import re
from pathlib import Path

from wakesmith.errors import ConfigError


def words(language: str, path: str) -> list[str]:
    """Everyday words."""
    return _lines("words", language, path)


def sentences(language: str, path: str, phrases: list[str]) -> list[str]:
    """Everyday sentences in which no phrase occurs."""
    found = [line for line in _lines("sentences", language, path) if not holds(line, phrases)]
    if not found:
        raise ConfigError(f"speak.sentences: every sentence holds {' or '.join(phrases)}. Name a file with other sentences.")
    return found


def holds(text: str, phrases: list[str]) -> bool:
    """Whether any of the phrases occurs, in whole words."""
    return any(letters(phrase) in letters(text) for phrase in phrases)


def letters(text: str) -> str:
    """Words in small letters with one space around each, so that whole words are found: ` hey nova `."""
    return " " + " ".join(re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())) + " "


def _lines(key: str, language: str, path: str) -> list[str]:
    if not path and language.lower().split("-")[0] != "en":
        raise ConfigError(
            f"speak.{key}: Wakesmith brings {key} for English only, not for '{language}'. "
            f"Name a text file with one of them a line: --set speak.{key}=my_{key}.txt"
        )
    file = Path(path) if path else Path(__file__).parent / f"{key}_en.txt"
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"speak.{key}: {file} cannot be read as UTF-8 text. Check the path.") from error
    if not found:
        raise ConfigError(f"speak.{key}: {file} is empty. Expected one of the {key} a line.")
    return found

"""Text is compared and named in any script, however its accents are coded."""

import unicodedata
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wakesmith import text
from wakesmith.cli._app import app, default_out
from wakesmith.data import classes
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe
from wakesmith.voices import _texts


def apart(words: str) -> str:
    """Letters and their marks as two signs each, as some keyboards and file systems write them."""
    return unicodedata.normalize("NFD", words)


@pytest.mark.parametrize("phrase", ["señor lópez", "despiértate", "Grüß Gott", "İyi günler", "नमस्ते दोस्त"])
def test_a_phrase_is_found_in_either_coding_and_any_case(phrase):
    for told in (phrase, phrase.upper(), apart(phrase), apart(phrase.upper())):
        assert text.holds(f"{told}, ¿qué tal?", [phrase])
        assert text.holds(phrase, [told])
        assert not text.holds(f"x{told}", [phrase])


def test_an_accent_makes_another_word():
    assert not text.holds("una papa asada", ["papá"])
    assert classes.plain("papá") != classes.plain("papa")


def test_a_word_is_found_in_scripts_without_spaces():
    assert text.holds("今天你好小智吗", ["你好小智"])
    assert not text.holds("今天你好小明吗", ["你好小智"])


@pytest.mark.parametrize("told", ["Señor_López", apart("señor lópez"), "  SEÑOR   LÓPEZ "])
def test_a_text_names_its_phrase_whatever_a_file_system_made_of_it(told):
    assert classes.plain(told) == classes.plain("señor lópez")


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("¡Señor López!", "señor_lópez"),
        (apart("despiértate"), "despiértate"),
        ("hey nova's", "hey_nova_s"),
        ("नमस्ते", "नमस्ते"),
        ("?!", ""),
    ],
)
def test_a_folder_is_named_by_the_phrase_with_its_accents(phrase, name):
    assert text.file_name(phrase) == name


def test_a_recipe_is_the_same_in_either_coding_of_its_phrase():
    assert _recipe.load({"phrase": apart("señor lópez")}) == _recipe.load({"phrase": "señor lópez"})
    with pytest.raises(ConfigError, match="named twice"):
        _recipe.load({"phrase": ["Señor López", apart("señor lópez")]})


def test_lists_of_ones_own_are_read_in_either_coding(tmp_path):
    (tmp_path / "words.txt").write_text(apart("niño\n"), encoding="utf-8")

    assert _texts.words("de", str(tmp_path / "words.txt")) == ["niño"]


def test_a_run_folder_keeps_the_accents_of_its_phrase():
    assert default_out(apart("¡Señor López!")) == Path("runs/señor_lópez")


@pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
def test_say_takes_a_language(tmp_path):
    for language in ("es", "en"):
        words = ["say", "oye nova", str(tmp_path / f"{language}.wav"), "--language", language]
        assert CliRunner().invoke(app, words).exit_code == 0

    assert (tmp_path / "es.wav").read_bytes() != (tmp_path / "en.wav").read_bytes()

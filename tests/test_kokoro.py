"""Which styles of Kokoro speak: the language's own, all with an accent, or those that are named."""

import numpy as np
import pytest

from wakesmith import registry
from wakesmith.config import part
from wakesmith.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "voices").mkdir()
    for name in ("af_one", "bm_two", "ef_three", "zm_four"):
        np.zeros(256, np.float32).tofile(tmp_path / "voices" / f"{name}.bin")
    return str(tmp_path)


def speakers(folder, **options):
    return registry.build("voices", part("voices", "kokoro", path=folder, **options)).speakers()


def test_styles_of_the_language_speak_it(folder):
    assert speakers(folder, mixes=0) == ["af_one", "bm_two"]
    assert speakers(folder, mixes=0, language="es") == ["ef_three"]


def test_with_accents_every_style_speaks_alone_and_mixed(folder):
    assert speakers(folder, mixes=0, accents=True) == ["af_one", "bm_two", "ef_three", "zm_four"]
    mixed = speakers(folder, mixes=30, accents=True)[4:]
    assert any("zm_four" in speaker for speaker in mixed)


def test_accents_beside_named_styles_are_refused(folder):
    with pytest.raises(ConfigError, match="give one of them"):
        speakers(folder, styles=["af_one"], accents=True)

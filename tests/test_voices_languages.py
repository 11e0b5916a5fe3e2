"""A voice speaks the language that was asked for, or says that it cannot."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from wakesmith import audio, registry
from wakesmith.config import part
from wakesmith.data.records import Recording, load_jsonl
from wakesmith.errors import ConfigError
from wakesmith.rng import rng
from wakesmith.steps import _recipe, say, speak
from wakesmith.voices import _espeak, _kokoro_sounds, _texts
from wakesmith.voices._base import Utterance

needs_espeak = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
needs_hibari = pytest.mark.skipif(find_spec("hibari") is None, reason="hibari-tts is not installed")
needs_piper = pytest.mark.skipif(find_spec("piper") is None, reason="piper-tts is not installed")
KOKORO = os.environ.get("WAKESMITH_KOKORO", "")
needs_kokoro = pytest.mark.skipif(not Path(KOKORO, "vocab.json").is_file(), reason="WAKESMITH_KOKORO names no folder with Kokoro")


def made(name, **options):
    return registry.build("voices", part("voices", name, **options))


@pytest.mark.parametrize("language", ["en", "es"])
def test_shipped_lists_are_long_distinct_and_composed(language):
    for lines, at_least in ((_texts.words(language, ""), 600), (_texts.sentences(language, "", ["hey nova"]), 200)):
        assert len(lines) >= at_least
        assert len(lines) == len(set(lines))
        assert "\n".join(lines) == _texts.texts.composed("\n".join(lines))


@pytest.mark.parametrize("region", ["es-419", "es-mx", "ES"])
def test_a_region_reads_the_lists_of_its_language(region):
    assert _texts.words(region, "") == _texts.words("es", "")
    assert _texts.sentences(region, "", ["oye nova"]) == _texts.sentences("es", "", ["oye nova"])


@pytest.mark.parametrize(("read", "key"), [(_texts.words, "words"), (lambda *given: _texts.sentences(*given, []), "sentences")])
def test_a_language_without_lists_names_those_there_are_and_the_way_out(read, key):
    with pytest.raises(ConfigError, match=rf"brings {key} for en, es, not for 'de'.*--set speak\.{key}=my_{key}\.txt"):
        read("de", "")


@needs_espeak
def test_every_foreign_language_has_words_that_espeak_says_each_in_its_own_way():
    lists, voice = _texts.foreign(), made("espeak", accents=["en-us"], variants=["f2"])
    heard = {}
    for language, words in lists.items():
        assert len(words) == len(set(words)) >= 50, language
        heard[language] = voice.say(Utterance("taxi radio 12", language=language), "en-us+f2", rng("foreign"))
    english = heard.pop("en")
    assert all(len(one) != len(english) or not np.array_equal(one, english) for one in heard.values())
    assert len({one.tobytes() for one in heard.values()}) == len(heard)


@needs_espeak
@pytest.mark.parametrize(
    ("language", "accents"), [("es", ["es", "es-419"]), ("es-419", ["es-419"]), ("es-mx", ["es-419"]), ("pt-br", ["pt-br"])]
)
def test_espeak_gives_every_accent_of_a_language_and_the_voice_that_names_a_region(language, accents):
    voice = made("espeak", language=language)

    assert voice.accents == accents
    assert len(voice.speakers()) > 70 * len(accents)


@needs_espeak
def test_a_region_that_no_voice_names_is_told_those_of_its_language():
    with pytest.raises(ConfigError, match=r"does not know 'es-ar'\. Of es there are: es, es-419, es-mx\."):
        made("espeak", language="es-ar")


@needs_espeak
def test_every_spanish_speaker_of_espeak_says_text_and_phonemes():
    voice = made("espeak", language="es")
    phonemes = _espeak.library().phonemes("ey ordenador", "es")
    for speaker in voice.speakers()[::7]:
        for utterance in (Utterance("ey ordenador"), Utterance("/x/", phonemes)):
            assert 0.5 < len(voice.say(utterance, speaker, rng(1))) / audio.SAMPLE_RATE_HZ < 2.0, (speaker, utterance)


@needs_espeak
def test_spanish_is_not_read_by_english_rules():
    library = _espeak.library()

    assert library.ipa("oye nova", "es") == "ˈoʝe nˈoβa"
    assert library.ipa("cerveza", "es-419") == "seɾβˈesa"


@needs_espeak
def test_kokoro_gets_spanish_in_its_own_letters():
    vocab = set("ˈˌ abdefiklmnopstuwxzɲʎʝβðɣɾθʧAIOQWrj")

    assert _kokoro_sounds.from_espeak(Utterance("ey ordenador"), "es") == "ˈA ˌoɾðenaðˈoɾ"
    for text in (*_texts.words("es", ""), *_texts.sentences("es", "", [])):
        assert not set(_kokoro_sounds.from_espeak(Utterance(text), "es")) - vocab - set("¿?¡!.,ŋɡʊɪɛː\n"), text


@needs_kokoro
@pytest.mark.parametrize("language", ["es", "es-419"])
def test_kokoro_speaks_spanish_by_its_spanish_styles(language):
    voice = made("kokoro", path=KOKORO, language=language, mixes=2)

    assert voice.styles == ["ef_dora", "em_alex", "em_santa"]
    for speaker in voice.speakers():
        assert 0.5 < len(voice.say(Utterance("ey ordenador"), speaker, rng(1))) / audio.SAMPLE_RATE_HZ < 2.5


@needs_kokoro
def test_kokoro_says_words_of_another_language_by_its_rules():
    voice = made("kokoro", path=KOKORO, mixes=0)
    sounds = {
        language: voice._sounds(Utterance("cena noble", language=language), "af_heart") for language in ["", *voice.foreign]
    }

    assert sounds[""] == sounds["en"]
    assert sounds["it"].startswith("ʧ")
    assert len(set(sounds.values())) == len(sounds) - 1
    voice.say(Utterance("cena", language="it"), "af_heart", rng(1))


@needs_hibari
@pytest.mark.parametrize("language", ["es", "enm"])
def test_hibari_refuses_what_is_not_english(language):
    with pytest.raises(ConfigError, match=rf"English only, not '{language}'.*speak\.voices=\[espeak\]"):
        made("hibari", language=language)


@needs_hibari
def test_speak_stops_at_a_voice_that_cannot_speak_the_language(tmp_path):
    from types import SimpleNamespace

    settings = speak.Settings(voices=[part("voices", "espeak"), part("voices", "hibari")], n_wake=2, n_near_miss=0, n_speech=0)
    with pytest.raises(ConfigError, match="English only"):
        speak.run(SimpleNamespace(phrases=["oye nova"], language="es", seed=1, speak=settings), tmp_path)
    assert not (tmp_path / "speak").exists()


@pytest.mark.parametrize(
    ("language", "speak_it"), [("en", ["espeak", "hibari"]), ("en-gb", ["espeak", "hibari"]), ("es", ["espeak"])]
)
def test_a_voice_may_be_for_phrases_of_some_languages_alone(language, speak_it):
    voices = speak.taking_part([part("voices", "espeak"), part("voices", "hibari", only_for=["en"])], language)

    assert [voice.name for voice in voices] == speak_it
    assert {voice.language for voice in voices} == {language}


def test_a_phrase_that_no_voice_is_for_is_refused():
    with pytest.raises(ConfigError, match=r"none is for phrases in 'es'.*speak\.voices=\[espeak\]"):
        speak.taking_part([part("voices", "hibari", only_for=["en"])], "es")


@needs_espeak
@pytest.mark.parametrize("preset", ["quick", "standard", "esphome"])
def test_every_preset_speaks_spanish_without_hibari(tmp_path, capsys, preset):
    few = {"n_wake": 2, "n_near_miss": 0, "n_speech": 4}
    recipe = _recipe.load({"phrase": "oye nova", "language": "es", "speak": few}, preset=preset)

    speak.run(recipe, tmp_path)

    assert "without hibari, which `only_for` keeps from phrases in 'es'" in capsys.readouterr().err
    assert {r.source for r in load_jsonl(tmp_path / "speak" / "recordings.jsonl", Recording)} == {"espeak"}


@needs_piper
@pytest.mark.parametrize(
    ("card", "speaks"), [({"espeak": {"voice": "es-419"}}, "es"), ({"language": {"code": "es_MX"}}, "es-mx")]
)
def test_a_piper_voice_speaks_the_language_of_its_file_and_no_other(tmp_path, card, speaks):
    (tmp_path / "voice.onnx").write_bytes(b"")
    (tmp_path / "voice.onnx.json").write_text(json.dumps(card))

    assert made("piper", path=str(tmp_path / "voice.onnx"), language=speaks).speakers() == ["voice"]
    with pytest.raises(ConfigError, match="not 'en'"):
        made("piper", path=str(tmp_path / "voice.onnx"), language="en")


@needs_piper
def test_a_piper_voice_that_names_no_language_is_refused(tmp_path):
    (tmp_path / "voice.onnx").write_bytes(b"")
    (tmp_path / "voice.onnx.json").write_text("{}")

    with pytest.raises(ConfigError, match="does not name"):
        made("piper", path=str(tmp_path / "voice.onnx"), language="es")


@needs_espeak
def test_say_speaks_the_language_it_is_asked_for(tmp_path):
    for language in ("es", "en"):
        say.run(
            "oye nova", tmp_path / f"{language}.wav", part("voices", "espeak", language=language, variants=["f2"]), None, None, 1
        )

    spanish, english = (audio.read(tmp_path / f"{language}.wav") for language in ("es", "en"))
    assert len(spanish) != len(english) or not np.array_equal(spanish, english)

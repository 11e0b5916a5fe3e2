"""English with an accent: full vowels as they are spelled, sounds of another language, in Kokoro's alphabet."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from wakesmith import registry
from wakesmith.config import part
from wakesmith.rng import rng
from wakesmith.voices._accents import ACCENTS, accented
from wakesmith.voices._base import Utterance

SOUNDS = "kəmpjˈuTəɹ"
ALPHABET = "abdefhijklmnoprstuvwxzɑɐɒɛɔəɜɪʊʌæᵊᵻAIOQWYTɹɾʁʈɖʋɸɯœɨʃʒʧʤθðŋˈˌ "
LENGTH = 9_000


def spoken_by_all(sounds, text):
    return {accented(sounds, text, rng(1, "accent", i)) for i in range(200)}


def test_a_reduced_vowel_becomes_the_one_that_is_spelled():
    said = spoken_by_all(SOUNDS, "computer")
    assert {one.replace("ˌ", "")[:3] for one in said} == {"kom"}
    assert {"kompjˈuteɾ", "kompjˈuʈeɾ", "kˌompjˈutˌeʁ", "kˌompjˈutˌeɹ"} <= said


@pytest.mark.parametrize("text", ["", "computers of two"])
def test_without_a_spelling_full_vowels_are_drawn(text):
    assert {said.replace("ˌ", "")[1] for said in spoken_by_all(SOUNDS, text)} == {"a", "e", "o"}


def test_words_keep_their_number_and_their_stress():
    for said in spoken_by_all("hˈA nˈOvə", "hey nova"):
        assert len(said.split()) == 2
        assert said.count("ˈ") == 2


def test_no_accent_leaves_a_word_as_it_was_or_takes_its_vowels_away():
    for accent in ACCENTS.values():
        said = SOUNDS.translate(str.maketrans(accent))
        assert said != SOUNDS
        assert len(said) >= len(SOUNDS) - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in Kokoro's form whose sound says which tokens it got: a tone as high as their sum."""
    folder = tmp_path_factory.mktemp("kokoro")
    (folder / "voices").mkdir()
    for name in ("af_one", "ef_two"):
        np.zeros(256, np.float32).tofile(folder / "voices" / f"{name}.bin")
    (folder / "vocab.json").write_text(json.dumps({"vocab": {sound: n + 1 for n, sound in enumerate(ALPHABET)}}))
    ramp = (np.arange(LENGTH) * 2 * np.pi * 4 / 24_000).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["ramp", "sum"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["tone"]),
        helper.make_node("ReduceSum", ["style"], ["none"], keepdims=0),
        helper.make_node("Add", ["tone", "none"], ["styled"]),
        helper.make_node("Sub", ["speed", "speed"], ["nothing"]),
        helper.make_node("Add", ["styled", "nothing"], ["audio"]),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, None]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    outputs = [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [LENGTH])]
    graph = helper.make_graph(nodes, "told", inputs, outputs, [onnx.numpy_helper.from_array(ramp, "ramp")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "kokoro.onnx")
    return str(folder)


def pitches(folder, speaker, share, language="en", utterance=None):
    voice = registry.build(
        "voices", part("voices", "kokoro", path=folder, accents=True, accent_share=share, language=language, mixes=0)
    )
    said = [voice.say(utterance or Utterance("computer"), speaker, rng(1, "say", i)) for i in range(12)]
    return {int(np.abs(np.fft.rfft(samples, 16_000)).argmax()) for samples in said}


def test_the_share_says_how_often_a_style_of_another_language_has_an_accent(folder):
    assert len(pitches(folder, "ef_two", 0.0)) == 1
    assert len(pitches(folder, "ef_two", 1.0)) > 3
    assert pitches(folder, "ef_two", 0.0).isdisjoint(pitches(folder, "ef_two", 1.0))
    assert pitches(folder, "ef_two", 0.0) < pitches(folder, "ef_two", 0.5)


def test_a_mixture_with_such_a_style_has_an_accent(folder):
    assert len(pitches(folder, "af_one+ef_two@0.50", 1.0)) > 3


def test_styles_of_english_and_other_languages_have_none(folder):
    assert len(pitches(folder, "af_one", 1.0)) == 1
    assert len(pitches(folder, "af_one", 1.0, language="es")) == 1


def test_phonemes_have_an_accent_too(folder):
    utterance = Utterance("/kəmpjˈiːtɚ/", "k_@_m_p_j_'i:_t_3", "one sound changed")
    assert len(pitches(folder, "ef_two", 1.0, utterance=utterance)) > 3

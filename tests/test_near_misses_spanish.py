"""Near misses of other languages are made of their own sounds: Spanish in full, others where they differ from it."""

from importlib.util import find_spec

import pytest

from wakesmith import text
from wakesmith.rng import rng
from wakesmith.voices import _confusions, _espeak, _near_misses, _texts

pytestmark = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
PHRASES = ["oye nova", "ey ordenador", "despiértate", "señor lópez"]


def words():
    return _texts.words("es", "")


def sounds(text, language="es"):
    return [_near_misses.bare(sound) for sound in _near_misses._flat(_espeak.library().phonemes(text, language))]


def told(utterance, language):
    return utterance.phonemes or _espeak.library().phonemes(utterance.text, language)


@pytest.mark.parametrize("language", ["es", "es-419"])
@pytest.mark.parametrize("phrase", PHRASES)
def test_no_near_miss_is_the_phrase_to_any_speaker_of_the_language(phrase, language):
    merged = {"T": "s", "l^": "J^", "j": "J^", "B": "b", "D": "d", "Q": "g", "E": "e", "N": "n", "R2": "r", "**": "r"}
    target = [merged.get(sound, sound) for sound in sounds(phrase, language)]
    for utterance in _near_misses.near_misses(phrase, language, 300, words(), rng(1)):
        said = [merged.get(sound, sound) for sound in _near_misses._flat(told(utterance, language))]

        assert not _near_misses.holds(said, target), utterance
        assert not text.holds(utterance.text, [phrase])


@pytest.mark.parametrize("phrase", PHRASES)
def test_one_changed_sound_keeps_the_stress_and_stays_in_the_language(phrase):
    own = [sound for word in _near_misses._parsed(_espeak.library().phonemes(phrase, "es")) for sound in word]
    known = {sound for word in words() for sound in sounds(word)}
    changed = _near_misses.candidates(phrase, "es", words())["one sound changed"]

    assert len(changed) > 15
    for utterance in changed:
        new = [sound for word in _near_misses._parsed(utterance.phonemes) for sound in word]
        marks = [(a.rstrip(_near_misses.bare(a)), b.rstrip(_near_misses.bare(b))) for a, b in zip(own, new, strict=True)]
        assert sum(a != b for a, b in zip(own, new, strict=True)) == 1
        assert all(a == b for a, b in marks)
        assert {_near_misses.bare(sound) for sound in new} <= known


def test_the_five_vowels_move_to_their_neighbours():
    near = _near_misses._sounds("es", words()).near

    assert {vowel: set(near[vowel]) for vowel in "aeiou"} == {
        "a": {"e", "o"}, "e": {"i", "a", "o"}, "i": {"e", "u"}, "o": {"u", "a", "e"}, "u": {"o", "i"},
    }  # fmt: skip
    assert set(near["eI"]) == {"aI", "oI", "eU"}


def test_sounds_that_some_speakers_merge_are_never_exchanged():
    found = _near_misses._sounds("es", words())

    for one, other in [("s", "T"), ("l^", "J^"), ("j", "J^"), ("b", "B"), ("d", "D"), ("g", "Q"), ("R2", "**"), ("n", "N")]:
        assert found.merged(one) == found.merged(other)
        assert other not in found.near[one]
    for one, other in [("p", "b"), ("t", "d"), ("k", "g"), ("m", "n^")]:
        assert found.merged(one) != found.merged(other)
    assert not {"b", "d", "g"} & {*found.near["p"], *found.near["t"], *found.near["k"]}


def test_spanish_near_misses_come_in_every_kind_with_parts_and_words_of_the_list():
    made = _near_misses.candidates("oye nova", "es", words())

    kinds = {"one sound changed", "two sounds changed", "part", "syllable added", "other order", "like words"}
    assert set(made) == kinds
    assert {"oye", "nova"} <= {utterance.text for utterance in made["part"]}
    assert {"olla", "oye novia"} <= {utterance.text for utterance in made["like words"]}
    assert "/ˈoʝe mˈoβa/" in {utterance.text for utterance in made["one sound changed"]}


def test_the_words_say_what_sounds_there_are():
    listed = _near_misses._sounds("fr", ["chat", "bon", "vin", "rue", "eau", "peu"])

    assert {_espeak.library().ipa(_espeak.spoken(sound), "fr") for sound in listed.vowels} >= {"a", "y"}
    assert not _near_misses._sounds("fr", ["chat"]).near["a"]


def test_length_nasality_and_reduced_vowels_are_kept():
    near = _confusions.from_ipa({"u:": "uː", "o:": "oː", "o": "o", "O~": "ɔ̃", "E~": "ɛ̃", "@": "ə", "e": "e"})

    assert near.near == {"u:": ["o:"], "o:": ["u:"], "o": ["e"], "O~": ["E~"], "E~": ["O~"], "@": [], "e": ["o"]}
    assert near.merged("@") == _confusions.REDUCED


def test_a_language_without_any_near_sound_still_has_parts_and_words():
    made = _near_misses.candidates("你好小智", "cmn", ["你好", "天气"])

    assert made["part"]

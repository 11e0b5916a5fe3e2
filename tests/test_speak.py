"""speak makes recordings whose phrase lies where they say, the same for a seed however often it is interrupted."""

import itertools
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from wakesmith import audio
from wakesmith.config import parse, part
from wakesmith.data.records import Recording, load_jsonl
from wakesmith.errors import ConfigError
from wakesmith.steps import _to_say, speak
from wakesmith.voices import _espeak, _near_misses, _texts

pytestmark = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")


def recipe(phrase="hey nova", seed=1, language="en", **options):
    options = {"n_wake": 20, "n_near_miss": 12, "n_speech": 8, "before_share": 0.3, "after_share": 0.3, "jobs": 1, **options}
    phrases = [phrase] if isinstance(phrase, str) else phrase
    return SimpleNamespace(phrases=phrases, language=language, seed=seed, speak=speak.Settings(**options))


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "speak").iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return speak.run(recipe(), folder)


def recordings(out):
    return load_jsonl(out / "recordings.jsonl", Recording)


def test_every_kind_is_made_by_many_speakers(made):
    found = recordings(made)

    assert [sum(r.label == label for r in found) for label in ("wake", "near_miss", "speech")] == [20, 12, 8]
    assert len({r.speaker for r in found}) == 20
    assert all(r.speaker.startswith("espeak/") and r.source == "espeak" and r.licence for r in found)


def test_the_phrase_is_loud_inside_its_bounds_and_the_gap_beside_it_is_silent(made):
    for recording in recordings(made):
        samples = audio.read(made / recording.path)
        assert len(samples) == recording.n_samples
        if recording.label == "speech":
            assert recording.phrase_end == 0
            continue
        phrase = samples[recording.phrase_start : recording.phrase_end]
        assert 0 <= recording.phrase_start < recording.phrase_end <= recording.n_samples
        assert audio.speech_bounds(phrase) == (0, len(phrase) // 160 * 160)
        around = samples[recording.phrase_end : recording.phrase_end + 320]
        assert np.abs(around[-100:]).max(initial=0) < 0.05 * np.abs(phrase).max()


def test_words_that_are_almost_the_phrase_are_no_other_speech(tmp_path):
    """In everyday words they come far too often, and the threshold would be set by them."""
    (tmp_path / "words.txt").write_text("compute\nfabric\nbanana\ncommuter\n")
    wanted = recipe("computer", words=str(tmp_path / "words.txt"), n_near_miss=12, n_speech=200)

    items = _to_say.plan(wanted.speak, wanted.speak.voices, wanted.phrases, "en", 1)

    said = {word for item in items if item.label == "speech" for word in item.utterance.text.split()}
    assert {"fabric", "banana"} <= said
    assert not {"compute", "commuter"} & said
    assert {"compute", "commuter"} <= {item.utterance.text for item in items if item.label == "near_miss"}


def test_wake_and_near_miss_stand_alone_and_beside_other_speech(made):
    for label in ("wake", "near_miss"):
        found = [r for r in recordings(made) if r.label == label]
        assert any(r.phrase_start > 8_000 for r in found)
        assert any(r.n_samples - r.phrase_end > 8_000 for r in found)
        assert any(r.n_samples - r.phrase_end < 1_600 and r.phrase_start < 1_600 for r in found)


def test_an_interrupted_run_goes_on_to_the_same_bytes(made, tmp_path):
    whole = files(made.parent)
    settings = recipe()
    speak.run(settings, tmp_path)
    for path in sorted((tmp_path / "speak").glob("near_miss-*.flac"))[:2]:
        path.unlink()
    next((tmp_path / "speak" / "whole").iterdir()).unlink()
    (tmp_path / "speak" / "recordings.jsonl").unlink()

    speak.run(settings, tmp_path)

    assert files(tmp_path) == whole


def test_what_is_whole_is_not_made_again(made):
    before = {path: path.stat().st_mtime_ns for path in made.glob("*.flac")}

    speak.run(recipe(), made.parent)

    assert before == {path: path.stat().st_mtime_ns for path in made.glob("*.flac")}


def test_processes_make_the_same_bytes_as_one(made, tmp_path):
    speak.run(recipe(jobs=2), tmp_path)

    assert files(tmp_path) == files(made.parent)


def test_slow_and_quick_voices_are_made_among_each_other(tmp_path, monkeypatch):
    voices = [part("voices", "espeak", variants=["m1"]), part("voices", "espeak", variants=["f1"])]
    order, spoken = [], speak.spoken
    monkeypatch.setattr(speak, "spoken", lambda voice, item, *rest: order.append(item.voice) or spoken(voice, item, *rest))

    speak.run(recipe(voices=voices, n_wake=80, n_near_miss=0, n_speech=0), tmp_path)

    assert sorted(order) == [0] * 40 + [1] * 40
    assert sum(one != other for one, other in itertools.pairwise(order)) >= 3  # voice by voice it would be once


def test_more_of_a_kind_keeps_what_was_said(tmp_path):
    """Hours of natural voices are not thrown away because there shall be more, or another voice beside them."""
    first, second = part("voices", "espeak", variants=["m1"]), part("voices", "espeak", variants=["f1"])
    out = speak.run(recipe(voices=[first], n_wake=16, n_near_miss=16, n_speech=16), tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.flac")}
    fewer = first.model_copy(update={"share": 3.0})

    speak.run(recipe(voices=[fewer, second], n_wake=40, n_near_miss=22, n_speech=24), tmp_path)

    now = {path.name: path.stat().st_mtime_ns for path in out.glob("*.flac")}
    assert len(before) == 48
    assert len(now) == 86
    assert {name: now.get(name) for name in before} == before


def test_two_voices_of_one_name_are_told_apart():
    voices = [part("voices", "espeak", variants=["m1"]), part("voices", "espeak", variants=["f1"])]

    items = _to_say.plan(speak.Settings(n_wake=4, n_near_miss=0, n_speech=0), voices, ["hey nova"], "en", 1)

    assert [item.id[:-2] for item in items] == ["wake-espeak-0000"] * 2 + ["wake-espeak2-0000"] * 2
    assert len({item.id for item in items}) == 4


def test_another_plan_leaves_nothing_of_the_last_one(tmp_path):
    speak.run(recipe(n_wake=6, n_near_miss=0, n_speech=0), tmp_path)

    speak.run(recipe(phrase="alexa", n_wake=3, n_near_miss=0, n_speech=0), tmp_path)

    assert {r.text for r in recordings(tmp_path / "speak")} == {"alexa"}
    assert len(list((tmp_path / "speak").glob("*.flac"))) == 3


def test_voices_share_the_work(tmp_path):
    voices = [part("voices", "espeak", variants=["m1"], share=3.0), part("voices", "espeak", variants=["f1"])]

    assert _to_say.split_by_share(8, voices, "wake") == [6, 2]
    items = _to_say.plan(speak.Settings(n_wake=8, n_near_miss=0, n_speech=0), voices, ["hey nova"], "en", 1)
    assert [item.speaker.split("+")[1] for item in items] == ["m1"] * 6 + ["f1"] * 2


def test_a_voice_may_have_a_share_of_each_kind():
    own = {"wake": 3.0, "speech": 0}
    voices = [part("voices", "espeak", variants=["m1"], share=own), part("voices", "espeak", variants=["f1"])]

    shared = {label: _to_say.split_by_share(8, voices, label) for label in _to_say.LABELS_MADE}

    assert shared == {"wake": [6, 2], "near_miss": [4, 4], "speech": [0, 8]}
    with pytest.raises(ConfigError, match=r"no voice has a share of speech, and speak.n_speech is 8"):
        _to_say.split_by_share(8, voices[:1], "speech")
    assert _to_say.split_by_share(0, voices[:1], "speech") == [0]


@pytest.mark.parametrize("share", [0, -1.0, True, "much", {"wake": -1.0}, {"wakes": 1.0}])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="share"):
        part("voices", "espeak", share=share)


def test_another_language_speaks_from_lists_of_its_own(tmp_path):
    (tmp_path / "words.txt").write_text("casa\nmesa\nnoche\n")
    (tmp_path / "sentences.txt").write_text("La casa es grande.\n")
    lists = {"words": str(tmp_path / "words.txt"), "sentences": str(tmp_path / "sentences.txt")}

    out = speak.run(recipe("hola luna", language="es", n_wake=2, n_near_miss=4, n_speech=2, **lists), tmp_path)

    assert {r.speaker.split("/")[1].split("+")[0] for r in recordings(out)} <= {"es", "es-419"}


def test_a_part_of_other_speech_is_said_in_other_languages(tmp_path):
    asked = recipe(n_speech=40, n_wake=0, n_near_miss=0)
    voices = asked.speak.voices
    plain = _to_say.plan(asked.speak, voices, ["hey nova"], "en", 1)
    some = _to_say.plan(asked.speak.model_copy(update={"foreign_share": 0.5}), voices, ["hey nova"], "en", 1)

    assert some[:20] == plain[:20]  # what was made stays
    assert all(not item.utterance.language for item in plain)
    languages = [item.utterance.language for item in some[20:]]
    assert "" not in languages
    assert "en" not in languages
    assert set(languages) >= {"it", "ru", "ja"}
    assert "es" not in {item.utterance.language for item in _to_say.plan(asked.speak, voices, ["hola nova"], "es-mx", 1)}
    kept = _to_say.foreign_speech(60, {"it": ["casa", "acqua", "sole"]}, ["casa"], np.random.default_rng(0))
    assert {word for said in kept for word in said.text.split()} == {"acqua", "sole"}
    pairs = _to_say.foreign_speech(60, {"it": ["casa", "acqua"]}, ["casa acqua"], np.random.default_rng(0))
    assert not any("casa acqua" in said.text for said in pairs)


def test_a_language_of_which_no_word_is_left_is_left_out():
    lists = {"it": ["casa"], "ru": ["дом"]}
    said = list(_to_say.foreign_speech(4, lists, ["casa"], np.random.default_rng(0)))

    assert {one.language for one in said} == {"ru"}
    with pytest.raises(ConfigError, match=r"each of it, ru holds a phrase.*--set speak\.foreign_share=0"):
        list(_to_say.foreign_speech(4, lists, ["casa", "дом"], np.random.default_rng(0)))


def test_a_voice_that_knows_one_language_says_no_other(tmp_path):
    settings = recipe(n_speech=8, foreign_share=1.0).speak
    voices = [part("voices", "command", run=[sys.executable, "{text}", "{output}"], licence="CC0-1.0")]
    assert not any(item.utterance.language for item in _to_say.plan(settings, voices, ["hey nova"], "en", 1))


def test_a_language_without_lists_stops_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r"for en, es, not for 'de'.*--set speak.words="):
        speak.run(recipe("hallo mond", language="de"), tmp_path)
    assert not (tmp_path / "speak").exists()


def test_a_phrase_without_letters_stops_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match="letters"):
        speak.run(recipe("123"), tmp_path)


def test_settings_that_cannot_be_are_told_together():
    with pytest.raises(ConfigError, match="2 problems"):
        parse(speak.Settings, {"gap_ms": [9, 1], "n_wake": -1}, "speak")


def test_several_phrases_are_said_equally_often_and_are_no_near_misses_of_each_other(tmp_path):
    phrases = ["hey nova", "nova"]
    out = speak.run(recipe(phrases, n_wake=6, n_near_miss=12, n_speech=2), tmp_path)

    made = load_jsonl(out / "recordings.jsonl", Recording)
    assert sorted(one.text for one in made if one.label == "wake") == ["hey nova"] * 3 + ["nova"] * 3
    assert not any(one.text in phrases for one in made if one.label == "near_miss")


@pytest.mark.parametrize("phrases", [["hey luna", "hey lena"], ["hey nova", "nova"]])
def test_no_near_miss_of_a_phrase_holds_the_sounds_of_another(phrases):
    library, words = _espeak.library(), _texts.words("en", "")
    sounds = _near_misses._sounds("en", [*phrases, *words])

    def heard(phonemes):
        return _near_misses.reduced(_near_misses._parsed(phonemes), sounds)

    by_phrase = _to_say._near_misses_of(phrases, "en", 2_000, words, lambda kind: np.random.default_rng(len(kind)), True)
    made = [said for own in by_phrase.values() for said in own]

    assert len(by_phrase) == len(phrases)
    assert len(made) == 2_000
    for said in made:
        own = heard(said.phonemes or library.phonemes(said.text, "en"))
        assert not any(_near_misses.holds(own, heard(library.phonemes(phrase, "en"))) for phrase in phrases), said


def test_nothing_asked_for_is_nothing_spoken(tmp_path):
    out = speak.run(recipe(n_wake=0, n_near_miss=0, n_speech=0), tmp_path)

    assert load_jsonl(out / "recordings.jsonl", Recording) == []

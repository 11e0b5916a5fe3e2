"""The promises about leaks, each with the case planted: what was learned is never what judges, and dev never passes for test.

Beside it: copies across splits (test_prepare), mined sounds (test_mine: test is never heard), the feedback of the page
(test_web_judge), the report of dev figures (test_report), and each change of a copy by itself (test_duplicates).
"""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.test_duplicates import babble
from tests.test_evaluate import prepared, recipe
from tests.test_mine import made_round
from tests.test_prepare import go, hiss, spoken
from tests.test_report import a_report
from wakesmith import audio, report
from wakesmith.cli._app import report_of
from wakesmith.data import splits
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import Clip, Recording
from wakesmith.errors import DataError
from wakesmith.steps import _kept_out, _rounds, evaluate, learn

RATE = audio.SAMPLE_RATE_HZ


def at_rate(samples: np.ndarray, rate_hz: int) -> tuple[np.ndarray, int]:
    return soxr.resample(samples, RATE, rate_hz), rate_hz


def stereo(samples: np.ndarray) -> np.ndarray:
    return np.stack([samples, samples], axis=1)


PLANTED = {
    "the same bytes.wav": lambda one: (one, RATE, "PCM_16"),
    "resampled.wav": lambda one: (*at_rate(one, 44_100), "PCM_16"),
    "of a telephone.wav": lambda one: (*at_rate(one, 8_000), "PCM_16"),
    "quieter.wav": lambda one: (0.1 * one, RATE, "PCM_16"),
    "clipped.wav": lambda one: (np.clip(4 * one, -1, 1), RATE, "PCM_16"),
    "turned over.wav": lambda one: (-one, RATE, "PCM_16"),
    "trimmed.wav": lambda one: (one[3_000:-2_000], RATE, "PCM_16"),
    "later.wav": lambda one: (np.concatenate([np.zeros(7_777), one]), RATE, "PCM_16"),
    "in another.wav": lambda one: (np.concatenate([babble(90, 4.0), one, babble(91, 4.0)]), RATE, "PCM_16"),
    "24 bit stereo.flac": lambda one: (*at_rate(stereo(one), 48_000), "PCM_24"),
    "coded.mp3": lambda one: (*at_rate(one, 44_100), "MPEG_LAYER_III"),
    "coded.opus": lambda one: (*at_rate(one, 48_000), "OPUS"),
    "all at once.ogg": lambda one: (*at_rate(stereo(0.3 * one[2_000:]), 22_050), "VORBIS"),
}


def planted(folder: Path, name: str, sound: np.ndarray) -> Path:
    """A changed copy of a sound, as a file."""
    samples, rate_hz, subtype = PLANTED[name](sound)
    folder.mkdir(parents=True, exist_ok=True)
    kind = {"opus": "OGG", "ogg": "OGG"}.get(name.rpartition(".")[2])
    soundfile.write(folder / name, samples, rate_hz, subtype=subtype, format=kind)
    return folder / name


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[AudioStore, dict[str, str], str]:
    """A run whose hard negatives hold every planted copy of its test clips -> (store, copy -> original, what was said)."""
    place = tmp_path_factory.mktemp("mixed")
    (place / "judges").mkdir()
    originals = {}
    for number, name in enumerate(PLANTED):
        sound = babble(number)
        audio.write(place / "judges" / f"{number}.wav", sound)
        planted(place / "negatives", name, sound)
        originals[name] = f"{number}.wav"
    for number in range(3):
        audio.write(place / "negatives" / f"fair-{number}.wav", babble(50 + number))
    sources = [
        {"path": str(place / name), "label": label, "split": split}
        for name, label, split in (("judges", "wake", "test"), ("negatives", "speech", "train"))
    ]
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("wakesmith.steps._leakage.say", said.append)
        store = go(spoken(place / "run", speakers=4), *sources, n_generated=2)
    return store, originals, "\n".join(said)


@pytest.mark.parametrize("name", PLANTED)
def test_a_test_clip_among_the_hard_negatives_is_left_out_and_both_files_are_named(mixed, name):
    store, originals, _ = mixed
    rows = json.loads((store.folder / "leakage.json").read_text())["copies_across_splits"]

    (row,) = [row for row in rows if f"/{name} (" in row["left_out"]]
    assert f"judges/{originals[name]} (judges, test)" in row["kept"]
    assert f"negatives/{name}" not in store.recordings


def test_what_is_no_copy_stays_and_the_first_copy_is_said(mixed):
    store, originals, said = mixed

    assert {f"negatives/fair-{number}.wav" for number in range(3)} <= set(store.recordings)
    assert f"prepare: {len(originals)} copies across splits left out" in said
    assert "(negatives, train) is the same sound as " in said


def test_dev_given_again_as_test_is_no_test(tmp_path):
    for name in ("dev", "test"):
        for number in range(4):
            (tmp_path / name).mkdir(exist_ok=True)
            audio.write(tmp_path / name / f"{number}.wav", babble(number))
    folder = spoken(tmp_path / "run")
    (folder / "speak" / "recordings.jsonl").write_text("")
    sources = [{"path": str(tmp_path / name), "label": "wake", "split": name} for name in ("dev", "test")]

    with pytest.raises(DataError, match="no wake in dev"):  # all of it was left out, as copies of test
        go(folder, *sources)


def test_a_speaker_in_two_splits_is_named_with_two_files():
    rows = [
        Recording(f"{split}.wav", f"/d/{split}.wav", "", "wake", "ana", "set", "", RATE, split) for split in ("train", "test")
    ]
    from wakesmith.steps import _leakage

    with pytest.raises(DataError, match=r"the speaker set/ana lies in test and train.*/d/test\.wav .*/d/train\.wav "):
        _leakage.tell(rows, rows, [], Path("/tmp"))


def test_a_speaker_who_comes_again_in_another_source_is_told(tmp_path, capsys):
    from wakesmith.steps import _leakage

    rows = [
        Recording("a", "mine/ana/1.wav", "", "wake", "Ana", "mine", "", RATE, "train"),
        Recording("b", "real/ana/7.wav", "", "wake", "ana", "real", "", RATE, "test"),
        Recording("c", "real/ben/1.wav", "", "wake", "ben", "real", "", RATE, "test"),
    ]

    _leakage.tell(rows, rows, [], tmp_path)

    told = capsys.readouterr().err
    assert "1 speakers of one name in two splits" in told
    assert "real/ana/7.wav (real, test) and mine/ana/1.wav (mine, train)" in told
    assert [dataclasses.astuple(one)[0] for one in splits.namesakes(rows)[0]] == ["b", "a"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_test_clip_among_own_recordings_is_not_learned(tmp_path, name):
    sounds = [babble(number) for number in range(4)]
    held = [Recording(f"r{i}", f"real/{i}.wav", "", "wake", "", "", "", len(one), "test") for i, one in enumerate(sounds)]
    _rounds.store(tmp_path / "prepare", held, [audio.to_int16(one) for one in sounds], [])
    given = [learn.read(planted(tmp_path, name, sounds[2]), learn.FALSE_WAKE)]
    audio.write(tmp_path / "fair.wav", babble(70))
    given.append(learn.read(tmp_path / "fair.wav", learn.FALSE_WAKE))

    learn.keep_out(AudioStore.open(tmp_path / "prepare"), given, 0.8)

    assert [one.aside for one in given] == ["the same sound is in the run's test (real/2.wav), which must not be learned", ""]


def test_what_was_learned_cannot_become_test_afterwards(tmp_path):
    sound = babble(3)
    learned = made_round(tmp_path / "01", 1, kind="learn")
    own = Recording("own-1", "/home/false wake.wav", "", "speech", "", "own recordings", "own", len(sound), "train")
    _rounds.store(
        learned.folder / "prepare", [own], [audio.to_int16(0.5 * sound)], [Clip("c", "own-1", 0, 10, "speech", "train")]
    )
    for split in ("train", "test"):
        held = Recording("r", "real/3.wav", "", "speech", "", "", "", len(sound), split)
        _rounds.store(tmp_path / split, [held], [audio.to_int16(sound)], [])

    _kept_out.check_learned(AudioStore.open(tmp_path / "train"), [learned], 0.8)
    with pytest.raises(
        DataError, match=r"/home/false wake\.wav: was learned in round 01, and is .* as real/3\.wav, which is in test"
    ):
        _kept_out.check_learned(AudioStore.open(tmp_path / "test"), [learned], 0.8)


def test_dev_figures_under_the_name_of_test_are_neither_written_nor_shown(tmp_path, monkeypatch):
    told = a_report()
    told["test"] = copy.deepcopy(told["dev"])
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "evaluate" / "report.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="figures under 'test' come from 'dev'"):
        report_of(tmp_path)

    told["test"]["split"] = "test"  # relabelled: the recordings give it away
    with pytest.raises(DataError, match="is in dev and in test"):
        report.check(told)

    prepared(tmp_path / "run")
    real = evaluate._told
    monkeypatch.setattr(evaluate, "_told", lambda *given: (made := real(*given)) | {"test": made["dev"]})
    with pytest.raises(DataError, match="figures under 'test' come from 'dev'"):
        evaluate.run(recipe(), tmp_path / "run")
    assert not (tmp_path / "run" / "evaluate" / "report.json").exists()
    assert json.loads((tmp_path / "run" / "bundle" / "card.json").read_text())["phrases"][0].get("measured") is None


def test_one_synthetic_voice_that_says_a_phrase_again_is_no_copy(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")
    from wakesmith import config, registry
    from wakesmith.rng import rng
    from wakesmith.voices._base import Utterance

    voice = registry.build("voices", config.part("voices", "espeak"))
    speaker = voice.speakers()[0]
    said = [audio.to_int16(voice.say(Utterance("hey nova"), speaker, rng(1, number))) for number in range(24)]
    held = [Recording(f"r{i}", "", "", "wake", "", "", "", len(one), "test") for i, one in enumerate(said[:12])]
    _rounds.store(tmp_path, held, said[:12], [])

    assert _kept_out.holders(AudioStore.open(tmp_path), said[12:], 0.8) == [None] * 12


def test_different_sounds_of_one_kind_are_no_copies(tmp_path):
    """Of 60 noises and babbles none is another."""
    sounds = [audio.to_int16(one) for one in [*(babble(i) for i in range(40)), *(hiss(f"n{i}", 1.5) for i in range(20))]]
    held = [Recording(f"r{i}", "", "", "speech", "", "", "", len(one), "dev") for i, one in enumerate(sounds[::2])]
    _rounds.store(tmp_path, held, sounds[::2], [])

    assert _kept_out.holders(AudioStore.open(tmp_path), sounds[1::2], 0.8) == [None] * 30

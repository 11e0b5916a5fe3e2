"""Recordings of one's own voice: into train by `--recordings`, and heard as often as their share asks."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.test_teach import make_run
from wakesmith import audio
from wakesmith.cli import app, guarded
from wakesmith.config import read_yaml
from wakesmith.data.records import Recording, load_jsonl, save_jsonl
from wakesmith.rng import rng
from wakesmith.steps import _recipe, prepare, train

torch.set_num_threads(1)
PHRASE = (16_000, 26_000)
"""Where the phrase lies in a take of 2.5 s, in samples."""


def take(name, snr_db=25.0):
    """(40000,) a tone that rises where the phrase is, over a noise floor."""
    chance = rng(1, name)
    sound = chance.normal(0, 0.05 * 10 ** (-snr_db / 20), 40_000)
    n = PHRASE[1] - PHRASE[0]
    sound[PHRASE[0] : PHRASE[1]] += 0.07 * np.sin(np.cumsum(np.linspace(0.05, 0.2, n)) * (1 + 0.2 * chance.random()))
    return sound.astype(np.float32)


def planned(tmp_path, *options):
    words = ["plan", "hey nova", "--out", str(tmp_path / "run"), *map(str, options)]
    assert guarded(lambda: app(words, standalone_mode=False)) == 0
    return read_yaml(tmp_path / "run" / "config.yaml")


def test_own_recordings_are_planned_as_a_source_of_the_phrase_for_train(tmp_path):
    (tmp_path / "own" / "ana").mkdir(parents=True)
    audio.write(tmp_path / "own" / "ana" / "001.wav", take("001"))
    (source,) = planned(tmp_path, "--recordings", tmp_path / "own")["data"]["sources"]

    told = {key: source[key] for key in ("name", "path", "label", "split", "speaker", "text")}
    assert told == {
        "name": "wav_folders", "path": str(tmp_path / "own"), "label": "wake", "split": "train", "speaker": "folder",
        "text": "hey nova",
    }  # fmt: skip


def test_a_manifest_of_own_recordings_names_its_speakers_itself(tmp_path):
    audio.write(tmp_path / "001.wav", take("001"))
    (tmp_path / "own.csv").write_text("path,speaker\n001.wav,ana\n", encoding="utf-8")
    (source,) = planned(tmp_path, "--recordings", tmp_path / "own.csv")["data"]["sources"]

    assert (source["name"], source["label"], source["split"]) == ("manifest_csv", "wake", "train")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A store made of 8 voices that speak, and of 6 takes by two people."""
    folder = tmp_path_factory.mktemp("own")
    spoken = []
    for voice in range(8):
        for label in ("wake", "speech"):
            name = f"{label}-{voice}"
            spoken.append(Recording(name, f"{name}.flac", "hey nova", label, f"v{voice}", "voices", "", 0, phrase_end=8_000))
            (folder / "speak").mkdir(exist_ok=True)
            audio.write(folder / "speak" / f"{name}.flac", take(name))
    save_jsonl(folder / "speak" / "recordings.jsonl", spoken)
    for name in ("ana/001", "ana/002", "ana/003", "ben/001", "ben/002", "ben/003"):
        (folder / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(folder / "own" / f"{name}.wav", take(name))
    (folder / "prepare").mkdir()
    source = planned(folder, "--recordings", folder / "own")["data"]["sources"][0]
    recipe = _recipe.load({"phrase": "hey nova", "data": {"sources": [source], "n_generated": 4}})
    prepare.run(SimpleNamespace(data=recipe.data, seed=3, phrases=recipe.phrases), folder)
    return load_jsonl(folder / "prepare" / "recordings.jsonl", Recording)


def test_own_recordings_are_learned_from_and_the_threshold_is_chosen_on_other_voices(prepared):
    own = [recording for recording in prepared if recording.source == "own"]

    assert sorted({recording.speaker for recording in own}) == ["ana", "ben"]
    assert [recording.split for recording in own] == ["train"] * 6
    assert {r.source for r in prepared if r.label == "wake" and r.split == "dev"} == {"voices"}


def test_what_a_source_gives_is_told_from_what_was_spoken(prepared):
    assert {recording.source for recording in prepared if not recording.is_spoken} == {"own"}


def test_the_phrase_is_found_over_a_noise_floor(prepared):
    for recording in prepared:
        if recording.source == "own":
            assert (recording.phrase_start, recording.phrase_end) == pytest.approx(PHRASE, abs=800)


@pytest.mark.parametrize("snr_db", [10.0, 20.0, 60.0])
def test_a_click_before_the_phrase_does_not_count(snr_db):
    clicked = take("click", snr_db)
    clicked[2_000:2_100] = 0.9

    assert audio.phrase_bounds(clicked) == pytest.approx(PHRASE, abs=1_600)


def test_where_nothing_stands_out_all_of_it_is_the_phrase():
    assert audio.phrase_bounds(np.zeros(40_000, np.float32)) == (0, 40_000)
    assert audio.phrase_bounds(np.zeros(100, np.float32)) == (0, 100)


def trained(folder, **options):
    """The weights of a student after two steps on hard labels."""
    recipe = _recipe.load(
        {
            "phrase": "wake", "student": {"name": "ds_cnn", "width": 8}, "losses": [{"name": "cross_entropy"}],
            "train": {"steps": 2, "batch": 16, "evaluations": 1, "keep_features": True, "distil": False, **options},
        }
    )  # fmt: skip
    out = folder / str(options)
    return (train.fit(recipe, folder, out, distil=False) / "model.safetensors").read_bytes()


@pytest.fixture
def run(tmp_path):
    """A run folder in which one of ten recordings of the phrase was recorded."""
    make_run(tmp_path)
    path = tmp_path / "prepare" / "recordings.jsonl"
    recordings = load_jsonl(path, Recording)
    assert (recordings[0].label, recordings[0].split) == ("wake", "train")
    save_jsonl(path, [dataclasses.replace(recordings[0], path=str(tmp_path / "ana.wav")), *recordings[1:]])
    return tmp_path


def test_the_share_of_own_recordings_changes_what_is_learned(run):
    assert trained(run, own_share=0.6) != trained(run, own_share=0.0)


def test_a_share_that_own_recordings_have_anyway_changes_nothing(run):
    assert trained(run, own_share=0.1) == trained(run, own_share=0.0)

"""A step is made anew when the files behind its settings change, and stays when only the way it works does."""

import os
import shutil

import numpy as np
import pytest

from wakesmith import audio
from wakesmith.config import read_yaml
from wakesmith.errors import DataError
from wakesmith.run import CONFIG, Run
from wakesmith.steps import _files, _recipe, forge


def wav(path, seed):
    audio.write(path, np.random.default_rng(seed).normal(0, 0.1, 24_000).astype(np.float32))


@pytest.fixture
def takes(tmp_path):
    folder = tmp_path / "takes"
    folder.mkdir()
    for number in range(3):
        wav(folder / f"{number}.wav", seed=number)
    return folder


def recipe(takes, **own):
    source = {"name": "wav_folders", "path": str(takes), "label": "wake"}
    return _files.seen(_recipe.load({"phrase": "hey nova", "data": {"sources": [source]}, **own}))


def outdated(before, after):
    return [step for step in _recipe.STEPS if _recipe.fingerprint(before, step) != _recipe.fingerprint(after, step)]


def test_a_recording_more_or_another_in_its_place_outdates_prepare_and_what_follows(takes):
    before = recipe(takes)
    wav(takes / "0.wav", seed=7)
    other = recipe(takes)
    wav(takes / "9.wav", seed=9)

    assert outdated(before, other) == outdated(other, recipe(takes)) == [step for step in _recipe.STEPS if step != "speak"]


def test_a_copy_of_the_recordings_is_no_change(takes):
    before = recipe(takes)
    shutil.copytree(takes, takes.with_name("aside"))
    shutil.rmtree(takes)
    shutil.copytree(takes.with_name("aside"), takes)
    os.utime(takes / "0.wav", (1, 1))

    assert recipe(takes).files == before.files


def test_a_list_of_words_and_a_teacher_s_weights_outdate_their_steps(takes, tmp_path):
    words, weights = tmp_path / "words.txt", tmp_path / "encoder" / "model.safetensors"
    weights.parent.mkdir()
    words.write_text("cloud\n")
    weights.write_bytes(bytes(20_000))

    def now():
        return recipe(takes, speak={"words": str(words)}, teacher={"name": "whisper", "path": str(weights.parent)})

    first = now()
    weights.write_bytes(bytes(9_999) + b"1" + bytes(10_000))  # the same size, and the same ends
    second = now()
    words.write_text("clouds\n")

    assert outdated(first, second) == list(_recipe.STEPS)[3:]
    assert outdated(second, now()) == list(_recipe.STEPS)


def test_the_run_says_which_files_changed_and_keeps_what_it_saw(takes, tmp_path, capsys):
    run = forge.plan(recipe(takes), tmp_path / "run")
    kept = read_yaml(run.folder / CONFIG)["files"]
    assert _recipe.load(read_yaml(run.folder / CONFIG)) == recipe(takes)
    forge.plan(recipe(takes), run.folder)
    assert "changed" not in capsys.readouterr().err

    wav(takes / "9.wav", seed=9)
    forge.plan(recipe(takes), run.folder)

    assert "prepare: the files that its settings name changed" in capsys.readouterr().err
    assert read_yaml(run.folder / CONFIG)["files"]["prepare"] != kept["prepare"]


def test_a_later_step_needs_no_recording(takes, tmp_path):
    """A run may be exported where its recordings are not."""
    own = recipe(takes)
    run = forge.plan(own, tmp_path / "run")
    run.begin("prepare", _recipe.fingerprint(own, "prepare"))
    run.finish("prepare", _recipe.fingerprint(own, "prepare"), 0.0)
    shutil.rmtree(takes)

    forge.check_whole(_recipe.load(read_yaml(run.folder / CONFIG)), run, ["prepare"], "views")
    with pytest.raises(DataError, match="no such folder"):
        recipe(takes)


def test_a_file_that_cannot_be_read_and_a_pipe_do_not_stop_the_look(takes):
    os.mkfifo(takes / "pipe.wav")
    (takes / "gone.wav").symlink_to(takes / "nowhere.wav")

    assert recipe(takes).files["prepare"]


NO_MATTER = [(section, key) for section, keys in _recipe.NO_MATTER.items() for key in sorted(keys)]


@pytest.mark.parametrize(("section", "key"), NO_MATTER)
def test_how_a_step_works_outdates_nothing(section, key, tmp_path):
    plain = _recipe.load({"phrase": "hey nova"})
    value = getattr(getattr(plain, section), key)
    other = _recipe.load({"phrase": "hey nova", section: {key: not value if isinstance(value, bool) else value + 16}})

    assert getattr(getattr(other, section), key) != value
    assert outdated(plain, other) == []


def test_less_memory_asked_for_keeps_the_answers_that_are_there(tmp_path):
    """`--set label.batch=8`, as the error says, once threw them out."""
    run, recipes = Run.open(tmp_path / "run"), [_recipe.load({"phrase": "hey nova", "label": {"batch": n}}) for n in (32, 8)]
    run.begin("label", _recipe.fingerprint(recipes[0], "label"))
    (run.folder / "label" / "answers").touch()

    run.begin("label", _recipe.fingerprint(recipes[1], "label"))

    assert (run.folder / "label" / "answers").exists()


def test_what_was_spoken_stays_when_its_settings_change(tmp_path):
    """The step itself knows which of it is still asked for."""
    run = Run.open(tmp_path / "run")
    run.begin("speak", "one")
    (run.folder / "speak" / "wake-000001.flac").touch()
    run.finish("speak", "one", 0.0)

    assert run.begin("speak", "other")
    assert (run.folder / "speak" / "wake-000001.flac").exists()
    assert not run.is_whole("speak", "one")

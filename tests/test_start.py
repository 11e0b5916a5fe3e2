"""A training that begins with another run's student, and the check that none of those it learned from judges."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests import tiny_run
from wakesmith import bundle
from wakesmith.data.records import Lines, Recording
from wakesmith.errors import ConfigError, DataError
from wakesmith.steps import _options, _recipe, _start, compare, forge, teach, train
from wakesmith.steps._recipe import Recipe


@pytest.fixture
def recipe(forged: Path) -> Callable[..., Recipe]:
    """Of the tiny run, with other settings of `train`."""
    return lambda **train: tiny_run.recipe(forged.parent, train={"steps": 120, "batch": 32, "evaluations": 1, **train})


@pytest.fixture
def weights(forged: Path) -> Path:
    return forged / "train" / "model.safetensors"


def split_of(run: Path) -> dict[str, str]:
    return {one.speaker or one.path: one.split for one in Lines(run / "prepare" / "recordings.jsonl", Recording)}


def test_the_first_weights_are_the_other_students(run, recipe, weights):
    """One step with no rate to speak of leaves them where they were; without `start` it does not lead there."""
    moved = {}
    for start in (str(weights), None):
        forge.one(recipe(start=start, steps=1, learning_rate=1e-12, ema_decay=0.0), run, "train")
        made, first = load_file(run / "train" / "model.safetensors"), load_file(weights)
        moved[start] = max(float(np.abs(made[name] - first[name]).max()) for name in first if "running" not in name)

    assert moved[str(weights)] < 1e-6 < 1e-2 < moved[None]


def test_a_few_steps_from_it_are_better_than_from_chance(run, recipe, weights):
    losses = {}
    for start in (str(weights), None):
        forge.one(recipe(start=start, steps=5), run, "train")
        losses[start] = json.loads((run / "train" / "card.json").read_text())["dev"]["nll"]

    assert losses[str(weights)] < losses[None] / 2


def test_another_file_is_another_training(run, recipe, weights, tmp_path):
    """What lies in the file counts, not its name."""
    start = tmp_path / "start.safetensors"
    shutil.copy(weights, start)
    forge.one(recipe(start=str(start), steps=1), run, "train")
    first = (run / "train" / "model.safetensors").read_bytes()
    forge.one(recipe(start=str(start), steps=1), run, "train")
    assert (run / "train" / "model.safetensors").read_bytes() == first

    other = load_file(weights)
    save_file({name: np.asarray(value * 1.5, value.dtype) for name, value in other.items()}, start, _metadata(weights))
    forge.one(recipe(start=str(start), steps=1), run, "train")
    assert (run / "train" / "model.safetensors").read_bytes() != first


def _metadata(path: Path) -> dict[str, str]:
    return {_start.KEY: _start.read(path).model_dump_json()}


def test_a_speaker_whom_it_learned_from_does_not_judge(run, recipe, weights, tmp_path):
    judge = next(one for one in Lines(run / "prepare" / "recordings.jsonl", Recording) if one.split == "test")
    told = _start.read(weights)
    told.voices.append(_start._hash(_start.group_of(judge)))
    start = tmp_path / "start.safetensors"
    save_file(load_file(weights), start, {_start.KEY: told.model_dump_json()})

    with pytest.raises(DataError, match=rf"1 speakers who judge this run, as .*{judge.speaker or judge.id}.* --set data.start="):
        forge.one(recipe(start=str(start)), run, "train")

    plain = recipe(start=str(start))
    asked = plain.model_copy(update={"data": plain.data.model_copy(update={"start": str(start)})})
    with pytest.raises(DataError, match="Their source fixes their split: leave them out there, or do without"):
        _start.check_voices(asked, {judge.id: judge})


def test_data_start_takes_its_speakers_into_train(tmp_path):
    """Without it other seeds share the same speakers out otherwise."""
    folder = tmp_path / "spoken"
    manifest = tiny_run.recordings(folder / "sounds")
    splits = {}
    for seed, start in ((3, None), (4, None), (4, tmp_path / "start.safetensors")):
        asked = tiny_run.recipe(
            folder, seed=seed, speak={"n_wake": 0, "n_near_miss": 0, "n_speech": 0},
            data={"sources": [{"name": "manifest_csv", "path": str(manifest)}], "near_duplicate": 1.0,
                  "start": start and str(start)},
        )  # fmt: skip
        run = tmp_path / f"{seed}-{bool(start)}"
        forge.plan(asked, run)
        for step in ("speak", "prepare"):
            forge.one(asked, run, step)
        splits[seed, bool(start)] = split_of(run)
        if seed == 3:
            save_file({"a": np.zeros(1)}, tmp_path / "start.safetensors", _start.metadata(asked, run, []))

    learned = {name for name, split in splits[3, False].items() if split == "train"}
    assert any(splits[4, False][name] != "train" for name in learned)
    assert all(splits[4, True][name] == "train" for name in learned)
    assert {"dev", "test"} <= set(splits[4, True].values())

    everybody = [_start._hash(_start.group_of(one)) for one in Lines(run / "prepare" / "recordings.jsonl", Recording)]
    told = _start.read(tmp_path / "start.safetensors").model_copy(update={"voices": everybody})
    save_file({"a": np.zeros(1)}, tmp_path / "start.safetensors", {_start.KEY: told.model_dump_json()})
    with pytest.raises(DataError, match=rf"no wake in dev.* Or share out whom .* too: {_start.NEITHER}"):
        forge.one(asked, run, "prepare")


def test_the_card_tells_what_the_student_before_it_learned_from(run, recipe, weights, tmp_path):
    told = _start.read(weights)
    first = told.data[0].model_copy(update={"name": "choir", "licence": "CC BY 4.0"})
    start = tmp_path / "start.safetensors"
    save_file(load_file(weights), start, {_start.KEY: told.model_copy(update={"data": [*told.data, first]}).model_dump_json()})

    forge.one(recipe(start=str(start), steps=1), run, "train")
    forge.one(recipe(start=str(start), steps=1), run, "export")

    card = bundle.load_card(run / "bundle")
    assert [one.name for one in card.data] == sorted(one.name for one in [*told.data, first])
    assert "CC BY 4.0" in card.data_licences
    assert set(_start.read(run / "train" / "model.safetensors").voices) == set(told.voices)


def test_the_option_names_the_student_of_a_run(weights):
    """Its speakers judge no run that it begins: they are taken into train."""
    made = _options.recipe_from("swoop", "quick", None, None, None, ["student={name: ds_cnn, width: 8}"], str(weights.parents[1]))

    assert made.train.start == made.data.start == str(weights)
    _start.check(made)


@pytest.fixture
def ships(weights, tmp_path, monkeypatch) -> Path:
    """The tiny run's student as one that comes with Wakesmith."""
    monkeypatch.setattr(_start, "FOLDER", tmp_path / "ships")
    _start.FOLDER.mkdir()
    _start.ship(weights, _start.FOLDER / "tiny.safetensors")
    return _start.FOLDER / "tiny.safetensors"


def test_a_student_that_ships_gives_all_but_its_last_layer(run, recipe, weights, ships):
    forge.one(recipe(start="shipped", steps=1, learning_rate=1e-12, ema_decay=0.0), run, "train")
    made, first = load_file(run / "train" / "model.safetensors"), load_file(weights)

    moved = {name: float(np.abs(made[name] - first[name]).max()) for name in first if "running" not in name}
    assert max(value for name, value in moved.items() if not name.startswith("head.")) < 1e-3
    assert moved["head.weight"] > 1e-2
    assert set(load_file(ships)) == {name for name in first if not name.startswith("head.")}


def test_where_none_of_its_settings_ships_the_weights_are_by_chance(run, recipe, ships, forged, capsys):
    none = recipe(start="shipped").model_copy(update={"student": tiny_run.recipe(forged.parent, student={"width": 16}).student})
    assert _start.file_of(recipe(start="shipped")) == ships
    assert _start.file_of(none) is None

    ships.unlink()
    trained = {}
    for start in ("shipped", None):
        forge.one(recipe(start=start, steps=1), run, "train")
        trained[start] = (run / "train" / "model.safetensors").read_bytes()
    assert trained["shipped"] == trained[None]
    assert capsys.readouterr().err.count("no first student of these settings ships: first weights by chance") == 1


def test_another_shipped_student_is_another_training_and_other_splits(recipe, ships, forged):
    asked = recipe(start="shipped")
    asked = asked.model_copy(update={"data": asked.data.model_copy(update={"start": "shipped"})})
    first = forge.checked(asked).files
    save_file({name: np.asarray(value + 1, value.dtype) for name, value in load_file(ships).items()}, ships, _metadata(ships))
    then = forge.checked(asked).files

    assert first["train"] != then["train"]
    assert first["prepare"] != then["prepare"]
    assert first["prepare"] != forge.checked(recipe()).files["prepare"]


def test_whom_a_shipped_student_learned_from_is_in_train(ships):
    told = _start.read(ships)
    voices = [Recording(f"{n}", f"{n}.flac", "", "wake", f"v{n}", "espeak", "GPL", 16_000) for n in range(4)]
    told.voices.append(_start._hash(_start.group_of(voices[2])))
    save_file(load_file(ships), ships, {_start.KEY: told.model_dump_json()})

    assert [one.split for one in _start.bound("shipped", voices)] == ["", "", "train", ""]


def test_students_that_are_compared_begin_by_chance_unless_they_say_so(recipe, ships):
    values = recipe(start="shipped").model_dump(mode="json")
    begun = {"train": {"start": "shipped"}}

    assert compare._of_arm(values, compare.Arm("taught", {})).train.start is None
    assert compare._of_arm(values, compare.Arm("begun", begun)).train.start == "shipped"


def test_the_student_beside_which_a_teacher_is_judged_begins_by_chance(run, recipe, ships):
    """One that ships was taught by a teacher."""
    figures = [teach.plain_student(recipe(start=start, steps=3), run) for start in ("shipped", None)]

    assert figures[0] == figures[1]
    assert len(list((run / teach.PLAIN).iterdir())) == 1


def test_quick_begins_with_the_student_that_ships_for_it():
    """Its settings are part of the file: another width in the preset asks for another file."""
    recipe = _recipe.load({"phrase": "hey nova"}, preset="quick")

    assert recipe.train.start == recipe.data.start == "shipped"
    assert _start.file_of(recipe) == _start.FOLDER / "quick.safetensors"
    learner = train._learner(recipe, np.empty((1, 1, 148, 40), np.float32), 8, False, None)
    assert learner.student.head.out_features == 4


def test_what_it_learned_from_stands_in_the_documents():
    documents = (Path(__file__).parents[1] / "docs" / "licences.md").read_text()
    for path in _start.shipped():
        for one in _start.read(path).data:
            assert one.name in documents, f"{path.name}: {one.name} ({one.licence})"


def test_a_training_that_begins_with_another_takes_its_own_steps_and_rate(run, recipe, weights, capsys):
    shares = {"start_steps_share": 0.5, "start_rate_share": 0.25}
    asked = recipe(start=str(weights), steps=6, learning_rate=1e-3, **shares)
    forge.one(asked, run, "train")
    metrics = [json.loads(line) for line in (run / "train" / "metrics.jsonl").read_text().splitlines()]
    by_chance = recipe(steps=6, learning_rate=1e-3, **shares)

    assert max(one["step"] for one in metrics) == 3
    assert _start.settings(asked).learning_rate == 0.25 * 1e-3
    assert (_start.settings(by_chance).steps, _start.settings(by_chance).learning_rate) == (6, 1e-3)
    assert "begins with the student of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "not readable"),
        (b"", "not readable"),
        (b"\xff" * 40, "not readable"),
        ({}, "does not say whom it learned from"),
        ({_start.KEY: "no json"}, "not readable"),
        ({_start.KEY: "[" * 100_000}, "not readable"),
        ({_start.KEY: '{"voices": 3}'}, "problems"),
    ],
)
def test_a_file_that_is_no_student_is_refused(tmp_path, content, expected):
    path = tmp_path / "start.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file({"a": np.zeros(1)}, path, content)

    with pytest.raises(ConfigError, match=f"(?s)start.safetensors.*{expected}") as told:
        _start.check(tiny_run.recipe(tmp_path, train={"start": str(path)}))
    assert len(str(told.value)) < 2000


def test_a_student_of_other_settings_is_refused_with_each_of_them(forged, weights):
    asked = tiny_run.recipe(forged.parent, train={"start": str(weights)}, student={"name": "ds_cnn", "width": 16})
    with pytest.raises(ConfigError, match=r"student.width is 16, its 8.*--set train.start=null"):
        forge.checked(asked)


def test_weights_of_another_number_of_phrases_are_refused(run, recipe, weights, tmp_path):
    start, other = tmp_path / "start.safetensors", load_file(weights)
    head = {name: np.concatenate([value, value[:1]]) if name.startswith("head") else value for name, value in other.items()}
    save_file(head, start, _metadata(weights))
    with pytest.raises(Exception, match=r"head.* Name another file in train.start, or do without: --set train.start=null"):
        forge.one(recipe(start=str(start), steps=1), run, "train")

"""The gate on real tiny teachers: a good one passes, four bad ones are refused with the right reason; and `teach --check`."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.test_teach import make_run, recipe, whisper  # noqa: F401
from wakesmith.cli import app
from wakesmith.config import parse, part
from wakesmith.errors import ConfigError, TeacherError
from wakesmith.steps import _check, _recipe, compare, forge, teach
from wakesmith.teachers import _card, _gate

torch.set_num_threads(1)
GOOD = {"accuracy": 0.6, "prior_accuracy": 0.9, "majority_accuracy": 0.6, "balanced_accuracy": 0.8, "chance_accuracy": 0.25}
GOOD |= {"wake_auc": 0.99, "ece": 0.02, "frr": 0.1, "nll": 0.3, "fa_per_hour": 0.5}
ALIKE = {"heard_twice": 0.0, "live_against_stored": 0.0, "ece_by_chance": 0.05}
LIMITS = _gate.Limits("error", min_wake_auc=0.9, max_ece=0.1)


def whole_recipe(whisper, **teaching):  # noqa: F811
    """The settings of tests/test_teach.py as a real recipe, with a student that learns for a moment."""
    return _recipe.load(
        {
            "phrase": "wake", "seed": 3, "teacher": whisper.model_dump(mode="json"), "student": {"name": "ds_cnn", "width": 8},
            "teach": {"batch_size": 16, "lr": 3e-3, "epochs": 20, "patience": 20, **teaching},
            "train": {"steps": 4, "batch": 8, "evaluations": 1, "workers": 0},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def taught(whisper, tmp_path_factory):  # noqa: F811
    """A run folder in which a good teacher is taught."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder)
    forge.plan(whole_recipe(whisper), _unpacked(folder))
    teach.run(whole_recipe(whisper), folder)
    return folder


def _unpacked(folder):
    (folder / "config.yaml").touch()  # makes it a run
    return folder


def judged(folder, whisper, plant):  # noqa: F811
    """The verdict on the taught teacher after something was planted in it."""
    settings = whole_recipe(whisper)
    teacher = _card.load_teacher(folder / "teach")
    plant(teacher)
    return teach.judge(settings, folder, teacher, teach.lesson_of(settings, folder))


def test_a_good_teacher_passes(taught, whisper):  # noqa: F811
    verdict = judged(taught, whisper, lambda teacher: None)

    assert (verdict["passed"], verdict["reasons"]) == (True, [])
    assert verdict["checks"]["heard_twice"] == 0
    assert verdict["checks"]["live_against_stored"] < 0.02


def test_a_teacher_that_always_says_no_is_refused(taught, whisper):  # noqa: F811
    def always_noise(teacher):
        teacher.head.classify.bias[3] += 100

    reasons = " ".join(judged(taught, whisper, always_noise)["reasons"])

    assert "accuracy 0.250 does not beat the majority class (0.250)" in reasons
    assert "balanced accuracy 0.250 does not beat chance (0.250)" in reasons


def test_a_teacher_of_shuffled_labels_is_refused(whisper, tmp_path):  # noqa: F811
    make_run(tmp_path, shuffled=True)

    with pytest.raises(TeacherError, match="AUC of the wake phrase"):
        teach.run(recipe(whisper), tmp_path)


def _swap(teacher):
    """The head answers speech where it hears the phrase, and the other way round."""
    for values in (teacher.head.classify.weight, teacher.head.classify.bias):
        values[[0, 2]] = values[[2, 0]]


def test_a_teacher_with_swapped_classes_is_refused(taught, whisper):  # noqa: F811
    reasons = " ".join(judged(taught, whisper, _swap)["reasons"])

    assert "AUC of the wake phrase 0." in reasons
    assert "calibration error" in reasons


def test_a_teacher_in_train_mode_is_refused(taught, whisper):  # noqa: F811
    reasons = " ".join(judged(taught, whisper, lambda teacher: teacher.head.train())["reasons"])

    assert "two answers for the same clip differ by" in reasons


def test_an_encoder_in_train_mode_is_refused(whisper, tmp_path, tmp_path_factory):  # noqa: F811
    """Its head is trained on what it heard, so that accuracy may well be high."""
    from pathlib import Path

    folder = tmp_path_factory.mktemp("dropped")
    for path in Path(whisper.path).iterdir():
        shutil.copy(path, folder)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "dropout": 0.3}))
    other = part("teachers", "whisper", path=str(folder))
    make_run(tmp_path)
    teach.run(recipe(other, gate="off"), tmp_path)

    def train_mode(teacher):
        teacher.encoder.module.train()

    verdict = judged(tmp_path, other, train_mode)

    assert any("two answers for the same clip" in reason for reason in verdict["reasons"])
    assert any("live answers differ" in reason for reason in verdict["reasons"])


def test_an_encoder_that_is_not_the_one_heard_is_refused(taught, whisper, tmp_path):  # noqa: F811
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    (store,) = (tmp_path / "encodings").iterdir()
    states = np.load(store / "states.npy")
    np.save(store / "states.npy", states[::-1])

    reasons = judged(tmp_path, whisper, lambda teacher: None)["reasons"]

    assert any("live answers differ from those through the stored encodings" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("figure", "value", "told"),
    [
        ("prior_accuracy", 0.6, "majority class"),
        ("balanced_accuracy", 0.25, "chance"),
        ("wake_auc", 0.89, "AUC"),
        ("ece", 0.11, "calibration error"),
        ("wake_auc", float("nan"), "AUC"),
    ],
)
def test_each_figure_closes_the_gate_alone(figure, value, told):
    assert _gate.verdict(LIMITS, GOOD, ALIKE)["passed"]

    (reason,) = _gate.verdict(LIMITS, {**GOOD, figure: value}, ALIKE)["reasons"]

    assert told in reason


def test_right_more_often_than_the_majority_class_is_enough_without_its_knowledge_too():
    assert _gate.verdict(LIMITS, {**GOOD, "accuracy": 0.7, "prior_accuracy": 0.5}, ALIKE)["passed"]


def test_few_clips_may_be_as_far_from_calibrated_as_chance_makes_them():
    assert _gate.verdict(LIMITS, {**GOOD, "ece": 0.15}, {**ALIKE, "ece_by_chance": 0.16})["passed"]
    assert not _gate.verdict(LIMITS, {**GOOD, "ece": 0.15}, {**ALIKE, "ece_by_chance": 0.14})["passed"]


@pytest.mark.parametrize(("frr", "nll", "passed"), [(0.2, 0.1, True), (0.1, 0.4, True), (0.1, 0.3, False), (0.05, 0.9, False)])
def test_the_teacher_must_miss_less_than_the_student_without_it(frr, nll, passed):
    verdict = _gate.verdict(LIMITS, GOOD, ALIKE, plain={"frr": frr, "nll": nll})

    assert verdict["passed"] is passed
    assert passed or "trained without it" in verdict["reasons"][0]


@pytest.mark.parametrize(("policy", "passed"), [("warn", False), ("off", None)])
def test_a_policy_lets_a_bad_teacher_through_and_says_so(whisper, tmp_path, capsys, policy, passed):  # noqa: F811
    make_run(tmp_path, shuffled=True)

    teach.run(recipe(whisper, gate=policy, epochs=2), tmp_path)

    card, verdict = (json.loads((tmp_path / "teach" / name).read_text()) for name in ("card.json", "gate.json"))
    assert card["gate"]["passed"] is verdict["passed"] is passed
    assert card["gate"]["policy"] == policy
    assert bool(card["gate"]["reasons"]) == (policy == "warn")
    assert {"warn": "gate failed: accuracy", "off": "gate off"}[policy] in capsys.readouterr().err


def test_off_may_be_bare_in_yaml():
    assert parse(teach.Settings, {"gate": False}).gate == "off"
    with pytest.raises(ConfigError):
        parse(teach.Settings, {"gate": True})


def wakesmith(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def plain_of(folder):
    """The folder of the one student that was trained without a teacher."""
    (plain,) = (folder / "plain").iterdir()
    return plain


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_check_shows_the_teacher_beside_the_plain_student_and_changes_nothing_else(taught):
    before = contents(taught)

    shown = wakesmith("teach", taught, "--check")

    assert shown.exit_code == 0, shown.stderr
    assert "the student is trained without a teacher" in shown.stderr
    for word in (
        "teacher: whisper",
        "student without teacher",
        "majority class",
        "FRR at 0.5 FA/h",
        "ECE",
        "gate (error): passed",
    ):
        assert word in shown.stdout
    plain = plain_of(taught)
    assert {path: data for path, data in contents(taught).items() if plain not in path.parents} == before

    again = wakesmith("teach", taught, "--check", "--json")

    assert "is trained" not in again.stderr
    assert json.loads(again.stdout)["rows"]["student without teacher"] == json.loads((plain / "card.json").read_text())["dev"]


def test_check_ends_with_1_where_the_gate_is_closed(taught, tmp_path):
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    teacher = _card.load_teacher(tmp_path / "teach")
    _swap(teacher)
    sha256 = hashlib.sha256(_card.head_bytes(teacher.head)).hexdigest()
    teacher.card = teacher.card.model_copy(update={"head_sha256": sha256})
    _card.save_teacher(tmp_path / "teach", teacher)

    shown = wakesmith("teach", tmp_path, "--check")

    assert shown.exit_code == 1
    assert "gate (error): closed" in shown.stdout
    assert "calibration error" in shown.stdout
    assert "calibration error" not in wakesmith("teach", tmp_path, "--check", "--set", "teach.max_ece=1.0").stdout


@pytest.mark.slow
def test_check_of_a_teacher_that_was_kept_out_shows_why(whisper, tmp_path):  # noqa: F811
    make_run(tmp_path, shuffled=True)
    settings = whole_recipe(whisper, epochs=2)
    with pytest.raises(TeacherError, match="the gate is closed"):
        teach.run(settings, tmp_path)

    report = _check.run(settings, tmp_path)

    assert report["gate"]["passed"] is False
    assert "does not beat the majority class" in _check.table(report)
    assert "told shares" in _check.table(report)
    majority = report["rows"]["majority class"]
    assert majority["prior_accuracy"] == majority["accuracy"] == report["rows"]["teacher: whisper"]["majority_accuracy"]


@pytest.mark.slow
def test_check_names_each_member_of_an_ensemble(whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)
    settings = whole_recipe(part("teachers", "ensemble", members=[whisper, whisper]))
    teach.run(settings, tmp_path)

    report = _check.run(settings, tmp_path)

    assert [name for name in report["rows"] if "whisper" in name] == ["  1-whisper (50%)", "  2-whisper (50%)"]


def test_check_refuses_a_teacher_of_other_views(taught, whisper, tmp_path):  # noqa: F811
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    (tmp_path / "views" / "manifest.json").write_text('{"fingerprint": "other"}')

    with pytest.raises(TeacherError, match="other views"):
        _check.run(whole_recipe(whisper), tmp_path)


def test_a_plain_student_of_other_settings_is_another(taught, whisper, tmp_path):  # noqa: F811
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    settings = whole_recipe(whisper)
    for one in (settings, settings.model_copy(update={"seed": 4}), settings):
        teach.plain_student(one, tmp_path)

    first, second = (path.read_bytes() for path in (tmp_path / "plain").glob("*/model.safetensors"))
    assert first != second


@pytest.mark.slow
def test_another_teacher_is_compared_with_the_same_plain_student(whisper, tmp_path, capsys):  # noqa: F811
    make_run(tmp_path)
    for epochs in (2, 3):
        teach.run(whole_recipe(whisper, against_plain=True, gate="warn", epochs=epochs), tmp_path)

    assert capsys.readouterr().err.count("trained without a teacher") == 1
    assert (plain_of(tmp_path) / "model.safetensors").exists()


@pytest.mark.parametrize(
    "changed", [{"student": {"name": "ds_cnn", "width": 16}}, {"train": {"steps": 5}}, {"losses": ["cross_entropy", "kd"]}]
)
def test_a_teacher_judged_beside_the_plain_student_is_outdated_with_it(changed):
    def outdated(**teaching):
        first, second = (
            _recipe.load({"phrase": "wake", "teach": teaching, **values})
            for values in ({"student": {"name": "ds_cnn", "width": 8}}, changed)
        )
        return _recipe.fingerprint(first, "teach") != _recipe.fingerprint(second, "teach")

    assert outdated(against_plain=True)
    assert not outdated()
    assert not outdated(against_plain=True, gate="off")


def test_the_gate_asks_for_the_plain_student_when_told_to(whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)
    settings = whole_recipe(whisper, against_plain=True)

    teach.run(settings, tmp_path)

    card = json.loads((tmp_path / "teach" / "card.json").read_text())
    plain = json.loads((plain_of(tmp_path) / "card.json").read_text())["dev"]
    assert card["gate"]["checks"]["plain_frr"] == plain["frr"] >= card["dev"]["frr"]


@pytest.mark.parametrize("losses", [["kd"], []])
@pytest.mark.parametrize("asks", [{"train": {"distil": False}}, {"teach": {"against_plain": True}}])
def test_a_plain_student_without_a_loss_for_labels_is_refused_when_the_recipe_is_read(asks, losses):
    key = "train.distil=false" if "train" in asks else "teach.against_plain"

    with pytest.raises(ConfigError, match=rf'losses: a student without a teacher \({key}\).* Add one: --set "losses='):
        _recipe.load({"phrase": "hey nova", "losses": losses, **asks})
    _recipe.load({"phrase": "hey nova", "losses": [*losses, "focal", "embedding"], **asks})


def test_losses_that_hear_no_teacher_are_refused_when_the_recipe_is_read():
    """A training that never asks its teacher is the defect that this project began with."""
    with pytest.raises(ConfigError, match=r"losses: none of them listens to the teacher.*--set train\.distil=false"):
        _recipe.load({"phrase": "hey nova", "losses": ["cross_entropy"]})
    _recipe.load({"phrase": "hey nova", "losses": ["cross_entropy"], "train": {"distil": False}})


def test_compare_and_check_refuse_it_before_they_begin(tmp_path):
    values = {"phrase": "hey nova", "losses": ["kd"]}

    with pytest.raises(ConfigError, match="none of these losses looks at them"):
        compare.run(values, tmp_path / "run", [], n_seeds=1, jobs=1)
    with pytest.raises(ConfigError, match=r"\(teach --check\)"):
        _check.run(_recipe.load(values), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""Every arm of a comparison is tested on the run's own test clips, over the run's own beds."""

import dataclasses

import numpy as np
import pytest

from tests.test_teach import make_run
from wakesmith.data.records import save_jsonl
from wakesmith.errors import DataError
from wakesmith.steps import _common_test, _compare, _recipe, compare, forge


def prepared(folder, split=None, louder=None):
    """What `prepare` leaves, where the clips of a `split` are labelled as noise, and those of another are louder."""
    clips = make_run(folder)
    save_jsonl(
        folder / "prepare" / "clips.jsonl",
        [dataclasses.replace(one, label="noise") if one.split == split else one for one in clips],
    )
    audio = np.load(folder / "prepare" / "audio.npy").reshape(len(clips), -1)
    audio[[one.split == louder for one in clips]] += 1
    np.save(folder / "prepare" / "audio.npy", audio.reshape(-1))
    return folder / "prepare"


def test_an_arm_with_other_clips_of_train_has_the_run_s_test(tmp_path):
    _common_test.check("few labels", prepared(tmp_path / "arm", split="train", louder="dev"), prepared(tmp_path / "run"))


@pytest.mark.parametrize("changed", [{"split": "test"}, {"louder": "test"}])
def test_an_arm_with_another_test_is_refused(changed, tmp_path):
    with pytest.raises(DataError, match="the arm 'other' has other test clips than the run"):
        _common_test.check("other", prepared(tmp_path / "arm", **changed), prepared(tmp_path / "run"))


def test_the_test_is_made_from_the_run_s_folders_whichever_arm_is_measured_first(tmp_path, monkeypatch):
    recipe = _recipe.load({"phrase": ["wake", "sleep"]})
    cells = {name: [compare.Cell(recipe, tmp_path / name)] for name in (compare.PLAIN, "other")}
    for name in cells:
        (tmp_path / name).mkdir()
    (tmp_path / compare.PLAIN / f"figures-{_compare.stamp(recipe)}.json").write_text("{}")
    made_from = []
    monkeypatch.setattr(_compare, "views_of_test", lambda base, folder: made_from.append(folder))
    monkeypatch.setattr(_compare, "figures", lambda *given: {})
    monkeypatch.setattr(forge, "go", lambda *given, **options: None)

    compare._judge_all(recipe, cells)

    assert made_from == [tmp_path / compare.PLAIN]


def test_all_seeds_of_an_arm_share_a_teacher_that_is_judged_beside_the_plain_student_in_the_run():
    arm = compare._of_arm({"phrase": "hey nova", "teach": {"against_plain": True}}, compare.Arm("taught", {}))

    assert len({_recipe.fingerprint(compare.seeded(arm, seed), "teach") for seed in range(3)}) == 1
    assert len({_recipe.fingerprint(compare.seeded(arm, seed), "train") for seed in range(3)}) == 3


@pytest.mark.parametrize("plain", [False, True])
def test_an_arm_takes_the_teacher_of_the_run_and_its_answers(plain):
    values = {"phrase": "hey nova", "teach": {"against_plain": plain}}
    run = _recipe.load(values)

    arms = [
        compare.Arm("student", {"student": {"name": "ds_cnn", "width": 16}}),
        compare.Arm("teacher", {"teacher": {"name": "speech_embedding"}}),
    ]
    same, other = (compare.seeded(compare._of_arm(values, arm, run), 1) for arm in arms)

    assert [_recipe.fingerprint(same, step) == _recipe.fingerprint(run, step) for step in ("teach", "label")] == [True, True]
    assert other.teach.gate == "warn"
    assert _recipe.fingerprint(other, "teach") != _recipe.fingerprint(run, "teach")

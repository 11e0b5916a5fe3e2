"""`compare` on a tiny run: shared steps are made once, cells are kept, and the table says what the cells say."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests import tiny_encoders
from tests.test_teach import make_run
from wakesmith.config import teacher_named
from wakesmith.errors import ConfigError
from wakesmith.run import Run
from wakesmith.steps import _compare, _recipe, compare
from wakesmith.steps.compare import Arm

pytestmark = pytest.mark.slow  # students are trained, several of them
torch.set_num_threads(1)


def values(folder):
    return {
        "phrase": ["wake", "sleep"], "views": {"n_views": 3, "effects": ["shift"]}, "student": {"name": "ds_cnn", "width": 8},
        "teacher": {"name": "whisper", "path": str(folder / "model")}, "teach": {"views": 1, "epochs": 2},
        "train": {"steps": 3, "batch": 16, "evaluations": 1},
    }  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A run folder of two phrases in which no teacher, a tiny Whisper, and one with another temperature were compared."""
    folder = tmp_path_factory.mktemp("run") / "run"
    make_run(folder, texts=("wake", "sleep"))
    tiny_encoders.save("whisper", folder / "model")
    (folder / "config.yaml").touch()
    for step in ("speak", "prepare", "views"):
        (folder / step).mkdir(exist_ok=True)
        Run(folder).finish(step, _recipe.fingerprint(_recipe.load(values(folder)), step), 0.0)
    told = compare.run(values(folder), folder, arms(), n_seeds=2, jobs=1)
    return folder, told


def arms():
    hotter = ["cross_entropy", {"name": "kd", "temperature": 4.0}]
    return [Arm("taught", {}), Arm("hotter", {"losses": hotter})]


def test_every_arm_has_its_figures_for_every_seed(compared):
    _, told = compared

    assert [arm["name"] for arm in told["arms"]] == ["none", "taught", "hotter"]
    for arm in told["arms"]:
        assert len(arm["errors_clean"]["values"]) == 2
        assert all(0 <= value <= 1 for value in arm["errors_clean"]["values"])
    assert told["arms"][0]["teacher"] is None
    assert 0 <= told["arms"][1]["teacher"]["errors_clean"] <= 1


def test_arms_with_one_teacher_share_its_answers(compared):
    folder, _ = compared
    made = sorted(path.name.split("-")[0] for path in (folder / "compare" / "made").iterdir())

    assert made == ["label", "teach"]
    assert len(list((folder / "compare" / "cells").iterdir())) == 6


def test_a_comparison_made_again_trains_nothing(compared):
    folder, told = compared
    cells = [path / "train" / "model.safetensors" for path in (folder / "compare" / "cells").iterdir()]
    before = {path: path.stat().st_mtime_ns for path in cells}

    assert compare.run(values(folder), folder, arms(), n_seeds=2, jobs=1) == told
    assert {path: path.stat().st_mtime_ns for path in cells} == before


@pytest.mark.slow
def test_a_lost_cell_is_made_again_alike(compared):
    folder, _ = compared
    cell = next((folder / "compare" / "cells").iterdir())
    figures = json.loads((cell / next(cell.glob("figures-*.json")).name).read_text())
    shutil.rmtree(cell)

    compare.run(values(folder), folder, arms(), n_seeds=2, jobs=1)

    again = json.loads((cell / next(cell.glob("figures-*.json")).name).read_text())
    same = {"parameters", "dev", "errors_clean", "errors_noisy"}
    assert {key: again[key] for key in same} == {key: figures[key] for key in same}


def test_two_arms_of_one_name_are_refused(compared):
    folder, _ = compared

    with pytest.raises(ConfigError, match="two arms have one name"):
        compare.run(values(folder), folder, [Arm("none", {})], n_seeds=1, jobs=1)


def test_the_difference_is_taken_seed_by_seed():
    saved = _compare.fewer([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])

    assert saved["fewer"] == pytest.approx(1 / 3)
    assert saved["fewer_half"] == pytest.approx(0.0, abs=1e-12)  # the seeds differ, the difference does not


def test_the_interval_is_students_over_the_seeds():
    told = _compare.spread([1.0, 2.0, 3.0])

    assert told["half"] == pytest.approx(4.302653 * np.std([1, 2, 3], ddof=1) / np.sqrt(3), rel=1e-5)
    assert _compare.spread([1.0])["half"] is None


def test_the_table_has_a_line_an_arm(compared):
    lines = _compare.table(compared[1]).splitlines()

    assert sum(line.startswith(("| none", "| taught", "| hotter")) for line in lines) == 3
    assert "2 seeds, 95 % intervals over seeds" in lines[0]
    assert "one seed, so no intervals" in _compare.table({**compared[1], "n_seeds": 1})


def test_teachers_are_named_on_the_command_line():
    assert teacher_named("whisper:models/w") == {"name": "whisper", "path": "models/w"}
    assert teacher_named("moonshine+whisper:w")["members"] == [{"name": "moonshine"}, {"name": "whisper", "path": "w"}]

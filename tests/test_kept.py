"""What `evaluate` heard can be had again: the same figures without the sound, and the very sound that was scored."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.test_evaluate import prepared, recipe, report_of
from wakesmith import bundle
from wakesmith.errors import DataError
from wakesmith.steps import _judge, _kept, evaluate


@pytest.mark.parametrize("split", ["dev", "test"])
def test_kept_scores_give_the_figures_of_the_report(run_folder: Path, split: str):
    heard, told = _kept.read(run_folder, 0), report_of(run_folder)
    point = bundle.load_card(run_folder / "bundle").operating_point

    judged = _judge.judge(heard[split], heard["dev"], point, recipe().evaluate)

    assert json.loads(json.dumps(judged)) == told[split]


def test_every_stream_sounds_as_it_was_scored(run_folder: Path):
    for split, heard in _kept.read(run_folder, 0).items():
        built = {s.name: s.samples for _, _, s in evaluate.streams(recipe().evaluate, 3, run_folder, split, ["hey nova"], 0)}
        for stream in (one for streams in heard.streams.values() for one in streams):
            assert np.array_equal(_kept.sound(recipe(), run_folder, split, stream), built[stream.name])


def test_sound_that_changed_since_is_refused(run_folder: Path):
    stream = _kept.read(run_folder, 0)["dev"].streams["positives"][1]

    with pytest.raises(DataError, match="changed since its scores were made"):
        _kept.sound(recipe(), run_folder, "test", stream)


def test_scores_of_another_bundle_are_refused(run_folder: Path, tmp_path: Path):
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "bundle").symlink_to(run_folder / "bundle")
    told = json.loads(_kept.index(run_folder, 0).read_text())
    _kept.index(tmp_path, 0).write_text(json.dumps(told | {"sha256": "0" * 64}))

    with pytest.raises(DataError, match="of another bundle"):
        _kept.read(tmp_path, 0)


def test_the_cost_of_each_step_is_told(tmp_path: Path):
    prepared(tmp_path)
    for step, took_s in (("prepare", 12.5), ("train", 61.0)):
        (tmp_path / step / "whole.json").write_text(json.dumps({"fingerprint": "x", "took_s": took_s}))

    evaluate.run(recipe(), tmp_path)

    assert report_of(tmp_path)["cost"] == [{"step": "prepare", "took_s": 12.5}, {"step": "train", "took_s": 61.0}]

"""Recordings of one's own voice: into train by `--recordings`, and heard as often as their share asks."""

import dataclasses

import pytest
import torch

from tests.test_teach import make_run
from wakesmith.data.records import Recording, load_jsonl, save_jsonl
from wakesmith.steps import _recipe, train

torch.set_num_threads(1)


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

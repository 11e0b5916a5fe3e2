"""Views -> teach -> label -> train with distillation, with a tiny model of every family in torch, frozen and tuned."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests import tiny_encoders
from tests.test_teach import make_run
from wakesmith.data.targets import TargetStore
from wakesmith.errors import WakesmithError
from wakesmith.steps import _recipe, label, teach, train

torch.set_num_threads(1)
TUNED = {"steps": 30, "batch": 32, "micro_batch": 32, "evaluate_every": 10, "lr": 3e-3, "head_lr": 1e-2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A run folder with clips and views."""
    folder = tmp_path_factory.mktemp("prepared")
    make_run(folder)
    return folder


def settings(family, folder, **teaching):
    return _recipe.load(
        {
            "phrase": "wake", "seed": 5, "teacher": {"name": family, "path": str(folder / "model")},
            "teach": {"views": 1, "epochs": 2, "gate": "off", **teaching}, "student": {"name": "ds_cnn", "width": 8},
            "train": {"steps": 2, "batch": 8, "evaluations": 1, "keep_features": True},
        }
    )  # fmt: skip


def travelled(family, folder, prepared, **teaching):
    """A run folder after the whole road. -> its recipe"""
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    tiny_encoders.save(family, folder / "model")
    recipe = settings(family, folder, **teaching)
    for step in (teach, label, train):
        step.run(recipe, folder)
    return recipe


@pytest.fixture(scope="module")
def roads(prepared, tmp_path_factory):
    """Each family's run folder, and one with a tuned Whisper."""
    folders = {family: tmp_path_factory.mktemp(family) for family in tiny_encoders.FAMILIES}
    recipes = {family: travelled(family, folder, prepared) for family, folder in folders.items()}
    folders["tuned"] = tmp_path_factory.mktemp("tuned")
    recipes["tuned"] = travelled(
        "whisper", folders["tuned"], prepared, tune=TUNED, lr=1e-7, head={"dropout": 0.0}
    )  # an untrained head that misses all: whatever stage two learns is better
    return {name: (recipes[name], folder) for name, folder in folders.items()}


NAMES = [*tiny_encoders.FAMILIES, "tuned"]


@pytest.mark.parametrize("name", NAMES)
def test_a_student_is_distilled_from_every_family(name, roads):
    _, folder = roads[name]

    assert (folder / "train" / "model.safetensors").stat().st_size > 0
    assert json.loads((folder / "train" / "card.json").read_text())["distilled"]
    assert TargetStore.open(folder / "label").state.sum() == 40 * 3 + 20


def test_the_tuned_teacher_was_tuned(roads):
    card = json.loads((roads["tuned"][1] / "teach" / "card.json").read_text())

    assert card["encoder_sha256"]
    assert len(card["tuning"]) >= 2


def test_another_teacher_makes_another_student(roads):
    students = {(folder / "train" / "model.safetensors").read_bytes() for _, folder in roads.values()}

    assert len(students) == len(NAMES)


def test_what_the_student_learns_is_what_the_labels_say(roads, tmp_path):
    recipe, folder = roads["wav2vec2"]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "train")
    train.run(recipe, tmp_path)
    same = (tmp_path / "train" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "train")
    np.save(tmp_path / "label" / "logits.npy", np.load(tmp_path / "label" / "logits.npy")[::-1])

    train.run(recipe, tmp_path)

    assert (
        same == (folder / "train" / "model.safetensors").read_bytes() != (tmp_path / "train" / "model.safetensors").read_bytes()
    )


def test_without_labels_there_is_no_distillation(roads, tmp_path):
    recipe, folder = roads["whisper"]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for step in ("train", "label"):
        shutil.rmtree(tmp_path / step)

    with pytest.raises(WakesmithError, match="label"):
        train.run(recipe, tmp_path)

"""A live teacher gives the loss that its stored answers give, and trains without a store."""

import json
import multiprocessing
import shutil

import pytest
import torch

from tests import tiny_encoders
from tests.test_teach import make_run
from wakesmith.steps import _recipe, label, teach, train
from wakesmith.steps._material import Material

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_run(folder)
    tiny_encoders.save("whisper", folder / "model")
    recipe = settings(folder)
    teach.run(recipe, folder)
    label.run(recipe, folder)
    return folder


def settings(folder, **training):
    return _recipe.load(
        {
            "phrase": "wake", "teacher": {"name": "whisper", "path": str(folder / "model")},
            "teach": {"views": 1, "epochs": 2, "gate": "off"}, "student": {"name": "ds_cnn", "width": 8},
            "train": {"steps": 2, "batch": 16, "evaluations": 1, "keep_features": True, **training},
        }
    )  # fmt: skip


def loss_of_a_batch(folder, out, **training):
    """The distillation loss of the first batch, warm-up over, and its gradients."""
    recipe = settings(folder, **training)
    out.mkdir(exist_ok=True)
    material = Material(folder)
    one = train._trainer(recipe, train._arguments(recipe, out), material, material.features(recipe, out), distil=True)
    one.state.global_step, one.state.max_steps = 100, 200
    return float(one.training_step(one.model, next(iter(one.get_train_dataloader()))))


def test_live_answers_give_the_loss_of_stored_ones(taught, tmp_path):
    stored = loss_of_a_batch(taught, tmp_path / "stored")
    live = loss_of_a_batch(taught, tmp_path / "live", targets="live")

    assert stored > 0.1
    assert abs(live - stored) < 2e-3


def test_a_student_is_trained_by_a_live_teacher_alone(taught, tmp_path):
    recipe = settings(taught, targets="live")
    assert _recipe.needs(recipe, "train") == ("teach",)

    train.fit(recipe, taught, tmp_path / "train", distil=True)

    assert (tmp_path / "train" / "model.safetensors").exists()


def test_processes_that_read_batches_change_no_weight(taught, tmp_path):
    for workers in (0, 1):
        train.fit(settings(taught, workers=workers), taught, tmp_path / str(workers), distil=True)

    assert (tmp_path / "0" / "model.safetensors").read_bytes() == (tmp_path / "1" / "model.safetensors").read_bytes()
    assert not multiprocessing.active_children()  # they end with the training


@pytest.mark.slow
def test_another_training_seed_makes_another_student_of_the_same_views(taught, tmp_path):
    for seed in (1, 2):
        train.fit(settings(taught, seed=seed), taught, tmp_path / str(seed), distil=True)

    assert (tmp_path / "1" / "model.safetensors").read_bytes() != (tmp_path / "2" / "model.safetensors").read_bytes()


def test_features_of_all_views_are_kept_for_another_training_where_asked(taught, tmp_path):
    shutil.rmtree(taught / "features", ignore_errors=True)
    train.fit(settings(taught, keep_features=False), taught, tmp_path / "gone", distil=True)
    assert not (taught / "features").exists()
    assert not (tmp_path / "gone" / "features.npy").exists()

    train.fit(settings(taught), taught, tmp_path / "kept", distil=True)
    assert len(list((taught / "features").iterdir())) == 1


def test_metrics_are_told_as_often_as_asked(taught, tmp_path):
    lines = {}
    for every in (1, 2):
        train.fit(settings(taught, steps=4, log_every=every), taught, tmp_path / str(every), distil=True)
        told = map(json.loads, (tmp_path / str(every) / "metrics.jsonl").read_text().splitlines())
        lines[every] = sum("loss" in line for line in told)

    assert lines == {1: 4, 2: 2}


def test_metrics_reach_tensorboard(taught, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train.fit(settings(taught, log_every=1), taught, tmp_path / "train", distil=True)
    events = EventAccumulator(str(tmp_path / "train" / "tensorboard"))
    events.Reload()

    told = " ".join(events.Tags()["scalars"])
    assert all(name in told for name in ("loss/KnowledgeDistillation", "gradient_share/hard", "agreement", "teacher_entropy"))

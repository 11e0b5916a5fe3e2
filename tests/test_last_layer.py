"""The last layer by itself: what it reads, what it changes, and that it gives up inputs which hold for some rows alone."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from tests.test_live import settings, taught  # noqa: F401
from tests.test_training import TEACHER_SIZE, targets, trainer
from wakesmith import config, registry
from wakesmith.augment import _bank
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import Recording, load_jsonl, save_jsonl
from wakesmith.errors import WakesmithError
from wakesmith.losses._base import Answers, Moment
from wakesmith.steps import _recipe, train
from wakesmith.training import last_layer
from wakesmith.training.trainer import Trainer


def shipped(one):
    return {name: value.clone() for name, value in one.average.mean.items()}


def trained(folder, **options):
    one = trainer(folder, targets(), **options)
    one.train()
    return one


def test_only_the_last_layer_changes_and_only_where_it_ships(tmp_path):
    one = trained(tmp_path)
    before, own = shipped(one), {name: value.clone() for name, value in one.learner.student.state_dict().items()}

    last_layer.refit(one, 20, 0.85, seed=1)

    changed = {name for name, value in shipped(one).items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}
    assert all(torch.equal(value, own[name]) for name, value in one.learner.student.state_dict().items())
    assert one.learner.training


def test_the_same_seed_gives_the_same_layer_and_steps_dropout_and_seed_count(tmp_path):
    one = trained(tmp_path)
    start = shipped(one)

    def refitted(*given):
        for name, value in start.items():
            one.average.mean[name].copy_(value)
        last_layer.refit(one, *given)
        return one.average.mean["head.weight"].clone()

    first = refitted(20, 0.85, 1)

    assert torch.equal(refitted(20, 0.85, 1), first)
    assert not any(torch.equal(refitted(*other), first) for other in ((21, 0.85, 1), (20, 0.5, 1), (20, 0.85, 2)))


def test_the_teacher_has_its_part_in_it_and_no_part_in_plain_training(tmp_path):
    one, other = trained(tmp_path / "one"), trained(tmp_path / "other")
    answers = targets(seed=4)
    other.train_dataset.answered = answers
    plain = trainer(tmp_path / "plain", None, losses=[("cross_entropy", {})], kind=Trainer)

    for each in (one, other, plain):
        last_layer.refit(each, 50, 0.5, seed=1)

    assert not torch.equal(one.average.mean["head.weight"], other.average.mean["head.weight"])
    assert all(value.isfinite().all() for value in plain.average.mean.values())


def test_a_row_that_is_not_finite_teaches_by_its_label_alone(tmp_path):
    bad = targets()
    bad.teacher_logits[3] = np.nan
    one = trainer(tmp_path, bad)

    heard = last_layer._heard(one, 64)
    last_layer.refit(one, 30, 0.5, seed=1)

    answered = heard.teacher_logits.isfinite().all(dim=1)
    assert 0 < answered.sum() < len(answered)
    assert one.average.mean["head.weight"].isfinite().all()


def test_a_live_teacher_is_asked(tmp_path):
    class Live:
        def answer(self, samples):
            return samples[:, :4], samples[:, :TEACHER_SIZE]

    store = targets()
    sounds = np.random.default_rng(2).normal(size=(16, 2, 8)).astype(np.float32)
    store.batch = lambda clips, views: {"samples": sounds[clips, views]}
    one = trainer(tmp_path, store, teacher=Live())

    heard = last_layer._heard(one, 8)

    assert heard.teacher_logits.isfinite().all()
    assert heard.embedding.shape == (len(heard.labels), one.learner.student.embedding_size)


def test_with_dropout_the_layer_leans_on_all_that_tells_the_class_and_not_on_the_surest_input():
    """One input tells the class surely, twenty others a little each."""
    chance = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (2000,), generator=chance)
    signs = 2.0 * labels[:, None] - 1
    seen = torch.cat([6.0 * signs, 0.5 * signs + torch.randn(2000, 20, generator=chance)], 1)
    loss = registry.build("losses", config.part("losses", "cross_entropy"), 21, 0, 2)

    def share_of_the_others(dropout):
        layer = nn.Linear(21, 2)
        nn.init.zeros_(layer.weight)
        before, after = last_layer.learn(layer, Answers(torch.empty(0), seen, labels), [loss], Moment(0, 1), 400, dropout, 1)
        assert after < before
        weights = (layer.weight[1] - layer.weight[0]).detach().abs()
        return float(weights[1:].mean() / weights[0])

    assert share_of_the_others(0.85) > 1.2 * share_of_the_others(0.0)


def test_alpha_is_that_of_the_training_s_last_step(tmp_path):
    """After a training whose alpha ends at 0 the teacher says nothing any more; in one that ends at 1 the labels do not."""
    ends = []
    for alpha in ({"start": 1.0, "end": 0.0}, {"start": 0.0, "end": 1.0}):
        folder = tmp_path / str(alpha["end"])
        losses = [("cross_entropy", {}), ("kd", {"alpha": alpha, "warm_up_steps": 0})]
        one, other = (trainer(folder, targets(seed=seed), losses=losses) for seed in (3, 4))
        for each in (one, other):
            last_layer.refit(each, 30, 0.5, seed=1)
        ends.append(torch.equal(one.average.mean["head.weight"], other.average.mean["head.weight"]))

    assert ends == [True, False]


def weights(recipe, folder, out):
    return load_file(train.fit(recipe, folder, out, distil=True) / "model.safetensors")


def test_a_training_ends_with_it_where_it_is_asked_for(taught, tmp_path):  # noqa: F811
    without = weights(settings(taught), taught, tmp_path / "without")
    with_it = weights(settings(taught, last_layer_steps=20), taught, tmp_path / "with")
    less = weights(settings(taught, last_layer_steps=20, last_layer_dropout=0.2), taught, tmp_path / "less")

    changed = {name for name, value in with_it.items() if not torch.equal(value, without[name])}
    assert changed == {"head.weight", "head.bias"}
    assert not torch.equal(with_it["head.weight"], less["head.weight"])


def test_what_stops_it_changes_nothing_of_the_result(taught, tmp_path, monkeypatch):  # noqa: F811
    recipe = settings(taught, last_layer_steps=20)
    undisturbed = weights(recipe, taught, tmp_path / "undisturbed")
    refit = last_layer.refit

    def stopped(*given):
        refit(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(last_layer, "refit", stopped)
    with pytest.raises(KeyboardInterrupt):
        train.fit(recipe, taught, tmp_path / "stopped", distil=True)
    monkeypatch.setattr(last_layer, "refit", refit)
    again = weights(recipe, taught, tmp_path / "stopped")

    assert all(torch.equal(value, undisturbed[name]) for name, value in again.items())


def spoken(taught, folder):  # noqa: F811
    """The same run, of whose speech none was given by a source."""
    shutil.copytree(taught, folder)
    path = folder / "prepare" / "recordings.jsonl"
    save_jsonl(path, [dataclasses.replace(one, path="") for one in load_jsonl(path, Recording)])
    return folder


def test_of_synthetic_voices_alone_nothing_is_searched(taught, tmp_path, capsys):  # noqa: F811
    taught = spoken(taught, tmp_path / "run")
    plain = weights(settings(taught, last_layer_steps=20), taught, tmp_path / "plain")
    other = weights(settings(taught, last_layer_steps=20, last_layer_nearest=10), taught, tmp_path / "other")

    assert "without last_layer_nearest, since train holds no recording of other speech" in capsys.readouterr().err
    assert all(torch.equal(value, plain[name]) for name, value in other.items())


@pytest.mark.parametrize(
    ("option", "labels"), [("last_layer_nearest", ("near_miss", "speech", "noise")), ("last_layer_said", ("wake",))]
)
def test_it_learns_from_train_s_streams_and_from_no_other(taught, tmp_path, monkeypatch, option, labels):  # noqa: F811
    _bank.make(AudioStore.open(taught / "prepare"), taught / "views" / "bank", seed=1, n_rooms=0, most_beds=4, jobs=1)
    heard, read = [], AudioStore.recording
    plain = weights(settings(taught, last_layer_steps=20), taught, tmp_path / "plain")
    monkeypatch.setattr(AudioStore, "recording", lambda store, name: heard.append(name) or read(store, name))

    other = weights(settings(taught, last_layer_steps=20, **{option: 10}), taught, tmp_path / "other")

    assert {name for name, value in other.items() if not torch.equal(value, plain[name])} == {"head.weight", "head.bias"}
    store = AudioStore.open(taught / "prepare")
    assert {(store.recordings[name].split, store.recordings[name].label) for name in heard} == {("train", one) for one in labels}


def test_a_student_with_two_layers_over_its_embedding_is_refused(tmp_path):
    for name in registry.names("students"):
        student = registry.load("students", name)
        one_layer = getattr(student, "HAS_LAST_LAYER", True)
        if name != "raw_cnn":
            built = registry.build("students", config.part("students", name), 96 if "embedding" in name else 40, 150, 4)
            assert isinstance(getattr(built, "head", None), nn.Linear) == one_layer, name
    with pytest.raises((WakesmithError, ValidationError), match=r"train\.last_layer_steps: mobilenet_v3 has more than one"):
        _recipe.load({"phrase": "hey nova", "student": {"name": "mobilenet_v3"}, "train": {"last_layer_steps": 10}})


def test_a_student_without_a_last_layer_of_its_own_is_refused_before_it_trains(taught, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(registry.load("students", "mobilenet_v3"), "HAS_LAST_LAYER", True)  # a module that forgot to say so
    recipe = settings(taught, last_layer_steps=20).model_copy(update={"student": config.part("students", "mobilenet_v3")})

    with pytest.raises(WakesmithError, match=r"'mobilenet_v3' has no `head`.*HAS_LAST_LAYER = False"):
        train.fit(recipe, taught, tmp_path / "out", distil=True)

    assert not (tmp_path / "out" / "metrics.jsonl").exists()

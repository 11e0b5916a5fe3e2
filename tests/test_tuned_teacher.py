"""`teach` with stage two, and teachers that bring their own head, on the tiny run of tests/test_teach.py."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

from tests import tiny_encoders
from tests.test_gate import whole_recipe
from tests.test_teach import bytes_of, make_run, recipe, silence, whisper  # noqa: F401
from wakesmith.config import part
from wakesmith.data.targets import TargetStore
from wakesmith.data.views import ViewStore
from wakesmith.errors import TeacherError
from wakesmith.steps import _check, label, teach
from wakesmith.teachers import _checkpoints
from wakesmith.teachers._card import HeadSettings, load_teacher
from wakesmith.teachers._tune_settings import Tuning

pytestmark = pytest.mark.slow  # students are trained, several of them
torch.set_num_threads(1)
TUNING = Tuning(steps=4, batch=32, micro_batch=32, evaluate_every=2, lr=1e-3, head_lr=1e-3, patience=9, keep=9)
BUNDLE = ("head.safetensors", "encoder.safetensors", "card.json")


@pytest.fixture(scope="module")
def tuned(whisper, tmp_path_factory):  # noqa: F811
    """A run folder in which head and encoder learned, and have answered."""
    folder = tmp_path_factory.mktemp("tuned")
    make_run(folder)
    teach.run(recipe(whisper, epochs=3, tune=TUNING, gate="off"), folder)
    label.run(recipe(whisper), folder)
    return folder


def card_of(folder):
    return json.loads((folder / "teach" / "card.json").read_text())


def answers(folder, teacher=None):
    views = ViewStore.open(folder / "views")
    samples = torch.from_numpy(np.stack([views.read(clip, 0) for clip in range(0, 60, 7)]))
    return (teacher or load_teacher(folder / "teach")).answer(samples)


def best_checkpoint(folder):
    (tuning,) = (folder / "tuning").iterdir()
    best = min(card_of(folder)["tuning"], key=lambda look: (look["frr"], look["loss"]))["step"]
    assert best > 0
    return tuning / "checkpoints" / f"step-{best}.safetensors"


def test_the_tuned_encoder_lies_in_the_bundle_and_the_card_tells_how_it_came(tuned):
    card = card_of(tuned)

    assert [look["step"] for look in card["tuning"]] == [0, 2, 4]
    (encoder,) = bytes_of(tuned / "teach", "encoder.safetensors")
    assert card["encoder_sha256"] == hashlib.sha256(encoder).hexdigest()
    assert card["made_by"]["teach"]["tune"]["steps"] == 4


def test_labels_of_a_tuned_teacher_are_its_live_answers(tuned):
    teacher, views, targets = load_teacher(tuned / "teach"), ViewStore.open(tuned / "views"), TargetStore.open(tuned / "label")

    logits, embedding = teacher.answer(torch.from_numpy(views.read(17, 2))[None])

    np.testing.assert_allclose(targets.read(17, 2)[0], logits[0], atol=1e-2, rtol=1e-2)
    np.testing.assert_allclose(targets.read(17, 2)[1], embedding[0], atol=1e-2, rtol=1e-2)


def test_tuning_changes_the_answers(tuned, whisper, tmp_path):  # noqa: F811
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)

    teach.run(recipe(whisper, epochs=3, gate="off"), tmp_path)

    assert not (tmp_path / "teach" / "encoder.safetensors").exists()
    assert (card_of(tmp_path)["encoder_sha256"], card_of(tmp_path)["tuning"]) == ("", [])
    assert not torch.allclose(answers(tmp_path)[0], answers(tuned)[0], atol=1e-2)


def test_teaching_again_hears_and_tunes_nothing(tuned, whisper, tmp_path):  # noqa: F811
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)
    silence(tmp_path)

    teach.run(recipe(whisper, epochs=3, tune=TUNING, gate="off"), tmp_path)

    assert bytes_of(tmp_path / "teach", *BUNDLE) == bytes_of(tuned / "teach", *BUNDLE)


def test_what_the_frozen_and_the_tuned_encoder_heard_lies_apart(tuned):
    states = sorted(int(np.load(store / "state.npy").sum()) for store in (tuned / "encodings").iterdir())

    assert states == [20, 2 * 40 + 20]  # dev; two views of train, and dev


@pytest.mark.parametrize(("change", "told"), [(None, "missing"), (b"\x01", "not the weights")])
def test_a_tuned_encoder_that_is_gone_or_changed_is_refused(tuned, tmp_path, change, told):
    shutil.copytree(tuned / "teach", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "encoder.safetensors"
    if change is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + change)

    with pytest.raises(TeacherError, match=told):
        load_teacher(tmp_path)


def test_a_tuned_teacher_is_checked(tuned, whisper, tmp_path):  # noqa: F811
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)

    report = _check.run(whole_recipe(whisper), tmp_path)

    assert report["gate"]["checks"]["live_against_stored"] < 0.02
    assert report["rows"]["teacher: whisper"]["nll"] == pytest.approx(card_of(tuned)["dev"]["nll"])


def test_tuning_that_makes_nothing_better_leaves_the_frozen_encoder(tuned, whisper, tmp_path):  # noqa: F811
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)

    teach.run(recipe(whisper, tune=TUNING.model_copy(update={"lr": 9.0, "head_lr": 9.0}), gate="off"), tmp_path)

    card = card_of(tmp_path)
    assert (card["encoder_sha256"], len(card["tuning"])) == ("", 3)
    assert not (tmp_path / "teach" / "encoder.safetensors").exists()
    assert load_teacher(tmp_path / "teach").card.dev["wake_auc"] > 0.9


def test_members_of_an_ensemble_are_tuned(tuned, whisper, tmp_path):  # noqa: F811
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)
    both = part("teachers", "ensemble", members=[whisper, whisper])

    teach.run(recipe(both, epochs=3, tune=TUNING, gate="off"), tmp_path)

    for name in card_of(tmp_path)["members"]:
        member = tmp_path / "teach" / "members" / name
        assert bytes_of(member, *BUNDLE[:2]) == bytes_of(tuned / "teach", *BUNDLE[:2])
    torch.testing.assert_close(answers(tmp_path)[0], answers(tuned)[0].log_softmax(dim=-1), atol=1e-5, rtol=0)


def test_an_encoder_that_cannot_be_tuned_is_refused_before_any_is_heard(whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)
    fixed = part("teachers", "onnx_encoder", path=str(tiny_encoders.save_onnx(tmp_path / "tiny.onnx")), layout="BTD")

    with pytest.raises(TeacherError, match=r"cannot be tuned.*teach\.tune\.steps: 0"):
        teach.run(recipe(part("teachers", "ensemble", members=[whisper, fixed]), tune=TUNING), tmp_path)

    assert not (tmp_path / "encodings").exists()


# A whole teacher of the user's own


def of_own(whisper, path):  # noqa: F811
    return part("teachers", "whisper", path=whisper.path, checkpoint=str(path))


def test_a_checkpoint_of_stage_two_is_a_teacher_with_the_same_answers(tuned, whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)
    settings = recipe(of_own(whisper, best_checkpoint(tuned)), gate="warn")

    teach.run(settings, tmp_path)
    label.run(settings, tmp_path)

    (heard,) = (tmp_path / "encodings").iterdir()
    assert np.load(heard / "state.npy").sum() == 20  # dev, to calibrate
    for one, other in zip(answers(tmp_path), answers(tuned), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    assert card_of(tmp_path)["dev"] == pytest.approx(card_of(tuned)["dev"], abs=1e-4)
    assert card_of(tmp_path)["gate"]["policy"] == "warn"
    mine, its = (np.load(folder / "label" / "logits.npy") for folder in (tmp_path, tuned))
    np.testing.assert_allclose(mine.astype(float), its.astype(float), atol=2e-2, rtol=1e-2)


def test_a_whole_teacher_is_judged_by_the_gate(tuned, whisper, tmp_path):  # noqa: F811
    make_run(tmp_path, shuffled=True)

    with pytest.raises(TeacherError, match="the gate is closed"):
        teach.run(recipe(of_own(whisper, best_checkpoint(tuned))), tmp_path)


def test_a_whole_teacher_can_be_tuned_further(tuned, whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)

    teach.run(recipe(of_own(whisper, best_checkpoint(tuned)), tune=TUNING, gate="off"), tmp_path)

    looks = {look["step"]: look["loss"] for look in card_of(tuned)["tuning"]}
    taken = int(best_checkpoint(tuned).stem.removeprefix("step-"))
    assert card_of(tmp_path)["tuning"][0]["loss"] == pytest.approx(looks[taken], rel=1e-3)


def rewritten(tuned, path, **changes):
    """The checkpoint with something about it changed."""
    found = _checkpoints.read(best_checkpoint(tuned))
    told = {"weights": found.weights, "labels": found.labels, "preprocessing": found.preprocessing, **changes}
    _checkpoints.save(path, told["weights"], told["labels"], told["preprocessing"])
    return path


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": ["near_miss", "wake", "speech", "noise"]}, "its classes are in another order: near_miss, wake"),
        ({"labels": ["yes", "no"]}, "its classes are others"),
        ({"labels": None}, "not the names of its classes"),
        ({"preprocessing": {"rate_hz": 8_000}}, "trained with rate_hz 8000"),
    ],
)
def test_a_whole_teacher_of_other_classes_or_sound_is_refused(tuned, whisper, tmp_path, changes, told):  # noqa: F811
    make_run(tmp_path)
    path = rewritten(tuned, tmp_path / "own.safetensors", **changes)

    with pytest.raises(TeacherError, match=told):
        teach.run(recipe(of_own(whisper, path)), tmp_path)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"embedding_size": 32}, r"embedding_size 96, teach\.head\.embedding_size is 32.*--set teach\.head\.embedding_size=96"),
        ({"pooling": "mean"}, r"pooling attention, teach\.head\.pooling is mean.*--set teach\.head\.pooling=attention"),
    ],
)
def test_a_head_of_another_shape_names_the_setting(tuned, whisper, tmp_path, shape, told):  # noqa: F811
    make_run(tmp_path)

    with pytest.raises(TeacherError, match=told):
        teach.run(recipe(of_own(whisper, best_checkpoint(tuned)), head=HeadSettings(**shape)), tmp_path)


def test_a_head_that_lacks_weights_is_listed(tuned, whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)
    weights = dict(_checkpoints.read(best_checkpoint(tuned)).weights)
    del weights["head.mix.bias"]
    path = rewritten(tuned, tmp_path / "own.safetensors", weights=weights)

    with pytest.raises(TeacherError, match=r"1 missing \(mix\.bias\)"):
        teach.run(recipe(of_own(whisper, path)), tmp_path)

"""Teachers that answer together: equal ones as one, different ones as the mean of their probabilities, weighed on dev."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.test_teach import N_VIEWS, bytes_of, make_run, recipe, silence, whisper  # noqa: F401
from wakesmith.config import part
from wakesmith.data.targets import OK, TargetStore
from wakesmith.data.views import ViewStore
from wakesmith.errors import ConfigError, TeacherError
from wakesmith.steps import label, teach
from wakesmith.teachers import _ensemble
from wakesmith.teachers._card import load_teacher

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Settings of a wider encoder of other random weights."""
    return encoder(tmp_path_factory.mktemp("other"), seed=1, d_model=48)


def encoder(folder, seed, d_model):
    from safetensors.torch import save_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(seed)
    config = WhisperConfig(d_model=d_model, encoder_layers=2, encoder_ffn_dim=32, encoder_attention_heads=2, init_std=0.2)
    config.save_pretrained(folder)
    weights = WhisperEncoder(config).state_dict()
    save_file({f"model.encoder.{name}": value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return part("teachers", "whisper", path=str(folder))


def together(*members, **options):
    return part("teachers", "ensemble", members=list(members), **options)


@pytest.fixture(scope="module")
def mixed(whisper, other, tmp_path_factory):  # noqa: F811
    """A run in which two different teachers are taught and have answered."""
    folder = tmp_path_factory.mktemp("mixed")
    make_run(folder)
    teach.run(recipe(together(whisper, other)), folder)
    label.run(recipe(together(whisper, other)), folder)
    return folder


def some_views(folder):
    views = ViewStore.open(folder / "views")
    return torch.from_numpy(np.stack([views.read(clip, 0) for clip in range(0, 60, 7)]))


def test_two_equal_teachers_answer_as_one(whisper, tmp_path):  # noqa: F811
    make_run(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "alone")
    teach.run(recipe(whisper), tmp_path / "alone")
    teach.run(recipe(together(whisper, whisper)), tmp_path)
    one, two = load_teacher(tmp_path / "alone" / "teach"), load_teacher(tmp_path / "teach")

    samples = some_views(tmp_path)

    (logits, embedding), (both_logits, both_embedding) = one.answer(samples), two.answer(samples)
    torch.testing.assert_close(both_logits, logits.log_softmax(dim=-1), atol=1e-5, rtol=0)
    cosine = torch.nn.functional.cosine_similarity(embedding, both_embedding[:, :96])
    torch.testing.assert_close(cosine, torch.ones(len(samples)), atol=1e-5, rtol=0)
    assert two.card.dev == pytest.approx(one.card.dev, abs=1e-5)
    assert len(list((tmp_path / "encodings").iterdir())) == 1


def test_different_teachers_answer_with_the_mean_of_their_probabilities(mixed):
    samples, names = some_views(mixed), ["1-whisper", "2-whisper"]
    teacher = load_teacher(mixed / "teach")
    shares = [json.loads((mixed / "teach" / "card.json").read_text())["weights"][name] for name in names]
    answers = [load_teacher(mixed / "teach" / "members" / name).answer(samples) for name in names]

    logits, embedding = teacher.answer(samples)

    powers = [np.exp(one.numpy().astype(np.float64)) for one, _ in answers]
    mean = sum(share * one / one.sum(axis=1, keepdims=True) for share, one in zip(shares, powers, strict=True))
    np.testing.assert_allclose(logits.numpy(), np.log(mean), atol=1e-5)
    parts = [np.sqrt(share) * one / one.norm(dim=1, keepdim=True) for share, (_, one) in zip(shares, answers, strict=True)]
    np.testing.assert_allclose(embedding.numpy(), np.concatenate(parts, axis=1), atol=1e-5)
    assert teacher.embedding_size == embedding.shape[1] == 192
    np.testing.assert_allclose(embedding.norm(dim=1), 1, atol=1e-5)


def test_each_member_is_a_teacher_with_its_own_temperature_and_measures(mixed):
    card = json.loads((mixed / "teach" / "card.json").read_text())
    members = [json.loads((mixed / "teach" / "members" / name / "card.json").read_text()) for name in card["members"]]

    assert all(0.5 <= member["calibration_temperature"] <= 10 for member in members)
    assert members[0]["dev"]["nll"] != members[1]["dev"]["nll"]
    assert [member["dev"]["n_clips"] for member in members] == [20, 20]
    assert sum(card["weights"].values()) == pytest.approx(1)
    assert "likelihood" in card["weights_rule"]
    assert card["dev"]["nll"] <= max(member["dev"]["nll"] for member in members)
    assert card["gate"]["passed"]


def test_labels_of_an_ensemble_are_its_live_answers(mixed):
    teacher, views, targets = load_teacher(mixed / "teach"), ViewStore.open(mixed / "views"), TargetStore.open(mixed / "label")

    logits, embedding = teacher.answer(torch.from_numpy(views.read(17, 2))[None])

    assert (targets.state[:10] == OK).all()
    assert targets.n_views == N_VIEWS
    np.testing.assert_allclose(targets.read(17, 2)[0], logits[0], atol=1e-2, rtol=1e-2)
    np.testing.assert_allclose(targets.read(17, 2)[1], embedding[0], atol=1e-2, rtol=1e-2)


def test_a_member_that_was_heard_alone_is_not_heard_again(mixed, other, tmp_path):
    shutil.copytree(mixed, tmp_path, dirs_exist_ok=True)
    silence(tmp_path)

    teach.run(recipe(other, gate="off"), tmp_path)

    head = bytes_of(tmp_path / "teach", "head.safetensors")
    assert head == bytes_of(mixed / "teach" / "members" / "2-whisper", "head.safetensors")


def test_equal_weights_are_equal_and_answer_otherwise(mixed, whisper, other, tmp_path):  # noqa: F811
    shutil.copytree(mixed, tmp_path, dirs_exist_ok=True)

    teach.run(recipe(together(whisper, other, weights="equal")), tmp_path)

    equal, weighed = load_teacher(tmp_path / "teach"), load_teacher(mixed / "teach")
    assert list(equal.card.weights.values()) == [0.5, 0.5] != list(weighed.card.weights.values())
    assert equal.fingerprint != weighed.fingerprint


def test_a_member_that_is_bad_on_dev_gets_little_weight():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=300)
    good = torch.from_numpy(4 * np.eye(4)[labels] + rng.normal(0, 1, (300, 4)))
    bad = torch.from_numpy(rng.normal(0, 1, (300, 4)))

    weights = _ensemble.shares("dev_loss", [good, bad, good], labels)

    assert weights[1] < 0.03
    np.testing.assert_allclose(weights[[0, 2]].sum(), 1 - weights[1])


def test_the_shares_are_the_best_there_are():
    rng = np.random.default_rng(1)
    labels = rng.integers(4, size=200)
    members = [torch.from_numpy(s * np.eye(4)[labels] + rng.normal(0, 1, (200, 4))) for s in (1.0, 1.5)]
    own = [one.softmax(dim=1).numpy()[np.arange(200), labels] for one in members]

    weights = _ensemble.shares("dev_loss", members, labels)

    tried = np.linspace(0.001, 0.999, 999)
    scores = [np.log(w * own[0] + (1 - w) * own[1]).sum() + np.log(w) + np.log(1 - w) for w in tried]
    assert weights[0] == pytest.approx(tried[int(np.argmax(scores))], abs=2e-3)


def test_answers_stay_finite_in_sixteen_bits_where_members_are_certain():
    sure = torch.tensor([[3e4, -3e4, 0.0, 0.0]])

    mixed = _ensemble.mix([sure, sure], torch.tensor([0.5, 0.5]))

    assert mixed.half().isfinite().all()
    assert mixed.softmax(dim=1)[0, 0] == 1


def test_a_member_that_was_taught_anew_is_refused(mixed, tmp_path):
    shutil.copytree(mixed / "teach", tmp_path / "teach")
    card = json.loads((tmp_path / "teach" / "members" / "1-whisper" / "card.json").read_text())
    (tmp_path / "teach" / "members" / "1-whisper" / "card.json").write_text(json.dumps({**card, "calibration_temperature": 3.0}))

    with pytest.raises(TeacherError, match="not the member that the ensemble was weighed with"):
        load_teacher(tmp_path / "teach")


@pytest.mark.parametrize("members", [[], [{"name": "moonshine"}]])
def test_an_ensemble_needs_two(members):
    with pytest.raises(ConfigError, match="at least 2"):
        part("teachers", "ensemble", members=members)


def test_an_ensemble_in_an_ensemble_is_refused():
    inner = {"name": "ensemble", "members": ["moonshine", "whisper"]}

    with pytest.raises(ConfigError, match="cannot be a member"):
        part("teachers", "ensemble", members=[inner, "whisper"])


def test_members_are_read_from_plain_values_and_written_back():
    settings = part("teachers", "ensemble", members=["moonshine", {"name": "whisper", "path": "x"}])

    assert settings.model_dump(mode="json")["members"][1]["path"] == "x"
    assert part("teachers", **settings.model_dump(mode="json")) == settings

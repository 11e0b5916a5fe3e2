"""Moments of other sound that score most like the phrase: heard as a device hears them, found wherever they lie, learned."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.test_training import targets, trainer
from wakesmith import config, registry
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import WakesmithError
from wakesmith.steps import _recipe
from wakesmith.training import last_layer, nearest, streamed
from wakesmith.training.perturb import Perturbation

NOISE, SPEECH = 3, 2


@pytest.fixture(scope="module")
def ears():
    torch.manual_seed(1)
    student = registry.build("students", config.part("students", "mixednet", width=16), 40, 150, 4)
    return student.eval(), registry.build("features", config.part("features", "log_mel"))


def stream(seed, n_s=8.0, starts_s=(0.0, 3.0), classes=(SPEECH, NOISE)):
    chance = np.random.default_rng(seed)
    loudness = np.repeat(chance.uniform(0, 0.5, int(n_s * 10)), SAMPLE_RATE_HZ // 10)
    samples = (chance.standard_normal(len(loudness)) * loudness).astype(np.float32)
    return streamed.Stream(samples, np.array(starts_s), np.array(classes))


def found(ears, *streams, n=1000, perturb=None, seed=1):
    return nearest.moments(*ears, perturb, streams, n, 1, seed)


def test_each_second_gives_its_highest_moment_as_the_stream_is_heard(ears):
    (student, front), one = ears, stream(0, 13.0)
    with torch.no_grad():
        logits, _ = student.step(front(torch.from_numpy(one.samples)[None])[:, :1299], student.initial_state())
    scores = torch.softmax(logits[0], 1)[:, 0]

    got = found(ears, one)

    assert len(got.score) == 13 + 1  # of 33 hops, so a little under a second each
    assert got.score[0] == pytest.approx(float(scores[7:].max()), abs=1e-5)
    assert torch.equal(got.score, got.score.sort(descending=True).values)
    again = torch.softmax(student.head(got.embedding), 1)[:, 0]
    torch.testing.assert_close(again, got.score)


def test_a_moment_belongs_to_the_recording_that_plays(ears):
    before, both = found(ears, stream(0, starts_s=(0.0, 8.0))), found(ears, stream(0))
    late = found(ears, stream(0, starts_s=(5.0, 6.0)))

    assert set(before.labels.tolist()) == {SPEECH}
    assert (both.labels == NOISE).sum() in (5, 6)
    assert len(late.labels) in (3, 4)  # of the 5 s before the first recording there is none


def test_of_all_streams_the_highest_are_kept(ears):
    together = found(ears, stream(0), stream(1), stream(2), n=7)
    apart = torch.cat([found(ears, stream(seed)).score for seed in range(3)]).sort(descending=True).values[:7]

    assert torch.equal(together.score, apart)


def test_other_throats_and_microphones_are_heard_and_the_seed_counts(ears):
    changed = [found(ears, stream(0), perturb=Perturbation(0.1, 1.5, 0.8), seed=seed).score for seed in (1, 1, 2)]

    assert torch.equal(changed[0], changed[1])
    assert not torch.equal(changed[0], changed[2])
    assert not torch.equal(changed[0], found(ears, stream(0)).score)


@pytest.mark.parametrize(
    ("student", "features"), [("ds_cnn", "log_mel"), ("bc_resnet", "log_mel"), ("tc_resnet", "micro"), ("raw_cnn", "raw")]
)
def test_every_student_that_hears_a_stream_can_be_searched(student, features):
    front = registry.build("features", config.part("features", features))
    n_frames, n_values = front(torch.zeros(1, 24_000)).shape[1:]
    own = registry.build("students", config.part("students", student), n_values, n_frames, 4).eval()

    got = found((own, front), stream(0), n=3)

    assert got.embedding.shape == (3, own.embedding_size)
    torch.testing.assert_close(torch.softmax(own.head(got.embedding), 1)[:, 0], got.score)


def test_what_comes_near_is_pushed_away(tmp_path):
    one, other = (trainer(tmp_path / name, targets()) for name in ("one", "other"))
    size = one.learner.student.embedding_size
    near = nearest.Moments(
        torch.randn(50, size, generator=torch.Generator().manual_seed(0)), torch.full((50,), 1), torch.ones(50)
    )

    last_layer.refit(one, 200, 0.5, seed=1)
    last_layer.refit(other, 200, 0.5, seed=1, near=near)

    def phrase(each):
        mean = each.average.mean
        return torch.softmax(near.embedding @ mean["head.weight"].T + mean["head.bias"], 1)[:, 0].mean()

    assert phrase(other) < 0.9 * phrase(one)


def test_without_steps_of_the_last_layer_it_is_refused():
    with pytest.raises((WakesmithError, ValidationError), match=r"last_layer_nearest: .*--set train\.last_layer_steps=3000"):
        _recipe.load({"phrase": "hey nova", "train": {"last_layer_nearest": 10}})

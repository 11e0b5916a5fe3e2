"""The losses on embeddings: against loops, and where there is little or nothing to compare."""

import numpy as np
import pytest
import torch

from tests.test_losses import LATE, SIZE, answers, changed, gradients, learning, loss
from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.losses import segments
from wakesmith.losses.relation import relations
from wakesmith.steps import _recipe


def test_the_embedding_loss_is_small_where_the_projection_points_the_same_way():
    part, batch = loss("embedding"), answers()
    same = changed(batch, teacher_embedding=part.projector(batch.embedding) * 3)

    assert part(same, LATE).abs().max() < 1e-6


def test_relation_is_zero_for_the_same_shape_turned_and_scaled():
    batch = answers()
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(1)))[0]
    same = changed(batch, teacher_embedding=batch.embedding @ turn * 5 + 2)

    assert loss("relation")(same, LATE).abs().max() < 1e-5
    assert torch.equal(loss("relation")(changed(batch, teacher_embedding=batch.embedding), LATE), torch.zeros(8))


def test_relation_equals_a_reference_of_loops():
    batch = answers(5)

    def measured(x):
        x = np.asarray(x, np.float64)
        lengths = np.array([[np.linalg.norm(a - b) for b in x] for a in x])
        unit = {(i, j): (x[i] - x[j]) / lengths[i, j] for i in range(5) for j in range(5) if i != j}
        angles = {(i, j, k): unit[i, j] @ unit[k, j] for i, j in unit for k in range(5) if k not in (i, j)}
        return lengths / lengths.sum() * 20, angles

    def huber(a, b):
        return 0.5 * (a - b) ** 2 if abs(a - b) < 1 else abs(a - b) - 0.5

    (lengths, angles), (teacher_lengths, teacher_angles) = map(measured, (batch.embedding, batch.teacher_embedding))
    of_distance = [np.sum([huber(lengths[j, i], teacher_lengths[j, i]) for i in range(5)]) / 4 for j in range(5)]
    of_angle = [np.mean([huber(angles[key], teacher_angles[key]) for key in angles if key[1] == j]) for j in range(5)]

    made = loss("relation", distance_weight=3.0, angle_weight=0.5)(batch, LATE)

    np.testing.assert_allclose(made, 3 * np.array(of_distance) + 0.5 * np.array(of_angle), atol=1e-5)


def test_one_row_has_no_relation_and_two_have_no_angle():
    for n_rows in (1, 2):
        batch = learning(answers(n_rows))
        rows = loss("relation")(batch, LATE)
        rows.sum().backward()

        assert rows.abs().max() < 1e-6
        assert batch.embedding.grad.abs().max() < 1e-5


def test_the_same_row_twice_gives_relation_a_finite_gradient():
    batch = answers()
    twice = changed(batch, embedding=batch.embedding[[0, 0, 1, 2, 3, 4, 5, 6]], teacher_embedding=batch.teacher_embedding)

    (gradient,) = gradients("relation", twice)

    assert gradient.abs().max() < 10
    assert (relations(twice.embedding)[0][:2, :2] == 0).all()


@pytest.mark.parametrize("name", ["embedding", "relation"])
def test_a_teacher_without_embedding_is_refused(name):
    with pytest.raises(ConfigError, match=f"'{name}' needs a teacher's embedding.* Leave the loss out"):
        loss(name, teacher_size=0)


@pytest.mark.parametrize("name", ["embedding", "relation"])
def test_an_embedding_loss_has_the_weight_that_it_is_given(name):
    assert loss(name, weight=0.3).weight(LATE) == 0.3


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({}, r"segments\.size is 32 and teach\.head\.content 0"),
        ({"teach": {"head": {"content": 16}}}, r"segments\.size is 32 and teach\.head\.content 16"),
        (
            {"teach": {"head": {"content": 32}}, "teacher": {"name": "ensemble", "members": ["moonshine", "moonshine"]}},
            "segments are those of one encoder",
        ),
    ],
)
def test_segments_that_no_teacher_would_give_are_refused(own, told):
    with pytest.raises(ConfigError, match=told):
        _recipe.load({"phrase": "hey nova", "losses": ["cross_entropy", "segments"], "student": "mixednet", **own})


def test_segments_of_a_student_that_shows_none_are_refused_before_anything_is_made():
    with pytest.raises(ConfigError, match=r"segments looks at middle frames, and ds_cnn shows none\. Leave it out: --set"):
        _recipe.load({"phrase": "hey nova", "losses": ["cross_entropy", "segments"], "teach": {"head": {"content": 32}}})


def test_a_student_shows_middle_frames_exactly_when_it_says_so():
    for name in registry.names("students"):
        module = registry.load("students", name)
        takes = getattr(module, "TAKES", "bands")
        if takes == "bands":
            student = registry.build("students", config.part("students", name), 40, 150, 4)
            assert bool(student.middle_size) == getattr(module, "SHOWS_MIDDLE", False), name


@pytest.mark.parametrize(("n_frames", "n_segments", "kernel"), [(50, 16, 9), (47, 12, 5), (16, 16, 1), (20, 3, 49)])
def test_segments_are_averages_of_what_the_projector_says_of_each_frame(n_frames, n_segments, kernel):
    torch.manual_seed(0)
    part, middle = segments.Segments(segments.Config(size=8, kernel=kernel), 6, 8 * n_segments), torch.randn(4, 6, n_frames)

    each_frame = torch.nn.functional.adaptive_avg_pool1d(part.projector(middle), n_segments)

    torch.testing.assert_close(part.said(middle), each_frame.transpose(1, 2), atol=1e-6, rtol=1e-5)

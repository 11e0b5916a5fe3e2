"""Losses against references and at the edges; every loss of the registry keeps the same contract."""

import numpy as np
import pytest
import torch

from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.losses._base import Answers, Moment, warmed
from wakesmith.losses.kd import kl_rows

N_CLASSES, SIZE, TEACHER_SIZE = 4, 6, 5
LATE = Moment(99, 100)


def answers(n_rows: int = 8, scale: float = 1.0, seed: int = 0) -> Answers:
    chance = torch.Generator().manual_seed(seed)
    return Answers(
        torch.randn(n_rows, N_CLASSES, generator=chance) * scale,
        torch.randn(n_rows, SIZE, generator=chance),
        torch.arange(n_rows) % N_CLASSES,
        torch.randn(n_rows, N_CLASSES, generator=chance) * scale,
        torch.randn(n_rows, TEACHER_SIZE, generator=chance),
    )


def loss(name: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return registry.build("losses", config.part("losses", name, **options), SIZE, TEACHER_SIZE, N_CLASSES)


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_loss_gives_one_finite_number_a_row_at_extreme_logits(name):
    rows = loss(name)(answers(scale=1e4), LATE)

    assert rows.shape == (8,)
    assert rows.dtype == torch.float32
    assert torch.isfinite(rows).all()


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_row_does_not_depend_on_its_batch_mates(name):
    part, batch = loss(name), answers()

    alone = Answers(*(value[:1] for value in vars(batch).values()))

    torch.testing.assert_close(part(batch, LATE)[:1], part(alone, LATE))


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_loss_says_truly_whether_it_needs_a_teacher(name):
    assert loss(name).needs_teacher is registry.load("losses", name).NEEDS_TEACHER


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_kd_equals_a_float64_reference(temperature):
    batch = answers(32)

    student, teacher = (np.asarray(x, np.float64) / temperature for x in (batch.logits, batch.teacher_logits))
    log_p, log_q = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in (teacher, student))
    reference = (np.exp(log_p) * (log_p - log_q)).sum(1) * temperature**2

    np.testing.assert_allclose(kl_rows(batch.logits, batch.teacher_logits, temperature).numpy(), reference, atol=1e-5)


def test_kd_is_zero_when_the_student_equals_the_teacher():
    logits = answers().logits

    assert kl_rows(logits, logits.clone(), 2.0).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_kd_is_finite_in_half_precision(dtype):
    batch = answers(scale=1e4)

    assert torch.isfinite(kl_rows(batch.logits.to(dtype), batch.teacher_logits.to(dtype), 2.0)).all()


def test_the_embedding_loss_is_small_where_the_projection_points_the_same_way():
    part = loss("embedding")
    batch = answers()
    same = Answers(batch.logits, batch.embedding, batch.labels, batch.teacher_logits, part.projector(batch.embedding) * 3)

    assert part(same, LATE).abs().max() < 1e-6


def test_warm_up_grows_from_nothing_to_the_full_weight():
    assert [warmed(0.8, step, 4) for step in (0, 2, 4, 9)] == [0.0, 0.4, 0.8, 0.8]
    assert warmed(0.8, 0, 0) == 0.8


def test_label_smoothing_changes_the_loss():
    assert not torch.equal(loss("cross_entropy")(answers(), LATE), loss("cross_entropy", label_smoothing=0.1)(answers(), LATE))


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"alpha": -0.1}, {"temperature": 0.0}])
def test_kd_refuses_what_cannot_be_when_the_settings_are_read(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        config.part("losses", "kd", **options)

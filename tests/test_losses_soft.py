"""The losses on softened logits, and focal: against float64 references, and where they cannot work."""

import numpy as np
import pytest
import torch

from tests.test_losses import HARD, LATE, N_CLASSES, SOFT, answers, changed, loss
from wakesmith.data.classes import NO_CLASS
from wakesmith.errors import ConfigError
from wakesmith.losses import dkd
from wakesmith.losses._log_space import kl


def near(a: torch.Tensor, b: np.ndarray, atol: float = 1e-6) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("name", SOFT)
def test_it_is_zero_when_the_student_equals_the_teacher(name, scale):
    batch = answers(scale=scale)

    assert torch.equal(loss(name)(changed(batch, teacher_logits=batch.logits.clone()), LATE), torch.zeros(8))


@pytest.mark.parametrize("name", SOFT)
def test_alpha_is_its_weight_and_zero_takes_it_out(name):
    assert loss(name, alpha=0.7).weight(LATE) == 0.7
    assert loss(name, alpha=0).weight(LATE) == 0.0


@pytest.mark.parametrize("name", SOFT)
def test_a_row_without_label_is_taught_too(name):
    batch = answers()

    assert (loss(name)(changed(batch, labels=torch.full((8,), NO_CLASS)), LATE) > 0).all()


def soft(logits: torch.Tensor, temperature: float) -> np.ndarray:
    powers = np.exp(np.asarray(logits, np.float64) / temperature)
    return powers / powers.sum(1, keepdims=True)


def divergence(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    return (teacher * np.log(teacher / student)).sum(1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_kd_equals_a_float64_reference(temperature):
    batch = answers(256)

    student, teacher = (soft(x, temperature) for x in (batch.logits, batch.teacher_logits))
    reference = temperature**2 * divergence(teacher, student)
    rows = loss("kd", temperature=temperature)(batch, LATE)

    near(rows.mean(), reference.mean())
    near(rows / temperature**2, reference / temperature**2)


@pytest.mark.parametrize("seed", range(3))
def test_the_two_terms_of_dkd_sum_up_to_kd(seed):
    batch = answers(16, seed=seed)
    student, teacher = batch.logits.double(), batch.teacher_logits.double()

    of_target, of_others = dkd.terms(student, teacher, batch.labels)
    p_target = teacher.softmax(-1).gather(1, batch.labels[:, None])[:, 0]

    torch.testing.assert_close(of_target + (1 - p_target) * of_others, kl(student, teacher), rtol=0, atol=1e-12)


def test_dkd_equals_a_float64_reference():
    batch, rows = answers(32), np.arange(32)
    target = rows % N_CLASSES
    others = np.array([[c for c in range(N_CLASSES) if c != t] for t in target])
    sides = [soft(x, 3.0) for x in (batch.teacher_logits, batch.logits)]
    either = [np.stack([p[rows, target], 1 - p[rows, target]], 1) for p in sides]
    rest = [p[rows[:, None], others] / (1 - p[rows, target])[:, None] for p in sides]

    made = loss("dkd", temperature=3.0, target_weight=0.5, non_target_weight=4.0)(batch, LATE)

    near(made / 9, 0.5 * divergence(*either) + 4.0 * divergence(*rest), atol=3e-6)


def test_dkd_takes_the_choice_of_the_teacher_where_there_is_no_label():
    batch = answers()
    guessed = changed(batch, labels=batch.teacher_logits.argmax(-1))

    made = loss("dkd")(changed(batch, labels=torch.full((8,), NO_CLASS)), LATE)

    assert torch.equal(made, loss("dkd")(guessed, LATE))


def test_dist_is_what_numpy_correlates():
    batch = answers(32)
    student, teacher = (soft(x, 2.0) for x in (batch.logits, batch.teacher_logits))

    def apart(a, b):
        return np.array([1 - np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])

    inter, intra = apart(student, teacher), apart(student.T, teacher.T).mean()
    rows = loss("dist", temperature=2.0, inter_weight=0.5, intra_weight=3.0)(batch, LATE)

    near(rows, 4 * (0.5 * inter + 3.0 * intra), atol=1e-5)
    near(rows.mean(), 4 * (0.5 * inter.mean() + 3.0 * intra), atol=1e-5)


def test_logit_standard_equals_a_float64_reference():
    batch = answers(32)

    def scores(logits):
        z = np.asarray(logits, np.float64)
        return (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)

    student, teacher = (soft(scores(x), 2.0) for x in (batch.logits, batch.teacher_logits))

    near(loss("logit_standard", temperature=2.0)(batch, LATE), 4 * divergence(teacher, student), atol=3e-6)


def test_logit_standard_leaves_shift_and_scale_to_the_student():
    batch = answers()
    moved = changed(batch, logits=batch.logits * 7 - 3)

    torch.testing.assert_close(loss("logit_standard")(moved, LATE), loss("logit_standard")(batch, LATE))


@pytest.mark.parametrize("name", ["dkd", "dist", "logit_standard"])
def test_two_classes_are_refused_with_a_reason(name):
    with pytest.raises(ConfigError, match=f"'{name}' needs 3 classes or more, and there are 2: .* Use kd instead"):
        loss(name, n_classes=2)


@pytest.mark.parametrize("name", ["dkd", "dist", "logit_standard"])
def test_three_classes_are_enough_to_learn_what_two_do_not_hold(name):
    """With two logits of the same order these losses, or the second term of dkd, are 0 whatever the logits are."""
    first = {"target_weight": 0.0} if name == "dkd" else {"intra_weight": 0.0} if name == "dist" else {}
    three = answers(n_classes=3)
    ordered = changed(three, logits=three.logits.sort(-1)[0], teacher_logits=three.teacher_logits.sort(-1)[0])
    part = loss(name, n_classes=3, **first)

    rows = part(ordered, LATE)
    two = part(
        changed(ordered, logits=ordered.logits[:, :2], teacher_logits=ordered.teacher_logits[:, :2], labels=three.labels % 2),
        LATE,
    )

    assert (rows > 1e-4).all()
    assert rows.std() > 1e-2
    assert (two < 1e-5).all()


@pytest.mark.parametrize("name", HARD)
def test_a_hard_loss_refuses_rows_without_label(name):
    with pytest.raises(AssertionError, match="without a label"):
        loss(name)(changed(answers(), labels=torch.tensor([0, 1, 2, 3, 0, 1, 2, NO_CLASS])), LATE)


def test_focal_without_gamma_is_cross_entropy():
    torch.testing.assert_close(loss("focal", gamma=0.0)(answers(), LATE), loss("cross_entropy")(answers(), LATE))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_equals_a_float64_reference(gamma):
    batch = answers(32)
    p = soft(batch.logits, 1.0)[np.arange(32), batch.labels.numpy()]

    near(loss("focal", gamma=gamma)(batch, LATE), -((1 - p) ** gamma) * np.log(p), atol=2e-6)

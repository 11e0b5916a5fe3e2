"""Every loss of the registry keeps the same contract; options and schedules have their effect."""

import dataclasses

import pytest
import torch

from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.losses._base import Answers, Moment, warmed
from wakesmith.losses._schedule import Schedule
from wakesmith.losses._soft import SoftSettings

torch.set_num_threads(1)
N_CLASSES, SIZE, TEACHER_SIZE = 4, 6, 64
MIDDLE_FRAMES = 10
STUDENTS = ("logits", "embedding", "middle")
"""What of the answers is the student's."""
LATE = Moment(99, 100)
ALL = registry.names("losses")
TAUGHT = [name for name in ALL if registry.load("losses", name).NEEDS_TEACHER]
HARD = [name for name in ALL if name not in TAUGHT]
SOFT = [name for name in TAUGHT if issubclass(registry.load("losses", name).Config, SoftSettings)]


def answers(n_rows: int = 8, scale: float = 1.0, seed: int = 0, n_classes: int = N_CLASSES) -> Answers:
    chance = torch.Generator().manual_seed(seed)
    return Answers(
        torch.randn(n_rows, n_classes, generator=chance) * scale,
        torch.randn(n_rows, SIZE, generator=chance) * scale,
        torch.arange(n_rows) % n_classes,
        torch.randn(n_rows, n_classes, generator=chance) * scale,
        torch.randn(n_rows, TEACHER_SIZE, generator=chance) * scale,
        torch.randn(n_rows, SIZE, MIDDLE_FRAMES, generator=chance) * scale,
    )


def loss(name: str, n_classes: int = N_CLASSES, teacher_size: int = TEACHER_SIZE, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return registry.build("losses", config.part("losses", name, **options), SIZE, teacher_size, n_classes)


def changed(batch: Answers, **values: torch.Tensor) -> Answers:
    return dataclasses.replace(batch, **values)


def learning(batch: Answers) -> Answers:
    """The student's side asks for gradients."""
    return changed(batch, **{name: getattr(batch, name).clone().requires_grad_() for name in STUDENTS})


def gradients(name: str, batch: Answers, **options: object) -> list[torch.Tensor]:
    batch = learning(batch)
    loss(name, **options)(batch, LATE).mean().backward()
    return [getattr(batch, name).grad for name in STUDENTS if getattr(batch, name).grad is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ALL)
def test_a_loss_and_its_gradient_are_finite_at_extreme_answers(name, dtype):
    batch = answers()
    for scale in (1e4, 1.0, 0.0):
        extreme = Answers(*(v if v is batch.labels else (v.sign() * scale).to(dtype) for v in vars(batch).values()))
        rows = loss(name)(extreme, LATE)

        assert rows.shape == (8,)
        assert rows.dtype == torch.float32
        assert torch.isfinite(rows).all()
        assert all(torch.isfinite(gradient).all() for gradient in gradients(name, extreme))


@pytest.mark.parametrize("name", ALL)
def test_a_loss_is_the_same_under_autocast(name):
    part, batch = loss(name), answers()

    plain = part(batch, LATE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = part(batch, LATE)

    assert torch.equal(plain, cast)


@pytest.mark.parametrize("name", [name for name in ALL if not loss(name).across_rows])
def test_a_row_does_not_depend_on_its_batch_mates(name):
    part, batch = loss(name), answers()

    alone = Answers(*(value[:1] for value in vars(batch).values()))

    torch.testing.assert_close(part(batch, LATE)[:1], part(alone, LATE))


@pytest.mark.parametrize("name", [name for name in ALL if loss(name).across_rows])
def test_a_loss_across_rows_hears_of_its_batch_mates(name):
    part, batch = loss(name), answers()

    fewer = Answers(*(value[:5] for value in vars(batch).values()))

    assert not torch.allclose(part(batch, LATE)[:5], part(fewer, LATE))


@pytest.mark.parametrize("name", ALL)
def test_a_loss_says_of_itself_what_its_module_says(name):
    module, part = registry.load("losses", name), loss(name)

    assert part.needs_teacher is module.NEEDS_TEACHER
    assert part.has_alpha is (name in SOFT)


@pytest.mark.parametrize("name", ALL)
def test_a_loss_needs_a_teacher_exactly_when_it_says_so(name):
    plain = Answers(*list(vars(answers()).values())[:3])

    if name in TAUGHT:
        with pytest.raises(AssertionError, match="plain answers"):
            loss(name)(plain, LATE)
    else:
        loss(name)(plain, LATE)


@pytest.mark.parametrize("name", ALL)
def test_a_student_unlike_the_teacher_gets_a_gradient(name):
    assert any((gradient.abs() > 1e-6).any() for gradient in gradients(name, answers()))


@pytest.mark.parametrize("name", ALL)
def test_a_few_steps_reduce_the_loss(name):
    part, batch = loss(name), learning(answers())
    descent = torch.optim.Adam([getattr(batch, name) for name in STUDENTS], lr=0.1)
    values = []
    for _ in range(20):
        mean = part(batch, LATE).mean()
        descent.zero_grad()
        mean.backward()
        descent.step()
        values.append(float(mean.detach()))

    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("n_rows", [1, 2])
@pytest.mark.parametrize("name", ALL)
def test_one_or_two_rows_make_no_nan(name, n_rows):
    assert torch.isfinite(loss(name)(answers(n_rows), LATE)).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(name, answers(n_rows)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_entropy", {"label_smoothing": 0.1}), ("focal", {"gamma": 1.0}), ("dkd", {"target_weight": 2.0}),
        ("dkd", {"non_target_weight": 2.0}), ("dist", {"inter_weight": 2.0}), ("dist", {"intra_weight": 2.0}),
        ("relation", {"distance_weight": 2.0}), ("relation", {"angle_weight": 1.0}),
        ("segments", {"size": 16}), ("segments", {"kernel": 3}),
        *((name, {"temperature": 5.0}) for name in SOFT),
    ],
)  # fmt: skip
def test_every_option_changes_the_loss(name, options):
    assert not torch.allclose(loss(name)(answers(), LATE), loss(name, **options)(answers(), LATE))


@pytest.mark.parametrize("name", TAUGHT)
def test_every_loss_with_a_teacher_warms_up_and_tells_it(name):
    part, key = loss(name, warm_up_steps=4), "alpha" if name in SOFT else "weight"

    full = part.weight(LATE)

    assert [part.weight(Moment(step, 100)) for step in (0, 2, 4)] == [0.0, full / 2, full]
    assert part.told(Moment(2, 100))[key] == full / 2


def test_warm_up_grows_from_nothing_to_the_full_weight():
    assert [warmed(0.8, step, 4) for step in (0, 2, 4, 9)] == [0.0, 0.4, 0.8, 0.8]
    assert warmed(0.8, 0, 0) == 0.8


def test_a_schedule_goes_from_its_start_to_its_end():
    linear, cosine = (Schedule(start=1.0, end=3.0, shape=shape) for shape in ("linear", "cosine"))
    moments = [Moment(step, 101) for step in (0, 25, 50, 100, 500)]

    assert [linear.at(moment) for moment in moments] == [1.0, 1.5, 2.0, 3.0, 3.0]
    assert [cosine.at(moment) for moment in moments] == pytest.approx([1.0, 2 - 2**-0.5, 2.0, 3.0, 3.0])
    assert linear.at(Moment(0, 1)) == 1.0


@pytest.mark.parametrize("name", SOFT)
def test_alpha_and_temperature_follow_their_schedules(name):
    ramp = {"alpha": {"start": 0.0, "end": 1, "shape": "cosine"}, "temperature": {"start": 1, "end": 5.0}}
    part, middle = loss(name, warm_up_steps=0, **ramp), Moment(25, 101)

    assert part.weight(middle) == pytest.approx((1 - 2**-0.5) / 2)
    assert part.told(middle) == {"alpha": part.weight(middle), "temperature": 2.0}
    assert torch.equal(part(answers(), middle), loss(name, temperature=2.0)(answers(), LATE))


def test_a_number_stays_a_number_and_whole_ones_will_do():
    settings = config.part("losses", "kd", alpha=1, temperature=3)

    assert (settings.alpha, settings.temperature) == (1.0, 3.0)
    assert config.to_yaml(settings).splitlines()[1:3] == ["alpha: 1.0", "temperature: 3.0"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"alpha": 1.5}, r"losses.alpha: expected a number from 0 to 1, or such a start and end \(given: 1.5\)\."),
        ({"alpha": -0.1}, "losses.alpha: expected a number from 0 to 1"),
        ({"alpha": True}, "losses.alpha: expected a number from 0 to 1"),
        ({"alpha": "much"}, "losses.alpha: expected a number from 0 to 1"),
        ({"temperature": 0.0}, "losses.temperature: expected a number over 0"),
        ({"temperature": float("inf")}, "losses.temperature: expected a number over 0"),
        ({"alpha": {"start": 0.0, "end": 1.5}}, "losses.alpha: expected a number from 0 to 1"),
        ({"temperature": {"start": 0.0, "end": 2.0}}, "losses.temperature: expected a number over 0"),
        ({"alpha": {"start": 0.0, "endd": 0.5}}, "losses.alpha.endd: unknown key. Did you mean 'end'?"),
        ({"alpha": {"start": 0.0, "end": 0.5, "shape": "square"}}, "losses.alpha.shape: .*'linear' or 'cosine'"),
    ],
)
@pytest.mark.parametrize("name", SOFT)
def test_what_cannot_be_is_refused_when_the_settings_are_read(name, options, told):
    with pytest.raises(ConfigError, match=told):
        config.part("losses", name, **options)


def test_a_schedule_is_read_from_yaml_and_written_again(tmp_path):
    (tmp_path / "c.yaml").write_text("name: kd\nalpha: {start: 0, end: 0.9, shape: cosine}\n")

    settings = config.parse_part("losses", config.read_yaml(tmp_path / "c.yaml"), "losses.0")
    (tmp_path / "d.yaml").write_text(config.to_yaml(settings))

    assert settings.alpha == Schedule(start=0.0, end=0.9, shape="cosine")
    assert config.parse_part("losses", config.read_yaml(tmp_path / "d.yaml"), "losses.0") == settings

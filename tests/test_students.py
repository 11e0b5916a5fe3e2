"""Contracts of every student: being in the folder is being tested."""

import hashlib

import pytest
import torch

from tests import students
from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.exporters._listener import Listener
from wakesmith.students import _suits
from wakesmith.students._streaming import Student

VIEW_SAMPLES, N_CLASSES = 24_000, 4
STUDENTS = registry.names("students")
torch.set_num_threads(1)


def front_end_of(name: str) -> torch.nn.Module:
    return registry.build("features", config.part("features", _suits.front_ends(name)[0]))


def frames(name: str, n_rows: int, n_frames: int) -> torch.Tensor:
    return torch.randn(n_rows, n_frames, front_end_of(name).n_mels)


def built(name: str, n_classes: int = N_CLASSES, **options: object) -> Student:
    """For views of 1.5 s behind the first front-end that suits it."""
    front_end, settings = front_end_of(name), config.part("students", name, **options)
    torch.manual_seed(0)
    return registry.build("students", settings, front_end.n_mels, VIEW_SAMPLES // front_end.hop_samples, n_classes)


def made(name: str) -> Student:
    """A student whose norms have heard something, so that they are no identity."""
    student = built(name).train()
    for _ in range(3):
        student(frames(name, 4, n_frames_of(name)))
    return student.eval()


def n_frames_of(name: str) -> int:
    return VIEW_SAMPLES // front_end_of(name).hop_samples


class Case:
    """A student, frames as it hears them, and the frames of a view."""

    def __init__(self, name: str) -> None:
        self.name, self.student, self.n_frames = name, made(name), n_frames_of(name)

    def frames(self, n_rows: int, n_frames: int | None = None) -> torch.Tensor:
        return frames(self.name, n_rows, n_frames or self.n_frames)

    def hops(self, n_hops: int) -> torch.Tensor:
        return self.frames(1, n_hops * self.student.hop_frames)

    def streamed(self, features: torch.Tensor, hops_each: int) -> torch.Tensor:
        """(1, T, F) in chunks -> logits (T / hop_frames, C)"""
        state, found = self.student.initial_state(), []
        with torch.no_grad():
            for chunk in features.split(hops_each * self.student.hop_frames, dim=1):
                logits, state = self.student.step(chunk, state)
                found.append(logits[0])
        return torch.cat(found)


@pytest.fixture(params=students.each("bc_resnet", "ds_cnn", "mixednet"), scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture
def student(case: Case) -> Student:
    return case.student


def test_a_stream_scores_as_the_whole_clip_does(case: Case):
    n_hops = -(-case.n_frames // case.student.hop_frames)
    features = case.hops(n_hops + 5)

    stream = case.streamed(features, 2)

    for end in (n_hops, n_hops + 3, n_hops + 5):
        whole = case.student(features[:, : end * case.student.hop_frames][:, -case.n_frames :])[0][0]
        assert torch.allclose(stream[end - 1], whole, atol=1e-5)


def test_the_size_of_the_chunks_changes_nothing(case: Case):
    features = case.hops(12)

    assert torch.allclose(case.streamed(features, 1), case.streamed(features, 5), atol=1e-5)


def test_later_frames_change_nothing_earlier(case: Case):
    features = case.hops(10)
    other = torch.cat([features[:, : 6 * case.student.hop_frames], case.hops(4)], dim=1)

    assert torch.equal(case.streamed(features, 2)[:6], case.streamed(other, 2)[:6])


def test_a_clip_scores_the_same_beside_any_other(case: Case):
    features = case.frames(3)

    alone, together = case.student(features[:1])[0], case.student(features)[0]

    assert torch.allclose(alone, together[:1], atol=1e-5)


def test_frames_before_the_receptive_field_change_nothing(case: Case):
    features = case.frames(1)
    other = features.clone()
    other[:, : case.n_frames - case.student.receptive_frames] += 5.0

    assert torch.equal(case.student(features)[0], case.student(other)[0])


def test_the_first_frame_of_the_receptive_field_counts(case: Case):
    features = case.frames(1).requires_grad_()

    case.student(features)[0].sum().backward()

    assert features.grad is not None
    assert features.grad[0, case.n_frames - case.student.receptive_frames].abs().sum() > 0


def test_the_receptive_field_lies_inside_a_view_with_the_front_ends_window(case: Case):
    assert Listener(front_end_of(case.name), case.student).receptive_samples <= VIEW_SAMPLES


def test_shapes_are_those_promised(case: Case, student: Student):
    logits, embedding = student(case.frames(2))

    assert logits.shape == (2, N_CLASSES)
    assert embedding.shape == (2, student.embedding_size)
    assert student.initial_state().shape == (1, student.state_size)
    assert student.listens in ("streaming", "windowed")


def test_every_weight_learns(case: Case, student: Student):
    student.train()
    logits, embedding = student(case.frames(4))
    (logits.square().mean() + embedding.square().mean()).backward()
    student.eval()

    assert [name for name, weight in student.named_parameters() if weight.grad is None] == []
    student.zero_grad()


def test_a_clip_shorter_than_the_receptive_field_scores_too(case: Case):
    assert torch.isfinite(case.student(case.frames(1, case.n_frames // 2))[0]).all()


def test_silence_and_loud_sound_give_finite_scores(case: Case):
    listener = Listener(front_end_of(case.name), case.student)
    state = torch.zeros(1, listener.state_size)

    for gain in (0.0, 1.0, 100.0):
        scores, state = listener(gain * torch.randn(1, listener.step_samples), state)
        assert torch.isfinite(scores).all()
        assert torch.isfinite(state).all()


def other_values(name: str) -> list[tuple[str, object]]:
    """Every option of a student, with a value that is allowed and not the default."""
    found = []
    fields = registry.load("students", name).Config.model_fields
    for option in fields.keys() - {"name"}:
        default = fields[option].default
        candidates = getattr(fields[option].annotation, "__args__", (0.5, default * 2, default // 2, default - 1, default + 1))
        found.append((option, next(value for value in candidates if allowed(name, option, value, default))))
    return found


def allowed(name: str, option: str, value: object, default: object) -> bool:
    try:
        built(name, **{option: value})
    except ConfigError:
        return False
    return value != default


def say(student: Student, features: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)
    return student(features)[0]


@pytest.mark.parametrize("name", students.each("ds_cnn", "mixednet"))
def test_every_option_changes_what_is_said_in_training(name: str):
    features = frames(name, 4, n_frames_of(name))

    said = say(built(name).train(), features)

    for option, value in other_values(name):
        assert not torch.equal(say(built(name, **{option: value}).train(), features), said), option


@pytest.mark.parametrize(("name", "least", "most"), [
    ("bc_resnet", 9_000, 11_000), ("ds_cnn", 20_000, 30_000), ("raw_cnn", 30_000, 80_000), ("tc_resnet", 55_000, 66_000),
])  # fmt: skip
def test_the_default_size_is_as_told(name: str, least: int, most: int):
    assert least < sum(weight.numel() for weight in built(name).parameters()) < most


@pytest.mark.parametrize("name", ["bc_resnet", "ds_cnn", "raw_cnn", "tc_resnet"])
def test_too_long_a_mean_is_refused_with_the_longest(name: str):
    with pytest.raises(ConfigError, match=r"student\.mean_frames: 40 do not fit .* At most (\d+)") as told:
        built(name, mean_frames=40)

    most = int(str(told.value).split("At most ")[1].rstrip("."))
    assert built(name, mean_frames=most)
    with pytest.raises(ConfigError):
        built(name, mean_frames=most + 1)


def test_a_view_too_short_for_any_mean_is_refused():
    with pytest.raises(ConfigError, match="Take longer views: 120 frames"):
        registry.build("students", config.part("students", "bc_resnet", mean_frames=1), 40, 90, N_CLASSES)


@pytest.mark.parametrize("tau", [1.0, 1.5, 8.0])
def test_bc_resnet_is_as_wide_as_tau_says(tau: float):
    student = built("bc_resnet", tau=tau)

    assert student.embedding_size == 32 * tau
    assert [layer.inner.shapes[0][0] for layer in student.chain.layers[1:13]] == [
        round(n * tau) for n in [8] * 2 + [12] * 2 + [16] * 4 + [20] * 4
    ]


def test_bc_resnet_keeps_the_mean_over_frequency_alone():
    """Not the frames of every bin: in a stream each frame is then computed once."""
    layers = built("bc_resnet").chain.layers[1:13]

    assert [layer.inner.state_size for layer in layers] == [2 * n for n in [8] * 2 + [12] * 2 + [16] * 4 + [20] * 4]


@pytest.mark.parametrize(("width", "parameters", "names"), [
    (0.25, 117_642, "24dad47db5e91739"), (0.5, 405_146, "753b2c9451627938"),
    (0.75, 886_170, "1aebe0302c82630e"), (1.0, 1_519_618, "a2e99335c1b219c8"),
])  # fmt: skip
def test_mobilenet_v3_has_the_published_weights_at_every_width(width: float, parameters: int, names: str):
    """Names and shapes of torchvision 0.29's MobileNetV3 for the configuration `mobilenet_v3_small`, one channel, two classes."""
    student = built("mobilenet_v3", n_classes=2, width=width)
    listed = "\n".join(f"{name} {tuple(value.shape)}" for name, value in student.state_dict().items())

    assert sum(weight.numel() for weight in student.parameters()) == parameters
    assert hashlib.sha256(listed.encode()).hexdigest()[:16] == names

"""Contracts of every student: being in the folder is being tested."""

import pytest
import torch

from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.exporters._listener import STEP_SAMPLES, Listener
from wakesmith.students._streaming import Student

N_MELS, N_FRAMES, N_CLASSES = 40, 150, 4
STUDENTS = registry.names("students")
torch.set_num_threads(1)


def made(name: str, n_classes: int = N_CLASSES) -> Student:
    """A student whose norms have heard something, so that they are no identity."""
    torch.manual_seed(0)
    student = registry.build("students", config.part("students", name), N_MELS, N_FRAMES, n_classes)
    student.train()
    for _ in range(3):
        student(torch.randn(4, N_FRAMES, N_MELS))
    return student.eval()


@pytest.fixture(params=STUDENTS, scope="module")
def student(request: pytest.FixtureRequest) -> Student:
    return made(request.param)


def streamed(student: Student, features: torch.Tensor, chunk: int) -> torch.Tensor:
    """(1, T, F) in chunks -> logits (T / hop_frames, C)"""
    state, found = student.initial_state(), []
    with torch.no_grad():
        for start in range(0, features.shape[1], chunk):
            logits, state = student.step(features[:, start : start + chunk], state)
            found.append(logits[0])
    return torch.cat(found)


def test_a_stream_scores_as_the_whole_clip_does(student: Student):
    features = torch.randn(1, 240, N_MELS)

    stream = streamed(student, features, 8)

    for end in (160, 200, 240):
        whole = student(features[:, end - N_FRAMES : end])[0][0]
        assert torch.allclose(stream[end // student.hop_frames - 1], whole, atol=1e-5)


def test_the_size_of_the_chunks_changes_nothing(student: Student):
    features = torch.randn(1, 80, N_MELS)

    assert torch.allclose(streamed(student, features, 8), streamed(student, features, 40), atol=1e-5)


def test_later_frames_change_nothing_earlier(student: Student):
    features = torch.randn(1, 80, N_MELS)
    other = torch.cat([features[:, :40], torch.randn(1, 40, N_MELS)], dim=1)

    n_same = 40 // student.hop_frames

    assert torch.equal(streamed(student, features, 8)[:n_same], streamed(student, other, 8)[:n_same])


def test_a_clip_scores_the_same_beside_any_other(student: Student):
    features = torch.randn(3, N_FRAMES, N_MELS)

    alone, together = student(features[:1])[0], student(features)[0]

    assert torch.allclose(alone, together[:1], atol=1e-5)


def test_frames_before_the_receptive_field_change_nothing(student: Student):
    features = torch.randn(1, N_FRAMES, N_MELS)
    other = features.clone()
    other[:, : N_FRAMES - student.receptive_frames] += 5.0

    assert torch.equal(student(features)[0], student(other)[0])


def test_the_first_frame_of_the_receptive_field_counts(student: Student):
    features = torch.randn(1, N_FRAMES, N_MELS, requires_grad=True)

    student(features)[0].sum().backward()

    assert features.grad is not None
    assert features.grad[0, N_FRAMES - student.receptive_frames].abs().sum() > 0


def test_the_receptive_field_lies_inside_a_view_with_the_front_ends_window(student: Student):
    assert student.receptive_frames + 2 <= N_FRAMES


def test_shapes_are_those_promised(student: Student):
    logits, embedding = student(torch.randn(2, N_FRAMES, N_MELS))

    assert logits.shape == (2, N_CLASSES)
    assert embedding.shape == (2, student.embedding_size)
    assert student.initial_state().shape == (1, student.state_size)
    assert 8 % student.hop_frames == 0
    assert student.listens in ("streaming", "windowed")


def test_every_weight_learns(student: Student):
    student.train()
    logits, embedding = student(torch.randn(4, N_FRAMES, N_MELS))
    (logits.square().mean() + embedding.square().mean()).backward()
    student.eval()

    assert [name for name, weight in student.named_parameters() if weight.grad is None] == []
    student.zero_grad()


def test_a_clip_shorter_than_the_receptive_field_scores_too(student: Student):
    assert torch.isfinite(student(torch.randn(1, 60, N_MELS))[0]).all()


def test_silence_and_loud_sound_give_finite_scores(student: Student):
    front_end = registry.build("features", config.part("features", "log_mel"))
    listener = Listener(front_end, student)
    state = torch.zeros(1, listener.state_size)

    for gain in (0.0, 1.0, 100.0):
        scores, state = listener(gain * torch.randn(1, STEP_SAMPLES), state)
        assert torch.isfinite(scores).all()
        assert torch.isfinite(state).all()


def test_ds_cnn_has_about_25k_parameters():
    assert 20_000 < sum(weight.numel() for weight in made("ds_cnn").parameters()) < 30_000


def test_ds_cnn_with_too_long_a_mean_names_the_longest():
    settings = config.part("students", "ds_cnn", mean_frames=20)

    with pytest.raises(ConfigError, match="At most 13"):
        registry.build("students", settings, N_MELS, N_FRAMES, N_CLASSES)


def test_mobilenet_v3_has_the_published_number_of_parameters():
    assert sum(weight.numel() for weight in made("mobilenet_v3", n_classes=2).parameters()) == 1_519_618


def test_mobilenet_v3_has_the_published_names_of_weights():
    weights = made("mobilenet_v3", n_classes=2).state_dict()

    assert weights["features.0.0.weight"].shape == (16, 1, 3, 3)
    assert weights["features.1.block.1.fc1.weight"].shape == (8, 16, 1, 1)
    assert weights["features.4.block.2.fc2.bias"].shape == (96,)
    assert weights["features.12.1.running_var"].shape == (576,)
    assert weights["classifier.3.weight"].shape == (2, 1024)
    assert len(weights) == 244

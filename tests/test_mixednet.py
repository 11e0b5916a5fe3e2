"""The student mixednet: its size, its groups of kernels, what its options change."""

import pytest
import torch

from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.students._over_time import TimeConv
from wakesmith.students.mixednet import MixedNet, MixedSeparable

torch.set_num_threads(1)


def made(n_frames: int = 150, **options: object) -> MixedNet:
    torch.manual_seed(0)
    built: MixedNet = registry.build("students", config.part("students", "mixednet", **options), 40, n_frames, 4)
    return built


def size(student: MixedNet) -> int:
    return sum(weight.numel() for weight in student.parameters())


def test_its_options_reach_from_20k_to_60k_parameters():
    assert 20_000 < size(made()) < 30_000
    assert size(made(width=48)) < 20_000
    assert size(made(width=108, first_width=64)) > 60_000


def test_it_scores_each_30_ms_and_hears_1_46_s():
    student = made()

    assert (student.hop_frames, student.receptive_frames) == (3, 146)


def test_a_longer_tail_hears_further_back():
    assert made(tail_frames=4).receptive_frames - made(tail_frames=2).receptive_frames == 6


def test_dropout_changes_training_alone():
    features = torch.randn(32, 150, 40)
    plain, dropped = made(), made(dropout=0.5)

    assert not torch.equal(plain(features)[0], dropped(features)[0])
    assert torch.equal(plain.eval()(features)[0], dropped.eval()(features)[0])


def test_a_block_runs_each_group_of_channels_with_its_own_kernel():
    torch.manual_seed(0)
    block, x = MixedSeparable(6, 8, (3, 5)), torch.randn(2, 6, 20, 1)
    short, long = block.depthwise

    mixed = torch.nn.functional.conv2d(x, block.kernel(), groups=6)

    assert torch.allclose(mixed[:, :3], short(x[:, :3, 2:]), atol=1e-6)
    assert torch.allclose(mixed[:, 3:], long(x[:, 3:]), atol=1e-6)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (5, 3), (1, 2), (3, 1)])
def test_a_convolution_over_time_learns_as_the_plain_one_does(kernel, stride):
    torch.manual_seed(0)
    conv, x = TimeConv(7, 9, kernel, stride), torch.randn(3, 20, 1, 7).permute(0, 3, 1, 2).requires_grad_()
    told = {}
    for training in (True, False):
        out = conv.train(training)(x)
        told[training] = (out, *torch.autograd.grad(out.square().sum(), (x, conv.weight)))

    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(told[True], told[False], atol=1e-5, rtol=1e-5)


def test_a_tail_too_long_for_the_view_names_the_longest():
    with pytest.raises(ConfigError, match="At most 4"):
        made(tail_frames=6)


def test_a_view_too_short_for_any_tail_asks_for_longer_ones():
    with pytest.raises(ConfigError, match=r"clip_s of 1\.39 s"):
        made(n_frames=100, tail_frames=1)


def test_a_look_inside_changes_no_score_and_shows_frames_of_the_whole_view():
    student, features = made().eval(), torch.randn(2, 150, 40)

    logits, embedding, middle = student.look(features)

    torch.testing.assert_close((logits, embedding), student(features))
    assert middle.shape == (2, student.middle_size, 150 // student.hop_frames)


def test_a_middle_frame_hears_nothing_that_comes_later():
    student, features = made().eval(), torch.randn(1, 150, 40)
    changed = features.clone()
    changed[:, 90:] = 0

    was, now = student.look(features)[2], student.look(changed)[2]

    assert torch.equal(was[:, :, : 90 // student.hop_frames], now[:, :, : 90 // student.hop_frames])
    assert not torch.equal(was, now)

"""Perturbed features: another place on the frequency axis, another colour, and nothing at all when all is off."""

import numpy as np
import torch

from wakesmith.data.sampling import N_CHANCES, Row
from wakesmith.training.dataset import Rows
from wakesmith.training.perturb import Perturbation, style


def features():
    torch.manual_seed(0)
    return torch.randn(4, 20, 40)


def chances(n_rows=4):
    return torch.rand(n_rows, N_CHANCES, generator=torch.Generator().manual_seed(1))


def test_nothing_asked_changes_nothing():
    assert torch.equal(Perturbation(0.0, 0.0, 0.0)(features(), chances()), features())


def test_every_option_changes_the_features():
    for options in ((0.1, 0.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.0, 0.4)):
        assert not torch.equal(Perturbation(*options)(features(), chances()), features())


def test_a_shift_moves_a_tone_by_no_more_than_was_asked():
    tone = torch.zeros(64, 1, 40)
    tone[:, :, 20] = 1.0

    moved = Perturbation(0.0, 2.0, 0.0)(tone, chances(64))[:, 0]
    centre = (moved * torch.arange(40.0)).sum(1) / moved.sum(1)

    assert 0.5 < (centre - 20).abs().max() <= 2.01


def test_colour_is_the_same_at_all_times_and_stays_within_its_bound():
    colour = Perturbation(0.0, 0.0, 0.4)(features(), chances()) - features()

    assert torch.allclose(colour, colour[:, :1].expand_as(colour), atol=1e-5)
    assert colour.abs().max() <= 0.4 + 1e-5


def other():
    return style(3.0 * torch.randn(4, 20, 40, generator=torch.Generator().manual_seed(2)) - 1.0)


def mixed(whether, how_much):
    given = chances()
    given[:, -2:] = torch.tensor([whether, how_much])
    return Perturbation(0.0, 0.0, 0.0, mix=0.5)(features(), given, other())


def test_mixed_bands_have_level_and_spread_of_the_other_row():
    torch.testing.assert_close(style(mixed(0.4, 1.0)), other())
    torch.testing.assert_close(style(mixed(0.4, 0.5)), (style(features()) + other()) / 2)


def test_rows_beyond_the_share_keep_their_bands():
    torch.testing.assert_close(mixed(0.6, 1.0), features())


def test_mixing_keeps_what_is_said():
    def shape(heard):
        return (heard - heard.mean(1, keepdim=True)) / heard.std(1, keepdim=True)

    torch.testing.assert_close(shape(mixed(0.4, 0.7)), shape(features()))


def test_a_band_that_does_not_move_is_not_blown_up():
    still = torch.zeros(1, 20, 40)
    out = Perturbation(0.0, 0.0, 0.0, mix=1.0)(
        still + 1e-4 * torch.randn(1, 20, 40), torch.ones(1, N_CHANCES) - 1e-3, other()[:1]
    )

    assert (out.std(1) < 0.01).all()


def test_a_batch_brings_the_style_of_the_row_that_chance_names():
    frames = torch.randn(3, 2, 20, 40).half().numpy()
    rows = Rows(frames, np.zeros(3, int), [0, 2], 2, None, mixed=True)
    chance = np.full(N_CHANCES, 0.8, np.float32)  # of rows 0 to 3 the last: the second view of clip 2

    batch = rows.__getitems__([Row(0, chance)])

    torch.testing.assert_close(batch["others"][0], style(torch.from_numpy(frames[2:, 1]).float())[0], atol=2e-3, rtol=2e-3)
    assert "others" not in Rows(frames, np.zeros(3, int), [0, 2], 2, None).__getitems__([Row(0, chance)])


def test_it_is_off_outside_training():
    from wakesmith.training.learner import Learner

    class Echo(torch.nn.Module):
        def forward(self, heard):
            return heard, heard

    learner = Learner(Echo(), [], Perturbation(0.1, 1.5, 0.4))

    assert torch.equal(learner.eval()(features(), chances())["logits"], features())
    assert not torch.equal(learner.train()(features(), chances())["logits"], features())

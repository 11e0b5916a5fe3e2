"""Perturbed features: another place on the frequency axis, another colour, and nothing at all when all is off."""

import torch

from wakesmith.data.sampling import N_CHANCES
from wakesmith.training.perturb import Perturbation


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


def test_it_is_off_outside_training():
    from wakesmith.training.learner import Learner

    class Echo(torch.nn.Module):
        def forward(self, heard):
            return heard, heard

    learner = Learner(Echo(), [], Perturbation(0.1, 1.5, 0.4))

    assert torch.equal(learner.eval()(features(), chances())["logits"], features())
    assert not torch.equal(learner.train()(features(), chances())["logits"], features())

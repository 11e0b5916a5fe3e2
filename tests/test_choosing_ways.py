"""The simulation behind the number of false accepts at which ways to listen are compared."""

import numpy as np
import pytest

from tests import scripts


@pytest.fixture(scope="module")
def ways():
    return scripts.loaded("benchmarks/choosing_ways.py")


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_unseen_audio_holds_one_more_false_accept_at_each_next_peak(ways, shared):
    found = ways.levels(4000, 2, 5, shared, np.random.default_rng(1))

    assert found.mean(axis=(0, 1)) == pytest.approx([1, 2, 3, 4, 5], rel=0.06)


def test_a_way_that_is_given_keeps_its_promise_and_one_of_many_by_one_peak_does_not(ways):
    chance = np.random.default_rng(1)
    given, many = (ways.levels(4000, n_ways, 11, 0.0, chance) for n_ways in (1, 15))

    assert ways.inside(given, 0, 0, 1.0, chance) > 0.94
    assert ways.inside(many, 0, 0, 1.0, chance) < ways.inside(many, 0, 10, 1.0, chance) - 0.04

"""The benchmark behind the number of events from which on they are counted: it finds which way keeps to the rate."""

import math

import numpy as np
import pytest

from tests import scripts
from wakesmith import metrics
from wakesmith.errors import DataError


@pytest.fixture
def ways(monkeypatch):
    monkeypatch.setattr(metrics, "COUNTED_EVENTS", math.inf)
    return scripts.loaded("benchmarks/threshold_ways.py")


def test_of_a_true_tail_the_tail_keeps_nearer_to_the_rate_than_the_count(ways):
    """4 h by 40 voices; over the second loudest of a half, one event, unseen audio holds more than one on average."""
    chance, found = np.random.default_rng(1), []
    for _ in range(60):
        log_odds = -4 + chance.exponential(0.6, 4_000)
        peaks = ways.Peaks(1 / (1 + np.exp(-log_odds)), chance.integers(40, size=4_000), np.full(40, 0.1))
        found.append(ways.kept(peaks, 0.5, 20, chance))

    events, by_count, by_tail = np.mean(found, axis=0)
    assert events == pytest.approx(1, rel=0.1)
    assert 1 < by_tail < 1.4 < by_count


def test_too_few_peaks_are_told(ways):
    peaks = ways.Peaks(np.linspace(0, 1, 100), np.arange(100) % 10, np.full(10, 0.2))

    with pytest.raises(DataError, match=r"peaks; expected 250 at least"):
        ways.kept(peaks, 0.5, 1, np.random.default_rng(1))

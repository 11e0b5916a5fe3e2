"""Metrics against known answers, other ways to compute them, and what must hold for all inputs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wakesmith import metrics

scores = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60).map(lambda x: np.array(x, np.float64))


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilsons_interval_holds_the_share_and_agrees_with_scipy(k, n):
    k = min(k, n)
    low, high = metrics.wilson(k, n)
    reference = stats.binomtest(k, n).proportion_ci(method="wilson")

    assert low <= k / n <= high
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-9)


@given(st.integers(1, 40), st.floats(0.1, 100))
def test_the_poisson_interval_is_exact(k, hours):
    low, high = metrics.poisson(k, hours)

    assert low < k / hours < high
    assert stats.poisson.sf(k - 1, low * hours) == pytest.approx(0.025, abs=1e-6)
    assert stats.poisson.cdf(k, high * hours) == pytest.approx(0.025, abs=1e-6)


def test_no_event_gives_the_rule_of_three():
    low, high = metrics.poisson(0, 2.0)

    assert low == 0
    assert high == pytest.approx(3 / 2, rel=0.01)


def test_nothing_heard_says_nothing():
    assert metrics.wilson(0, 0) == (0.0, 1.0)
    assert metrics.poisson(0, 0.0) == (0.0, math.inf)


@given(scores, scores)
def test_misses_grow_and_false_accepts_fall_with_the_threshold(positives, heights):
    _, fa, misses = metrics.det(positives, heights, hours=1.0)

    assert (np.diff(fa) <= 0).all()
    assert (np.diff(misses) >= 0).all()


@given(scores, scores)
def test_the_area_is_the_share_of_pairs_in_order(positives, negatives):
    pairs = np.sign(positives[:, None] - negatives[None])

    assert metrics.auc(positives, negatives) == pytest.approx(((pairs + 1) / 2).mean())


@given(scores, scores)
def test_the_equal_error_rate_is_a_share(positives, negatives):
    assert 0 <= metrics.eer(positives, negatives) <= 1


def test_the_equal_error_rate_of_two_normals_is_known():
    chance = np.random.default_rng(0)

    found = metrics.eer(chance.normal(1, 1, 40_000), chance.normal(-1, 1, 40_000))

    assert found == pytest.approx(stats.norm.cdf(-1), abs=0.005)


def test_peaks_closer_than_the_refractory_time_are_one():
    times_s = np.arange(10) / 10
    heights = metrics.peaks(times_s, np.array([0, 0.9, 0, 0.8, 0, 0, 0, 0.7, 0, 0]), refractory_s=0.3)

    assert heights[heights > 0].tolist() == [0.9, 0.7]


def test_the_threshold_lets_through_what_the_rate_allows():
    heights = np.array([0.9, 0.8, 0.7, 0.6])

    two, is_bound = metrics.threshold_at(heights, hours=2.0, fa_per_hour=1.0, floor=0.1)
    assert (heights >= two).sum() == 2
    assert not is_bound
    none, is_bound = metrics.threshold_at(heights, hours=2.0, fa_per_hour=0.1, floor=0.1)
    assert (heights >= none).sum() == 0
    assert is_bound


def test_the_threshold_stays_over_its_floor():
    assert metrics.threshold_at(np.array([0.01]), 1.0, 0.1, floor=0.2)[0] == 0.2


def test_a_calibrated_answer_has_no_calibration_error():
    labels = np.array([0] * 8 + [1] * 2)

    assert metrics.ece(np.tile([0.8, 0.2], (10, 1)), labels) == pytest.approx(0)
    assert metrics.ece(np.tile([1.0, 0.0], (10, 1)), labels) == pytest.approx(0.2)


coarse = st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=1, max_size=60).map(np.array)


@given(coarse, coarse)
def test_the_whole_partial_area_is_the_area(positives, negatives):
    assert metrics.pauc(positives, negatives, 1.0) == pytest.approx(metrics.auc(positives, negatives))


@given(coarse, coarse, st.floats(0.01, 1.0))
def test_the_partial_area_agrees_with_a_fine_sum_under_the_curve(positives, negatives, most):
    misses, accepts = metrics.roc(positives, negatives)
    middles = (np.arange(20_000) + 0.5) / 20_000 * most
    x, y = accepts[::-1] + np.arange(len(accepts)) * 1e-12, 1 - misses[::-1]

    assert metrics.pauc(positives, negatives, most) == pytest.approx(np.interp(middles, x, y).mean(), abs=1e-3)


def test_the_partial_area_of_chance_is_small_and_of_perfection_one():
    even = np.linspace(0, 1, 1001)

    assert metrics.pauc(even, even, 0.05) == pytest.approx(0.025, abs=1e-3)
    assert metrics.pauc(np.full(9, 0.9), np.full(9, 0.1), 0.05) == 1.0

"""Metrics against known answers, other ways to compute them, and what must hold for all inputs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wakesmith import metrics
from wakesmith.errors import DataError

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


@pytest.mark.parametrize(("per_hour", "hours", "new_hours"), [(0.5, 0.8, 2.7), (0.5, 4, 1), (2, 4, 4), (20, 1, 0.2), (1, 10, 2)])
def test_a_predicted_count_holds_about_95_times_of_100(per_hour, hours, new_hours):
    chance, n = np.random.default_rng(0), 2_000
    k = math.floor(per_hour * hours)
    low, high = metrics.expected_count(k, hours, new_hours, set_by_peak=True)
    mean, least, most = metrics.expected_rate(k, hours, set_by_peak=True)
    rates = np.array([200 * (1 - np.sort(chance.random(chance.poisson(200 * hours)))[-k - 1]) for _ in range(n)])

    inside = np.mean([low <= chance.poisson(rate * new_hours) <= high for rate in rates])
    rate_inside = np.mean((least <= rates) & (rates <= most))

    assert 0.94 <= inside <= 0.995  # counts are whole numbers: few of them make the interval hold more than it says
    assert rate_inside == pytest.approx(0.95, abs=0.015)
    assert rates.mean() == pytest.approx(mean, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(("per_hour", "hours", "new_hours"), [(2.0, 2.0, 5.0), (5.0, 4.0, 4.0), (30.0, 1.0, 1.0)])
def test_a_fixed_thresholds_predicted_count_holds_about_95_times_of_100(per_hour, hours, new_hours):
    chance = np.random.default_rng(0)

    def holds() -> bool:
        low, high = metrics.expected_count(int(chance.poisson(per_hour * hours)), hours, new_hours, set_by_peak=False)
        return bool(low <= chance.poisson(per_hour * new_hours) <= high)

    assert np.mean([holds() for _ in range(1_000)]) == pytest.approx(0.96, abs=0.025)


@pytest.mark.slow
def test_bursts_taken_for_single_events_would_make_the_interval_too_narrow():
    chance = np.random.default_rng(0)

    def holds(burst: float) -> bool:
        seen = 4 * int(chance.poisson(5.0))
        low, high = metrics.expected_count(seen, 10.0, 10.0, set_by_peak=False, burst=burst)
        return bool(low <= 4 * chance.poisson(5.0) <= high)

    narrow, wide = (np.mean([holds(burst) for _ in range(1_000)]) for burst in (1.0, 4.0))

    assert narrow < 0.8
    assert wide > 0.94


@given(st.integers(0, 30), st.floats(0.1, 50), st.floats(0.1, 50), st.floats(1, 10), st.booleans())
def test_bursts_only_widen_a_prediction(k, hours, new_hours, burst, set_by_peak):
    low, high = metrics.expected_count(k, hours, new_hours, set_by_peak=set_by_peak)
    wider_low, wider_high = metrics.expected_count(k, hours, new_hours, set_by_peak=set_by_peak, burst=burst)
    mean, least, most = metrics.expected_rate(k, hours, set_by_peak=set_by_peak, burst=burst)

    assert wider_low <= low <= high <= wider_high
    assert least <= mean <= most


def test_burstiness_is_one_for_poisson_counts_and_the_size_of_bursts_for_bursts():
    chance = np.random.default_rng(0)
    hours = chance.uniform(0.1, 1.0, 400)
    counts = np.array([chance.poisson(rate) for rate in 3 * hours])

    assert metrics.burstiness(counts, hours) == pytest.approx(1.0, abs=0.2)
    assert metrics.burstiness(5 * counts, hours) == pytest.approx(5.0, abs=0.8)


def test_burstiness_agrees_with_a_bootstrap_over_groups():
    chance = np.random.default_rng(1)
    hours, counts = np.ones(60), chance.negative_binomial(0.7, 0.3, 60)
    totals = counts[chance.integers(0, 60, (20_000, 60))].sum(axis=1)

    assert metrics.burstiness(counts, hours) == pytest.approx(totals.var() / totals.mean(), rel=0.05)


@pytest.mark.parametrize("counts", [[], [3], [0, 0]])
def test_burstiness_without_groups_or_events_is_one(counts):
    assert metrics.burstiness(np.array(counts, int), np.ones(len(counts))) == 1.0


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
    scores = np.array([0, 0.9, 0, 0.8, 0, 0, 0, 0.7, 0, 0])
    found = metrics.peaks(times_s, scores, refractory_s=0.3)

    assert found[scores[found] > 0].tolist() == [1, 7]


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


def told_apart(n=400, seed=0, n_classes=4):
    """Logits whose softmax is the true chance of each class, and labels drawn from it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, n_classes))
    return logits, (metrics.softmax(logits).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def test_answers_agree_with_other_ways_to_count():
    logits, labels = told_apart()
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    found = metrics.answers(logits, labels, hours_per_clip=0.01, fa_per_hour=2.0)

    wake, other = chances[labels == 0, 0], chances[labels != 0, 0]
    allowed = math.floor(2.0 * len(other) * 0.01)
    assert found["accuracy"] == np.mean(chances.argmax(axis=1) == labels)
    assert found["majority_accuracy"] == max(np.mean(labels == k) for k in range(4))
    assert found["chance_accuracy"] == 0.25
    assert found["wake_auc"] == pytest.approx(np.mean(wake[:, None] > other[None]))
    assert found["frr"] == pytest.approx(np.mean(wake <= np.sort(other)[::-1][allowed]), abs=0.01)
    assert found["nll"] == pytest.approx(-np.log(chances[np.arange(400), labels]).mean())
    assert found["fa_hours"] == pytest.approx(len(other) * 0.01)
    assert found["n_clips"] == 400


def test_the_shares_of_the_classes_are_told_to_who_learned_them_all_alike():
    chance = np.random.default_rng(0)
    labels = (chance.random(20_000) < 0.95).astype(int)  # class 1 is 19 times as common as class 0
    seen = chance.normal(2.0 * labels, 1.0)
    alike = np.stack([np.zeros_like(seen), 2 * seen - 2], axis=1)  # log-likelihood ratio of the two normals

    found = metrics.answers(alike, labels, hours_per_clip=0.01)

    assert found["accuracy"] < found["majority_accuracy"] < found["prior_accuracy"]
    best = (2 * seen - 2 + np.log((labels == 1).mean() / (labels == 0).mean()) > 0) == labels
    assert found["prior_accuracy"] == pytest.approx(best.mean())


def test_one_answer_for_all_is_no_better_than_the_majority_class_that_it_is():
    labels = np.array([1] * 90 + [0] * 10)

    found = metrics.answers(np.tile([3.0, 0.0], (100, 1)), labels, hours_per_clip=0.01)

    assert (found["accuracy"], found["prior_accuracy"], found["majority_accuracy"]) == (0.1, 0.1, 0.9)


def test_with_few_hours_no_false_accept_is_allowed():
    logits, labels = told_apart()

    strict = metrics.answers(logits, labels, hours_per_clip=1e-4, fa_per_hour=0.5)["frr"]

    scores = metrics.softmax(logits)[:, 0]
    assert strict == np.mean(scores[labels == 0] <= scores[labels != 0].max())
    assert strict > metrics.answers(logits, labels, hours_per_clip=1e-4, fa_per_hour=500.0)["frr"]


def test_figures_of_several_phrases_are_their_means():
    logits, labels = told_apart()
    swapped = [1, 0, 2, 3]

    both = metrics.answers(logits, labels, 0.01, n_phrases=2)

    first = metrics.answers(logits, labels, 0.01)
    second = metrics.answers(logits[:, swapped], np.array(swapped)[labels], 0.01)
    for figure in ("wake_auc", "frr", "fa_hours"):
        assert both[figure] == pytest.approx((first[figure] + second[figure]) / 2)
    assert both["accuracy"] == first["accuracy"]


def test_a_balanced_accuracy_counts_each_class_the_same():
    labels = np.array([0] + [1] * 9)

    found = metrics.answers(np.tile([0.0, 5.0], (10, 1)), labels, 0.01)

    assert (found["accuracy"], found["balanced_accuracy"], found["frr"]) == (0.9, 0.5, 1.0)


def test_figures_without_a_wake_clip_are_refused():
    with pytest.raises(DataError, match="no clip of a wake phrase"):
        metrics.answers(np.zeros((3, 4)), np.array([1, 2, 3]), 0.01)


@pytest.mark.parametrize("n", [30, 300])
def test_calibrated_answers_stay_within_what_chance_makes(n):
    many = [told_apart(n, seed) for seed in range(200)]
    errors = np.array([metrics.ece(metrics.softmax(logits), labels) for logits, labels in many])

    limits = np.array([metrics.ece_by_chance(metrics.softmax(logits), np.random.default_rng(0), 50) for logits, _ in many])

    assert np.mean(errors > limits) < 0.1
    assert limits.mean() < 2 * errors.mean()


def test_near_misses_are_no_false_accepts_of_an_hour():
    labels = np.array([0] * 10 + [1] * 10 + [2] * 10)
    logits = np.zeros((30, 3))
    logits[:10, 0], logits[10:20, 0], logits[20:, 0] = 3.0, 4.0, -3.0  # near misses score over the phrase, other speech far under

    with_them, without = (metrics.answers(logits, labels, 0.01, near_miss=near_miss) for near_miss in (None, 1))

    assert (with_them["frr"], without["frr"]) == (1.0, 0.0)
    assert without["fa_hours"] == pytest.approx(0.1)
    assert with_them["wake_auc"] == without["wake_auc"]


def of_log_odds(log_odds):
    return 1 / (1 + np.exp(-log_odds))


@pytest.mark.parametrize("scale", [0.3, 0.6, 1.0])
def test_the_tail_tells_a_rate_that_its_hours_are_too_few_for(scale):
    """600 peaks in 0.5 h whose log-odds are exponential over -4: the true rate over a threshold is known."""
    hours, asked, rates = 0.5, 0.5, []
    for seed in range(200):
        heights = of_log_odds(-4 + np.random.default_rng(seed).exponential(scale, 600))
        threshold = metrics.threshold_beyond(heights, hours, asked)
        rates.append(600 / hours * np.exp(-(np.log(threshold / (1 - threshold)) + 4) / scale))

    assert np.median(rates) == pytest.approx(asked, rel=0.15)
    assert np.percentile(rates, 90) < 4 * asked
    assert np.percentile(rates, 10) > asked / 4


@pytest.mark.parametrize(("hours", "asked"), [(3.4, 0.5), (1.8, 1.0)])
def test_of_few_events_the_tail_is_nearer_to_the_rate_than_their_own_count(hours, asked):
    """1,200 peaks an hour whose log-odds are exponential over -4, 200 times: how far off the true rate is, as a factor."""

    def rate(threshold):
        return 1200 * np.exp(-(np.log(threshold / (1 - threshold)) + 4) / 0.6)

    tail, counted = [], []
    for seed in range(200):
        heights = of_log_odds(-4 + np.random.default_rng(seed).exponential(0.6, int(1200 * hours)))
        tail.append(rate(metrics.threshold_beyond(heights, hours, asked)))
        counted.append(rate(metrics.threshold_at(heights, hours, asked, 0.0)[0]))

    off = [np.abs(np.log(np.array(found) / asked)).mean() for found in (tail, counted)]
    assert np.exp(np.log(tail).mean()) == pytest.approx(asked, rel=0.1)
    assert off[0] < 0.9 * off[1]


def test_one_loud_peak_decides_no_threshold():
    heights = of_log_odds(-4 + np.random.default_rng(1).exponential(0.6, 600))
    with_it = metrics.threshold_beyond(np.r_[heights, 0.999], 0.5, 0.5)

    assert metrics.threshold_beyond(heights, 0.5, 0.5) < with_it < 0.95
    assert metrics.threshold_at(np.r_[heights, 0.999], 0.5, 0.5, 0.0)[0] > 0.99


def test_a_rarer_rate_takes_a_higher_threshold_and_few_peaks_none():
    heights = of_log_odds(-4 + np.random.default_rng(1).exponential(0.6, 600))
    asked = [metrics.threshold_beyond(heights, 0.5, rate) for rate in (0.1, 0.5, 1.0)]

    assert 1 > asked[0] > asked[1] > asked[2] > 0
    assert metrics.threshold_beyond(heights[: metrics.LEAST_PEAKS - 1], 0.5, 0.5) is None
    assert metrics.threshold_beyond(heights, 2.0, 0.5) < asked[1]  # an event at that rate is too few to count
    assert metrics.threshold_beyond(heights, 20.0, 0.5) is None
    assert metrics.threshold_beyond(np.ones(600), 0.5, 0.5) == pytest.approx(1, abs=1e-5)
    assert 0 <= metrics.threshold_beyond(np.zeros(600), 0.5, 0.5) < 1e-5

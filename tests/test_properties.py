"""What must hold whatever is drawn: metrics, splits, views, the detector. What single examples show stands beside each part."""

import dataclasses
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_augment import CHANGES, CLIP, bank, word  # noqa: F401 (bank is a fixture)
from tests.test_detector import bursts, by_chunks, detector
from tests.test_splits import SHARES, recording
from wakesmith import audio, augment, config, metrics, registry
from wakesmith.data import clips, splits
from wakesmith.data.records import KNOWN_LABELS, LABELS, SPLITS
from wakesmith.runtime.detector import Gate, events, smooth
from wakesmith.runtime.pcm import Converter

FEW, MANY = 25, 1_000
n_examples = MANY if os.environ.get("WAKESMITH_MANY") else FEW


def drawn(few: int = FEW, many: int = MANY):
    """The same examples each time."""
    most = few if n_examples == FEW else many
    return settings(max_examples=most, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


scores = st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=1, max_size=60).map(np.array)
hours = st.floats(0.01, 1_000)


# Metrics


@given(scores, scores, hours)
@drawn()
def test_thresholds_of_the_trade_off_rise_and_both_errors_stay_in_range(positives, heights, hours):
    thresholds, fa, frr = metrics.det(positives, heights, hours)

    assert (np.diff(thresholds) > 0).all()
    assert (np.diff(fa) <= 0).all()
    assert (fa >= 0).all()
    assert (np.diff(frr) >= 0).all()
    assert ((frr >= 0) & (frr <= 1)).all()


@given(scores, hours, st.floats(0, 20), st.floats(0, 0.99))
@drawn()
def test_the_chosen_threshold_keeps_to_the_rate_and_none_lower_does(heights, hours, per_hour, floor):
    heights = heights.astype(np.float32)  # as scores are: between two of them lies no threshold
    threshold, _ = metrics.threshold_at(heights, hours, per_hour, floor)

    allowed = math.floor(per_hour * hours + 1e-9)
    assert (heights >= threshold).sum() <= allowed
    assert (
        threshold == floor
        or len(heights) <= allowed
        or (heights >= np.nextafter(np.float32(threshold), np.float32(0))).sum() > allowed
    )


@given(scores, hours, st.floats(0, 20), st.floats(0, 20))
@drawn()
def test_a_larger_rate_never_asks_for_a_higher_threshold(heights, hours, one, other):
    low, high = sorted((one, other))

    assert metrics.threshold_at(heights, hours, high, 0.0)[0] <= metrics.threshold_at(heights, hours, low, 0.0)[0]


@given(st.integers(0, 200), hours)
@drawn()
def test_the_poisson_interval_holds_the_rate_and_moves_with_the_count(k, hours):
    low, high = metrics.poisson(k, hours)
    more_low, more_high = metrics.poisson(k + 1, hours)

    assert 0 <= low <= k / hours <= high
    assert low < more_low
    assert high < more_high


@given(st.integers(0, 200), st.integers(1, 200))
@drawn()
def test_more_trials_with_the_same_share_narrow_wilsons_interval(k, n):
    k = min(k, n)
    low, high = metrics.wilson(k, n)
    nearer_low, nearer_high = metrics.wilson(10 * k, 10 * n)

    assert nearer_high - nearer_low < high - low
    assert 0 <= low <= k / n <= high <= 1


@given(st.integers(0, 40), st.floats(0.1, 100), st.floats(0.1, 100), st.floats(1, 8), st.booleans())
@drawn()
def test_a_prediction_holds_its_own_mean_and_counts_are_whole(k, hours, new_hours, burst, set_by_peak):
    mean, low, high = metrics.expected_rate(k, hours, set_by_peak=set_by_peak, burst=burst)
    fewest, most = metrics.expected_count(k, hours, new_hours, set_by_peak=set_by_peak, burst=burst)

    assert 0 <= low <= mean <= high
    assert 0 <= fewest <= most
    assert isinstance(fewest, int)
    assert isinstance(most, int)
    assert most >= math.floor(mean * new_hours)


@given(scores, st.floats(0, 3))
@drawn()
def test_peaks_are_apart_and_the_highest_comes_first(heights, refractory_s):
    times_s = np.arange(1, len(heights) + 1) * 0.25
    found = metrics.peaks(times_s, heights, refractory_s)

    assert heights[found[0]] == heights.max()
    assert (np.diff(heights[found]) <= 0).all()
    apart = np.diff(np.sort(times_s[found]))
    assert (apart >= refractory_s - 1e-9).all()


# Splits

people = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(KNOWN_LABELS), st.sampled_from(["", "", "", *SPLITS])), max_size=60
)


def recordings(rows):
    """A speaker keeps to one given split: two would be a leak that was asked for."""
    given_splits: dict[int, str] = {}
    return [
        recording(i, f"s{speaker}", label, given_splits.setdefault(speaker, split))
        for i, (speaker, label, split) in enumerate(rows)
    ]


@given(people, st.integers(0, 9), st.randoms(use_true_random=False))
@drawn()
def test_the_order_of_recordings_changes_no_split(rows, seed, chance):
    own = recordings(rows)
    mixed = own.copy()
    chance.shuffle(mixed)

    assert {r.id: r.split for r in splits.assign(own, SHARES, seed)} == {
        r.id: r.split for r in splits.assign(mixed, SHARES, seed)
    }


@given(people, st.integers(0, 9))
@drawn()
def test_splitting_again_changes_nothing_and_nothing_leaks(rows, seed):
    once = list(splits.assign(recordings(rows), SHARES, seed))

    assert splits.leaks(once) == {}
    assert all(one.split in SPLITS for one in once)
    assert list(splits.assign(once, SHARES, seed + 1)) == once
    assert sum(sum(own.values()) for own in splits.count(once).values()) == len(rows)


@given(people, st.integers(0, 9))
@drawn()
def test_a_given_split_is_kept(rows, seed):
    own = recordings(rows)

    assert all(before.split in ("", after.split) for before, after in zip(own, splits.assign(own, SHARES, seed), strict=True))


# Clips and views


@given(st.sampled_from(LABELS), st.integers(0, 200_000), st.integers(0, 200_000), st.integers(1, 5), st.integers(0, 9))
@drawn()
def test_clips_hold_the_end_of_the_phrase_or_lie_in_their_recording(label, n_samples, end, most, seed):
    n_samples = max(n_samples, 1)
    said = dataclasses.replace(
        recording(0, label=label, split="train"), path="/a.wav", n_samples=n_samples, phrase_end=min(end, n_samples) + 1
    )
    found = clips.clips_of(said, np.full(n_samples, 9_000, np.int16), -60.0, most, seed)

    assert len({one.id for one in found}) == len(found)
    for one in found:
        assert one.n_samples == clips.CLIP_SAMPLES
        if one.event_end:
            assert one.start + one.event_end == said.phrase_end
        else:
            assert -one.n_samples < one.start < n_samples
    assert label in ("wake", "near_miss") or len(found) <= most


@pytest.mark.parametrize("name", sorted(CHANGES))
@given(number=st.integers(0, 10_000), seed=st.integers(0, 10_000), gain=st.sampled_from([0.0, 1e-4, 1.0, 3.0]))
@drawn(6, 100)
def test_a_view_is_a_function_of_clip_number_and_seed(bank, name, number, seed, gain):  # noqa: F811
    effect = registry.build("augment", config.part("augment", name, **CHANGES[name]))
    shift = registry.build("augment", config.part("augment", "shift"))
    effects = [(name, effect)] if name == "shift" else [("shift", shift), (name, effect)]
    clip = dataclasses.replace(CLIP, id=f"c{seed}")
    heard = word() * np.float32(gain)
    before = heard.copy()
    view = augment.augment(heard, clip, number, seed, effects, bank)

    assert np.array_equal(view, augment.augment(heard.copy(), clip, number, seed, effects, bank))
    assert np.array_equal(heard, before)
    assert view.shape == (clips.VIEW_SAMPLES,)
    assert view.dtype == np.float32
    assert np.isfinite(view).all()
    assert np.abs(view).max() < 100


# Detector

times = st.lists(st.integers(0, 100).map(lambda n: n / 100), max_size=80).map(np.array)


@given(times, st.floats(0.01, 1.0), st.floats(0, 3), st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
@drawn()
def test_a_gate_fed_in_parts_finds_what_it_finds_at_once(smoothed, threshold, refractory_s, sizes):
    times_s = np.arange(1, len(smoothed) + 1) * 0.1
    gate, found, at, turn = Gate(threshold, refractory_s), [], 0, 0
    while at < len(smoothed):
        size = sizes[turn % len(sizes)]
        found += gate.feed(times_s[at : at + size], smoothed[at : at + size])
        at, turn = at + size, turn + 1

    assert found == events(times_s, smoothed, threshold, refractory_s)


@given(times, st.floats(0.01, 1.0), st.floats(0, 3))
@drawn()
def test_detections_rise_in_time_stay_apart_and_reach_the_threshold(smoothed, threshold, refractory_s):
    found = events(np.arange(1, len(smoothed) + 1) * 0.1, smoothed, threshold, refractory_s)

    assert (np.diff([one.time_s for one in found]) >= max(refractory_s - 1e-5, 1e-9)).all()
    assert all(one.score >= threshold for one in found)
    assert bool(found) == bool((smoothed >= threshold).any())


@given(times.filter(len), st.integers(1, 20))
@drawn()
def test_smoothed_scores_lie_between_none_and_the_highest(raw, window):
    smoothed = smooth(raw, window)

    assert smoothed.shape == raw.shape
    assert (smoothed >= 0).all()
    assert (smoothed <= raw.max() + 1e-9).all()


@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=5), st.integers(0, 9))
@drawn(10, 300)
def test_a_reset_in_the_middle_leaves_nothing_behind(sizes, seed):
    listener = detector()
    listener.process(np.random.default_rng(seed).uniform(-1, 1, 5_000).astype(np.float32))
    listener.reset()

    assert by_chunks(listener, bursts(), sizes) == detector().process(bursts())


# Sound

pcm = st.tuples(st.sampled_from([8_000, 16_000, 44_100, 48_000]), st.integers(1, 4), st.integers(1, 3))


@given(pcm, st.lists(st.integers(0, 400), min_size=1, max_size=12), st.integers(0, 99))
@drawn()
def test_where_pcm_is_cut_changes_nothing_and_it_stays_in_range(shape, sizes, seed):
    rate_hz, width, channels = shape
    data = np.random.default_rng(seed).bytes(sum(sizes) * width * channels)
    whole, parted = Converter(*shape), Converter(*shape)
    ends = np.cumsum([0, *sizes]) * width * channels
    made = np.concatenate([parted.convert(data[a:b]) for a, b in itertools.pairwise(ends)] + [parted.rest()])
    at_once = np.concatenate([whole.convert(data), whole.rest()])

    assert np.array_equal(made, at_once) or np.allclose(made, at_once, atol=1e-6)
    assert np.abs(made).max(initial=0.0) < (1.01 if rate_hz == 16_000 else 2.0)
    assert abs(len(made) - sum(sizes) * 16_000 / rate_hz) <= 2


@given(st.lists(st.integers(-32_767, 32_767), max_size=200).map(lambda n: np.array(n, np.int16)))
@drawn()
def test_int16_comes_back_from_floats(samples):
    assert np.array_equal(audio.to_int16(audio.to_float(samples)), samples)


@given(st.integers(1, 4_000), st.sampled_from([8_000, 22_050, 44_100, 48_000]))
@drawn()
def test_resampled_sound_is_as_long_in_seconds(n_samples, rate_hz):
    made = audio.resample(np.full(n_samples, 0.1, np.float32), rate_hz, 16_000)

    assert abs(len(made) - n_samples * 16_000 / rate_hz) <= 1
    assert np.isfinite(made).all()


@pytest.mark.slow
def test_all_of_this_holds_for_many_examples():
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "not slow", __file__],
        env={**os.environ, "WAKESMITH_MANY": "1"}, capture_output=True, text=True,
    )  # fmt: skip

    assert told.returncode == 0, told.stdout[-4_000:]

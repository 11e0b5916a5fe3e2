"""The detector's own logic, with an engine whose score is plain to see: the mean size of its samples, with one step of memory."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_bundle import card
from wakesmith.audio import to_int16
from wakesmith.errors import AudioError, BundleError
from wakesmith.promise import Phrase, Point, Promise
from wakesmith.runtime.detector import Detector, _at, _Heard, events, smooth

POINT = Point(threshold=0.25, smoothing_window=3, refractory_s=0.5)


class Loudness:
    """Two scores a step: mean of |x| of each half, averaged with the half before."""

    def begin(self):
        return np.zeros((1, 1), np.float32)

    def step(self, samples, state):
        halves = np.abs(samples).reshape(2, -1).mean(axis=1)
        before = np.array([state[0, 0], halves[0]])
        state = np.zeros_like(state)
        state[0, 0] = halves[1]
        return ((halves + before) / 2)[None].astype(np.float32), state


def detector(point: Point | None = POINT) -> Detector:
    return Detector(card(), Loudness(), [point])


def bursts(n_samples: int = 48_000) -> np.ndarray:
    """Quiet with three loud places."""
    samples = 0.01 * np.random.default_rng(0).standard_normal(n_samples)
    for start in (0, 16_000, 36_000):
        samples[start : start + 5_000] = 0.6
    return samples.astype(np.float32)


def by_chunks(listener: Detector, samples: np.ndarray, sizes: list[int]) -> list:
    found, start, turn = [], 0, 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        found += listener.process(samples[start : start + size])
        start, turn = start + size, turn + 1
    return found


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 5_000), min_size=1, max_size=6).filter(any))
def test_any_chunk_size_gives_the_same_detections(sizes: list[int]):
    assert by_chunks(detector(), bursts(), sizes) == detector().process(bursts())


def test_each_burst_is_one_detection():
    found = detector().process(bursts())

    assert [round(one.time_s, 1) for one in found] == [0.1, 1.1, 2.3]


def test_process_and_events_agree():
    listener = detector()
    times_s, scores = listener.scores(bursts())

    bare, found = events(times_s, smooth(scores, 3), 0.25, 0.5), listener.process(bursts())
    assert [(one.time_s, one.score) for one in bare] == [(one.time_s, one.score) for one in found]


def test_int16_and_float_are_heard_alike():
    as_int16 = detector().process(to_int16(bursts()))

    assert [one.time_s for one in as_int16] == [one.time_s for one in detector().process(bursts())]


def test_after_reset_the_same_sound_gives_the_same_detections():
    listener = detector()
    first = listener.process(bursts())
    listener.process(np.ones(777, np.float32))
    listener.reset()

    assert listener.process(bursts()) == first


def test_scores_are_timed_by_the_end_of_their_samples():
    times_s, scores = detector().scores(np.zeros(3_000, np.float32))

    assert times_s.tolist() == [0.04, 0.08, 0.12, 0.16]
    assert len(scores) == 4


def test_smoothing_is_the_mean_of_the_last_scores():
    assert smooth(np.array([3.0, 0.0, 3.0, 6.0]), 3).tolist() == [1.0, 1.0, 2.0, 3.0]


def test_smoothing_by_one_changes_nothing():
    assert smooth(np.array([0.5, 0.25]), 1).tolist() == [0.5, 0.25]


def timed(smoothed: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """A score each 0.1 s."""
    return np.arange(1, len(smoothed) + 1) * 0.1, np.array(smoothed)


def test_a_long_high_score_is_one_detection():
    assert len(events(*timed([0.0, *[0.9] * 100, 0.0]), 0.5, 0.2)) == 1


def test_a_score_at_the_threshold_is_a_detection():
    found = events(*timed([0.0, 0.5, 0.0]), 0.5, 0.2)

    assert [(one.time_s, one.score) for one in found] == [(pytest.approx(0.2), 0.5)]


def test_a_crossing_in_the_refractory_time_is_no_detection():
    assert len(events(*timed([0.9, 0.0, 0.9, 0.0, 0.0, 0.0]), 0.5, 0.5)) == 1


def test_a_score_that_rose_again_and_outlasts_the_refractory_time_is_heard_at_its_end():
    found = events(*timed([0.9, 0.0, 0.0, 0.9, 0.9, 0.9, 0.9]), 0.5, 0.5)

    assert [round(one.time_s, 2) for one in found] == [0.1, 0.6]


@pytest.mark.parametrize("window", [1, 3, 10])
def test_a_mean_that_scores_just_below_the_threshold_round_up_to_is_no_other_in_a_stream(window: int):
    threshold = 0.3
    scores = np.nextafter(np.full(40, threshold), 0.0)
    scores[20:] += np.random.default_rng(0).uniform(-2e-9, 1e-10, 20)
    heard = _Heard("hey nova", Point(threshold, window, 0.2))
    times_s = np.arange(40) * 0.1

    found = [hit for at in range(0, 40, 2) for hit in heard.feed(times_s[at : at + 2], scores[at : at + 2])]

    bare = events(times_s, smooth(scores, window), threshold, 0.2)
    assert [(one.time_s, one.score) for one in found] == [(one.time_s, one.score) for one in bare]


def test_no_scores_are_no_events():
    assert events(*timed([]), 0.5, 0.5) == []


def test_without_an_operating_point_a_threshold_is_asked_for():
    with pytest.raises(BundleError, match=r"wakesmith evaluate.* threshold"):
        detector(None).process(np.zeros(10, np.float32))


def test_a_threshold_by_hand_keeps_the_other_settings():
    promised = Promise([Phrase("hey nova", POINT)], "en", ["wake", "noise"], 16_000, 1_280, 2, 10, 24_000, {}, "0" * 64)
    points = _at(promised, 0.9)

    assert points == [dataclasses.replace(POINT, threshold=0.9)]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_a_threshold_that_no_score_can_meet_is_refused(threshold: float):
    with pytest.raises(BundleError, match="threshold"):
        _at(card(), threshold)


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 100), np.float32), np.zeros(100, np.int32), np.array([0.0, np.nan]), np.array(["a"])]
)
def test_samples_that_are_no_mono_sound_are_refused(samples: np.ndarray):
    with pytest.raises(AudioError):
        detector().process(samples)


def test_refused_samples_leave_the_stream_as_it_was():
    listener = detector()
    found = listener.process(bursts()[:20_001])
    with pytest.raises(AudioError):
        listener.process(np.array([np.nan]))

    assert found + listener.process(bursts()[20_001:]) == detector().process(bursts())


def test_another_hears_as_the_first_did_and_neither_disturbs_the_other():
    first = detector()
    found = first.process(bursts()[:20_001])
    other = first.another()

    assert other.process(bursts()) == detector().process(bursts())
    assert found + first.process(bursts()[20_001:]) == detector().process(bursts())


def test_a_phrase_at_the_very_end_is_heard_when_the_stream_is_finished():
    listener = detector()
    ending = np.concatenate([np.zeros(16_000), np.full(1_000, 0.9)]).astype(np.float32)

    assert listener.process(ending) == []
    assert [round(one.time_s, 1) for one in listener.finish()] == [1.1]


def test_another_needs_no_step_of_the_model():
    class Counting(Loudness):
        n_steps = 0

        def step(self, samples, state):
            self.n_steps += 1
            return super().step(samples, state)

    engine = Counting()
    Detector(card(), engine, [POINT]).another()

    assert engine.n_steps == 0

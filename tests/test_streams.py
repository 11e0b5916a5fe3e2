"""Continuous audio for the evaluation: where the phrases lie, how loud the beds are, and that chance is by name."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from wakesmith.augment._base import power
from wakesmith.data.records import Recording
from wakesmith.steps import _streams
from wakesmith.steps._streams import Condition

GAP_S = (1.0, 2.0)


def recording(number: int, n_samples: int, label: str = "wake", phrase: tuple[int, int] = (0, 0)) -> Recording:
    return Recording(
        id=f"{label}-{number}",
        path="-",
        text="hey nova",
        label=label,
        speaker=f"s{number}",
        source="made",
        licence="CC0-1.0",
        n_samples=n_samples,
        split="test",
        phrase_start=phrase[0],
        phrase_end=phrase[1],
    )


class Sounds:
    """A store of tones: silence around 0.4 s of a sine, each recording at its own level."""

    def __init__(self, *recordings: Recording) -> None:
        self.recordings = {one.id: one for one in recordings}

    def of(self, split: str, *labels: str) -> list[Recording]:
        return [one for label in labels for one in self.recordings.values() if (one.split, one.label) == (split, label)]

    def recording(self, name: str) -> np.ndarray:
        found = self.recordings[name]
        sound = np.zeros(found.n_samples, np.float32)
        level = 0.05 * (1 + list(self.recordings).index(name))
        sound[3_200:9_600] = level * np.sin(np.arange(6_400) * 2 * np.pi * 440 / 16_000)
        return sound


class Hiss:
    """Two beds of white noise at very different levels, or two rooms: one echo each, after 0.1 or 0.2 s."""

    def count(self, kind: str, split: str) -> int:
        return 2

    def take(self, kind: str, split: str, number: int) -> np.ndarray:
        if kind == "room":
            response = np.zeros(8_000, np.float32)
            response[[0, 1_600 * (1 + number)]] = 1.0, 0.5
            return response
        return (0.2 / (1 + 9 * number)) * np.random.default_rng(number).standard_normal(160_000).astype(np.float32)


WORDS = [recording(n, 16_000 + 160 * n, phrase=(3_200, 9_600)) for n in range(4)]
STORE = Sounds(*WORDS)


def stream(condition: Condition = Condition(), seed: int = 1, words: list[Recording] = WORDS) -> _streams.Stream:
    return _streams.of_events(STORE, Hiss(), words, "test", condition, GAP_S, seed, "a-stream")


def test_a_phrase_lies_where_its_event_says():
    made = stream()

    for event in made.events:
        start, end = round(event.start_s * 16_000), round(event.end_s * 16_000)
        assert power(made.samples[start:end]) > 1e-3
        assert not made.samples[start - 1_600 : start].any()
        assert not made.samples[end : end + 1_600].any()


def test_phrases_are_brought_to_one_level():
    made = stream()
    levels = [power(made.samples[round(e.start_s * 16_000) : round(e.end_s * 16_000)]) for e in made.events]

    assert 10 * np.log10(levels) == pytest.approx(np.full(4, _streams.SPEECH_DBFS), abs=0.1)


@pytest.mark.parametrize("snr_db", [20.0, 5.0])
def test_a_bed_lies_under_the_phrases_at_the_named_level(snr_db: float):
    added = stream(Condition("noise", snr_db)).samples - stream().samples

    assert _streams.SPEECH_DBFS - 10 * np.log10(power(added)) == pytest.approx(snr_db, abs=0.3)


def test_conditions_differ_in_their_bed_alone():
    assert stream(Condition("noise", 5.0)).events == stream().events


def test_a_room_rings_after_the_phrase_and_moves_nothing():
    near, far = stream(), stream(Condition(in_room=True))
    end = round(far.events[0].end_s * 16_000)

    assert far.events == near.events
    assert not near.samples[end : end + 1_600].any()
    assert np.abs(far.samples[end : end + 1_600]).max() > 1e-3
    assert np.abs(far.samples[end + 3_200 : end + 6_400]).max() < 1e-6


def test_phrases_in_rooms_are_brought_to_the_same_level():
    made = stream(Condition(in_room=True))
    levels = [power(made.samples[round(e.start_s * 16_000) : round(e.end_s * 16_000)]) for e in made.events]

    assert 10 * np.log10(levels) == pytest.approx(np.full(4, _streams.SPEECH_DBFS), abs=0.1)


def test_rooms_are_drawn_by_recording():
    def tail(made: _streams.Stream, event: _streams.Event) -> np.ndarray:
        end = round(event.end_s * 16_000)
        return made.samples[end : end + 3_200]

    room = Condition(in_room=True)
    for event, other in zip(stream(room).events[1:], stream(room, words=WORDS[1:]).events, strict=True):
        assert tail(stream(room), event) == pytest.approx(tail(stream(room, words=WORDS[1:]), other), abs=1e-6)


def test_conditions_have_plain_names():
    made = [Condition(), Condition("noise", 5.0), Condition(in_room=True), Condition("babble", 10.0, in_room=True)]

    assert [condition.name for condition in made] == ["clean", "noise 5 dB", "room", "room babble 10 dB"]


def test_music_is_taken_from_the_recordings_that_say_so():
    tune = dataclasses.replace(recording(0, 32_000, "noise"), text="music")
    beds = _streams.Beds(Sounds(tune, recording(1, 32_000, "noise"), recording(2, 32_000)), Hiss())

    assert (beds.count("music", "test"), beds.count("music", "dev"), beds.count("noise", "test")) == (1, 0, 2)
    assert len(beds.take("music", "test", 0)) == 32_000


def test_the_same_seed_gives_the_same_stream_and_another_another():
    noisy = Condition("babble", 10.0)

    assert np.array_equal(stream(noisy).samples, stream(noisy).samples)
    assert stream(noisy, seed=2).events != stream(noisy).events


def test_gaps_go_by_recording_so_that_leaving_one_out_moves_no_other_gap():
    def gaps(made: _streams.Stream) -> dict[str, float]:
        before, found = 0.0, {}
        for event in made.events:
            found[event.recording] = event.start_s - 0.2 - before  # the phrase begins 0.2 s into its recording
            before = event.start_s - 0.2 + STORE.recordings[event.recording].n_samples / 16_000
        return found

    assert gaps(stream(words=WORDS[1:])) == pytest.approx({k: v for k, v in gaps(stream()).items() if k != "wake-0"})


def test_negatives_hold_every_recording_once():
    others = [recording(n, 40_000 + n, "speech") for n in range(30)]
    store = Sounds(*others)
    made = list(_streams.of_negatives(store, others, 2.0, 1, "test"))

    assert sum(len(s.samples) for s in made) == sum(r.n_samples + 16_000 // 3 for r in others)
    assert sum(float(np.square(s.samples, dtype=np.float64).sum()) for s in made) == pytest.approx(
        sum(float(np.square(store.recording(r.id), dtype=np.float64).sum()) for r in others)
    )
    assert sum(s.hours for s in made) == pytest.approx(sum(r.n_samples for r in others) / 16_000 / 3600)


def test_a_stream_knows_which_recording_is_playing():
    others = [recording(n, 40_000, "speech") for n in range(4)]
    store = Sounds(*others)
    (made,) = _streams.of_negatives(store, others, 2.0, 1, "test")

    for event in made.events:
        start, end = round(event.start_s * 16_000), round(event.end_s * 16_000)
        assert np.array_equal(made.samples[start:end], store.recording(event.recording))
        assert event.group == ("made", store.recordings[event.recording].speaker)


def test_shorter_pieces_make_more_streams_of_the_same_sound():
    others = [recording(n, 40_000, "speech") for n in range(9)]
    store = Sounds(*others)
    whole, cut = (list(_streams.of_negatives(store, others, 2.0, 1, "test", piece_s)) for piece_s in (300.0, 5.0))

    assert (len(whole), len(cut)) == (1, 5)
    assert np.array_equal(whole[0].samples, np.concatenate([one.samples for one in cut]))


def test_negatives_stop_at_the_hours_asked_for():
    others = [recording(n, 16_000 * 60, "speech") for n in range(12)]
    made = list(_streams.of_negatives(Sounds(*others), others, 0.05, 1, "test"))

    assert [s.name for s in made] == ["test-negatives-000"]
    assert 0.05 < made[0].hours < 0.11


def peak_bytes(make) -> int:
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_stream_is_made_in_little_more_memory_than_it_and_its_bed_take():
    words = WORDS * 40  # 7 minutes

    taken = peak_bytes(lambda: stream(Condition("noise", 10.0), words=words))

    assert taken < 2.4 * stream(words=words).samples.nbytes

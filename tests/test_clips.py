"""Clips: what loses its label, what class is left, and where the beginning of a phrase is cut."""

import numpy as np
import pytest

from wakesmith.augment.shift import VIEW_SAMPLES, Config, Shift
from wakesmith.data import classes
from wakesmith.data.clips import clips_of, drawn, partials, unlabel
from wakesmith.data.records import LABELS, UNLABELLED, Clip, Recording
from wakesmith.errors import DataError
from wakesmith.rng import rng


def clips(n=12):
    """Train clips of two words in turn, one clip of dev, and other speech."""
    made = [Clip(f"c{i}", f"r{i}", 0, 100, "wake", "train") for i in range(n)]
    return [*made, Clip("d", "r0", 0, 100, "wake", "dev"), Clip("s", "r0", 0, 100, "speech", "train")]


def test_so_many_clips_of_each_phrase_keep_their_label():
    said = {f"r{i}": Recording(f"r{i}", "", ("yes", "No_")[i % 2], "wake", "", "", "", 100) for i in range(12)}
    left = list(unlabel(clips(), said, most=2, seed=1))

    labelled = [said[clip.recording].text for clip in left if clip.label == "wake" and clip.split == "train"]
    assert sorted(labelled) == ["No_", "No_", "yes", "yes"]
    assert sum(clip.label == UNLABELLED for clip in left) == 8
    assert [clip.label for clip in left[-2:]] == ["wake", "speech"]
    assert [clip.id for clip in left] == [clip.id for clip in clips()]
    assert list(unlabel(clips(), said, most=2, seed=2)) != left


def phrases_of(n=40):
    """Recordings of two seconds in which the phrase lies from 8,000 to 17,600; and what they sound like."""
    sound = np.zeros(32_000, np.int16)
    sound[8_000:17_600] = 3_000
    splits = ("train", "dev")
    made = [Recording(f"r{i}", "", "hey", "wake", "", "", "", 32_000, splits[i % 4 == 3], 8_000, 17_600) for i in range(n)]
    return {recording.id: recording for recording in made}, sound


def whole_clips(recordings, sound):
    return [clip for one in recordings.values() for clip in clips_of(one, sound, -60.0, 1, seed=1)]


def test_at_most_so_many_clips_of_a_label_in_a_split_stay_in_their_order():
    made = [*clips(), *(Clip(f"s{i}", "r0", 0, 100, "speech", "train") for i in range(20))]

    left = list(drawn(made, {"speech": 5}, seed=1))

    assert sum(clip.label == "speech" for clip in left) == 5
    assert [clip.id for clip in left if clip.label == "wake"] == [clip.id for clip in made if clip.label == "wake"]
    assert left == sorted(left, key=made.index)
    assert list(drawn(made, {"speech": 5}, seed=1)) == left != list(drawn(made, {"speech": 5}, seed=2))


def test_views_of_a_partial_phrase_end_when_a_third_to_three_fifths_of_it_were_heard():
    recordings, sound = phrases_of(8)
    whole = whole_clips(recordings, sound)

    cut = list(partials(whole, recordings, share=1.0, seed=1))

    assert {clip.recording for clip in cut} == {clip.recording for clip in whole if clip.split == "train"}
    assert {clip.label for clip in cut} == {"near_miss"}
    assert not {clip.id for clip in cut} & {clip.id for clip in whole}
    heard = [
        (clip.start + Shift(Config()).draw(rng(clip.id, view), clip, None)["end"] - 8_000) / 9_600
        for clip in cut for view in range(30)
    ]  # fmt: skip
    assert 0.3 <= min(heard) < 0.33
    assert 0.57 < max(heard) <= 0.6
    assert all(clip.n_samples >= VIEW_SAMPLES for clip in cut)


def spoken(phrase, n_samples, path="wake-0.flac"):
    return Recording("r", path, "hey", "wake", "", "", "", n_samples, "train", *phrase)


def test_what_a_voice_says_beside_a_phrase_is_other_speech():
    recording = spoken((50_000, 60_000), 70_000)

    phrase, *beside = clips_of(recording, np.full(70_000, 3_000, np.int16), -60.0, 9, seed=1)

    assert phrase.label == "wake"
    assert {clip.label for clip in beside} == {"speech"}
    assert [clip.start for clip in beside] == [0, 18_000, 60_000]
    assert all(clip.start + clip.n_samples <= 50_000 or clip.start >= 60_000 for clip in beside)
    assert len({clip.id for clip in (phrase, *beside)}) == 4


def test_short_speech_before_a_phrase_ends_where_the_phrase_begins():
    _, before = clips_of(spoken((12_000, 20_000), 21_000), np.full(21_000, 3_000, np.int16), -60.0, 9, seed=1)

    assert (before.start + before.n_samples, before.id) == (12_000, "r@-20000+before")


def test_of_what_people_say_beside_a_phrase_nobody_knows_that_it_does_not_hold_it():
    recording = spoken((50_000, 60_000), 90_000, path="/recordings/hey.wav")

    assert len(clips_of(recording, np.full(90_000, 3_000, np.int16), -60.0, 9, seed=1)) == 1


def test_a_share_of_the_labelled_train_phrases_is_cut_short():
    recordings, sound = phrases_of()
    whole = whole_clips(recordings, sound)

    def cut(share, of=whole, seed=1):
        return list(partials(of, recordings, share, seed))

    assert cut(0.0) == []
    assert 8 <= len(cut(0.5)) <= 22  # of 30
    assert cut(0.5) == cut(0.5) != cut(0.5, seed=2)
    assert len(cut(1.0, unlabel(whole, recordings, most=5, seed=1))) == 5


def test_one_phrase_has_the_four_classes_and_several_have_one_each():
    assert classes.names(["hey nova"]) == list(LABELS)
    assert classes.names(["yes", "no"]) == ["yes", "no", "near_miss", "speech", "noise"]


def test_clips_are_numbered_by_phrase_label_or_as_unlabelled():
    said = {"a": "YES ", "b": "no", "c": ""}
    recordings = {name: Recording(name, "", text, "wake", "", "", "", 1) for name, text in said.items()}
    made = [
        Clip(name, name, 0, 1, label, "train")
        for name, label in (("a", "wake"), ("b", "wake"), ("c", "noise"), ("c", UNLABELLED))
    ]

    assert classes.numbers(made, recordings, ["yes", "no"]).tolist() == [0, 1, 4, -1]
    assert classes.numbers(made, recordings, ["anything"]).tolist() == [0, 0, 3, -1]


def test_a_text_that_is_none_of_several_phrases_is_told():
    recordings = {"a": Recording("a", "a.wav", "maybe", "wake", "", "", "", 1)}

    with pytest.raises(DataError, match="says 'maybe', which is none of yes, no"):
        classes.numbers([Clip("a", "a", 0, 1, "wake", "train")], recordings, ["yes", "no"])

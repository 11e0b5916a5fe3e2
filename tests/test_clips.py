"""Few labels: what loses its label, and what class is left."""

import pytest

from wakesmith.data import classes
from wakesmith.data.clips import unlabel
from wakesmith.data.records import LABELS, UNLABELLED, Clip, Recording
from wakesmith.errors import DataError


def clips(n=12):
    """Train clips of two words in turn, one clip of dev, and other speech."""
    made = [Clip(f"c{i}", f"r{i}", 0, 100, "wake", "train") for i in range(n)]
    return [*made, Clip("d", "r0", 0, 100, "wake", "dev"), Clip("s", "r0", 0, 100, "speech", "train")]


def test_so_many_clips_of_each_phrase_keep_their_label():
    texts = {f"r{i}": ("yes", "No_")[i % 2] for i in range(12)}
    left = unlabel(texts, clips(), most=2, seed=1)

    labelled = [texts[clip.recording] for clip in left if clip.label == "wake" and clip.split == "train"]
    assert sorted(labelled) == ["No_", "No_", "yes", "yes"]
    assert sum(clip.label == UNLABELLED for clip in left) == 8
    assert [clip.label for clip in left[-2:]] == ["wake", "speech"]
    assert [clip.id for clip in left] == [clip.id for clip in clips()]
    assert unlabel(texts, clips(), most=2, seed=2) != left


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

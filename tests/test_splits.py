"""Groups never cross a split, and every label reaches the splits it must."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wakesmith.data import splits
from wakesmith.data.records import LABELS, SPLITS, Recording
from wakesmith.errors import DataError

SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}


def assigned_to(rows, fractions, seed):
    return list(splits.assign(rows, fractions, seed))


def recording(number, speaker="", label="wake", split="", source="set"):
    return Recording(f"r{number}", f"{number}.wav", "", label, speaker, source, "CC0-1.0", 16_000, split)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(LABELS)), max_size=80), st.integers(0, 5))
def test_no_group_is_in_two_splits(rows, seed):
    assigned = assigned_to([recording(i, f"s{s}", label) for i, (s, label) in enumerate(rows)], SHARES, seed)

    assert not splits.leaks(assigned)
    assert {one.split for one in assigned} <= set(SPLITS)


def test_shares_are_kept_within_a_label():
    assigned = assigned_to([recording(i, f"s{i % 40}", LABELS[i % 2]) for i in range(400)], SHARES, 1)

    counts = splits.count(assigned)

    for split, share in SHARES.items():
        assert sum(counts[split].values()) / 400 == pytest.approx(share, abs=0.05)


def test_every_accent_reaches_every_split():
    speakers = [f"espeak/{accent}+v{i}" for accent in ("en-us", "en-gb", "en-029") for i in range(12)]
    assigned = assigned_to([recording(i, speaker) for i, speaker in enumerate(speakers)], SHARES, 3)

    assert len({(splits.accent(one.speaker), one.split) for one in assigned}) == 9


def test_every_source_reaches_every_split():
    """A voice that says more than all others went to train, and most of the next source with it to dev and test."""
    rows = [recording(i, f"a{i % 100}", source="a") for i in range(300)]
    rows += [recording(300 + i, "b", source="b") for i in range(400)]
    rows += [recording(700 + i, f"c{i % 50}", source="c") for i in range(200)]

    assigned = assigned_to(rows, SHARES, 1)

    for source in "ac":
        held = [one.split for one in assigned if one.source == source]
        assert {split: held.count(split) / len(held) for split in SHARES} == pytest.approx(SHARES, abs=0.02)


def test_a_speaker_of_many_recordings_leaves_those_of_few_in_train():
    rows = [recording(i, "a", source="a") for i in range(1000)] + [recording(1000 + i, f"b{i}", source="b") for i in range(5)]

    splits_of_b = sorted(one.split for one in assigned_to(rows, SHARES, 1) if one.source == "b")

    assert splits_of_b == ["dev", "test", "train", "train", "train"]


def test_order_does_not_matter_and_the_seed_does():
    rows = [recording(i, f"s{i % 30}") for i in range(120)]
    by_id = {one.id: one.split for one in assigned_to(rows, SHARES, 1)}

    assert by_id == {one.id: one.split for one in assigned_to(rows[::-1], SHARES, 1)}
    assert by_id != {one.id: one.split for one in assigned_to(rows, SHARES, 2)}


@pytest.mark.parametrize(("n_groups", "held"), [(1, {"train"}), (2, {"train", "dev"}), (3, set(SPLITS))])
def test_few_groups_serve_train_first_then_dev(n_groups, held):
    assigned = assigned_to([recording(i, f"s{i % n_groups}") for i in range(12)], SHARES, 1)

    assert {one.split for one in assigned} == held


def test_without_a_speaker_each_file_is_a_group():
    assert splits.group_of(recording(1)) != splits.group_of(recording(2))


def test_a_given_split_stays_and_binds_the_rest_of_its_group():
    assigned = assigned_to([recording(0, "a", split="test"), recording(1, "a"), recording(2, "b")], SHARES, 1)

    assert [one.split for one in assigned[:2]] == ["test", "test"]


def test_what_is_left_of_a_source_makes_up_for_what_was_given():
    rows = [recording(i, f"s{i % 100}", split="train" if i % 100 < 60 else "") for i in range(1000)]

    held = [one.split for one in assigned_to(rows, SHARES, 1)]

    assert {split: held.count(split) / len(held) for split in SHARES} == pytest.approx(SHARES, abs=0.02)


def test_a_group_given_to_two_splits_is_a_leak():
    rows = [recording(0, "a", split="test"), recording(1, "a", split="train"), recording(2, "b", split="dev")]

    assert list(splits.leaks(assigned_to(rows, SHARES, 1))) == [("set", "a")]


def test_what_is_missing_is_told_with_the_way_out():
    rows = [recording(f"{label}{split}", "x", label, split) for label in LABELS[:3] for split in SPLITS]
    splits.check_needed(splits.count(rows))  # no noise and no room: fine

    without = [dataclasses.replace(one, split="test") if one.label == "speech" else one for one in rows]
    with pytest.raises(DataError, match=r"no speech in train, no speech in dev\. Add a source of speech"):
        splits.check_needed(splits.count(without))
    with pytest.raises(DataError, match=r"with 2 voices or more\. Or do without\.$"):
        splits.check_needed(splits.count(without), " Or do without.")

"""Rows of an epoch: classes, and parts of classes, with their shares."""

import numpy as np
import pytest

from wakesmith.data.sampling import MOST_OFTEN, BalancedSampler, Part, own_parts, voice_parts
from wakesmith.errors import DataError

LABELS = np.array([0] * 50 + [1] * 50 + [-1] * 20)
FEW = np.arange(120) < 5
"""5 of the 50 clips of class 0."""


def drawn(parts=(), seed=1, epoch=0, labels=LABELS):
    sampler = BalancedSampler(labels, 2, 1000, [0.4, 0.6], seed=seed, unlabelled_share=0.1, parts=parts)
    sampler.set_epoch(epoch)
    return [row.number for row in sampler]


def clips(**options):
    return np.array(drawn(**options)) // 2


def test_a_part_has_its_share_of_its_class_and_the_class_keeps_its_own():
    told = clips(parts=[Part(FEW, 0, 0.3)])

    assert (told < 5).sum() == pytest.approx(0.3 * 0.4 * 900, abs=1)
    assert (told < 50).sum() == pytest.approx(0.4 * 900, abs=1)
    assert np.bincount(told)[:5].min() >= 0.3 * 0.4 * 900 // 5  # evenly over the part


def test_a_part_without_clips_changes_nothing():
    plain = drawn()

    assert drawn(parts=[Part(np.zeros(120, bool), 0, 0.3)]) == plain
    assert drawn(parts=[Part(FEW, 1, 0.3)]) == plain  # none of them is of that class


def test_a_part_without_clips_takes_nothing_from_one_that_has_some():
    told = clips(parts=[Part(FEW, 0, 0.2), Part(FEW, 0, 0.5)])  # all clips of the second are of the first

    assert (told < 5).sum() == pytest.approx(0.2 * 360, abs=1)


def test_a_part_that_is_its_whole_class_changes_nothing():
    assert sorted(clips(parts=[Part(LABELS == 0, 0, 0.3)])) == sorted(clips())


def test_rows_of_parts_are_decided_by_seed_and_epoch_alone():
    parts = [Part(FEW, 0, 0.3), Part(np.arange(120) == 60, 1, 0.1)]

    assert drawn(parts=parts) == drawn(parts=parts)
    assert drawn(parts=parts) != drawn(parts=parts, epoch=1)
    assert drawn(parts=parts) != drawn(parts=parts, seed=2)


def test_two_parts_of_one_class_have_a_share_each_and_a_clip_of_both_is_of_the_first():
    told = clips(parts=[Part(FEW, 0, 0.3), Part(np.arange(120) < 10, 0, 0.5)])

    assert (told < 5).sum() == pytest.approx(0.3 * 360, abs=1)
    assert ((told >= 5) & (told < 10)).sum() == pytest.approx(0.5 * 360, abs=1)


@pytest.mark.parametrize("shares", [[0.0], [1.0], [-0.1], [1.5], [0.6, 0.4]])
def test_shares_of_parts_out_of_range_are_refused(shares):
    with pytest.raises(DataError, match="between 0 and 1"):
        drawn(parts=[Part(FEW, 0, share) for share in shares])


def test_recordings_fewer_than_their_share_become_a_part_of_each_phrase():
    labels = np.array([0] * 20 + [1] * 20 + [2] * 20)
    recorded = np.isin(np.arange(60), [0, 1, 20, 21, *range(40, 60)])  # 2 of 20 of each phrase, and all of the third class

    first, second = own_parts(recorded, labels, n_phrases=2, share=0.3)

    assert (first.label, first.members.sum(), first.share) == (0, 2, 0.3)
    assert (second.label, second.members.sum(), second.share) == (1, 2, 0.3)


@pytest.mark.parametrize(("n_recorded", "share"), [(0, 0.3), (15, 0.3), (20, 0.3), (2, 0.0)])
def test_recordings_that_are_none_or_many_or_not_weighed_make_no_part(n_recorded, share):
    assert own_parts(np.arange(20) < n_recorded, np.zeros(20, int), n_phrases=1, share=share) == []


def heard_of(voices, labels, parts, n=4000):
    """(voice, label) -> how often it is drawn, of its class."""
    sampler = BalancedSampler(labels, 1, n, [0.4, 0.2, 0.4], 1, parts=parts)
    drawn = np.array([row.number for row in sampler])
    return {
        (voice, label): float((voices[drawn[labels[drawn] == label]] == voice).mean())
        for voice in np.unique(voices) for label in range(3)
    }  # fmt: skip


def test_a_voice_says_as_much_of_other_speech_as_of_the_phrase():
    voices = np.array(
        ["robot"] * 60 + ["human"] * 20 + ["robot"] * 30 + ["human"] * 5 + ["robot"] * 100 + ["human"] * 40 + [""] * 260
    )
    labels = np.repeat([0, 1, 2], [80, 35, 400])

    told = heard_of(voices, labels, voice_parts(voices, labels, 1, share=0.5))

    assert [told["human", label] for label in range(3)] == pytest.approx([0.25, 0.25, 0.125], abs=0.01)
    assert [told["robot", label] for label in range(3)] == pytest.approx([0.75, 0.75, 0.375], abs=0.01)
    plain = heard_of(voices, labels, voice_parts(voices, labels, 1, share=0.0))
    assert plain["human", 2] == pytest.approx(0.1, abs=0.01)


def test_where_all_speech_is_spoken_it_stays_so_and_few_clips_are_not_drummed_in():
    voices = np.array(["robot"] * 50 + ["human"] * 50 + ["robot"] * 99 + ["human"] * 1)
    labels = np.repeat([0, 2], [100, 100])

    told = heard_of(voices, labels, voice_parts(voices, labels, 1, share=0.5))

    assert told["human", 2] == pytest.approx(MOST_OFTEN / 100, abs=0.01)
    assert told["robot", 2] == pytest.approx(1 - MOST_OFTEN / 100, abs=0.01)


def test_parts_that_come_first_leave_the_voices_the_rest():
    voices = np.array(["robot"] * 10 + ["human"] * 10 + ["robot"] * 40 + ["human"] * 40 + [""] * 20)
    labels = np.repeat([0, 2], [20, 100])
    mined = Part(np.arange(120) >= 110, 2, 0.5)

    parts = [mined, *voice_parts(voices, labels, 1, 0.5, [mined])]

    assert heard_of(voices, labels, parts)["human", 2] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("recorded", [True, False])
def test_phrases_that_no_voice_says_make_no_parts(recorded):
    voices, labels = np.array([""] * 20 + ["robot"] * 20), np.repeat([0, 2], 20)

    assert voice_parts(voices if recorded else voices[::-1], labels if recorded else labels * 0 + 2, 1, 0.5) == []

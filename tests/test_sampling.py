"""Rows of an epoch: classes, and parts of classes, with their shares."""

import numpy as np
import pytest

from wakesmith.data.sampling import BalancedSampler, Part, own_parts
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

"""The view store: whole or refused, resumable, the same from any number of processes."""

import numpy as np
import pytest

from wakesmith.data import views
from wakesmith.errors import DataError
from wakesmith.rng import rng

SHAPE = (5, 2, 160)


def make_view(clip, view):
    return (rng(clip, view).standard_normal(SHAPE[2]) * 0.1).astype(np.float32)


def store(folder, maker=make_view, jobs=1):
    folder.mkdir(exist_ok=True)
    views.create(folder, np.ones(SHAPE[:2], bool), SHAPE[2], {"fingerprint": "a"})
    views.fill(folder, maker, jobs)
    return views.ViewStore.open(folder)


def test_a_view_reads_back_within_half_a_step_of_16_bits(tmp_path):
    np.testing.assert_allclose(store(tmp_path).read(2, 1), make_view(2, 1), atol=0.6 / 32_767)


def test_two_processes_make_the_same_bytes_as_one(tmp_path):
    store(tmp_path / "one")
    store(tmp_path / "two", jobs=2)

    assert (tmp_path / "one" / views.VIEWS).read_bytes() == (tmp_path / "two" / views.VIEWS).read_bytes()


def test_a_store_with_holes_is_refused_and_then_filled(tmp_path):
    whole = store(tmp_path).read(1, 1)
    state = np.load(tmp_path / views.STATE, mmap_mode="r+")
    state[1, 1] = 0
    state.flush()
    with pytest.raises(DataError, match="not whole"):
        views.ViewStore.open(tmp_path)

    calls = []
    views._start(tmp_path, lambda clip, view: calls.append((clip, view)) or make_view(clip, view))
    views._make(np.argwhere(np.load(tmp_path / views.STATE) == 0))

    assert calls == [(1, 1)]
    assert np.array_equal(views.ViewStore.open(tmp_path).read(1, 1), whole)


def test_another_fingerprint_starts_the_store_afresh(tmp_path):
    store(tmp_path)
    views.create(tmp_path, np.ones(SHAPE[:2], bool), SHAPE[2], {"fingerprint": "b"})

    assert not np.load(tmp_path / views.STATE).any()


def test_a_disk_too_small_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="GB are needed"):
        views.create(tmp_path, np.ones((10**7, 8), bool), 2_400_000, {"fingerprint": "a"})

    assert not list(tmp_path.iterdir())


def test_a_view_that_was_not_asked_for_cannot_be_read(tmp_path):
    asked = np.ones(SHAPE[:2], bool)
    asked[3] = False
    views.create(tmp_path, asked, SHAPE[2], {"fingerprint": "a"})
    views.fill(tmp_path, make_view, 1)

    with pytest.raises(DataError, match="no view 0 of clip 3"):
        views.ViewStore.open(tmp_path).read(3, 0)

"""The next batch is read while the one before is learned: in order, to the end, and its errors arrive."""

import itertools
import threading

import pytest

from wakesmith.training.ahead import Ahead


def test_it_gives_what_the_iterator_gives_then_none():
    ahead = Ahead()
    one, other = iter(range(3)), iter("ab")

    assert [ahead.take(one) for _ in range(5)] == [0, 1, 2, None, None]
    assert [ahead.take(other) for _ in range(3)] == ["a", "b", None]


def test_the_second_is_read_without_being_asked_for():
    read = threading.Event()

    def batches():
        yield 0
        read.set()
        yield 1

    Ahead().take(batches())

    assert read.wait(10)


def test_what_reading_raised_arrives():
    def broken():
        yield 0
        raise OSError("features.npy: no longer there")

    ahead, batches = Ahead(), broken()

    assert ahead.take(batches) == 0
    with pytest.raises(OSError, match="no longer there"):
        ahead.take(batches)


def test_no_more_than_one_is_read_ahead():
    seen = []

    def batches():
        for number in itertools.count():
            seen.append(number)
            yield number

    ahead = Ahead()
    ahead.take(batches())
    ahead.pool.shutdown()

    assert seen == [0, 1]

"""What waits on the disk comes back as it was, and leaves no file."""

import numpy as np
import pytest

from wakesmith.data.spool import Spool


def test_arrays_come_back_in_their_order(tmp_path):
    given = [np.arange(3, dtype=np.int16), np.empty(0, np.int16), np.array([7], np.int16)]
    spool = Spool(tmp_path, np.int16)
    for one in given:
        spool.add(one)

    back = spool.maps()

    assert [one.tolist() for one in back] == [one.tolist() for one in given]
    assert list(tmp_path.iterdir()) == []


def test_nothing_added_gives_nothing(tmp_path):
    assert Spool(tmp_path, np.int16).maps() == []


def test_another_kind_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="float32"):
        Spool(tmp_path, np.int16).add(np.zeros(2, np.float32))

"""What waits on the disk comes back as it was, and leaves no file."""

import numpy as np
import pytest

from wakesmith.data import spool as spools
from wakesmith.data.spool import Parts, Spool, in_order


def test_arrays_come_back_in_their_order(tmp_path):
    given = [np.arange(3, dtype=np.int16), np.empty(0, np.int16), np.array([7], np.int16)]
    spool = Spool(tmp_path, np.int16)
    for one in given:
        spool.add(one)

    back = spool.pieces()

    assert [one.tolist() for one in back] == [one.tolist() for one in given]
    assert list(tmp_path.iterdir()) == []


def test_nothing_added_gives_nothing(tmp_path):
    assert list(Spool(tmp_path, np.int16).pieces()) == []


def test_another_kind_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="float32"):
        Spool(tmp_path, np.int16).add(np.zeros(2, np.float32))


def test_rows_of_a_key_come_together_in_their_order(tmp_path):
    keys = np.random.default_rng(1).integers(0, 40, 300).astype(np.uint32)
    rows, parts = np.arange(300), Parts(tmp_path, np.int64, 7)
    for some in np.split(np.arange(300), [100, 100, 180]):
        parts.add(keys[some], rows[some])

    joined = list(parts.joined())

    assert len(joined) == 7
    assert sorted(np.concatenate(joined).tolist()) == rows.tolist()
    for key in range(40):
        assert [part[keys[part] == key].tolist() for part in joined if (keys[part] == key).any()] == [rows[keys == key].tolist()]


def test_without_rows_there_are_no_parts(tmp_path):
    assert list(Parts(tmp_path, np.int64, 3).joined()) == []


def test_texts_are_sorted_whatever_is_sorted_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "SORTED_AT_ONCE", 7)
    texts = [chr(int(one)) + "x" for one in np.random.default_rng(1).integers(32, 100_000, 50) if not 0xD800 <= one < 0xE000]

    assert list(in_order(tmp_path, texts)) == sorted(texts)
    assert list(in_order(tmp_path, [])) == []

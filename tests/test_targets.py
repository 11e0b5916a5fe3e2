"""The store of teacher's answers: read by key, resumed, missed when what made it changes."""

import numpy as np
import pytest

from wakesmith.data.targets import EMPTY, NON_FINITE, OK, TargetStore
from wakesmith.errors import DataError

MADE_BY = {"teacher": "t1", "views": "v1"}


def new(folder, made_by=MADE_BY):
    return TargetStore.create(folder / "label", made_by, (3, 2), 4, 8)


def write(store, clips, views, value=1.0):
    logits, embedding = np.full((len(clips), 4), value, np.float32), np.full((len(clips), 8), -value, np.float32)
    store.write(np.array(clips), np.array(views), logits, embedding)
    store.stored.flush()


def test_an_answer_is_read_back_by_its_key(tmp_path):
    write(new(tmp_path), [0, 2], [1, 0], value=2.5)

    logits, embedding, state = TargetStore.open(tmp_path / "label").read(2, 0)

    assert (logits.tolist(), embedding.tolist(), state) == ([2.5] * 4, [-2.5] * 8, OK)
    assert logits.dtype == embedding.dtype == np.float32


@pytest.mark.parametrize("key", [(0, 0), (3, 0), (0, 2), (-1, 0)])
def test_a_key_without_an_answer_is_an_error(tmp_path, key):
    write(new(tmp_path), [0], [1])

    with pytest.raises(DataError, match="no answer for clip"):
        TargetStore.open(tmp_path / "label").read(*key)


def test_a_row_that_is_not_finite_is_marked_and_alone(tmp_path):
    store = new(tmp_path)
    logits = np.ones((3, 4), np.float32)
    logits[1, 2] = np.nan
    store.write(np.arange(3), np.zeros(3, int), logits, np.ones((3, 8), np.float32))

    assert store.state[:, 0].tolist() == [OK, NON_FINITE, OK]
    assert store.read(1, 0)[0].tolist() == [0.0] * 4


def test_a_number_too_large_for_sixteen_bits_counts_as_not_finite(tmp_path):
    store = new(tmp_path)
    write(store, [0], [0], value=1e5)

    assert store.read(0, 0)[2] == NON_FINITE


def test_what_is_whole_survives_opening_again(tmp_path):
    write(new(tmp_path), [0], [1])

    assert new(tmp_path).state.tolist() == [[EMPTY, OK], [EMPTY, EMPTY], [EMPTY, EMPTY]]


def test_another_teacher_starts_from_nothing(tmp_path):
    write(new(tmp_path), [0], [1])

    assert not new(tmp_path, {**MADE_BY, "teacher": "t2"}).state.any()


def test_a_folder_without_a_manifest_holds_no_answers(tmp_path):
    write(new(tmp_path), [0], [1])
    (tmp_path / "label" / "manifest.json").unlink()

    with pytest.raises(DataError, match="Make them first"):
        TargetStore.open(tmp_path / "label")


def test_a_damaged_array_is_named(tmp_path):
    new(tmp_path)
    (tmp_path / "label" / "logits.npy").write_bytes(b"short")

    with pytest.raises(DataError, match=r"logits\.npy"):
        TargetStore.open(tmp_path / "label")

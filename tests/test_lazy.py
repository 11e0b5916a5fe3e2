"""What lies on the disk and is read when it is asked for: as a list would be, with a number or two an item in memory."""

import dataclasses
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wakesmith.data import dealt, records, sources, splits, spool
from wakesmith.data.audio_store import AUDIO, CARD, CLIPS, OFFSETS, RECORDINGS, AudioStore
from wakesmith.data.lazy import Chained, Picked
from wakesmith.data.records import SPLITS, ById, Clip, Lines, Recording, save_jsonl, split_numbers
from wakesmith.data.spool import Objects
from wakesmith.errors import DataError

LABELS = ("wake", "speech", "noise")


def recording(number):
    name = f"a set of sounds/with a folder/and a file of this name {number}.wav"
    label, split = LABELS[number % 3], SPLITS[number % 2]
    return Recording(name, f"/somewhere/{name}", "hey nova\u2028\n", label, f"speaker {number}", "set", "own", 8, split)


def stored(folder, n):
    """A store of `n` recordings of 8 samples, each with one clip."""
    made = [recording(number) for number in reversed(range(n))]
    np.save(folder / AUDIO, np.repeat(np.arange(n), 8).astype(np.int16))
    np.save(folder / OFFSETS, 8 * np.arange(n))
    save_jsonl(folder / RECORDINGS, made)
    save_jsonl(folder / CLIPS, (Clip(f"{one.id}@0", one.id, 0, 8, one.label, one.split) for one in made))
    (folder / CARD).write_text("{}")
    return AudioStore.open(folder), made


@pytest.mark.parametrize("scanned", [1 << 22, 7])
def test_lines_are_what_was_saved(tmp_path, monkeypatch, scanned):
    monkeypatch.setattr(records, "SCANNED_BYTES", scanned)
    given = [recording(number) for number in range(5)]
    assert save_jsonl(tmp_path / "some.jsonl", given) == 5
    lines = Lines(tmp_path / "some.jsonl", Recording)

    assert list(lines) == given
    assert (lines[0], lines[-1], list(lines[1:4:2]), len(lines)) == (given[0], given[-1], given[1:4:2], 5)
    with pytest.raises(IndexError):
        lines[5]


def test_an_empty_file_has_no_lines_and_a_last_line_needs_no_end(tmp_path):
    save_jsonl(tmp_path / "none.jsonl", [])
    save_jsonl(tmp_path / "one.jsonl", [recording(1)])
    (tmp_path / "one.jsonl").write_bytes((tmp_path / "one.jsonl").read_bytes().rstrip())

    assert list(Lines(tmp_path / "none.jsonl", Recording)) == []
    assert list(Lines(tmp_path / "one.jsonl", Recording)) == [recording(1)]


@pytest.mark.parametrize("damaged", [b"{", b"", b"[]", b'{"id": 1}', b"\xff\xfe"])
def test_a_line_that_does_not_fit_is_named(tmp_path, damaged):
    save_jsonl(tmp_path / "some.jsonl", [recording(0), recording(1)])
    path = tmp_path / "some.jsonl"
    path.write_bytes(path.read_bytes() + damaged + b"\n")

    lines = Lines(path, Recording)

    assert lines[1] == recording(1)
    with pytest.raises(DataError, match=r"some\.jsonl, line 3: not a Recording"):
        list(lines)


def test_records_are_found_by_id_though_their_hashes_are_alike(monkeypatch):
    monkeypatch.setattr(records, "hash", lambda name: len(name), raising=False)
    made = [recording(number) for number in range(30)]
    by_id = ById(made)

    assert [by_id[one.id] for one in reversed(made)] == made[::-1]
    assert (list(by_id), list(by_id.values())) == ([one.id for one in made], made)
    assert recording(31).id not in by_id


def test_a_store_gives_the_recordings_of_a_split_by_label_then_by_id(tmp_path):
    store, made = stored(tmp_path, 40)

    wanted = [
        one
        for label in ("speech", "wake")
        for one in sorted((one for one in made if (one.split, one.label) == ("dev", label)), key=lambda one: one.id)
    ]
    assert list(store.of("dev", "speech", "wake")) == wanted
    assert list(store.of("test", "wake")) == []
    assert store.int16(made[3].id).tolist() == [3] * 8
    with pytest.raises(DataError, match="no recording 'nobody'"):
        store.int16("nobody")


def test_of_a_record_little_lies_in_memory(tmp_path):
    n = 4000
    store, made = stored(tmp_path, n)
    tracemalloc.start()
    try:
        store.int16(made[7].id)
        assert len(store.clips) == len(store.recordings) == n
        assert split_numbers(store.clips).sum() == n // 2
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 60 * n


def test_splits_leaks_and_fingerprints_of_more_recordings_take_little_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "SORTED_AT_ONCE", 200)
    shares = {"train": 0.7, "dev": 0.15, "test": 0.15}

    def most_held(n):
        found = Objects(tmp_path, (dataclasses.replace(recording(number), split="", speaker="") for number in range(n)))
        tracemalloc.start()
        try:
            split = Objects(tmp_path, splits.assign(found, shares, seed=1))
            assert not splits.leaks(split)
            assert not splits.namesakes(split)
            sources.write(tmp_path, ((one, "digest") for one in split))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most_held(10)  # what is held once
    few, many = most_held(400), most_held(2400)

    assert many - few < 250 * 2000


def test_sequences_end_to_end_and_parts_of_them_are_as_lists():
    whole = Chained([[1, 2], [], [3], [4, 5, 6]])

    assert list(whole) == [1, 2, 3, 4, 5, 6]
    assert (whole[-1], list(whole[1:5:2]), list(whole[::-1][:2])) == (6, [2, 4], [6, 5])
    assert list(Picked(whole, np.array([5, 0]))) == [6, 1]


def test_objects_come_back_as_they_were(tmp_path):
    given = [("a", recording(1)), None, "text"]

    assert list(Objects(tmp_path, iter(given))) == given
    assert list(Objects(tmp_path, [])) == []
    assert list(tmp_path.iterdir()) == []


def test_of_a_long_list_of_work_few_items_wait():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as processes:
        made = dealt.in_order(processes, lambda number: 2 * number, items(), at_once=3)
        first = next(made)
        ahead = len(taken)
        rest = list(made)

    assert [first, *rest] == [2 * number for number in range(1000)]
    assert ahead <= 3 * (dealt.WAITING + 1)

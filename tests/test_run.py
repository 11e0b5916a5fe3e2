"""The run folder: what is whole is kept, what is outdated is made again, strangers are refused."""

import fcntl
import os
import threading

import pytest

from wakesmith.errors import WakesmithError
from wakesmith.run import CONFIG, Run, fingerprint


def place(tmp_path):
    run = Run.open(tmp_path / "run")
    (run.folder / CONFIG).touch()
    return run


def made(run, step, stamp):
    assert run.begin(step, stamp)
    (run.folder / step / "made").write_text(stamp)
    run.finish(step, stamp, 1.0)


def test_a_whole_step_is_not_begun_again(tmp_path):
    run = place(tmp_path)
    made(run, "views", "a")

    assert not run.begin("views", "a")


def test_an_interrupted_step_keeps_what_it_has(tmp_path):
    run = place(tmp_path)
    run.begin("views", "a")
    (run.folder / "views" / "half").touch()

    assert run.begin("views", "a")
    assert (run.folder / "views" / "half").exists()


def test_outdated_output_is_cleared_and_results_are_kept_aside(tmp_path):
    run = place(tmp_path)
    made(run, "views", "aaaaaaaaaa")
    made(run, "bundle", "bbbbbbbbbb")

    assert run.begin("views", "x")
    assert run.begin("bundle", "y")
    assert not (run.folder / "views" / "made").exists()
    assert (run.folder / "old" / "bundle-bbbbbbbb" / "made").exists()


def test_half_a_stamp_counts_as_none(tmp_path):
    run = place(tmp_path)
    made(run, "views", "a")
    (run.folder / "views" / "whole.json").write_text('{"finger')

    assert run.begin("views", "a")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(WakesmithError, match=r"holiday\.jpg"):
        Run.open(tmp_path)


def test_a_second_process_is_refused(tmp_path):
    run = place(tmp_path)

    with run.alone(), pytest.raises(WakesmithError, match="another process"), run.alone():
        pass


def test_a_look_at_who_works_refuses_nobody(tmp_path):
    run = place(tmp_path)
    with (run.folder / ".lock").open("a") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        end = threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))
        end.start()
        with run.alone():
            end.join()


def test_fingerprints_tell_values_apart_and_not_their_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})


def test_an_interrupted_labelling_is_taken_up_by_the_step_itself(tmp_path):
    """The store once cleared the step's stamp away, so that the next start threw every answer out."""
    from wakesmith.data.targets import TargetStore

    run = place(tmp_path)
    run.begin("label", "a")
    TargetStore.create(run.folder / "label", {"teacher": "t"}, (4, 2), 4, 8)

    run.begin("label", "a")

    assert TargetStore.open(run.folder / "label").n_clips == 4


def test_the_process_at_work_is_known(tmp_path):
    run = place(tmp_path)
    assert run.worker() is None
    with run.alone():
        assert run.worker() == os.getpid()
    assert run.worker() is None

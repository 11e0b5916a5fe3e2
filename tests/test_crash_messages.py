"""What the system refuses is told in one line with the way out, and what was made before is intact: disk, rights, memory."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.kills import differences
from tests.test_run import place
from wakesmith import audio, pool, refused
from wakesmith.cli import guarded
from wakesmith.data import room
from wakesmith.errors import DataError, WakesmithError
from wakesmith.run import write_json

WAKESMITH = [sys.executable, "-m", "wakesmith.cli"]
SMALL = "size=256k"
NOISE = np.random.default_rng(0).uniform(-1, 1, 1 << 19).astype(np.float32)


def mount(folder: Path, options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, SMALL)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def mapped(path: Path) -> None:
    room.reserve(np.lib.format.open_memmap(path, "w+", np.float32, (1 << 19,)), np.ones(1, bool))


WRITERS = {
    "sound": lambda path: audio.write(path.with_suffix(".flac"), NOISE),
    "JSON": lambda path: write_json(path, "a" * 1_000_000),
    "array": lambda path: np.save(path, NOISE),
    "memory map": mapped,
    "safetensors": lambda path: save_file({"a": torch.from_numpy(NOISE)}, path),
    "torch": lambda path: torch.save({"a": torch.from_numpy(NOISE)}, path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_told_by_the_folder_at_work(disk: Path, writer: str):
    run = place(disk)

    with pytest.raises(WakesmithError, match=rf"{disk}.*--out FOLDER.*run the same command"), run.alone():
        WRITERS[writer](run.folder / "made")


def test_the_holes_of_a_map_take_no_room(disk: Path):
    asked = np.zeros(1 << 10, bool)
    asked[100:120] = True

    made = np.lib.format.open_memmap(disk / "a.npy", "w+", np.float32, (1 << 10, 1 << 10))
    room.reserve(made, asked)
    made[asked] = 1
    del made  # else a failure would show it, and reading its holes fills the disk

    assert 20 << 12 <= (disk / "a.npy").stat().st_blocks * 512 <= 24 << 12


def test_too_little_room_is_told_before_anything_is_written(disk: Path):
    with pytest.raises(DataError, match=r"needs 5 MB of disk, 0 MB are free. Make room, or use fewer views."):
        room.check(disk, 5_000_000, "use fewer views")


def test_a_disk_that_may_only_be_read_is_told(disk: Path, capsys):
    run = place(disk)
    mount(disk, f"remount,ro,{SMALL}")

    def work() -> None:
        with run.alone():
            pass

    assert guarded(work) == 2
    assert f"{run.folder}/.lock: Read-only file system. Give yourself the right" in capsys.readouterr().err


def without_memory() -> None:
    np.empty(1 << 50, np.uint8)


def without_memory_of_torch() -> None:
    torch.empty(1 << 50, dtype=torch.uint8)


@pytest.mark.parametrize("work", [without_memory, without_memory_of_torch])
def test_too_little_memory_is_told(work, capsys):
    assert guarded(work) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "memory ran out" in line
    assert "ask for less" in line


def test_a_mistake_of_ours_is_not_hidden():
    assert refused.told(ValueError("shapes (3,) and (4,)")) is None
    assert refused.told(OSError(2, "No such file", "a.txt")) is None


def ended_by(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "memory ran out"), (signal.SIGBUS, "the disk is full")])
def test_a_worker_that_the_system_ended_is_told(number: int, words: str):
    with pytest.raises(WakesmithError, match=words), pool.workers(2, fork=True) as processes:
        list(processes.map(ended_by, [number]))


INTERRUPTED = """
import signal, sys, time
from wakesmith import pool
from wakesmith.cli import guarded

def work():
    with pool.workers(2) as processes:
        waiting = [processes.submit(time.sleep, 60) for _ in range(3)]
        print("begun", flush=True)
        waiting[0].result()

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell begins in the background hears no Ctrl-C
    sys.exit(guarded(work))
"""


@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_ctrl_c_ends_the_workers_without_a_word_of_theirs(tmp_path: Path, after_s: float):
    """In the midst of their start, and at work."""
    (tmp_path / "work.py").write_text(INTERRUPTED)
    running = subprocess.Popen(
        [sys.executable, tmp_path / "work.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    running.stdout.readline()
    time.sleep(after_s)
    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=30)

    assert told == "wakesmith: interrupted. The same command goes on from here.\n"
    assert running.returncode == 130


@pytest.mark.slow
def test_a_second_command_in_a_run_folder_is_refused(tmp_path: Path):
    run = place(tmp_path)

    with run.alone():
        done = subprocess.run([*WAKESMITH, "plan", "hey nova", "--out", run.folder], capture_output=True, text=True)

    assert done.returncode == 2
    assert f"{run.folder}: another process is at work here. Wait for it" in done.stderr


@pytest.mark.slow
def test_a_model_that_cannot_be_fetched_is_told(tmp_path: Path):
    code = (
        "from wakesmith import config, registry\n"
        "from wakesmith.cli import guarded\n"
        "part = config.part('teachers', 'wav2vec2', hub_id='no/such')\n"
        "raise SystemExit(guarded(lambda: registry.build('teachers', part)))"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=offline)

    assert done.returncode == 2
    assert "teacher.hub_id: no/such cannot be fetched" in done.stderr
    assert "set teacher.path to a folder" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prepare", "views", "teach", "label", "train", "export", "evaluate"])
def test_a_step_that_found_the_disk_full_goes_on_when_there_is_room(forged: Path, disk: Path, step: str):
    mount(disk, "remount,size=1g")
    run = disk / "run"
    shutil.copytree(forged, run)
    place_of = {"export": "bundle"}.get(step, step)
    shutil.rmtree(run / place_of)
    if step == "teach":
        shutil.rmtree(run / "encodings")
    used = shutil.disk_usage(disk).used
    mount(disk, f"remount,size={used + 8192}")

    full = subprocess.run([*WAKESMITH, step, run], capture_output=True, text=True)
    mount(disk, "remount,size=1g")
    again = subprocess.run([*WAKESMITH, step, run], capture_output=True, text=True)

    assert full.returncode == 2, full.stderr
    assert "Traceback" not in full.stderr
    assert str(run) in full.stderr.splitlines()[-1]
    assert again.returncode == 0, again.stderr
    if step == "export":  # the card's figures are evaluate's
        subprocess.run([*WAKESMITH, "evaluate", run], check=True, capture_output=True)
    assert differences(forged / place_of, run / place_of) == []


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told_what_it_lacks(tmp_path: Path):
    (tmp_path / "work.py").write_text(
        "from wakesmith.steps import _recipe, forge\n"
        "from pathlib import Path\n"
        'few = {"n_wake": 16, "n_near_miss": 0, "n_speech": 0, "jobs": 2}\n'
        'recipe, folder = _recipe.load({"phrase": "hey nova", "speak": few}), Path("run")\n'
        "forge.plan(recipe, folder)\n"
        'forge.one(recipe, folder, "speak")\n'
    )

    done = subprocess.run([sys.executable, "work.py"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode != 0
    assert "Put what it does under: if __name__ == '__main__':" in done.stderr

"""The listener's benchmark: chunks of any size give the same detections in flat memory, and each process measures itself."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import scripts, tone_bundle
from wakesmith import audio
from wakesmith.runtime import Detector

pytest.importorskip("onnx", reason="the extra `train` is not installed")
listener = scripts.loaded("benchmarks/listener.py")
HOURS = float(os.environ.get("WAKESMITH_LONG_H", "0.5"))
"""10 for the whole of it."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    tone_bundle.make(folder / "bundle", {"hey nova": 1_000})
    return folder


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 s with two phrases."""
    path = tmp_path_factory.mktemp("sound") / "beeps.wav"
    audio.write(path, tone_bundle.tone(1_000, 2.0, 0.5, 10.0) + tone_bundle.tone(1_000, 6.0, 0.5, 10.0))
    return path


def test_the_pieces_go_from_one_sample_to_ten_seconds_and_hold_all():
    at = listener.cuts(np.random.default_rng(0), 60 * 16_000)
    sizes = np.diff(at)

    assert (sizes == 1).sum() >= 199
    assert 100_000 < sizes.max() <= 160_000


def test_an_install_counts_files_and_no_links(tmp_path: Path):
    (tmp_path / "a").write_bytes(bytes(1_000))
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert listener.size(tmp_path) == 1_000


@pytest.mark.slow
def test_hours_in_chunks_of_any_size_give_the_same_detections_and_memory_stays_flat(run: Path, beeps: Path):
    told = listener.long(run / "bundle", HOURS, beeps)

    assert told["equal"]
    assert told["detections"] == round(told["hours"] * 3600 / 10) * 2
    assert told["grown"] <= listener.MOST_APART_BYTES


def test_the_command_prints_what_was_heard_and_ends_with_0(run: Path, beeps: Path, capsys: pytest.CaptureFixture[str]):
    assert listener.main([str(run), "--hours", "0.01", "--sound", str(beeps), "--json"]) == 0

    [told] = json.loads(capsys.readouterr().out)
    assert (told["hours"], told["detections"], told["holds"]) == (4 / 60, 48, True)


def test_a_listener_measures_itself_in_its_own_process(run: Path, beeps: Path, tmp_path: Path):
    file = tmp_path / "sound.npy"
    np.save(file, listener.sound(beeps, 10.0))

    told = listener.asked(sys.executable, "tones", "wakesmith", [run / "bundle"], file)

    assert told["bytes"] == (run / "bundle" / "model.onnx").stat().st_size
    assert 0 < told["cpu"] < 0.5
    assert told["memory"] > 20e6


def test_the_table_holds_each_against_the_leanest_peer():
    rows = [
        {"name": "ours", "bytes": 1_000, "cpu": 0.002, "memory": 60e6, "start_s": 0.1},
        {"name": "a", "bytes": 1_000, "cpu": 0.004, "memory": 40e6, "start_s": 0.1, "peer": True},
        {"name": "b", "bytes": 1_000, "cpu": 0.008, "memory": 30e6, "start_s": 0.1, "peer": True},
    ]

    assert listener.lines(rows)[2] == "| ours | 1 kB | 0.200 % | 0.50 | 60 MB | 2.00 | 0.10 s |"


def test_a_chunk_that_ends_no_step_gives_nothing_and_is_not_forgotten(run: Path):
    whole, parts = Detector.load(run / "bundle"), Detector.load(run / "bundle")
    samples = tone_bundle.tone(1_000, 0.5, 0.5, 2.0)

    said = [parts.hear(one) for one in np.split(samples, len(samples) // 100)]

    assert np.array_equal(np.concatenate([scores for _, scores in said]), whole.scores(samples)[1])

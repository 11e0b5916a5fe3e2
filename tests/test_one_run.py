"""One run, every runtime: each file of a forge is heard by the program that it is made for, over the same stream.

Two students are needed: ESPHome's hears the front-end `micro`, openWakeWord's is a head on a speech embedding. They share what
was spoken and its views. WAKESMITH_ONE_RUN names a folder to keep the runs in, and to take them up from.
"""

import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")
pytest.importorskip("tflite_micro", reason="the extra `tflite` is not installed")
pytest.importorskip("ai_edge_litert", reason="the extra `tflite` is not installed")
pytest.importorskip("wyoming", reason="the extra `serve` is not installed")
from tests import test_esphome, test_examples, test_openwakeword, test_serve
from tests import tflite_parts as parts
from tests.test_examples import site  # noqa: F401
from tests.test_openwakeword import packages  # noqa: F401
from wakesmith import Detector, audio, bundle
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import Recording
from wakesmith.exporters import _tflite_run as micro
from wakesmith.runtime.detector import events, smooth
from wakesmith.steps import _recipe, forge

pytestmark = pytest.mark.slow
RATE = audio.SAMPLE_RATE_HZ
N_SAID = 6
N_FALSE = 2
"""These students learned for seconds and are judged by what they hear alike, not by what else they take for the phrase."""
LATE_S = 1.0
APART_S = 0.5
"""Two students, which step by 30 and 80 ms, decide at different parts of a phrase; pyopen-wakeword does 90 ms later still."""
COMMON = {
    "phrase": "hey nova", "seed": 1,
    "speak": {"n_wake": 120, "n_near_miss": 100, "n_speech": 120, "voices": [{"name": "espeak"}]},
    "data": {"n_generated": 20},
    "views": {"n_views": 2, "n_rooms": 10},
    "evaluate": {
        "beds": ["noise"], "snrs_db": [10.0], "smoothing_windows": [1, 4], "refractory_s": [1.0], "max_room_positives": 0,
    },
}  # fmt: skip
TRAIN = {"steps": 1500, "batch": 32, "evaluations": 2, "distil": False}
MIXEDNET = {
    "features": "micro", "student": "mixednet", "train": TRAIN,
    "export": {"targets": ["onnx", "onnx_int8", "tflite", "esphome"], "calibration_s": 60},
}  # fmt: skip
HEAD = {
    "features": "speech_embedding", "student": "speech_embedding_head",
    "train": {**TRAIN, "band_stretch": 0.0, "band_shift": 0.0, "band_gain": 0.0},
    "export": {"targets": ["onnx", "openwakeword"], "calibration_s": 60},
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mixednet/ and head/, forged."""
    folder = Path(os.environ.get("WAKESMITH_ONE_RUN", "") or tmp_path_factory.mktemp("one_run"))
    forge.run(_recipe.load(COMMON, MIXEDNET), folder / "mixednet")
    if not (folder / "head").exists():
        shutil.copytree(folder / "mixednet", folder / "head")  # what was spoken and its views are then there
    forge.run(_recipe.load(COMMON, HEAD), folder / "head")
    return folder


@dataclass(frozen=True)
class Stream:
    """Samples (N,) int16, and start and end of each phrase in them, in seconds."""

    samples: np.ndarray
    phrases: list[tuple[float, float]]

    def heard(self, times_s: list[float]) -> list[float]:
        """The first detection of each phrase, of which none may be missing. N_FALSE others there may be."""
        found = [[t for t in times_s if start < t < end + LATE_S] for start, end in self.phrases]
        assert all(found), f"of {self.phrases} were heard {times_s}"
        assert len(times_s) - sum(map(len, found)) <= N_FALSE, f"beside {self.phrases} were heard {times_s}"
        return [one[0] for one in found]


@pytest.fixture(scope="module")
def stream(runs: Path) -> Stream:
    """Phrases of voices that no training heard, each behind a sentence of another: such as both float students hear by itself."""
    store = AudioStore.open(runs / "mixednet" / "prepare")
    said, other = (
        sorted((r for r in store.recordings.values() if (r.split, r.label) == ("test", label)), key=lambda r: r.id)
        for label in ("wake", "speech")
    )
    pairs = [joined(store, [pair]) for pair in zip(other, said, strict=False)]
    heard = [all(is_heard(runs / name / "bundle", pair) for name in ("mixednet", "head")) for pair in pairs]
    return joined(store, list(itertools.compress(zip(other, said, strict=False), heard))[:N_SAID])


def joined(store: AudioStore, pairs: list[tuple[Recording, Recording]]) -> Stream:
    quiet = np.zeros(RATE, np.float32)
    made, phrases = [quiet] * 3, []  # devices and programs begin with empty memories, the detector with silence
    for speech, wake in pairs:
        made += [store.recording(speech.id), quiet]
        at = sum(map(len, made))
        phrases.append(((at + wake.phrase_start) / RATE, (at + wake.phrase_end) / RATE))
        made += [store.recording(wake.id), quiet, quiet]
    noise = np.random.default_rng(0).normal(0, 1e-3, sum(map(len, made))).astype(np.float32)
    return Stream(audio.to_int16(np.concatenate(made) + noise), phrases)


def is_heard(folder: Path, stream: Stream) -> bool:
    ((start, end),) = stream.phrases
    return any(start < time_s < end + LATE_S for time_s in by_detector(folder, stream))


def by_detector(folder: Path, stream: Stream) -> list[float]:
    listener = Detector.load(folder)
    return [hit.time_s for hit in [*listener.process(stream.samples), *listener.finish()]]


def fired(folder: Path, times_s: np.ndarray, scores: np.ndarray) -> list[float]:
    """Detections in a runtime's own scores, at the operating point of a bundle."""
    point = bundle.load_card(folder).operating_point
    smoothed = smooth(scores, point.smoothing_window)
    return [hit.time_s for hit in events(times_s, smoothed, point.threshold, point.refractory_s)]


@pytest.fixture(scope="module")
def wanted(runs: Path, stream: Stream) -> list[float]:
    """What the float model of the first student hears in ONNX Runtime."""
    assert len(stream.phrases) == N_SAID
    return stream.heard(by_detector(runs / "mixednet" / "bundle", stream))


@pytest.mark.parametrize(
    "place", ["mixednet/bundles/onnx_int8", "mixednet/bundles/tflite", "mixednet/bundles/esphome", "head/bundle"]
)
def test_the_detector_hears_the_same_in_every_bundle(place: str, runs: Path, stream: Stream, wanted: list[float]):
    assert stream.heard(by_detector(runs / place, stream)) == pytest.approx(wanted, abs=APART_S)


def test_the_devices_interpreter_hears_the_same_within_the_arena_of_the_manifest(runs: Path, stream: Stream, wanted: list[float]):
    place = runs / "mixednet" / "bundles" / "esphome"
    told = json.loads((place / "device" / "hey_nova.json").read_text())["micro"]
    data = (place / "device" / "hey_nova.tflite").read_bytes()

    assert micro.arena_bytes(data) <= told["tensor_arena_size"]
    scores = micro.Runner(data).scores(parts.micro(stream.samples))
    times_s = (3 * np.arange(1, len(scores) + 1) + 2) / 100  # a frame ends 20 ms after its 10
    assert stream.heard(fired(place, times_s, scores)) == pytest.approx(wanted, abs=APART_S)


def test_a_satellite_hears_the_same_by_the_manifest(runs: Path, stream: Stream, wanted: list[float]):
    place = runs / "mixednet" / "bundles" / "esphome"
    manifest = place / "device" / "hey_nova.json"
    told = json.loads(manifest.read_text())["micro"]

    means = np.array(test_esphome.satellite(manifest, stream.samples))

    times_s = (3 * np.arange(told["sliding_window_size"], told["sliding_window_size"] + len(means)) + 2) / 100
    over = float(np.nextafter(told["probability_cutoff"], 2))
    times = [hit.time_s for hit in events(times_s, means, over, bundle.load_card(place).operating_point.refractory_s)]
    assert stream.heard(times) == pytest.approx(wanted, abs=APART_S)


def test_a_wyoming_client_is_told_the_same(runs: Path, stream: Stream, wanted: list[float]):
    command = [sys.executable, "-m", "wakesmith.cli", "serve", str(runs / "mixednet" / "bundle"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        port = int(re.search(r"tcp://127.0.0.1:(\d+)", running.stderr.readline()).group(1))
        sound = test_serve.said(stream.samples.astype(np.float32) / 32_768)
        told = asyncio.run(test_serve.hears(port, sound, n=len(by_detector(runs / "mixednet" / "bundle", stream))))
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)

    assert {name for _, name, _ in told} == {"hey_nova"}
    assert stream.heard([at / 1000 for _, _, at in told]) == pytest.approx(wanted, abs=APART_S)


@pytest.mark.parametrize("program", ["openwakeword", "pyopen-wakeword"])
def test_openwakeword_programs_hear_the_same(
    program: str, runs: Path, stream: Stream, wanted: list[float], packages: Path, tmp_path: Path  # noqa: F811
):  # fmt: skip
    head, is_open = runs / "head" / "bundles" / "openwakeword" / "model.onnx", program == "openwakeword"
    code = test_openwakeword.IN_OPENWAKEWORD if is_open else test_openwakeword.IN_PYOPEN
    samples = stream.samples[: len(stream.samples) // 1280 * 1280]

    scores = test_openwakeword.said_by(packages, code, head if is_open else head.with_suffix(".tflite"), tmp_path, samples)

    n_late = len(samples) // 1280 - len(scores)  # pyopen-wakeword hears silence first and gives more
    times_s = 0.08 * (np.arange(1, len(scores) + 1) + n_late)
    scores = np.where(times_s > 2.0, scores, 0.0)  # their first windows are filled with what is no sound of the stream
    assert stream.heard(fired(runs / "head" / "bundle", times_s, scores)) == pytest.approx(wanted, abs=APART_S)


def test_the_browser_hears_the_same(runs: Path, stream: Stream, wanted: list[float], site: Path):  # noqa: F811
    """The page has no front-end `micro`; the head's ONNX bundle takes samples."""
    shutil.copytree(runs / "head" / "bundle", site, dirs_exist_ok=True)
    given = {"samples": (stream.samples.astype(np.float32) / 32_768).tolist(), "size": 1_600}
    with test_examples.served(site) as url, test_examples.opened(url) as (page, asked):
        told = page.evaluate(test_examples.HEAR, given)

    assert stream.heard([hit["time_s"] for hit in told["found"]]) == pytest.approx(wanted, abs=APART_S)
    assert all(one.startswith(url) for one in asked)

"""Several bundles on one stream: each finds what it finds by itself, and a front-end that they share is computed once."""

import functools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `train` is not installed")
pytest.importorskip("pymicro_features", reason="the extra `micro` is not installed")

from tests import tflite_parts as parts
from tests import tone_bundle
from tests.test_bundle import card
from wakesmith import audio
from wakesmith.card import OperatingPoint, Phrase
from wakesmith.errors import AudioError
from wakesmith.runtime import Detection, Detector, Detectors
from wakesmith.runtime.engines import Fronted
from wakesmith.runtime.front_ends import micro

SIZES = [1, 7, 159, 1_600, 30_000, 5, 70_000]
POINT = OperatingPoint(threshold=0.12, smoothing_window=3, refractory_s=0.1, chosen_on="a test")


class Loudness:
    """A score for each frame, its mean over the bands of 0 to 26, averaged with the frame before."""

    def begin(self):
        return 0.0

    def step(self, heard, state):
        loud = heard[0].mean(axis=1) / micro.HIGHEST
        return ((loud + np.concatenate([[state], loud[:-1]])) / 2)[None].astype(np.float32), loud[-1]


def behind_micro(phrase: str, step_frames: int) -> Detector:
    told = card(
        phrases=[Phrase(text=phrase)], features={"name": "micro"}, front_end="outside", step_samples=160 * step_frames,
        scores_per_step=step_frames,
    )  # fmt: skip
    return Detector(told, Fronted(Loudness(), functools.partial(micro.begin, told.features)), [POINT])


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> list[Detector]:
    """Two behind `micro`, in steps of 80 and 90 ms, and a file with all inside."""
    tones = Detector.load(tone_bundle.make(tmp_path_factory.mktemp("tones") / "bundle", {"beep": 1_000}))
    return [behind_micro("eight", 8), tones, behind_micro("nine", 9)]


@functools.cache
def sound() -> np.ndarray:
    return audio.to_float(parts.sound(8.0, 9)) + tone_bundle.tone(1_000, 3.0, 0.5, 8.0)


def heard(listener: Detector | Detectors) -> list[Detection]:
    found, at = [], 0
    for n_samples in SIZES:
        found += listener.process(sound()[at : at + n_samples])
        at += n_samples
    return [*found, *listener.finish()]


def in_order(found: list[Detection]) -> list[Detection]:
    return sorted(found, key=lambda hit: (hit.time_s, hit.phrase))


def test_together_they_find_what_each_finds_alone(detectors: list[Detector]):
    found = heard(Detectors(detectors))

    assert {hit.phrase for hit in found} == {"beep", "eight", "nine"}
    assert in_order(found) == in_order([hit for one in detectors for hit in heard(one.another())])


def test_after_a_reset_all_begin_anew(detectors: list[Detector]):
    listener = Detectors(detectors)
    first = heard(listener)
    listener.reset()

    assert heard(listener) == first


def test_a_refused_chunk_leaves_all_as_they_were(detectors: list[Detector]):
    listener, samples = Detectors(detectors), sound()
    found = listener.process(samples[:60_000])
    with pytest.raises(AudioError):
        listener.process(np.concatenate([samples, [np.nan]]))

    assert in_order([*found, *listener.process(samples[60_000:])]) == in_order(Detectors(detectors).process(samples))


def test_a_shared_front_end_hears_each_hop_once(detectors: list[Detector], monkeypatch: pytest.MonkeyPatch):
    hops, step = [], micro.Micro.step
    monkeypatch.setattr(micro.Micro, "step", lambda self, samples: hops.append(len(samples) // 160) or step(self, samples))
    listener = Detectors([*detectors, *detectors])
    listener.process(np.zeros(72 * 160, np.float32))  # 9 steps of 80 ms, 8 of 90 ms

    assert sum(hops) == 72


def test_frames_that_all_have_taken_are_forgotten(detectors: list[Detector]):
    listener = Detectors(detectors)
    listener.process(np.zeros(20 * 16_000, np.float32))

    [(_, shared)] = listener._shared
    assert len(shared._frames) <= 9


def test_detections_come_in_order_of_time(detectors: list[Detector]):
    times_s = [hit.time_s for hit in Detectors(detectors).process(sound())]

    assert times_s == sorted(times_s)


def test_bundles_are_loaded_by_their_folders(tmp_path: Path):
    folders = [tone_bundle.make(tmp_path / name, {name: hz}) for name, hz in (("high", 2_000), ("low", 500))]

    assert Detectors.load(folders).phrases == ["high", "low"]

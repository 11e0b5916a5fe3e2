"""Models behind a front-end of their own, in ONNX Runtime and TensorFlow Lite: the student's scores, in chunks of any size."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from tests import tone_bundle
from wakesmith import audio, bundle, config, registry
from wakesmith.card import Card, OperatingPoint, Phrase
from wakesmith.errors import BundleError, ConfigError
from wakesmith.exporters._listener import Listener
from wakesmith.runtime.detector import Detector
from wakesmith.runtime.engines import _tflite_library
from wakesmith.students import _suits

torch.set_num_threads(1)
CLI_MODULES = ["pydantic", "pydantic_core", "yaml", "rich", "typer", "click", "soundfile", "soxr"]
UNUSED = {"hashlib", "unicodedata", "importlib.metadata", "pymicro_wakeword", "logging"}
"""Modules that each take up to 4 MB of a listener's memory."""
TARGETS = {
    "onnx": {"name": "onnx"}, "inputs": {"name": "tflite"}, "variables": {"name": "tflite", "state": "variables"},
    "esphome": {"name": "esphome"},
}  # fmt: skip


@pytest.fixture(scope="module")
def listener() -> Listener:
    """A mixednet behind the front-end `micro`."""
    return Listener(registry.build("features", config.part("features", "micro")), parts.listener().student)


def card(listener: Listener, model: Path, **changes: object) -> Card:
    point = OperatingPoint(threshold=0.5, smoothing_window=3, chosen_on="a test")
    values = {
        "phrases": [Phrase(text="hey nova", operating_point=point)], "language": "en",
        "labels": ["wake", "near_miss", "speech", "noise"],
        "rate_hz": 16_000, "step_samples": listener.step_samples, "scores_per_step": listener.scores_per_step,
        "state_size": listener.state_size, "receptive_samples": listener.receptive_samples, "listens": "streaming",
        "features": {"name": "micro"}, "front_end": "outside", "student": {"name": "mixednet"}, "parameters": 24_484,
        "model": model.name, "sha256": bundle.file_sha256(model),
    }  # fmt: skip
    return Card(**{**values, **changes})


@pytest.fixture(scope="module", params=sorted(TARGETS))
def made(request: pytest.FixtureRequest, listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param != "onnx":
        pytest.importorskip("pymicro_wakeword")
    folder = tmp_path_factory.mktemp(request.param)
    exporter = registry.build("exporters", config.part("exporters", **TARGETS[request.param]))
    exporter.export(listener, folder / exporter.file_name, parts.streams())
    bundle.save_card(folder, card(listener, folder / exporter.file_name))
    return folder


def wanted(listener: Listener, samples: np.ndarray) -> np.ndarray:
    """The float student, over the front-end's own stream after silence."""
    n_samples = len(samples) // listener.step_samples * listener.step_samples
    quiet = np.zeros(-(-listener.receptive_samples // listener.step_samples) * listener.step_samples, np.float32)
    heard = torch.from_numpy(np.concatenate([quiet, samples[:n_samples]]))[None]
    features, _ = listener.front_end.step(heard, listener.front_end.initial_state())
    with torch.no_grad():
        logits, _ = listener.student.step(features, listener.student.initial_state())
    return logits.softmax(-1)[0, len(quiet) // (160 * listener.student.hop_frames) :, 0].numpy()


def sound(seed: int = 9) -> np.ndarray:
    return audio.to_float(parts.sound(6.0, seed))


def test_scores_are_the_students(made: Path, listener: Listener):
    samples = audio.to_float(parts.sound(20.0, 20))
    times_s, scores = Detector.load(made).scores(samples)

    apart = np.abs(scores - wanted(listener, samples))
    assert times_s[1] - times_s[0] == pytest.approx(0.03)
    assert np.ptp(scores) > 0.3
    assert apart.max() < (1e-4 if made.name.startswith("onnx") else 0.15)
    assert np.quantile(apart, 0.99) < 0.08


def test_chunks_of_any_size_give_the_same_scores(made: Path):
    detector, samples, found, at = Detector.load(made), sound(), [], 0
    for n_samples in [1, 7, 159, 160, 1_600, 30_000, 5, 70_000]:
        found.append(detector.hear(samples[at : at + n_samples])[1])
        at += n_samples

    assert np.array_equal(np.concatenate(found), detector.scores(samples)[1][: sum(map(len, found))])


def test_streams_side_by_side_do_not_disturb_each_other(made: Path):
    one = Detector.load(made)
    other, alone = one.another(), one.scores(sound(3))[1]
    found = []
    for at in range(0, 90_000, 9_000):
        found.append(one.hear(sound(3)[at : at + 9_000])[1])
        other.hear(sound(4)[at : at + 9_000])

    assert np.array_equal(np.concatenate(found), alone[: sum(map(len, found))])


def test_after_a_reset_everything_is_forgotten(made: Path):
    detector = Detector.load(made)
    detector.hear(sound(5))
    detector.reset()

    assert np.array_equal(detector.hear(sound())[1], detector.scores(sound())[1])


def test_a_card_that_promises_another_step_is_refused(made: Path, listener: Listener, tmp_path: Path):
    model = tmp_path / bundle.load_card(made).model
    model.write_bytes((made / model.name).read_bytes())
    bundle.save_card(tmp_path, card(listener, model, step_samples=2 * listener.step_samples))

    with pytest.raises(BundleError, match="promises"):
        Detector.load(tmp_path)


def test_a_file_that_is_no_tflite_is_refused(listener: Listener, tmp_path: Path):
    pytest.importorskip("pymicro_wakeword")
    (tmp_path / "model.tflite").write_bytes(b"TFL3" * 100)
    bundle.save_card(tmp_path, card(listener, tmp_path / "model.tflite"))

    with pytest.raises(BundleError, match=r"TensorFlow Lite cannot load it .* Export the bundle again"):
        Detector.load(tmp_path)


@pytest.mark.parametrize(
    ("package", "extra", "file"),
    [
        ("pymicro_features", "micro", "model.onnx"),
        ("pymicro_wakeword", "lite", "model.tflite"),
        ("onnxruntime", "onnx", "model.onnx"),
    ],
)
def test_a_missing_package_is_named_with_its_command(
    package: str, extra: str, file: str, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / file).write_bytes(b"any")
    bundle.save_card(tmp_path, card(listener, tmp_path / file))
    _tflite_library.functions.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ConfigError, match=rf"pip install 'wakesmith\[{extra}\]'"):
        Detector.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"features": {"name": "log_mel"}}, r"no front-end 'log_mel' .* micro"), ({"step_samples": 1000 * 3}, "multiple of 160")],
)
def test_a_card_that_no_front_end_can_serve_is_refused(changes: dict, told: str, listener: Listener, tmp_path: Path):
    (tmp_path / "model.tflite").write_bytes(b"any")
    bundle.save_card(tmp_path, card(listener, tmp_path / "model.tflite", **changes))

    with pytest.raises(BundleError, match=told):
        Detector.load(tmp_path)


def test_a_tflite_bundle_is_heard_with_nothing_but_the_extra_lite(listener: Listener, tmp_path: Path):
    exporter = registry.build("exporters", config.part("exporters", "esphome"))
    exporter.export(listener, tmp_path / exporter.file_name, parts.streams())
    bundle.save_card(tmp_path, card(listener, tmp_path / exporter.file_name))
    np.save(tmp_path / "sound.npy", parts.sound(3.0, 2))
    absent = {"onnxruntime", *CLI_MODULES}
    code = f"""
import sys
sys.modules |= dict.fromkeys({sorted(absent)})
import json, numpy
from wakesmith import load_bundle
found = load_bundle({str(tmp_path)!r}).scores(numpy.load({str(tmp_path / "sound.npy")!r}))[1]
print(json.dumps([found.tolist(), sorted({sorted(UNUSED)!r} & sys.modules.keys())]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    scores, loaded = json.loads(done.stdout)
    assert scores == Detector.load(tmp_path).scores(parts.sound(3.0, 2))[1].tolist()
    assert loaded == []


def test_a_stream_gives_its_memory_back(made: Path):
    if made.name.startswith("onnx"):
        pytest.skip("ONNX Runtime's own matter")
    detector = Detector.load(made)

    def kilobytes() -> int:
        for _ in range(300):
            detector.another()
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    before = kilobytes()
    assert kilobytes() - before < 2_000


def test_the_model_card_tells_what_to_install_and_offers_no_browser(made: Path):
    told = (made / bundle.README).read_text(encoding="utf-8")

    assert f"pip install 'wakesmith[{'lite' if (made / 'model.tflite').exists() else 'micro,onnx'}]'" in told
    assert "Browser" not in told


def test_silence_is_heard_once_for_all_streams_of_an_onnx_model(tmp_path: Path):
    engine = Detector.load(tone_bundle.make(tmp_path, {"hey": 500})).engine

    assert engine.begin() is engine.begin()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in registry.names("students") if "micro" in _suits.front_ends(name)])
def test_every_student_of_bands_is_heard_behind_micro(name: str, tmp_path: Path):
    torch.manual_seed(1)
    student = registry.build("students", config.part("students", name), 40, 150, 4)
    whole = Listener(registry.build("features", config.part("features", "micro")), student.eval())
    registry.build("exporters", config.part("exporters", "onnx")).export(whole, tmp_path / "model.onnx")
    listens = {"listens": student.listens, "student": {"name": name}}
    bundle.save_card(tmp_path, card(whole, tmp_path / "model.onnx", **listens))

    scores = Detector.load(tmp_path).scores(sound())[1]

    assert np.abs(scores - wanted(whole, sound())).max() < 1e-4

"""ESPHome: the file and manifest that devices load, in the runtimes that Home Assistant's satellites and devices have."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import bundle, config, registry
from wakesmith.card import Card, OperatingPoint, Phrase
from wakesmith.config import PartSettings
from wakesmith.errors import BundleError, ConfigError
from wakesmith.exporters import esphome, tflite
from wakesmith.steps import _targets

pytest.importorskip("tflite_micro", reason="the extra `tflite` is not installed")
pytest.importorskip("pymicro_features", reason="the extra `tflite` is not installed")
from wakesmith.exporters import _tflite_run as micro

torch.set_num_threads(1)
LISTENER = parts.listener()
MIXEDNET = config.part("students", "mixednet")
MICRO = PartSettings(name="micro")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as the step leaves it once `evaluate` has chosen where it fires."""
    folder = tmp_path_factory.mktemp("esphome")
    exporter = registry.build("exporters", config.part("exporters", "esphome"))
    exporter.export(LISTENER, folder / exporter.file_name, parts.streams())
    point = OperatingPoint(threshold=0.5, smoothing_window=4, chosen_on="a test")
    bundle.save_card(folder, card(folder, point))
    return folder


def card(folder: Path, point: OperatingPoint | None, *phrases: str) -> Card:
    return Card(
        phrases=[Phrase(text=text, operating_point=point) for text in phrases or ("hey nova",)], language="en",
        labels=["wake", "near_miss", "speech", "noise"], rate_hz=16_000, step_samples=480, scores_per_step=1, state_size=2960,
        receptive_samples=23_680, listens="streaming", features={"name": "micro"}, student={"name": "mixednet"},
        parameters=24_484, model="model.tflite", sha256=bundle.file_sha256(folder / "model.tflite"),
    )  # fmt: skip


def exporter(**options: object) -> esphome.EsphomeExporter:
    built: esphome.EsphomeExporter = registry.build("exporters", config.part("exporters", "esphome", **options))
    return built


def satellite(manifest: Path, samples: np.ndarray) -> list[float]:
    """Mean scores of pymicro-wakeword, at each step of the model once its window is full."""
    words = pytest.importorskip("pymicro_wakeword")
    model, features, heard = words.MicroWakeWord.from_config(manifest), words.MicroWakeWordFeatures(), []
    for i, frame in enumerate(features.process_streaming(samples.tobytes())):
        mean = model.process_streaming_prob(frame)
        heard += [mean] if i % 3 == 2 else []
    return heard[model.sliding_window_size - 1 :]


def test_a_satellite_scores_as_the_float_student_does(made: Path, tmp_path: Path):
    manifest, _ = esphome.hand_over(made, tmp_path)
    samples = parts.sound(12.0, seed=9)

    heard = satellite(manifest, samples)

    wanted = np.convolve(tflite.float_scores(LISTENER.student, parts.micro(samples)), np.full(4, 0.25), "valid")
    apart = np.abs(np.array(heard) - wanted[: len(heard)])
    assert abs(len(heard) - len(wanted)) <= 1
    assert apart.mean() < 0.02
    assert np.quantile(apart, 0.99) < 0.08


def test_the_satellite_says_what_the_device_runtime_says(made: Path, tmp_path: Path):
    manifest, model = esphome.hand_over(made, tmp_path)
    samples = parts.sound(12.0, seed=9)

    heard = satellite(manifest, samples)

    device = np.convolve(micro.Runner(model.read_bytes()).scores(parts.micro(samples)), np.full(4, 0.25), "valid")
    assert np.abs(np.array(heard) - device[: len(heard)]).mean() < 0.01


def test_the_default_student_keeps_the_bars_of_flash_and_memory(made: Path):
    data = (made / "model.tflite").read_bytes()

    assert len(data) <= 54_000
    assert esphome.arena_size(data) <= 22_000


def test_the_manifest_asks_for_a_tenth_more_than_was_measured(made: Path, tmp_path: Path):
    manifest, model = esphome.hand_over(made, tmp_path)
    asked = json.loads(manifest.read_text())["micro"]["tensor_arena_size"]

    assert 1.1 <= asked / micro.arena_bytes(model.read_bytes()) <= 1.2
    assert asked % 16 == 0


def test_the_manifest_is_one_of_version_2(made: Path, tmp_path: Path):
    told = json.loads(esphome.hand_over(made, tmp_path, author="Ada")[0].read_text())

    assert told["micro"].pop("tensor_arena_size") > 0
    assert told == {
        "type": "micro", "wake_word": "hey nova", "author": "Ada", "model": "hey_nova.tflite", "trained_languages": ["en"],
        "version": 2,
        "micro": {
            "probability_cutoff": 0.50197, "feature_step_size": 10, "sliding_window_size": 4,
            "minimum_esphome_version": "2024.7.0",
        },
    }  # fmt: skip


def test_the_file_is_what_devices_take(made: Path):
    told = micro.facts((made / "model.tflite").read_bytes())

    assert told.ops <= esphome.OPS
    assert told.inputs == [("features", (1, 3, 40), "int8")]
    assert told.outputs == [("score", (1, 1), "uint8")]
    assert told.n_variables == 6


def test_its_input_has_the_official_scale(made: Path):
    source = micro.Runner((made / "model.tflite").read_bytes()).source

    assert (source.step, source.zero) == (pytest.approx(0.10196, abs=1e-5), -128)


THRESHOLDS = (0.01, 0.2, 0.25, 0.5, 0.6, 0.9, 0.9765625, 0.99)


def fires_from(told: float, window: int) -> int:
    """The least sum of scores at which ESPHome fires: int(cutoff * 255) goes into a byte, and the sum must be over it."""
    return int(told * 255) * window + 1


@pytest.mark.parametrize("window", [1, 2, 4, 6, 7, 10, 255])
def test_a_device_fires_from_the_threshold_on_and_not_below(window: int):
    for threshold in np.r_[THRESHOLDS, np.random.default_rng(0).uniform(0.01, 0.992, 200)]:
        first = fires_from(esphome.cutoff(threshold, window), window)

        assert threshold <= first / (256 * window) < threshold + 1 / 256


@pytest.mark.parametrize("window", [1, 2, 4, 6, 7, 10, 255])
def test_the_point_of_the_card_is_the_one_a_device_has(window: int):
    for threshold in (*THRESHOLDS, 0.997, 1.0):
        point = esphome.as_it_fires(OperatingPoint(threshold=threshold, smoothing_window=window, chosen_on="a test"))

        assert point.threshold == fires_from(esphome.cutoff(threshold, window), window) / (256 * window)
        assert esphome.as_it_fires(point) == point


@pytest.mark.parametrize("window", [1, 4, 6, 10, 255])
def test_older_devices_and_satellites_fire_at_no_lower_sum(window: int):
    for threshold in (q / 256 for q in range(1, 257)):
        told = esphome.cutoff(threshold, window)
        sums = np.arange(255 * window + 1)
        first = fires_from(told, window)

        assert sums[np.float32(sums) / np.float32(255 * window) > np.float32(told)][0] == first
        assert first <= sums[sums / 256 / window > told][0] <= first + window - 1


def test_evaluate_measures_where_devices_fire_and_elsewhere_as_chosen():
    chosen = OperatingPoint(threshold=0.5, smoothing_window=4, chosen_on="a test")

    assert _targets.as_it_fires("tflite", chosen) == chosen
    assert _targets.as_it_fires("esphome", chosen).threshold == 513 / 1024


def test_a_threshold_of_one_can_be_reached_on_a_device():
    assert fires_from(esphome.cutoff(1.0, 5), 5) <= 5 * 255


def test_a_bundle_without_operating_point_is_told_to_evaluate(made: Path, tmp_path: Path):
    (tmp_path / "model.tflite").write_bytes((made / "model.tflite").read_bytes())
    bundle.save_card(tmp_path, card(made, None))

    with pytest.raises(BundleError, match="Run `wakesmith evaluate`"):
        esphome.hand_over(tmp_path, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_window_that_no_device_has_is_refused(made: Path):
    long = card(made, OperatingPoint(threshold=0.5, smoothing_window=300, chosen_on="a test"))

    with pytest.raises(BundleError, match="smoothing_window 300"):
        esphome.manifest(long, "m.tflite", 1, "a")


def test_a_bundle_of_two_phrases_is_refused(made: Path):
    with pytest.raises(BundleError, match="2 phrases"):
        esphome.manifest(card(made, None, "hey nova", "hey lyra"), "m.tflite", 1, "a")


def test_a_file_that_keeps_its_state_outside_is_no_device_file():
    data = tflite.model(LISTENER.student, parts.streams(), "inputs")

    with pytest.raises(BundleError, match=r"takes .*exporter esphome"):
        esphome.check_contract("x", data)


def test_an_op_that_no_device_has_is_named(monkeypatch: pytest.MonkeyPatch, made: Path):
    monkeypatch.setattr(esphome, "OPS", esphome.OPS - {"LOGISTIC"})

    with pytest.raises(BundleError, match="uses LOGISTIC, which devices do not have"):
        esphome.check_contract("x", (made / "model.tflite").read_bytes())


def test_features_of_another_front_end_are_refused():
    with pytest.raises(BundleError, match=r"0 to 26.* features\.name micro"):
        esphome.model(LISTENER.student, [one - 5.0 for one in parts.streams()])


@pytest.mark.parametrize("limit", ["most_file_bytes", "most_arena_bytes"])
def test_each_limit_stops_the_export_and_is_named(limit: str, tmp_path: Path):
    with pytest.raises(BundleError, match=rf"the limit is 20,000\. Take a smaller student .* `{limit}`"):
        exporter(**{limit: 20_000}).export(LISTENER, tmp_path / "m.tflite", parts.streams())

    assert list(tmp_path.iterdir()) == []


def test_too_many_multiplications_are_refused_before_training():
    with pytest.raises(BundleError, match=r"multiplications a second, the limit is 800,000"):
        esphome.check_budget(MICRO, MIXEDNET, 1, 150, esphome.Config(most_macs_per_s=800_000))


def test_a_narrow_tolerance_stops_the_export(tmp_path: Path):
    with pytest.raises(BundleError, match="differs"):
        exporter(tolerance=1e-4).export(LISTENER, tmp_path / "m.tflite", parts.streams())


def test_the_budget_is_known_before_training(made: Path):
    cost = esphome.check_budget(MICRO, MIXEDNET, 1, 150, esphome.Config())

    data = (made / "model.tflite").read_bytes()
    assert abs(cost.file_bytes - len(data)) < 200  # equal numbers are written once, and a few are equal by chance
    assert cost.arena_bytes == esphome.arena_size(data)
    assert cost.macs_per_s == 813_867


def test_a_wide_student_is_refused_before_training():
    with pytest.raises(BundleError, match=r"flash, the limit is 55,296"):
        esphome.check_budget(MICRO, config.part("students", "mixednet", width=96), 1, 150, esphome.Config())


def test_a_student_that_no_device_runs_is_refused_before_training():
    with pytest.raises(BundleError, match="Take the student mixednet"):
        esphome.check_budget(MICRO, config.part("students", "ds_cnn"), 1, 150, esphome.Config())


def test_another_front_end_is_refused_before_training():
    with pytest.raises(ConfigError, match=r"features\.name: ESPHome devices hear with the front-end micro, not log_mel"):
        esphome.check_budget(config.part("features", "log_mel"), MIXEDNET, 1, 150, esphome.Config())


def test_constants_lie_at_multiples_of_16_bytes(made: Path):
    data = (made / "model.tflite").read_bytes()
    model = micro.schema.Model.GetRootAs(data, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [one._tab.Vector(one._tab.Offset(4)) for one in buffers if one._tab.Offset(4)]

    assert len(starts) > 20
    assert all(start % 16 == 0 for start in starts)
    assert re.match(rb"TFL3", data[4:8])

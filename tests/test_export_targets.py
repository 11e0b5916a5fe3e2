"""One run, a file for each place: what is refused before training, and what every bundle of a run holds once it is evaluated."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from tests import tflite_parts as parts
from wakesmith import audio, bundle, config, load_bundle
from wakesmith.data import audio_store
from wakesmith.data.records import Recording, save_jsonl
from wakesmith.errors import BundleError, ConfigError
from wakesmith.run import write_json
from wakesmith.steps import _recipe, _targets, evaluate, export, forge

ESPHOME = {"features": "micro", "student": "mixednet"}


def recipe(*targets: object, **values: object) -> _recipe.Recipe:
    return _recipe.load({"phrase": "hey nova", **ESPHOME, "export": {"targets": list(targets)}, **values})


def test_the_default_is_one_bundle():
    settings = _recipe.load({"phrase": "hey nova"}).export

    assert settings.main.name == "onnx"
    assert settings.others == []


def test_options_of_a_target_stand_with_it():
    settings = recipe("esphome", {"name": "onnx", "opset": 19}).export

    assert settings.main.opset == 19
    assert [one.name for one in settings.others] == ["esphome"]


def test_a_target_named_twice_is_refused():
    with pytest.raises(ConfigError, match="a target is named twice"):
        recipe("onnx", "onnx")


def test_a_window_that_devices_cannot_count_is_refused_with_the_recipe():
    windows = {"smoothing_windows": [4, 256]}

    with pytest.raises(
        ConfigError, match=r"evaluate\.smoothing_windows: expected at most 255 for the devices of esphome, got 256"
    ):
        recipe("onnx", "esphome", evaluate=windows)
    assert recipe("onnx", "tflite", evaluate=windows).evaluate.smoothing_windows == [4, 256]
    assert recipe("esphome", evaluate={"smoothing_windows": [255]})


def test_targets_change_the_export_and_not_the_training():
    one, two = recipe("onnx"), recipe("onnx", "tflite")
    changed = [step for step in _recipe.STEPS if _recipe.fingerprint(one, step) != _recipe.fingerprint(two, step)]

    assert changed == ["export", "evaluate"]


def test_a_student_over_the_budget_of_a_target_is_refused_before_anything_is_made(tmp_path: Path):
    with pytest.raises(BundleError, match=r"flash, the limit is 20,000"):
        forge.run(recipe({"name": "esphome", "most_file_bytes": 20_000}), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_a_front_end_that_runs_inside_of_models_alone_is_refused_before_training():
    with pytest.raises(ConfigError, match=r"log_mel runs inside of a model alone. Set it to one of: .*micro"):
        _targets.check(recipe("tflite", features="log_mel"))


def test_a_student_that_tflite_cannot_tell_is_refused_before_training():
    with pytest.raises(BundleError, match="Take the student mixednet"):
        _targets.check(recipe("tflite", student="ds_cnn"))


def test_a_target_that_cannot_be_made_leaves_the_bundle_and_the_settings(tmp_path: Path):
    plain = {"features": "log_mel", "student": "ds_cnn"}
    made = recipe("onnx", **plain)
    place = forge.plan(made, tmp_path / "run")
    for step in ("train", "export"):
        folder = place.folder / _recipe.FOLDERS.get(step, step)
        folder.mkdir()
        place.finish(folder.name, _recipe.fingerprint(made, step), 1.0)
    (place.folder / "bundle" / "model.onnx").write_bytes(b"a model")

    for target, told in (("esphome", "hear with the front-end micro"), ("openwakeword", "hears no speech embeddings")):
        with pytest.raises((ConfigError, BundleError), match=f"{told}.* Forge another run: --set features="):
            forge.one(recipe("onnx", target, **plain), place.folder, "export")

    assert (place.folder / "bundle" / "model.onnx").read_bytes() == b"a model"
    assert config.read_yaml(place.folder / "config.yaml")["export"] == made.model_dump()["export"]


def prepared(folder: Path) -> None:
    """folder/{prepare, views/bank, train} as the steps before leave them, with a student of random weights."""
    recordings, sounds = [], []
    for split in ("train", "dev", "test"):
        for label, length_s in (("wake", 1.0), ("speech", 8.0)):
            for number in range(6):
                name = f"{split}-{label}-{number}"
                sounds.append(parts.sound(length_s, len(sounds)))
                where = (1_600, 14_400) if label == "wake" else (0, 0)
                recordings.append(Recording(name, "-", "", label, name, "real", "CC0-1.0", len(sounds[-1]), split, *where))
    place, bank = folder / "prepare", folder / "views" / "bank"
    for one in (place, bank, folder / "train"):
        one.mkdir(parents=True)
    save_jsonl(place / audio_store.RECORDINGS, recordings)
    (place / audio_store.CLIPS).touch()
    (place / audio_store.CARD).write_text("{}")
    np.save(place / audio_store.AUDIO, np.concatenate(sounds))
    np.save(place / audio_store.OFFSETS, np.cumsum([0, *map(len, sounds[:-1])]))
    hiss = audio.to_int16(0.1 * np.random.default_rng(0).standard_normal((2, 160_000)).astype(np.float32))
    for split in ("train", "dev", "test"):
        np.save(bank / f"noise_{split}.npy", hiss)
        np.save(bank / f"babble_{split}.npy", hiss[:0])
        np.save(bank / f"room_{split}.npy", np.eye(2, 8_000, dtype=np.float32))
    weights = {key: value.contiguous() for key, value in parts.listener().student.state_dict().items()}
    save_file(weights, folder / "train" / "model.safetensors")
    write_json(folder / "train" / "card.json", {"n_classes": 4, "n_frames": 150, "dev": {"accuracy": 1.0}})


def evaluated(*targets: object) -> _recipe.Recipe:
    quick = {"beds": ["noise"], "snrs_db": [10.0], "smoothing_windows": [1, 2], "refractory_s": [1.0], "max_room_positives": 0}
    return recipe(*targets, evaluate=quick, train={"distil": False})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, exported and evaluated, with every file that a mixednet behind `micro` can be."""
    folder = tmp_path_factory.mktemp("targets") / "run"
    prepared(folder)
    whole = evaluated("onnx", "tflite", "esphome")
    export.run(whole, folder)
    evaluate.run(whole, folder)
    return folder


@pytest.mark.slow
def test_every_bundle_of_a_run_scores_alike(made: Path):
    samples = audio.to_float(parts.sound(10.0, 99))
    wanted = load_bundle(made / "bundle").scores(samples)[1]

    for place in (made / "bundles" / "tflite", made / "bundles" / "esphome"):
        assert bundle.load_card(place).front_end == "outside"
        assert bundle.load_card(place).phrases[0].measured is not None
        assert np.quantile(np.abs(load_bundle(place).scores(samples)[1] - wanted), 0.99) < 0.1


@pytest.mark.slow
def test_the_report_tells_what_each_file_lost(made: Path):
    told = json.loads((made / "evaluate" / "report.json").read_text(encoding="utf-8"))
    page = (made / "evaluate" / "report.html").read_text(encoding="utf-8")
    clean = told["test"]["conditions"][0]["frr"]

    assert [one["name"] for one in told["bundles"]] == ["tflite", "esphome"]
    for one in told["bundles"]:
        assert one["bytes"] == (made / "bundles" / one["name"] / "model.tflite").stat().st_size
        assert one["phrases"][0]["lost_clean"] == pytest.approx(one["phrases"][0]["frr_clean"] - clean)
    assert "The other files of this run" in page


@pytest.mark.slow
def test_the_files_for_a_device_lie_ready(made: Path):
    device = made / "bundles" / "esphome" / "device"
    manifest = json.loads((device / "hey_nova.json").read_text(encoding="utf-8"))

    assert (device / manifest["model"]).read_bytes() == (made / "bundles" / "esphome" / "model.tflite").read_bytes()


@pytest.mark.slow
def test_bundles_that_are_no_longer_asked_for_go(made: Path, tmp_path: Path):
    folder = Path(shutil.copytree(made, tmp_path / "run"))
    export.run(evaluated("onnx"), folder)

    assert not (folder / "bundles").exists()
    assert (folder / "bundle" / "model.onnx").exists()


def test_calibration_hears_as_much_as_is_asked_for(tmp_path: Path):
    prepared(tmp_path)
    listener = parts.listener()  # its front-end lies inside: it takes samples
    short, long = (_targets.Streams(tmp_path, 3, length_s, listener).of("inputs") for length_s in (20.0, 40.0))

    assert 20.0 <= sum(map(len, short)) / 16_000 < sum(map(len, long)) / 16_000

"""Contracts of the shipped file, for every student: it says what the student says, in any chunks, in the same bytes."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests import students
from wakesmith import bundle, config, load_bundle, registry
from wakesmith.card import OperatingPoint
from wakesmith.data.records import Recording, save_jsonl
from wakesmith.errors import BundleError
from wakesmith.exporters import onnx as onnx_exporter
from wakesmith.exporters._listener import Listener
from wakesmith.promise import Point
from wakesmith.steps import export
from wakesmith.students import _suits
from wakesmith.students._streaming import Student

torch.set_num_threads(1)
FRONT_END = registry.build("features", config.part("features", "log_mel"))


def recipe(name: str) -> SimpleNamespace:
    options = {"width": 8} if name == "ds_cnn" else {}
    features = config.part("features", _suits.front_ends(name)[0])
    student = config.part("students", name, **options)
    return SimpleNamespace(
        phrases=["hey nova"], language="en", seed=7, features=features, student=student,
        train=SimpleNamespace(distil=True, start=None),
        export=export.Settings(),
    )  # fmt: skip


def trained(name: str, folder: Path) -> Student:
    """A run folder as training leaves it, with weights that say different things of different sounds."""
    torch.manual_seed(1)
    front_end = registry.build("features", recipe(name).features)
    features = front_end(torch.randn(16, 24_000) * 10.0 ** torch.randint(-4, 0, (16, 1)))
    _, n_frames, n_values = features.shape
    student = registry.build("students", recipe(name).student, n_values, n_frames, 4).train()
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the statistics of the sounds below
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight)
    student(features)
    (folder / "train").mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in student.state_dict().items()}, folder / "train" / "model.safetensors")
    (folder / "train" / "card.json").write_text(json.dumps({"n_classes": 4, "n_frames": n_frames}))
    return student.eval()


def front_end(folder: Path) -> torch.nn.Module:
    """The one that a bundle's card names."""
    return registry.build("features", config.parse_part("features", bundle.load_card(folder).features, "card"))


@pytest.fixture(params=students.each("ds_cnn", "mixednet"), scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Student, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    student = trained(request.param, folder)
    return student, export.run(recipe(request.param), folder)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    trained("ds_cnn", tmp_path)
    return tmp_path


def sound(n_samples: int = 40_000) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.standard_normal(n_samples) * 0.1 * np.abs(np.sin(np.arange(n_samples) / 3_000))).astype(np.float32)


def test_the_file_scores_as_the_student_does_on_the_view_before(made: tuple[Student, Path]):
    student, folder = made
    samples = sound(25 * 1280)
    times_s, scores = load_bundle(folder, 0.5).scores(samples)

    for at in (np.flatnonzero(times_s >= 1.5)[0], -1):
        end = round(times_s[at] * 16_000)
        with torch.no_grad():
            logits, _ = student(front_end(folder)(torch.from_numpy(samples[None, end - 24_000 : end])))
        assert scores[at] == pytest.approx(float(logits.softmax(-1)[0, 0]), abs=1e-4)


def test_scores_are_not_all_alike(made: tuple[Student, Path]):
    _, scores = load_bundle(made[1], 0.5).scores(sound())

    assert np.ptp(scores) > 1e-3


def test_the_file_gives_the_same_detections_in_any_chunks(made: tuple[Student, Path]):
    _, scores = load_bundle(made[1], 0.5).scores(sound())
    threshold = float(np.median(scores))
    whole, chunked = load_bundle(made[1], threshold), load_bundle(made[1], threshold)

    found = [one for start in range(0, 40_000, 999) for one in chunked.process(sound()[start : start + 999])]

    assert found == whole.process(sound())
    assert found


def test_the_first_words_are_heard_as_after_a_silence(made: tuple[Student, Path]):
    later = np.concatenate([np.zeros(25 * bundle.load_card(made[1]).step_samples, np.float32), sound()])

    _, at_once = load_bundle(made[1], 0.5).scores(sound())
    _, after = load_bundle(made[1], 0.5).scores(later)

    assert after[-len(at_once) :] == pytest.approx(at_once, abs=1e-5)


def test_the_card_tells_of_the_run(made: tuple[Student, Path]):
    card = bundle.check(made[1])

    assert (card.phrase, card.seed, card.labels[0], card.operating_point) == ("hey nova", 7, "wake", None)
    assert card.parameters == sum(weight.numel() for weight in made[0].parameters())


def test_a_fresh_bundle_asks_for_an_operating_point(made: tuple[Student, Path]):
    with pytest.raises(BundleError, match="no operating point"):
        load_bundle(made[1]).process(sound())


@pytest.mark.slow
def test_exporting_again_gives_the_same_bytes_and_leaves_the_student_as_it_was(run_folder: Path):
    student = registry.build("students", recipe("ds_cnn").student, 40, 150, 4)
    export.load_weights(student, run_folder / "train" / "model.safetensors")
    before = {key: value.clone() for key, value in student.state_dict().items()}
    exporter = registry.build("exporters", config.part("exporters", "onnx"))

    exporter.export(Listener(FRONT_END, student), run_folder / "a.onnx")
    exporter.export(Listener(FRONT_END, student), run_folder / "b.onnx")

    assert (run_folder / "a.onnx").read_bytes() == (run_folder / "b.onnx").read_bytes()
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())


def test_the_file_tells_nothing_of_the_machine(made: tuple[Student, Path]):
    data = (made[1] / "model.onnx").read_bytes()

    assert b"site-packages" not in data
    assert str(Path(export.__file__).parent).encode() not in data


def test_a_file_of_another_student_is_seen_to_differ(made: tuple[Student, Path]):
    student, folder = made
    other = copy.deepcopy(student)
    with torch.no_grad():
        list(other.modules())[-1].bias.add_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    data = (folder / "model.onnx").read_bytes()

    assert onnx_exporter.largest_difference(Listener(front_end(folder), student), data) < 1e-4
    assert onnx_exporter.largest_difference(Listener(front_end(folder), other), data) > 1e-2


def test_licences_of_what_was_learned_from_are_in_the_card(run_folder: Path):
    (run_folder / "prepare").mkdir()
    heard = [("a", "CC0-1.0", "train"), ("b", "", "dev"), ("c", "CC-BY-4.0", "test")]
    records = [Recording(i, f"{i}.flac", "", "wake", "", "x", licence, 1, split) for i, licence, split in heard]
    save_jsonl(run_folder / "prepare" / "recordings.jsonl", records)

    data = bundle.load_card(export.run(recipe("ds_cnn"), run_folder)).data
    assert [(one.licence, one.recordings) for one in data] == [("CC0-1.0", 1), ("unknown", 1)]


@pytest.mark.slow
def test_licences_of_own_recordings_are_in_the_card(run_folder: Path):
    one = run_folder / "rounds" / "01"
    (one / "prepare").mkdir(parents=True)
    (one / "plan.json").write_text('{"kind": "learn"}')
    (one / "found.json").write_text("{}")
    (one / "prepare" / "store.json").write_text("{}")
    save_jsonl(one / "prepare" / "recordings.jsonl", [Recording("a", "/a.wav", "", "wake", "", "x", "own", 1, "train")])

    assert bundle.load_card(export.run(recipe("ds_cnn"), run_folder)).data_licences == ["own"]


def test_weights_of_another_student_are_named(run_folder: Path):
    save_file({"head.weight": torch.zeros(4, 9)}, run_folder / "train" / "model.safetensors")

    with pytest.raises(BundleError, match=r"missing chain.* more\. Train again"):
        export.run(recipe("ds_cnn"), run_folder)


def test_weights_that_are_no_numbers_are_refused(run_folder: Path):
    path = run_folder / "train" / "model.safetensors"
    student = registry.build("students", recipe("ds_cnn").student, 40, 150, 4)
    save_file({**student.state_dict(), "head.bias": torch.full((4,), torch.nan)}, path)

    with pytest.raises(BundleError, match=r"head\.bias holds NaN"):
        export.run(recipe("ds_cnn"), run_folder)


def test_a_truncated_weight_file_says_train_again(run_folder: Path):
    path = run_folder / "train" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(BundleError, match="Train again"):
        export.run(recipe("ds_cnn"), run_folder)


def test_without_training_the_error_says_train_first(tmp_path: Path):
    with pytest.raises(BundleError, match="Train first"):
        export.run(recipe("ds_cnn"), tmp_path)


def test_a_bundle_whose_card_promises_other_shapes_is_refused(made: tuple[Student, Path], tmp_path: Path):
    card = bundle.load_card(made[1]).model_copy(update={"state_size": 5})
    (tmp_path / "model.onnx").write_bytes((made[1] / "model.onnx").read_bytes())
    bundle.save_card(tmp_path, card)

    with pytest.raises(BundleError, match="promises"):
        load_bundle(tmp_path)


def test_an_operating_point_in_the_card_is_where_the_detector_fires(made: tuple[Student, Path], tmp_path: Path):
    point = OperatingPoint(threshold=0.4, smoothing_window=2, target_fa_per_hour=0.5, chosen_on="dev")
    (tmp_path / "model.onnx").write_bytes((made[1] / "model.onnx").read_bytes())
    bundle.save_card(tmp_path, bundle.load_card(made[1]))
    bundle.set_operating_point(tmp_path, point)

    assert load_bundle(tmp_path).point == Point(0.4, 2, point.refractory_s)


@pytest.mark.slow
def test_a_student_without_a_teacher_names_none(run_folder: Path):
    (run_folder / "teach").mkdir()
    (run_folder / "teach" / "card.json").write_text(json.dumps({"encoder_source": "somewhere", "dev": {}}))
    plain = recipe("ds_cnn")
    plain.train.distil = False

    assert bundle.load_card(export.run(recipe("ds_cnn"), run_folder)).teacher == {"encoder_source": "somewhere", "dev": {}}
    assert bundle.load_card(export.run(plain, run_folder)).teacher is None

"""TFLite: what the file says in real runtimes, against the float student."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import config, registry
from wakesmith.errors import BundleError
from wakesmith.exporters import tflite

pytest.importorskip("tflite_micro", reason="the extra `tflite` is not installed")
pytest.importorskip("pymicro_features", reason="the extra `tflite` is not installed")
from wakesmith.exporters import _tflite_int8 as int8
from wakesmith.exporters import _tflite_layers as plain
from wakesmith.exporters import _tflite_run as micro

torch.set_num_threads(1)
LISTENER = parts.listener()
UNHEARD = parts.micro(parts.sound(12.0, seed=9))


@pytest.fixture(scope="module", params=["inputs", "variables"])
def data(request: pytest.FixtureRequest) -> bytes:
    return tflite.model(LISTENER.student, parts.streams(), request.param)


def exported(folder: Path, **options: object) -> Path:
    exporter = registry.build("exporters", config.part("exporters", "tflite", **options))
    exporter.export(LISTENER, folder / exporter.file_name, parts.streams())
    return Path(folder / exporter.file_name)


def lite_scores(data: bytes, features: np.ndarray) -> np.ndarray:
    """A file in LiteRT, as other programs run it."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (first, *states), (score, *news) = interpreter.get_input_details(), interpreter.get_output_details()
    step, zero = first["quantization"]
    kept, found = [np.full(one["shape"], one["quantization"][1], np.int8) for one in states], []
    for frames in features[: len(features) // 3 * 3].reshape(-1, 1, 3, 40):
        interpreter.set_tensor(first["index"], np.clip(np.rint(frames / step) + zero, -128, 127).astype(np.int8))
        for port, value in zip(states, kept, strict=True):
            interpreter.set_tensor(port["index"], value)
        interpreter.invoke()
        kept = [interpreter.get_tensor(port["index"]) for port in news]
        found.append(interpreter.get_tensor(score["index"])[0, 0] / 256)
    return np.array(found)


def test_scores_of_the_student_go_up_and_down():
    scores = tflite.float_scores(LISTENER.student, UNHEARD)

    assert 0.1 < (scores > 0.5).mean() < 0.9
    assert scores.std() > 0.1


def test_the_file_scores_sound_it_was_not_quantised_by_as_the_student_does(data: bytes):
    apart = tflite.differences(LISTENER.student, data, [UNHEARD, *parts.streams()])[: len(UNHEARD) // 3]

    assert apart.mean() < 0.03
    assert np.quantile(apart, 0.99) < 0.1


def test_litert_and_tflite_micro_say_the_same(data: bytes):
    apart = np.abs(lite_scores(data, UNHEARD) - micro.Runner(data).scores(UNHEARD))

    assert apart.max() < 0.08  # their roundings differ by one step of int8 here and there
    assert apart.mean() < 0.01


def test_both_ways_to_keep_the_state_score_the_same():
    inside, outside = (tflite.model(LISTENER.student, parts.streams(), state) for state in ("variables", "inputs"))

    assert np.array_equal(micro.Runner(inside).scores(UNHEARD), micro.Runner(outside).scores(UNHEARD))


def test_the_option_state_says_where_the_state_lies(tmp_path: Path):
    outside = micro.facts(exported(tmp_path).read_bytes())
    inside = micro.facts(exported(tmp_path, state="variables").read_bytes())

    assert (len(outside.inputs), len(outside.outputs), outside.n_variables) == (7, 7, 0)
    assert (len(inside.inputs), len(inside.outputs), inside.n_variables) == (1, 1, 6)


def test_the_same_student_gives_the_same_bytes():
    assert tflite.model(LISTENER.student, parts.streams(), "inputs") == tflite.model(LISTENER.student, parts.streams(), "inputs")


def test_a_narrow_tolerance_writes_nothing(tmp_path: Path):
    with pytest.raises(BundleError, match=r"1 of 100 scores differs .* the limit is 0\.0001"):
        exported(tmp_path, tolerance=1e-4)

    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_student_is_seen_to_differ():
    data = tflite.model(parts.listener(seed=2).student, parts.streams(), "inputs")

    with pytest.raises(BundleError, match="differs"):
        tflite.check_scores(Path("x"), LISTENER.student, data, parts.streams(), 0.06)


def test_a_student_that_is_no_mixednet_is_refused_with_the_reason():
    student = registry.build("students", config.part("students", "ds_cnn"), 40, 150, 4)

    with pytest.raises(BundleError, match=r"DsCnn.* Take the student mixednet"):
        tflite.model(student, parts.streams(), "inputs")


def test_several_phrases_are_refused(tmp_path: Path):
    exporter = registry.build("exporters", config.part("exporters", "tflite"))

    with pytest.raises(BundleError, match="2 phrases"):
        exporter.export(parts.listener(n_phrases=2), tmp_path / "x", parts.streams())


def test_too_little_calibration_is_refused():
    with pytest.raises(BundleError, match="998 frames"):
        tflite.model(LISTENER.student, parts.streams()[:1], "inputs")


def test_calibration_that_is_no_number_is_refused():
    with pytest.raises(BundleError, match="NaN"):
        tflite.model(LISTENER.student, [np.full((4000, 40), np.nan)], "inputs")


def test_the_plain_layers_are_the_student():
    scores = plain.scores(plain.of(LISTENER.student), UNHEARD.astype(np.float64))

    assert scores == pytest.approx(tflite.float_scores(LISTENER.student, UNHEARD), abs=1e-4)


def test_evening_the_channels_changes_no_score():
    heard = tflite.checked(parts.streams())
    layers = plain.of(LISTENER.student)

    evened = plain.evened(layers, heard)

    assert plain.scores(evened, heard[0]) == pytest.approx(plain.scores(layers, heard[0]), abs=1e-9)


def test_evened_channels_come_to_one_height():
    heard = tflite.checked(parts.streams())
    first = plain.evened(plain.of(LISTENER.student), heard)[0]

    heights = np.max([first(x).max(axis=0) for x in heard], axis=0)

    assert heights[heights > 0] == pytest.approx(1.0)


@pytest.mark.parametrize("n_other", [1, 2, 3])
def test_planes_come_near_the_softmax(n_other: int):
    leads = np.random.default_rng(0).uniform(-7, 7, (5000, n_other))
    shares, heights = plain.planes(n_other)

    scores = 1 / (1 + np.exp((leads @ shares.T + heights).max(axis=1)))

    assert scores == pytest.approx(1 / (1 + np.exp(leads).sum(axis=1)), abs=0.02)


def test_the_plane_of_one_other_class_is_its_lead():
    shares, heights = plain.planes(1)

    assert (shares.tolist(), heights.tolist()) == ([[1.0]], [0.0])


def test_a_scale_tells_zero_exactly():
    scale = int8.scale_of([np.array([[-0.7, 2.0]])])

    assert (int(scale.quantised(np.zeros(1))[0]) - scale.zero) * scale.step == 0.0

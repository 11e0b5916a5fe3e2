"""ONNX of int8: scores near the student's on sound it was not quantised by, in a smaller file, of the same bytes each time."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import config, registry
from wakesmith.errors import BundleError
from wakesmith.exporters import onnx as plain
from wakesmith.exporters import onnx_int8
from wakesmith.exporters._listener import Listener

pytestmark = pytest.mark.slow  # a graph for each student takes seconds

torch.set_num_threads(1)
WARM = 25
"""Steps of a start from nothing: 2 s."""


@functools.cache
def sounds() -> list[np.ndarray]:
    """Four of 10 s, as float."""
    return [parts.sound(10.0, seed).astype(np.float32) / 32_768 for seed in range(4)]


@functools.cache
def listener(n_phrases: int = 1, size: float = 1.0) -> Listener:
    """A student of random weights whose norms know the sounds, and whose scores go up and down with them."""
    torch.manual_seed(1)
    front_end = registry.build("features", config.part("features", "log_mel"))
    student = registry.build("students", config.part("students", "ds_cnn", width=16), 40, 150, 4).train()
    rows = front_end(torch.from_numpy(np.stack([one[at : at + 24_000] for one in sounds() for at in range(0, 120_000, 24_000)])))
    for layer in student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        logits, _ = student(rows)
        student.head.weight.mul_(size / logits.std(dim=0)[:, None])
        student.head.bias.sub_(student(rows)[0].mean(dim=0))
    return Listener(front_end, student, n_phrases)


def exported(folder: Path, made: Listener, streams: list[np.ndarray], **options: object) -> bytes:
    exporter = registry.build("exporters", config.part("exporters", "onnx_int8", **options))
    exporter.export(made, folder / exporter.file_name, streams)
    return (folder / exporter.file_name).read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return exported(tmp_path_factory.mktemp("int8"), listener(), sounds())


@functools.cache
def whole() -> bytes:
    model = plain.graph(listener(), 18)
    plain.without_origin(model)
    return bytes(model.SerializeToString(deterministic=True))


def steps(samples: np.ndarray) -> np.ndarray:
    size = listener().step_samples
    return samples[: len(samples) // size * size].reshape(-1, 1, size)


def test_it_scores_sound_it_never_heard_as_the_student_does(data: bytes):
    unheard = steps(parts.sound(12.0, seed=9).astype(np.float32) / 32_768)
    wanted = onnx_int8.scores(whole(), unheard, WARM)

    apart = np.abs(onnx_int8.scores(data, unheard, WARM) - wanted)

    assert wanted.std() > 0.05
    assert np.quantile(apart, 0.99) < 0.1
    assert apart.mean() < 0.03


def test_the_file_is_less_than_two_thirds_of_the_float_one(data: bytes):
    assert len(data) < len(whole()) * 2 / 3


def test_every_convolution_of_the_student_is_int8_and_the_front_end_is_not(data: bytes):
    import onnx

    model = onnx.load_from_string(data)
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    made_of = {node.output[0]: node for node in model.graph.node}

    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        assert [made_of[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
        assert kinds[made_of[node.input[1]].input[0]] == onnx.TensorProto.INT8
    for node in model.graph.node:
        if node.op_type == "MatMul":
            assert made_of[node.input[0]].op_type != "DequantizeLinear"


def test_matrices_of_16_bits_change_the_scores_by_less_than_a_thousandth():
    import onnx

    model = onnx.load_from_string(whole())
    onnx_int8.store_in_16_bits(model)
    stored = model.SerializeToString()

    assert len(stored) < len(whole()) * 0.7
    heard = steps(sounds()[0])
    assert onnx_int8.scores(stored, heard, WARM) == pytest.approx(onnx_int8.scores(whole(), heard, WARM), abs=1e-3)


@pytest.mark.slow
def test_the_same_student_and_sound_give_the_same_bytes(data: bytes, tmp_path: Path):
    assert exported(tmp_path, listener(), sounds()) == data


def test_the_file_tells_nothing_of_the_machine(data: bytes):
    assert b"site-packages" not in data
    assert b"/tmp/" not in data


@pytest.mark.slow
def test_other_sound_gives_other_scales(data: bytes, tmp_path: Path):
    assert exported(tmp_path, listener(), [one * 0.3 for one in sounds()], tolerance=1.0) != data


@pytest.mark.slow
def test_the_option_opset_is_the_opset(tmp_path: Path):
    import onnx

    model = onnx.load_from_string(exported(tmp_path, listener(), sounds(), opset=19))

    assert next(one.version for one in model.opset_import if not one.domain) == 19


@pytest.mark.slow
def test_a_narrow_tolerance_writes_nothing(tmp_path: Path):
    with pytest.raises(BundleError, match=r"1 of 100 scores differs .* the limit is 1e-05"):
        exported(tmp_path, listener(), sounds(), tolerance=1e-5)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_several_phrases_are_told_apart(tmp_path: Path):
    data = exported(tmp_path, listener(n_phrases=2), sounds())

    assert onnx_int8.scores(data, steps(sounds()[0]), WARM).shape[1:] == (2, 2)


@pytest.mark.parametrize(("streams", "reason"), [
    ([], "0 s of sound, 30 s are the least"), ([np.zeros((500, 40))], r"no streams of samples, \('N',\) each"),
    ([np.full(500_000, np.nan)], "NaN"),
])  # fmt: skip
def test_calibration_that_does_not_serve_is_refused(streams: list[np.ndarray], reason: str, tmp_path: Path):
    with pytest.raises(BundleError, match=reason):
        exported(tmp_path, listener(), streams)


def behind_micro() -> Listener:
    """A mixednet behind the front-end that lies outside: it takes features."""
    return Listener(registry.build("features", config.part("features", "micro")), parts.listener().student)


def test_behind_a_front_end_outside_it_takes_features_and_scores_as_the_student_does(tmp_path: Path):
    pytest.importorskip("pymicro_features", reason="the extra `micro` is not installed")
    made = behind_micro()
    data = exported(tmp_path, made, parts.streams())
    float_model = plain.graph(made, 18).SerializeToString()
    unheard = parts.micro(parts.sound(12.0, seed=9))
    heard = unheard[: len(unheard) // made.step_frames * made.step_frames].reshape(-1, *made.input_shape)

    wanted = onnx_int8.scores(float_model, heard, WARM)

    assert wanted.std() > 0.05
    assert np.quantile(np.abs(onnx_int8.scores(data, heard, WARM) - wanted), 0.99) < 0.1
    assert len(data) < len(float_model)


def test_samples_are_no_features_of_a_front_end_outside(tmp_path: Path):
    pytest.importorskip("pymicro_features", reason="the extra `micro` is not installed")

    with pytest.raises(BundleError, match=r"no streams of features, \('N', 40\) each"):
        exported(tmp_path, behind_micro(), sounds())

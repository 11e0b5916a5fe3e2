"""ONNX of int8: scores near the student's on sound it was not checked by, in a smaller file, of the same bytes each time."""

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
def listener(n_phrases: int = 1, width: int = 64) -> Listener:
    """A student of random weights whose norms know the sounds, and whose scores go up and down with them."""
    torch.manual_seed(1)
    front_end = registry.build("features", config.part("features", "log_mel"))
    student = registry.build("students", config.part("students", "ds_cnn", width=width), 40, 150, 4).train()
    rows = front_end(torch.from_numpy(np.stack([one[at : at + 24_000] for one in sounds() for at in range(0, 120_000, 24_000)])))
    for layer in student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        logits, _ = student(rows)
        student.head.weight.mul_(1.0 / logits.std(dim=0)[:, None])
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
def whole(made: Listener | None = None) -> bytes:
    model = plain.graph(made or listener(), 18)
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


def test_the_file_is_less_than_half_of_the_float_one(data: bytes):
    assert len(data) < len(whole()) / 2


def test_large_weights_of_the_student_are_int8_and_the_front_end_has_16_bits(data: bytes):
    import onnx

    kinds = {one.name: one.data_type for one in onnx.load_from_string(data).graph.initializer}

    for tensor in onnx.load_from_string(whole()).graph.initializer:
        if np.prod(tensor.dims) < onnx_int8.LEAST_STORED:
            assert kinds[tensor.name] == tensor.data_type
        elif tensor.name.startswith("front_end."):
            assert kinds[f"{tensor.name}.whole"] == onnx.TensorProto.INT16
        else:
            assert kinds[f"{tensor.name}.whole"] == onnx.TensorProto.INT8


def test_matrices_of_16_bits_change_the_scores_by_less_than_a_thousandth():
    import onnx

    model = onnx.load_from_string(whole())
    for tensor in [*model.graph.initializer]:
        if tensor.name in ("front_end.cosines", "front_end.sines", "front_end.filters"):
            onnx_int8.store(model.graph, tensor, np.int16, (0,))
    stored = model.SerializeToString()

    assert len(stored) < len(whole()) * 0.7
    heard = steps(sounds()[0])
    assert onnx_int8.scores(stored, heard, WARM) == pytest.approx(onnx_int8.scores(whole(), heard, WARM), abs=1e-3)


def test_a_weight_is_off_by_half_a_step_of_its_output_channel_at_most(data: bytes):
    import onnx

    held = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load_from_string(data).graph.initializer}
    weights = [one for one in onnx.load_from_string(whole()).graph.initializer if one.name.startswith("student.")]
    weights = [one for one in weights if f"{one.name}.whole" in held]

    assert len(weights) > 4
    for tensor in weights:
        step = held[f"{tensor.name}.step"]
        assert step.shape == (tensor.dims[0], *[1] * (len(tensor.dims) - 1))
        assert (np.abs(held[f"{tensor.name}.whole"] * step - onnx.numpy_helper.to_array(tensor)) <= step * 0.501).all()


@pytest.mark.slow
def test_the_same_student_and_sound_give_the_same_bytes(data: bytes, tmp_path: Path):
    assert exported(tmp_path, listener(), sounds()) == data


def test_the_file_tells_nothing_of_the_machine(data: bytes):
    assert b"site-packages" not in data
    assert b"/tmp/" not in data


@pytest.mark.slow
def test_the_sound_checks_the_file_and_changes_nothing_in_it(data: bytes, tmp_path: Path):
    assert exported(tmp_path, listener(), [one * 0.3 for one in sounds()], tolerance=1.0) == data


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


def test_a_student_of_small_layers_alone_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match=r"no layer of the student has 500 weights or more, .* Take the exporter onnx"):
        exported(tmp_path, listener(width=4), sounds())


def trained(name: str, **options: object) -> Listener:
    """A student that has learned which of the sounds a view is of."""
    torch.manual_seed(1)
    front_end = registry.build("features", config.part("features", "log_mel"))
    student = registry.build("students", config.part("students", name, **options), 40, 150, 4).train()
    starts = range(0, 136_000, 8_000)
    rows = front_end(torch.from_numpy(np.stack([one[at : at + 24_000] for one in sounds() for at in starts])))
    wanted = torch.arange(4).repeat_interleave(len(starts))
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3)
    for _ in range(100):
        some = torch.randperm(len(rows))[:16]
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(student(rows[some])[0], wanted[some]).backward()
        optimiser.step()
    return Listener(front_end, student, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "share"), [("bc_resnet", {}, 0.65), ("mobilenet_v3", {"width": 0.25}, 0.5)])
def test_a_trained_student_of_many_small_layers_is_written_well_within_the_tolerance(
    name: str, options: dict[str, float], share: float, tmp_path: Path
):
    made = trained(name, **options)
    wanted = np.concatenate([onnx_int8.scores(whole(made), steps(one), WARM) for one in sounds()])
    assert wanted.std() > 0.05

    data = exported(tmp_path, made, sounds(), tolerance=0.06)

    apart = np.abs(np.concatenate([onnx_int8.scores(data, steps(one), WARM) for one in sounds()]) - wanted)
    print(f"\n| {name} | {np.quantile(apart, 0.99):.2g} | {wanted.std():.2g} | {len(whole(made)):,} | {len(data):,} |")
    assert len(data) < len(whole(made)) * share

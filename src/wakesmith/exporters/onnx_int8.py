"""ONNX of int8: the listener with the student's convolutions in whole numbers, quantised by what train audio brings about.

Weights are int8 with a scale for each channel, activations uint8 between QuantizeLinear and DequantizeLinear nodes. State, head
and front-end stay float: the head's steps would be steps of the score, and the power of a band spans more than 8 bits. The
front-end's matrices are stored in 16 bits, which ONNX Runtime unpacks as it loads. Behind a front-end that lies
outside, the model takes features in place of samples.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.config import PartSettings
from wakesmith.errors import BundleError
from wakesmith.exporters import onnx as plain
from wakesmith.exporters._listener import Listener, Streams

LEAST_S = 30
CHECKED_SHARE = 4
"""One part of so many is left out of the quantisation: the file's scores are checked on it."""
WARM_S = 2
"""Scores of a start from nothing, which no detector gives, are not compared."""
LEAST_STORED = 1024
"""Numbers that a matrix of the front-end has at least to be worth 16 bits."""

Floats = npt.NDArray[np.float32]


class Config(PartSettings):
    name: str = "onnx_int8"
    opset: Annotated[int, Field(ge=18, le=20)] = 18
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """99 of 100 scores lie this near to the float student's, over sound that it was not quantised by."""


class OnnxInt8Exporter:
    file_name = "model.onnx"
    calibrates_on = "inputs"

    def __init__(self, config: Config) -> None:
        self.config = config

    def export(self, listener: Listener, path: Path, streams: Streams) -> None:
        """Write `path` once it is checked. streams: train audio, (N,) samples each, or (T, F) features of a front-end outside,
        30 s or more; the last quarter is for the check.

        Raises BundleError for a student without convolutions, for too little sound, and when the file would score otherwise or
        would not be smaller.
        """
        heard, unheard = parts(listener, streams)
        model = plain.graph(listener, self.config.opset)
        plain.without_origin(model)
        whole = model.SerializeToString(deterministic=True)
        data = quantised(whole, heard)
        if len(data) >= len(whole):
            raise BundleError(f"{path}: {len(data)} bytes of int8, {len(whole)} of float. Take the exporter onnx.")
        n_warm = round(WARM_S * SAMPLE_RATE_HZ / listener.step_samples)
        apart = float(np.quantile(np.abs(scores(data, unheard, n_warm) - scores(whole, unheard, n_warm)), 0.99))
        if not apart <= self.config.tolerance:
            raise BundleError(
                f"{path}: 1 of 100 scores differs from the student's by more than {apart:.3f}, the limit is "
                f"{self.config.tolerance:g}. Give it more calibration audio, allow more by the exporter's `tolerance`, or take "
                "the exporter onnx."
            )
        aside = path.with_name(path.name + ".part")
        aside.write_bytes(data)
        aside.replace(path)


def parts(listener: Listener, streams: Streams) -> tuple[Floats, Floats]:
    """Inputs to quantise by and inputs to check by, (steps, 1, step_samples) or (steps, 1, T, F) each. Raises BundleError."""
    _, a_step, *bins = listener.input_shape
    if any(list(one.shape[1:]) != bins for one in streams):
        shapes = [one.shape for one in streams][:3]
        raise BundleError(f"calibration: {shapes} are no streams of {listener.input_name}, {('N', *bins)} each.")
    joined = np.concatenate([*(np.asarray(one, np.float32) for one in streams), np.zeros((0, *bins), np.float32)])
    n_steps = len(joined) // a_step
    length_s = n_steps * listener.step_samples / SAMPLE_RATE_HZ
    if length_s < LEAST_S - listener.step_samples / SAMPLE_RATE_HZ:
        raise BundleError(f"calibration: {length_s:.0f} s of sound, {LEAST_S} s are the least. Give it more recordings of train.")
    if not np.isfinite(joined).all():
        raise BundleError("calibration: the sound holds NaN or infinity. Leave these samples out.")
    steps = joined[: n_steps * a_step].reshape(n_steps, *listener.input_shape)
    n_heard = n_steps - n_steps // CHECKED_SHARE
    return steps[:n_heard], steps[n_heard:]


def quantised(whole: bytes, heard: Floats) -> bytes:
    """A float model and inputs as `parts` gives them -> the model with its student's convolutions in int8."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load_from_string(whole)  # afresh: the tool changes what it is given
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1].startswith("student.")]
    if not convolutions:
        raise BundleError("onnx_int8: the student has no convolutions, which are what becomes int8. Take the exporter onnx.")
    logging.getLogger().disabled = True  # the tool advises every caller, on the root logger, to shape the model beforehand
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "model.onnx"
            quantize_static(
                model, place, _Sounds(whole, heard), quant_format=QuantFormat.QDQ, per_channel=True,
                # Weights of 7 bits: the sums of 8 overflow in the instructions of processors without VNNI, and scores would
                # depend on the machine.
                reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv"], nodes_to_quantize=convolutions,
            )  # fmt: skip
            made = onnx.load(place)
    finally:
        logging.getLogger().disabled = False
    store_in_16_bits(made)
    plain.without_origin(made)
    onnx.checker.check_model(made, full_check=True)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def store_in_16_bits(model: Any) -> None:
    """The front-end's matrices as int16 with a step for each column; the loader folds cast and product away."""
    import onnx
    from onnx import helper, numpy_helper

    graph = model.graph
    for tensor in [one for one in graph.initializer if one.name.startswith("front_end.") and np.prod(one.dims) >= LEAST_STORED]:
        matrix = numpy_helper.to_array(tensor)
        steps = np.abs(matrix).max(axis=0, keepdims=True) / 32_767
        steps = np.where(steps > 0, steps, 1.0).astype(np.float32)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.rint(matrix / steps).astype(np.int16), f"{name}.int16"))
        graph.initializer.append(numpy_helper.from_array(steps, f"{name}.steps"))
        graph.node.insert(0, helper.make_node("Mul", [f"{name}.float", f"{name}.steps"], [name], f"{name}.unpack"))
        cast = helper.make_node("Cast", [f"{name}.int16"], [f"{name}.float"], f"{name}.cast", to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, cast)


class _Sounds:
    """The inputs of each step, as onnxruntime.quantization asks for them: the state is what the step before left."""

    def __init__(self, whole: bytes, heard: Floats) -> None:
        self._inputs = _inputs(whole, heard)

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._inputs, None)


def _inputs(data: bytes, heard: Floats) -> Iterator[dict[str, Floats]]:
    session = _session(data)
    source, remembered = session.get_inputs()
    state = np.zeros(remembered.shape, np.float32)
    for one in heard:
        given = {source.name: one, "state": state}
        yield given
        (state,) = session.run(["new_state"], given)


def scores(data: bytes, heard: Floats, n_warm: int) -> Floats:
    """What a model says of inputs (steps, 1, step_samples) or (steps, 1, T, F), after the first steps -> (steps', n...)"""
    session = _session(data)
    source, remembered = session.get_inputs()
    state = np.zeros(remembered.shape, np.float32)
    said = []
    for one in heard:
        found, state = session.run(["scores", "new_state"], {source.name: one, "state": state})
        said.append(found[0])
    return np.stack(said[n_warm:])


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def build(config: Config) -> OnnxInt8Exporter:
    return OnnxInt8Exporter(config)

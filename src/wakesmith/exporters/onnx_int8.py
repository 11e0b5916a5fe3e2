"""ONNX of int8: the listener with the student's weights in int8, a quarter of their bytes; it computes in float, as `onnx` does.

A weight is a whole number times the step of its output channel, which ONNX Runtime multiplies once, as it loads: the file is
smaller, a step costs what it cost. Activations stay float, for in 8 bits they stray most and cost more than they save. Small
layers stay float, and the front-end's matrices take 16 bits: the power of a band spans more than 8.
"""

from __future__ import annotations

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
WARM_S = 2
"""Scores of a start from nothing, which no detector gives, are not compared."""
FRONT_END = "front_end."
LEAST_STORED = 500
"""Numbers that a matrix has at least to be stored as whole ones: a smaller one loses more accuracy and saves few bytes."""

Floats = npt.NDArray[np.float32]


class Config(PartSettings):
    name: str = "onnx_int8"
    opset: Annotated[int, Field(ge=18, le=20)] = 18
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """99 of 100 scores lie this near to the float student's, over sound of train."""


class OnnxInt8Exporter:
    file_name = "model.onnx"
    calibrates_on = "inputs"

    def __init__(self, config: Config) -> None:
        self.config = config

    def export(self, listener: Listener, path: Path, streams: Streams) -> None:
        """Write `path` once it is checked. streams: train audio, (N,) samples each, or (T, F) features of a front-end outside,
        30 s or more.

        Raises BundleError for a student of small layers alone, for too little sound, and when the file would score otherwise or
        would not be smaller.
        """
        heard = steps(listener, streams)
        model = plain.graph(listener, self.config.opset)
        plain.without_origin(model)
        whole = model.SerializeToString(deterministic=True)
        data = quantised(whole)
        if len(data) >= len(whole):
            raise BundleError(f"{path}: {len(data)} bytes of int8, {len(whole)} of float. Take the exporter onnx.")
        n_warm = round(WARM_S * SAMPLE_RATE_HZ / listener.step_samples)
        apart = float(np.quantile(np.abs(scores(data, heard, n_warm) - scores(whole, heard, n_warm)), 0.99))
        if not apart <= self.config.tolerance:
            raise BundleError(
                f"{path}: 1 of 100 scores differs from the student's by more than {apart:.3f}, the limit is "
                f"{self.config.tolerance:g}. Allow more by the exporter's `tolerance`, or take the exporter onnx."
            )
        aside = path.with_name(path.name + ".part")
        aside.write_bytes(data)
        aside.replace(path)


def steps(listener: Listener, streams: Streams) -> Floats:
    """What the listener hears, step by step: (steps, 1, step_samples) or (steps, 1, T, F). Raises BundleError."""
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
    return joined[: n_steps * a_step].reshape(n_steps, *listener.input_shape)


def quantised(whole: bytes) -> bytes:
    """A float model -> the model with its student's weights in int8 and its front-end's matrices in 16 bits."""
    import onnx

    model = onnx.load_from_string(whole)
    graph = model.graph
    large = [one for one in graph.initializer if np.prod(one.dims) >= LEAST_STORED]
    of_layers = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm")}
    weights = [one for one in large if one.name in of_layers and not one.name.startswith(FRONT_END)]
    if not weights:
        raise BundleError(
            f"onnx_int8: no layer of the student has {LEAST_STORED} weights or more, which are what becomes int8. "
            "Take the exporter onnx."
        )
    for tensor in weights:
        store(graph, tensor, np.int8, tuple(range(1, len(tensor.dims))))
    for tensor in large:
        if tensor.name.startswith(FRONT_END):
            store(graph, tensor, np.int16, (0,))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def store(graph: Any, tensor: Any, kind: type[np.signedinteger[Any]], over: tuple[int, ...]) -> None:
    """A matrix of a graph as whole numbers, with one step for all that lie along the axes `over`.

    The loader folds cast and product away. DequantizeLinear it would keep, and compute at every step.
    """
    from onnx import TensorProto, helper, numpy_helper

    matrix, name, most = numpy_helper.to_array(tensor), tensor.name, np.iinfo(kind).max
    step = np.abs(matrix).max(axis=over, keepdims=True) / most
    step = np.where(step > 0, step, 1.0).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(np.rint(matrix / step).astype(kind), f"{name}.whole"))
    graph.initializer.append(numpy_helper.from_array(step, f"{name}.step"))
    graph.node.insert(0, helper.make_node("Mul", [f"{name}.float", f"{name}.step"], [name]))
    graph.node.insert(0, helper.make_node("Cast", [f"{name}.whole"], [f"{name}.float"], to=TensorProto.FLOAT))


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

"""ONNX: the whole listener as one file that gives the same scores as the student; the same weights give the same bytes."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from wakesmith.config import PartSettings
from wakesmith.errors import BundleError
from wakesmith.exporters._listener import Listener, Streams

CHECK_STEPS = 30
"""2.4 s: longer than any receptive field, so that every path through the state has been walked."""


class Config(PartSettings):
    name: str = "onnx"
    opset: Annotated[int, Field(ge=18, le=20)] = 18
    """Version of ONNX's operators."""
    tolerance: Annotated[float, Field(gt=0.0)] = 1e-4
    """Largest difference to the student's scores."""


class OnnxExporter:
    file_name = "model.onnx"
    calibrates_on = None

    def __init__(self, config: Config) -> None:
        self.config = config

    def export(self, listener: Listener, path: Path, streams: Streams = ()) -> None:
        """Write `path` once it is checked. Raises BundleError when the file would not say what the student says."""
        import onnx

        model = graph(listener, self.config.opset)
        without_origin(model)
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString(deterministic=True)
        apart = largest_difference(listener, data)
        if not apart <= self.config.tolerance:
            raise BundleError(f"{path}: exported scores differ from the student's by {apart:.2g}. Report it with its settings.")
        aside = path.with_name(path.name + ".part")
        aside.write_bytes(data)
        aside.replace(path)


def graph(listener: Listener, opset: int) -> Any:
    """The listener as an ONNX model of fixed shapes."""
    example = (torch.zeros(listener.input_shape), torch.zeros(1, listener.state_size))
    names: dict[str, Any] = {"input_names": [listener.input_name, "state"], "output_names": ["scores", "new_state"]}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which we do without
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's own insides
        # The older exporter folds the batch norms into the weights of the student itself, which then scores wrongly.
        program = torch.onnx.export(listener, example, opset_version=opset, dynamo=True, verbose=False, **names)
    assert program is not None
    return program.model_proto


def without_origin(model: Any) -> None:
    """Take out notes of source lines and folders, which would make equal weights differ in bytes."""
    model.producer_version = model.doc_string = ""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


def largest_difference(listener: Listener, data: bytes) -> float:
    """Student and file hear the same noise, which starts, stops and grows: the largest difference of their scores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    rng = np.random.Generator(np.random.Philox(key=0))
    state = np.zeros((1, listener.state_size), np.float32)
    ours, apart = torch.zeros(1, listener.state_size), 0.0
    for i in range(CHECK_STEPS):
        loud = 10.0 ** (i % 6 - (4 if listener.is_outside else 5))
        heard = (rng.standard_normal(listener.input_shape) * loud).astype(np.float32)
        scores, state = session.run(["scores", "new_state"], {listener.input_name: heard, "state": state})
        with torch.no_grad():
            wanted, ours = listener(torch.from_numpy(heard), ours)
        apart = float(np.maximum(apart, np.abs(scores - wanted.numpy()).max()))  # NaN stays NaN
    return apart


def build(config: Config) -> OnnxExporter:
    return OnnxExporter(config)

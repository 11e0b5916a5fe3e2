"""openWakeWord: the head alone, embeddings float32 (1, 16, 96) -> score (1, 1), as ONNX and as TFLite of built-in ops.

Programs compute the embeddings themselves. The softmax over the classes lies inside of the file, so a threshold carries over.
Written node by node from the folded weights: small, the same bytes each time. The embeddings must be those of pyopen-wakeword,
which our front-end computes too; openwakeword 0.4.0 carries an older conversion of the network and has to be given this one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith.config import PartSettings
from wakesmith.errors import BundleError, ConfigError
from wakesmith.exporters._listener import Listener, Streams

N_FRAMES, N_VALUES = 16, 96
CHECKS = 64
ONNX_OPSET, ONNX_IR = 13, 8
"""What the oldest openwakeword on PyPI loads with an onnxruntime of its time."""

Floats = npt.NDArray[np.float32]


class Config(PartSettings):
    name: str = "openwakeword"
    tolerance: Annotated[float, Field(gt=0.0)] = 1e-4
    """Largest difference to the student's scores."""


class OpenWakeWordExporter:
    file_name = "model.onnx"
    calibrates_on = None
    is_outside = True
    """The front-end stays out of the file."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def export(self, listener: Listener, path: Path, streams: Streams = ()) -> None:
        """Write `path` (.onnx) and, beside it, the same head as .tflite, once both are checked. Raises BundleError.

        listener: its `student` and `n_phrases` are what counts.
        """
        layers = of(listener.student, listener.n_phrases)
        made: dict[str, tuple[bytes, Callable[[bytes, Floats], Floats]]] = {
            ".onnx": (onnx_bytes(layers), onnx_scores), ".tflite": (tflite_bytes(layers), tflite_scores),
        }  # fmt: skip
        for ending, (data, run) in made.items():
            apart = largest_difference(listener.student, data, run)
            if not apart <= self.config.tolerance:
                raise BundleError(f"{path.with_suffix(ending)}: scores differ from the student's by {apart:.2g}. Report it.")
        for ending, (data, _) in made.items():
            aside = path.with_name(path.stem + ending + ".part")
            aside.write_bytes(data)
            aside.replace(path.with_suffix(ending))


def of(student: Any, n_phrases: int) -> list[tuple[Floats, Floats]]:
    """The student as dense layers, (D', D) weights and (D',) bias each, ReLU between; the first hears all 16 embeddings in a row.

    Raises BundleError for any other student, and for several phrases.
    """
    from wakesmith.exporters._tflite_layers import _folded, _numbers
    from wakesmith.students.speech_embedding_head import SpeechEmbeddingHead

    _check(type(student).__name__, isinstance(student, SpeechEmbeddingHead), n_phrases)
    hidden: Any = student.chain.layers
    first, again = hidden
    weight, bias = _folded(first.conv, first.norm)  # (D', k, 96)
    whole = np.zeros((len(weight), N_FRAMES, N_VALUES))
    whole[:, -weight.shape[1] :] = weight
    second, second_bias = _folded(again.conv, again.norm)
    layers = [(whole.reshape(len(whole), -1), bias), (second[:, 0], second_bias)]
    layers.append((_numbers(student.head.weight), _numbers(student.head.bias)))
    return [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers]


def check_budget(features: PartSettings, student: PartSettings, n_phrases: int, n_frames: int, exporter: Config) -> None:
    """Whether a student can become a head, before anything is trained. Raises BundleError."""
    _check(student.name, student.name == "speech_embedding_head", n_phrases)


def _check(name: str, is_head: bool, n_phrases: int) -> None:
    if not is_head:
        raise BundleError(
            f"openwakeword: {name} hears no speech embeddings, which is all that openWakeWord gives. "
            "Forge another run: --set features=speech_embedding --set student=speech_embedding_head"
        )
    if n_phrases > 1:
        raise BundleError(
            f"openwakeword: a head gives one score, this student hears {n_phrases} phrases. Forge each phrase by itself."
        )


def onnx_bytes(layers: list[tuple[Floats, Floats]]) -> bytes:
    """Flatten, dense layers, softmax, and of it the first."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, numbers, x = [helper.make_node("Flatten", ["embeddings"], ["flat"])], [], "flat"
    for i, (weight, bias) in enumerate(layers):
        numbers += [numpy_helper.from_array(weight, f"weight{i}"), numpy_helper.from_array(bias, f"bias{i}")]
        nodes.append(helper.make_node("Gemm", [x, f"weight{i}", f"bias{i}"], [f"dense{i}"], transB=1))
        x = f"dense{i}"
        if i + 1 < len(layers):
            nodes.append(helper.make_node("Relu", [x], [f"relu{i}"]))
            x = f"relu{i}"
    numbers += [numpy_helper.from_array(np.array([value]), name) for name, value in (("from", 0), ("to", 1))]
    nodes.append(helper.make_node("Softmax", [x], ["chances"], axis=1))
    nodes.append(helper.make_node("Slice", ["chances", "from", "to", "to"], ["score"]))
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (
        ("embeddings", [1, N_FRAMES, N_VALUES]), ("score", [1, 1]),
    )]  # fmt: skip
    graph = helper.make_graph(nodes, "wakesmith", ports[:1], ports[1:], numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", ONNX_OPSET)], ir_version=ONNX_IR)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def tflite_bytes(layers: list[tuple[Floats, Floats]]) -> bytes:
    """The same in TFLite: RESHAPE, FULLY_CONNECTED, SOFTMAX, STRIDED_SLICE; all shapes are fixed."""
    _installed()
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    writer = _Writer(schema)
    x = source = writer.tensor("embeddings", (1, N_FRAMES, N_VALUES))
    x = writer.op("RESHAPE", [x, writer.constant("shape", np.array([1, N_FRAMES * N_VALUES], np.int32))],
                  (1, N_FRAMES * N_VALUES), schema.ReshapeOptionsT())  # fmt: skip
    for i, (weight, bias) in enumerate(layers):
        options = schema.FullyConnectedOptionsT()
        if i + 1 < len(layers):
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        inputs = [x, writer.constant(f"weight{i}", weight), writer.constant(f"bias{i}", bias)]
        x = writer.op("FULLY_CONNECTED", inputs, (1, len(weight)), options)
    x = writer.op("SOFTMAX", [x], (1, len(layers[-1][0])), schema.SoftmaxOptionsT(beta=1.0))
    ends = [writer.constant(name, np.array(row, np.int32)) for name, row in (("from", [0, 0]), ("to", [1, 1]), ("by", [1, 1]))]
    score = writer.op("STRIDED_SLICE", [x, *ends], (1, 1), schema.StridedSliceOptionsT())
    graph = writer.graph
    graph.inputs, graph.outputs = [source], [score]
    codes = [_code(schema, name) for name in writer.codes]
    signature = schema.SignatureDefT(
        inputs=[schema.TensorMapT("embeddings", source)], outputs=[schema.TensorMapT("score", score)],
        signatureKey="serving_default", subgraphIndex=0,
    )  # fmt: skip
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(
        schema.ModelT(3, codes, [graph], "wakesmith", writer.buffers, signatureDefs=[signature]).Pack(builder), b"TFL3"
    )
    return bytes(builder.Output())


class _Writer:
    """Tensors and ops of one graph."""

    def __init__(self, schema: Any) -> None:
        from wakesmith.exporters._tflite_file import _AlignedBuffer

        self.schema, self.buffer_of = schema, _AlignedBuffer
        self.buffers: list[Any] = [schema.BufferT()]
        self.graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        self.codes: dict[str, int] = {}

    def tensor(self, name: str, shape: tuple[int, ...], data: npt.NDArray[Any] | None = None) -> int:
        kind = self.schema.TensorType.FLOAT32 if data is None or data.dtype == np.float32 else self.schema.TensorType.INT32
        made = self.schema.TensorT(name=name, shape=list(shape), hasRank=True, type=kind)
        if data is not None:
            made.buffer = len(self.buffers)
            self.buffers.append(self.buffer_of(data=data.tobytes()))
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, data: npt.NDArray[Any]) -> int:
        return self.tensor(name, data.shape, data)

    def op(self, name: str, inputs: list[int], shape: tuple[int, ...], options: Any) -> int:
        out = self.tensor(f"{name.lower()}{len(self.graph.operators)}", shape)
        made = self.schema.OperatorT(opcodeIndex=self.codes.setdefault(name, len(self.codes)), inputs=inputs, outputs=[out])
        made.builtinOptions = options
        made.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(made)
        return out


def _code(schema: Any, name: str) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    return schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), version=1, builtinCode=code)


def largest_difference(student: Any, data: bytes, run: Callable[[bytes, Floats], Floats]) -> float:
    """File and student hear the same embeddings, low and as high as those of speech: the largest difference of scores."""
    import torch

    rng = np.random.Generator(np.random.Philox(key=0))
    loud = 10.0 ** rng.uniform(-1, 1.5, (CHECKS, 1, 1))
    heard = (rng.standard_normal((CHECKS, N_FRAMES, N_VALUES)) * loud).astype(np.float32)
    with torch.no_grad():
        wanted = student.eval()(torch.from_numpy(heard))[0].softmax(dim=-1)[:, 0].numpy()
    return float(np.abs(run(data, heard) - wanted).max())


def onnx_scores(data: bytes, embeddings: Floats) -> Floats:
    """(n, 16, 96) -> (n,)"""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.array([session.run(None, {name: one[None]})[0][0, 0] for one in embeddings], np.float32)


def tflite_scores(data: bytes, embeddings: Floats) -> Floats:
    """(n, 16, 96) -> (n,)"""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    source, score = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for one in embeddings:
        interpreter.set_tensor(source, one[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(score)[0, 0])
    return np.array(found, np.float32)


def _installed() -> None:
    try:
        import ai_edge_litert  # noqa: F401
        import tflite_micro  # noqa: F401
    except ImportError as error:
        raise ConfigError("openwakeword: its TFLite file needs the extra. Run: pip install 'wakesmith[tflite]'.") from error


def build(config: Config) -> OpenWakeWordExporter:
    return OpenWakeWordExporter(config)

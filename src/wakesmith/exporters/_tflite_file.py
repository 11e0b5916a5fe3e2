"""Int8 layers -> the bytes of a streaming TFLite model, written through the schema; equal layers give equal bytes.

Input int8 (1, stride, F), output uint8 (1, 1) in steps of 1/256. What layers remember lies in resource variables, set once to
silence, as microcontrollers want it; or goes in as `state_0`... and comes out as `new_state_0`..., for programs that keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import flatbuffers
import numpy as np
import numpy.typing as npt
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from wakesmith.exporters import _tflite_int8 as int8
from wakesmith.exporters._tflite_int8 import LEADS, Int8Layer, Scale

State = Literal["variables", "inputs"]
SCORE_STEP = 1 / 256
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "CONCATENATION": 2, "STRIDED_SLICE": 2, "FULLY_CONNECTED": 4, "LOGISTIC": 2,
            "MAX_POOL_2D": 2}  # fmt: skip
"""Of the ops that knew no int8 in their first."""
TYPES = {np.dtype(np.int8): schema.TensorType.INT8, np.dtype(np.uint8): schema.TensorType.UINT8,
         np.dtype(np.int32): schema.TensorType.INT32}  # fmt: skip


def write(layers: Sequence[Int8Layer], state: State) -> bytes:
    """The model; the last layer gives the leads of the other classes."""
    return _Writer(state).model(layers)


class _AlignedBuffer(schema.BufferT):
    """Constants begin at multiples of 16 bytes, where vector instructions want them."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self.data is None:
            return int(super().Pack(builder))
        builder.StartVector(1, len(self.data), 16)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


class _Quantization(schema.QuantizationParametersT):
    """Equal zero points, mostly rows of zeros, are written once: a fifth of the file."""

    def __init__(self, steps: npt.NDArray[np.float64], zero: int, axis: int, written: dict[bytes, int]) -> None:
        super().__init__(scale=steps.astype(np.float32), zeroPoint=np.full(len(steps), zero, np.int64), quantizedDimension=axis)
        self.written = written

    def Pack(self, builder: flatbuffers.Builder) -> int:
        vectors = []
        for numbers in (self.scale, self.zeroPoint):
            key = numbers.tobytes()
            if key not in self.written:
                self.written[key] = builder.CreateNumpyVector(numbers)
            vectors.append(self.written[key])
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, vectors[0])
        schema.QuantizationParametersAddZeroPoint(builder, vectors[1])
        schema.QuantizationParametersAddQuantizedDimension(builder, self.quantizedDimension)
        return int(schema.QuantizationParametersEnd(builder))


class _Writer:
    def __init__(self, state: State) -> None:
        self.state = state
        self.buffers: list[schema.BufferT] = [schema.BufferT()]
        self.numbers: dict[bytes, int] = {}
        """Constants that are there already."""
        self.written: dict[bytes, int] = {}
        self.codes: dict[str, int] = {}
        self.main, self.start = _subgraph("main"), _subgraph("start")
        self.states: dict[str, int] = {}
        self.new_states: dict[str, int] = {}

    def model(self, layers: Sequence[Int8Layer]) -> bytes:
        n_new, n_bins = layers[0].stride, layers[0].weight.shape[2]
        features = self.tensor("features", (1, n_new, n_bins), scale=layers[0].source)
        if self.state == "variables":
            self.op("CALL_ONCE", [], [], schema.CallOnceOptionsT(initSubgraphIndex=1))
        x = self.reshaped(features, (1, n_new, 1, n_bins), layers[0].source)
        for layer in layers:
            x = self.conv(layer, x)
        score = self.score(x, layers[-1])
        self.main.inputs, self.main.outputs = [features, *self.states.values()], [score, *self.new_states.values()]
        return self.packed(features, score)

    def conv(self, layer: Int8Layer, x: int) -> int:
        """A layer, with the frames that it remembers in front of the new ones."""
        if layer.context:
            x = self.remembered(layer, x)
        n_out = len(layer.weight)
        weight = layer.weight.T[None, :, None] if layer.is_depthwise else layer.weight[:, :, None]
        inputs = [
            x,
            self.tensor(f"{layer.name}.weight", weight.shape, weight, steps=layer.steps, axis=3 if layer.is_depthwise else 0),
            self.tensor(f"{layer.name}.bias", (n_out,), layer.bias, steps=layer.steps * layer.source.step),
        ]
        out = self.tensor(layer.name, (1, 1, 1, n_out), scale=layer.result)
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=1) if layer.is_depthwise else schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH, options.strideW = layer.stride, 1
        if layer.relu:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        self.op("DEPTHWISE_CONV_2D" if layer.is_depthwise else "CONV_2D", inputs, [out], options)
        return out

    def remembered(self, layer: Int8Layer, x: int) -> int:
        """x (1, t, 1, D) -> (1, context + t, 1, D), whose last `context` frames are kept for the next step."""
        n_bins = len(layer.weight) if layer.is_depthwise else layer.weight.shape[2]
        shape = (1, layer.context, 1, n_bins)
        joined = self.tensor(f"{layer.name}.joined", (1, layer.context + layer.stride, 1, n_bins), scale=layer.source)
        kept = self.tensor(f"{layer.name}.kept", shape, scale=layer.source)
        before = self.tensor(f"{layer.name}.before", shape, scale=layer.source)
        handle = self.variable(layer, shape) if self.state == "variables" else None
        if handle is not None:
            self.op("READ_VARIABLE", [handle], [before], schema.ReadVariableOptionsT())
        self.op("CONCATENATION", [before, x], [joined], schema.ConcatenationOptionsT(axis=1))
        ends = [self.tensor(f"slice{row}", (4,), np.array(row, np.int32)) for row in ([0, layer.stride, 0, 0], [0] * 4, [1] * 4)]
        self.op("STRIDED_SLICE", [joined, *ends], [kept], schema.StridedSliceOptionsT(beginMask=0b1101, endMask=0b1111))
        if handle is not None:
            self.op("ASSIGN_VARIABLE", [handle, kept], [], schema.AssignVariableOptionsT())
        else:
            number = len(self.states)
            self.states[f"state_{number}"], self.new_states[f"new_state_{number}"] = before, kept
        return joined

    def variable(self, layer: Int8Layer, shape: tuple[int, ...]) -> int:
        """A handle in the main graph of a variable that the first run sets to silence."""
        silence = np.full(shape, layer.source.zero, np.int8)
        handles = []
        for graph in (self.start, self.main):
            handles.append(self.tensor(f"{layer.name}.variable", (), graph=graph))
            self.op("VAR_HANDLE", [], [handles[-1]], schema.VarHandleOptionsT(container="", sharedName=layer.name), graph)
        first = self.tensor(f"{layer.name}.silence", shape, silence, scale=layer.source, graph=self.start)
        self.op("ASSIGN_VARIABLE", [handles[0], first], [], schema.AssignVariableOptionsT(), self.start)
        return handles[1]

    def score(self, leads: int, last: Int8Layer) -> int:
        """Leads of the other classes (1, 1, 1, C - 1) -> score (1, 1): 1 / (1 + e^m), m the largest plane over the leads."""
        over = int8.planes(len(last.weight))
        n_planes = len(over.weight)
        side = self.reshaped(self.conv(over, leads), (1, n_planes, 1, 1), LEADS)
        largest = self.tensor("largest", (1, 1, 1, 1), scale=LEADS)
        pool = schema.Pool2DOptionsT(padding=schema.Padding.VALID, filterHeight=n_planes, filterWidth=1, strideH=1, strideW=1)
        self.op("MAX_POOL_2D", [side], [largest], pool)
        turned = self.tensor("turned", (1, 1), scale=LEADS)
        sign = self.tensor("sign", (1, 1), np.full((1, 1), -127, np.int8), scale=Scale(1 / 127, 0))
        none = self.tensor("none", (1,), np.zeros(1, np.int32), scale=Scale(LEADS.step / 127, 0))
        self.op("FULLY_CONNECTED", [largest, sign, none], [turned], schema.FullyConnectedOptionsT())
        chance = self.tensor("chance", (1, 1), scale=Scale(SCORE_STEP, -128))
        self.op("LOGISTIC", [turned], [chance])
        score = self.tensor("score", (1, 1), dtype=np.uint8, scale=Scale(SCORE_STEP, 0))
        self.op("QUANTIZE", [chance], [score], schema.QuantizeOptionsT())
        return score

    def reshaped(self, x: int, shape: tuple[int, ...], scale: Scale) -> int:
        out = self.tensor("reshaped", shape, scale=scale)
        self.op("RESHAPE", [x, self.tensor("shape", (len(shape),), np.array(shape, np.int32))], [out], schema.ReshapeOptionsT())
        return out

    def tensor(
        self, name: str, shape: Sequence[int], data: npt.NDArray[Any] | None = None, *, dtype: Any = np.int8,
        scale: Scale | None = None, steps: npt.NDArray[Any] | None = None, axis: int = 0, graph: Any = None,
    ) -> int:  # fmt: skip
        """A constant where there is data; a resource where there is no scale either."""
        made = schema.TensorT(name=name, shape=list(shape), hasRank=True)
        if data is not None:
            made.buffer, dtype = self.buffer(data.tobytes()), data.dtype
        made.type = TYPES[np.dtype(dtype)] if data is not None or scale is not None else schema.TensorType.RESOURCE
        if scale is not None:
            steps = np.array([scale.step])
        if steps is not None:
            made.quantization = _Quantization(steps, scale.zero if scale else 0, axis, self.written)
        tensors = (graph or self.main).tensors
        tensors.append(made)
        return len(tensors) - 1

    def buffer(self, data: bytes) -> int:
        if data not in self.numbers:
            self.numbers[data] = len(self.buffers)
            self.buffers.append(_AlignedBuffer(data=data))
        return self.numbers[data]

    def op(self, name: str, inputs: list[int], outputs: list[int], options: Any = None, graph: Any = None) -> None:
        made = schema.OperatorT(opcodeIndex=self.codes.setdefault(name, len(self.codes)), inputs=inputs, outputs=outputs)
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        (graph or self.main).operators.append(made)

    def packed(self, features: int, score: int) -> bytes:
        graphs = [self.main, self.start] if self.state == "variables" else [self.main]
        signature = schema.SignatureDefT(
            inputs=[schema.TensorMapT(name, at) for name, at in {"features": features, **self.states}.items()],
            outputs=[schema.TensorMapT(name, at) for name, at in {"score": score, **self.new_states}.items()],
            signatureKey="serving_default", subgraphIndex=0,
        )  # fmt: skip
        codes = [_code(name) for name in self.codes]
        made = schema.ModelT(3, codes, graphs, "wakesmith", self.buffers, signatureDefs=[signature])
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(made.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _subgraph(name: str) -> Any:
    return schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=name)


def _code(name: str) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    return schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), version=VERSIONS.get(name, 1), builtinCode=code)

"""What a bundle's ONNX file may hold, read from its bytes alone: a plain graph of nodes, and all numbers inside the file.

ONNX Runtime checks names and types. It would still run a loop for ever, read numbers from another file that no card vouches
for, and die of the one division of integers that has no answer (the least one by -1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16
EXTERNAL = 1
DIVISIONS = ("Div", "Mod")
AS_THEIR_FIRST = frozenset(
    """
    Abs Add AveragePool BatchNormalization Clip Concat Conv Cos Div Dropout Elu Erf Exp Expand Flatten Gather Gelu Gemm
    GlobalAveragePool HardSigmoid HardSwish Identity LayerNormalization LeakyRelu Log LogSoftmax MatMul Max MaxPool Mean
    Min Mish Mul Neg PRelu Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu
    Reshape Selu Sigmoid Sin Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze
    """.split()  # noqa: SIM905 (a list of sixty names)
)
"""Ops whose results have the type of their first input."""
Field = tuple[int, Any]


def faults(data: bytes) -> list[str]:
    """Why a file is not run; empty: nothing is against it. Raises ValueError for what is no protocol buffer."""
    found: list[str] = []
    for number, value in _fields(memoryview(data)):
        if number == 25:
            found.append("it defines functions of its own")
        elif number == 7:
            found += _graph(value)
    return list(dict.fromkeys(found))


def _graph(graph: memoryview) -> list[str]:
    found: list[str] = []
    nodes, floats = [], set()
    for number, value in _fields(graph):
        if number == 1:
            nodes.append(_node(value))
        elif number == 5:
            name, kind, is_outside = _tensor(value)
            floats |= {name} if kind in FLOATS else set()
            found += ["its numbers lie in another file"] if is_outside else []
        elif number == 11:
            floats.add(next((str(inner, "utf-8", "replace") for at, inner in _fields(value) if at == 1), ""))
    for op, inputs, outputs, has_graph in nodes:
        if has_graph:
            found.append(f"it holds a {op}, which runs other nodes")
        if op in DIVISIONS and floats.isdisjoint(inputs):
            found.append(f"it holds a {op} of integers")
        if inputs and inputs[0] in floats and op in AS_THEIR_FIRST:
            floats.update(outputs)
    return found


def _node(node: memoryview) -> tuple[str, list[str], list[str], bool]:
    """-> op, names of inputs and outputs, whether an attribute is a graph."""
    op, inputs, outputs, has_graph = "", list[str](), list[str](), False
    for number, value in _fields(node):
        if number in (1, 2):
            (inputs if number == 1 else outputs).append(str(value, "utf-8", "replace"))
        elif number == 4:
            op = str(value, "utf-8", "replace")
        elif number == 5:
            has_graph = has_graph or any(inner in (6, 11) for inner, _ in _fields(value))
    return op, inputs, outputs, has_graph


def _tensor(tensor: memoryview) -> tuple[str, int, bool]:
    """-> name, type, whether its numbers lie elsewhere."""
    name, kind, is_outside = "", 0, False
    for number, value in _fields(tensor):
        if number == 8:
            name = str(value, "utf-8", "replace")
        elif number == 2:
            kind = value
        elif number == 14:
            is_outside = value == EXTERNAL
    return name, kind, is_outside


def _fields(data: memoryview) -> Iterator[Field]:
    """(number, value) of a message: whole numbers as they are, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind} at byte {at}")
        if at + length > len(data):
            raise ValueError(f"a field at byte {at} reaches {at + length - len(data)} bytes past the end")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at
    raise ValueError(f"a number at byte {at} does not end")

"""A TFLite file as microcontrollers run it: what is in it, what memory it takes, what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tflite_micro.python.tflite_micro.runtime import Interpreter
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from wakesmith.errors import BundleError
from wakesmith.exporters._tflite_int8 import Scale

MEASURE = """
import sys
from tflite_micro.python.tflite_micro.runtime import Interpreter
model = Interpreter.from_bytes(sys.stdin.buffer.read())
model.invoke()
model.print_allocations()
"""
ARENA = re.compile(r"Arena allocation total (\d+) bytes")
OP_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
TYPE_NAMES = {number: name.lower() for name, number in vars(schema.TensorType).items() if isinstance(number, int)}

Port = tuple[str, tuple[int, ...], str]
"""Name, shape and type of an input or output."""


@dataclass(frozen=True)
class Facts:
    """What a file is made of."""

    ops: frozenset[str]
    inputs: list[Port]
    outputs: list[Port]
    n_variables: int
    n_bytes: int


def facts(data: bytes) -> Facts:
    """Read from the file itself."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    main = model.subgraphs[0]
    ports = [(t.name.decode(), tuple(int(n) for n in t.shape), TYPE_NAMES[t.type]) for t in main.tensors]
    codes = [OP_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    used = [op for graph in model.subgraphs for op in graph.operators]
    variables = {op.builtinOptions.sharedName for op in used if codes[op.opcodeIndex] == "VAR_HANDLE"}
    inputs, outputs = [ports[i] for i in main.inputs], [ports[i] for i in main.outputs]
    return Facts(frozenset(codes), inputs, outputs, len(variables), len(data))


class Runner:
    """Runs a file step by step in TensorFlow Lite Micro, from silence."""

    def __init__(self, data: bytes) -> None:
        self._model = Interpreter.from_bytes(data)
        told = facts(data)
        self.stride, self.n_bins = told.inputs[0][1][1:]
        self.source = self._scale(0)
        self._states = [np.full(told.inputs[i][1], self._scale(i).zero, np.int8) for i in range(1, len(told.inputs))]

    def step(self, features: npt.NDArray[np.int8]) -> float:
        """(1, stride, F) -> score"""
        for i, value in enumerate([features, *self._states]):
            self._model.set_input(value, i)
        self._model.invoke()
        self._states = [self._model.get_output(i + 1) for i in range(len(self._states))]
        return float(self._model.get_output(0)[0, 0]) / 256

    def scores(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The next frames, (T, F) -> (T / stride,)"""
        n_steps = len(features) // self.stride
        whole = self.source.quantised(features[: n_steps * self.stride]).reshape(n_steps, 1, self.stride, self.n_bins)
        return np.array([self.step(one) for one in whole])

    def _scale(self, number: int) -> Scale:
        told = self._model.get_input_details(number)["quantization_parameters"]
        return Scale(float(told["scales"][0]), int(told["zero_points"][0]))


def arena_bytes(data: bytes) -> int:
    """The tensor arena that TensorFlow Lite Micro takes for a file. Raises BundleError when it does not run there."""
    # In a process of its own: TensorFlow Lite Micro ends the process that it cannot serve, and tells the number on stderr alone.
    made = subprocess.run([sys.executable, "-c", MEASURE], input=data, capture_output=True)
    told = (made.stderr + made.stdout).decode(errors="replace")
    found = ARENA.search(told)
    if made.returncode or found is None:
        why = (told.strip().splitlines() or [f"exit status {made.returncode}"])[-1]
        raise BundleError(f"the file does not run in TensorFlow Lite Micro ({why}). Report it with the student's settings.")
    return int(found[1])

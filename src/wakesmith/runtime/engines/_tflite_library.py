"""TensorFlow Lite's C library, as the package `pymicro-wakeword` carries it: 5 MB, and nothing of Python around it."""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.errors import ConfigError

POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int32
TYPES = {1: "float32", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}


class _Quantization(ctypes.Structure):
    _fields_ = [("scale", ctypes.c_float), ("zero", NUMBER)]


CALLS: dict[str, tuple[Any, ...]] = {
    "ModelCreate": (POINTER, ctypes.c_char_p, ctypes.c_size_t),
    "ModelDelete": (None, POINTER),
    "InterpreterOptionsCreate": (POINTER,),
    "InterpreterOptionsDelete": (None, POINTER),
    "InterpreterOptionsSetNumThreads": (None, POINTER, NUMBER),
    "InterpreterCreate": (POINTER, POINTER, POINTER),
    "InterpreterDelete": (None, POINTER),
    "InterpreterAllocateTensors": (NUMBER, POINTER),
    "InterpreterInvoke": (NUMBER, POINTER),
    "InterpreterGetInputTensorCount": (NUMBER, POINTER),
    "InterpreterGetInputTensor": (POINTER, POINTER, NUMBER),
    "InterpreterGetOutputTensorCount": (NUMBER, POINTER),
    "InterpreterGetOutputTensor": (POINTER, POINTER, NUMBER),
    "TensorData": (POINTER, POINTER),
    "TensorByteSize": (ctypes.c_size_t, POINTER),
    "TensorType": (NUMBER, POINTER),
    "TensorNumDims": (NUMBER, POINTER),
    "TensorDim": (NUMBER, POINTER, NUMBER),
    "TensorQuantizationParams": (_Quantization, POINTER),
}
"""What is called, without its `TfLite`: what it gives, what it takes."""


class Port:
    """A tensor that goes in or out: `values` lies in the interpreter's own memory. Raises ValueError."""

    def __init__(self, call: dict[str, Any], tensor: int) -> None:
        self.shape = tuple(call["TensorDim"](tensor, i) for i in range(call["TensorNumDims"](tensor)))
        self.type = TYPES.get(call["TensorType"](tensor), "")
        found = call["TensorQuantizationParams"](tensor)
        self.scale, self.zero = float(found.scale), int(found.zero)
        size, place = call["TensorByteSize"](tensor), call["TensorData"](tensor)
        if not self.type or not place or size != np.dtype(self.type).itemsize * math.prod(self.shape):
            raise ValueError(f"a tensor of shape {self.shape} has {size} bytes of type {self.type or 'unknown'}")
        self.values: npt.NDArray[Any] = np.frombuffer((ctypes.c_char * size).from_address(place), self.type).reshape(self.shape)


class Interpreter:
    """A model on one thread. Raises ValueError."""

    def __init__(self, data: bytes) -> None:
        call = functions()
        options = call["InterpreterOptionsCreate"]()
        call["InterpreterOptionsSetNumThreads"](options, 1)
        model = call["ModelCreate"](data, len(data))
        made = call["InterpreterCreate"](model, options) if model else None
        call["InterpreterOptionsDelete"](options)
        weakref.finalize(self, _free, call, data, model, made)
        if not model:
            raise ValueError("it is no TFLite file")
        if not made or call["InterpreterAllocateTensors"](made):
            raise ValueError("it holds an op or a shape that TensorFlow Lite refuses")
        self._call, self._made, self._invoke = call, made, call["InterpreterInvoke"]
        self.inputs, self.outputs = self._ports("Input"), self._ports("Output")

    def _ports(self, way: str) -> list[Port]:
        tensor, count = self._call[f"InterpreterGet{way}Tensor"], self._call[f"InterpreterGet{way}TensorCount"]
        return [Port(self._call, tensor(self._made, i)) for i in range(count(self._made))]

    def invoke(self) -> None:
        if self._invoke(self._made):
            raise ValueError("a step of it fails")


def _free(call: dict[str, Any], data: bytes, model: int | None, interpreter: int | None) -> None:
    """`data` has to be there until then: the model reads on in it."""
    if interpreter:
        call["InterpreterDelete"](interpreter)
    if model:
        call["ModelDelete"](model)


@functools.cache
def functions() -> dict[str, Any]:
    """The library's functions. Raises ConfigError where it is not installed."""
    spec = find_spec("pymicro_wakeword")
    files = list((Path(spec.origin).parent / "lib").glob("*tensorflowlite_c.*")) if spec and spec.origin else []
    if not files:
        raise ConfigError("a .tflite model needs the package pymicro-wakeword. Run: pip install 'wakesmith[lite]'.")
    library, made = ctypes.CDLL(str(files[0])), {}
    for name, (result, *arguments) in CALLS.items():
        made[name] = getattr(library, f"TfLite{name}")
        made[name].restype, made[name].argtypes = result, arguments
    return made

"""Model files of streaming TFLite: LiteRT on one thread, int8 features in and one score out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.errors import BundleError, ConfigError
from wakesmith.promise import Promise
from wakesmith.runtime import engines

Floats = npt.NDArray[np.float32]


class TfliteEngine:
    """features (1, T, F) -> scores (1, n). What a stream remembers lies in an interpreter of its own."""

    def __init__(self, path: Path, card: Promise, silence: Floats) -> None:
        self._path, self._data, self._silence = path, path.read_bytes(), silence
        self._n_silent = engines.silent_steps(card)
        self._check(_Stream(path, self._data), card)

    def _check(self, stream: _Stream, card: Promise) -> None:
        stride, n_bins = self._silence.shape[1] // card.scores_per_step, self._silence.shape[-1]
        wanted = [((1, stride, n_bins), "int8"), ((1, 1), "uint8")]
        found = [_shape(one) for one in (*stream.inputs[:1], *stream.outputs[:1])]
        kept = [[_shape(one) for one in ports[1:]] for ports in (stream.inputs, stream.outputs)]
        if found != wanted or kept[0] != kept[1] or len(card.phrases) > 1:
            raise BundleError(
                f"{self._path}: the model has {found} and keeps {kept}, but the card promises {wanted} for each of "
                f"{len(card.phrases)} phrases. Export the bundle again."
            )

    def begin(self) -> _Stream:
        stream = _Stream(self._path, self._data)
        for _ in range(self._n_silent):
            stream.step(self._silence)
        return stream

    def step(self, heard: Floats, state: _Stream) -> tuple[Floats, _Stream]:
        return state.step(heard), state


FROM_NOTHING = ("VAR_HANDLE", "CALL_ONCE")
"""Ops without an input."""


class _Stream:
    """An interpreter, and the state that goes in and out of its model where it does not lie inside."""

    def __init__(self, path: Path, data: bytes) -> None:
        interpreter = _interpreter()
        try:
            _check_ops(interpreter, path, data)
            # With its delegate XNNPACK, which takes a seventh of the time. Scores differ from a microcontroller's by a few of 256
            # with it and without; BUILTIN_REF alone has the same.
            self._model = interpreter.Interpreter(model_content=data, num_threads=1)
            self._model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BundleError(f"{path}: LiteRT cannot load it ({reason}). Export the bundle again.") from error
        self.inputs, self.outputs = self._model.get_input_details(), self._model.get_output_details()
        # Not strict: what does not come out as it went in, `TfliteEngine` refuses with its shapes.
        self._kept = [(one["index"], after["index"]) for one, after in zip(self.inputs[1:], self.outputs[1:], strict=False)]
        for one in self.inputs[1:]:
            self._model.set_tensor(one["index"], np.full(one["shape"], one["quantization"][1], one["dtype"]))

    def step(self, features: Floats) -> Floats:
        """(1, T, F) -> (1, T / stride)"""
        source, result, stride = self.inputs[0], self.outputs[0]["index"], int(self.inputs[0]["shape"][1])
        step, zero = source["quantization"]
        numbers = features / step
        np.rint(numbers, out=numbers)
        numbers += zero
        heard = numbers.clip(-128, 127, out=numbers).astype(np.int8)
        model, at, said = self._model, source["index"], np.empty((1, heard.shape[1] // stride), np.uint8)
        for i in range(said.shape[1]):
            model.set_tensor(at, heard[:, i * stride : (i + 1) * stride])
            model.invoke()
            said[0, i] = model.get_tensor(result)[0, 0]
            for before, after in self._kept:
                model.set_tensor(before, model.get_tensor(after))
        scores: Floats = (said * self.outputs[0]["quantization"][0]).astype(np.float32)
        return scores


def _check_ops(interpreter: Any, path: Path, data: bytes) -> None:
    """Raises BundleError for an op that nothing goes into: XNNPACK reads what is not there."""
    plain = interpreter.Interpreter(
        model_content=data, num_threads=1,
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    plain.allocate_tensors()
    for op in plain._get_ops_details():
        if op["op_name"] not in FROM_NOTHING and not (np.asarray(op["inputs"]) >= 0).any():
            raise BundleError(f"{path}: its op {op['index']}, {op['op_name']}, has no input. Export the bundle again.")


def _shape(port: dict[str, Any]) -> tuple[tuple[int, ...], str]:
    return tuple(int(n) for n in port["shape"]), np.dtype(port["dtype"]).name


def _interpreter() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise ConfigError("a .tflite model needs the package ai-edge-litert. Run: pip install 'wakesmith[tflite]'.") from error
    return interpreter

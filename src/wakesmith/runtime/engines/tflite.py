"""Model files of streaming TFLite: TensorFlow Lite on one thread, int8 features in and one score out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakesmith.errors import BundleError
from wakesmith.promise import Promise
from wakesmith.runtime import engines
from wakesmith.runtime.engines._tflite_library import Interpreter, Port

Floats = npt.NDArray[np.float32]


class TfliteEngine:
    """features (1, T, F) -> scores (1, n). What a stream remembers lies in an interpreter of its own."""

    def __init__(self, path: Path, card: Promise, silence: Floats) -> None:
        self._path, self._data, self._card, self._silence = path, path.read_bytes(), card, silence
        self._n_silent = engines.silent_steps(card)

    def begin(self) -> _Stream:
        stream = _Stream(self._path, self._data)
        self._check(stream)
        for _ in range(self._n_silent):
            stream.step(self._silence)
        return stream

    def _check(self, stream: _Stream) -> None:
        stride, n_bins = self._silence.shape[1] // self._card.scores_per_step, self._silence.shape[-1]
        wanted = [((1, stride, n_bins), "int8"), ((1, 1), "uint8")]
        found = [_shape(one) for one in (*stream.inputs[:1], *stream.outputs[:1])]
        kept = [[_shape(one) for one in ports[1:]] for ports in (stream.inputs, stream.outputs)]
        if found != wanted or kept[0] != kept[1] or len(self._card.phrases) > 1:
            raise BundleError(
                f"{self._path}: the model has {found} and keeps {kept}, but the card promises {wanted} for each of "
                f"{len(self._card.phrases)} phrases. Export the bundle again."
            )

    def step(self, heard: Floats, state: _Stream) -> tuple[Floats, _Stream]:
        return state.step(heard), state


class _Stream:
    """An interpreter, and the state that goes in and out of its model where it does not lie inside."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        try:
            self._model = Interpreter(data)
        except ValueError as error:
            raise BundleError(f"{path}: TensorFlow Lite cannot load it ({error}). Export the bundle again.") from error
        self.inputs, self.outputs = self._model.inputs, self._model.outputs
        # Not strict: what does not come out as it went in, `TfliteEngine` refuses with its shapes.
        self._kept = [(one.values, after.values) for one, after in zip(self.inputs[1:], self.outputs[1:], strict=False)]
        for one in self.inputs[1:]:
            one.values[...] = one.zero

    def step(self, features: Floats) -> Floats:
        """(1, T, F) -> (1, T / stride)"""
        source, result = self.inputs[0], self.outputs[0]
        heard = features / source.scale
        np.rint(heard, out=heard)
        heard += source.zero
        heard.clip(-128, 127, out=heard)
        goes_in, stride = source.values, source.shape[1]
        scores = np.empty((1, heard.shape[1] // stride), np.float32)
        for i in range(scores.shape[1]):
            goes_in[...] = heard[:, i * stride : (i + 1) * stride]
            self._run()
            scores[0, i] = result.values[0, 0] * result.scale
            for before, after in self._kept:
                before[...] = after
        return scores

    def _run(self) -> None:
        try:
            self._model.invoke()
        except ValueError as error:
            raise BundleError(f"{self._path}: TensorFlow Lite cannot run it ({error}). Export the bundle again.") from error


def _shape(port: Port) -> tuple[tuple[int, ...], str]:
    return port.shape, port.type

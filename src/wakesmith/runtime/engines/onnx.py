"""Model files of ONNX: ONNX Runtime on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.errors import BundleError, ConfigError
from wakesmith.promise import Promise
from wakesmith.runtime import engines
from wakesmith.runtime.engines import _onnx_file

Floats = npt.NDArray[np.float32]


class OnnxEngine:
    """samples (1, step_samples) or features (1, T, F), state (1, S) -> scores (1, n) or (1, n, K), state (1, S)."""

    def __init__(self, path: Path, card: Promise, silence: Floats) -> None:
        self._path = path
        self._input = "samples" if card.front_end == "inside" else "features"
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a step is under a millisecond: more threads only wait for one another
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        data = path.read_bytes()
        _check_file(path, data)
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no public base
            raise BundleError(f"{path}: ONNX Runtime cannot load it ({_reason(error)}). Export the bundle again.") from error
        self._check(path, card, list(silence.shape))
        self._start = np.zeros((1, card.state_size), np.float32)
        for _ in range(engines.silent_steps(card)):
            _, self._start = self.step(silence, self._start)

    def begin(self) -> Floats:
        return self._start

    def _check(self, path: Path, card: Promise, shape: list[int]) -> None:
        several = [len(card.phrases)] if len(card.phrases) > 1 else []
        wanted = {
            self._input: shape,
            "state": [1, card.state_size],
            "scores": [1, card.scores_per_step, *several],
            "new_state": [1, card.state_size],
        }
        found = {value.name: value.shape for value in (*self._session.get_inputs(), *self._session.get_outputs())}
        if found != wanted:
            raise BundleError(f"{path}: the model has {found}, but the card promises {wanted}. Export the bundle again.")

    def step(self, heard: Floats, state: Floats) -> tuple[Floats, Floats]:
        try:
            scores, state = self._session.run(["scores", "new_state"], {self._input: heard, "state": state})
        except Exception as error:  # as above
            raise BundleError(f"{self._path}: ONNX Runtime cannot run it ({_reason(error)}). Export the bundle again.") from error
        if not np.isfinite(scores).all():
            raise BundleError(f"{self._path}: the model gave a score that is no number. Train it again.")
        return scores, state


def _check_file(path: Path, data: bytes) -> None:
    try:
        faults = _onnx_file.faults(data)
    except ValueError as error:
        raise BundleError(f"{path}: ONNX Runtime cannot load it ({error}). Export the bundle again.") from error
    if faults:
        raise BundleError(f"{path}: not run: {'; '.join(faults[:3])}. Export the bundle again.")


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("an .onnx model needs the package onnxruntime. Run: pip install 'wakesmith[onnx]'.") from error
    return onnxruntime


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

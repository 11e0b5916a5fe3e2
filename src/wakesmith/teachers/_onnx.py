"""Encoders that are ONNX Runtime files: one clip a call, several calls at once.

A batch would be no faster: on 2 cores one clip takes 7.4 ms with a call a thread, 9 to 11 ms with two threads inside a call. And
where weights are quantised dynamically (Moonshine), the scale is taken over the batch, so a clip would hear its batch mates.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wakesmith.errors import TeacherError

if TYPE_CHECKING:
    import onnxruntime
    import torch

Array = npt.NDArray[np.float32]


def session(path: Path) -> onnxruntime.InferenceSession:
    """Load a file for one thread a call. Raises TeacherError when ONNX Runtime cannot read it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one core a call gives the same answer on every machine with the same kernels
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        reason = str(error).splitlines()[0][:200]
        raise TeacherError(
            f"{path}: ONNX Runtime cannot load it ({reason}). Give another file, or install the package again."
        ) from error


def check_inputs(path: Path, loaded: onnxruntime.InferenceSession, expected: list[str]) -> None:
    """Refuse a file whose inputs are named otherwise: it is another network."""
    found = [given.name for given in loaded.get_inputs()]
    if found != expected:
        raise TeacherError(
            f"{path}: expected the inputs {', '.join(expected)}, found {', '.join(found)}. Give the encoder's file."
        )


def each_clip(hear: Callable[[Array], Array], samples: torch.Tensor) -> torch.Tensor:
    """Call `hear` ((N,) -> (L, T, D)) for every row, on all cores. (B, N) -> (B, L, T, D)."""
    import torch

    clips = np.ascontiguousarray(samples.detach().cpu().numpy(), dtype=np.float32)
    if len(clips) == 1:
        return torch.from_numpy(hear(clips[0])[None])
    with ThreadPoolExecutor(min(len(clips), os.cpu_count() or 1)) as pool:
        return torch.from_numpy(np.stack(list(pool.map(hear, clips))))

"""Any ONNX speech encoder: 16 kHz samples -> one layer of hidden states. From a file of yours (.onnx or .ort).

The contract: one clip goes in as float32 of shape (1, N), with a mask of ones beside it where `mask_input` names one; the hidden
states come out as float32 of shape (1, T, D) or (1, D, T). Weights outside the file lie beside it as FILE.data or FILE_data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from wakesmith.audio import SAMPLE_RATE_HZ, resample
from wakesmith.config import PartSettings
from wakesmith.errors import TeacherError
from wakesmith.teachers._base import check_samples, fingerprint_of, local_file
from wakesmith.teachers._onnx import Array, each_clip, session

if TYPE_CHECKING:
    import onnxruntime
    import torch

MASK_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(bool)": np.bool_}
TINY = 1e-7


class Config(PartSettings):
    name: Literal["onnx_encoder"] = "onnx_encoder"
    path: str
    """The file."""
    input: str = ""
    """Name of the input that takes the samples; empty: the only one beside `mask_input`."""
    output: str = ""
    """Name of the output with the hidden states; empty: the only one."""
    mask_input: str = ""
    """Name of the input that takes a mask of ones, one each sample; empty: there is none."""
    rate_hz: int = Field(default=SAMPLE_RATE_HZ, ge=4_000, le=192_000)
    """Rate that the network hears; clips of 16 kHz are resampled to it."""
    layout: Literal["BTD", "BDT"] = "BTD"
    """Whether time or the hidden axis comes first after the batch."""
    normalise: bool = False
    """Bring each clip to mean 0 and variance 1."""
    scale: float = Field(default=1.0, gt=0.0)
    """The samples are multiplied by it, after `normalise`: 32767 for a network made for int16."""
    min_samples: int = Field(default=8_000, ge=1)
    """The shortest clip it hears, in samples at 16 kHz; tried when the file is loaded."""
    licence: str = "as the source says"
    """Of the file."""


class OnnxEncoder:
    """See `_base.Encoder`. One layer; its size is found by hearing the shortest clip."""

    rate_hz = SAMPLE_RATE_HZ
    n_layers = 1

    def __init__(self, path: Path, config: Config) -> None:
        self.source, self.licence, self.min_samples = config.path, config.licence, config.min_samples
        self._path, self._config = path, config
        self._session = session(path)
        self._input, self._output = names(path, self._session, config)
        self._mask_type = {given.name: given.type for given in self._session.get_inputs()}.get(config.mask_input, "")
        self.hidden_size = int(self._hear(np.zeros(config.min_samples, np.float32)).shape[2])
        beside = (path.with_name(path.name + end) for end in (".data", "_data"))
        self._fingerprint = fingerprint_of([path, *filter(Path.is_file, beside)], "onnx_encoder", *self._words())

    def fingerprint(self) -> str:
        return self._fingerprint

    def _words(self) -> list[object]:
        config = self._config
        return [self._input, self._output, config.mask_input, config.rate_hz, config.layout, config.normalise, config.scale]

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, 1, T, D)."""
        check_samples(samples, self.min_samples, "onnx_encoder")
        return each_clip(self._hear, samples)

    def _hear(self, clip: Array) -> Array:
        """(N,) -> (1, T, D)."""
        config = self._config
        clip = resample(clip, SAMPLE_RATE_HZ, config.rate_hz)
        if config.normalise:
            clip = (clip - clip.mean()) / np.sqrt(clip.var() + np.float32(TINY))
        given: dict[str, Any] = {self._input: clip[None] * np.float32(config.scale)}
        if config.mask_input:
            given[config.mask_input] = np.ones((1, len(clip)), MASK_TYPES[self._mask_type])
        try:
            hidden: Array = self._session.run([self._output], given)[0]
        except Exception as error:  # onnxruntime's own exceptions share no other base
            reason = str(error).splitlines()[0][:200]
            raise TeacherError(
                f"{self._path}: fails on {len(clip)} samples ({reason}). Check teacher.min_samples and teacher.rate_hz."
            ) from error
        if hidden.ndim != 3 or len(hidden) != 1 or not hidden.size:
            raise TeacherError(
                f"{self._path}: {self._output}: expected (1, T, D) or (1, D, T), got {hidden.shape} for {len(clip)} samples. "
                "Name another teacher.output, or raise teacher.min_samples."
            )
        return np.ascontiguousarray(hidden if config.layout == "BTD" else hidden.transpose(0, 2, 1))


def names(path: Path, loaded: onnxruntime.InferenceSession, config: Config) -> tuple[str, str]:
    """Input and output to use. Raises TeacherError, with all that the file has, where the contract is not kept."""
    inputs, outputs = ({one.name: one for one in found} for found in (loaded.get_inputs(), loaded.get_outputs()))
    clips = [name for name in inputs if name != config.mask_input]
    hidden = config.output or (next(iter(outputs)) if len(outputs) == 1 else "")
    problems = []
    if config.input not in ("", *inputs) or config.mask_input not in ("", *inputs):
        problems.append("teacher.input or teacher.mask_input names an input that is not there")
    elif len(clips) != 1 or config.input not in ("", clips[0]):
        problems.append("expected one input for the samples, and no other beside the mask")
    elif (inputs[clips[0]].type, len(inputs[clips[0]].shape)) != ("tensor(float)", 2):
        problems.append(f"{clips[0]}: expected float32 of 2 axes (1, N)")
    if config.mask_input in inputs and inputs[config.mask_input].type not in MASK_TYPES:
        problems.append(f"{config.mask_input}: expected one of {', '.join(MASK_TYPES)}")
    if hidden not in outputs:
        problems.append("teacher.output must name one of the outputs")
    elif outputs[hidden].type != "tensor(float)" or len(outputs[hidden].shape or [0] * 3) != 3:
        problems.append(f"{hidden}: expected float32 of 3 axes")
    if problems:
        has = "; ".join(
            f"{kind} {', '.join(f'{one.name} {one.type}{one.shape}' for one in found.values())}"
            for kind, found in (("inputs", inputs), ("outputs", outputs))
        )
        raise TeacherError(f"{path}: {'; '.join(problems)}. The file has {has}. Set teacher.input, output and mask_input to fit.")
    return clips[0], hidden


def build(config: Config) -> OnnxEncoder:
    return OnnxEncoder(local_file(config.path, "an ONNX encoder"), config)

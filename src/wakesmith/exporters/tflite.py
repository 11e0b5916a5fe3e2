"""TFLite: a streaming student as a model of int8, features in and one score out; the front-end lies outside.

Own quantisation of the folded weights, written through the schema: small, the same bytes each time, no converter to install. A
scale for each channel of weights; activations by what streams of train features bring about. One score of several classes without
a softmax: `_tflite_layers.planes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith import registry
from wakesmith.config import PartSettings
from wakesmith.errors import BundleError, ConfigError

ENOUGH_FRAMES = 3000
"""30 s of features: less would leave the heights of activations to chance."""

Streams = Sequence[npt.NDArray[Any]]
"""Features of train audio, (T, F) each, as the front-end gives them over streams."""


class Config(PartSettings):
    name: str = "tflite"
    state: Annotated[str, Field(pattern="^(inputs|variables)$")] = "inputs"
    """Whether what the model remembers goes in and out at each step, or lies in variables inside of it."""
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.08
    """99 of 100 scores lie this near to the float student's, over the streams that it was quantised by."""


class TfliteExporter:
    file_name = "model.tflite"
    calibrates_on = "features"

    def __init__(self, config: Config) -> None:
        self.config = config

    def export(self, listener: Any, path: Path, streams: Streams) -> None:
        """Write `path` once it is checked. Raises BundleError when the student cannot be told in TFLite, or scores otherwise.

        listener: its `student` and `n_phrases` are what counts. streams: what the model is quantised by, 30 s or more.
        """
        check_phrases(listener.n_phrases)
        data = model(listener.student, streams, self.config.state)
        check_scores(path, listener.student, data, streams, self.config.tolerance)
        write_whole(path, data)


def check_budget(features: PartSettings, student: PartSettings, n_phrases: int, n_frames: int, exporter: Config) -> None:
    """Whether a student can be told in TFLite, before anything is trained. Raises BundleError or ConfigError.

    n_frames: of a view. Weights change nothing of it.
    """
    from wakesmith.runtime import front_ends

    _installed()
    from wakesmith.exporters import _tflite_layers as plain

    check_phrases(n_phrases)
    if features.name not in front_ends.names():
        raise ConfigError(
            f"features.name: tflite is a model without a front-end, and {features.name} runs inside of a model alone. "
            f"Set it to one of: {', '.join(front_ends.names())}; or leave tflite out of export.targets."
        )
    plain.of(registry.build("students", student, registry.build("features", features).n_mels, n_frames, 4))


def model(student: Any, streams: Streams, state: str, source: Any = None) -> bytes:
    """The bytes of the model. source: the scale of its input; none: what the streams need."""
    _installed()
    from wakesmith.exporters import _tflite_file as file
    from wakesmith.exporters import _tflite_int8 as int8
    from wakesmith.exporters import _tflite_layers as plain

    layers = plain.of(student)
    heard = checked(streams)
    return file.write(int8.layers(layers, heard, source or int8.scale_of(heard)), state)  # type: ignore[arg-type]


def checked(streams: Streams) -> list[npt.NDArray[np.float64]]:
    """The streams as float64. Raises BundleError for too little, or for numbers that are none."""
    n_frames = sum(len(one) for one in streams)
    if n_frames < ENOUGH_FRAMES:
        raise BundleError(
            f"calibration: {n_frames} frames of features, {ENOUGH_FRAMES} are the least. Give it more recordings of train."
        )
    heard = [np.asarray(one, np.float64) for one in streams]
    if not all(np.isfinite(one).all() for one in heard):
        raise BundleError("calibration: the features hold NaN or infinity. Make them anew from sound recordings.")
    return heard


def check_phrases(n_phrases: int) -> None:
    """Raises BundleError for a student of several phrases."""
    if n_phrases > 1:
        raise BundleError(
            f"tflite: a model of streaming TFLite gives one score, this student hears {n_phrases} phrases. "
            "Forge each phrase by itself, or take the exporter onnx."
        )


def check_scores(path: Path, student: Any, data: bytes, streams: Streams, tolerance: float) -> float:
    """How far scores of the file lie from the float student's. -> the 99th of 100; raises BundleError over the tolerance."""
    apart = float(np.quantile(differences(student, data, streams), 0.99))
    if not apart <= tolerance:
        raise BundleError(
            f"{path}: 1 of 100 scores differs from the student's by more than {apart:.3f}, the limit is {tolerance:g}. Give it "
            "more and other calibration audio, train the student longer, or allow more by the exporter's `tolerance`."
        )
    return apart


def differences(student: Any, data: bytes, streams: Streams) -> npt.NDArray[np.float64]:
    """|score of the file - score of the float student| at each step; both hear the streams one after the other."""
    from wakesmith.exporters import _tflite_run as micro

    runner = micro.Runner(data)
    joined = np.concatenate([one[: len(one) // runner.stride * runner.stride] for one in checked(streams)])
    return np.abs(runner.scores(joined) - float_scores(student, joined))


def float_scores(student: Any, features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The student itself over one stream: (T, F) -> (T / hop_frames,)"""
    import torch

    with torch.no_grad():
        logits, _ = student.eval().step(torch.from_numpy(features[None].astype(np.float32)), student.initial_state())
    scores: npt.NDArray[np.float64] = logits.softmax(dim=-1)[0, :, 0].double().numpy()
    return scores


def write_whole(path: Path, data: bytes) -> None:
    """Aside first, then renamed: the file is there whole or not at all."""
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(data)
    aside.replace(path)


def _installed() -> None:
    try:
        import tflite_micro  # noqa: F401
    except ImportError as error:
        raise ConfigError("tflite: needs the package tflite-micro. Run: pip install 'wakesmith[tflite]'.") from error


def build(config: Config) -> TfliteExporter:
    return TfliteExporter(config)

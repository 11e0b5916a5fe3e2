"""ESPHome's micro_wake_word: streaming TFLite of int8 and its manifest of version 2, both checked against what devices accept.

Devices hear with the front-end `micro`: 40 bins each 10 ms, float 0..26, of which the model takes int8 in steps of 26/255.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from wakesmith import bundle, registry
from wakesmith.card import Card, OperatingPoint
from wakesmith.config import PartSettings
from wakesmith.errors import BundleError, ConfigError
from wakesmith.exporters import tflite
from wakesmith.exporters.tflite import Streams

OPS = frozenset({
    "CALL_ONCE", "VAR_HANDLE", "RESHAPE", "READ_VARIABLE", "STRIDED_SLICE", "CONCATENATION", "ASSIGN_VARIABLE", "CONV_2D", "MUL",
    "ADD", "MEAN", "FULLY_CONNECTED", "LOGISTIC", "QUANTIZE", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD",
    "PACK", "SPLIT_V",
})  # fmt: skip
"""What a device can run (esphome/components/micro_wake_word/streaming_model.cpp)."""
MOST_VARIABLES = 20
FEATURES, N_BINS, HOP_MS = "micro", 40, 10
HIGHEST = 26.0
"""The front-end's highest value, int8 127; its lowest, 0, is int8 -128."""
ARENA_MARGIN = 1.1
"""Over what TensorFlow Lite Micro takes here; official manifests have 1.08 to 1.33."""
MOST_WINDOW = 255
"""The device counts its window in a byte. A recipe with longer ones is refused by this name."""
LEAST_ESPHOME = "2024.7.0"


class Config(PartSettings):
    name: str = "esphome"
    most_file_bytes: Annotated[int, Field(ge=1024)] = 54 * 1024
    """Of flash, for the model; the official models take 54 to 78 KB."""
    most_arena_bytes: Annotated[int, Field(ge=1024)] = 22 * 1024
    """Of memory, as the manifest asks for it; the official models ask for 22 to 37 KB."""
    most_macs_per_s: Annotated[int, Field(ge=1)] = 2_500_000
    """Multiplications a second; the official models do 0.8 to 1.2 million."""
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.08
    """99 of 100 scores lie this near to the float student's, over the streams that it was quantised by."""


@dataclass(frozen=True)
class Cost:
    """What a model takes of a device."""

    file_bytes: int
    arena_bytes: int
    """As the manifest asks for it."""
    macs_per_s: int


class EsphomeExporter:
    file_name = "model.tflite"
    calibrates_on = "features"

    def __init__(self, config: Config) -> None:
        self.config = config

    def export(self, listener: Any, path: Path, streams: Streams) -> None:
        """Write `path` once it keeps the device's contract. Raises BundleError that names what is broken, and the way out.

        listener: its `student` and `n_phrases` are what counts. streams: (T, 40) each, of the front-end `micro` over train audio.
        The manifest waits for the operating point: `hand_over`.
        """
        tflite.check_phrases(listener.n_phrases)
        data = model(listener.student, streams)
        self.check(path, data, macs_per_s(listener.student))
        tflite.check_scores(path, listener.student, data, streams, self.config.tolerance)
        tflite.write_whole(path, data)

    def check(self, path: Path | str, data: bytes, macs: int) -> Cost:
        """A file against all that a device demands but its scores. Raises BundleError."""
        check_contract(path, data)
        cost = Cost(len(data), arena_size(data), macs)
        smaller = "Take a smaller student (student.width, student.first_width), or allow more by the exporter's"
        for what, found, key in (
            ("the model takes {} bytes of flash", cost.file_bytes, "most_file_bytes"),
            ("the model asks for {} bytes of tensor arena", cost.arena_bytes, "most_arena_bytes"),
            ("the model does {} multiplications a second", cost.macs_per_s, "most_macs_per_s"),
        ):
            limit = getattr(self.config, key)
            if found > limit:
                raise BundleError(f"{path}: {what.format(f'{found:,}')}, the limit is {limit:,}. {smaller} `{key}`.")
        return cost


def check_budget(features: PartSettings, student: PartSettings, n_phrases: int, n_frames: int, exporter: Config) -> Cost:
    """What a student will take of a device, from its shape alone, before anything is trained. Raises BundleError or ConfigError.

    n_frames: of a view. Weights change nothing of it, so an untrained student is exported and measured.
    """
    if features.name != FEATURES:
        raise ConfigError(
            f"features.name: ESPHome devices hear with the front-end {FEATURES}, not {features.name}. "
            f"Forge another run: --set features={FEATURES} --set student=mixednet"
        )
    tflite.check_phrases(n_phrases)
    network = _as_if_trained(student, n_frames)
    drawn = np.random.default_rng(0).uniform(0.0, HIGHEST, (tflite.ENOUGH_FRAMES, N_BINS))
    return EsphomeExporter(exporter).check("student", model(network, [drawn]), macs_per_s(network))


def _as_if_trained(student: PartSettings, n_frames: int) -> Any:
    """The student with a little noise on each number: the zeros and ones that training begins with would be written only once."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = registry.build("students", student, N_BINS, n_frames, 4)
        for numbers in network.state_dict().values():
            if numbers.is_floating_point():
                numbers.add_(0.01 * torch.rand_like(numbers))
    return network.eval()


def model(student: Any, streams: Streams) -> bytes:
    """The bytes of the model. Raises BundleError for features that are not of the front-end `micro`."""
    from wakesmith.exporters._tflite_int8 import Scale

    for one in streams:
        if one.ndim != 2 or one.shape[1] != N_BINS or (len(one) and not (one.min() >= 0.0 and one.max() <= HIGHEST)):
            raise BundleError(
                f"calibration: features of shape {one.shape} are not those of ESPHome's front-end, {N_BINS} bins of 0 to "
                f"{HIGHEST:g}. Train and export with features.name {FEATURES}."
            )
    return tflite.model(student, streams, "variables", Scale(HIGHEST / 255, -128))


def macs_per_s(student: Any) -> int:
    """Multiplications and additions of a student's convolutions in a second."""
    from wakesmith.exporters import _tflite_layers as plain

    a_step = sum(layer.weight.size for layer in plain.of(student))
    return round(a_step * 1000 / (HOP_MS * int(student.hop_frames)))


def check_contract(path: Path | str, data: bytes) -> None:
    """Ops, shapes, types, number of variables. Raises BundleError for the first that no device takes."""
    from wakesmith.exporters import _tflite_run as micro

    told = micro.facts(data)
    unknown = sorted(told.ops - OPS)
    stride = told.inputs[0][1][1] if len(told.inputs[0][1]) == 3 else 0
    inputs, outputs = [one[1:] for one in told.inputs], [one[1:] for one in told.outputs]
    checks: list[tuple[bool, Callable[[], str]]] = [
        (not unknown, lambda: f"uses {', '.join(unknown)}, which devices do not have"),
        (inputs == [((1, stride, N_BINS), "int8")], lambda: f"takes {inputs}, devices give int8 (1, stride, {N_BINS})"),
        (outputs == [((1, 1), "uint8")], lambda: f"gives {outputs}, devices take uint8 (1, 1)"),
        (told.n_variables <= MOST_VARIABLES, lambda: f"has {told.n_variables} variables, devices keep {MOST_VARIABLES}"),
    ]
    for holds, broken in checks:
        if not holds:
            raise BundleError(f"{path}: the model {broken()}. Export the student with the exporter esphome.")


def arena_size(data: bytes) -> int:
    """What a manifest asks for: the measured arena with its margin, a multiple of 16 bytes."""
    from wakesmith.exporters import _tflite_run as micro

    return -(-int(micro.arena_bytes(data) * ARENA_MARGIN) // 16) * 16


def manifest(card: Card, model_file: str, arena: int, author: str) -> dict[str, Any]:
    """The manifest of version 2 of a bundle with an operating point. Raises BundleError for a point that no device can have."""
    tflite.check_phrases(len(card.phrases))
    point = card.operating_point
    if point is None:
        raise BundleError("the bundle has no operating point yet. Run `wakesmith evaluate`, then hand it over.")
    if point.smoothing_window > MOST_WINDOW:
        raise BundleError(f"smoothing_window {point.smoothing_window}: devices take at most {MOST_WINDOW}. Choose a shorter one.")
    return {
        "type": "micro", "wake_word": card.phrase, "author": author, "model": model_file, "trained_languages": [card.language],
        "version": 2,
        "micro": {
            "probability_cutoff": cutoff(point.threshold, point.smoothing_window), "feature_step_size": HOP_MS,
            "sliding_window_size": point.smoothing_window, "tensor_arena_size": arena, "minimum_esphome_version": LEAST_ESPHOME,
        },
    }  # fmt: skip


def as_it_fires(point: OperatingPoint) -> OperatingPoint:
    """The point with the threshold that devices make of it."""
    window = point.smoothing_window
    least = _whole(point.threshold, window) * window + 1
    return point.model_copy(update={"threshold": least / (window * 256)})


def cutoff(threshold: float, window: int) -> float:
    """The threshold as the manifest tells it, for a mean of `window` scores.

    ESPHome truncates 255 times it to a byte; earlier versions compare the float, and fire from the same sum on. pymicro-wakeword
    counts a score as n / 256 where they count n / 255, so it cannot be given the same: it fires up to 1/256 above, never below.
    """
    return math.ceil(_whole(threshold, window) * 10**5 / 255) / 10**5


def _whole(threshold: float, window: int) -> int:
    """A device fires when the sum of its window is over this number times the window: the least that fires at no lower mean.

    At most 254, as no sum is over 255 times the window: over a mean of 254/256 a device fires a little early.
    """
    least = math.ceil(threshold * 256 * window - 1e-9)  # a threshold that is a sum is not rounded to the next one
    return min(-(-(least - 1) // window), 254)


def hand_over(folder: str | Path, out: str | Path, author: str = "wakesmith") -> tuple[Path, Path]:
    """A bundle of this exporter, evaluated -> OUT/hey_nova.json and OUT/hey_nova.tflite, for ESPHome and Home Assistant.

    The model and its arena are checked again. Raises BundleError, and then writes nothing.
    """
    card = bundle.check(folder)
    data = (Path(folder) / card.model).read_bytes()
    check_contract(Path(folder) / card.model, data)
    name = re.sub(r"\W+", "_", card.phrase.lower()).strip("_")
    told = manifest(card, f"{name}.tflite", arena_size(data), author)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tflite.write_whole(out / f"{name}.tflite", data)
    tflite.write_whole(out / f"{name}.json", (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    return out / f"{name}.json", out / f"{name}.tflite"


def build(config: Config) -> EsphomeExporter:
    return EsphomeExporter(config)

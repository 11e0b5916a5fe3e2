"""Bundles that hear tones: real files for ONNX Runtime, small enough to be read, with scores that can be foretold."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.test_bundle import card
from wakesmith import bundle
from wakesmith.card import OperatingPoint, Phrase

RATE_HZ, STEP = 16_000, 1_280
POINT = OperatingPoint(threshold=0.5, smoothing_window=2, refractory_s=0.5, chosen_on="a test")


def make(folder: Path, tones_hz: dict[str, int], point: OperatingPoint | None = POINT) -> Path:
    """A bundle that hears a phrase in each tone: the score is 4 times its mean amplitude in the last two steps of 80 ms, to 1."""
    n = len(tones_hz)
    angles = [2 * np.pi * hz / RATE_HZ * np.arange(STEP) for hz in tones_hz.values()]
    waves = np.stack([wave(angle) * 2 / STEP for angle in angles for wave in (np.sin, np.cos)], 1).astype(np.float32)
    constants = {
        "waves": waves, "mix": np.repeat(np.eye(n, dtype=np.float32), 2, axis=0), "gain": np.float32([2]), "one": np.float32([1]),
        "shape": np.array([1, 1, n] if n > 1 else [1, 1]),
    }  # fmt: skip
    steps = [
        ("MatMul", ["samples", "waves"], "parts"), ("Mul", ["parts", "parts"], "squares"), ("MatMul", ["squares", "mix"], "sums"),
        ("Sqrt", ["sums"], "new_state"), ("Add", ["new_state", "state"], "both"), ("Mul", ["both", "gain"], "scaled"),
        ("Min", ["scaled", "one"], "flat"), ("Reshape", ["flat", "shape"], "scores"),
    ]  # fmt: skip

    def value(name: str, *sizes: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *sizes])

    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps], "tones",
        [value("samples", STEP), value("state", n)], [value("scores", 1, *([n] if n > 1 else [])), value("new_state", n)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    phrases = [Phrase(text=text, operating_point=point) for text in tones_hz]
    shapes = {"scores_per_step": 1, "state_size": n, "receptive_samples": 2 * STEP}
    labels = [*(f"wake_{i}" for i in range(n)), "noise"]
    bundle.save_card(
        folder, card(phrases=phrases, labels=labels, sha256=bundle.file_sha256(folder / "model.onnx"), parameters=n, **shapes)
    )
    return folder


def tone(hz: float, start_s: float, length_s: float, total_s: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A tone of amplitude 0.4 in quiet noise. -> (N,) float32"""
    made = np.random.default_rng(0).normal(0, 0.003, round(total_s * rate_hz))
    at = np.arange(round(length_s * rate_hz))
    made[round(start_s * rate_hz) :][: len(at)] += 0.4 * np.sin(2 * np.pi * hz / rate_hz * at)
    return made.astype(np.float32)

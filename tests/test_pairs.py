"""The matrix of docs/devices.md: each pair that it claims scores as its student does, each other is refused with the reason.

    python -m pytest tests/test_pairs.py -s

prints the table: how near 99 of 100 scores of the file lie to the student's, on sound that it was not made by; the limit; bytes.
"""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import config, registry
from wakesmith.data.clips import CLIP_SAMPLES
from wakesmith.errors import WakesmithError
from wakesmith.exporters import onnx as plain
from wakesmith.exporters import onnx_int8, openwakeword, tflite
from wakesmith.exporters._listener import Listener
from wakesmith.steps import _recipe, _targets

pytest.importorskip("tflite_micro", reason="the extra `tflite` is not installed")
pytest.importorskip("pymicro_features", reason="the extra `tflite` is not installed")
from wakesmith.exporters import _tflite_run as micro

pytestmark = pytest.mark.slow
torch.set_num_threads(1)
DOC = Path(__file__).parents[1] / "docs" / "devices.md"
SMALL = {"mobilenet_v3": {"width": 0.25}}
"""Options that spare time."""
WARM = 25
ALLOWED = {"onnx": 1e-4, "onnx_int8": 0.1, "tflite": 0.08, "esphome": 0.08, "openwakeword": 1e-4}
"""The exporters' own tolerances; int8 may stray a quarter further on sound that it was not quantised by."""


def claims() -> list[tuple[str, str, str, str]]:
    """(student, front-end, exporter, first word: yes or no) of every cell of the table."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in DOC.read_text(encoding="utf-8").splitlines()]
    head = next(i for i, row in enumerate(rows) if row[:2] == ["student", "front-end"])
    exporters, found = [re.sub("`", "", cell) for cell in rows[head][2:]], []
    for row in rows[head + 2 :]:
        if len(row) < 3:
            return found
        for student in row[0].split(", "):
            for front_end in row[1].split(", "):
                found += [
                    (student, front_end, exporter, re.match(r"\w+", cell)[0])
                    for exporter, cell in zip(exporters, row[2:], strict=True)
                ]
    raise AssertionError("the table does not end")


def sounds(*seeds: int) -> list[np.ndarray]:
    return [parts.sound(12.0, seed).astype(np.float32) / 32_768 for seed in seeds]


@functools.cache
def listener(student: str, front_end: str) -> Listener:
    """A student of random weights whose norms know the sounds, and whose scores go up and down with them."""
    torch.manual_seed(1)
    features = registry.build("features", config.part("features", front_end))
    views = np.stack([one[at:][:CLIP_SAMPLES] for one in sounds(0, 1, 2, 3) for at in range(0, len(one) - CLIP_SAMPLES, 16_000)])
    with torch.no_grad():
        rows = features(torch.from_numpy(views))
    part = config.part("students", student, **SMALL.get(student, {}))
    made = registry.build("students", part, features.n_mels, rows.shape[1], 4).train()
    for layer in made.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        made(rows)
        logits, _ = made.eval()(rows)
        head = [layer for layer in made.modules() if isinstance(layer, torch.nn.Linear)][-1]
        head.weight.mul_(1.0 / logits.std(dim=0)[:, None])
        head.bias.mul_(0).sub_(made(rows)[0].mean(dim=0) - head.bias)
    return Listener(features, made, 1)


def recipe(student: str, front_end: str, exporter: str) -> _recipe.Recipe:
    still = (
        {"train": {"band_stretch": 0.0, "band_shift": 0.0, "band_gain": 0.0}} if front_end in ("raw", "speech_embedding") else {}
    )
    own = {"student": {"name": student, **SMALL.get(student, {})}, "features": front_end, "export": {"targets": [exporter]}}
    return _recipe.load({"phrase": "hey nova", **own, **still})


def taken(made: Listener, samples: np.ndarray) -> np.ndarray:
    """(N,) -> inputs of the listener, step by step."""
    heard: np.ndarray = samples[: len(samples) // made.step_samples * made.step_samples]
    if made.is_outside:
        heard = made.front_end.step(torch.from_numpy(heard)[None], made.front_end.initial_state())[0][0].numpy()
    return heard.reshape(-1, *made.input_shape)


def calibration(made: Listener) -> list[np.ndarray]:
    """Streams of what the listener takes: (N,) samples or (T, F) features each."""
    return [one.reshape(-1, *one.shape[3:]) for one in (taken(made, sound) for sound in sounds(0, 1, 2, 3))]


def differences(made: Listener, exporter: str, path: Path) -> np.ndarray:
    """|score of the file - score of the student| over sound that it was not made by."""
    data = path.read_bytes()
    if exporter == "openwakeword":
        with torch.no_grad():
            embeddings = made.front_end(torch.from_numpy(sounds(9)[0])[None])
            wanted = made.student.step(embeddings, made.student.initial_state())[0].softmax(dim=-1)[0, 15:, 0].numpy()
        windows = embeddings[0].unfold(0, 16, 1).transpose(1, 2).numpy()
        lite = openwakeword.tflite_scores(path.with_suffix(".tflite").read_bytes(), windows)
        return np.maximum(np.abs(openwakeword.onnx_scores(data, windows) - wanted), np.abs(lite - wanted))
    heard = taken(made, sounds(9)[0])
    if exporter in ("onnx", "onnx_int8"):
        whole = plain.graph(made, 18).SerializeToString() if exporter == "onnx_int8" else None
        wanted = onnx_int8.scores(whole, heard, WARM) if whole else by_student(made, heard)
        return np.abs(onnx_int8.scores(data, heard, WARM) - wanted)
    features = heard.reshape(-1, heard.shape[-1])
    n = len(features) // micro.Runner(data).stride * micro.Runner(data).stride
    return np.abs(micro.Runner(data).scores(features[:n]) - tflite.float_scores(made.student, features[:n]))


def by_student(made: Listener, heard: np.ndarray) -> np.ndarray:
    state, said = torch.zeros(1, made.state_size), []
    with torch.no_grad():
        for one in heard:
            scores, state = made(torch.from_numpy(one), state)
            said.append(scores[0].numpy())
    return np.stack(said[WARM:])


@pytest.mark.parametrize(("student", "front_end", "exporter"), [claim[:3] for claim in claims() if claim[3] == "yes"])
def test_a_claimed_pair_scores_as_its_student_does(student: str, front_end: str, exporter: str, tmp_path: Path):
    _targets.check(recipe(student, front_end, exporter))
    made, part = listener(student, front_end), registry.build("exporters", config.part("exporters", exporter))
    path = tmp_path / part.file_name
    part.export(made, path, [] if part.calibrates_on is None else calibration(made))

    apart = np.quantile(differences(made, exporter, path), 0.99)

    print(f"\n| {student} | {front_end} | {exporter} | {apart:.2g} | {ALLOWED[exporter]:g} | {path.stat().st_size:,} |")
    assert apart <= ALLOWED[exporter] * (1.25 if ALLOWED[exporter] > 0.01 else 1)


@pytest.mark.parametrize(("student", "front_end", "exporter"), [claim[:3] for claim in claims() if claim[3] == "no"])
def test_a_pair_that_is_not_claimed_is_refused_before_training(student: str, front_end: str, exporter: str):
    with pytest.raises(WakesmithError) as told:
        _targets.check(recipe(student, front_end, exporter))

    print(f"\n| {student} | {front_end} | {exporter} | refused: {told.value}")


def test_the_table_has_every_student_and_exporter():
    assert {claim[0] for claim in claims()} == set(registry.names("students"))
    assert {claim[2] for claim in claims()} == set(registry.names("exporters"))

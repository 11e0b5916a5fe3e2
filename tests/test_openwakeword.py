"""openWakeWord: the head in both of its runtimes, over the same stream as our student."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import config, registry
from wakesmith.errors import BundleError
from wakesmith.exporters import openwakeword
from wakesmith.exporters._listener import Listener
from wakesmith.features import speech_embedding

pytest.importorskip("tflite_micro", reason="the extra `tflite` is not installed")
pytest.importorskip("ai_edge_litert", reason="the extra `tflite` is not installed")

torch.set_num_threads(1)
PACKAGES = ("openwakeword==0.4.0", "pyopen-wakeword==1.1.0", "scikit-learn", "joblib", "threadpoolctl", "narwhals", "cloudpickle")
"""Those after the second one are what openwakeword imports and this environment lacks."""
EMBEDDING = speech_embedding.FILES[1]
"""openwakeword 0.4.0 carries an older conversion of this network, whose embeddings differ from those of pyopen-wakeword and
of our front-end: it is given theirs."""
SAMPLES = parts.sound(8.0, seed=3)[: 1280 * 100]

IN_OPENWAKEWORD = """
import json, sys
import numpy as np
from openwakeword.model import Model
model = Model(wakeword_model_paths=[sys.argv[1]], embedding_onnx_model_path=sys.argv[3])
samples = np.load(sys.argv[2])
found = [model.predict(samples[i : i + 1280]) for i in range(0, len(samples), 1280)]
print(json.dumps([float(next(iter(one.values()))) for one in found]))
"""
IN_PYOPEN = """
import json, sys
import numpy as np
from pyopen_wakeword import OpenWakeWord, OpenWakeWordFeatures
features, head = OpenWakeWordFeatures.from_builtin(), OpenWakeWord.from_model(sys.argv[1])
samples, found = np.load(sys.argv[2]), []
for i in range(0, len(samples), 1280):
    for embeddings in features.process_streaming(samples[i : i + 1280].tobytes()):
        found += list(head.process_streaming(embeddings))
print(json.dumps(found))
"""


@functools.cache
def listener(n_phrases: int = 1) -> Listener:
    """A head of random weights whose norms know the sounds, and whose scores go up and down with them."""
    torch.manual_seed(1)
    front_end = registry.build("features", config.part("features", "speech_embedding"))
    student = registry.build("students", config.part("students", "speech_embedding_head"), 96, 18, 4).train()
    embeddings = front_end(torch.from_numpy(SAMPLES.astype(np.float32))[None] / 32_768)[0, 20:]
    rows = embeddings.unfold(0, 9, 1).transpose(1, 2)
    for layer in student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        logits, _ = student(rows)
        student.head.weight.mul_(2.0 / logits.std(dim=0)[:, None])
        student.head.bias.sub_(student(rows)[0].mean(dim=0))
    return Listener(front_end, student, n_phrases)


def student_scores(samples: np.ndarray) -> np.ndarray:
    """(N,) int16 -> a score each 80 ms, as our own listener gives them."""
    made = listener()
    features = made.front_end(torch.from_numpy(samples.astype(np.float32))[None] / 32_768)
    with torch.no_grad():
        return made.student.step(features, made.student.initial_state())[0].softmax(dim=-1)[0, :, 0].numpy()


def exported(folder: Path, **options: object) -> Path:
    exporter = registry.build("exporters", config.part("exporters", "openwakeword", **options))
    exporter.export(listener(), folder / exporter.file_name)
    return Path(folder / exporter.file_name)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("head"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both runtimes in a folder of their own, beside this environment's numpy and onnxruntime."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PACKAGES], check=True)
    return folder


def said_by(packages: Path, program: str, model: Path, folder: Path, samples: np.ndarray = SAMPLES) -> np.ndarray:
    """What a program's runtime says of int16 samples (N,): a score each 80 ms."""
    np.save(folder / "samples.npy", samples)
    made = subprocess.run(
        [sys.executable, "-c", program, str(model), str(folder / "samples.npy"), str(speech_embedding._package_file(EMBEDDING))],
        env={**os.environ, "PYTHONPATH": str(packages)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return np.array(json.loads(made.stdout))


def test_both_files_take_16_embeddings_and_give_one_score(onnx_file: Path):
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    lite = Interpreter(model_path=str(onnx_file.with_suffix(".tflite")))

    assert [port.shape for port in (*session.get_inputs(), *session.get_outputs())] == [[1, 16, 96], [1, 1]]
    assert [port["shape"].tolist() for port in (*lite.get_input_details(), *lite.get_output_details())] == [[1, 16, 96], [1, 1]]
    assert {port["dtype"] for port in (*lite.get_input_details(), *lite.get_output_details())} == {np.float32}


def test_what_was_heard_before_the_last_nine_embeddings_changes_nothing(onnx_file: Path):
    heard = np.random.default_rng(0).standard_normal((1, 16, 96)).astype(np.float32)
    other = heard.copy()
    other[:, :7] += 3.0

    for path, run in ((onnx_file, openwakeword.onnx_scores), (onnx_file.with_suffix(".tflite"), openwakeword.tflite_scores)):
        assert run(path.read_bytes(), heard) == pytest.approx(run(path.read_bytes(), other), abs=1e-6)


def test_the_same_student_gives_the_same_bytes(onnx_file: Path, tmp_path: Path):
    again = exported(tmp_path)

    assert again.read_bytes() == onnx_file.read_bytes()
    assert again.with_suffix(".tflite").read_bytes() == onnx_file.with_suffix(".tflite").read_bytes()


def test_a_narrow_tolerance_writes_nothing(tmp_path: Path):
    with pytest.raises(BundleError, match=r"model\.onnx: scores differ"):
        exported(tmp_path, tolerance=1e-12)

    assert list(tmp_path.iterdir()) == []


def test_a_student_of_other_features_is_refused():
    with pytest.raises(BundleError, match="DsCnn hears no speech embeddings"):
        openwakeword.of(registry.build("students", config.part("students", "ds_cnn"), 40, 150, 4), 1)


def test_another_student_is_refused_before_it_is_trained():
    features, head = config.part("features", "speech_embedding"), config.part("students", "speech_embedding_head")
    settings = config.part("exporters", "openwakeword")

    openwakeword.check_budget(features, head, 1, 18, settings)
    with pytest.raises(BundleError, match="raw_cnn hears no speech embeddings"):
        openwakeword.check_budget(features, config.part("students", "raw_cnn"), 1, 18, settings)


def test_several_phrases_are_refused():
    with pytest.raises(BundleError, match="2 phrases"):
        openwakeword.of(listener().student, 2)


@pytest.mark.slow
def test_openwakeword_scores_a_stream_as_our_student_does(packages: Path, onnx_file: Path, tmp_path: Path):
    said = said_by(packages, IN_OPENWAKEWORD, onnx_file, tmp_path)

    wanted = student_scores(SAMPLES)
    assert wanted[25:].std() > 0.05
    assert said[25:] == pytest.approx(wanted[25:], abs=1e-3)


@pytest.mark.slow
def test_pyopen_wakeword_scores_a_stream_as_our_student_does(packages: Path, onnx_file: Path, tmp_path: Path):
    """Its windows begin with a chunk where openwakeword's end with one: 160 samples apart, and a chunk later."""
    said = said_by(packages, IN_PYOPEN, onnx_file.with_suffix(".tflite"), tmp_path)

    wanted = student_scores(np.concatenate([np.zeros(160, np.int16), SAMPLES[:-160]]))
    assert said[-70:] == pytest.approx(wanted[-71:-1], abs=1e-2)

"""The whole road, small and real: espeak speaks, a tiny Whisper of random weights teaches, the bundle is heard by the runtime."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wakesmith import audio
from wakesmith.data.records import Clip, Recording, load_jsonl
from wakesmith.data.splits import leaks

pytestmark = pytest.mark.slow
pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")

SMALL = """
speak: {n_wake: 60, n_near_miss: 40, n_speech: 80}
views: {n_views: 2, n_rooms: 10}
teach: {epochs: 4, gate: warn}
student: {name: ds_cnn, width: 8}
train: {steps: 40, batch: 16, evaluations: 4}
data: {n_generated: 20}
"""


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    folder = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(0)
    sizes = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_layers": 1}
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    WhisperModel(WhisperConfig(**sizes, decoder_attention_heads=2, decoder_ffn_dim=64, vocab_size=64, **ends)).save_pretrained(
        folder
    )
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def command(out: Path, whisper: Path) -> list[str]:
    settings = out.parent / "small.yaml"
    settings.write_text(SMALL)
    words = ["forge", "hey nova", "--config", settings, "--teacher", f"whisper:{whisper}", "--out", out]
    return [sys.executable, "-m", "wakesmith.cli", *map(str, words)]


def forge(out: Path, whisper: Path) -> subprocess.CompletedProcess:
    done = subprocess.run(command(out, whisper), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory, whisper):
    out = tmp_path_factory.mktemp("forge") / "run"
    forge(out, whisper)
    return out


def bundle_of(out: Path) -> dict[str, bytes]:
    return {name: (out / "bundle" / name).read_bytes() for name in ("model.onnx", "card.json")}


def test_one_command_gives_a_report_and_a_bundle_that_loads(run):
    from wakesmith import load_bundle

    report = json.loads((run / "evaluate" / "report.json").read_text())

    assert report["test"]["conditions"][0]["n"] > 0
    assert (run / "evaluate" / "report.html").read_text().startswith("<!doctype html>")
    assert load_bundle(run / "bundle").process(np.zeros(16_000, np.float32)) == []


def test_a_second_run_redoes_nothing(run, whisper):
    before = {
        path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name not in (".lock", "config.yaml")
    }

    told = forge(run, whisper).stderr

    assert told.count("whole, nothing to do") == 8
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_train_dev_and_test_share_no_group(run):
    recordings = load_jsonl(run / "prepare" / "recordings.jsonl", Recording)

    assert {r.split for r in recordings} == {"train", "dev", "test"}
    assert not leaks(recordings)


def test_training_read_the_stored_answers_and_distilled_every_epoch(run):
    log = [json.loads(line) for line in (run / "train" / "metrics.jsonl").read_text().splitlines()]

    assert log[-1]["distilled_rows"] == 40 * 16
    assert "loss/KnowledgeDistillation" in log[0]


def test_labelling_again_asks_the_teacher_nothing(run):
    from wakesmith.steps.label import answer_all

    assert answer_all(run, 8) == 0


def test_no_epoch_of_training_calls_a_teacher(run, tmp_path):
    """Without teacher folder and encoder, the stored answers alone give the same weights to the bit."""
    for name in ("views", "prepare", "label"):
        (tmp_path / name).symlink_to(run / name)
    (tmp_path / "train").mkdir()
    code = (
        "import sys; from pathlib import Path\n"
        "from wakesmith.config import read_yaml; from wakesmith.steps import _recipe, train\n"
        "values = read_yaml(Path(sys.argv[1])); values['teacher'] = {'name': 'whisper', 'path': 'gone'}\n"
        "train.run(_recipe.load(values), Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, run / "config.yaml", tmp_path], check=True, timeout=300)

    made = [folder / "train" / "model.safetensors" for folder in (run, tmp_path)]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_no_test_clip_was_heard_in_training(run):
    from wakesmith.data.views import ViewStore

    views, clips = ViewStore.open(run / "views"), load_jsonl(run / "prepare" / "clips.jsonl", Clip)

    assert not any(views.holds(i, 0) for i, clip in enumerate(clips) if clip.split == "test")


def test_a_run_without_a_teacher_goes_the_road_without_asking_one(run, whisper, tmp_path):
    out = tmp_path / "run"
    done = subprocess.run([*command(out, whisper), "--set", "train.distil=false"], capture_output=True, text=True, timeout=900)

    assert done.returncode == 0, done.stderr
    assert not (out / "label").exists()
    assert bundle_of(out)["model.onnx"] != bundle_of(run)["model.onnx"]


def test_a_forge_killed_at_random_moments_gives_the_same_bundle(run, whisper, tmp_path):
    out, chance = tmp_path / "run", random.Random(1)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(
            command(out, whisper), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=chance.uniform(3, 25))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.5)
    forge(out, whisper)

    assert kills > 0
    assert bundle_of(out) == bundle_of(run)


def test_a_detection_is_printed_as_json(run, tmp_path):
    recordings = [
        r for r in load_jsonl(run / "prepare" / "recordings.jsonl", Recording) if r.label == "wake" and r.split == "test"
    ]
    path = tmp_path / "unheard.wav"
    audio.write(path, audio.read(run / "speak" / recordings[0].path))
    words = ["detect", run / "bundle", path, "--json", "--threshold", "0.01"]
    done = subprocess.run([sys.executable, "-m", "wakesmith.cli", *map(str, words)], capture_output=True, text=True, timeout=60)

    assert json.loads(done.stdout)["detections"]


def test_a_comparison_reports_misses_of_continuous_audio(run, whisper, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    words = [
        "compare",
        tmp_path / "run",
        "--teacher",
        f"whisper:{whisper}",
        "--seeds",
        "1",
        "--set",
        "evaluate.snrs_db=[10.0]",
        "--json",
    ]
    done = subprocess.run([sys.executable, "-m", "wakesmith.cli", *map(str, words)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr

    arms = json.loads(done.stdout)["arms"]
    assert [arm["name"] for arm in arms] == ["none", f"whisper:{whisper}"]
    assert all(0 <= arm[key]["mean"] <= 1 for arm in arms for key in ("frr_clean", "frr_all", "frr_at_rate", "dev_frr_all"))
    assert arms[1]["teacher"]["ms_per_view"] > 0
    assert "snrs_db: [10.0]" not in (tmp_path / "run" / "config.yaml").read_text()

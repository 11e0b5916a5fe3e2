"""The examples run as their readers run them; the browser's detector hears what ours hears."""

import configparser
import dataclasses
import functools
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml

from tests import docs_parts, scripts, test_detector, tone_bundle
from tests.tone_bundle import tone
from wakesmith import Detector, audio
from wakesmith.cli import app
from wakesmith.config import merge, read_yaml

EXAMPLES = Path(__file__).parent.parent / "examples"
BROWSER = EXAMPLES / "browser"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium")
ORT = Path(os.environ.get("WAKESMITH_NODE_MODULES", BROWSER / "node_modules")) / "onnxruntime-web"

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_bundle.make(tmp_path_factory.mktemp("bundle"), {"hey nova": 1_000, "stop": 3_000})


def sound() -> np.ndarray:
    """4 s: phrase one twice, too near one another to be two, then phrase two."""
    made = tone(1_000, 0.5, 0.3, 4.0) + tone(3_000, 2.5, 0.4, 4.0)
    made[16_000:19_000] += tone(1_000, 0.0, 3_000 / 16_000, 3_000 / 16_000)
    return audio.to_float(audio.to_int16(made))


def test_the_file_example_prints_what_the_detector_hears(bundle: Path, tmp_path: Path):
    audio.write(tmp_path / "a.wav", sound())
    command = [sys.executable, EXAMPLES / "file.py", bundle, tmp_path / "a.wav"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    found = Detector.load(bundle).process(audio.read(tmp_path / "a.wav"))
    assert [line.split("  ")[1:3] for line in told] == [[f"{hit.time_s:.2f} s", hit.phrase] for hit in found]
    assert {hit.phrase for hit in found} == {"hey nova", "stop"}


def test_the_microphone_example_gives_each_chunk_to_every_bundle(bundle: Path, tmp_path: Path, capsys):
    example = scripts.loaded("examples/microphone.py")
    other = tone_bundle.make(tmp_path / "other", {"again": 1_000})

    example.listen([Detector.load(bundle), Detector.load(other)], np.split(audio.to_int16(sound()), 50))

    assert {line.split("  ")[0] for line in capsys.readouterr().out.splitlines()} == {"hey nova", "stop", "again"}


def test_the_systemd_unit_starts_a_command_that_there_is():
    unit = configparser.ConfigParser(interpolation=None)
    unit.read(EXAMPLES / "wyoming" / "wakesmith.service")
    program, name, folder, *options = shlex.split(unit["Service"]["ExecStart"])

    command = typer.main.get_command(app).commands[name]
    given = command.make_context(name, [folder, *options]).params
    assert program.endswith("/wakesmith")
    assert (given["host"], given["port"], given["zeroconf"]) == ("0.0.0.0", 10400, True)


def test_the_esphome_example_takes_the_manifest_that_a_forge_hands_over_and_its_threshold():
    class Reader(yaml.SafeLoader):
        pass

    Reader.add_constructor("!secret", lambda _, node: node.value)
    own = yaml.load((EXAMPLES / "esphome" / "wake_word.yaml").read_text(), Reader)["micro_wake_word"]

    assert own["models"] == [{"model": "hey_nova.json"}]  # and no cutoff or window in place of the manifest's
    (shown,) = (block for block in docs_parts.blocks(EXAMPLES / "esphome" / "README.md", "yaml"))
    assert yaml.safe_load(shown.code)["micro_wake_word"]["models"][0]["model"] == "hey_nova.json"


def node(code: str, given: object) -> object:
    """What a module prints as JSON, with `given` as its input."""
    text = f"const given = JSON.parse(require('fs').readFileSync(0, 'utf8')); (async () => {{ {code} }})();"
    done = subprocess.run([NODE, "-e", text], input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LISTEN = """
const { Detector } = await import(given.module);
const { step_samples, scores_per_step } = given.card;
const step = async (samples, state) => {  // mean of |x| of each half, averaged with the half before: as in test_detector.py
  const halves = [0, 1].map((i) => {
    const half = samples.slice((i * step_samples) / 2, ((i + 1) * step_samples) / 2);
    return half.reduce((sum, x) => sum + Math.abs(x), 0) / half.length;
  });
  const after = new Float32Array(state.length);
  after[0] = halves[1];
  return { scores: Float32Array.of((halves[0] + state[0]) / 2, (halves[1] + halves[0]) / 2), state: after };
};
const detector = await Detector.ready(given.card, step);
const samples = Float32Array.from(given.samples);
const found = [];
for (let at = 0, turn = 0; at < samples.length; turn++) {
  const size = given.sizes[turn % given.sizes.length];
  found.push(...await detector.process(samples.slice(at, at + size)));
  at += size;
}
console.log(JSON.stringify(found));
"""


@needs_node
@pytest.mark.parametrize("sizes", [[48_000], [1_280], [1, 999, 5_000]])
@pytest.mark.parametrize(("window", "refractory_s"), [(1, 0.0), (3, 0.5), (10, 1.2)])
def test_the_browsers_detector_gives_the_detections_of_ours(sizes: list[int], window: int, refractory_s: float):
    point = dataclasses.replace(test_detector.POINT, smoothing_window=window, refractory_s=refractory_s)
    samples = test_detector.bursts()
    card = test_detector.card().model_dump(mode="json")
    card["phrases"][0]["operating_point"] = {**dataclasses.asdict(point), "chosen_on": "a test"}

    found = node(LISTEN, {"module": str(BROWSER / "detector.js"), "card": card, "samples": samples.tolist(), "sizes": sizes})

    wanted = test_detector.detector(point).process(samples)
    assert [(one["time_s"], one["phrase"]) for one in found] == [(one.time_s, one.phrase or "hey nova") for one in wanted]
    assert [one["score"] for one in found] == pytest.approx([one.score for one in wanted], abs=1e-5)
    assert found


@needs_node
@pytest.mark.parametrize(("change", "told"), [({"format_version": 1}, "format_version 1"), ({}, "no operating point")])
def test_the_browsers_detector_refuses_what_it_cannot_hear_with(change: dict, told: str):
    code = (
        "const { Detector } = await import(given.module);"
        "await Detector.ready(given.card).catch((error) => console.log(JSON.stringify(error.message)));"
    )
    card = test_detector.card().model_dump(mode="json") | change

    assert told in node(code, {"module": str(BROWSER / "detector.js"), "card": card})


RESAMPLE = """
const { Resampler } = await import(given.module);
const resampler = new Resampler(given.rate_hz);
const made = [];
for (let at = 0; at < given.samples.length; at += given.size) {
  made.push(...resampler.process(Float32Array.from(given.samples.slice(at, at + given.size))));
}
console.log(JSON.stringify(made));
"""


@needs_node
@pytest.mark.parametrize("size", [100_000, 1_024, 77])
@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 16_000, 8_000])
def test_the_browsers_resampler_gives_the_sound_of_ours(rate_hz: int, size: int):
    t = np.arange(rate_hz // 2) / rate_hz
    samples = (0.3 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * 3_000 * t + 1)).astype(np.float32)
    given = {"module": str(BROWSER / "resampler.js"), "rate_hz": rate_hz, "samples": samples.tolist(), "size": size}

    made, wanted = np.array(node(RESAMPLE, given)), audio.resample(samples, rate_hz, 16_000)

    assert len(wanted) - 200 < len(made) <= len(wanted)
    inner = slice(200, len(made) - 200)
    assert made[inner] == pytest.approx(wanted[inner], abs=2e-3)


@needs_node
def test_the_browsers_resampler_lets_nothing_through_that_16_khz_cannot_hold():
    t = np.arange(24_000) / 48_000
    samples = 0.5 * np.sin(2 * np.pi * 9_000 * t)
    given = {"module": str(BROWSER / "resampler.js"), "rate_hz": 48_000, "samples": samples.tolist(), "size": 24_000}

    assert np.abs(node(RESAMPLE, given))[200:-200].max() < 5e-4


# The page itself, in Chromium


def missing() -> str:
    if CHROMIUM is None:
        return "chromium is not installed"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return (
        "" if ORT.is_dir() else "onnxruntime-web is not installed: npm install in examples/browser, or set WAKESMITH_NODE_MODULES"
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP on this machine, as `python -m http.server` does."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *told: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The example's folder, with onnxruntime-web in it."""
    if why := missing():
        pytest.skip(why)
    folder = tmp_path / "site"
    shutil.copytree(BROWSER, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "onnxruntime-web").symlink_to(ORT)
    return folder


@contextmanager
def opened(url: str, *flags: str) -> Iterator[tuple[object, list[str]]]:
    """(page, addresses that it asked for)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])
        page = browser.new_page()
        page.set_default_timeout(120_000)  # other work may run beside
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        yield page, asked
        browser.close()


HEAR = """async ({samples, size}) => {
  const { load } = await import("./bundle.js");
  const card = await (await fetch("card.json")).json();
  const detector = await load(card, await (await fetch(card.model)).arrayBuffer());
  const heard = [], found = [];
  const hear = (time_s, scores) => heard.push([time_s, ...scores]);
  for (let at = 0; at < samples.length; at += size) {
    found.push(...await detector.process(Float32Array.from(samples.slice(at, at + size)), hear));
  }
  return { heard, found };
}"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tones", "a trained network"])
def test_in_the_browser_the_model_gives_the_scores_and_detections_of_ours(site: Path, bundle: Path, name: str, request):
    folder = bundle if name == "tones" else request.getfixturevalue("sensitive")
    shutil.copytree(folder, site, dirs_exist_ok=True)
    listener, samples = Detector.load(folder), sound()
    with served(site) as url, opened(url) as (page, asked):
        told = page.evaluate(HEAR, {"samples": samples.tolist(), "size": 1_000})

    times_s, scores = listener.scores(samples)
    heard = np.array(told["heard"])
    assert np.array_equal(heard[:, 0], times_s)
    assert heard[:, 1:] == pytest.approx(scores.reshape(len(scores), -1), abs=1e-4)
    wanted = listener.process(samples)
    assert [(one["time_s"], one["phrase"]) for one in told["found"]] == [(hit.time_s, hit.phrase) for hit in wanted]
    assert wanted
    assert all(one.startswith(url) for one in asked)


SHOWN = """async (samples) => {
  window.card = await (await fetch("card.json")).json();
  window.modelBytes = await (await fetch(window.card.model)).arrayBuffer();
  window.samples = Float32Array.from(samples);
  const script = Object.assign(document.createElement("script"), {type: "module", src: "shown.js"});
  const found = new Promise((done, fail) => Object.assign(window, {done, onerror: fail}));
  document.head.append(script);
  return await found;
}"""


@pytest.mark.slow
def test_the_code_that_the_browsers_page_shows_hears_the_phrase(site: Path, bundle: Path):
    (shown,) = docs_parts.blocks(BROWSER / "README.md", "js")
    shutil.copytree(bundle, site, dirs_exist_ok=True)
    (site / "shown.js").write_text(f"{shown.code}\nwindow.done(hits);\n")
    with served(site) as url, opened(url) as (page, _):
        hits = page.evaluate(SHOWN, sound().tolist())

    wanted = Detector.load(bundle).process(sound())
    assert [(one["time_s"], one["phrase"]) for one in hits] == [(hit.time_s, hit.phrase) for hit in wanted]
    assert wanted


@pytest.fixture
def sensitive(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The small DS-CNN, at a threshold between two of its scores."""
    from wakesmith import bundle as bundles

    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "sensitive"))
    ordered = np.sort(Detector.load(folder).scores(sound())[1])
    at = len(ordered) // 2 + int(np.argmax(np.diff(ordered[len(ordered) // 2 :])))
    threshold = float(ordered[at : at + 2].mean())
    bundles.set_operating_point(folder, bundles.OperatingPoint(threshold=threshold, refractory_s=0.1, chosen_on="a test"))
    return folder


@pytest.mark.slow
def test_the_page_hears_a_phrase_at_the_microphone_and_asks_nobody_else(site: Path, bundle: Path, tmp_path: Path):
    audio.write(tmp_path / "said.wav", sound())
    flags = (
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={tmp_path / 'said.wav'}", "--autoplay-policy=no-user-gesture-required",
    )  # fmt: skip
    with served(site) as url, opened(url, *flags) as (page, asked):
        page.set_input_files("#files", [bundle / "card.json", bundle / "model.onnx"])
        page.click("#listen:enabled")
        for phrase in ("hey nova", "stop"):
            page.locator("#hits li", has_text=f"{phrase} at").first.wait_for()
        assert page.inner_text("#told") == "Listening."
        page.click("#listen")
        assert page.inner_text("#told") == "Stopped."
    assert asked
    assert all(one.startswith(url) for one in asked)


NO_MODEL = "export const load = async (card) => ({ card, reset() {}, async process() { return []; } });"
GRANTED_LATE = """() => {
  const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
  window.asked = [];
  devices.getUserMedia = (wanted) => {
    const stream = new Promise((granted) => setTimeout(granted, 300)).then(() => ask(wanted));
    asked.push(stream);
    return stream;
  };
}"""
OPEN = """async () => {
  const tracks = (await Promise.all(asked)).flatMap((stream) => stream.getTracks());
  return tracks.map((track) => track.readyState === "live");
}"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="needs chromium and playwright")
def test_the_page_leaves_no_microphone_open_that_was_stopped_before_it_was_granted(tmp_path: Path):
    folder = Path(shutil.copytree(BROWSER, tmp_path / "site", ignore=shutil.ignore_patterns("node_modules")))
    (folder / "bundle.js").write_text(NO_MODEL)
    card = {"model": "model.onnx", "rate_hz": 16_000, "phrases": [{"text": "hey nova", "operating_point": {"threshold": 0.5}}]}
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "model.onnx").touch()
    with (
        served(folder) as url,
        opened(url, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream") as (page, _),
    ):
        page.evaluate(GRANTED_LATE)
        page.set_input_files("#files", [tmp_path / "card.json", tmp_path / "model.onnx"])
        page.click("#listen:enabled")
        page.click("#listen")
        assert page.evaluate(OPEN) == [False]
        assert (page.inner_text("#told"), page.inner_text("#listen")) == ("Stopped.", "Listen")

        page.click("#listen")
        page.locator("#told", has_text="Listening.").wait_for()
        assert page.evaluate(OPEN) == [False, True]
        page.click("#listen")
        assert page.evaluate(OPEN) == [False, False]


@pytest.mark.slow
def test_the_page_tells_when_the_files_are_of_two_bundles(site: Path, bundle: Path, tmp_path: Path):
    other = tone_bundle.make(tmp_path / "other", {"again": 2_000})
    with served(site) as url, opened(url) as (page, _):
        page.set_input_files("#files", [bundle / "card.json", other / "model.onnx"])
        page.wait_for_selector("#told[data-bad]")
        assert "Take both files of one bundle" in page.inner_text("#told")
        page.set_input_files("#files", [bundle / "model.onnx"])
        page.locator("#told", has_text="Choose it and the model together").wait_for()


# Training: the tiny run of sweeps and beats stands for the reader's own


def ran(*words: object, **environment: str) -> str:
    """Standard output of a program that ends well."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_evaluation_example_counts_misses_and_false_wakes(bundle: Path, tmp_path: Path):
    for name, hz in (("phrases", 1_000), ("others", 2_000)):
        (tmp_path / name).mkdir()
        audio.write(tmp_path / name / "a.wav", tone(hz, 0.5, 0.4, 2.0))
    audio.write(tmp_path / "phrases" / "missed.wav", tone(2_000, 0.5, 0.4, 2.0))
    told = ran(sys.executable, EXAMPLES / "evaluate.py", bundle, tmp_path / "phrases", tmp_path / "others").splitlines()

    assert told[0].startswith("missed 1 of 2 phrases: ")
    assert told[1].startswith("0 false wakes in 0.00 h: 0.00 to ")


@pytest.mark.slow
def test_the_distillation_example_compares_the_student_with_and_without_a_teacher(run: Path, forged: Path):
    recipe = read_yaml(run / "config.yaml")
    recipe = merge(recipe, {"train": {"steps": 20}, "teacher": recipe["teacher"]})
    (run / "config.yaml").write_text(yaml.safe_dump(recipe))
    told = ran(sys.executable, EXAMPLES / "train_with_distillation.py", run, f"whisper:{forged.parent / 'whisper'}", 1)

    rows = [line.split(" | ")[0].strip("| ") for line in told.splitlines() if line.startswith("| ")]
    assert rows == ["teacher", "none", "labels and teacher", "softer answers", "without the embedding"]


@pytest.mark.slow
def test_the_checkpoint_example_teaches_with_weights_of_ones_own(run: Path, tmp_path: Path):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel

    from tests import tiny_encoders
    from wakesmith.steps import _recipe, forge

    folders = [tiny_encoders.save("wav2vec2", tmp_path / name) for name in ("first", "second")]
    tuned = AutoModel.from_pretrained(folders[1])
    with torch.no_grad():
        for weight in tuned.parameters():
            weight.add_(0.1)
    tuned.save_pretrained(folders[1])
    ran(sys.executable, EXAMPLES / "own_teacher_checkpoint" / "save.py", tmp_path / "mine.safetensors", *folders)
    one, mean = (load_file(path) for path in (folders[0] / "model.safetensors", tmp_path / "mine.safetensors"))

    own = read_yaml(EXAMPLES / "own_teacher_checkpoint" / "teacher.yaml")
    here = {"teacher": {"path": str(folders[0]), "checkpoint": str(tmp_path / "mine.safetensors")}, "teach": {"gate": "off"}}
    recipe = _recipe.load(merge(merge(read_yaml(run / "config.yaml"), own), here))
    made = {checkpoint: taught(recipe, run, checkpoint) for checkpoint in (recipe.teacher.checkpoint, "")}
    forge.one(recipe, run, "teach")

    name = "encoder.layers.0.final_layer_norm.weight"
    assert mean[name] == pytest.approx(one[name] + 0.05, abs=1e-5)
    assert made[recipe.teacher.checkpoint] != made[""]


def taught(recipe, run: Path, checkpoint: str) -> str:
    """Fingerprint of the encoder that taught."""
    from wakesmith.steps import forge

    teacher = recipe.teacher.model_copy(update={"checkpoint": checkpoint})
    forge.one(recipe.model_copy(update={"teacher": teacher}), run, "teach")
    return json.loads((run / "teach" / "card.json").read_text())["encoder_fingerprint"]


@pytest.mark.slow
def test_the_student_example_is_installed_trained_and_exported(run: Path, tmp_path: Path):
    pytest.importorskip("setuptools", minversion="70", reason="older ones need the package wheel beside them")
    source = shutil.copytree(EXAMPLES / "own_student", tmp_path / "own_student")
    install = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        tmp_path / "here",
        source,
    )
    ran(sys.executable, *install)
    command = (sys.executable, "-m", "wakesmith.cli")
    student = yaml.safe_dump(read_yaml(source / "student.yaml")["student"], default_flow_style=True).strip()
    chosen = ("--set", f"student={student}", "--set", "train.steps=20")
    students = json.loads(ran(*command, "parts", "students", "--json", PYTHONPATH=str(tmp_path / "here")))
    for step in ("train", "export", "evaluate"):
        ran(*command, step, run, *chosen, PYTHONPATH=str(tmp_path / "here"))

    assert "narrow" in [one["student"] for one in students]
    assert json.loads((run / "bundle" / "card.json").read_text())["student"]["name"] == "narrow"
    assert (run / "evaluate" / "report.html").exists()

"""The judge on scores made by hand, and the whole step on a tiny real bundle whose score is how loud its tone is."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.test_bundle import card
from wakesmith import audio, bundle, metrics
from wakesmith.bundle import OperatingPoint
from wakesmith.data import audio_store
from wakesmith.data.records import Recording, save_jsonl
from wakesmith.errors import DataError, WakesmithError
from wakesmith.run import write_json
from wakesmith.runtime.detector import Detector
from wakesmith.steps import _judge, evaluate
from wakesmith.steps._judge import Heard
from wakesmith.steps._streams import Condition, Event

POINT = OperatingPoint(threshold=0.5, refractory_s=1.0, chosen_on="dev, by hand")
STEP = 1280
TONE_HZ = 1_000


def heard(split: str, phrases: list[float], negatives: list[float], hours: float) -> Heard:
    """Phrases and other sounds 5 s apart, each a single score of its height."""
    made = Heard(split)

    def scores(heights: list[float]) -> tuple[np.ndarray, np.ndarray]:
        times_s = np.arange(1, 63 * len(heights) + 63) * 0.08
        found = np.zeros(len(times_s))
        found[[63 * (i + 1) for i in range(len(heights))]] = heights
        return times_s, found

    times_s, found = scores(phrases)
    events = [Event(f"{split}-{i}", times_s[63 * (i + 1)] - 0.5, times_s[63 * (i + 1)] - 0.1) for i in range(len(phrases))]
    made.add("positives", "clean", Condition(), events, 0.01, times_s, found)
    made.add("negatives", "other", None, [], hours, *scores(negatives))
    return made


def test_dev_chooses_the_lowest_threshold_that_keeps_to_the_rate():
    dev = heard("dev", [0.9, 0.7], [0.8, 0.6, 0.5], hours=4.0)
    settings = evaluate.Settings(target_fa_per_hour=0.5, smoothing_windows=[1])

    point = _judge.choose(dev, settings)

    assert 0.5 < point.threshold < 0.501
    assert dev.false_accepts(point) == 2
    assert point.chosen_on == "dev, 4.00 h"


def test_test_is_judged_at_the_thresholds_of_dev():
    dev, test = heard("dev", [0.9, 0.7], [0.6], hours=1.0), heard("test", [0.9, 0.55, 0.3], [0.95, 0.65], hours=2.0)
    told = _judge.judge(test, dev, POINT, evaluate.Settings(smoothing_windows=[1]))

    row = next(row for row in told["rates"] if row["target_fa_per_hour"] == 0.5)
    assert (row["is_bound"], row["clean"]["missed"], row["false_accepts"]["count"]) == (True, 2, 2)
    assert 0.6 < row["threshold"] < 0.601


def test_the_shipped_point_is_told_with_its_intervals():
    dev = heard("dev", [0.9], [0.6], hours=1.0)
    told = _judge.judge(heard("test", [0.9, 0.55, 0.3], [0.95], hours=2.0), dev, POINT, evaluate.Settings())

    clean = told["conditions"][0]
    assert (clean["missed"], clean["n"], clean["frr"]) == (1, 3, pytest.approx(1 / 3))
    assert (clean["low"], clean["high"]) == metrics.wilson(1, 3)
    assert told["false_accepts"]["per_hour"] == 0.5
    assert (told["false_accepts"]["low"], told["false_accepts"]["high"]) == metrics.poisson(1, 2.0)


def test_a_score_long_after_the_phrase_does_not_count_for_it():
    made = heard("test", [0.9], [], hours=1.0)
    stream = made.streams["positives"][0]
    late = dataclasses.replace(stream, events=[Event("test-0", 1.0, 1.5)])

    assert _judge.best(stream, 1, 1.0).tolist() == [0.9]
    assert _judge.best(late, 1, 1.0).tolist() == [0.0]


def test_sources_are_never_averaged():
    voices = {f"{s}-{i}": SimpleNamespace(source=s) for s in ("espeak", "real") for i in range(2)}
    rows = _judge.by_source({"by_recording": {"espeak-0": 0.9, "espeak-1": 0.9, "real-0": 0.1, "real-1": 0.9}}, voices, 0.5)

    assert [(row["source"], row["missed"], row["n"]) for row in rows] == [("espeak", 0, 2), ("real", 1, 2)]


def test_near_misses_are_told_by_what_was_said():
    texts = {"a": SimpleNamespace(text="hey nora"), "b": SimpleNamespace(text="hey nora"), "c": SimpleNamespace(text="nova")}
    rows = _judge.by_text({"near_misses": {"a": 0.9, "b": 0.2, "c": 0.4}}, texts, 0.5)

    assert [(row["text"], row["n"], row["fired"]) for row in rows] == [("hey nora", 2, 1), ("nova", 1, 0)]


def plain_student(folder):
    (folder / "train").mkdir(exist_ok=True)
    write_json(folder / "train" / "card.json", {"dev": {"accuracy": 1.0}})


def tone_model(folder: Path, gain: float = 4.0) -> None:
    """A bundle: score = min(1, gain * how much of a 1 kHz tone lies in the last 80 ms); the state only goes through."""
    angle = 2 * np.pi * TONE_HZ / 16_000 * np.arange(STEP)
    waves = (np.stack([np.sin(angle), np.cos(angle)], 1) * 2 / STEP).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["samples", "waves"], ["parts"]),
        helper.make_node("ReduceL2", ["parts", "axis"], ["size"], keepdims=1),
        helper.make_node("Mul", ["size", "gain"], ["scaled"]),
        helper.make_node("Min", ["scaled", "one"], ["scores"]),
        helper.make_node("Identity", ["state"], ["new_state"]),
    ]
    constants = {"waves": waves, "axis": np.array([1]), "gain": np.float32([gain]), "one": np.float32([1])}

    def value(name: str, size: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])

    graph = helper.make_graph(
        nodes, "tone", [value("samples", STEP), value("state", 1)], [value("scores", 1), value("new_state", 1)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    sha256 = bundle.file_sha256(folder / "model.onnx")
    bundle.save_card(folder, card(sha256=sha256, scores_per_step=1, state_size=1, receptive_samples=STEP))


def sound(label: str, number: int) -> tuple[np.ndarray, int, int]:
    """Wake: a 1 kHz tone. Near miss: a weak one under another. Speech: other tones; every fourth holds a little of it."""
    share = {"wake": 1.0, "near_miss": 0.4, "speech": 0.15 * (number % 4 == 0)}[label]
    t = np.arange(9_600) / 16_000
    tone = share * np.sin(2 * np.pi * TONE_HZ * t) + (1 - share) * np.sin(2 * np.pi * (300 + 20 * number) * t)
    made = np.zeros(16_000 if label != "speech" else 32_000, np.float32)
    made[3_200:12_800] = 0.2 * tone
    return made, 3_200, 12_800


def prepared(folder: Path) -> None:
    """folder/{prepare, views/bank, bundle, train, teach} as the steps before leave them."""
    recordings, sounds = [], []
    for split in ("dev", "test"):
        for label, n in (("wake", 6), ("near_miss", 4), ("speech", 12)):
            for number in range(n):
                made, start, end = sound(label, number)
                where = (start, end) if label != "speech" else (0, 0)
                source = "real" if label == "wake" and number == 0 else "espeak"
                name = f"{split}-{label}-{number}"
                recordings.append(
                    Recording(name, "-", f"{label} {number % 2}", label, name, source, "CC0-1.0", len(made), split, *where)
                )
                sounds.append(audio.to_int16(made))
    place = folder / "prepare"
    place.mkdir(parents=True)
    save_jsonl(place / audio_store.RECORDINGS, recordings)
    (place / audio_store.CLIPS).touch()
    (place / audio_store.CARD).write_text("{}")
    np.save(place / audio_store.AUDIO, np.concatenate(sounds))
    np.save(place / audio_store.OFFSETS, np.cumsum([0, *map(len, sounds[:-1])]))
    bank = folder / "views" / "bank"
    bank.mkdir(parents=True)
    hiss = audio.to_int16(0.1 * np.random.default_rng(0).standard_normal((2, 160_000)).astype(np.float32))
    for split in ("dev", "test"):
        np.save(bank / f"noise_{split}.npy", hiss)
        np.save(bank / f"babble_{split}.npy", hiss[:0])
    tone_model(folder / "bundle")
    plain_student(folder)


def recipe(**settings: object) -> SimpleNamespace:
    options = {"snrs_db": [20.0, 0.0], "smoothing_windows": [1, 2], **settings}
    return SimpleNamespace(
        phrases=["hey nova"], seed=3, student=SimpleNamespace(name="tone"), train=SimpleNamespace(distil=False),
        evaluate=evaluate.Settings(**options),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    prepared(folder)
    evaluate.run(recipe(), folder)
    return folder


def report_of(folder: Path) -> dict:
    return json.loads((folder / "evaluate" / "report.json").read_text())


def test_the_card_takes_the_operating_point_that_the_report_tells(run_folder: Path):
    point = bundle.load_card(run_folder / "bundle").operating_point

    assert point is not None
    assert point.model_dump(mode="json") == report_of(run_folder)["operating_point"]
    assert point.chosen_on.startswith("dev")


def test_a_detector_that_hears_the_tone_misses_nothing_clean(run_folder: Path):
    told = report_of(run_folder)["test"]

    assert (told["conditions"][0]["missed"], told["conditions"][0]["n"]) == (0, 6)
    assert told["false_accepts"]["count"] == 0
    assert [row["name"] for row in told["conditions"]] == ["clean", "noise 20 dB", "noise 0 dB"]


def test_the_shipped_bundle_fires_on_what_the_report_says_it_hears(run_folder: Path):
    made, _, _ = sound("wake", 0)

    assert len(Detector.load(run_folder / "bundle").process(np.concatenate([made, np.zeros(16_000, np.float32)]))) == 1


def test_hours_are_those_of_other_speech_and_noise_alone(run_folder: Path):
    assert report_of(run_folder)["test"]["hours"] == pytest.approx(12 * (32_000 + 16_000 // 3) / 16_000 / 3600)


def test_real_and_made_voices_stand_apart(run_folder: Path):
    assert [(row["source"], row["n"]) for row in report_of(run_folder)["sources"]] == [("espeak", 5), ("real", 1)]


def test_dev_and_test_share_no_recording(run_folder: Path):
    told = report_of(run_folder)

    assert not told["dev"]["by_recording"].keys() & told["test"]["by_recording"].keys()


def test_scores_that_an_interrupted_run_left_are_taken_up(run_folder: Path):
    first = (run_folder / "evaluate" / "report.json").read_bytes()
    made = {path: path.stat().st_mtime_ns for path in (run_folder / "evaluate" / "scores").iterdir()}
    next(iter(made)).unlink()

    evaluate.run(recipe(), run_folder)

    again = {path: path.stat().st_mtime_ns for path in (run_folder / "evaluate" / "scores").iterdir()}
    assert (run_folder / "evaluate" / "report.json").read_bytes() == first
    assert sum(made[path] != again[path] for path in made) == 1


def test_scores_of_another_model_are_not_taken_up(tmp_path: Path):
    prepared(tmp_path)
    evaluate.run(recipe(), tmp_path)
    tone_model(tmp_path / "bundle", gain=0.0)

    evaluate.run(recipe(), tmp_path)

    assert report_of(tmp_path)["test"]["conditions"][0]["frr"] == 1.0


def without(folder: Path, *, label: str, split: str) -> None:
    path = folder / "prepare" / audio_store.RECORDINGS
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        if record["label"] == label and record["split"] == split:
            record["split"] = "train"
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")


@pytest.mark.parametrize(
    ("label", "told"), [("wake", "no recording of the phrase in test"), ("speech", "no other speech or noise in test")]
)
def test_a_split_without_what_it_is_judged_by_is_refused(tmp_path: Path, label: str, told: str):
    prepared(tmp_path)
    without(tmp_path, label=label, split="test")

    with pytest.raises(DataError, match=told):
        evaluate.run(recipe(), tmp_path)


def test_a_rate_of_nothing_is_refused():
    from wakesmith.config import parse

    with pytest.raises(WakesmithError, match="target_fa_per_hour"):
        parse(evaluate.Settings, {"target_fa_per_hour": 0.0})


def always_on(split: str, level: float) -> Heard:
    made = heard(split, [0.9, 0.9], [0.3], hours=1.0)
    for streams in made.streams.values():
        streams[:] = [dataclasses.replace(s, scores=np.full(len(s.scores), level)) for s in streams]
    return made


def test_a_detector_that_is_always_on_hears_nothing():
    told = _judge.judge(always_on("test", 0.9), always_on("dev", 0.9), POINT, evaluate.Settings(smoothing_windows=[1]))

    assert told["conditions"][0]["frr"] == 1.0


@given(seed=st.integers(0, 10_000), allowed=st.integers(0, 6), window=st.integers(1, 5))
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_runtime_keeps_to_the_rate_on_dev(seed: int, allowed: int, window: int):
    chance = np.random.default_rng(seed)
    dev = heard("dev", [0.9], [0.1], hours=1.0)
    dev.streams["negatives"][0] = dataclasses.replace(
        dev.streams["negatives"][0], times_s=np.arange(1, 301) * 0.08, scores=chance.random(300) ** chance.uniform(0.5, 6)
    )
    point, _, kept = _judge.at_rate(dev, allowed + 0.5, window, evaluate.Settings(threshold_floor=0.05))

    assert kept
    assert dev.false_accepts(point) <= allowed


def test_negatives_at_the_very_top_are_told_as_a_rate_not_kept():
    dev = heard("dev", [1.0], [1.0, 1.0], hours=1.0)

    assert _judge.at_rate(dev, 0.5, 1, evaluate.Settings())[2] is False

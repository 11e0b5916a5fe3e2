"""Several phrases in one bundle: a score, an operating point and a judgement each."""

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from tests import students, test_detector, test_evaluate, test_export, test_report, tiny_encoders, tiny_run
from tests.test_bundle import card
from tests.test_detector import bursts
from wakesmith import audio, bundle, load_bundle, registry, report
from wakesmith.card import Card, OperatingPoint, Phrase
from wakesmith.cli import app
from wakesmith.data import audio_store
from wakesmith.errors import BundleError, DataError
from wakesmith.exporters import onnx as onnx_exporter
from wakesmith.exporters._listener import Listener
from wakesmith.promise import Point
from wakesmith.runtime.detector import Detector
from wakesmith.steps import _groups, evaluate, export, forge, mine
from wakesmith.steps._streams import Condition

torch.set_num_threads(1)
LOUD = OperatingPoint(threshold=0.25, smoothing_window=3, refractory_s=0.5, chosen_on="a test")
QUIET = OperatingPoint(threshold=0.7, refractory_s=0.2, chosen_on="a test")
OLD_CARD = """{"format_version": 1, "phrase": "hey nova", "language": "en", "labels": ["wake", "near_miss", "speech", "noise"],
 "rate_hz": 16000, "step_samples": 1280, "scores_per_step": 2, "state_size": 10, "receptive_samples": 24000,
 "listens": "streaming", "features": {"name": "log_mel"}, "student": {"name": "ds_cnn"}, "parameters": 100,
 "model": "model.onnx", "sha256": "%s", "operating_point": %s, "teacher": null, "data_licences": [], "versions": {}, "seed": 7}"""
POINT_OF_OLD = (
    '{"threshold": 0.42, "smoothing_window": 4, "refractory_s": 0.5, "target_fa_per_hour": 0.5, "chosen_on": "dev, 2 h"}'
)


def two(*points: OperatingPoint | None, **changes: object) -> Card:
    texts = ("yes", "no")
    return card(phrases=[Phrase(text=text, operating_point=point) for text, point in zip(texts, points, strict=True)], **changes)


class LoudAndQuiet(test_detector.Loudness):
    """`yes` is loudness, `no` is what it lacks of 1."""

    def step(self, samples, state):
        scores, state = super().step(samples, state)
        return np.stack([scores, 1 - scores], axis=-1), state


def detector(*points: OperatingPoint | None) -> Detector:
    return Detector(two(*points), LoudAndQuiet(), points)


# The card


def test_a_card_of_one_phrase_in_the_old_format_is_read(tmp_path: Path):
    (tmp_path / bundle.CARD).write_text(OLD_CARD % ("0" * 64, POINT_OF_OLD))

    read = bundle.load_card(tmp_path)

    assert (read.texts, read.phrase, read.seed) == (["hey nova"], "hey nova", 7)
    assert read.operating_point == OperatingPoint(
        threshold=0.42, smoothing_window=4, refractory_s=0.5, target_fa_per_hour=0.5, chosen_on="dev, 2 h"
    )


def test_an_old_card_may_have_no_operating_point_yet_and_is_written_in_todays_format(tmp_path: Path):
    (tmp_path / bundle.CARD).write_text(OLD_CARD % ("0" * 64, "null"))

    assert bundle.load_card(tmp_path).operating_point is None
    bundle.set_operating_point(tmp_path, LOUD)
    assert json.loads((tmp_path / bundle.CARD).read_text())["format_version"] == 2
    assert bundle.load_card(tmp_path).operating_point == LOUD


def test_each_phrase_keeps_its_operating_point(tmp_path: Path):
    bundle.save_card(tmp_path, two(None, None))

    bundle.set_operating_point(tmp_path, LOUD, QUIET)

    assert [one.operating_point for one in bundle.load_card(tmp_path).phrases] == [LOUD, QUIET]


def test_there_is_no_one_operating_point_of_two_phrases():
    with pytest.raises(BundleError, match=r"hears 2 phrases \(yes, no\)"):
        _ = two(LOUD, QUIET).operating_point


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"phrases": [{"text": "yes"}, {"text": "yes"}]}, "named twice"),
        ({"labels": ["yes", "no"]}, "2 phrases among 2 labels"),
        ({"phrases": []}, "phrases"),
    ],
)
def test_a_card_whose_phrases_cannot_be_is_refused(tmp_path: Path, changes: dict, told: str):
    bundle.save_card(tmp_path, two(None, None))
    path = tmp_path / bundle.CARD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    with pytest.raises(BundleError, match=told):
        bundle.load_card(tmp_path)


# The detector


def test_detections_of_all_phrases_come_in_order_of_time_with_their_names():
    found = detector(LOUD, QUIET).process(bursts())

    assert [one.time_s for one in found] == sorted(one.time_s for one in found)
    assert [one.phrase for one in found] == ["no", "yes", "no", "yes", "no", "yes", "no"]


def test_each_phrase_is_heard_as_a_detector_of_its_own_hears_it():
    alone = Detector(card(phrases=[Phrase(text="yes")]), test_detector.Loudness(), [LOUD]).process(bursts())

    assert [one for one in detector(LOUD, QUIET).process(bursts()) if one.phrase == "yes"] == alone


def test_chunks_change_nothing_for_several_phrases():
    listener = detector(LOUD, QUIET)

    found = [one for start in range(0, 48_000, 999) for one in listener.process(bursts()[start : start + 999])]

    assert found == detector(LOUD, QUIET).process(bursts())


def test_scores_have_a_column_for_each_of_several_phrases():
    times_s, scores = detector(LOUD, QUIET).scores(bursts())

    assert scores.shape == (len(times_s), 2)
    assert scores.sum(axis=1) == pytest.approx(1.0)
    assert Detector(card(), test_detector.Loudness(), [LOUD]).scores(bursts())[1].shape == (len(times_s),)


def test_without_every_operating_point_a_threshold_is_asked_for():
    with pytest.raises(BundleError, match="no operating point yet"):
        detector(LOUD, None).process(bursts())


# The file


@pytest.fixture(params=students.each("ds_cnn"), scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A student of five classes whose weights say different things of different sounds. -> (student, bundle of two phrases)"""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = test_export.recipe(request.param)
    recipe.phrases = ["yes", "no"]
    test_export.trained(request.param, folder)
    torch.manual_seed(2)
    n_values = registry.build("features", recipe.features).n_mels
    student = registry.build("students", recipe.student, n_values, 150, 5).eval()
    four = registry.build("students", recipe.student, n_values, 150, 4)
    export.load_weights(four, folder / "train" / "model.safetensors")
    shapes = student.state_dict()
    student.load_state_dict(
        {key: value for key, value in four.state_dict().items() if value.shape == shapes[key].shape}, strict=False
    )
    save_file({key: value.contiguous() for key, value in student.state_dict().items()}, folder / "train" / "model.safetensors")
    (folder / "train" / "card.json").write_text(json.dumps({"n_classes": 5, "n_frames": 150}))
    return student, export.run(recipe, folder)


@pytest.mark.slow
def test_the_file_scores_every_phrase_as_the_student_does(made):
    student, folder = made
    samples = test_export.sound(25 * 1280)
    times_s, scores = load_bundle(folder).scores(samples)

    end = round(times_s[-1] * 16_000)
    with torch.no_grad():
        logits, _ = student(test_export.front_end(folder)(torch.from_numpy(samples[None, end - 24_000 : end])))
    assert scores[-1] == pytest.approx(logits.softmax(-1)[0, :2].numpy(), abs=1e-4)
    assert scores[-1, 0] != pytest.approx(scores[-1, 1], abs=1e-3)


def test_the_card_names_the_phrases_as_the_first_classes(made):
    assert bundle.check(made[1]).texts == ["yes", "no"]
    assert bundle.check(made[1]).labels == ["yes", "no", "near_miss", "speech", "noise"]


def test_a_file_whose_second_score_is_wrong_is_seen_to_differ(made):
    student, folder = made
    data = (folder / "model.onnx").read_bytes()
    front_end = test_export.front_end(folder)

    class Wrong(Listener):
        def forward(self, heard, state):
            scores, state = super().forward(heard, state)
            return scores * torch.tensor([1.0, 0.9]), state

    assert onnx_exporter.largest_difference(Listener(front_end, student, 2), data) < 1e-4
    assert onnx_exporter.largest_difference(Wrong(front_end, student, 2), data) > 1e-3


def test_one_phrase_has_scores_without_a_column(made):
    alone, both = (Listener(test_export.front_end(made[1]), made[0], n_phrases) for n_phrases in (1, 2))
    inputs = torch.randn(alone.input_shape), torch.zeros(1, alone.state_size)

    assert alone(*inputs)[0].shape == (1, alone.scores_per_step)
    assert torch.equal(both(*inputs)[0][..., 0], alone(*inputs)[0])


def test_a_model_of_one_score_is_refused_where_the_card_promises_two(tiny_bundle: Path, tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes((tiny_bundle / "model.onnx").read_bytes())
    bundle.save_card(tmp_path, bundle.load_card(tiny_bundle).model_copy(update={"phrases": two(None, None).phrases}))

    with pytest.raises(BundleError, match="promises"):
        load_bundle(tmp_path)


def test_a_bundle_with_an_old_card_is_heard_as_before(tiny_bundle: Path, tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes((tiny_bundle / "model.onnx").read_bytes())
    bundle.save_card(tmp_path, bundle.load_card(tiny_bundle))
    path = tmp_path / bundle.CARD
    old = json.loads(path.read_text())
    (only,) = old.pop("phrases")
    path.write_text(json.dumps(old | {"format_version": 1, "phrase": only["text"], "operating_point": only["operating_point"]}))

    assert load_bundle(tmp_path).process(test_export.sound()) == load_bundle(tiny_bundle).process(test_export.sound())
    assert np.array_equal(load_bundle(tmp_path).scores(bursts())[1], load_bundle(tiny_bundle).scores(bursts())[1])


def test_a_threshold_is_for_all_phrases_or_for_those_that_are_named(made, tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes((made[1] / "model.onnx").read_bytes())
    bundle.save_card(tmp_path, bundle.load_card(made[1]))
    bundle.set_operating_point(tmp_path, LOUD, QUIET)

    assert [one.threshold for one in load_bundle(tmp_path, 0.9).points.values()] == [0.9, 0.9]
    assert load_bundle(tmp_path, {"no": 0.9}).points == {
        "yes": Point(LOUD.threshold, LOUD.smoothing_window, LOUD.refractory_s),
        "no": Point(0.9, QUIET.smoothing_window, QUIET.refractory_s),
    }
    with pytest.raises(BundleError, match="does not hear 'nope', only yes, no"):
        load_bundle(tmp_path, {"nope": 0.9})


# The command line


def detect(capsys, *words: object) -> str:
    app(["detect", *map(str, words)], standalone_mode=False)
    return capsys.readouterr().out


def test_detect_names_the_phrase_when_there_are_several(made, tiny_bundle: Path, tmp_path: Path, capsys):
    audio.write(tmp_path / "a.wav", test_export.sound())
    listener = load_bundle(made[1])
    lowest = float(listener.scores(test_export.sound())[1].min(axis=0).max())  # both phrases come over it, and from under it

    told = detect(capsys, made[1], tmp_path / "a.wav", "--threshold", lowest)
    rows = json.loads(detect(capsys, made[1], tmp_path / "a.wav", "--threshold", lowest, "--json"))["detections"]

    assert [row["phrase"] for row in rows] == [line.split()[2] for line in told.splitlines()[1:]]
    assert rows
    assert "hey nova" not in detect(capsys, tiny_bundle, tmp_path / "a.wav", "--threshold", 1e-6)
    one = json.loads(detect(capsys, tiny_bundle, tmp_path / "a.wav", "--threshold", 1e-6, "--json"))["detections"]
    assert {row["phrase"] for row in one} == {"hey nova"}


# The evaluation: phrase one is a tone of 1 kHz, phrase two one of 2 kHz; the second score hears much of the first tone

LEAK = 0.7


def two_tones(folder: Path) -> None:
    """A bundle whose scores say how much of each tone lies in the last 80 ms."""
    step = test_evaluate.STEP
    angles = [2 * np.pi * hz / 16_000 * np.arange(step) for hz in (1_000, 2_000)]
    waves = np.stack([wave(angle) * 2 / step for angle in angles for wave in (np.sin, np.cos)], 1).astype(np.float32)
    constants = {
        "waves": waves, "mix": np.float32([[1, LEAK**2], [1, LEAK**2], [0, 1], [0, 1]]), "gain": np.float32([4]),
        "one": np.float32([1]), "shape": np.array([1, 1, 2]),
    }  # fmt: skip
    steps = [
        ("MatMul", ["samples", "waves"], "parts"), ("Mul", ["parts", "parts"], "squares"), ("MatMul", ["squares", "mix"], "sums"),
        ("Sqrt", ["sums"], "sizes"), ("Mul", ["sizes", "gain"], "scaled"), ("Min", ["scaled", "one"], "flat"),
        ("Reshape", ["flat", "shape"], "scores"), ("Identity", ["state"], "new_state"),
    ]  # fmt: skip

    def value(name: str, *sizes: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *sizes])

    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps], "tones",
        [value("samples", step), value("state", 1)], [value("scores", 1, 2), value("new_state", 1)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    shapes = {"scores_per_step": 1, "state_size": 1, "receptive_samples": step}
    phrases = [Phrase(text="wake 0"), Phrase(text="wake 1")]
    bundle.save_card(folder, card(phrases=phrases, sha256=bundle.file_sha256(folder / "model.onnx"), **shapes))


def prepared(folder: Path) -> None:
    """A run of test_evaluate, whose recordings say `wake 0` and `wake 1`: the latter become tones of 2 kHz."""
    test_evaluate.prepared(folder)
    two_tones(folder / "bundle")
    place = folder / "prepare"
    records = [json.loads(line) for line in (place / audio_store.RECORDINGS).read_text().splitlines()]
    sounds, offsets = np.load(place / audio_store.AUDIO), np.load(place / audio_store.OFFSETS)
    for record, start in zip(records, offsets, strict=True):
        if record["text"] == "wake 1":
            at = np.arange(record["phrase_end"] - record["phrase_start"])
            tone = audio.to_int16((0.2 * np.sin(2 * np.pi * 2_000 * at / 16_000)).astype(np.float32))
            sounds[start + record["phrase_start"] :][: len(at)] = tone
    np.save(place / audio_store.AUDIO, sounds)


def recipe_of_two() -> object:
    made = test_evaluate.recipe(smoothing_windows=[1], snrs_db=[20.0])
    made.phrases = ["wake 0", "Wake_1"]
    return made


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    prepared(folder)
    evaluate.run(recipe_of_two(), folder)
    return folder


def test_every_phrase_is_judged_by_its_own_recordings(judged: Path):
    told = test_evaluate.report_of(judged)

    assert [one["phrase"] for one in told["phrases"]] == ["wake 0", "Wake_1"]
    for number, one in enumerate(told["phrases"]):
        assert next((row["name"], row["missed"], row["n"]) for row in one["test"]["conditions"]) == ("clean", 0, 3)
        assert {int(name[-1]) % 2 for name in one["test"]["by_recording"]} == {number}


def test_recordings_of_the_other_phrase_are_negatives(judged: Path):
    first, second = test_evaluate.report_of(judged)["phrases"]
    alone = 12 * 32_000 / 16_000 / 3600

    assert first["test"]["hours"] == pytest.approx(alone + 3 * 0.6 / 3600)
    assert second["test"]["loudest_negatives"][0]["recording"].startswith("test-wake-")
    assert second["test"]["loudest_negatives"][0]["stream"] == "test-phrase-1-clean"


def test_every_threshold_lies_over_what_the_phrase_hears_of_the_others(judged: Path):
    first, second = (one.operating_point for one in bundle.load_card(judged / "bundle").phrases)

    assert first is not None
    assert second is not None
    assert second.threshold > first.threshold
    assert [point.model_dump(mode="json") for point in (first, second)] == [
        one["operating_point"] for one in test_evaluate.report_of(judged)["phrases"]
    ]


def test_a_file_that_holds_both_phrases_is_heard_as_both(judged: Path):
    t = np.arange(9_600) / 16_000
    pause = np.zeros(16_000, np.float32)
    tones = [0.1 * np.sin(2 * np.pi * hz * t).astype(np.float32) for hz in (2_000, 1_000)]

    found = load_bundle(judged / "bundle").process(np.concatenate([pause, tones[0], pause, tones[1], pause]))

    assert [one.phrase for one in found] == ["wake 1", "wake 0"]


def test_the_second_phrase_takes_up_the_scores_that_the_first_was_judged_by(judged: Path):
    names = sorted(path.name.rpartition("-")[0] for path in (judged / "evaluate" / "scores").glob("test-*"))

    assert len(names) == len(set(names))
    assert {"test-near-misses", "test-negatives-000", "test-phrase-1-clean", "test-phrase-2-clean"} <= set(names)


def test_one_that_fires_on_the_other_shows_in_the_confusion():
    heard = [test_evaluate.heard("test", heights, [0.1], hours=1.0) for heights in ([0.9, 0.9], [0.9, 0.8, 0.3])]
    for one, heights in zip(heard, ([0.9, 0.1, 0.1], [0.2, 0.7]), strict=True):
        other = test_evaluate.heard("test", heights, [], hours=1.0).streams["positives"][0]
        one.add("negatives", "other", Condition(), other.events, other.times_s, other.scores)

    rows = _groups.confusion(heard, [test_evaluate.POINT] * 2, ["yes", "no"], 1.0)

    assert rows == [
        {"said": "yes", "n": 2, "fired": {"yes": 2, "no": 1}},
        {"said": "no", "n": 3, "fired": {"yes": 1, "no": 2}},
    ]


def test_a_phrase_without_recordings_in_a_split_is_named(tmp_path: Path):
    prepared(tmp_path)
    recipe = recipe_of_two()
    recipe.phrases = ["wake 0", "wake 1", "wake 2"]

    with pytest.raises(DataError, match="no recording of 'wake 2' in dev"):
        evaluate.run(recipe, tmp_path)


# The report


def both() -> dict:
    """A report of two phrases that differ."""
    shared = ("student", "teacher", "training", "data")
    first, second = test_report.a_report(phrase="yes <1>"), test_report.a_report(phrase="no", count=5)
    second["operating_point"] = {**second["operating_point"], "threshold": 0.412, "refractory_s": 2.0}
    confusion = [{"said": "yes <1>", "n": 50, "fired": {"yes <1>": 48, "no": 7}}]
    confusion.append({"said": "no", "n": 50, "fired": {"yes <1>": 0, "no": 41}})
    each = [{key: value for key, value in one.items() if key not in shared} for one in (first, second)]
    return {**{key: first[key] for key in shared}, "phrases": each, "confusion": confusion}


def test_terminal_and_page_show_the_figures_of_every_phrase_and_the_confusion():
    for text in (report.table(both()), test_report.seen(both())):
        for figure in ("yes <1>", "0.731", "0.412", "3 in 8.00 h", "5 in 8.00 h", "48", "41", "'no' fired"):
            assert figure in text
    assert "yes <1>  50     48               7" in report.table(both())


def test_what_differs_between_phrases_is_told_with_their_names():
    text = test_report.seen(both())

    assert "1 s (yes <1>), 2 s (no) apart at least" in text
    assert "recordings of the other phrases" in text
    assert "recordings of the other phrases" not in test_report.seen(test_report.a_report())


def test_what_the_phrases_share_is_shown_once():
    page = report.html(both())

    for heading in ("<h3>Training</h3>", "<h3>Teacher</h3>", "<h2 id=measured>"):
        assert page.count(heading) == 1


@pytest.mark.parametrize("show", [report.html, report.table])
def test_dev_of_any_phrase_cannot_pass_for_test(show):
    made = both()
    made["phrases"][1]["test"] = made["phrases"][1]["dev"]

    with pytest.raises(DataError, match="'test' come from 'dev'"):
        show(made)


# The whole road

SECOND_S = 4.2
"""Where the second phrase begins in the sound that holds both."""


@pytest.mark.slow
def test_two_phrases_go_the_whole_road_into_one_bundle(tmp_path: Path):
    """A rising and a falling sweep, other sounds, a tiny teacher: one bundle hears both, each in its place, at two thresholds."""
    sounds = _two_sweeps(tmp_path / "sounds")
    tiny_encoders.save("whisper", tmp_path / "whisper")
    recipe = tiny_run.recipe(tmp_path, phrase=["swoop", "drop"], train={"steps": 200, "batch": 32, "evaluations": 1})

    folder = forge.run(recipe, tmp_path / "run")

    found = load_bundle(folder).process(sounds)
    first, second = ({one.phrase for one in found if (one.time_s > SECOND_S) == later} for later in (False, True))
    assert "swoop" in first
    assert second == {"drop"}
    thresholds = {one.operating_point.threshold for one in bundle.load_card(folder).phrases if one.operating_point}
    assert len(thresholds) == 2
    told = test_evaluate.report_of(tmp_path / "run")
    assert [row["said"] for row in told["confusion"]] == ["swoop", "drop"]
    assert all(one["test"]["conditions"][0]["frr"] < 0.5 for one in told["phrases"])
    assert "'drop' fired" in report.table(told)
    with pytest.raises(BundleError, match="know bundles of one phrase"):
        mine.run(recipe, tmp_path / "run", 1)


def _two_sweeps(folder: Path) -> np.ndarray:
    """The recordings of a tiny run, in which the near misses are a second phrase. -> a sound that holds both phrases"""
    manifest = tiny_run.recordings(folder)
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["label"] == "near_miss":
            row |= {"label": "wake", "text": "drop"}
    rows = [row for row in rows if row["path"] != "planted.wav"]
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    chance = np.random.default_rng(7)
    quiet = np.zeros(24_000, np.float32)
    takes = [tiny_run.placed(tiny_run.sweep(chance, rising), 0.3, 1.2, chance) for rising in (True, False)]
    return np.concatenate([quiet, takes[0], quiet, takes[1], quiet])

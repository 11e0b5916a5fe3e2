"""Several phrases in one bundle: a score, an operating point and a judgement each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests import test_detector, test_export
from tests.test_bundle import card
from tests.test_detector import bursts
from wakesmith import audio, bundle, load_bundle, registry
from wakesmith.bundle import OperatingPoint, Phrase
from wakesmith.cli import app
from wakesmith.errors import BundleError
from wakesmith.exporters import onnx as onnx_exporter
from wakesmith.exporters._listener import STEP_SAMPLES, Listener
from wakesmith.runtime.detector import Detector
from wakesmith.steps import export

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


def two(*points: OperatingPoint | None, **changes: object) -> bundle.Card:
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


@pytest.fixture(params=registry.names("students"), scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A student of five classes whose weights say different things of different sounds. -> (student, bundle of two phrases)"""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = test_export.recipe(request.param)
    recipe.phrases = ["yes", "no"]
    test_export.trained(request.param, folder)
    torch.manual_seed(2)
    student = registry.build("students", recipe.student, 40, 150, 5).eval()
    four = registry.build("students", recipe.student, 40, 150, 4)
    export.load_weights(four, folder / "train" / "model.safetensors")
    shapes = student.state_dict()
    student.load_state_dict(
        {key: value for key, value in four.state_dict().items() if value.shape == shapes[key].shape}, strict=False
    )
    save_file({key: value.contiguous() for key, value in student.state_dict().items()}, folder / "train" / "model.safetensors")
    (folder / "train" / "card.json").write_text(json.dumps({"n_classes": 5, "n_frames": 150}))
    return student, export.run(recipe, folder)


def test_the_file_scores_every_phrase_as_the_student_does(made):
    student, folder = made
    samples = test_export.sound(25 * 1280)
    times_s, scores = load_bundle(folder).scores(samples)

    with torch.no_grad():
        logits, _ = student(test_export.FRONT_END(torch.from_numpy(samples[None, 32_000 - 24_000 :])))
    at = int(np.searchsorted(times_s, 2.0 - 1e-6))
    assert scores[at] == pytest.approx(logits.softmax(-1)[0, :2].numpy(), abs=1e-4)
    assert scores[at, 0] != pytest.approx(scores[at, 1], abs=1e-3)


def test_the_card_names_the_phrases_as_the_first_classes(made):
    assert bundle.check(made[1]).texts == ["yes", "no"]
    assert bundle.check(made[1]).labels == ["yes", "no", "near_miss", "speech", "noise"]


def test_a_file_whose_second_score_is_wrong_is_seen_to_differ(made):
    student, folder = made
    data = (folder / "model.onnx").read_bytes()
    listener = Listener(test_export.FRONT_END, student, 2)

    class Wrong(torch.nn.Module):
        state_size = listener.state_size

        def forward(self, samples, state):
            scores, state = listener(samples, state)
            return scores * torch.tensor([1.0, 0.9]), state

    assert onnx_exporter.largest_difference(listener, data) < 1e-4
    assert onnx_exporter.largest_difference(Wrong(), data) > 1e-3


def test_one_phrase_has_scores_without_a_column(made):
    alone = Listener(test_export.FRONT_END, made[0])
    both = Listener(test_export.FRONT_END, made[0], 2)
    inputs = torch.randn(1, STEP_SAMPLES), torch.zeros(1, alone.state_size)

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
    assert load_bundle(tmp_path, {"no": 0.9}).points == {"yes": LOUD, "no": QUIET.model_copy(update={"threshold": 0.9})}
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

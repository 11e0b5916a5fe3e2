"""Judge, Compare and Take away without a browser: they say what report.json says, and no clip of test is learned from."""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import tone_bundle
from tests.test_evaluate import recipe, report_of
from wakesmith import audio, bundle, config
from wakesmith.errors import AudioError, BundleError, DataError, WakesmithError
from wakesmith.report import card as model_card
from wakesmith.runtime.detector import Detector
from wakesmith.steps import _kept, _recipe
from wakesmith.web import _bundles, _compared, _feedback, _figures, _judged, _pictures, _shown
from wakesmith.web._judged import Judged

PATIENCE_S = recipe().evaluate.patience_s


@pytest.fixture(scope="module")
def judged(run_folder: Path) -> Judged:
    recordings = _judged.AudioStore.open(run_folder / "prepare").recordings
    return Judged(run_folder, recipe(), report_of(run_folder), _kept.read(run_folder, 0), recordings)


def at(judged: Judged, threshold: float) -> dict:
    return _figures.at(judged.heard, judged.point(threshold), PATIENCE_S)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_at_the_shipped_threshold_the_figures_are_those_of_the_report(judged: Judged, split: str):
    shown, told = at(judged, judged.shipped.threshold)[split], judged.report[split]

    assert json.loads(json.dumps(shown)) == {key: told[key] for key in ("false_accepts", "conditions")}


def test_near_misses_are_those_of_the_report(judged: Judged):
    assert (
        _figures.near_misses(judged.heard["test"], judged.recordings, judged.shipped, PATIENCE_S) == judged.report["near_misses"]
    )


def test_a_lower_threshold_wakes_more_and_misses_less(judged: Judged):
    low, high = at(judged, 0.05)["test"], at(judged, 0.95)["test"]

    assert low["false_accepts"]["count"] > high["false_accepts"]["count"]
    assert high["conditions"][-2]["missed"] > low["conditions"][-2]["missed"]


@pytest.mark.parametrize(("value", "meant"), [(0.817, 0.8166), (0.8161, 0.8166), (0.8172, 0.8172), (0.5, 0.5)])
def test_the_nearest_step_of_the_slider_is_the_shipped_threshold(value: float, meant: float):
    assert _figures.snapped(value, 0.8166) == meant


def test_there_are_as_many_mistakes_as_the_figures_count(judged: Judged):
    for threshold in (0.05, 0.95):
        found, told = _figures.mistakes(judged.heard["test"], judged.point(threshold), PATIENCE_S), at(judged, threshold)["test"]
        counts = {kind: sum(one.kind == kind for one in found) for kind in _figures.KINDS}

        assert counts[_figures.FALSE_WAKE] == told["false_accepts"]["count"]
        assert counts[_figures.MISS] == sum(row["missed"] for row in told["conditions"])


def test_a_mistake_plays_the_sound_that_set_it_off(judged: Judged):
    one = _judged.mistakes(judged, "test", 0.05)[0]
    samples = _judged.cut(judged, one)
    heard = Detector.load(judged.folder / "bundle", 0.05).process(samples)

    assert one.kind == _figures.FALSE_WAKE
    assert len(samples) <= (_figures.BEFORE_S + _figures.AFTER_S) * audio.SAMPLE_RATE_HZ + 1
    assert any(abs(hit.time_s - (one.end_s - one.window_s[0])) < 0.2 for hit in heard)


def test_the_picture_holds_the_sound_the_score_and_the_threshold():
    svg = _pictures.heard(
        np.sin(np.arange(32_000)).astype(np.float32), np.array([0.5, 1.0]), np.array([0.0, 0.9]), 0.7, (0.5, 1.5)
    )

    assert "data:image/png;base64," in svg
    assert "threshold 0.700" in svg
    assert "Spectrogram and score over 2.0 seconds; highest score 0.900" in svg


def test_a_tone_is_bright_where_its_frequency_is():
    levels = _pictures.spectrogram(np.sin(2 * np.pi * 2_000 * np.arange(16_000) / 16_000).astype(np.float32))

    assert levels.mean(axis=1).argmax() == 64  # of 257 up to 8 kHz
    assert levels.shape[1] == (16_000 - 400) // 80 + 1


def test_dev_and_test_stand_side_by_side_with_the_words_that_dev_decides(judged: Judged):
    near = dict.fromkeys(("dev", "test"), judged.report["near_misses"])
    page = _shown.figures(at(judged, 0.5), near, 0.5, judged.shipped.threshold)

    assert page.index("id=figures-dev") < page.index("id=figures-test")
    assert "Choose the threshold by dev alone" in page
    assert f"shipped: {judged.shipped.threshold:.4f}" in page


def test_other_runs_and_the_teacher_are_in_the_det_curve(judged: Judged):
    dev = {"frr": 0.1, "fa_per_hour": 0.5}
    report = judged.report | {"teacher": {"dev": dev}, "student": judged.report["student"] | {"dev": dev}}
    curves = [(name, judged.report) for name in ("one", "two")]

    page, plain = _shown.det(report, at(judged, 0.5), curves), _shown.det(judged.report | {"student": {}}, at(judged, 0.5), [])

    assert len(re.findall("<polyline", page)) == 4
    assert "one, test" in page
    assert "teacher, clip by clip on dev" in page
    assert "clip by clip" not in plain


def test_a_mark_is_written_once_and_names_clip_and_label(tmp_path: Path):
    for _ in range(2):
        _feedback.mark(tmp_path, "test/stream@1.00", "a-recording", "speech")

    (row,) = _feedback.marks(tmp_path)
    assert (row["clip"], row["recording"], row["label"], row["mark"]) == (
        "test/stream@1.00",
        "a-recording",
        "speech",
        "wrong label",
    )


def test_a_damaged_mark_is_named(tmp_path: Path):
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "marks.jsonl").write_text("{}\n")

    with pytest.raises(DataError, match=r"marks.jsonl, line 1: not a mark"):
        _feedback.marks(tmp_path)


@pytest.fixture
def with_recipe(run_folder: Path) -> Path:
    (run_folder / "config.yaml").write_text(config.to_yaml(_recipe.load({"phrase": "hey nova"})))
    return run_folder


def test_an_own_recording_is_copied_to_where_learn_takes_it(with_recipe: Path, run_folder: Path, tmp_path: Path):
    audio.write(tmp_path / "mine.wav", tone_bundle.tone(700, 0.2, 0.5, 1.3))

    for kind in ("false_wakes", "misses"):
        place = _feedback.send(run_folder, tmp_path / "mine.wav", kind)
        assert place.parent == run_folder / "feedback" / kind
        assert place.read_bytes() == (tmp_path / "mine.wav").read_bytes()

    assert len(_feedback.sent(run_folder)) == 2
    expected = f"--false-wakes {run_folder}/feedback/false_wakes --misses {run_folder}/feedback/misses"
    assert _feedback.command(run_folder) == f"wakesmith learn {run_folder / 'bundle'} {expected}"


def test_a_clip_that_judges_the_run_cannot_be_sent(with_recipe: Path, run_folder: Path, tmp_path: Path):
    store = _judged.AudioStore.open(run_folder / "prepare")
    audio.write(tmp_path / "theirs.wav", store.recording("test-speech-1"))

    with pytest.raises(WakesmithError, match=r"the same sound is in the run's (dev|test)"):  # both hold this tone
        _feedback.send(run_folder, tmp_path / "theirs.wav", "false_wakes")


def test_silence_and_what_is_no_sound_cannot_be_sent(run_folder: Path, tmp_path: Path):
    audio.write(tmp_path / "quiet.wav", np.zeros(16_000, np.float32))
    (tmp_path / "text.wav").write_text("hello")

    with pytest.raises(WakesmithError, match="silent"):
        _feedback.send(run_folder, tmp_path / "quiet.wav", "misses")
    with pytest.raises((WakesmithError, AudioError), match=r"text\.wav"):
        _feedback.send(run_folder, tmp_path / "text.wav", "misses")


def test_a_run_that_was_not_evaluated_says_what_to_do(tmp_path: Path):
    with pytest.raises(DataError, match="no run of wakesmith is there"):
        _judged.phrases(tmp_path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(DataError, match="was not evaluated yet"):
        _judged.phrases(tmp_path)


def test_runs_are_compared_by_the_figures_of_their_reports(run_folder: Path):
    (row,) = _compared.rows(run_folder)
    told = dict(zip(_compared.HEAD, row, strict=True))
    test = report_of(run_folder)["test"]

    assert told["run"] == "tones"
    assert told["teacher"] == "none"
    assert told["FRR clean, %"].startswith(f"{100 * test['conditions'][0]['frr']:.1f} (")
    assert told["FA/h on test"].startswith(f"{test['false_accepts']['per_hour']:.2f} (0.00 to")
    assert told["minutes"] == "not known"


def test_minutes_are_those_of_all_steps(tmp_path: Path):
    for step, took_s in (("speak", 30.0), ("bundle", 90.0)):
        (tmp_path / step).mkdir()
        (tmp_path / step / "whole.json").write_text(json.dumps({"took_s": took_s}))

    assert _compared.minutes(tmp_path) == 2.0


def test_a_damaged_run_does_not_hide_the_differences_of_the_others(tmp_path: Path):
    from wakesmith.web import compare

    for name, text in (("a", "seed: 1"), ("b", "seed: 2"), ("damaged", "seed: [")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)

    shown = compare._differences([tmp_path / "a", tmp_path / "damaged", tmp_path / "b"])

    assert "seed" in shown
    assert "damaged" not in shown


def test_differences_name_the_setting_and_each_value(tmp_path: Path):
    texts = {
        "a": "seed: 1\nstudent: {name: ds_cnn, width: 8}\nlosses: [{name: kd, alpha: 0.9}]\n",
        "b": "seed: 1\nstudent: {name: ds_cnn, width: 16}\nlosses: [{name: ce, weight: 2}, {name: kd, alpha: 0.9}]\n",
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)

    assert _compared.differences([tmp_path / "a", tmp_path / "b"]) == [
        ["setting", "a", "b"], ["student.width", "8", "16"], ["losses.ce", _compared.ABSENT, _compared.THERE],
    ]  # fmt: skip
    assert len(_compared.differences([tmp_path / "a", tmp_path / "a"])) == 1


def test_a_bundle_is_downloaded_as_a_folder_that_works(run_folder: Path, tmp_path: Path):
    made = _bundles.zipped(run_folder, "onnx")

    zipfile.ZipFile(made).extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name == made.stem
    assert bundle.check(folder).phrase == bundle.load_card(run_folder / "bundle").phrase


def test_a_damaged_bundle_is_not_handed_out(tmp_path: Path):
    place = tone_bundle.make(tmp_path / "bundle", {"hey nova": 700})
    (place / "model.onnx").write_bytes(b"no model")

    with pytest.raises(BundleError, match="sha256"):
        _bundles.zipped(tmp_path, "onnx")


def test_what_to_do_next_is_said_in_the_model_cards_words(tmp_path: Path):
    place = tone_bundle.make(tmp_path / "bundle", {"hey nova": 700})
    other = tone_bundle.make(tmp_path / "bundles" / "esphome", {"hey nova": 700})
    (other / "device").mkdir()

    assert list(_bundles.of(tmp_path)) == ["onnx", "esphome"]
    for one in model_card.places(bundle.load_card(place), str(place)):
        assert "\n\n".join(one.parts) in _bundles.told(tmp_path, "onnx")
    assert "micro_wake_word:" not in _bundles.told(tmp_path, "onnx")
    assert "micro_wake_word:\n  models:\n    - model: hey_nova.json" in _bundles.told(tmp_path, "esphome")


def test_a_run_without_a_bundle_says_what_to_do(tmp_path: Path):
    with pytest.raises(BundleError, match="no bundle yet"):
        _bundles.of(tmp_path)


def test_the_list_names_score_words_condition_and_place(judged: Judged):
    one = _judged.mistakes(judged, "test", 0.05)[0]
    row = _shown.rows([replace(one, end_s=125.5)], judged.recordings)[0]

    assert row[0] == f"{one.score:.3f}"
    assert row[2] == "as recorded"
    assert row[4].endswith(", 2:05.5")

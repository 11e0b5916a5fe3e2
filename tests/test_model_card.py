"""The model card: what card.json says, for people, true at any time."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests import tone_bundle
from tests.test_bundle import card
from wakesmith import bundle
from wakesmith.card import Measured, Misses, OperatingPoint, Phrase, Rate, Source
from wakesmith.cli import app, guarded
from wakesmith.data.records import Recording
from wakesmith.report import card as model_card
from wakesmith.report import licences
from wakesmith.steps import _model_card, evaluate

POINT = OperatingPoint(threshold=0.625, smoothing_window=4, refractory_s=1.5, target_fa_per_hour=0.5, chosen_on="dev, 2.00 h")
CLEAN = Misses(name="clean", missed=4, n=200, frr=0.02, low=0.0078, high=0.0503)
MEASURED = Measured(
    false_accepts=Rate(count=1, hours=4.0, per_hour=0.25, low=0.006, high=1.39),
    predicted=Rate(count=0, hours=2.0, per_hour=0.5, low=0.01, high=1.84),
    conditions=[CLEAN, CLEAN.model_copy(update={"name": "babble 10 dB", "missed": 30})],
    sources=[CLEAN.model_copy(update={"name": "espeak"}), CLEAN.model_copy(update={"name": "our recordings"})],
    near_misses=40, near_misses_fired=3, delay_s=0.12, late_s=0.3,
)  # fmt: skip
WHOLE = card(
    phrases=[Phrase(text="hey nova", operating_point=POINT, measured=MEASURED)],
    teacher={"encoder_source": "openai/whisper-tiny.en", "encoder_licence": "MIT"},
    data=[Source(name="espeak", licence="CC0-1.0", recordings=500, hours=0.25)],
    versions={"wakesmith": "0.1.0", "torch": "2.13.0"},
    seed=7,
)


def shown(**changes: object) -> str:
    return model_card.text(WHOLE.model_copy(update=changes), 1_234_567)


def test_it_tells_what_a_user_must_know():
    told = shown()

    for fact in (
        "# hey nova", "language: en", "0.625", "(160 ms)", "1.5 s after that", "for 0.5 false accepts an hour", "dev, 2.00 h",
        "| babble 10 dB | 30 of 200 | 2.0 % | 0.8 % to 5.0 % |", "4.00 h of other sounds", "1 in 4.00 h = 0.25/h (0.01 to 1.39)",
        "0.50 an hour (0.01 to 1.84)", "3 of 40", "0.12 s after the end", "by 0.30 s after it", "| our recordings |",
        "openai/whisper-tiny.en; licence: MIT", "1,234,567 bytes", "100 parameters", "| seed | 7 |",
        "torch 2.13.0, wakesmith 0.1.0",
        "| espeak | CC0-1.0 | 500 | 0.25 | yes:", 'load_bundle("FOLDER")', "wakesmith detect", "wakesmith serve", "`hey_nova`",
        "examples/browser",
    ):  # fmt: skip
        assert fact in told


def test_the_same_card_gives_the_same_text():
    assert shown() == shown()


def test_without_an_operating_point_it_says_so():
    told = shown(phrases=[Phrase(text="hey nova")])

    assert "was not evaluated yet" in told
    assert "babble" not in told


def test_a_threshold_of_which_nothing_is_known_is_no_measured_one():
    assert "Nothing was measured at this threshold." in shown(phrases=[Phrase(text="hey nova", operating_point=POINT)])


def with_measured(**changes: object) -> str:
    measured = MEASURED.model_copy(update=changes)
    return shown(phrases=[Phrase(text="hey nova", operating_point=POINT, measured=measured)])


def test_hours_that_are_too_few_for_the_rate_are_told():
    assert "too few" in with_measured(predicted=MEASURED.predicted.model_copy(update={"hours": 1.9}))
    assert "too few" not in with_measured()


def test_a_threshold_that_the_tail_set_is_told_as_such():
    by_tail = Phrase(text="hey nova", operating_point=POINT.model_copy(update={"set_by": "tail"}), measured=MEASURED)

    assert "few false accepts at that rate: the threshold comes from how" in shown(phrases=[by_tail])
    assert "comes from how" not in with_measured()


@pytest.mark.parametrize(
    ("set_by", "told"),
    [
        ("tail", "comes from how their loudest moments thin out."),
        ("peak", "lies just over the loudest moment of"),
        ("floor", "is the least that is taken (evaluate.threshold_floor)."),
    ],
)
def test_few_hours_say_what_set_the_threshold(set_by: str, told: str):
    measured = MEASURED.model_copy(update={"predicted": MEASURED.predicted.model_copy(update={"hours": 1.9})})
    point = POINT.model_copy(update={"set_by": set_by})

    text = shown(phrases=[Phrase(text="hey nova", operating_point=point, measured=measured)])

    assert f"at that rate: the threshold {told}" in text


def test_a_detection_before_the_end_is_no_negative_delay():
    assert "0.20 s before the end of the phrase (median; 95 of 100 by 0.10 s after it)" in with_measured(delay_s=-0.2, late_s=0.1)


def test_made_voices_are_told_to_be_made():
    assert "Every phrase of the test was said by a synthetic voice" in with_measured(sources=MEASURED.sources[:1])
    assert "Every phrase of the test was said by a synthetic voice" not in shown()


def test_a_folder_of_the_makers_machine_is_not_told():
    told = shown(teacher={"encoder_source": "/home/ana/models/whisper", "encoder_licence": "MIT"})

    assert "| teacher | whisper; licence: MIT |" in told
    assert "/home/ana" not in told


def test_a_report_names_no_folder_of_the_makers_machine():
    first, second = (
        {"name": "whisper", "path": f"/home/ana/{name}", "checkpoint": "/home/ana/own.pt"} for name in ("one", "two")
    )
    told = {
        "teacher": {"name": "ensemble", "members": [first, second]}, "encoder_source": "/home/ana/one + /home/ana/two",
        "dev": {"n_clips": 3},
    }  # fmt: skip

    shared = _model_card.anywhere(told)

    assert "/home" not in str(shared)
    assert shared["encoder_source"] == "one + two"
    assert [one["path"] for one in shared["teacher"]["members"]] == ["one", "two"]
    assert shared["dev"] == told["dev"]
    assert first["path"] == "/home/ana/one"


def test_what_others_wrote_stays_text():
    told = shown(phrases=[Phrase(text="a | b\n# c")], data=[Source(name="<b>x", licence="[a](b)", recordings=1, hours=0.1)])

    assert "# a \\| b # c\n" in told
    assert "| \\<b>x | \\[a](b) |" in told


MICRO = {"front_end": "outside", "features": {"name": "micro"}}


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({}, "onnx"),
        (MICRO, "micro,onnx"),
        ({**MICRO, "model": "model.tflite"}, "lite"),
    ],
)
def test_each_way_to_load_it_names_the_extras_that_it_takes(own: dict[str, object], wanted: str):
    extras = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    found = re.findall(r"`pip install ([^`]+)`", shown(**own))

    assert found == [f"'wakesmith[{also}{wanted}]'" for also in ("", "cli,live,", "cli,serve,")]
    assert set(re.findall(r"\w+", " ".join(found))) - {"wakesmith"} <= extras.keys()


def test_a_file_for_openwakewords_programs_is_not_said_to_run_here():
    told = shown(front_end="outside", features={"name": "speech_embedding"})

    assert "Programs of openWakeWord compute the speech embeddings" in told
    assert "load_bundle" not in told
    assert "wakesmith detect" not in told


def test_only_a_file_for_browsers_is_said_to_run_there():
    assert "examples/browser" not in shown(model="model.tflite")


@pytest.mark.parametrize(
    ("licence", "answer"),
    [
        ("CC0-1.0", "yes"), ("CC BY 4.0", "yes"), ("cc_by_sa_3.0", "yes"), ("Apache-2.0", "yes"), ("MIT", "yes"), ("own", "yes"),
        ("Kokoro-82M (Apache-2.0)", "yes"), ("hibari-tts (Apache-2.0)", "yes"), ("GPL-3.0-or-later", "yes"), ("GPL-2+", "yes"),
        ("LicenseRef-Public-Domain", "yes"), ("LicenseRef-speechocean762-free", "yes"),
        ("none needed", "yes"),
        ("made with espeak-ng (the program is GPL-3.0-or-later, its output is free)", "yes"), ("MIT + Apache-2.0", "yes"),
        ("CC-BY-NC-4.0", "no"), ("CC BY-NC-SA 4.0", "no"), ("non-commercial use only", "no"), ("MIT + CC-BY-NC-4.0", "no"),
        ("unknown", "unknown"), ("", "unknown"), ("CC-BY-ND-4.0", "unknown"), ("as the source says", "unknown"),
        ("MIT + unknown", "unknown"), ("piper voice of unknown licence: see its MODEL_CARD", "unknown"), ("MITX", "unknown"),
        ("Somebody (of unknown licence)", "unknown"),
    ],
)  # fmt: skip
def test_whether_a_licence_allows_commercial_use(licence: str, answer: str):
    found, reason = licences.commercial(licence)

    assert found == answer
    assert reason


def test_one_licence_that_forbids_it_forbids_it_all():
    free, bound = (Source(name="x", licence=licence, recordings=1, hours=0.1) for licence in ("CC0-1.0", "CC-BY-NC-4.0"))

    assert model_card.commercial_use(WHOLE)["answer"] == "yes"
    assert model_card.commercial_use(WHOLE.model_copy(update={"data": [free, bound]}))["answer"] == "no"
    assert "Commercial use: no" in shown(data=[free, bound])


def test_the_licence_of_the_teacher_counts_too():
    assert model_card.commercial_use(WHOLE.model_copy(update={"teacher": {"encoder_licence": "CC-BY-NC-4.0"}}))["answer"] == "no"
    assert model_card.commercial_use(WHOLE.model_copy(update={"teacher": {"encoder_source": "x"}}))["answer"] == "unknown"


def test_of_unrecorded_data_nothing_is_known():
    assert model_card.commercial_use(WHOLE.model_copy(update={"data": []}))["answer"] == "unknown"


def test_a_card_from_before_sources_were_kept_still_loads(tmp_path: Path):
    bundle.save_card(tmp_path, WHOLE.model_copy(update={"data_licences": ["CC0-1.0", "unknown"]}))
    old = json.loads((tmp_path / bundle.CARD).read_text())
    del old["data"], old["phrases"][0]["measured"]
    (tmp_path / bundle.CARD).write_text(json.dumps(old))

    told = model_card.text(bundle.load_card(tmp_path), None)
    assert "| CC0-1.0 | yes:" in told
    assert "Nothing was measured" in told
    assert "Commercial use: unknown" in told


def test_a_saved_card_comes_with_its_model_card(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"12345")
    bundle.save_card(tmp_path, WHOLE)

    assert (tmp_path / bundle.README).read_text() == model_card.text(WHOLE, 5)
    assert bundle.load_card(tmp_path) == WHOLE


def test_another_operating_point_takes_away_what_was_measured_at_the_one_before(tmp_path: Path):
    bundle.save_card(tmp_path, WHOLE)
    bundle.set_operating_point(tmp_path, POINT.model_copy(update={"threshold": 0.9}))

    assert bundle.load_card(tmp_path).phrases[0].measured is None
    assert "Nothing was measured at this threshold." in (tmp_path / bundle.README).read_text()


def test_sources_are_those_of_train_and_dev():
    rows = [("a", "x", "CC0-1.0", "train"), ("b", "x", "CC0-1.0", "dev"), ("c", "x", "", "train"), ("d", "y", "MIT", "test")]
    heard = [Recording(i, f"{i}.wav", "", "wake", "", source, licence, 16_000 * 36, split) for i, source, licence, split in rows]

    found = _model_card.sources(heard)

    assert [(one.name, one.licence, one.recordings) for one in found] == [("x", "CC0-1.0", 2), ("x", "unknown", 1)]
    assert found[0].hours == pytest.approx(0.02)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import test_evaluate

    folder = tmp_path_factory.mktemp("evaluated")
    test_evaluate.prepared(folder)
    evaluate.run(test_evaluate.recipe(smoothing_windows=[1], snrs_db=[20.0]), folder)
    return folder


@pytest.mark.slow
def test_evaluate_completes_the_card_with_what_the_report_says(evaluated: Path):
    told = json.loads((evaluated / "evaluate" / "report.json").read_text())
    found = bundle.load_card(evaluated / "bundle").phrases[0].measured

    assert [one.model_dump() for one in found.conditions] == told["test"]["conditions"]
    assert found.false_accepts.model_dump() == told["test"]["false_accepts"]
    assert found.predicted.per_hour == told["predictions"][0]["predicted"]["per_hour"]
    assert "was not evaluated" not in (evaluated / "bundle" / bundle.README).read_text()


@pytest.mark.slow
def test_a_tone_is_detected_before_its_end(evaluated: Path):
    found = bundle.load_card(evaluated / "bundle").phrases[0].measured

    assert -1.0 < found.delay_s <= found.late_s < 0.2


def out(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert guarded(lambda: app([str(word) for word in words], standalone_mode=False)) == 0
    return capsys.readouterr().out


def test_the_command_shows_the_model_card(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    folder = tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})

    assert out(capsys, "card", folder) == (folder / bundle.README).read_text()


def test_the_command_shows_it_to_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    folder = tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})
    told = json.loads(out(capsys, "card", folder, "--json"))

    assert told["phrases"][0]["text"] == "hey nova"
    assert told["model_bytes"] == (folder / "model.onnx").stat().st_size
    assert told["commercial_use"]["answer"] == "unknown"

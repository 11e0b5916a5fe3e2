"""`rerun`: the same seed gives the same bundle, and what is not as it was is named."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from wakesmith import bundle
from wakesmith.data import sources
from wakesmith.data.records import Recording
from wakesmith.errors import ConfigError, DataError, TeacherError, WakesmithError
from wakesmith.run import WHOLE, code, versions, write_json
from wakesmith.steps import _model_card, rerun
from wakesmith.steps.export import TEACHER_FACTS

ONE = Recording("sounds/a.wav", "/home/ana/sounds/a.wav", "hey nova", "wake", "ana", "sounds", "", 16_000, "train")


def wrote(folder: Path, *sounds: tuple[Recording, str]) -> Path:
    (folder / "prepare").mkdir(parents=True)
    sources.write(folder / "prepare", sounds)
    return folder


def test_where_a_source_lies_makes_no_difference(tmp_path: Path):
    here = wrote(tmp_path / "here", (ONE, "aa"))
    there = wrote(tmp_path / "there", (dataclasses.replace(ONE, path="/mnt/sounds/a.wav"), "aa"))

    assert sources.read(here / "prepare") == sources.read(there / "prepare")
    rerun._check_sources(here, there)


@pytest.mark.parametrize(
    ("changed", "sound", "told"),
    [
        ({}, "bb", r"sounds \(unknown\): other sounds, texts"),
        ({"text": "hey nora"}, "aa", r"sounds \(unknown\): other sounds, texts"),
        ({"split": "dev"}, "aa", r"sounds \(unknown\): other sounds, texts"),
        ({"source": "others"}, "aa", r"sounds \(unknown\): gives nothing now\n  - others \(unknown\): is new"),
    ],
)
def test_a_changed_source_is_named(tmp_path: Path, changed: dict[str, str], sound: str, told: str):
    kept, now = wrote(tmp_path / "kept", (ONE, "aa")), wrote(tmp_path / "now", (dataclasses.replace(ONE, **changed), sound))

    with pytest.raises(DataError, match=told):
        rerun._check_sources(kept, now)


def test_a_bundle_names_its_sources_by_fingerprint(tmp_path: Path):
    first, second = (wrote(tmp_path / name, (ONE, sound)) / "prepare" for name, sound in (("run", "aa"), ("round", "bb")))
    row, both = (_model_card.sources([ONE], sources.together(own))[0] for own in ([first], [first, second]))

    assert len(row.fingerprint) == 32
    assert row.fingerprint != both.fingerprint


@pytest.mark.parametrize(
    ("part", "source", "told"),
    [
        ({"name": "whisper", "path": "/home/ana/models/tiny"}, "/home/ana/models/tiny", "tiny"),
        ({"name": "whisper", "hub_id": "openai/whisper-tiny.en"}, "openai/whisper-tiny.en", "openai/whisper-tiny.en"),
        (
            {
                "name": "ensemble",
                "members": [{"name": "moonshine"}, {"name": "hubert", "path": "a/b/", "checkpoint": "/x/best.pt"}],
            },
            "moonshine-voice + a/b/ with /x/best.pt",
            "moonshine-voice + b with best.pt",
        ),
    ],
)
def test_a_card_holds_no_folder_of_the_makers_machine(part: dict, source: str, told: str):
    facts = _model_card.teacher({"teacher": part, "encoder_source": source, "encoder_fingerprint": "ab"}, TEACHER_FACTS)

    assert facts == {"encoder_source": told, "encoder_fingerprint": "ab"}


def test_other_versions_are_told_once(tmp_path: Path):
    for step in ("speak", "train"):
        (tmp_path / step).mkdir()
        write_json(tmp_path / step / WHOLE, {"versions": {**versions(), "torch": "1.0"}, "machine": {"threads": "64"}})

    (found,) = rerun._made_by(tmp_path)
    assert (found["step"], found["what"], found["kept"]) == ("speak", "torch", "1.0")


def test_the_times_of_a_report_are_no_difference(tmp_path: Path):
    rows = [
        [{"step": 1, "samples_per_s": x}, {"step": 2, "eval_loss": 0.3, "eval_runtime": x, "eval_samples_per_second": x}]
        for x in (5, 6)
    ]
    told = {"test": {"frr": 0.1}, "cost": [{"took_s": 1.0}], "training": rows[0]}
    one, same, other = (tmp_path / name / "report.json" for name in ("one", "same", "other"))
    for path, data in (
        (one, told), (same, {**told, "cost": [], "training": rows[1]}),
        (other, {**told, "test": {"frr": 0.2}}),
    ):  # fmt: skip
        path.parent.mkdir()
        write_json(path, data)

    assert rerun._difference(one, same) == ""
    assert rerun._difference(one, other) == "test.frr"
    assert rerun._difference(one, tmp_path / "none.json") == "only in the run"


def test_a_rerun_into_the_run_itself_or_another_run_is_refused(tmp_path: Path):
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("phrase: hey nova\n")

    with pytest.raises(ConfigError, match="is the run itself"):
        rerun._open(SimpleNamespace(), tmp_path / "run", tmp_path / "run")
    with pytest.raises(ConfigError, match="is no rerun of run by the versions that are here"):
        rerun._open(SimpleNamespace(), tmp_path / "run", tmp_path / "other")


def test_a_run_that_is_not_whole_is_not_rerun(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("phrase: hey nova\n")

    with pytest.raises(WakesmithError, match="'rerun' reads from 'speak', which is not whole here"):
        rerun.run(tmp_path, tmp_path / "again")


# On a run


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bundle_byte_for_byte(run: Path, tmp_path: Path):
    told = rerun.run(run, tmp_path / "again")

    assert [one for one in told["files"] if not one["equal"]] == []
    assert {"bundle/model.onnx", "bundle/card.json", "bundle/README.md", "evaluate/report.json", "label/logits.npy"} <= {
        one["file"] for one in told["files"]
    }
    assert told["differences"] == []
    card = bundle.load_card(run / "bundle")
    assert card.code == code()
    assert all(one.fingerprint for one in card.data)
    assert str(run.parent.parent) not in (run / "bundle" / "card.json").read_text()


@pytest.mark.slow
def test_another_teacher_or_a_lost_source_stops_a_rerun(run: Path, forged: Path, tmp_path: Path):
    card = json.loads((run / "teach" / "card.json").read_text())
    write_json(run / "teach" / "card.json", {**card, "encoder_fingerprint": "00"})
    with pytest.raises(TeacherError, match="not the encoder that taught"):
        rerun.run(run, tmp_path / "again")

    (forged.parent / "sounds").rename(forged.parent / "away")
    try:
        with pytest.raises(DataError, match="sounds"):
            rerun.run(run, tmp_path / "again")
    finally:
        (forged.parent / "away").rename(forged.parent / "sounds")

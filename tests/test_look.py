"""`judge` and `runs`: the terminal tells what the page shows."""

import json
import shutil
from pathlib import Path

import pytest

from tests.test_cli import refused
from tests.test_evaluate import recipe, report_of
from wakesmith import audio, config
from wakesmith.cli import app
from wakesmith.steps import _recipe
from wakesmith.web import _compared, _judged


def settings(seed: int = 3) -> str:
    values = {
        "phrase": "hey nova",
        "seed": seed,
        "train": {"distil": False},
        "evaluate": recipe().evaluate.model_dump(mode="json"),
    }
    return config.to_yaml(_recipe.load(values))


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Path:
    """A copy, with the recipe that it was evaluated by."""
    made = Path(shutil.copytree(run_folder, tmp_path / "runs" / "tones"))
    (made / "config.yaml").write_text(settings())
    return made


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    app([str(word) for word in words], standalone_mode=False)
    return capsys.readouterr().out


def test_at_the_shipped_threshold_it_tells_the_report(run: Path, capsys):
    found, report = json.loads(told(capsys, "judge", run, "--json")), report_of(run)

    assert found["threshold"] == found["shipped"] == report["operating_point"]["threshold"]
    for split in ("dev", "test"):
        assert all(found[split][key] == report[split][key] for key in ("conditions", "false_accepts"))
    assert found["test"]["near_misses"] == report["near_misses"]


def test_at_another_threshold_it_lists_the_mistakes_of_the_page_and_writes_their_sounds(run: Path, capsys, tmp_path: Path):
    found = json.loads(told(capsys, "judge", run, "--threshold", 0.05, "--sounds", tmp_path / "sounds", "--json"))
    judged = _judged.load(run, 0)
    page = [one for split in judged.heard for one in _judged.mistakes(judged, split, 0.05)]

    assert [row["clip"] for row in found["mistakes"]] == [one.name for one in page]
    assert found["test"]["false_accepts"]["count"] > 0
    first = audio.read(tmp_path / "sounds" / f"{page[0].name.replace('/', '-')}.wav")
    assert first == pytest.approx(_judged.cut(judged, page[0]), abs=1e-4)
    assert len(list((tmp_path / "sounds").iterdir())) == len(page)


def test_a_clip_is_marked_as_on_the_page_and_shown_to_people(run: Path, capsys):
    (first, *_) = json.loads(told(capsys, "judge", run, "--threshold", 0.05, "--json"))["mistakes"]
    shown = told(capsys, "judge", run, "--threshold", 0.05, "--wrong", first["clip"])

    assert first["clip"] in shown
    assert "false accepts on test: " in shown
    assert json.loads((run / "feedback" / "marks.jsonl").read_text())["clip"] == first["clip"]
    assert "no mistake at this threshold" in refused(capsys, "judge", run, "--wrong", "test/nothing@1.00")


def test_a_phrase_that_the_run_does_not_know_lists_those_there_are(run: Path, capsys):
    assert "There are: hey nova" in refused(capsys, "judge", run, "--phrase", "hey nowa")


def test_runs_are_compared_as_on_the_page_and_one_that_is_not_whole_hides_none(run: Path, capsys):
    (run.parent / "planned").mkdir()
    (run.parent / "planned" / "config.yaml").write_text(settings())
    shutil.copytree(run, run.parent / "other")
    (run.parent / "other" / "config.yaml").write_text(settings(seed=9))
    found = json.loads(told(capsys, "runs", run.parent, "--json"))

    assert {row["run"] for row in found["runs"]} == {"tones", "other"}
    assert [list(row.values()) for row in found["runs"] if row["run"] == "tones"] == _compared.rows(run)
    assert "was not evaluated yet. Forge it to its end, or run: wakesmith evaluate" in found["waiting"]["planned"]
    assert [row["setting"] for row in found["differences"]] == ["seed"]
    shown = told(capsys, "runs", run.parent)
    assert "seed" in shown
    assert "planned was not evaluated yet" in shown


def test_a_folder_without_runs_says_so(tmp_path: Path, capsys):
    assert "no run here was evaluated yet" in told(capsys, "runs", tmp_path)

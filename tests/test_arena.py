"""The arena: the same streams for the same seed, one rule for every engine, a child process each, and nothing scored twice."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from wakesmith import audio
from wakesmith.errors import DataError, WakesmithError

ARENA = Path(__file__).parents[1] / "benchmarks" / "arena"
sys.path.insert(0, str(ARENA))

import run  # noqa: E402
import scoring  # noqa: E402
import streams  # noqa: E402

pytestmark = pytest.mark.slow  # each engine is a process of its own

COLUMNS = ["path", "label", "speaker", "split", "text", "licence", "speech_start_s", "speech_end_s"]


def write_rows(folder: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """(label, speaker, split, text) each -> half a second of a tone of its own between silences, and the manifest."""
    folder.mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number, (label, speaker, split, text) in enumerate(rows):
            tone = 0.2 * np.sin(2 * np.pi * (200 + 30 * number) * np.arange(8_000) / 16_000)
            audio.write(folder / f"{number}.wav", np.pad(tone, 1_600).astype(np.float32))
            table.writerow([f"{number}.wav", label, speaker, split, text, "CC0-1.0", 0.1, 0.6])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phrases = [("hey_nova", f"s{n}", "test", "") for n in range(3)]
    others = [("hey_nova_two", "s3", "test", ""), ("athena", "s4", "test", ""), ("athena", "s5", "train", "Hey Nova athena")]
    write_rows(folder / "wake", phrases + others)
    said = [
        ("t0", "test", "hello"),
        ("t1", "test", "say hey nova"),
        ("t2", "train", ""),
        *((f"d{n}", "dev", "") for n in range(3)),
    ]
    write_rows(folder / "negative", [("_speech", *row) for row in said])
    return folder


def arguments(data: Path, out: Path, *more: str, keyword: str = "hey nova") -> list[str]:
    return [str(data), keyword, "--engines", "wakesmith", "--here", "--out", str(out), *more]


def test_equal_seeds_give_equal_streams_and_others_others(data: Path, tmp_path: Path):
    first, again, other = (streams.make(data, "hey_nova", seed, tmp_path / name) for name, seed in [("a", 1), ("b", 1), ("c", 2)])

    assert [one.fingerprint for one in first] == [one.fingerprint for one in again]
    assert not {one.fingerprint for one in first} & {one.fingerprint for one in other if one.condition}


def test_every_phrase_lies_in_its_stream(data: Path, tmp_path: Path):
    written = streams.make(data, "hey_nova", 1, tmp_path)

    for one in written[: len(streams.CONDITIONS)]:
        samples = np.load(one.file)
        assert len(one.events) >= 2
        for _, start_s, end_s in one.events:
            assert np.abs(samples[round(start_s * 16_000) : round(end_s * 16_000)].astype(float)).mean() > 100, one.name


def test_streams_that_are_there_are_taken_as_they_are_until_the_data_change(data: Path, tmp_path: Path):
    copy = shutil.copytree(data, tmp_path / "data")
    made = streams.make(copy, "hey_nova", 1, tmp_path / "out")
    written = (tmp_path / "out" / "positives-clean.npy").stat().st_mtime_ns
    assert streams.make(copy, "hey_nova", 1, tmp_path / "out") == made
    assert (tmp_path / "out" / "positives-clean.npy").stat().st_mtime_ns == written

    manifest = copy / "wake" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("2.wav,hey_nova", "2.wav,marvin"))

    assert len(streams.make(copy, "hey_nova", 1, tmp_path / "out")[0].events) == 2


def test_no_negative_holds_the_keyword_and_no_talker_of_the_babble_is_one(data: Path):
    positives, others, speech, talkers = streams.recordings(data, "hey_nova")

    assert [one.speaker for one in positives] == ["s0", "s1", "s2"]
    assert [one.speaker for one in others] == ["s4"]
    assert [one.speaker for one in speech] == ["t0"]
    assert [one.speaker for one in talkers] == ["d0", "d1", "d2"]


def test_a_keyword_without_recordings_names_those_that_have_some(data: Path):
    with pytest.raises(DataError, match=r"no label 'marvin'. It has: athena, hey_nova, hey_nova_two"):
        streams.recordings(data, "marvin")


@pytest.mark.parametrize("kind", ["pink", "babble"])
def test_a_bed_depends_on_its_number_alone(data: Path, kind: str):
    talkers = streams.recordings(data, "hey_nova")[3]
    beds, again = streams.Beds(talkers, 1), streams.Beds(talkers, 1)
    beds.take(kind, "", 0)

    assert np.array_equal(beds.take(kind, "", 1), again.take(kind, "", 1))
    assert not np.array_equal(beds.take(kind, "", 1), beds.take(kind, "", 0))


def heard(name: str, condition: str | None, peaks: dict[float, float], events: list[tuple[str, float, float]]) -> scoring.Heard:
    """An hour of scores, one each tenth of a second, 0 but at the peaks (time -> score)."""
    times_s = np.arange(36_000) / 10
    scores = np.zeros(36_000, np.float32)
    for time_s, score in peaks.items():
        scores[round(time_s * 10)] = score
    return scoring.Heard(name, condition, events, 1.0, times_s, scores)


PHRASES = [("a", 10.0, 11.0), ("b", 20.0, 21.0), ("c", 30.0, 31.0), ("d", 40.0, 41.0)]
POSITIVES = heard("positives-clean", "clean", {10.5: 0.9, 21.5: 0.7, 32.1: 0.9, 35.0: 0.9, 40.5: 0.3}, PHRASES)
WORDS = heard("keywords-negatives-000", None, {50.0: 0.4, 70.0: 0.2}, [("w", 49.0, 51.0), ("v", 69.0, 71.0)])
SPEECH = heard("speech-negatives-000", None, {60.0: 0.8, 90.0: 0.6}, [("x", 59.0, 61.0), ("y", 89.0, 91.0)])


def point(name: str) -> dict:
    judged = scoring.judge([POSITIVES, WORDS, SPEECH], 0.5)
    return next(one for one in judged["points"] if name in one["name"].split(", "))


@pytest.mark.parametrize(
    ("name", "missed", "false_accepts"),
    [
        ("0 false accepts", 3, 0),  # over 0.8: only a; c came 1.1 s after its end
        ("0 false accepts of other keywords alone", 2, 2),  # over 0.4: a and b
        ("0.5 FA/h", 2, 1),  # 1 in 2 h: over 0.6
        ("2 FA/h", 1, 4),  # 4 in 2 h: all
        ("own threshold", 2, 2),
    ],
)
def test_hand_made_scores_give_the_misses_one_counts_by_hand(name: str, missed: int, false_accepts: int):
    found = point(name)

    assert found["conditions"]["clean"]["missed"] == missed
    assert found["false_accepts"]["count"] == false_accepts


def test_false_wakes_are_told_apart_by_kind_and_outside_of_phrases():
    assert {kind: one["count"] for kind, one in point("own threshold")["by_kind"].items()} == {"keywords": 0, "speech": 2}
    assert point("own threshold")["elsewhere"] == {"clean": 2}  # at 32.1 s, too late for c, and at 35 s


def test_an_engine_that_is_only_late_is_seen_and_delay_runs_from_the_end():
    judged = scoring.judge([POSITIVES, WORDS, SPEECH], 0.5)

    assert judged["late"] == 1
    assert judged["latency_s"] == pytest.approx((-0.5 + 0.5) / 2)


def test_a_score_that_is_always_high_hears_nothing():
    always = scoring.Heard("positives-clean", "clean", PHRASES, 1.0, POSITIVES.times_s, np.ones(36_000, np.float32))

    assert scoring.judge([always, WORDS, SPEECH], 0.5)["points"][-1]["conditions"]["clean"]["missed"] == 4


def test_the_loudest_negatives_come_first():
    assert [row["recording"] for row in scoring.loudest([WORDS, SPEECH])] == ["x", "y", "w", "v"]


def test_settings_that_come_to_the_same_threshold_share_a_row():
    names = [one["name"] for one in scoring.judge([POSITIVES, WORDS, SPEECH], 0.5)["points"]]

    shared = ["0 false accepts of other keywords alone, 1 FA/h", "0 false accepts, 0.1 FA/h"]
    assert names == [*shared, "0.5 FA/h", "2 FA/h", "own threshold"]


@pytest.fixture(scope="module")
def out(data: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first run of a tiny bundle; later runs take its streams up."""
    folder = tmp_path_factory.mktemp("arena")
    assert run.main(arguments(data, folder, "--bundle", str(tiny_bundle))) == 0
    return folder


def told(out: Path) -> dict:
    return json.loads((out / "hey_nova" / "arena.json").read_text())


def test_our_bundle_is_heard_by_its_own_process(out: Path, tiny_bundle: Path):
    found = told(out)

    assert found["n_positives"] == 3
    assert found["engines"][0]["cost"]["cpu_s_per_s"] > 0
    assert found["engines"][0]["models"] == {"model.onnx": (tiny_bundle / "model.onnx").stat().st_size}
    assert len(list(Path(found["engines"][0]["folder"]).glob("*.npz"))) == 6
    assert str(tiny_bundle) not in (out / "hey_nova" / "arena.md").read_text()


def test_scores_are_taken_up_by_a_second_run(out: Path, data: Path, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]):
    first = (out / "hey_nova" / "arena.md").read_text()
    assert run.main(arguments(data, out, "--bundle", str(tiny_bundle))) == 0

    again = capfd.readouterr()
    assert again.out == first
    assert "wakesmith: 6 of 6 streams are scored already" in again.err


def test_scores_of_the_child_are_those_of_the_detector(out: Path, data: Path, tiny_bundle: Path):
    from wakesmith.runtime import Detector

    written = streams.make(data, "hey_nova", 1, out / "hey_nova" / "streams-1")[0]
    found = run.load(written, Path(told(out)["engines"][0]["folder"]))
    times_s, scores = Detector.load(tiny_bundle).scores(np.load(written.file))

    assert found.scores == pytest.approx(scores[: len(found.scores)], abs=1e-6)
    assert found.times_s == pytest.approx(times_s[: len(found.times_s)])
    assert len(found.scores) >= len(scores) - 4


def test_another_operating_point_is_another_engine_and_another_phrase_is_left_out_with_a_line(
    out: Path, data: Path, tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    from wakesmith import bundle
    from wakesmith.card import OperatingPoint, Phrase

    other, athena = shutil.copytree(tiny_bundle, tmp_path / "other"), shutil.copytree(tiny_bundle, tmp_path / "athena")
    bundle.set_operating_point(other, OperatingPoint(threshold=0.4, smoothing_window=3, chosen_on="a test"))
    card = bundle.load_card(athena)
    bundle.save_card(athena, card.model_copy(update={"phrases": [Phrase(text="athena", operating_point=card.operating_point)]}))
    three = [part for folder in (tiny_bundle, other, athena) for part in ("--bundle", str(folder))]
    run.main(arguments(data, out, *three))

    assert len({engine["identity"] for engine in told(out)["engines"]}) == 2
    assert [engine["threshold"] for engine in told(out)["engines"]] == [0.5, 0.4]
    assert f"- wakesmith is left out: the bundle {athena} hears 'athena', not 'hey_nova'." in capfd.readouterr().out


def test_json_prints_what_the_file_holds(out: Path, data: Path, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]):
    run.main(arguments(data, out, "--bundle", str(tiny_bundle), "--json"))

    assert json.loads(capfd.readouterr().out) == told(out)


def test_without_any_engine_the_run_ends_with_a_line(out: Path, data: Path, capfd: pytest.CaptureFixture[str]):
    assert run.main(arguments(data, out)) == 2

    assert "error: hey_nova: no engine is left. wakesmith is left out: no bundle" in capfd.readouterr().err


def test_a_missing_folder_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert run.main(arguments(tmp_path / "nowhere", tmp_path)) == 2

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "nowhere" in lines[0]


def test_a_failing_pip_is_one_line_with_its_reason():
    failing = [sys.executable, "-c", "import sys; sys.exit('a\\nERROR: No matching distribution found for x==1\\n\\nnotice')"]

    with pytest.raises(WakesmithError, match=r"x: pip failed \(ERROR: No matching distribution found for x==1\)"):
        run.called("x: pip", failing)


@pytest.mark.parametrize("name", run.ENGINES)
def test_every_engine_pins_all_its_packages(name: str):
    lines = (ARENA / "engines" / f"{name}.txt").read_text().splitlines()

    assert lines
    assert all("==" in line for line in lines)

"""Mining: what is collected lies where it fired, test is never heard, and a round goes on where it stopped."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_run
from tests.test_evaluate import TONE_HZ, prepared
from wakesmith import audio, bundle
from wakesmith.card import OperatingPoint
from wakesmith.config import read_yaml
from wakesmith.data import audio_store
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.clips import VIEW_SAMPLES
from wakesmith.data.joined import Joined, JoinedAnswers
from wakesmith.data.records import Clip, Recording, load_jsonl
from wakesmith.errors import ConfigError, DataError, WakesmithError
from wakesmith.run import Run
from wakesmith.steps import _feedback, _peaks, _recipe, _rounds, forge, mine
from wakesmith.steps._peaks import Peak
from wakesmith.steps._rounds import Round

TONE_END = 100_000
"""Where the planted tone ends in its recording."""


def recipe(**settings: object) -> _recipe.Recipe:
    return _recipe.load({"phrase": "hey nova", "train": {"distil": False}, "mine": settings})


def toned(n_samples: int, *ends: int, size: float = 0.2) -> np.ndarray:
    """A low hum, and half a second of the tone before each end."""
    made = (0.05 * np.sin(2 * np.pi * 200 * np.arange(n_samples) / 16_000)).astype(np.float32)
    for end in ends:
        made[end - 8_000 : end] += (size * np.sin(2 * np.pi * TONE_HZ * np.arange(8_000) / 16_000)).astype(np.float32)
    return made


def listening(folder: Path, sounds: dict[tuple[str, str], np.ndarray]) -> AudioStore:
    """A run folder with a bundle that scores how loud the tone is, and recordings: (split, label) -> sound."""
    prepared(folder)
    point = OperatingPoint(threshold=0.6, refractory_s=1.0, chosen_on="by hand")
    bundle.set_operating_point(folder / "bundle", point)
    recordings = [
        Recording(f"{split}-{label}-{i}", "-", "", label, f"{split}{i}", "made", "CC0-1.0", len(sound), split)
        for i, ((split, label), sound) in enumerate(sounds.items())
    ]
    _rounds.store(folder / "prepare", recordings, [audio.to_int16(one) for one in sounds.values()], [])
    return AudioStore.open(folder / "prepare")


def found(folder: Path, **settings: object) -> dict:
    return mine.search(recipe(**settings), folder, folder / "mined")


def test_a_mined_clip_ends_about_the_planted_tone(tmp_path):
    store = listening(tmp_path, {("train", "speech"): toned(160_000, TONE_END), ("dev", "speech"): toned(32_000)})

    told = found(tmp_path)

    (clip,) = load_jsonl(tmp_path / "mined" / audio_store.CLIPS, Clip)
    (row,) = told["peaks"]
    start = row["at"] - VIEW_SAMPLES
    assert 0 <= TONE_END - row["at"] < 8_000  # somewhere in the tone, at the height of which every score is alike
    assert (clip.label, clip.split, clip.n_samples) == ("speech", "train", _peaks.CUT_SAMPLES)
    mined = AudioStore.open(tmp_path / "mined")
    cut = _peaks.SLACK_SAMPLES[0]
    source = store.int16(row["recording"])[start : row["at"]]
    assert np.array_equal(mined.int16(clip.recording)[cut : cut + VIEW_SAMPLES], source)


def test_beyond_the_end_of_its_recording_a_clip_is_silent(tmp_path):
    store = listening(tmp_path, {("train", "speech"): toned(20_000, 20_000), ("dev", "speech"): toned(32_000)})
    sound = _peaks.sound(store, Peak("train-speech-0", 20_000, 0.9))

    assert not sound[: _peaks.CUT_SAMPLES - 21_600].any()
    assert not sound[-1_600:].any()
    assert sound[-1_700:-1_600].any()


def test_dev_is_counted_and_not_learned(tmp_path):
    listening(tmp_path, {("train", "speech"): toned(80_000), ("dev", "noise"): toned(80_000, 40_000)})

    told = found(tmp_path)

    assert (told["searched"]["dev"]["fired"], told["n_clips"]) == (1, 0)
    assert not (tmp_path / "mined").exists()


def test_test_is_never_heard(tmp_path):
    sounds = {("train", "speech"): toned(160_000, TONE_END), ("dev", "speech"): toned(32_000), ("test", "speech"): toned(80_000)}
    store = listening(tmp_path, sounds)
    before = found(tmp_path)
    made = sorted(path.name for path in (tmp_path / "evaluate" / "scores").iterdir())
    sound = np.load(tmp_path / "prepare" / audio_store.AUDIO)
    sound[-80_000:] = audio.to_int16(toned(80_000, 40_000, size=0.9))
    np.save(tmp_path / "prepare" / audio_store.AUDIO, sound)

    assert found(tmp_path) == before
    assert sorted(path.name for path in (tmp_path / "evaluate" / "scores").iterdir()) == made
    assert before["searched"].keys() == {"train", "dev"}
    with pytest.raises(DataError, match="'test' is not searched"):
        _peaks.others(store.recordings.values(), "test", ["speech"])
    with pytest.raises(AssertionError, match="must not be learned"):
        mine.write(tmp_path / "mined", store, [Peak("test-speech-2", 40_000, 0.9)])


def test_the_phrase_itself_is_not_mined(tmp_path):
    listening(tmp_path, {("train", "wake"): toned(80_000, 40_000), ("dev", "speech"): toned(32_000)})

    assert found(tmp_path)["searched"]["train"] == {"hours": 0, "fired": 0, "peaks": 0}
    with pytest.raises(ConfigError, match=r"mine\.labels"):
        recipe(labels=["wake"])


def test_near_misses_are_mined_and_counted_where_they_are_named(tmp_path):
    kinds = ("near_miss", "speech", "noise", "unlabelled")
    listening(tmp_path, {(split, kind): toned(80_000, 40_000) for split in ("train", "dev") for kind in kinds})

    plain, named = found(tmp_path), found(tmp_path, labels=["near_miss", "noise"])

    assert {row["label"] for row in plain["peaks"]} == {"speech", "noise"}
    assert {row["label"] for row in named["peaks"]} == {"near_miss", "noise"}
    assert {row["label"] for row in named["loudest_of_dev"]} == {"near_miss", "noise"}


def test_what_is_known_is_not_mined_again(tmp_path):
    listening(tmp_path, {("train", "speech"): toned(160_000, TONE_END), ("dev", "speech"): toned(32_000)})
    folder = tmp_path / "rounds" / "01"
    told = mine.search(recipe(), tmp_path, folder / "prepare")
    plan = {"kind": "mine", "share": 0.2, "steps": 3, "prepare": _recipe.fingerprint(recipe(), "prepare"), "train": ""}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "found.json").write_text(json.dumps(told))

    again = found(tmp_path)

    assert told["n_clips"] == 1
    assert (again["searched"]["train"]["fired"], again["n_new"], again["n_clips"]) == (1, 0, 0)


def test_what_was_set_aside_is_mined_once_the_limit_allows_it(tmp_path):
    listening(tmp_path, {("train", "speech"): toned(160_000, TONE_END), ("dev", "speech"): toned(32_000)})
    one = made_round(tmp_path / "rounds" / "01", 1, prepare=_recipe.fingerprint(recipe(), "prepare"))
    (peak,) = found(tmp_path)["peaks"]
    (one.folder / "found.json").write_text(json.dumps({"peaks": [{**peak, "teacher": 0.95, "is_taken": False}]}))

    assert [found(tmp_path, phrase_over=over)["n_new"] for over in (0.9, 1.0)] == [0, 1]


def test_a_store_of_other_sounds_has_another_fingerprint(tmp_path):
    prints = {made_round(tmp_path / name, 1).fingerprint for name in ("a", "b")}
    one = Recording("r", "", "", "speech", "", "", "", 10, "train")
    _rounds.store(tmp_path / "b" / "prepare", [one], [np.ones(10, np.int16)], Round(tmp_path / "b").store.clips)

    assert len(prints) == 1
    assert Round(tmp_path / "b").fingerprint not in prints


@pytest.mark.parametrize("key", ["frr_clean", "frr_all", "fa_per_hour"])
def test_a_round_that_makes_dev_worse_says_so(key):
    before = {"frr_clean": 0.1, "frr_all": 0.2, "fa_per_hour": 0.3, "hours": 1.0}
    told = {"round": 2, "kind": "mine", "n_clips": 5, "before": {"dev": before}, "after": {"dev": before}}

    assert "worse" not in _feedback.line(told)
    assert "worse" not in _feedback.line(told | {"after": {"dev": before | {key: 0.01}}})
    worse = _feedback.line(told | {"after": {"dev": before | {key: 0.5}}})
    assert worse.endswith(f"On dev it got worse: {_feedback.JUDGED[key]}. The bundle before it is kept: rounds/02/bundle_before")


def test_a_weak_peak_is_mined_where_the_least_score_allows_it(tmp_path):
    listening(tmp_path, {("train", "speech"): toned(80_000, 40_000, size=0.08), ("dev", "speech"): toned(32_000)})

    assert found(tmp_path, least_score=0.9)["n_clips"] == 0
    assert found(tmp_path, least_score=0.3)["n_clips"] == 1


def test_peaks_are_limited_by_recording_and_by_label():
    labels = {"a": "speech", "b": "speech", "c": "noise"}
    peaks = [Peak(name, at, 0.9) for name in "abc" for at in (1, 2, 3)]

    def names(**limits):
        return "".join(peak.recording for peak in mine.chosen_of(peaks, labels, mine.Settings(**limits)))

    assert names(most_per_recording=2) == "aabbcc"
    assert names(most_per_recording=3, most=4) == "aaabccc"


def test_joined_arrays_read_as_their_concatenation():
    chance = np.random.default_rng(0)
    arrays = [chance.normal(size=(n, 3, 2, 5)) for n in (4, 1, 2)]
    clips, views = chance.integers(7, size=30), chance.integers(3, size=30)

    assert np.array_equal(Joined(arrays)[clips, views], np.concatenate(arrays)[clips, views])
    assert Joined(arrays).shape == (7, 3, 2, 5)


class Store:
    def __init__(self, first):
        self.first = first

    def batch(self, clips, views):
        return {"answer": np.stack([self.first + clips, views], axis=1)}


def test_joined_answers_come_from_the_store_of_each_clip():
    told = JoinedAnswers([Store(0), Store(100)], [4, 2]).batch(np.array([5, 0, 4, 3]), np.array([1, 0, 1, 0]))["answer"]

    assert told.tolist() == [[101, 1], [0, 0], [100, 1], [3, 0]]


def made_round(folder: Path, n_clips: int, **plan: object) -> Round:
    """A round of so many clips of silence."""
    clips = [Clip(f"c{i}", "r", 0, 10, "speech", "train") for i in range(n_clips)]
    one = Recording("r", "", "", "speech", "", "", "", 10, "train")
    _rounds.store(folder / "prepare", [one], [np.zeros(10, np.int16)], clips)
    (folder / "plan.json").write_text(json.dumps({"kind": "mine", "share": 0.5, "steps": 1, "prepare": "", "train": "", **plan}))
    (folder / "found.json").write_text("{}")
    return Round(folder)


def test_mined_clips_get_their_share_but_are_not_drummed_in(tmp_path):
    labels = np.repeat([2, 2], [100, 10])
    many = _rounds.parts([made_round(tmp_path / "a", 10)], 100, range(110), labels)
    few = _rounds.parts([made_round(tmp_path / "b", 1)], 109, range(110), labels)
    plenty = _rounds.parts([made_round(tmp_path / "c", 10, share=0.05)], 100, range(110), labels)

    assert [(part.members.sum(), part.label, part.share) for part in many] == [(10, 2, 0.5)]
    assert [(part.members.sum(), part.share) for part in few] == [(1, pytest.approx(_rounds.MOST_OFTEN / 110))]
    assert plenty == []


def test_own_recordings_and_mined_clips_have_shares_of_their_own(tmp_path):
    rounds = [made_round(tmp_path / "a", 10), made_round(tmp_path / "b", 10, kind="learn", share=0.25)]
    made = _rounds.parts(rounds, 100, range(120), np.full(120, 2))

    assert [(int(np.flatnonzero(part.members)[0]), part.share) for part in made] == [(110, 0.25), (100, 0.5)]


@pytest.mark.parametrize(
    ("kind", "over", "told"),
    [
        ("learn", {"learn": {"share": 0.7}}, r"learn\.share: 0\.7 and train\.own_share 0\.3 .*--set learn\.share=0\.35"),
        ("learn", {"learn": {"share": 0.5}}, r"learn\.share: 0\.5 and mine\.share 0\.5 .*--set learn\.share=0\.25"),
        ("mine", {"mine": {"share": 0.8}}, r"mine\.share: 0\.8 and learn\.share 0\.25 .*--set mine\.share=0\.38"),
    ],
)
def test_a_round_that_no_training_could_share_out_is_not_begun(kind, over, told, tmp_path, monkeypatch):
    rounds = [made_round(tmp_path / "a", 10), made_round(tmp_path / "b", 10, kind="learn", share=0.25)]
    monkeypatch.setattr(_rounds, "of", lambda *_: rounds)

    with pytest.raises(ConfigError, match=told):
        _feedback.begin(_recipe.load({"phrase": "hey nova", **over}), Run(tmp_path), kind)
    assert not (tmp_path / _rounds.FOLDER).exists()


EVERY = ["near_miss", "speech", "noise"]
STEPS = list(_recipe.STEPS)


def test_the_settings_of_rounds_change_no_step(tmp_path):
    plain, other = recipe(), recipe(rounds=3, share=0.5, most=7)

    assert [_recipe.fingerprint(plain, step) for step in STEPS] == [_recipe.fingerprint(other, step) for step in STEPS]


def test_a_round_changes_the_training_and_what_comes_after(tmp_path):
    changed = [step for step in STEPS if _recipe.fingerprint(recipe(), step) != _recipe.fingerprint(recipe(), step, ["01"])]

    assert changed == ["train", "export", "evaluate"]


def test_a_round_mined_from_other_recordings_counts_no_more(tmp_path):
    prepare = _recipe.fingerprint(recipe(), "prepare")
    for name, plan in {
        "01": {"prepare": prepare},
        "02": {"prepare": "other"},
        "03": {"prepare": "other", "kind": "learn"},
    }.items():
        made_round(tmp_path / "rounds" / name, 1, **plan)

    assert [one.name for one in _rounds.of(recipe(), tmp_path)] == ["01", "03"]


def test_a_round_goes_on_from_the_student_before_it_unless_settings_changed(tmp_path):
    own = made_round(tmp_path / "01", 1, train=_recipe.fingerprint(recipe(), "train"))

    assert _rounds.started_from(recipe(), [own]) == own
    assert _rounds.started_from(_recipe.load({"phrase": "hey nova", "train": {"distil": False, "steps": 7}}), [own]) is None
    assert _rounds.started_from(recipe(), []) is None


def test_mining_wants_a_whole_run(tmp_path):
    forge.plan(recipe(), tmp_path / "run")

    with pytest.raises(WakesmithError, match="'mine' reads from 'speak'"):
        mine.run(recipe(), tmp_path / "run", 1)


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"least_score": 0.0}, {"most": 0}, {"rounds": -1}])
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"mine.{next(iter(wrong))}"):
        recipe(**wrong)


def of(run: Path, **over: object) -> _recipe.Recipe:
    return _recipe.load(read_yaml(run / "config.yaml"), dict(over))


def bytes_of(run: Path, *names: str) -> dict[Path, tuple[int, bytes]]:
    """Everything in some folders of a run, with when it was written."""
    files = [path for name in names for path in (run / name).rglob("*") if path.is_file()]
    return {path.relative_to(run): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.slow
def test_a_round_learns_what_was_mined_and_leaves_the_cache_as_it_is(run):
    cache = bytes_of(run, "prepare", "views", "label", "teach")
    student, old = bytes_of(run, "train"), bytes_of(run, "bundle")

    (told,) = mine.run(of(run, mine={"least_score": 0.5, "steps_share": 0.2}), run, 1)

    assert bytes_of(run, "prepare", "views", "label", "teach") == cache
    assert bytes_of(run, "train")[Path("train/model.safetensors")][1] != student[Path("train/model.safetensors")][1]
    kept = bytes_of(run, "rounds/01/bundle_before")[Path("rounds/01/bundle_before/model.onnx")][1]
    assert kept == old[Path("bundle/model.onnx")][1]
    planted = next(row for row in told["peaks"] if row["path"].endswith("planted.wav"))
    assert abs(planted["time_s"] - tiny_run.PLANTED_S) < 0.6
    assert json.loads((run / "rounds" / "01" / "round.json").read_text()) == told
    assert told["steps"] == 24
    assert {"frr_clean", "fa_per_hour"} <= told["before"]["dev"].keys() & told["after"]["dev"].keys()
    assert len(load_jsonl(run / "rounds" / "01" / "prepare" / "clips.jsonl", Clip)) == told["n_clips"]


@pytest.mark.slow
def test_a_forge_after_mining_has_nothing_to_do(run, capsys):
    mine.run(of(run), run, 1)
    capsys.readouterr()

    forge.run(of(run), run)

    assert capsys.readouterr().err.count("whole, nothing to do") == 8


@pytest.mark.slow
def test_a_round_that_was_interrupted_is_finished(run):
    recipe = of(run)
    place = Run.open(run)
    stopped = _feedback.begin(recipe, place, "mine")
    (stopped.folder / "half").touch()
    one = _feedback.begin(recipe, place, "mine")  # without its clips the first begins again
    assert one == stopped
    assert not (one.folder / "half").exists()
    _feedback.found(one, mine.search(recipe, run, one.folder / "prepare"))
    forge.go(recipe, place, "train")

    told = mine.run(recipe, run, 1)

    assert [row["round"] for row in told] == [1]
    assert (run / "rounds" / "01" / "round.json").exists()
    assert not (run / "rounds" / "02").exists()


@pytest.mark.slow
def test_what_the_teacher_is_sure_of_is_told_and_not_learned(run):
    told = mine.search(of(run, mine={"phrase_over": 0.2}), run, run / "mined")

    planted = [row for row in told["perhaps_the_phrase"] if row["path"].endswith("planted.wav")]
    assert planted
    assert all(row["teacher"] > 0.2 for row in told["perhaps_the_phrase"])
    assert told["n_clips"] == len(told["peaks"]) - len(told["perhaps_the_phrase"])
    assert not mine.search(of(run, mine={"phrase_over": 1.0}), run, run / "all")["perhaps_the_phrase"]


@pytest.mark.slow
def test_forge_makes_the_rounds_that_are_asked_for(run):
    words = [sys.executable, "-m", "wakesmith.cli", "mine", str(run), "--set", f"mine.labels={EVERY}"]
    assert subprocess.run(words, capture_output=True, timeout=300).returncode == 0
    for _ in range(2):
        forge.run(of(run, mine={"rounds": 2, "labels": EVERY}), run)

    assert sorted(path.name for path in (run / "rounds").iterdir()) == ["01", "02"]


@pytest.mark.slow
def test_rounds_are_learned_with_a_live_teacher_and_without_any(run):
    mine.run(of(run), run, 1)
    for number, over in enumerate(({"targets": "live", "steps": 2}, {"distil": False, "steps": 2})):
        recipe = of(
            run, train={**over, "batch": 32, "evaluations": 1}, **({} if number == 0 else {"losses": [{"name": "cross_entropy"}]})
        )
        forge.go(recipe, Run.open(run), "train")

        assert json.loads((run / "train" / "card.json").read_text())["distilled"] is (number == 0)

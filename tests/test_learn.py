"""Learning from a user's own recordings: the place is found, wrong files are set aside, and nothing that was made is lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_run
from tests.test_evaluate import tone_model
from tests.test_mine import bytes_of, made_round, of, recipe, toned
from wakesmith import audio, bundle
from wakesmith.card import OperatingPoint
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.clips import EVENT_END_SAMPLES
from wakesmith.data.records import Clip, Recording, load_jsonl
from wakesmith.errors import BundleError, DataError, WakesmithError
from wakesmith.run import Run
from wakesmith.runtime.detector import Detector
from wakesmith.steps import _feedback, _rounds, learn
from wakesmith.steps.learn import FALSE_WAKE, MISS, Given

MINUTE = 60 * 16_000


@pytest.fixture
def listening(tmp_path):
    """A folder with a bundle that scores how loud a 1 kHz tone is, and no teacher."""
    tone_model(tmp_path / "bundle")
    bundle.set_operating_point(tmp_path / "bundle", OperatingPoint(threshold=0.6, refractory_s=1.0, chosen_on="by hand"))
    return tmp_path


def examined(folder: Path, *sounds: tuple[str, np.ndarray], trust: bool = False, **settings: object) -> list[Given]:
    given = []
    for number, (kind, sound) in enumerate(sounds):
        audio.write(folder / f"{number}.wav", sound)
        given.append(learn.read(folder / f"{number}.wav", kind))
    learn.examine(recipe().model_copy(update={"learn": learn.Settings(**settings)}), folder, given, trust)
    return given


def test_the_place_of_a_false_wake_is_found_in_a_long_file(listening):
    (one,) = examined(listening, (FALSE_WAKE, toned(2 * MINUTE, MINUTE)))

    ((at, label),) = one.clips
    assert 0 <= MINUTE - at < 8_000
    assert (label, one.aside) == ("speech", "")


def test_a_long_file_gives_as_many_places_as_asked_for(listening):
    places = [40_000, 100_000, 160_000, 220_000]
    sound = toned(MINUTE // 2, *places)

    counts = [len(examined(listening, (FALSE_WAKE, sound), most_per_file=most)[0].clips) for most in (1, 3)]
    assert counts == [1, 3]


def test_a_false_wake_in_which_the_bundle_keeps_quiet_is_set_aside_unless_trusted(listening):
    quiet = (FALSE_WAKE, toned(80_000))

    assert "the bundle keeps quiet here" in examined(listening, quiet)[0].aside
    trusted = examined(listening, quiet, trust=True)[0]
    assert (len(trusted.clips), trusted.aside) == (1, "")


def test_a_missed_phrase_ends_where_the_loud_part_does(listening):
    sound = np.zeros(48_000, np.float32)
    sound[8_000:20_000] = 0.2 * np.sin(np.arange(12_000) / 3)
    (one,) = examined(listening, (MISS, sound))

    n_clips = learn.write(listening / "own", "hey nova", [one])

    (clip,) = load_jsonl(listening / "own" / "clips.jsonl", Clip)
    store = AudioStore.open(listening / "own")
    assert (n_clips, clip.label, clip.split, clip.event_end) == (1, "wake", "train", EVENT_END_SAMPLES)
    assert clip.start + clip.event_end == pytest.approx(20_000, abs=160)
    assert store.recordings[clip.recording].text == "hey nova"
    assert not store.recordings[clip.recording].is_spoken


def test_silent_broken_and_repeated_files_are_set_aside_whatever_is_trusted(listening):
    tone = (FALSE_WAKE, toned(80_000, 40_000))
    silent, _, again = examined(listening, (MISS, np.zeros(16_000, np.float32)), tone, tone, trust=True)
    (listening / "broken.wav").write_bytes(b"RIFF and nothing more")

    assert silent.aside == "silent"
    assert "the same sound as" in again.aside
    assert "broken.wav" in learn.read(listening / "broken.wav", MISS).aside


def test_a_missed_phrase_ends_where_it_stands_out_of_the_noise(listening):
    sound = np.random.default_rng(1).normal(0, 0.01, 48_000).astype(np.float32)
    sound[8_000:20_000] += (0.2 * np.sin(np.arange(12_000) / 3)).astype(np.float32)
    (one,) = examined(listening, (MISS, sound))

    assert one.clips == [(pytest.approx(20_000, abs=480), "wake")]


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_file_that_judges_the_run_is_never_learned(tmp_path, split):
    audio.write(tmp_path / "a.wav", toned(80_000, 40_000))
    one = learn.read(tmp_path / "a.wav", MISS)
    held = Recording("r", "/r.wav", "", "wake", "", "", "", 80_000, split)
    _rounds.store(tmp_path / "prepare", [held], [audio.to_int16(one.samples)], [])

    learn.keep_out(AudioStore.open(tmp_path / "prepare"), [one], 0.8)

    told = f"the same sound is in the run's {split} (/r.wav), which must not be learned"
    assert one.aside == ("" if split == "train" else told)


def test_a_sound_of_test_that_was_written_to_a_file_again_is_known_too(tmp_path):
    sound = audio.to_int16(toned(80_000, 40_000))
    _rounds.store(tmp_path / "prepare", [Recording("r", "/r.wav", "", "wake", "", "", "", 80_000, "test")], [sound], [])
    store = AudioStore.open(tmp_path / "prepare")
    audio.write(tmp_path / "a.wav", store.recording("r"))
    one = learn.read(tmp_path / "a.wav", MISS)
    assert not np.array_equal(audio.to_int16(one.samples), sound)

    learn.keep_out(store, [one], 1.0)

    assert "the same sound is in the run's test" in one.aside


def test_a_file_that_was_set_aside_may_be_learned_later(tmp_path):
    one = made_round(tmp_path / "01", 1, kind="learn")
    rows = [{"recording": "a", "set_aside": ""}, {"recording": "b", "set_aside": "the teacher hears no phrase"}]
    (one.folder / "found.json").write_text(json.dumps({"files": rows}))

    assert learn.learned_in([one]) == {"a": one}


def test_a_bundle_without_its_run_is_refused(listening):
    with pytest.raises(BundleError, match="not the bundle in its run folder"):
        learn.run_of(listening / "bundle")


def test_a_folder_without_sound_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="no sound file here"):
        list(learn._files(tmp_path, None))
    with pytest.raises(DataError, match="nothing to learn from"):
        list(learn._files(None, None))


def test_files_of_both_kinds_are_taken_with_their_folders(tmp_path):
    for name in ("no/a.flac", "no/deep/b.WAV", "yes/c.ogg", "yes/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = [(path.name, kind) for path, kind in learn._files(tmp_path / "no", tmp_path / "yes")]
    assert found == [("a.flac", FALSE_WAKE), ("b.WAV", FALSE_WAKE), ("c.ogg", MISS)]


def like_the_phrase(number: int) -> np.ndarray:
    """A falling sweep between beats: no phrase, but what the tiny student fires on or nearly."""
    rng = np.random.default_rng(500 + number)
    made = tiny_run.beats(rng, 10 * tiny_run.RATE)
    made[3 * tiny_run.RATE : 7 * tiny_run.RATE] = 0
    fall = tiny_run.sweep(rng, rising=False)
    made[5 * tiny_run.RATE :][: len(fall)] = fall
    return made


def own_files(folder: Path, n: int = 3) -> tuple[Path, Path]:
    """-> (false wakes, misses): each folder holds right files, and one that belongs into the other."""
    wakes, misses = folder / "false", folder / "missed"
    for place in (wakes, misses):
        place.mkdir()
    rng = np.random.default_rng(77)
    for number in range(n):
        audio.write(wakes / f"{number}.wav", like_the_phrase(number))
        audio.write(misses / f"{number}.flac", tiny_run.sound("wake", rng) * np.float32(0.2))
    audio.write(misses / "wrong.wav", tiny_run.beats(rng, 32_000))
    return wakes, misses


def highest(folder: Path, sound: np.ndarray) -> float:
    return float(Detector.load(folder).scores(np.concatenate([sound, np.zeros(8_000, np.float32)]))[1].max())


@pytest.mark.slow
def test_a_planted_false_wake_fires_less_after_it_was_learned(run, tmp_path):
    wakes, misses = own_files(tmp_path)
    cache, old = bytes_of(run, "prepare", "views", "label", "teach"), (run / "bundle" / "model.onnx").read_bytes()
    settings = {"learn": {"share": 0.5, "steps_share": 0.5}, "mine": {"least_score": 0.01}}

    told = learn.run(of(run, **settings), run / "bundle", wakes, misses)

    before, now = (
        np.mean([highest(folder, like_the_phrase(n)) for n in range(3)])
        for folder in (run / "rounds" / "01" / "bundle_before", run / "bundle")
    )
    assert now < before
    assert bytes_of(run, "prepare", "views", "label", "teach") == cache
    assert (run / "rounds" / "01" / "bundle_before" / "model.onnx").read_bytes() == old
    wrong = [row for row in told["files"] if row["set_aside"]]
    assert [Path(row["path"]).name for row in wrong] == ["wrong.wav"]
    assert "the teacher hears no phrase" in wrong[0]["set_aside"]
    assert 0 <= wrong[0]["teacher"] < 0.5
    learned = [row for row in told["files"] if not row["set_aside"]]
    assert len(learned) == 6
    assert all({"fired_before", "fires_now"} <= row.keys() for row in learned)
    assert "wrong.wav" in learn.summary(told)
    assert json.loads((run / "rounds" / "01" / "round.json").read_text()) == told


@pytest.mark.slow
def test_files_that_were_learned_are_not_learned_twice(run, tmp_path, capsys):
    wakes, _ = own_files(tmp_path, n=1)
    first = learn.run(of(run), run / "bundle", wakes, None, trust=True)
    assert "round 01: " not in capsys.readouterr().err  # the command's answer says it

    assert learn.run(of(run), run / "bundle", wakes, None, trust=True) == first
    assert not (run / "rounds" / "02").exists()


@pytest.mark.slow
def test_a_phrase_among_the_false_wakes_is_set_aside_unless_trusted(run, tmp_path):
    (tmp_path / "false").mkdir()
    audio.write(tmp_path / "false" / "said.wav", tiny_run.sound("wake", np.random.default_rng(78)))
    recipe = of(run)

    with pytest.raises(DataError, match="none of 1 files can be learned from"):
        learn.run(recipe, run / "bundle", tmp_path / "false", None)
    assert not (run / "rounds").exists()

    told = learn.run(recipe, run / "bundle", tmp_path / "false", None, trust=True)
    assert (told["n_clips"], told["trust"]) == (1, True)


@pytest.mark.slow
def test_an_interrupted_round_of_own_files_is_finished_by_the_same_command(run, tmp_path):
    wakes, _ = own_files(tmp_path, n=1)
    recipe = of(run)
    given = [learn.read(path, kind) for path, kind in learn._files(wakes, None)]
    learn.examine(recipe, run, given, trust=True)
    one = _feedback.begin(recipe, Run.open(run), "learn")
    n_clips = learn.write(one.folder / "prepare", "swoop", given)
    _feedback.found(one, {"n_clips": n_clips, "trust": True, "files": [row.told() for row in given]})

    told = learn.run(recipe, run / "bundle", wakes, None, trust=True)

    assert told["round"] == 1
    assert (one.folder / _rounds.TOLD).exists()
    assert not (run / "rounds" / "02").exists()


@pytest.mark.slow
def test_learning_wants_the_cache(run, tmp_path):
    wakes, _ = own_files(tmp_path, n=1)
    shutil.rmtree(run / "views")

    with pytest.raises(WakesmithError, match="'learn' reads from 'views'"):
        learn.run(of(run), run / "bundle", wakes, None)

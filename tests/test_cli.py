"""The command line: instant start, and every mistake one clear line with exit code 2."""

import os
import resource
import shlex
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import soundfile

from tests import tone_bundle
from wakesmith.cli import app, guarded
from wakesmith.config import read_yaml
from wakesmith.voices import _texts

COMMAND = [sys.executable, "-m", "wakesmith.cli"]


def wakesmith(*words, cwd=None):
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=120)


def refused(capsys, *words):
    """The message of a command that is refused with exit code 2."""
    code = guarded(lambda: app([str(word) for word in words], standalone_mode=False))
    told = capsys.readouterr().err.strip()
    assert code == 2, told
    return told


def plan(tmp_path, *options, phrase="hey nova"):
    return ("plan", phrase, "--out", tmp_path / "run", *options)


def test_help_answers_at_once_and_loads_no_torch():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "forge" in wakesmith("--help").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime  # not the clock: other work may run beside
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, wakesmith.cli; print('torch' in sys.modules, 'transformers' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert loaded.stdout.split() == ["False", "False"]
    assert busy_s < 0.3


def test_threads_wait_briefly_unless_told_otherwise():
    def spins(**own):
        words = [sys.executable, "-c", "import os, wakesmith; print(os.environ['GOMP_SPINCOUNT'])"]
        given = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
        return subprocess.run(words, capture_output=True, text=True, check=True, env={**given, **own}).stdout.strip()

    assert spins() == "2000"
    assert spins(GOMP_SPINCOUNT="77") == "77"


def test_an_unknown_key_is_named_with_the_nearest(capsys, tmp_path):
    told = refused(capsys, *plan(tmp_path, "--set", "train.stepz=3"))

    assert "train.stepz: unknown key. Did you mean 'steps'?" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("place", "key"), [("voices/kokoro", "path"), ("owner/Kokoro-82M", "hub")])
def test_kokoro_speaks_beside_the_voices_of_the_preset(monkeypatch, tmp_path, place, key):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voices" / "kokoro" / "voices").mkdir(parents=True)
    (tmp_path / "voices" / "kokoro" / "voices" / "af_heart.bin").touch()

    words = [str(word) for word in plan(tmp_path, "--preset", "standard", "--kokoro", place)]
    assert guarded(lambda: app(words, standalone_mode=False)) == 0

    *others, kokoro = read_yaml(tmp_path / "run" / "config.yaml")["speak"]["voices"]
    assert [one["name"] for one in others] == ["espeak", "hibari"]
    assert (kokoro["name"], kokoro[key], kokoro["accents"]) == ("kokoro", place, True)
    assert kokoro["share"]["wake"] > kokoro["share"]["speech"]


def test_a_phrase_without_quotes_is_one_phrase(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert guarded(lambda: app(["plan", "hey", "nova,", "stop"], standalone_mode=False)) == 0

    assert read_yaml(tmp_path / "runs" / "hey_nova_stop" / "config.yaml")["phrase"] == ["hey nova", "stop"]


def test_phrases_that_cannot_be_mined_are_refused_before_anything(capsys, tmp_path):
    words = plan(tmp_path, "--set", "mine.rounds=1", phrase="hey nova,stop it now")

    assert "--set mine.rounds=0" in refused(capsys, *words)
    assert not (tmp_path / "run").exists()


def test_an_unknown_teacher_lists_what_there_is(capsys, tmp_path):
    told = refused(capsys, *plan(tmp_path, "--teacher", "whisprer"))

    assert "Did you mean 'whisper'?" in told
    assert "moonshine" in told


def test_a_phrase_without_letters_is_refused(capsys, tmp_path):
    assert "needs letters" in refused(capsys, *plan(tmp_path, phrase="123 !"))


def test_an_unknown_preset_lists_what_there_is(capsys, tmp_path):
    assert "quick, standard" in refused(capsys, *plan(tmp_path, "--preset", "fast"))


def test_a_folder_that_holds_something_else_is_left_alone(capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")

    assert "thesis.txt" in refused(capsys, *plan(tmp_path))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_source_without_recordings_is_told_before_anything_is_made(capsys, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    told = refused(capsys, "forge", "hey nova", "--out", tmp_path / "run", "--negatives", tmp_path / folder)

    assert folder in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("what", ["truncated", "nan"])
def test_a_bad_sound_file_is_named(capsys, tmp_path, what, tiny_bundle):
    path = tmp_path / f"{what}.wav"
    if what == "nan":
        soundfile.write(path, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    else:
        soundfile.write(path, np.zeros(16_000), 16_000)
        path.write_bytes(path.read_bytes()[:8_000])

    assert path.name in refused(capsys, "detect", tiny_bundle, path)


def test_a_step_whose_input_is_missing_names_the_command_that_makes_it(capsys, tmp_path):
    assert guarded(lambda: app([str(w) for w in plan(tmp_path)], standalone_mode=False)) == 0

    assert f"wakesmith label {tmp_path / 'run'}" in refused(capsys, "train", tmp_path / "run")


def test_a_full_disk_is_told_in_one_line(capsys):
    def full():
        raise OSError(28, "No space left on device", "run/views.npy")

    assert guarded(full) == 2
    assert "run/views.npy: No space left on device" in capsys.readouterr().err


def test_presets_are_valid_and_say_what_they_cost():
    from wakesmith.steps import _recipe

    for path in _recipe.PRESETS.glob("*.yaml"):
        assert _recipe.load({"phrase": "hey nova"}, preset=path.stem)
        assert "minutes" in path.read_text().splitlines()[0]


@pytest.mark.parametrize(("phrase", "n"), [("a", "1 syllable:"), ("fire", "1 syllable:"), ("bottle", "2 syllables:")])
def test_a_phrase_that_is_too_short_is_told_before_it_is_forged(capsys, tmp_path, phrase, n):
    assert guarded(lambda: app([str(word) for word in plan(tmp_path, phrase=phrase)], standalone_mode=False)) == 0

    assert f"'{phrase}' has {n} much of what people say will wake it. Take 3 or more." in capsys.readouterr().out


def test_a_phrase_of_three_syllables_is_not_doubted(capsys, tmp_path):
    assert guarded(lambda: app([str(word) for word in plan(tmp_path)], standalone_mode=False)) == 0

    assert "syllable" not in capsys.readouterr().out


def test_a_plan_with_a_folder_that_is_not_there_is_refused(capsys, tmp_path):
    assert "nowhere" in refused(capsys, *plan(tmp_path, "--recordings", tmp_path / "nowhere"))
    assert not (tmp_path / "run").exists()


def test_a_plan_in_a_language_that_no_voice_knows_writes_nothing(capsys, tmp_path):
    assert "espeak does not know 'xx'" in refused(capsys, *plan(tmp_path, "--set", "language=xx"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--teacher", "whisper:nofolder"], "teacher: nofolder: no such file or folder"),
        (["--teacher", "whisper:"], "expected a folder after the colon"),
        (["--kokoro", "nofolder"], "voices.path: nofolder is no folder"),
        (["--set", "language=de"], "brings words for en, es, not for 'de'"),
        (["--set", "features=micro", "--set", "export.targets=[onnx, esphome]"], "Take a smaller student (student.width"),
        (["--start", "norun"], "data.start: norun/train/model.safetensors: not readable"),
        (["--noise", __file__], "is a file, not a folder. Check the path: a folder of recordings, or a .csv or .jsonl manifest"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["plan", "forge"])
def test_what_only_a_later_step_needs_is_told_at_once(capsys, tmp_path, command, options, told):
    assert told in refused(capsys, command, "hey nova", "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_the_preset_for_devices_fits_the_limits_that_it_names_and_not_the_usual_ones(capsys, tmp_path):
    """Its file is measured before anything is made."""
    usual = ("--set", "export.targets=[onnx, esphome]")
    esphome = plan(tmp_path, "--preset", "esphome")

    assert "the limit is 55,296" in refused(capsys, *esphome, *usual)
    for fits in (("--set", "student=mixednet", *usual), ()):
        assert guarded(lambda more=fits: app([str(word) for word in (*esphome, *more)], standalone_mode=False)) == 0


@pytest.mark.parametrize(
    ("phrase", "language", "told"),
    [
        ("привет", "en", "has CYRILLIC letters, and 'en' is said from LATIN ones"),
        ("你好", "es", "CJK"),
        ("hey nova", "ru", "LATIN"),
    ],
)
def test_a_phrase_in_other_letters_than_its_language_is_refused(capsys, tmp_path, phrase, language, told):
    """espeak spells it out: "Chinese letter Chinese letter"."""
    assert told in refused(capsys, *plan(tmp_path, "--set", f"language={language}", phrase=phrase))
    assert told in refused(capsys, "say", phrase, tmp_path / "x.wav", "--language", language)


def test_letters_of_its_own_and_of_a_language_without_a_list_are_taken():
    for phrase, language in (
        ("señor López", "es"),
        ("привет", "ru"),
        ("こんにちは", "ja"),
        ("naïve 2", "en-gb"),
        ("გამარჯობა", "ka"),
    ):
        _texts.check_script(phrase, language)


def test_what_an_error_advises_is_taken(capsys, tmp_path):
    """Its first advice once led to the next error, and the third undid the second."""
    asked = [*plan(tmp_path), "--preset", "standard", "--set", "student=mobilenet_v3"]
    for _ in range(2):
        advice = shlex.split(refused(capsys, *asked).rstrip(".").partition("--set ")[2])
        asked += ["--set", *advice]

    assert guarded(lambda: app([str(word) for word in asked], standalone_mode=False)) == 0


def test_folders_where_no_run_is_are_told(capsys, tmp_path):
    assert "no such folder. Name the one that holds run folders" in refused(capsys, "runs", tmp_path / "nowhere")
    assert "no run of wakesmith is there" in refused(capsys, "judge", tmp_path)


def test_it_says_its_version(capsys):
    assert guarded(lambda: app(["--version"], standalone_mode=False)) == 0
    assert capsys.readouterr().out == f"wakesmith {version('wakesmith')}\n"


@pytest.mark.parametrize("command", ["plan", "forge"])
def test_a_run_of_another_phrase_is_not_begun_anew(capsys, tmp_path, command):
    assert guarded(lambda: app([str(word) for word in plan(tmp_path)], standalone_mode=False)) == 0

    told = refused(capsys, command, "computer", "--out", tmp_path / "run")

    assert "is the run of 'hey nova'. Name another folder for 'computer'." in told
    assert read_yaml(tmp_path / "run" / "config.yaml")["phrase"] == "hey nova"
    assert guarded(lambda: app([str(word) for word in plan(tmp_path, phrase="Hey  NOVA")], standalone_mode=False)) == 0


def test_a_run_folder_in_place_of_its_bundle_names_the_bundle(capsys, tmp_path):
    bundle = tone_bundle.make(tmp_path / "run" / "bundle", {"hey nova": 1_000})

    assert refused(capsys, "detect", tmp_path / "run", "x.wav").endswith(f"Name the bundle in it: {bundle}")


def test_a_folder_of_sounds_is_heard_file_by_file(capsys, tmp_path):
    bundle = tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})
    (tmp_path / "wakes" / "deeper").mkdir(parents=True)
    for path in (tmp_path / "wakes" / "b.wav", tmp_path / "wakes" / "deeper" / "a.flac"):
        soundfile.write(path, tone_bundle.tone(1_000, 0.5, 0.6, 2.0), 16_000)
    (tmp_path / "empty").mkdir()

    assert guarded(lambda: app(["detect", str(bundle), str(tmp_path / "wakes")], standalone_mode=False)) == 0
    assert capsys.readouterr().out.count("1 detection") == 2
    assert "no sound file here (.flac" in refused(capsys, "detect", bundle, tmp_path / "empty")


def test_it_does_not_say_that_it_listens_without_a_microphone(capsys, tmp_path):
    bundle = tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})

    told = refused(capsys, "listen", bundle, "--device", "no microphone is called so")
    assert "microphone" in told
    assert "listening for" not in told


def test_a_file_in_place_of_the_folder_of_runs_is_told(capsys, tmp_path):
    (tmp_path / "runs").write_text("x")

    assert "is a file. Name the folder that holds the run folders" in refused(capsys, "ui", "--runs", tmp_path / "runs")


def test_several_phrases_are_planned_and_refused_where_rounds_would_know_one(tmp_path, capsys):
    assert guarded(lambda: app([str(w) for w in plan(tmp_path, phrase="yes, no")], standalone_mode=False)) == 0

    config = next(tmp_path.rglob("config.yaml"))
    assert "- 'yes'\n- 'no'" in config.read_text()
    other = ["forge", "yes, no", "--out", tmp_path / "other", "--set", "mine.rounds=1"]
    assert "know bundles of one phrase, this is one of 2: yes, no" in refused(capsys, *other)
    assert not (tmp_path / "other").exists()

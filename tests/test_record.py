"""`record`: a take is judged by what is in it, good ones are kept, and what is there is judged the same way."""

import numpy as np
import pytest

from wakesmith import audio
from wakesmith.cli import app, guarded
from wakesmith.errors import AudioError
from wakesmith.runtime.microphone import numbered
from wakesmith.steps._takes import faults, measure
from wakesmith.steps.record import COUNT_S, HOWS, TAKE_S, check, record, run, table

RATE = audio.SAMPLE_RATE_HZ
N_TAKE = round(TAKE_S * RATE)


def take(level_dbfs=-20.0, snr_db=30.0, start_s=0.8, speech_s=0.9, seed=0):
    """(N_TAKE,) a buzz whose loudness moves like syllables, over white noise."""
    t = np.arange(round(speech_s * RATE)) / RATE
    buzz = np.sign(np.sin(2 * np.pi * 140 * t)) * np.sin(2 * np.pi * 2.5 * t) ** 2
    buzz *= 10 ** (level_dbfs / 20) / np.sqrt(np.square(buzz).mean())
    sound = np.random.default_rng(seed).normal(0, 10 ** ((level_dbfs - snr_db) / 20), N_TAKE)
    at = round(start_s * RATE)
    n = min(len(buzz), N_TAKE - at)
    sound[at : at + n] += buzz[:n]
    return np.clip(sound, -1, 1).astype(np.float32)


@pytest.mark.parametrize("level_dbfs", [-12.0, -30.0, -45.0])
@pytest.mark.parametrize("snr_db", [15.0, 30.0, 60.0])
def test_a_plain_take_is_good_at_any_usual_level(level_dbfs, snr_db):
    assert faults(measure(take(level_dbfs, snr_db))) == []


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(N_TAKE, np.float32), "nothing was heard"),
        (np.clip(take(level_dbfs=3.0), -1, 1), "clipped"),
        (take(level_dbfs=-40.0, snr_db=0.0), "above the noise"),
        (take(level_dbfs=-56.0), "too quiet"),
        (take(speech_s=0.1), "cannot be the phrase"),
        (take(start_s=0.1, speech_s=2.3), "cannot be the phrase"),
        (take(start_s=2.2), "its end is cut off"),
    ],
)  # fmt: skip
def test_a_bad_take_is_told_by_its_fault(samples, reason):
    assert reason in faults(measure(samples))[0]


def test_a_take_that_begins_in_the_middle_of_a_sound_is_cut():
    assert measure(take()[round(1.1 * RATE) :]).cut == "beginning"


def test_what_is_measured_is_what_was_made():
    found = measure(take(level_dbfs=-20.0, snr_db=30.0))

    assert found.snr_db == pytest.approx(33, abs=3)  # the loud half lies over the mean
    assert found.speech_dbfs == pytest.approx(-17, abs=3)
    assert found.speech_s == pytest.approx(0.9, abs=0.15)
    assert found.clipped == 0.0


class Heard:
    """A microphone that hears the given takes, each after a countdown of room noise, in chunks of 80 ms."""

    def __init__(self, *takes):
        chunk = RATE * 80 // 1000
        n_count = -(-round(COUNT_S * RATE) // chunk) * chunk
        n_take = -(-N_TAKE // chunk) * chunk
        noise = np.random.default_rng(9).normal(0, 1e-3, 3 * n_count).astype(np.float32)
        sound = [part for one in takes for part in (noise, np.pad(one, (0, n_take - len(one)), "reflect"))]
        self.chunks = iter(audio.to_int16(np.concatenate(sound)).reshape(-1, chunk)) if takes else iter(())

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_good_takes_are_kept_as_16_khz_mono(tmp_path):
    record(tmp_path / "ana", "hey nova", 2, Heard(take(seed=1), take(seed=2)))

    assert names(tmp_path / "ana") == ["001.wav", "002.wav"]
    kept = audio.read(tmp_path / "ana" / "001.wav")
    assert np.abs(kept[:N_TAKE] - take(seed=1)).max() < 1e-3


def test_a_bad_take_is_asked_for_again_with_its_reason(tmp_path, capsys):
    record(tmp_path / "ana", "hey nova", 1, Heard(take(level_dbfs=-56.0), take()))

    told = capsys.readouterr().err
    assert "again, please: too quiet" in told
    assert told.count(HOWS[0]) == 2
    assert names(tmp_path / "ana") == ["001.wav"]


def test_nobody_is_asked_to_speak_where_there_is_no_microphone(tmp_path, capsys):
    with pytest.raises(AudioError, match="microphone"):
        run(tmp_path, "hey nova", "ana", 1, "no microphone is called so")

    assert capsys.readouterr().err == ""
    assert not (tmp_path / "ana").exists()


def test_a_folder_that_is_full_needs_no_microphone(tmp_path):
    (tmp_path / "ana").mkdir()
    audio.write(tmp_path / "ana" / "001.wav", take())

    assert run(tmp_path, "hey nova", "ana", 1, "no microphone is called so") == tmp_path / "ana"


def test_takes_that_are_refused_in_a_row_end_it_with_the_reason(tmp_path):
    with pytest.raises(AudioError, match=r"in a row .* nothing was heard"):
        record(tmp_path / "ana", "hey nova", 1, Heard(*[np.zeros(N_TAKE, np.float32)] * 5))


def test_an_interrupted_recording_keeps_its_takes_and_goes_on(tmp_path, capsys):
    with pytest.raises(AudioError, match="went silent"):
        record(tmp_path / "ana", "hey nova", 4, Heard(take(seed=1), take(seed=2)))
    assert names(tmp_path / "ana") == ["001.wav", "002.wav"]
    (tmp_path / "ana" / "001.wav").unlink()  # made again, as one may after --check

    record(tmp_path / "ana", "hey nova", 4, Heard(*(take(seed=seed) for seed in (3, 4, 5))))

    assert names(tmp_path / "ana") == ["001.wav", "002.wav", "003.wav", "004.wav"]
    assert f"[3/4] 'hey nova', {HOWS[2]}" in capsys.readouterr().err
    assert np.abs(audio.read(tmp_path / "ana" / "002.wav")[:N_TAKE] - take(seed=2)).max() < 1e-3


def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    def heard():
        yield from Heard(take(seed=1))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(tmp_path / "ana", "hey nova", 4, heard())
    assert names(tmp_path / "ana") == ["001.wav"]


def test_files_that_are_there_are_judged_like_takes(tmp_path):
    (tmp_path / "ana").mkdir()
    audio.write(tmp_path / "ana" / "1.wav", take())
    audio.write(tmp_path / "ana" / "2.flac", take(level_dbfs=-56.0))
    (tmp_path / "3.wav").write_bytes(b"nothing")

    told = table(check(tmp_path)).splitlines()

    assert [line.split()[0] for line in told[1:4]] == ["3.wav", "ana/1.wav", "ana/2.flac"]
    assert "not a readable sound file" in told[1]
    assert told[2].endswith("good")
    assert "too quiet" in told[3]
    assert told[-1] == "1 of 3 are good"


@pytest.mark.parametrize(("level_dbfs", "code"), [(-20.0, 0), (-56.0, 1)])
def test_the_check_answers_by_its_exit_code(tmp_path, level_dbfs, code):
    import subprocess
    import sys

    audio.write(tmp_path / "1.wav", take(level_dbfs))
    words = [sys.executable, "-m", "wakesmith.cli", "record", str(tmp_path), "--check"]

    assert subprocess.run(words, capture_output=True, timeout=60).returncode == code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--phrase", "hey nova"], "--speaker NAME"),
        (["--phrase", "hey nova", "--speaker", "../ana"], "becomes a folder's name"),
        (["--check"], "no sound files here"),
    ],
)
def test_what_cannot_be_recorded_is_told(tmp_path, capsys, words, told):
    assert guarded(lambda: app(["record", str(tmp_path), *words], standalone_mode=False)) == 2
    assert told in capsys.readouterr().err


def test_a_microphone_given_by_number_is_no_part_of_a_name():
    assert [numbered("3"), numbered(3), numbered("USB 3"), numbered(None)] == [3, 3, "USB 3", None]

"""A copy is found whatever was done to it; other sounds are not taken for one."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from wakesmith import audio
from wakesmith.data import duplicates

RATE = audio.SAMPLE_RATE_HZ
WAITS = Path(tempfile.gettempdir())


def babble(seed, seconds=1.5):
    """Speech-like sound: a gliding pitch through moving formants, in syllables."""
    chance = np.random.default_rng(seed)
    n = int(seconds * RATE)
    time = np.arange(n) / RATE
    knots = np.linspace(0, n, 10)
    pitch = np.interp(np.arange(n), knots, chance.uniform(90, 220, 10))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = np.zeros(n)
    formants = [np.interp(np.arange(n), knots, chance.uniform(low, high, 10)) for low, high in ((300, 900), (1000, 3000))]
    for harmonic in range(1, 40):
        hz = harmonic * pitch
        sound += sum(np.exp(-(((hz - f) / 180) ** 2)) for f in formants) * np.sin(harmonic * phase)
    sound *= 0.55 + 0.45 * np.sin(2 * np.pi * chance.uniform(2, 5) * time + chance.uniform(0, 6))
    return (0.4 * sound / np.abs(sound).max() + 0.001 * chance.standard_normal(n)).astype(np.float32)


def coded(samples, kind, subtype):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
    file.seek(0)
    heard, rate_hz = soundfile.read(file, dtype="float32")
    return audio.resample(heard, rate_hz, RATE)


def through_8_khz(samples):
    return soxr.resample(soxr.resample(samples, RATE, 8000), 8000, RATE)


CHANGES = {
    "nothing": lambda samples: samples,
    "gain": lambda samples: 0.2 * samples,
    "8 kHz": through_8_khz,
    "mp3": lambda samples: coded(samples, "MP3", "MPEG_LAYER_III"),
    "opus": lambda samples: coded(samples, "OGG", "OPUS"),
    "cut later": lambda samples: samples[700:],
    "cut earlier": lambda samples: np.concatenate([np.zeros(2100, np.float32), samples]),
    "an excerpt": lambda samples: samples[5000:-4000],
    "all at once": lambda samples: coded(through_8_khz(0.4 * samples[450:]), "OGG", "OPUS"),
}


def found(sounds, groups=None, threshold=0.9):
    ints = [audio.to_int16(sound) for sound in sounds]
    owners = np.arange(len(ints)) if groups is None else np.array(groups)
    prints = [duplicates.prints(one) for one in ints]
    pairs = duplicates.near_duplicates(prints, owners, ints.__getitem__, lambda *_: threshold, WAITS)
    return [(first, second) for first, second, _ in pairs]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others(change):
    sounds = [babble(seed) for seed in range(6)]

    assert found([*sounds, CHANGES[change](sounds[3])]) == [(3, 6)]


def test_an_excerpt_of_a_long_recording_is_found():
    long = np.concatenate([babble(seed) for seed in range(20)])

    assert found([long, long[12 * RATE : 15 * RATE]]) == [(0, 1)]


def test_different_sounds_are_no_duplicates():
    chance = np.random.default_rng(0)
    noises = [0.1 * chance.standard_normal(RATE).astype(np.float32) for _ in range(10)]

    assert not found([babble(seed) for seed in range(20)] + noises, threshold=0.7)


def test_one_phrase_by_different_synthetic_voices_is_no_duplicate(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")
    from wakesmith import config, registry
    from wakesmith.rng import rng
    from wakesmith.voices._base import Utterance

    voice = registry.build("voices", config.part("voices", "espeak"))
    said = [voice.say(Utterance("hey nova"), speaker, rng(1, speaker)) for speaker in voice.speakers()[:40]]

    assert not found(said, threshold=0.8)


def test_pairs_within_a_group_are_not_looked_at():
    sound = babble(1)

    assert found([sound, sound, babble(2)], groups=[0, 0, 1]) == []


def test_silence_and_very_short_sounds_have_no_prints():
    assert len(duplicates.prints(np.zeros(RATE, dtype=np.int16))) == 0
    assert len(duplicates.prints(np.ones(100, dtype=np.int16))) == 0


def test_crowded_buckets_keep_the_work_bounded():
    one = duplicates.prints(audio.to_int16(babble(1)))

    pairs = duplicates.candidates([one] * 100, np.arange(100), WAITS)

    assert len(pairs) <= 100 * duplicates.NEIGHBOURS


def test_likeness_is_one_for_a_copy_and_small_for_another():
    one, two = audio.to_int16(babble(1)), audio.to_int16(babble(2))

    assert duplicates.likeness(one, one, 0) == pytest.approx(1.0, abs=1e-3)
    assert duplicates.likeness(one, two, 0) < 0.6


def test_what_shares_two_prints_by_chance_is_not_heard():
    one, two = (duplicates.prints(audio.to_int16(babble(seed))) for seed in (0, 1))
    two[:2]["hash"] = one[:2]["hash"]
    heard = []

    duplicates.near_duplicates([one, two], np.arange(2), heard.append, lambda *_: 0.8, WAITS)

    assert len(duplicates.candidates([one, two], np.arange(2), WAITS)) == 1
    assert not heard


@pytest.mark.parametrize("change", CHANGES)
def test_prints_of_a_changed_copy_are_like_it(change):
    sound = babble(3)
    one, two = (duplicates.prints(audio.to_int16(one)) for one in (sound, CHANGES[change](sound)))
    ((_, _, shift),) = duplicates.copies([one], [two])

    assert duplicates.unlikeness(one, two, shift) < 0.25
    assert duplicates.unlikeness(two, one, -shift) == duplicates.unlikeness(one, two, shift)


def test_prints_taken_in_parts_find_the_same_pairs(monkeypatch):
    sounds = [audio.to_int16(babble(seed)) for seed in range(12)]
    every = [duplicates.prints(one) for one in [*sounds, *sounds[:5]]]
    groups = np.array([0] * 12 + [1] * 5)
    whole = duplicates.candidates(every, groups, WAITS)

    for most in (len(every[0]), 1000):
        monkeypatch.setattr(duplicates, "MOST_AT_ONCE", most)
        assert duplicates.candidates(every, groups, WAITS) == whole
    assert {(number, 12 + number, 0) for number in range(5)} <= set(whole)

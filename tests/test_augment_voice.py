"""Tempo and pitch change apart, about the end of the view, and a voice stays a voice."""

import numpy as np
import pytest

from wakesmith import augment, config
from wakesmith.augment import _bank, voice
from wakesmith.data.records import Clip
from wakesmith.rng import rng

CLIP = Clip("hey", "r0", 0, 24_000, "wake", "train", 20_000)
NO_BANK = _bank.Bank(None)
ALWAYS = augment.build([config.part("augment", "voice", probability=1.0)])


def spoken(pitch_hz=150.0, formant_hz=900.0, ends_s=1.3):
    """A second and a half: one long vowel of a voice with one formant, from 0.3 s on."""
    t = np.arange(24_000) / 16_000
    partials = pitch_hz * np.arange(1, 30)
    heights = np.exp(-(((partials - formant_hz) / 300) ** 2)) + 0.02
    vowel = sum(height * np.sin(2 * np.pi * hz * t) for hz, height in zip(partials, heights, strict=True) if hz < 7500)
    inside = np.clip((t - 0.3) / 0.02, 0, 1) * np.clip((ends_s - t) / 0.02, 0, 1)
    return (0.1 * vowel * inside + 1e-4 * rng("murmur").standard_normal(24_000)).astype(np.float32)


def changed(sound, tempo=1.0, pitch=1.0):
    return augment.apply(sound, {"voice": {"tempo": tempo, "pitch": pitch}}, ALWAYS, NO_BANK)


def bounds_s(sound):
    loud = np.flatnonzero(np.convolve(np.abs(sound), np.ones(80) / 80, "same") > 0.01)
    return loud[0] / 16_000, loud[-1] / 16_000


def strongest_hz(sound):
    """The formant: the middle of the power, from 0.5 to 1.2 s."""
    power = np.square(np.abs(np.fft.rfft(sound[8_000:19_200])))
    return (power * np.fft.rfftfreq(11_200, 1 / 16_000)).sum() / power.sum()


def pitch_hz(sound):
    part = sound[8_000:19_200]
    likeness = [np.dot(part[:-lag], part[lag:]) / (len(part) - lag) for lag in range(60, 170)]
    return 16_000 / (60 + int(np.argmax(likeness)))


def test_off_leaves_every_sample_alone():
    off = augment.build([config.part("augment", "voice", probability=0.0)])

    assert np.array_equal(augment.augment(spoken(), CLIP, 0, 1, off, NO_BANK), spoken())


def test_the_same_seed_gives_the_same_sound_of_the_same_length():
    for view in range(8):
        first, again = (augment.augment(spoken(), CLIP, view, 1, ALWAYS, NO_BANK) for _ in range(2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, spoken())
        assert first.shape == (24_000,)
        assert first.dtype == np.float32
        assert np.isfinite(first).all()


@pytest.mark.parametrize("pitch", [0.85, 0.93, 1.07, 1.15])
def test_pitch_and_formant_move_together_and_time_stays(pitch):
    heard = changed(spoken(), pitch=pitch)

    assert pitch_hz(heard) == pytest.approx(150 * pitch, rel=0.02)
    assert strongest_hz(heard) == pytest.approx(strongest_hz(spoken()) * pitch, rel=0.02)
    assert bounds_s(heard) == pytest.approx(bounds_s(spoken()), abs=0.010)


@pytest.mark.parametrize("tempo", [0.85, 0.93, 1.07, 1.15])
def test_tempo_changes_the_length_about_the_end_of_the_view_and_nothing_else(tempo):
    heard = changed(spoken(), tempo=tempo)

    start_s, end_s = bounds_s(spoken())
    assert bounds_s(heard) == pytest.approx((1.5 - (1.5 - start_s) / tempo, 1.5 - (1.5 - end_s) / tempo), abs=0.010)
    assert pitch_hz(heard) == pytest.approx(150, rel=0.01)
    assert strongest_hz(heard) == pytest.approx(strongest_hz(spoken()), rel=0.02)


@pytest.mark.parametrize("ratio", [0.85, 1.15])
def test_a_steady_voice_stays_steady(ratio):
    """Frames that were joined at the wrong place beat, and put sound between the partials."""
    heard = changed(spoken(), tempo=ratio)[8_000:19_200] * np.hanning(11_200)

    power = np.square(np.abs(np.fft.rfft(heard)))
    hz = np.fft.rfftfreq(11_200, 1 / 16_000)
    off_partials = np.abs(hz / 150 - np.rint(hz / 150)) > 0.2
    assert power[off_partials].sum() < 0.003 * power.sum()
    assert heard.std() == pytest.approx((spoken()[8_000:19_200] * np.hanning(11_200)).std(), rel=0.1)


def test_speed_is_tempo_and_pitch_together():
    speed = augment.build([config.part("augment", "speed")])
    fast = augment.apply(spoken(), {"speed": {"ratio": 1.1}}, speed, NO_BANK)

    assert np.corrcoef(changed(spoken(), tempo=1.1, pitch=1.1), fast)[0, 1] > 0.99


def test_stretching_by_one_gives_the_sound_back():
    np.testing.assert_allclose(voice.stretched(spoken(), 1.0)[:24_000], spoken(), atol=1e-5)


def test_the_widest_changes_that_can_be_asked_for_are_made():
    for tempo in (0.5, 1.5):
        for pitch in (0.5, 1.5):
            assert np.isfinite(changed(spoken(), tempo, pitch)).all()


def test_silence_stays_silence():
    assert not changed(np.zeros(24_000, np.float32), tempo=1.1, pitch=0.9).any()

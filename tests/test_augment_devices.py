"""What microphones, codecs and gates do to a view: nothing when off, the same for a seed, and never a move in time."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from wakesmith import augment, config, registry
from wakesmith.augment import _bank, codec, gate, microphone
from wakesmith.data.records import Clip
from wakesmith.errors import ConfigError
from wakesmith.rng import rng

CLIP = Clip("hey", "r0", 0, 24_000, "wake", "train", 20_000)
ALWAYS = {
    "microphone": {"probability": 1.0},
    "codec": {"telephone_probability": 1.0, "mp3_probability": 1.0, "opus_probability": 1.0},
    "gate": {"probability": 1.0},
}
NO_BANK = _bank.Bank(None)


def spoken():
    """A second and a half: three syllables of a voice of 140 Hz over a murmur 50 dB lower."""
    t = np.arange(24_000) / 16_000
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 40))
    syllables = sum(np.exp(-(((t - at) / 0.06) ** 2)) for at in (0.5, 0.75, 1.0))
    return (0.1 * voice * syllables + 0.0003 * rng("murmur").standard_normal(24_000)).astype(np.float32)


def heard(name, views=6, **options):
    effects = augment.build([config.part("augment", name, **options)])
    return np.stack([augment.augment(spoken(), CLIP, view, 1, effects, NO_BANK) for view in range(views)])


def loudness(sound):
    """(N,) -> a value each millisecond, of 20 ms."""
    return np.square(sliding_window_view(sound, 320)[::16]).mean(axis=1)


def moved_ms(sound, other):
    """By how much the other comes later, from the course of the loudness."""
    one, two = (np.sqrt(loudness(s)) for s in (sound, other))
    lags = range(-60, 61)
    return max(lags, key=lambda lag: np.dot(one[100:-100], two[100 + lag : len(two) - 100 + lag]))


@pytest.mark.parametrize("name", ALWAYS)
def test_an_effect_that_is_off_leaves_every_sample_alone(name):
    assert np.array_equal(heard(name, **dict.fromkeys(ALWAYS[name], 0.0)), np.stack([spoken()] * 6))


@pytest.mark.parametrize("name", ALWAYS)
def test_the_same_seed_gives_the_same_sound_and_views_differ(name):
    first = heard(name, **ALWAYS[name])

    assert np.array_equal(first, heard(name, **ALWAYS[name]))
    assert len({view.tobytes() for view in first}) == len(first)


@pytest.mark.parametrize("name", ALWAYS)
def test_what_is_heard_is_finite_and_as_long_and_the_phrase_stays_in_time(name):
    for view in heard(name, views=12, **ALWAYS[name]):
        assert view.shape == (24_000,)
        assert view.dtype == np.float32
        assert np.isfinite(view).all()
        assert abs(moved_ms(spoken(), view)) <= 10


@pytest.mark.parametrize("name", ALWAYS)
def test_silence_stays_silence(name):
    effects = augment.build([config.part("augment", name, **ALWAYS[name])])

    assert not augment.augment(np.zeros(24_000, np.float32), CLIP, 0, 1, effects, NO_BANK).any()


def test_a_microphone_has_the_response_that_was_drawn():
    effects = augment.build([config.part("augment", "microphone", probability=1.0)])
    drawn = augment.draw(CLIP, 3, 1, effects, NO_BANK)
    click = np.zeros(24_000, np.float32)
    click[12_000] = 1

    out = augment.apply(click, drawn, effects, NO_BANK)

    found_db = 20 * np.log10(np.abs(np.fft.rfft(out)) + 1e-9)
    expected_db = np.interp(np.fft.rfftfreq(24_000, 1 / 16_000), microphone.GRID_HZ, microphone.response_db(drawn["microphone"]))
    assert np.median(np.abs(found_db - expected_db)[200:]) < 0.1
    assert np.ptp(expected_db) > 3


def test_a_microphone_cuts_low_and_rolls_off_where_it_says():
    drawn = {"tilt_db": 0.0, "ripple_db": [0.0] * 10, "resonances": [], "low_order": 2, "high_order": 6}
    gain_db = microphone.response_db({**drawn, "low_hz": 200.0, "high_hz": 4000.0})

    at = dict(zip((50, 200, 1000, 4000, 8000), np.interp((50, 200, 1000, 4000, 8000), microphone.GRID_HZ, gain_db), strict=True))
    assert at[1000] == pytest.approx(0, abs=0.1)
    assert at[200] == pytest.approx(-3, abs=0.3)
    assert at[4000] == pytest.approx(-3, abs=0.3)
    assert at[50] < -22
    assert at[8000] < -34


def test_a_telephone_leaves_nothing_over_four_kilohertz():
    noise = rng("noise").standard_normal(24_000).astype(np.float32) * 0.1

    power = np.square(np.abs(np.fft.rfft(codec.telephone(noise, 0.0))))

    hz = np.fft.rfftfreq(24_000, 1 / 16_000)
    assert power[hz > 4200].sum() < 1e-3 * power[(hz > 300) & (hz < 3300)].sum()


def test_fewer_bits_are_further_from_the_sound():
    def error(kbps):
        how = {"format": "OGG", "subtype": "OPUS", "compression_level": (256 - kbps) / 250}
        return np.square(codec.coded(spoken(), **how) - spoken()).mean()

    assert error(8) > 2 * error(32)


def test_a_codec_keeps_the_level():
    for view in heard("codec", **ALWAYS["codec"]):
        assert 0.5 < view.std() / spoken().std() < 1.5


def test_a_gate_silences_the_pause_and_leaves_the_loud_part():
    options = {"least_threshold_db": 40.0, "most_threshold_db": 40.0, "most_hold_ms": 0.0, "least_floor_db": 90.0}
    view = heard("gate", views=1, probability=1.0, **options)[0]

    assert np.abs(view[:4000]).max() < 1e-6
    np.testing.assert_array_equal(view[8000:9000], spoken()[8000:9000])


def test_a_gate_holds_and_then_closes_as_slowly_as_it_was_told():
    is_open = np.array([False, True, True, False, False, False, False, False])

    assert gate.closing(is_open, hold_ms=10, release_ms=20).tolist() == [1, 0, 0, 0, 0.5, 1, 1, 1]


def test_bounds_in_the_wrong_order_are_told():
    for name, options in (("codec", {"least_kbps": 40.0}), ("gate", {"least_threshold_db": 50.0})):
        with pytest.raises(ConfigError, match="must not be below"):
            config.part("augment", name, **options)


def test_effects_are_found_by_their_names():
    assert set(ALWAYS) <= set(registry.names("augment"))

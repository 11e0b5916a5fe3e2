"""Views: the same by name in any order, different by number, at the drawn SNR; every effect's options change what is heard."""

from types import SimpleNamespace

import numpy as np
import pytest

from wakesmith import audio, augment, config, registry
from wakesmith.augment import _bank, _generated, _rooms
from wakesmith.augment._base import mix_at_snr, power
from wakesmith.data.records import SPLITS, Clip, Recording
from wakesmith.rng import rng
from wakesmith.steps.views import Settings

CLIP = Clip("hey", "r0", 0, 32_000, "wake", "train", 24_000)
CHANGES = {
    "shift": {"least_ms": 300},
    "speed": {"probability": 1.0, "most_percent": 20.0},
    "context": {"probability": 1.0},
    "room": {"probability": 1.0},
    "babble": {"probability": 1.0},
    "noise": {"probability": 1.0},
    "band_limit": {"tilt_probability": 1.0, "band_probability": 1.0},
    "codec": {"telephone_probability": 1.0, "mp3_probability": 1.0, "opus_probability": 1.0, "least_kbps": 20.0},
    "voice": {"probability": 1.0},
    "scene": {"room_probability": 1.0, "least_talkers": 3},
    "level": {"most_peak_dbfs": -20.0, "clipping_probability": 1.0},
}


def word():
    sound = np.zeros(32_000, np.float32)
    sound[10_000:24_000] = rng("word").standard_normal(14_000) * 0.1
    return sound


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    recordings = [
        Recording(f"{label}{split}{i}", "", "", label, f"{i}", "x", "CC0", 160_000, split)
        for label in ("speech", "noise", "room") for split in SPLITS for i in range(4)
    ]  # fmt: skip
    store = SimpleNamespace(
        of=lambda split, label: [one for one in recordings if (one.split, one.label) == (split, label)],
        recording=lambda name: (rng(name).standard_normal(160_000) * 0.05).astype(np.float32),
    )
    return _bank.make(store, tmp_path_factory.mktemp("bank"), seed=1, n_rooms=5, most_beds=6, jobs=1)


@pytest.fixture(scope="module")
def effects():
    return augment.build(Settings().effects)


def test_a_view_is_the_same_whatever_was_made_before(bank, effects):
    first = [augment.augment(word(), CLIP, view, 1, effects, bank) for view in range(6)]
    backwards = [augment.augment(word(), CLIP, view, 1, effects, bank) for view in reversed(range(6))][::-1]

    assert all(np.array_equal(a, b) for a, b in zip(first, backwards, strict=True))


def test_two_views_two_seeds_and_two_clips_differ(bank, effects):
    one = augment.augment(word(), CLIP, 0, 1, effects, bank)
    other_clip = Clip("ho", "r0", 0, 32_000, "wake", "train", 24_000)

    for clip, view, seed in ((CLIP, 1, 1), (CLIP, 0, 2), (other_clip, 0, 1)):
        assert not np.array_equal(one, augment.augment(word(), clip, view, seed, effects, bank))


def test_a_view_is_a_second_and_a_half_of_finite_float32(bank, effects):
    for view in range(30):
        heard = augment.augment(word(), CLIP, view, 1, effects, bank)
        assert heard.shape == (24_000,)
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        assert np.abs(heard).max() <= 1


def test_the_phrase_ends_shortly_before_the_view(bank):
    shift = augment.build([config.part("augment", "shift")])
    for view in range(20):
        heard = augment.augment(word(), CLIP, view, 1, shift, bank)
        after_ms = (24_000 - np.flatnonzero(heard)[-1]) / 16
        assert 45 <= after_ms <= 355


def test_noise_sits_at_the_drawn_snr(bank):
    effects = augment.build([config.part("augment", "noise", probability=1.0)])
    sound = word()[-24_000:]
    drawn = augment.draw(CLIP, 0, 1, effects, bank)

    added = augment.apply(sound, drawn, effects, bank) - sound

    assert 10 * np.log10(power(sound) / power(added)) == pytest.approx(drawn["noise"]["snr_db"], abs=0.05)


def test_mixing_scales_the_other_sound_only():
    speech, noise = (rng(i).standard_normal(16_000).astype(np.float32) for i in range(2))

    added = mix_at_snr(speech, noise, 6.0) - speech

    assert 10 * np.log10(power(speech) / power(added)) == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize("name", registry.names("augment"))
def test_every_option_changes_what_is_heard(name, bank):
    """Eight views through the effect's defaults and through each changed option."""
    murmur = rng("murmur").standard_normal(32_000).astype(np.float32) * 0.001

    def heard(**options):
        effects = augment.build([config.part("augment", "shift"), config.part("augment", name, **options)] if name != "shift" else
                                [config.part("augment", name, **options)])  # fmt: skip
        return np.stack([augment.augment(word() + murmur, CLIP, view, 1, effects, bank) for view in range(8)])

    default = registry.load("augment", name).Config()
    for option, value in default.model_dump().items():
        if option == "name":
            continue
        other = CHANGES.get(name, {}).get(option, value / 2 if value > 0 else value - 5)
        sure = {key: 1.0 for key in type(default).model_fields if "probability" in key and key != option}
        assert not np.array_equal(heard(**sure), heard(**{**sure, option: type(value)(other)})), option


def test_another_effects_options_leave_a_draw_alone(bank):
    base = augment.build(Settings().effects)
    changed = augment.build([config.part("augment", "noise", probability=0.0), *Settings().effects[6:]])

    assert augment.draw(CLIP, 0, 1, base, bank)["level"] == augment.draw(CLIP, 0, 1, changed, bank)["level"]


def test_noise_clips_stay_free_of_voices(bank):
    effects = augment.build([config.part("augment", name, probability=1.0) for name in ("babble", "context")])
    drawn = augment.draw(Clip("n", "r", 0, 32_000, "noise", "train"), 0, 1, effects, bank)

    assert not drawn["babble"]["used"]
    assert not drawn["context"]["used"]


def test_no_room_is_heard_in_two_splits(bank):
    rooms = {split: {bank.take("room", split, i).tobytes() for i in range(bank.count("room", split))} for split in SPLITS}

    assert not rooms["train"] & rooms["dev"]
    assert not rooms["train"] & rooms["test"]


def test_a_simulated_room_begins_with_its_direct_sound():
    responses = _rooms.simulated(1, 0)

    assert responses.shape == (2, _rooms.ROOM_SAMPLES)
    assert not np.array_equal(*responses)
    for response in responses:
        assert np.abs(response).argmax() <= _rooms.BEFORE_PEAK
        assert np.square(response).sum() == pytest.approx(1.0, abs=1e-3)


def reverberation_s(response):
    """Schroeder's backward sum, from -5 to -25 dB, drawn out to -60 dB."""
    left = np.cumsum(np.square(response.astype(np.float64))[::-1])[::-1]
    level_db = 10 * np.log10(left / left[0] + 1e-12)
    return (np.argmax(level_db < -25) - np.argmax(level_db < -5)) / 16_000 * 3


def test_too_few_reflections_do_not_cut_a_long_reverberation_short():
    assert max(reverberation_s(_rooms.simulated(1, number)[0]) for number in range(24)) > 0.5


def test_a_simulated_room_does_not_depend_on_the_number_of_cores():
    import pyroomacoustics

    made = []
    for n_threads in (1, 4):
        pyroomacoustics.constants.set("num_threads", n_threads)
        made.append(_rooms.simulated(1, 0))

    assert np.array_equal(*made)


def test_pink_noise_falls_three_decibels_an_octave():
    sound = _generated.coloured(rng(1), 160_000, 0.5)
    spectrum = np.square(np.abs(np.fft.rfft(sound)))
    hz = np.fft.rfftfreq(160_000, 1 / 16_000)
    octaves = [10 * np.log10(spectrum[(hz >= low) & (hz < 2 * low)].mean()) for low in (250, 500, 1000, 2000)]

    np.testing.assert_allclose(np.diff(octaves), -3.0, atol=0.5)


def test_a_run_without_noise_recordings_has_generated_ones(tmp_path):
    bank = _bank.make(SimpleNamespace(of=lambda *_: []), tmp_path, seed=1, n_rooms=0, most_beds=2, jobs=1)

    assert bank.count("noise", "train") == _bank.N_GENERATED
    assert bank.count("babble", "train") == 0
    assert np.abs(audio.to_int16(bank.take("noise", "dev", 0))).max() > 0

"""A scene: others talk in the same room from another place, in the number, at the level and at the distance that were drawn."""

from types import SimpleNamespace

import numpy as np
import pytest

from wakesmith import augment, config
from wakesmith.augment import _bank, _rooms
from wakesmith.augment._base import power
from wakesmith.data.records import SPLITS, Clip, Recording
from wakesmith.errors import ConfigError
from wakesmith.rng import rng

CLIP = Clip("hey", "r0", 0, 24_000, "wake", "train", 20_000)
DRY = {"room_probability": 0.0}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    recordings = [
        Recording(f"{label}{split}{i}", "", "", label, f"{i}", "x", "CC0", 160_000, split)
        for label in ("speech", "room") for split in SPLITS for i in range(3)
    ]  # fmt: skip
    store = SimpleNamespace(
        of=lambda split, label: [one for one in recordings if (one.split, one.label) == (split, label)],
        recording=lambda name: (rng(name).standard_normal(160_000) * 0.05).astype(np.float32),
    )
    return _bank.make(store, tmp_path_factory.mktemp("bank"), seed=1, n_rooms=5, most_beds=6, jobs=1)


def word():
    sound = np.zeros(24_000, np.float32)
    sound[8_000:20_000] = rng("word").standard_normal(12_000) * 0.1
    return sound


def scene(**options):
    return augment.build([config.part("augment", "scene", **{"probability": 1.0, "room_probability": 1.0, **options})])


def test_an_empty_scene_leaves_every_sample_alone(bank):
    assert np.array_equal(augment.augment(word(), CLIP, 0, 1, scene(probability=0.0, **DRY), bank), word())


def test_the_same_seed_gives_the_same_scene_of_finite_sound(bank):
    for view in range(8):
        first, again = (augment.augment(word(), CLIP, view, 1, scene(), bank) for _ in range(2))
        assert np.array_equal(first, again)
        assert first.dtype == np.float32
        assert first.shape == (24_000,)
        assert np.isfinite(first).all()


@pytest.mark.slow
def test_one_to_twelve_talk_and_one_alone_is_common(bank):
    drawn = [augment.draw(CLIP, view, 1, scene(), bank)["scene"] for view in range(300)]

    numbers = [len(one["talkers"]) for one in drawn]
    assert set(numbers) == set(range(1, 13))
    assert 0.2 < numbers.count(1) / len(numbers) < 0.35
    levels = [level for one in drawn for _, _, level in one["talkers"]]
    assert -12 <= min(levels) < -11
    assert max(levels) <= 0


@pytest.mark.parametrize("options", [DRY, {}])
def test_the_others_sit_at_the_drawn_snr_under_what_is_heard_of_the_phrase(bank, options):
    effects = scene(**options)
    drawn = augment.draw(CLIP, 0, 1, effects, bank)
    alone = augment.apply(word(), {"scene": {**drawn["scene"], "talkers": []}}, effects, bank)

    added = augment.apply(word(), drawn, effects, bank) - alone

    assert 10 * np.log10(power(alone) / power(added)) == pytest.approx(drawn["scene"]["snr_db"], abs=0.05)


def test_the_others_are_heard_from_another_place_of_the_same_room(bank):
    effects = scene(most_talkers=1)
    drawn = augment.draw(CLIP, 0, 1, effects, bank)["scene"]
    number, offset, _ = drawn["talkers"][0]
    start = round(offset * (160_000 - 32_000))
    talker = bank.take("speech", "train", number)[start : start + 32_000]

    heard = augment.apply(np.zeros(24_000, np.float32), {"scene": drawn}, effects, bank)

    expected = _rooms.through(talker, bank.take("beside", "train", drawn["room"]))[-24_000:]
    assert np.corrcoef(heard, expected)[0, 1] > 0.999
    assert not np.array_equal(bank.take("beside", "train", drawn["room"]), bank.take("room", "train", drawn["room"]))


def test_farther_off_has_less_direct_sound_and_the_same_energy():
    near = _rooms.simulated(1, 0)[0]
    far = _rooms.farther(near, 6.0)

    def direct_to_reverberant_db(response):
        energy = np.square(response)
        return 10 * np.log10(energy[: _rooms.DIRECT].sum() / energy[_rooms.DIRECT :].sum())

    assert direct_to_reverberant_db(near) - direct_to_reverberant_db(far) == pytest.approx(6.0, abs=0.01)
    assert np.square(far).sum() == pytest.approx(1.0, abs=1e-3)


def test_the_phrase_does_not_move_in_any_room(bank):
    for view in range(12):
        heard = augment.augment(word(), CLIP, view, 1, scene(probability=0.0), bank)
        begun = np.argmax(np.square(heard).cumsum() > 0.01 * np.square(heard).sum()) - 8_000
        assert 0 <= begun < 160 + 1_200  # a hundredth of the energy, in 10 ms and a twelfth of a second of reverberation


def test_clips_of_noise_stay_free_of_voices(bank):
    drawn = augment.draw(Clip("n", "r", 0, 32_000, "noise", "train"), 0, 1, scene(), bank)

    assert drawn["scene"]["talkers"] == []


def test_a_bank_without_speech_and_rooms_makes_no_scene(tmp_path):
    empty = _bank.make(SimpleNamespace(of=lambda *_: []), tmp_path, seed=1, n_rooms=0, most_beds=2, jobs=1)

    assert np.array_equal(augment.augment(word(), CLIP, 0, 1, scene(), empty), word())


def test_fewer_at_the_most_than_at_the_least_is_told():
    with pytest.raises(ConfigError, match="must not be below least_talkers"):
        scene(least_talkers=3, most_talkers=2)

"""The front-end of ESPHome devices: the package's own numbers, and features of views as a stream gives them."""

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import audio, config, registry
from wakesmith.data import views
from wakesmith.errors import ConfigError
from wakesmith.runtime import front_ends
from wakesmith.steps import _common_test
from wakesmith.training import features
from wakesmith.training.history import History

N_SAMPLES = 16_000
SPLITS = ["train", "train", "train", "dev"]


def front_end(**options: object) -> torch.nn.Module:
    return registry.build("features", config.part("features", "micro", **options))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> views.ViewStore:
    """Four clips of two views: sounds in steady noise."""
    folder = tmp_path_factory.mktemp("views")
    views.create(folder, np.ones((4, 2), bool), N_SAMPLES, {"fingerprint": "a"})
    views.fill(folder, sound, 1)
    return views.ViewStore.open(folder)


def sound(clip: int, view: int) -> np.ndarray:
    noise = np.random.default_rng(10 * clip + view).standard_normal(N_SAMPLES) * 0.03
    return (audio.to_float(parts.sound(1.0, 10 * clip + view)) * 0.5 + noise).astype(np.float32)


def made(store: views.ViewStore, path, **options: object) -> np.ndarray:
    return np.array(features.make(front_end(**options), store, path / "features.npy", SPLITS), np.float32)


def test_frames_are_those_of_the_package():
    samples = parts.sound(2.0, seed=1)

    found = front_end()(torch.from_numpy(audio.to_float(samples))[None])[0].numpy()

    wanted = parts.micro(np.concatenate([np.zeros(320, np.int16), samples]))
    assert np.array_equal(found, np.minimum(wanted, 26.0))
    assert found.min() == 0.0
    assert 10.0 < found.max() <= 26.0


def test_features_of_a_view_are_those_of_a_stream_at_its_place(store, tmp_path):
    history = History(store, SPLITS, (0.5, 3.0))
    stream = front_ends.of({"name": "micro"}, 160)()
    before = history(1, 1)
    stream.step(before)

    assert np.allclose(made(store, tmp_path)[1, 1], stream.step(store.read(1, 1)), atol=0.02)  # stored as float16


def test_after_a_history_a_view_sounds_as_it_does_late_in_a_stream(store, tmp_path):
    """The front-end has learned the noise by then: a stream that began long before differs little, a lone clip much."""
    long, alone = [], []
    after = made(store, tmp_path, history_s=[2.5, 3.0])
    for clip in range(3):
        stream = front_ends.of({"name": "micro"}, 160)()
        stream.step(History(store, SPLITS, (20.0, 20.0))._own(clip, 0, 20 * 16_000))
        late = stream.step(store.read(clip, 0))
        long.append(np.abs(after[clip, 0] - late).mean())
        alone.append(np.abs(front_end()(torch.from_numpy(store.read(clip, 0))[None])[0].numpy() - late).mean())

    assert np.mean(long) < 0.5 * np.mean(alone)


def test_compare_hears_test_views_after_a_history_too(store):
    samples = np.stack([store.read(clip, 0) for clip in range(4)])
    heard = lambda **options: torch.cat(list(_common_test.frames_of(front_end(**options), samples, "test/clean")))  # noqa: E731

    history = History(_common_test.Heard(samples, "test/clean"), ["test"] * 4, (0.5, 3.0))
    stream = front_ends.of({"name": "micro"}, 160)()
    stream.step(history(2, 0))
    assert np.array_equal(heard()[2].numpy(), stream.step(samples[2]))
    assert (heard(history_s=[0.0, 0.0]) - heard()).abs().max() > 1.0


def test_features_are_the_same_each_time(store, tmp_path):
    (tmp_path / "a").mkdir()

    assert np.array_equal(made(store, tmp_path), made(store, tmp_path / "a"))


def test_a_history_of_no_length_leaves_the_lone_clip(store, tmp_path):
    found = made(store, tmp_path, history_s=[0.0, 0.0])

    assert np.allclose(found[2, 0], front_end()(torch.from_numpy(store.read(2, 0))[None])[0].numpy(), atol=0.02)


def test_the_length_of_the_history_changes_the_features(store, tmp_path):
    (tmp_path / "long").mkdir()

    assert np.abs(made(store, tmp_path, history_s=[0.1, 0.2]) - made(store, tmp_path / "long", history_s=[3.0, 3.0])).max() > 1.0


def test_histories_are_drawn_by_clip_and_view_and_end_on_whole_hops(store):
    history = History(store, SPLITS, (0.0, 2.0))
    lengths = [len(history(clip, view)) for clip in range(4) for view in range(2)]

    assert len(set(lengths)) > 4
    assert all(length % 160 == 0 for length in lengths)
    assert max(lengths) <= 32_000


def test_a_history_holds_clips_of_its_own_split_alone(store):
    history = History(store, ["train", "train", "test", "dev"], (1.0, 1.0))
    chance = np.random.default_rng(0)

    assert {tuple(history._others(3, N_SAMPLES, chance)[:5]) for _ in range(9)} == {
        tuple(store.read(3, view)[:5]) for view in range(2)
    }


def test_own_noise_leads_up_to_the_view_without_a_jump(store):
    own = History(store, SPLITS, (1.0, 1.0))._own(0, 0, 24_000)

    assert len(own) == 24_000
    assert own[-1] == store.read(0, 0)[0]
    assert own[-N_SAMPLES - 1] == own[-N_SAMPLES]


def test_a_history_upside_down_is_refused():
    with pytest.raises(ConfigError, match=r"history_s: expected two rising numbers from 0 to 30 \(given: \[2\.0, 1\.0\]\)"):
        config.part("features", "micro", history_s=[2.0, 1.0])

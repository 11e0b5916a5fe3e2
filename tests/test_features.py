import numpy as np
import pytest
import torch

from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.features import log_mel

torch.set_num_threads(1)


@pytest.fixture(params=registry.names("features"))
def front_end(request: pytest.FixtureRequest) -> torch.nn.Module:
    return registry.build("features", config.part("features", request.param))


def tone(hz: float, n_samples: int = 24_000) -> torch.Tensor:
    return 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(n_samples) / 16_000)[None]


def test_a_view_gives_a_frame_for_every_hop(front_end: torch.nn.Module):
    assert front_end(torch.randn(2, 24_000)).shape == (2, 24_000 // front_end.hop_samples, front_end.n_mels)


def test_a_stream_of_any_chunks_equals_the_whole_clip(front_end: torch.nn.Module):
    samples = 0.1 * torch.randn(1, 100 * front_end.hop_samples)
    state, found, start = front_end.initial_state(), [], 0
    for n_hops in (1, 3, 8, 2, 86):
        n_samples = n_hops * front_end.hop_samples
        features, state = front_end.step(samples[:, start : start + n_samples], state)
        found.append(features)
        start += n_samples

    assert torch.allclose(torch.cat(found, dim=1), front_end(samples), atol=near(front_end(samples)))


def near(features: torch.Tensor) -> float:
    """Rounding of float32 at the height of the features."""
    return max(1e-6, 2e-6 * float(features.abs().max()))


def test_later_samples_change_no_earlier_frame(front_end: torch.nn.Module):
    samples = 0.1 * torch.randn(1, 50 * front_end.hop_samples)
    other = samples.clone()
    other[:, 25 * front_end.hop_samples :] = 0.0

    assert torch.allclose(front_end(samples)[:, :25], front_end(other)[:, :25], atol=near(front_end(samples)))


def test_a_frame_hears_nothing_but_the_last_25_ms():
    front_end = registry.build("features", config.part("features", "log_mel"))
    samples = torch.randn(1, 8_000, requires_grad=True)

    front_end(samples)[0, 30].sum().backward()

    assert samples.grad is not None
    heard = samples.grad[0].nonzero()
    assert heard.min() >= 31 * 160 - 400
    assert heard.max() < 31 * 160


def test_a_clip_gives_the_same_features_beside_any_other(front_end: torch.nn.Module):
    samples = 0.1 * torch.randn(3, 8_000)

    assert torch.allclose(front_end(samples[:1]), front_end(samples)[:1], atol=1e-5 + near(front_end(samples)))


def test_log_mel_equals_a_fourier_transform_of_windowed_frames():
    settings = config.part("features", "log_mel")
    samples = 0.1 * np.random.default_rng(0).standard_normal(8_000)
    n = np.arange(400)
    hann = np.sin(np.pi * (n + 0.5) / 400) ** 2
    frame = samples[31 * 160 - 400 : 31 * 160] * hann
    power = np.abs(np.fft.rfft(frame)) ** 2
    wanted = (np.log(power @ log_mel.mel_filters(40, 60.0, 7600.0)) - settings.mean) / settings.spread

    found = registry.build("features", settings)(torch.from_numpy(samples.astype(np.float32))[None])

    assert found[0, 30].numpy() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("hz", [200.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hz: float):
    features = registry.build("features", config.part("features", "log_mel"))(tone(hz))
    edges_mel = np.linspace(log_mel._mel(60.0), log_mel._mel(7600.0), 42)

    band = int(features[0, 100].argmax())

    assert edges_mel[band] <= log_mel._mel(hz) <= edges_mel[band + 2]


def test_silence_sits_at_the_floor():
    settings = config.part("features", "log_mel")

    features = registry.build("features", settings)(torch.zeros(1, 1_600))

    assert features.min() == features.max() == pytest.approx((np.log(settings.floor) - settings.mean) / settings.spread, abs=1e-5)


def test_bands_that_would_be_empty_are_refused():
    with pytest.raises(ConfigError, match="take fewer"):
        config.part("features", "log_mel", high_hz=800.0)


def test_bands_upside_down_are_refused():
    with pytest.raises(ConfigError, match="must lie below"):
        config.part("features", "log_mel", low_hz=5000.0, high_hz=4000.0)

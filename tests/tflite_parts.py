"""What the tests of TFLite share: real features of made sounds, and a student that says different things of them."""

import functools

import numpy as np
import torch

from wakesmith import audio, config, registry
from wakesmith.exporters._listener import Listener
from wakesmith.students.mixednet import MixedNet

RATE_HZ = audio.SAMPLE_RATE_HZ


def sound(length_s: float, seed: int) -> np.ndarray:
    """Harmonic tones whose pitch wanders, in bursts, over noise that comes and goes. -> (N,) int16"""
    rng = np.random.default_rng(seed)
    t = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    knots = np.arange(0, length_s + 1, 0.25)
    hz = np.interp(t, knots, rng.uniform(90, 320, len(knots)))
    loud = np.interp(t, knots, rng.uniform(0, 1, len(knots)) ** 3)
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    tilt = np.interp(t, knots, rng.uniform(0.5, 0.95, len(knots)))
    voice = sum(tilt**n * np.sin(n * phase) for n in range(1, 20))
    noise = rng.standard_normal(len(t)) * np.interp(t, knots, 10 ** rng.uniform(-4, -1, len(knots)))
    return (np.clip(0.15 * loud * voice + noise, -1, 1) * 32_767).astype(np.int16)


def micro(samples: np.ndarray) -> np.ndarray:
    """ESPHome's own front-end: (N,) int16 -> (T, 40) of 0..26."""
    from pymicro_features import MicroFrontend

    front_end, frames = MicroFrontend(), []
    for start in range(0, len(samples) - 159, 160):
        frames += [out] if (out := front_end.process_samples(samples[start : start + 160].tobytes()).features) else []
    return np.array(frames, np.float32)


@functools.cache
def streams() -> list[np.ndarray]:
    """Four of 10 s."""
    return [micro(sound(10.0, seed)) for seed in range(4)]


def listener(seed: int = 1, n_phrases: int = 1, **options: object) -> Listener:
    """A student of random weights whose norms know the sounds, and whose scores go up and down with them."""
    torch.manual_seed(seed)
    student: MixedNet = registry.build("students", config.part("students", "mixednet", **options), 40, 150, 4)
    rows = torch.from_numpy(np.stack([one[at : at + 150] for one in streams() for at in range(0, 800, 100)]))
    student.train()
    for layer in student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        logits, _ = student(rows)
        student.head.weight.mul_(1.0 / logits.std(dim=0)[:, None])
        student.head.bias.sub_(student(rows)[0].mean(dim=0))
    return Listener(registry.build("features", config.part("features", "log_mel")), student, n_phrases)

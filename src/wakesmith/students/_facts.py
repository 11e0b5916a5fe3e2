"""What a student costs and how long it waits, measured on the student itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from wakesmith import config, registry
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.exporters._listener import Listener
from wakesmith.students import _suits

VIEW_SAMPLES = 3 * SAMPLE_RATE_HZ // 2
N_CLASSES = 4


@dataclass(frozen=True)
class Facts:
    """Of a student at its default size behind a front-end, for views of 1.5 s."""

    student: str
    features: str
    parameters: int
    macs_per_s: int
    """Multiplications of convolutions and matrix products, in a second of audio: of the student alone."""
    features_macs_per_s: int
    """Of the front-end."""
    receptive_ms: float
    """Sound that a score depends on, the front-end's window with it."""
    hop_ms: float
    """From one score to the next."""
    latency_ms: float
    """Longest that a sound waits for the first score that heard it: the step of the shipped listener. No student looks ahead."""
    listens: str


def macs(module: Any, *inputs: Any) -> int:
    """Multiplications of every convolution and matrix product that is run by `module(*inputs)`."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(*inputs)
    return counter.get_total_flops() // 2  # it counts a multiplication and its addition as two


def of(student: str) -> Facts:
    """Measured behind the first of the front-ends that suit it."""
    features = _suits.front_ends(student)[0]
    front_end = registry.build("features", config.part("features", features)).eval()
    n_frames = VIEW_SAMPLES // front_end.hop_samples
    built = registry.build("students", config.part("students", student), front_end.n_mels, n_frames, N_CLASSES).eval()
    hop_samples = built.hop_frames * front_end.hop_samples
    per_s = SAMPLE_RATE_HZ / hop_samples
    listener = Listener(front_end, built)
    samples = torch.zeros(1, hop_samples)
    frames, _ = front_end.step(samples, front_end.initial_state())
    return Facts(
        student=student,
        features=features,
        parameters=sum(weight.numel() for weight in built.parameters()),
        macs_per_s=round(per_s * macs(built.step, frames, built.initial_state())),
        features_macs_per_s=round(per_s * macs(front_end.step, samples, front_end.initial_state())),
        receptive_ms=_ms(listener.receptive_samples),
        hop_ms=_ms(hop_samples),
        latency_ms=_ms(listener.step_samples),
        listens=built.listens,
    )


def table(rows: Sequence[Facts]) -> list[list[str]]:
    """Header and a row a student, as text."""
    head = ["student", "features", "parameters", "MACs/s", "of features", "hears", "score each", "waits", "listens"]
    return [head, *(_row(one) for one in rows)]


def _row(one: Facts) -> list[str]:
    costs = [f"{one.macs_per_s / 1e6:.2f} M", f"{one.features_macs_per_s / 1e6:.2f} M"]
    times = [f"{ms:.0f} ms" for ms in (one.receptive_ms, one.hop_ms, one.latency_ms)]
    return [one.student, one.features, f"{one.parameters:,}", *costs, *times, one.listens]


def _ms(n_samples: int) -> float:
    return 1000 * n_samples / SAMPLE_RATE_HZ

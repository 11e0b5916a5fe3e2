"""How far ESPHome's front-end hears a clip otherwise after more of the same noise: python benchmarks/micro_history.py

Beats of tones in white noise at 10 dB, with so much of that noise before them, beside 8 s of it: mean difference of the features,
0 to 26, over 20 clips; and how far the features of the clips deviate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.runtime.front_ends import micro

N_CLIPS, CLIP_S, LONG_S, SNR_DB = 20, 1.5, 8.0, 10.0
Floats = npt.NDArray[np.float32]


def clip(rng: np.random.Generator) -> Floats:
    """(N,) three tones that come and go, at 0.1 of full scale."""
    t = np.arange(round(CLIP_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tones = sum(np.sin(2 * np.pi * hz * t) for hz in rng.uniform(200, 3_000, 3))
    beats = tones * (np.sin(2 * np.pi * rng.uniform(3, 6) * t) > 0)
    return (0.1 * beats / np.sqrt(np.mean(beats**2))).astype(np.float32)


def heard(sound: Floats, noise: Floats, before_s: float) -> Floats:
    """(T, F) of the clip, after so much of the noise before it."""
    n, n_before = len(sound), round(before_s * SAMPLE_RATE_HZ)
    whole = noise[len(noise) - n - n_before :].copy()
    whole[n_before:] += sound
    return micro.begin({}).step(whole)[n_before // micro.HOP_SAMPLES :]


def main() -> None:
    apart: dict[float, list[float]] = {0.0: [], 0.5: [], 2.0: []}
    deviations = []
    for seed in range(N_CLIPS):
        rng = np.random.default_rng(seed)
        sound = clip(rng)
        noise = rng.standard_normal(len(sound) + round(LONG_S * SAMPLE_RATE_HZ)) * 0.1 * 10 ** (-SNR_DB / 20)
        late = heard(sound, noise.astype(np.float32), LONG_S)
        deviations.append(float(late.std()))
        for before_s, found in apart.items():
            found.append(float(np.abs(heard(sound, noise.astype(np.float32), before_s) - late).mean()))
    for before_s, found in apart.items():
        print(f"{before_s:3.1f} s of noise before: {np.mean(found):.2f} from {LONG_S:.0f} s of it")
    print(f"the features' deviation: {np.mean(deviations):.1f}")


if __name__ == "__main__":
    main()

"""What keeps a bundle from hearing real recordings? The same ones changed in one way each: loudness, noise, spectrum, pace.

    python benchmarks/changed_recordings.py RUN [--threshold 0.5] [--count 100] [--seed 0]

Test's recordings by real people of the phrase of a RUN folder, each alone between near silence, through the run's bundle. A
change that many more are heard with says what the training lacked. Below: how long the phrase takes by source, told by its level.
It looks at test, so it may explain a word that settings were chosen by, and must choose nothing for another.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.signal

from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.augment._generated import COLOURS, coloured
from wakesmith.data.audio_store import AudioStore
from wakesmith.rng import rng
from wakesmith.runtime import Detector, smooth

BEFORE_S, AFTER_S, SILENCE = 1.0, 0.6, 1e-4
LOUD_DB = 25.0
"""So far below its loudest a recording still speaks."""
PAUSE_S = 0.2
"""A longer one ends what is taken for the phrase."""
FRAME_SAMPLES, WINDOW_SAMPLES = 160, 512
Heard = npt.NDArray[np.floating]
Change = Callable[[Samples], Heard]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threshold", type=float, help="the bundle's own when not given")
    parser.add_argument("--count", type=int, default=100, help="recordings, drawn by chance")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()

    store, detector = AudioStore.open(chosen.run / "prepare"), Detector.load(chosen.run / "bundle")
    real = [one.id for one in store.of("test", "wake") if not one.is_spoken]
    drawn = [real[i] for i in rng(chosen.seed, "changed").permutation(len(real))[: chosen.count]]
    sounds = [store.recording(name) for name in drawn]
    point = detector.point
    assert point is not None, "the run was not evaluated"
    threshold = point.threshold if chosen.threshold is None else chosen.threshold
    print(f"{len(sounds)} of {len(real)} recordings by real people, threshold {threshold:g}\n")
    print("| change | missed | median of the highest scores |\n|---|---|---|")
    for name, change in changes(chosen.seed).items():
        highest = np.array([loudest(detector, point.smoothing_window, change(sound), chosen.seed) for sound in sounds])
        print(f"| {name} | {100 * (highest < threshold).mean():.0f} % | {np.median(highest):.2f} |", flush=True)
    print("\n| source | recordings | seconds of sound, 25 / 50 / 75 % |\n|---|---|---|")
    for source, seconds in paces(store).items():
        print(f"| {source} | {len(seconds)} | {' / '.join(f'{one:.2f}' for one in np.percentile(seconds, [25, 50, 75]))} |")


def changes(seed: int) -> dict[str, Change]:
    made: dict[str, Change] = {"none": lambda sound: sound}
    made |= {f"{db:+g} dB": louder(db) for db in (-24, -12, 6)}
    made |= {
        f"{colour} noise, {snr_db} dB": noisy(colour, snr_db, seed) for colour in ("white", "pink") for snr_db in (30, 20, 10)
    }
    made |= {f"above {hz} Hz alone": cut("highpass", hz) for hz in (100, 200)}
    made |= {f"below {hz} Hz alone": cut("lowpass", hz) for hz in (3_500, 6_000)}
    made |= {f"{db:+g} dB an octave": tilted(db) for db in (-3, 3)}
    made |= {f"played at {speed:g} of its speed": played(speed) for speed in (0.8, 0.9, 1.1, 1.25)}
    made |= {f"said at {pace:g} of its pace": said(pace) for pace in (0.7, 0.8, 1.0, 1.2)}
    return made


def loudest(detector: Detector, window: int, sound: Heard, seed: int) -> float:
    """The highest smoothed score of a recording between near silence."""
    chance = rng(seed, "silence")
    before, after = (SILENCE * chance.standard_normal(round(s * SAMPLE_RATE_HZ)) for s in (BEFORE_S, AFTER_S))
    _, scores = detector.scores(np.concatenate([before, sound, after]).astype(np.float32))
    return float(smooth(scores, window).max())


def louder(db: float) -> Change:
    return lambda sound: (sound * 10 ** (db / 20)).clip(-1, 1)


def noisy(colour: str, snr_db: float, seed: int) -> Change:
    """Over the whole recording, pauses too."""

    def change(sound: Samples) -> Heard:
        noise = coloured(rng(seed, colour, len(sound)), len(sound), COLOURS[colour])
        made: Heard = sound + noise * (sound.std() / noise.std() * 10 ** (-snr_db / 20))
        return made

    return change


def cut(kind: str, hz: float) -> Change:
    filters = scipy.signal.butter(6, hz, kind, fs=SAMPLE_RATE_HZ, output="sos")

    def change(sound: Samples) -> Heard:
        made: Heard = scipy.signal.sosfilt(filters, sound)
        return made

    return change


def tilted(db: float) -> Change:
    """By so much an octave about 1 kHz, from 50 Hz on."""

    def change(sound: Samples) -> Heard:
        hz = np.maximum(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ), 50)
        return np.fft.irfft(np.fft.rfft(sound) * 10 ** (db * np.log2(hz / 1000) / 20), len(sound))

    return change


def played(speed: float) -> Change:
    """Pitch and pace together."""

    def change(sound: Samples) -> Heard:
        made: Heard = scipy.signal.resample_poly(sound, 100, round(100 * speed))
        return made

    return change


def said(pace: float) -> Change:
    """Slower or faster at the same pitch: overlapping pieces, each from where it fits the one before best (WSOLA)."""

    def change(sound: Samples) -> Heard:
        hop, reach = WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 3
        made, shape = np.zeros(round(len(sound) / pace)), np.hanning(WINDOW_SAMPLES)
        taken = 0
        for at in range(0, len(made) - WINDOW_SAMPLES, hop):
            start = min(round(at * pace), len(sound) - WINDOW_SAMPLES)
            if at:
                wanted = sound[taken + hop : taken + hop + WINDOW_SAMPLES]
                first = max(0, start - reach)
                near = sound[first : start + reach + WINDOW_SAMPLES]
                if len(wanted) == WINDOW_SAMPLES:
                    start = first + int(np.argmax(np.correlate(near, wanted, "valid")))
            made[at : at + WINDOW_SAMPLES] += shape * sound[start : start + WINDOW_SAMPLES]
            taken = start
        return made

    return change


def paces(store: AudioStore, most: int = 250) -> dict[str, list[float]]:
    """Seconds that the phrase takes in at most `most` recordings of each source."""
    found: dict[str, list[float]] = {}
    for split in ("train", "test"):
        for one in store.of(split, "wake"):
            own = found.setdefault(one.source if one.is_spoken else "real people", [])
            if len(own) < most:
                own.append(spoken_s(store.recording(one.id)[one.phrase_start : one.phrase_end]))
    return found


def spoken_s(sound: Samples) -> float:
    """Seconds of the longest loud part."""
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    level_db = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    loud = np.flatnonzero(level_db > np.percentile(level_db, 98) - LOUD_DB)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_S * SAMPLE_RATE_HZ / FRAME_SAMPLES) + 1)
    longest = max(runs, key=len)
    return float((longest[-1] - longest[0] + 1) * FRAME_SAMPLES / SAMPLE_RATE_HZ)


if __name__ == "__main__":
    main()

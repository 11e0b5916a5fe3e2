"""`benchmarks/changed_recordings.py` changes what it says, and nothing else."""

import numpy as np
import pytest

from tests import scripts
from wakesmith.audio import SAMPLE_RATE_HZ

TONE_HZ = 440.0


@pytest.fixture(scope="module")
def script():
    return scripts.loaded("benchmarks/changed_recordings.py")


@pytest.fixture(scope="module")
def tone():
    return (0.1 * np.sin(2 * np.pi * TONE_HZ * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)


def pitch_hz(sound):
    middle = sound[len(sound) // 4 : len(sound) // 4 + 8000]
    return np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))) * SAMPLE_RATE_HZ / (1 << 18)


@pytest.mark.parametrize(("kind", "hz_for"), [("played", lambda pace: TONE_HZ * pace), ("said", lambda pace: TONE_HZ)])
@pytest.mark.parametrize("pace", [0.8, 1.25])
def test_a_pace_changes_the_length_and_only_playing_the_pitch(script, tone, kind, hz_for, pace):
    changed = getattr(script, kind)(pace)(tone)

    assert len(changed) == pytest.approx(len(tone) / pace, rel=0.01)
    assert pitch_hz(changed) == pytest.approx(hz_for(pace), rel=0.01)


def test_noise_lies_as_far_below_the_sound_as_asked(script, tone):
    noise = script.noisy("pink", 20, seed=1)(tone) - tone

    assert 20 * np.log10(tone.std() / noise.std()) == pytest.approx(20, abs=0.1)


def test_a_tilt_of_the_spectrum_is_by_the_octave(script, tone):
    assert 20 * np.log10(script.tilted(3)(tone).std() / tone.std()) == pytest.approx(3 * np.log2(TONE_HZ / 1000), abs=0.1)


def test_a_pause_ends_the_phrase(script, tone):
    pause = np.zeros(SAMPLE_RATE_HZ // 2, dtype=np.float32)

    assert script.spoken_s(np.concatenate([tone[:4000], pause, tone, pause])) == pytest.approx(1.0, abs=0.02)

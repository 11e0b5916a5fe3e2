"""Sound files in, 16 kHz mono float32 samples out, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakesmith.errors import AudioError

SAMPLE_RATE_HZ = 16_000
MAX_FILE_S = 4 * 3600
SILENT_PEAK = 1e-4  # -80 dBFS: nothing a microphone would call sound

Samples = npt.NDArray[np.float32]


def read(path: str | Path, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Read any file that libsndfile knows (WAV, FLAC, OGG, Opus, MP3) as mono. -> (N,) float32 at `rate_hz`.

    Raises AudioError for a file that is missing, unreadable, truncated, empty, or that holds NaN or infinity.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: no such file. Check the path.")
    try:
        with soundfile.SoundFile(path) as file:
            if not 4_000 <= file.samplerate <= 384_000:
                raise AudioError(f"{path}: a rate of {file.samplerate} Hz cannot be speech. Save it at 16000 Hz.")
            if file.frames > MAX_FILE_S * file.samplerate:
                raise AudioError(f"{path}: longer than {MAX_FILE_S // 3600} hours. Cut it into parts.")
            check_length(path, file)
            samples = file.read(dtype="float32", always_2d=True)  # (N, channels)
            found_hz = file.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: not a readable sound file ({error.error_string}). Save it as WAV or FLAC.") from error
    if len(samples) == 0:
        raise AudioError(f"{path}: holds no samples. Record it again or leave it out.")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: holds NaN or infinite samples. Save it again as 16-bit WAV.")
    return resample(samples.mean(axis=1), found_hz, rate_hz)


def check_length(path: Path, file: object) -> None:
    """Refuse a WAV whose header promises more than the file holds: libsndfile would read what is left in silence."""
    if getattr(file, "format", "") != "WAV":
        return
    header = path.open("rb").read(1 << 16)
    at = header.find(b"data", 12)
    if at < 0:
        return
    promised = int.from_bytes(header[at + 4 : at + 8], "little")
    held = path.stat().st_size - at - 8
    streamed = promised in (0, 0xFFFFFFFF)  # a writer that could not seek leaves these
    if not streamed and promised > held:
        raise AudioError(f"{path}: truncated: the header promises {promised} bytes, {held} are there. Copy the file again.")


def resample(samples: npt.NDArray[np.float32], from_hz: int, to_hz: int) -> Samples:
    """(N,) at one rate -> (M,) float32 at another (soxr, high quality)."""
    if from_hz == to_hz:
        return np.ascontiguousarray(samples, dtype=np.float32)
    import soxr

    return np.asarray(soxr.resample(samples, from_hz, to_hz, quality="HQ"), dtype=np.float32)


def write(path: str | Path, samples: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write (N,) float32 as 16-bit WAV or FLAC, by the ending; aside first, then renamed, so that no half file is left."""
    import soundfile

    path = Path(path)
    aside = path.with_name(path.name + ".part")
    soundfile.write(aside, np.clip(samples, -1.0, 1.0), rate_hz, subtype="PCM_16", format=path.suffix[1:].upper())
    aside.replace(path)


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Float samples in -1..1 -> int16, rounded and clipped."""
    rounded: npt.NDArray[np.int16] = np.clip(np.rint(samples * 32_767.0), -32_768, 32_767).astype(np.int16)
    return rounded


def to_float(samples: npt.NDArray[np.int16]) -> Samples:
    """int16 samples -> float32 in -1..1."""
    return samples.astype(np.float32) / np.float32(32_767.0)


def speech_bounds(samples: Samples, below_peak_db: float = 35.0) -> tuple[int, int]:
    """First and one-past-last sample of what is loud in a clean clip: 10 ms frames within `below_peak_db` of the loudest."""
    frame = SAMPLE_RATE_HZ // 100
    n_frames = len(samples) // frame
    if n_frames == 0:
        return 0, len(samples)
    power = np.square(samples[: n_frames * frame].reshape(n_frames, frame)).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-below_peak_db / 10))
    return int(loud[0]) * frame, min(len(samples), int(loud[-1] + 1) * frame)


def phrase_bounds(
    samples: Samples, above_floor_db: float = 6.0, longest_gap_ms: int = 150, shortest_ms: int = 80
) -> tuple[int, int]:
    """First and one-past-last sample of the speech in a recording with noise. (N,) -> samples; all of it where none stands out.

    Loud is what lies well above the quietest tenth (a fifth of the way to the loudest, 6 dB at least) and within 35 dB of the
    loudest; a click is too short to count.
    """
    frame = SAMPLE_RATE_HZ // 100
    n_frames = len(samples) // frame
    if n_frames < 3:
        return 0, len(samples)
    power = np.square(samples[: n_frames * frame].reshape(n_frames, frame)).mean(axis=1)
    level_db = 10 * np.log10(np.convolve(power, np.ones(3) / 3, "same") + 1e-10)  # 30 ms: noise fluctuates less
    floor_db, peak_db = np.percentile(level_db, 10), level_db.max()
    loud = np.flatnonzero(level_db >= max(peak_db - 35, floor_db + max(above_floor_db, 0.2 * (peak_db - floor_db))))
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > longest_gap_ms // 10) + 1)
    runs = [run for run in runs if len(run) >= shortest_ms // 10]
    return (int(runs[0][0]) * frame, int(runs[-1][-1] + 1) * frame) if runs else (0, len(samples))

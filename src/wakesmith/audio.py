"""Sound files in, 16 kHz mono float32 samples out, and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wakesmith.disk import is_file
from wakesmith.errors import AudioError

SAMPLE_RATE_HZ = 16_000
MAX_FILE_S = 4 * 3600
MAX_FRAMES = MAX_FILE_S * 48_000
"""At rates beyond 48 kHz a file is shorter: 2.8 GB of float samples are the most that one takes."""
MOST_CHANNELS = 32
LOUDEST = 1e6
"""No sound in float samples reaches this, and its square is still a number."""
FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "FLAC", "OGG", "MP3")
"""What libsndfile says of files that are read; of its many others it does not tell when one was cut short."""
_BLOCK = 1 << 20
SILENT_PEAK = 1e-4  # -80 dBFS: nothing a microphone would call sound

Samples = npt.NDArray[np.float32]


def read(path: str | Path, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Read any file that libsndfile knows (WAV, FLAC, OGG, Opus, MP3) as mono. -> (N,) float32 at `rate_hz`.

    Raises AudioError for a file that is missing, unreadable, truncated, empty, or that holds NaN or infinity.
    """
    import soundfile

    path = Path(path)
    if not is_file(path):
        raise AudioError(f"{path}: no such file. Check the path.")
    try:
        # By its number: a name need not be UTF-8, and its ending must not make libsndfile take any bytes for sound.
        with path.open("rb") as opened, soundfile.SoundFile(opened.fileno(), closefd=False) as file:
            _check_header(path, file)
            samples, found_hz = _mono(path, file), file.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: not a readable sound file ({error.error_string}). Save it as WAV or FLAC.") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}). Check the file and its permissions.") from error
    if len(samples) == 0:
        raise AudioError(f"{path}: holds no samples. Record it again or leave it out.")
    return resample(samples, found_hz, rate_hz)


def _check_header(path: Path, file: Any) -> None:
    """Refuse what cannot be speech, or would not fit in memory, before a sample is read."""
    if file.format not in FORMATS:
        raise AudioError(f"{path}: a sound file of the kind {file.format} is not read. Save it as WAV or FLAC.")
    if not 4_000 <= file.samplerate <= 384_000:
        raise AudioError(f"{path}: a rate of {file.samplerate} Hz cannot be speech. Save it at 16000 Hz.")
    if file.channels > MOST_CHANNELS:
        raise AudioError(f"{path}: {file.channels} channels, at most {MOST_CHANNELS} are read. Save it as mono.")
    if file.frames > min(MAX_FILE_S * file.samplerate, MAX_FRAMES) or file.frames * file.channels > 2 * MAX_FRAMES:
        raise AudioError(f"{path}: longer than {MAX_FILE_S // 3600} hours at up to 48000 Hz in stereo. Cut it into parts.")
    check_length(path, file)


def _mono(path: Path, file: Any) -> Samples:
    """All samples, averaged over the channels block by block: many channels take no more memory than one. -> (N,)"""
    blocks, n_read = [], 0
    while len(block := file.read(max(1, _BLOCK // file.channels), dtype="float32", always_2d=True)):
        if not (np.abs(block) <= LOUDEST).all():
            raise AudioError(f"{path}: holds NaN, infinite or absurdly large samples. Save it again as 16-bit WAV.")
        blocks.append(block.mean(axis=1))
        n_read += len(block)
        if n_read > MAX_FRAMES:
            raise AudioError(f"{path}: longer than its header says. Save it again.")
    if n_read < file.frames and file.format == "FLAC":  # of the others libsndfile counts what is there
        raise AudioError(
            f"{path}: truncated: the header promises {file.frames} samples, {n_read} are there. Copy the file again."
        )
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def check_length(path: Path, file: Any) -> None:
    """Refuse a WAV or AIFF whose header promises more than the file holds: libsndfile would read what is left in silence."""
    name, order = (b"SSND", "big") if file.format == "AIFF" else (b"data", "little")
    if file.format not in ("WAV", "WAVEX", "RF64", "AIFF"):
        return
    header = path.open("rb").read(1 << 16)
    at, wide = header.find(name, 12), header.find(b"ds64", 12)
    if at < 0:
        return
    promised = int.from_bytes(header[at + 4 : at + 8], order)  # type: ignore[arg-type]
    if file.format == "RF64" and wide > 0:
        promised = int.from_bytes(header[wide + 16 : wide + 24], "little")
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
    made, aside = io.BytesIO(), path.with_name(path.name + ".part")
    soundfile.write(made, np.clip(samples, -1.0, 1.0), rate_hz, subtype="PCM_16", format=path.suffix[1:].upper())
    aside.write_bytes(made.getbuffer())  # not by libsndfile, which does not say that a disk is full
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

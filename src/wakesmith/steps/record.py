"""`record`: the microphone -> FOLDER/SPEAKER/001.wav ..., each take judged at once; `--check` judges what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wakesmith import audio
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.errors import AudioError, ConfigError, DataError
from wakesmith.importers.wav_folders import ENDINGS
from wakesmith.progress import say
from wakesmith.runtime.microphone import Silent
from wakesmith.steps._takes import Take, faults, measure
from wakesmith.tables import Look, aligned

HOWS = (
    "as you always say it", "quietly", "from across the room", "fast", "loudly, as if over music", "slowly",
    "turned away from the microphone", "tired", "with some words before it, ending with the phrase", "as a question",
)  # fmt: skip
TAKE_S, COUNT_S = 2.5, 0.6
MOST_REPEATS = 5
"""Takes that are refused one after another before it gives up: something is wrong with the room or the microphone."""


def run(folder: Path, phrase: str, speaker: str, count: int, device: str | None) -> Path:
    """Record until folder/speaker holds `count` takes. -> that folder. Raises ConfigError, AudioError."""
    from wakesmith.runtime import microphone

    if not re.fullmatch(r"[\w-]+", speaker):
        raise ConfigError(f"--speaker {speaker}: becomes a folder's name; use letters, digits, - and _.")
    own = folder / speaker
    if _missing(own, count):
        record(own, phrase, count, microphone.chunks(device))
    return own


def record(own: Path, phrase: str, count: int, heard: Iterator[npt.NDArray[np.int16]]) -> None:
    """Fill own/001.wav .. with takes from `heard`, chunks of 16 kHz sound. Every good take is kept as soon as it is made."""
    own.mkdir(parents=True, exist_ok=True)
    for number in _missing(own, count):
        prompt = f"[{number}/{count}] '{phrase}', {HOWS[(number - 1) % len(HOWS)]}"
        audio.write(own / f"{number:03d}.wav", _good_take(prompt, heard))


def _missing(own: Path, count: int) -> list[int]:
    """Numbers of the takes that are still to be made."""
    return [number for number in range(1, count + 1) if not (own / f"{number:03d}.wav").exists()]


def _good_take(prompt: str, heard: Iterator[npt.NDArray[np.int16]]) -> Samples:
    """(N,) a take without a fault."""
    reasons: list[str] = []
    for _ in range(MOST_REPEATS):
        say(prompt)
        for left in (3, 2, 1):
            say(f"  {left}")
            _listen(heard, COUNT_S)
        say("  speak")
        samples = _listen(heard, TAKE_S)
        take = measure(samples)
        if not (reasons := faults(take)):
            say(f"  good: {take.speech_dbfs:.0f} dBFS, {take.snr_db:.0f} dB above the noise")
            return samples
        say(f"  again, please: {reasons[0]}")
    raise AudioError(f"{MOST_REPEATS} takes in a row were refused. The last: {reasons[0]} What was good is kept: start again.")


def _listen(heard: Iterator[npt.NDArray[np.int16]], seconds: float) -> Samples:
    """(N,) the next so many seconds. Time is what was heard, so nothing piles up while a person reads."""
    wanted, parts = round(seconds * SAMPLE_RATE_HZ), [np.zeros(0, np.int16)]
    with suppress(Silent):
        for chunk in heard:
            parts.append(chunk)
            wanted -= len(chunk)
            if wanted <= 0:
                return audio.to_float(np.concatenate(parts))
    raise AudioError("the microphone went silent. What was good is kept: plug it in and start again.")


class Row(NamedTuple):
    """A file and what was found; no take where the file cannot be read."""

    file: str
    take: Take | None
    faults: list[str]


def check(folder: Path) -> list[Row]:
    """Every sound file below a folder, judged like a take. Raises DataError when there is none."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS]
    if not files:
        raise DataError(f"{folder}: no sound files here. Record some: wakesmith record {folder} --phrase ... --speaker ...")
    return [judged(path, path.relative_to(folder).as_posix()) for path in files]


def judged(path: Path, name: str) -> Row:
    """A sound file, judged like a take."""
    try:
        take = measure(audio.read(path))
    except AudioError as error:
        return Row(name, None, [str(error)])
    return Row(name, take, faults(take))


def told(rows: list[Row]) -> list[dict[str, Any]]:
    """For a program: `faults` is empty where a take is good."""
    return [{"file": row.file, "faults": row.faults, "take": row.take and asdict(row.take)} for row in rows]


def table(rows: list[Row], look: Look = aligned) -> str:
    """For a terminal."""
    lines = [["file", "level dBFS", "peak dBFS", "clipped", "SNR dB", "speech s", "verdict"]]
    for name, take, found in rows:
        numbers = ["-"] * 5
        if take:
            numbers = [f"{take.speech_dbfs:.0f}", f"{take.peak_dbfs:.0f}", f"{take.clipped:.2%}", f"{take.snr_db:.0f}"]
            numbers.append(f"{take.speech_s:.2f}")
        lines.append([name, *numbers, " ".join(found) or "good"])
    n_good = sum(not row.faults for row in rows)
    return "\n".join([*look(lines), "", f"{n_good} of {len(rows)} are good"])

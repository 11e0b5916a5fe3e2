"""command: any program that writes a sound file. It is started directly, without a shell.

- {name: command, run: [flite, -voice, "{speaker}", -t, "{text}", -o, "{output}"], speakers: [slt, rms], licence: BSD}
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from wakesmith import audio
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.errors import AudioError, ConfigError
from wakesmith.voices._base import Utterance, VoiceSettings, finished


class Config(VoiceSettings):
    name: Literal["command"] = "command"
    run: list[str]
    """The program and its arguments; {text}, {output} (a WAV file to write) and {speaker} are filled in."""
    licence: str
    """Of the sound it makes."""
    speakers: list[str] = Field(default=["default"], min_length=1)
    """Names that the program knows for {speaker}."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Time for one utterance."""

    @field_validator("run")
    @classmethod
    def _whole(cls, value: list[str]) -> list[str]:
        together = " ".join(value)
        if not value or "{text}" not in together or "{output}" not in together:
            raise ValueError("expected a program and its arguments, {text} and {output} among them")
        return value


class Command:
    name = "command"
    says_phonemes = False
    foreign: frozenset[str] = frozenset()

    def __init__(self, config: Config) -> None:
        self.config = config
        self.licence = config.licence
        if shutil.which(config.run[0]) is None:
            raise ConfigError(f"voices.run: no program '{config.run[0]}' is on the path. Install it or write its whole path.")

    def speakers(self) -> list[str]:
        return list(self.config.speakers)

    def say(self, utterance: Utterance, speaker: str, rng: np.random.Generator) -> Samples:
        what = f"command {self.config.run[0]}: {utterance.text!r}"
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "said.wav"
            filled = {"{text}": utterance.text, "{output}": str(output), "{speaker}": speaker}
            try:
                done = subprocess.run(
                    [_filled(part, filled) for part in self.config.run],
                    timeout=self.config.timeout_s,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise AudioError(
                    f"{what}: not done in {self.config.timeout_s} s. Raise voices.timeout_s or mend the program."
                ) from error
            if done.returncode != 0 or not output.is_file():
                told = done.stderr.decode(errors="replace").strip().splitlines()
                raise AudioError(
                    f"{what}: ended with {done.returncode} and wrote no sound ({told[-1] if told else 'no message'})."
                )
            return finished(audio.read(output), SAMPLE_RATE_HZ, rng, what)


def _filled(part: str, values: dict[str, str]) -> str:
    """Each mark replaced once, so that a text that holds a mark stays a text."""
    for mark, value in values.items():
        if mark in part:
            before, after = part.split(mark, 1)
            return _filled(before, values) + value + _filled(after, values)
    return part


def build(config: Config) -> Command:
    """Raises ConfigError when the program is not there."""
    return Command(config)

"""`say`: one voice says one phrase into a file, to hear it or to try a detector on a voice that took no part in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wakesmith import audio, config, registry
from wakesmith.data.records import Recording, load_jsonl
from wakesmith.errors import ConfigError
from wakesmith.rng import rng
from wakesmith.steps import _recipe
from wakesmith.steps.speak import taking_part
from wakesmith.text import composed
from wakesmith.voices import _texts
from wakesmith.voices._base import Utterance, check_letters

PAUSE_S = 0.5


def unheard(folder: Path) -> tuple[config.PartSettings, str]:
    """Voice and speaker of the first synthetic phrase in a run's test split: the student never heard them."""
    path = folder / "prepare" / "recordings.jsonl"
    if not path.exists():
        raise ConfigError(f"{folder}: not a prepared run. Run: wakesmith prepare {folder}")
    recipe = _recipe.load(config.read_yaml(folder / "config.yaml"))
    voices = {voice.name: voice for voice in taking_part(recipe.speak.voices, recipe.language)}
    for recording in load_jsonl(path, Recording):
        voice, _, speaker = recording.speaker.partition("/")
        if recording.split == "test" and recording.label == "wake" and voice == recording.source and voice in voices:
            return voices[voice], speaker
    raise ConfigError(f"{folder}: no synthetic voice in its test split. Name one: --voice NAME --speaker NAME")


def run(phrase: str, path: Path, voice: config.PartSettings, speaker: str | None, before: str | None, seed: int) -> Path:
    """Write `before`, a pause, and the phrase, with half a second of silence on both ends."""
    if path.suffix.lower() not in (".wav", ".flac"):
        raise ConfigError(f"{path}: expected a name that ends in .wav or .flac.")
    check_letters(phrase)
    made = registry.build("voices", voice)
    if language := getattr(made, "language", ""):
        _texts.check_script(phrase, language)
    speakers = made.speakers()
    if speaker is not None and speaker not in speakers:
        raise ConfigError(registry.unknown("--speaker", speaker, speakers))
    chosen = speaker or speakers[0]
    pause = np.zeros(round(PAUSE_S * audio.SAMPLE_RATE_HZ), np.float32)
    sound = [pause]
    for number, text in enumerate(filter(None, (before, phrase))):
        sound += [made.say(Utterance(composed(text)), chosen, rng(seed, "say", number)), pause]
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, np.concatenate(sound))
    return path

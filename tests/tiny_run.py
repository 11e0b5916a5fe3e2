"""A whole run, small and real: sweeps and beats in place of voices, a Whisper of random weights teaches a tiny student."""

import csv
from pathlib import Path

import numpy as np

from tests import tiny_encoders
from wakesmith import audio
from wakesmith.steps import _recipe, forge

RATE = audio.SAMPLE_RATE_HZ
SPLITS = (("train", 24), ("dev", 8), ("test", 6))
PLANTED_S = 12.0
"""Where the phrase ends in the planted file of train."""


def sweep(rng: np.random.Generator, rising: bool = True, length_s: float = 0.6) -> np.ndarray:
    """The phrase is a rising sweep, its near miss a falling one. -> (0.6 s,)"""
    t = np.arange(round(length_s * RATE)) / RATE
    low = rng.uniform(300, 400)
    hz = low + 1200 * t if rising else low + 1400 - 1200 * t
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hz) / RATE) * np.minimum(1, np.minimum(t, t[::-1]) / 0.02)).astype(np.float32)


def beats(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Other speech: a steady tone that comes and goes."""
    t = np.arange(n_samples) / RATE
    return (0.2 * np.sin(2 * np.pi * rng.uniform(200, 900) * t) * (np.sin(2 * np.pi * 4 * t) > 0)).astype(np.float32)


def placed(sound: np.ndarray, start_s: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    """A sound in quiet."""
    made = rng.normal(0, 0.002, round(length_s * RATE)).astype(np.float32)
    made[round(start_s * RATE) :][: len(sound)] += sound
    return made


def sound(label: str, rng: np.random.Generator) -> np.ndarray:
    if label in ("wake", "near_miss"):
        return placed(sweep(rng, rising=label == "wake"), 0.3, 1.2, rng)
    return beats(rng, 4 * RATE) if label == "speech" else rng.normal(0, 0.05, 4 * RATE).astype(np.float32)


def planted() -> np.ndarray:
    """20 s of beats, and in their middle what is very like the phrase."""
    rng = np.random.default_rng(99)
    made, phrase = beats(rng, 20 * RATE), sweep(rng)
    end = round(PLANTED_S * RATE)
    made[end - len(phrase) - RATE : end + RATE] = 0
    made[end - len(phrase) : end] = phrase
    return made


def recordings(folder: Path) -> Path:
    """WAV files of every kind and split, and their manifest."""
    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(1), []
    for label in ("wake", "near_miss", "speech", "noise"):
        for split, n in SPLITS:
            for number in range(n):
                name = f"{label}-{split}-{number}.wav"
                audio.write(folder / name, sound(label, rng))
                rows.append({"path": name, "label": label, "split": split, "text": "swoop" if label == "wake" else ""})
    audio.write(folder / "planted.wav", planted())
    rows.append({"path": "planted.wav", "label": "speech", "split": "train", "text": ""})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


def recipe(folder: Path, **over: object) -> _recipe.Recipe:
    """Of a run whose recordings and teacher lie beside it."""
    values = {
        "phrase": "swoop", "seed": 3,
        "speak": {"n_wake": 0, "n_near_miss": 0, "n_speech": 2},
        "data": {"sources": [{"name": "manifest_csv", "path": str(folder / "sounds" / "manifest.csv"), "split": "column"}],
                 "near_duplicate": 1.0},
        "views": {"n_views": 2, "n_rooms": 0, "effects": [{"name": "shift"}, {"name": "level"}]},
        "teacher": {"name": "whisper", "path": str(folder / "whisper")},
        "teach": {"gate": "off", "epochs": 30, "patience": 30, "lr": 5e-3, "batch_size": 16, "head": {"dropout": 0.1}},
        "student": {"name": "ds_cnn", "width": 8},
        "train": {"steps": 120, "batch": 32, "evaluations": 1},
        "evaluate": {"snrs_db": [10.0], "smoothing_windows": [1], "refractory_s": [1.0], "max_room_positives": 0},
    }  # fmt: skip
    return _recipe.load(values, dict(over))


def make(folder: Path) -> Path:
    """Forge the run. -> its folder"""
    recordings(folder / "sounds")
    tiny_encoders.save("whisper", folder / "whisper")
    forge.run(recipe(folder), folder / "run")
    return folder / "run"

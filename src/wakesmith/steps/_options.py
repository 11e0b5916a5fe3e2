"""What a user gives in a few words (folders, a teacher, natural voices) as settings of a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wakesmith.config import assignment, merge, read_yaml, teacher_named
from wakesmith.steps import _recipe

KOKORO_SHARE = {"wake": 0.8, "near_miss": 0.3, "speech": 0.04}
"""Beside espeak's 1. A phrase takes it a second of processor time, a sentence three."""


def recipe_from(
    phrase: str, preset: str, config: Path | None, teacher: str | None, kokoro: str | None, set_: list[str] | None,
    start: str | None = None, **folders: list[str] | None,
) -> Any:  # fmt: skip
    """The options of `forge` and `plan` as a recipe; folders by what they hold."""
    own = read_yaml(config) if config else {}
    phrases = [one.strip() for one in phrase.split(",")]
    own = merge(own, {"phrase": phrases if len(phrases) > 1 else phrase})
    if teacher:
        own = merge(own, {"teacher": teacher_named(teacher)})
    sources = [SOURCES[kind](path, phrases) for kind, paths in folders.items() for path in paths or []]
    if sources:
        own = merge(own, {"data": {"sources": [*(own.get("data") or {}).get("sources", []), *sources]}})
    if start:
        file = str(Path(start) / "train" / "model.safetensors")
        own = merge(own, {"data": {"start": file}, "train": {"start": file}})
    for text in set_ or []:
        own = merge(own, assignment(text))
    return _recipe.load(with_natural_voices(own, preset, kokoro) if kokoro else own, preset=preset)


def with_natural_voices(own: dict[str, Any], preset: str, place: str) -> dict[str, Any]:
    """Settings with the Kokoro voices of a folder, or of a repository of the hub, beside the voices that there are."""
    voices = [one.model_dump() for one in _recipe.load(own, preset=preset).speak.voices if one.name != "kokoro"]
    key = "hub" if re.fullmatch(r"[\w-]+/[\w.-]+", place) and not Path(place).exists() else "path"
    kokoro = {"name": "kokoro", key: place, "accents": True, "share": KOKORO_SHARE}
    return merge(own, {"speak": {"voices": [*voices, kokoro]}})


def own_source(path: str, phrases: list[str]) -> dict[str, Any]:
    """Recordings to learn from: all in train, so that the threshold is chosen, and judged, on voices that were never heard."""
    made = source(path, "wake", split="train")
    if made["name"] == "wav_folders":
        made |= {"speaker": "folder", "text": phrases[0] if len(phrases) == 1 else ""}
    return made


def source(path: str, label: str, **options: str) -> dict[str, Any]:
    """Settings of the importer for a folder or a manifest, by the ending of its name."""
    importer = "manifest_csv" if Path(path).suffix.lower() in (".csv", ".jsonl") else "wav_folders"
    return {"name": importer, "path": path, "label": label, **options}


SOURCES: dict[str, Callable[[str, list[str]], dict[str, Any]]] = {
    "recordings": own_source,
    "negatives": lambda path, _: source(path, "speech"),
    "noise": lambda path, _: source(path, "noise"),
    "rooms": lambda path, _: source(path, "room"),
    "test_recordings": lambda path, _: source(path, "wake", split="test"),
}
"""Option -> what a folder or manifest given by it becomes."""

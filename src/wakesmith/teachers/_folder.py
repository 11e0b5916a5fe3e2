"""A transformers folder, on disk or fetched from the hub: settings, weights, and how sound is prepared for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith.errors import TeacherError

if TYPE_CHECKING:
    from wakesmith.teachers._base import TorchSettings

SETTINGS, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # looked for in this order: safetensors cannot hold code

Find = Callable[[str], Path | None]


@dataclass(frozen=True)
class Folder:
    """The files of one model."""

    settings: Path
    weights: Path | None
    """None where a checkpoint takes their place."""
    preprocessor: Path | None


def find(settings: TorchSettings) -> Folder:
    """Raises TeacherError when config.json, or weights that no checkpoint replaces, cannot be had."""
    if settings.path:
        return _folder(_in(Path(settings.path)), f"teacher.path: {settings.path}", bool(settings.checkpoint))
    where = f"teacher.hub_id: {settings.hub_id}"
    return _folder(_on_hub(settings.hub_id, settings.revision), where, bool(settings.checkpoint))


def local_weights(folder: Path) -> Path:
    """The weights file of a folder on disk."""
    return _weights(_in(folder), str(folder))


def preprocessing(path: Path | None) -> dict[str, Any]:
    """What preprocessor_config.json says of the sound: some of `rate_hz` and `normalise`; {} without the file."""
    if path is None:
        return {}
    found = read_json(path)
    names = {"sampling_rate": "rate_hz", "do_normalize": "normalise"}
    return {ours: found[theirs] for theirs, ours in names.items() if theirs in found}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of keys and values."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TeacherError(f"{path}: not readable as JSON ({error}). Fetch the file again.") from error
    if not isinstance(data, dict):
        raise TeacherError(f"{path}: expected keys and values, got a {type(data).__name__}. Fetch the file again.")
    return data


def _folder(find: Find, where: str, has_checkpoint: bool) -> Folder:
    settings = find(SETTINGS)
    if settings is None:
        raise TeacherError(f"{where}: no such file: {SETTINGS}. Give a folder with {SETTINGS} and {WEIGHTS[0]}.")
    return Folder(settings, None if has_checkpoint else _weights(find, where), find(PREPROCESSOR))


def _weights(find: Find, where: str) -> Path:
    for name in WEIGHTS:
        if path := find(name):
            return path
    raise TeacherError(f"{where}: no such file: {' or '.join(WEIGHTS)}. Weights in several parts must be saved as one.")


def _in(folder: Path) -> Find:
    return lambda name: folder / name if (folder / name).is_file() else None


def _on_hub(hub_id: str, revision: str) -> Find:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    def find(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(hub_id, name, revision=revision))
        except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
            # What may be missing is missing; the settings are asked for first and are always there, so their error tells all.
            if isinstance(error, EntryNotFoundError) and name != SETTINGS:
                return None
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TeacherError(
                f"teacher.hub_id: {hub_id} cannot be fetched ({reason}). Check id and network, or set teacher.path to a folder."
            ) from error

    return find

"""What the commands share: the application, the kinds of their arguments, and how options become a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Wakesmith forges wake words.",
)  # fmt: skip

Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, as in --set student.width=48. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, as forge or plan made it.")]
Phrase = Annotated[str, typer.Argument(help="The wake phrase, as it is written; several with commas between them.")]
Out = Annotated[Path | None, typer.Option(help="The run folder. Default: runs/PHRASE.")]
Preset = Annotated[str, typer.Option(help="quick (5 minutes), standard (30 minutes), or a YAML file.")]
Config = Annotated[Path | None, typer.Option(help="A YAML file of settings, over the preset.")]
Folders = Annotated[list[str] | None, typer.Option(help="Folder of recordings, or a CSV/JSONL manifest. May be repeated.")]
Own = Annotated[
    list[str] | None,
    typer.Option(help="Folder of your recordings of the phrase, to learn from; a sub-folder a speaker. Or a manifest."),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        help="A teacher by name, with a local folder after a colon: whisper:FOLDER. Two and more with a plus: an ensemble."
    ),
]

Kokoro = Annotated[
    str | None,
    typer.Option(help="Natural voices beside the preset's: a folder of Kokoro-82M, or its repository on the hub, OWNER/NAME."),
]
KOKORO_SHARE = {"wake": 0.6, "near_miss": 0.3, "speech": 0.04}
"""Beside espeak's 1. A phrase takes it a second of processor time, a sentence three."""


def recipe_from(
    phrase: str, preset: str, config: Path | None, teacher: str | None, kokoro: str | None, set_: list[str] | None,
    **folders: list[str] | None,
) -> Any:  # fmt: skip
    """The options of `forge` and `plan` as a recipe; folders by what they hold."""
    from wakesmith.config import assignment, merge, read_yaml, teacher_named
    from wakesmith.steps import _recipe

    own = read_yaml(config) if config else {}
    phrases = [one.strip() for one in phrase.split(",")]
    own = merge(own, {"phrase": phrases if len(phrases) > 1 else phrase})
    if teacher:
        own = merge(own, {"teacher": teacher_named(teacher)})
    sources = [SOURCES[kind](path, phrases) for kind, paths in folders.items() for path in paths or []]
    if sources:
        own = merge(own, {"data": {"sources": [*(own.get("data") or {}).get("sources", []), *sources]}})
    for text in set_ or []:
        own = merge(own, assignment(text))
    return _recipe.load(with_natural_voices(own, preset, kokoro) if kokoro else own, preset=preset)


def with_natural_voices(own: dict[str, Any], preset: str, place: str) -> dict[str, Any]:
    """Settings with the Kokoro voices of a folder, or of a repository of the hub, beside the voices that there are."""
    from wakesmith.config import merge
    from wakesmith.steps import _recipe

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


def default_out(phrase: str) -> Path:
    from wakesmith import text

    return Path("runs") / (text.file_name(phrase) or "phrase")


def values_of(run: Path, set_: list[str] | None) -> dict[str, Any]:
    """A run's configuration with --set applied, as plain values."""
    from wakesmith.config import assignment, merge, read_yaml

    values = read_yaml(run / "config.yaml")
    for item in set_ or []:
        values = merge(values, assignment(item))
    return values


def recipe_of(run: Path, set_: list[str] | None) -> Any:
    from wakesmith.steps import _recipe

    return _recipe.load(values_of(run, set_))


def answer(as_json: bool, found: Any, text: Callable[[], str]) -> None:
    """What a command found, on standard output: for a program, or for a person."""
    import json

    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text())


def report_of(run: Path) -> dict[str, Any]:
    """What `evaluate` told of a run."""
    import json

    return dict(json.loads((run / "evaluate" / "report.json").read_text(encoding="utf-8")))


def shown_report(run: Path) -> str:
    """The same for a person."""
    from wakesmith import report, tables

    return report.table(report_of(run), tables.for_stdout())

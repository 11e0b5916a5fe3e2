"""What the commands share: the application, and the kinds of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

WIDEST = 130
"""Columns of help on a wide terminal: click's own 80 cut the sentences."""

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help='Wakesmith forges wake words. The first one: wakesmith forge "hey nova". What this machine lacks: wakesmith doctor',
    context_settings={"max_content_width": WIDEST},
)  # fmt: skip


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"wakesmith {version('wakesmith')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Which version this is.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None: ...


Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, as in --set student.width=48. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, as forge or plan made it.")]
Phrase = Annotated[str, typer.Argument(help="The wake phrase, as it is written; several with commas between them.")]
Words = Annotated[
    list[str], typer.Argument(metavar="PHRASE", help="The wake phrase, as it is written; several with commas between them.")
]
"""The same without need of quotes."""
Out = Annotated[Path | None, typer.Option(help="The run folder. Default: runs/PHRASE.")]
Preset = Annotated[
    str,
    typer.Option(
        help="quick (4 minutes), standard (11 minutes, about 30 with Kokoro and recordings), esphome (8 minutes, likewise; for "
        "an ESP32), or a YAML file."
    ),
]
Config = Annotated[Path | None, typer.Option(help="A YAML file of settings, over the preset.")]


def _folders(what: str) -> Any:
    return Annotated[list[str] | None, typer.Option(help=f"{what}: a folder, or a CSV/JSONL manifest. May be repeated.")]


Negatives = _folders("Other speech, which must not wake it")
Noise = _folders("Noise and music, which must not wake it and is laid under the phrase")
Rooms = _folders("Room impulse responses, to hear the phrase from afar")
TestRecordings = _folders("Recordings of the phrase to be judged by, never learned from")
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

Start = Annotated[str | None, typer.Option(help="Another run of the same preset: the training begins with its student.")]


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
    """What `evaluate` told of a run. Raises DataError where figures of dev stand for those of test."""
    import json

    from wakesmith import report

    told = dict(json.loads((run / "evaluate" / "report.json").read_text(encoding="utf-8")))
    report.check(told)
    return told


def shown_report(run: Path) -> str:
    """The same for a person."""
    from wakesmith import report, tables

    return report.table(report_of(run), tables.for_stdout())

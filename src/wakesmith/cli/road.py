"""The road: `forge` and `plan`, a command for each step, and `compare`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wakesmith.cli._app import (
    Config,
    Folders,
    Kokoro,
    Out,
    Own,
    Phrase,
    Preset,
    RunFolder,
    Set,
    Teacher,
    app,
    default_out,
    recipe_from,
    recipe_of,
    show_report,
    values_of,
)


def _phrase_command(act: Callable[[Any, Path], None]) -> None:
    """A command that starts from a phrase: `act(recipe, run folder)` under its own name and docstring."""

    def command(
        phrase: Phrase, out: Out = None, preset: Preset = "quick", config: Config = None, teacher: Teacher = None,
        kokoro: Kokoro = None, recordings: Own = None, negatives: Folders = None, noise: Folders = None, rooms: Folders = None,
        test_recordings: Folders = None, set_: Set = None,
    ) -> None:  # fmt: skip
        folders = {
            "recordings": recordings, "negatives": negatives, "noise": noise, "rooms": rooms, "test_recordings": test_recordings,
        }  # fmt: skip
        act(recipe_from(phrase, preset, config, teacher, kokoro, set_, **folders), out or default_out(phrase))

    command.__doc__ = act.__doc__
    app.command(act.__name__)(command)


@_phrase_command
def forge(recipe: Any, folder: Path) -> None:
    """The whole road: a phrase becomes a tested detector. Interrupted and started again, it goes on where it stopped."""
    from wakesmith.steps import forge as step

    bundle = step.run(recipe, folder)
    show_report(folder)
    typer.echo(f"bundle: {bundle}\nreport: {folder / 'evaluate' / 'report.html'}\ntry it: wakesmith detect {bundle} FILE.wav")


@_phrase_command
def plan(recipe: Any, folder: Path) -> None:
    """Write the run folder's config.yaml and stop, to read it or to run the steps one by one."""
    from wakesmith.steps import forge as step

    step.plan(recipe, folder)
    typer.echo(f"{folder / 'config.yaml'}: written. Next: wakesmith speak {folder}")


def _step_command(name: str, text: str) -> None:
    def command(run: RunFolder, set_: Set = None) -> None:
        from wakesmith.steps import forge as step

        typer.echo(step.one(recipe_of(run, set_), run, name))
        if name == "evaluate":
            show_report(run)

    command.__doc__ = text
    app.command(name)(command)


def _teach_command(name: str, text: str) -> None:
    def command(
        run: RunFolder, set_: Set = None,
        check: Annotated[bool, typer.Option("--check", help="Judge the teacher that is there; 1: closed gate.")] = False,
        json: Annotated[bool, typer.Option("--json", help="With --check: figures as JSON.")] = False,
    ) -> None:  # fmt: skip
        import json as encoder

        from wakesmith.errors import ConfigError
        from wakesmith.steps import _check
        from wakesmith.steps import forge as step

        if json and not check:
            raise ConfigError("--json: shows what --check finds. Give both.")
        if not check:
            typer.echo(step.one(recipe_of(run, set_), run, name))
            return
        report = _check.run(recipe_of(run, set_), run)
        typer.echo(encoder.dumps(report, indent=2) if json else _check.table(report))
        if report["gate"]["passed"] is False:
            raise typer.Exit(1)

    command.__doc__ = text
    app.command(name)(command)


for _name, _text in {
    "speak": "Voices say the phrase, near misses and sentences.",
    "prepare": "Recordings become 16 kHz mono clips in train, dev and test.",
    "views": "Augmented hearings of each clip, drawn by clip, view and seed.",
    "teach": "Train the head of the teacher, calibrate it, and put it to the gate.",
    "label": "The teacher answers every view once.",
    "train": "The student learns from labels and the teacher's answers.",
    "export": "The student becomes a bundle: one ONNX file and its card.",
    "evaluate": "The bundle hears continuous audio; the report is written.",
}.items():
    (_teach_command if _name == "teach" else _step_command)(_name, _text)


@app.command()
def compare(
    run: RunFolder,
    teacher: Annotated[
        list[str] | None, typer.Option(help="As for forge; whisper:FOLDER+moonshine is an ensemble. Default: the run's.")
    ] = None,
    arms: Annotated[Path | None, typer.Option(help="A YAML file: name of an arm -> settings that it changes.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each arm.")] = 3,
    jobs: Annotated[int, typer.Option(min=0, help="Students trained at once, one thread each; 0: one a core.")] = 0,
    set_: Set = None,
    json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """The same student with and without each teacher: same views, same steps, several seeds, one table."""
    import json as encoder

    from wakesmith.config import read_yaml, teacher_named
    from wakesmith.steps import _compare
    from wakesmith.steps import compare as step

    values = values_of(run, set_)
    chosen = [step.Arm(name, {"teacher": teacher_named(name)}) for name in teacher or []]
    chosen += [step.Arm(name, over) for name, over in (read_yaml(arms) if arms else {}).items()]
    told = step.run(values, run, chosen or [step.Arm("the run's teacher", {})], seeds, jobs)
    typer.echo(encoder.dumps(told) if json else _compare.table(told))

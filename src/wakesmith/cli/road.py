"""The road: `forge` and `plan`, a command for each step, `compare` and `sweep`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wakesmith.cli._app import (
    Config,
    Json,
    Kokoro,
    Negatives,
    Noise,
    Out,
    Own,
    Preset,
    Rooms,
    RunFolder,
    Set,
    Start,
    Teacher,
    TestRecordings,
    Words,
    answer,
    app,
    default_out,
    recipe_of,
    report_of,
    shown_report,
    values_of,
)


def _phrase_command(act: Callable[[Any, Path, bool], None]) -> None:
    """A command that starts from a phrase: `act(recipe, run folder, as JSON)` under its own name and docstring."""

    def command(
        phrase: Words, out: Out = None, preset: Preset = "quick", config: Config = None, teacher: Teacher = None,
        kokoro: Kokoro = None, recordings: Own = None, negatives: Negatives = None, noise: Noise = None, rooms: Rooms = None,
        test_recordings: TestRecordings = None, start: Start = None, set_: Set = None, json: Json = False,
    ) -> None:  # fmt: skip
        said = " ".join(phrase)
        folders = {
            "recordings": recordings, "negatives": negatives, "noise": noise, "rooms": rooms, "test_recordings": test_recordings,
        }  # fmt: skip
        from wakesmith.steps import _options

        recipe = _options.recipe_from(said, preset, config, teacher, kokoro, set_, start, **folders)
        act(recipe, out or default_out(said), json)

    command.__doc__ = act.__doc__
    app.command(act.__name__)(command)


@_phrase_command
def forge(recipe: Any, folder: Path, json: bool) -> None:
    """The whole road: a phrase becomes a tested detector. Interrupted and started again, it goes on where it stopped."""
    from wakesmith.steps import forge as step

    bundle = step.run(recipe, folder)
    page = folder / "evaluate" / "report.html"
    found = {"run": str(folder), "bundle": str(bundle), "page": str(page), "report": report_of(folder)}
    end = f"bundle: {bundle}\nreport: {page}\ntry it: wakesmith detect {bundle} FILE.wav"
    answer(json, found, lambda: f"{shown_report(folder)}\n{end}")


@_phrase_command
def plan(recipe: Any, folder: Path, json: bool) -> None:
    """Say how long it will take, write the settings, and stop. The steps can then be run one by one."""
    from wakesmith.steps import _cost, _recipe, speak
    from wakesmith.steps import forge as step

    doubts, minutes = speak.doubts(recipe), _cost.minutes(recipe)
    step.plan(step.checked(recipe), folder)
    steps, config = _recipe.road(recipe), folder / "config.yaml"
    found = {"run": str(folder), "config": str(config), "steps": steps, "settings": recipe.model_dump(mode="json")}
    found["minutes"], found["doubts"] = minutes, doubts
    end = f"Next: the same command with forge, or step by step: wakesmith {steps[0]} {folder}"
    answer(json, found, lambda: "\n".join([f"{config}: written. {_cost.told(recipe)}", *doubts, end]))


def _step_command(name: str, text: str) -> None:
    def command(run: RunFolder, set_: Set = None, json: Json = False) -> None:
        from wakesmith.steps import forge as step

        made = step.one(recipe_of(run, set_), run, name)
        if name == "evaluate":
            answer(json, {**_made(name, made), "report": report_of(run)}, lambda: f"{made}\n{shown_report(run)}")
        else:
            answer(json, _made(name, made), lambda: str(made))

    command.__doc__ = text
    app.command(name)(command)


def _made(step: str, folder: Path) -> dict[str, Any]:
    """What a step left: its folder, the seconds it took when it ran, and what made it."""
    import json

    from wakesmith.run import WHOLE

    return {"step": step, "folder": str(folder), **json.loads((folder / WHOLE).read_text(encoding="utf-8"))}


def _teach_command(name: str, text: str) -> None:
    def command(
        run: RunFolder, set_: Set = None,
        check: Annotated[bool, typer.Option("--check", help="Judge the teacher that is there; 1: closed gate.")] = False,
        json: Json = False,
    ) -> None:  # fmt: skip
        from wakesmith import tables
        from wakesmith.steps import _check
        from wakesmith.steps import forge as step

        if not check:
            made = step.one(recipe_of(run, set_), run, name)
            answer(json, _made(name, made), lambda: str(made))
            return
        report = _check.run(recipe_of(run, set_), run)
        answer(json, report, lambda: _check.table(report, tables.for_stdout()))
        if report["gate"]["passed"] is False:
            raise typer.Exit(1)

    command.__doc__ = text
    app.command(name)(command)


for _name, _text in {
    "speak": "Voices say the phrase, near misses and sentences.",
    "prepare": "Recordings become 16 kHz mono clips in train, dev and test.",
    "views": "Augmented hearings of each clip, drawn by clip, view and seed.",
    "teach": "Train the teacher's head, calibrate it, and put it to the gate.",
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
    json: Json = False,
) -> None:
    """The same student with and without each teacher. Same views, same steps, several seeds, one table."""
    from wakesmith import tables
    from wakesmith.config import read_yaml, teacher_named
    from wakesmith.steps import _compare
    from wakesmith.steps import compare as step

    values = values_of(run, set_)
    chosen = [step.Arm(name, {"teacher": teacher_named(name)}) for name in teacher or []]
    chosen += [step.Arm(name, over) for name, over in (read_yaml(arms) if arms else {}).items()]
    told = step.run(values, run, chosen or [step.Arm("the run's teacher", {})], seeds, jobs)
    answer(json, told, lambda: _compare.table(told, tables.for_stdout(tables.markdown)))


@app.command()
def sweep(
    run: RunFolder,
    space: Annotated[
        Path, typer.Option(help="A YAML file: key of the configuration -> {values: [...]} or {low, high, log, step}.")
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trials of the study in all, those that are there counted.")] = 20,
    storage: Annotated[
        str | None, typer.Option(help="A URL that Optuna knows, or a journal file. Default: a file in RUN/sweep.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this command, one thread each.")] = 1,
    most_parameters: Annotated[int | None, typer.Option(min=1, help="A larger student is not trained.")] = None,
    most_bytes: Annotated[int | None, typer.Option(min=1, help="Of the model file.")] = None,
    most_latency_ms: Annotated[float | None, typer.Option(min=0, help="From a sample until its score at the latest.")] = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Search the settings that miss least on dev, within limits. Started again, or elsewhere too, it goes on."""
    from wakesmith import tables
    from wakesmith.config import read_yaml
    from wakesmith.steps import _space
    from wakesmith.steps import sweep as step

    values = values_of(run, set_)
    given = {"parameters": most_parameters, "bytes": most_bytes, "latency_ms": most_latency_ms}
    limits = {name: float(most) for name, most in given.items() if most is not None}
    told = step.run(values, run, _space.space_of(values, read_yaml(space), str(space)), trials, storage, workers, limits)
    best = step.best(told, run, set_ or [])
    answer(json, {**told, "best": best}, lambda: "\n".join([*tables.for_stdout()(step.table(told)), best]))

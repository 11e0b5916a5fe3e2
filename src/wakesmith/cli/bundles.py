"""What is done with a bundle, or beside the road: make it better, try it, record, list the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wakesmith.cli._app import Json, Phrase, RunFolder, Set, answer, app, recipe_of


@app.command()
def mine(
    run: RunFolder,
    rounds: Annotated[int, typer.Option(min=1, help="So many rounds more.")] = 1,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Learn what nearly wakes it in train and dev; make a new bundle. Test is never heard for it."""
    from wakesmith.steps import mine as step

    made = step.run(recipe_of(run, set_), run, rounds)
    text = f"rounds made: {len(made)}; figures: {run / 'rounds'}/*/round.json" if made else "nothing new was found"
    answer(json, made, lambda: text)


@app.command()
def learn(
    bundle: Annotated[Path, typer.Argument(help="The bundle in its run folder: RUN/bundle.")],
    false_wakes: Annotated[Path | None, typer.Option(help="Folder of recordings that should not have woken it.")] = None,
    misses: Annotated[Path | None, typer.Option(help="Folder of recordings of the phrase that it missed, one each.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Learn from what the teacher doubts too.")] = False,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Learn your own recordings of false wakes and misses. Checked by the teacher, they make a new bundle."""
    from wakesmith.steps import learn as step

    told = step.run(recipe_of(step.run_of(bundle), set_), bundle, false_wakes, misses, trust)
    answer(json, told, lambda: step.summary(told))


@app.command()
def rerun(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="The folder for the new run. Default: RUN-rerun.")] = None,
    json: Json = False,
) -> None:
    """Make a run anew from its own configuration, and compare. Same seed, same machine, same bundle. 1: something differs."""
    from wakesmith import tables
    from wakesmith.steps import rerun as step

    told = step.run(run, out or step.default_out(run))
    found = "the same" if told["equal"] else "not the same"
    answer(json, told, lambda: "\n".join([*tables.for_stdout()(step.table(told)), f"{run} made again: {found}"]))
    if not told["equal"]:
        raise typer.Exit(1)


@app.command()
def detect(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    files: Annotated[list[Path], typer.Argument(help="Sound files, and folders of them.")],
    threshold: Annotated[float | None, typer.Option(help="Instead of the one in the card.", min=0.0, max=1.0)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Where the wake word is heard in sound files. Which one, when the bundle hears several."""
    import json as encoder

    import numpy as np

    from wakesmith import audio
    from wakesmith.importers.wav_folders import sound_files
    from wakesmith.runtime.detector import Detector

    detector = Detector.load(bundle, threshold)
    for path in [one for given in files for one in (sound_files(given) if given.is_dir() else [given])]:
        detector.reset()
        # A word is decided on shortly after its end: half a second of silence follows the file.
        found = detector.process(np.concatenate([audio.read(path), np.zeros(audio.SAMPLE_RATE_HZ // 2, np.float32)]))
        if json:
            rows = [{"time_s": round(hit.time_s, 3), "phrase": hit.phrase, "score": round(hit.score, 4)} for hit in found]
            typer.echo(encoder.dumps({"file": str(path), "detections": rows}))
            continue
        typer.echo(f"{path}: {len(found)} detection{'' if len(found) == 1 else 's'}")
        for hit in found:
            name = f"{hit.phrase}  " if len(detector.points) > 1 else ""
            typer.echo(f"  {hit.time_s:8.2f} s  {name}score {hit.score:.3f}")


@app.command()
def say(
    phrase: Phrase,
    path: Annotated[Path, typer.Argument(help="The file to write: .wav or .flac.")],
    voice: Annotated[str, typer.Option(help="One of: wakesmith parts voices.")] = "espeak",
    speaker: Annotated[str | None, typer.Option(help="One of the voice's speakers.")] = None,
    language: Annotated[str, typer.Option(help="Such as en, es or de; with --unheard-by the run's.")] = "en",
    before: Annotated[str | None, typer.Option(help="Something to say before the phrase.")] = None,
    unheard_by: Annotated[
        Path | None, typer.Option(help="A run folder: voice and speaker are taken from its test split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of rate and pitch.")] = 1,
) -> None:
    """A voice says a phrase into a file."""
    from wakesmith import config
    from wakesmith.steps import say as step

    if unheard_by is not None:
        settings, speaker = step.unheard(unheard_by)
    else:
        settings = config.part("voices", voice, language=language)
    typer.echo(step.run(phrase, path, settings, speaker, before, seed))


@app.command()
def record(
    folder: Annotated[Path, typer.Argument(help="The recordings go to FOLDER/SPEAKER; forge takes it as --recordings.")],
    phrase: Annotated[str | None, typer.Option(help="What to say.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Who speaks.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Takes in all, with those that are there.")] = 20,
    device: Annotated[str | None, typer.Option(help="Name or number of the microphone.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Judge the files that are there; 1: some should be made again.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --check: as JSON, for programs.")] = False,
) -> None:
    """Record your own voice saying the phrase, take by take. Interrupted and started again, it goes on where it stopped."""
    from wakesmith import tables
    from wakesmith.errors import ConfigError
    from wakesmith.steps import record as step

    if json and not check:
        raise ConfigError("--json: shows what --check finds. Give both.")
    if check:
        rows = step.check(folder)
        answer(json, step.told(rows), lambda: step.table(rows, tables.for_stdout()))
        raise typer.Exit(int(any(row.faults for row in rows)))
    if not phrase or not speaker:
        raise ConfigError('record: give --phrase "hey nova" and --speaker NAME, or --check.')
    made = step.run(folder, phrase, speaker, count, device)
    typer.echo(f'{made}: {count} takes. Next: wakesmith forge "{phrase}" --recordings {folder}')


@app.command()
def listen(
    bundles: Annotated[list[Path], typer.Argument(help="Bundle folders.")],
    device: Annotated[str | None, typer.Option(help="Name or number of the microphone.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of those in the cards.", min=0.0, max=1.0)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Listen at the microphone until Ctrl-C."""
    from wakesmith.steps import listen as step

    step.run(bundles, device, threshold, json)


@app.command()
def parts(
    kind: Annotated[str | None, typer.Argument(help="voices, importers, augment, features, teachers, ...")] = None,
    json: Json = False,
) -> None:
    """The parts there are, by kind. Of students also what they cost and how long they wait."""
    from dataclasses import asdict

    from wakesmith import registry, tables
    from wakesmith.errors import ConfigError

    if kind is not None and kind not in registry.KINDS:
        raise ConfigError(registry.unknown("parts", kind, list(registry.KINDS)))
    if kind == "students":
        from wakesmith.students import _facts

        students = [_facts.of(name) for name in registry.names(kind)]
        answer(json, [asdict(one) for one in students], lambda: "\n".join(tables.for_stdout()(_facts.table(students))))
        return
    names = {one: registry.names(one) for one in ([kind] if kind else registry.KINDS)}
    answer(json, names, lambda: "\n".join(f"{one}: {', '.join(found)}" for one, found in names.items()))

"""The command line: one sub-command a step. Heavy imports wait until a command runs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Wakesmith forges wake words.")

Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, as in --set student.width=48. May be repeated.")
]
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


@app.command()
def forge(
    phrase: Phrase, out: Out = None, preset: Preset = "quick", config: Config = None, teacher: Teacher = None,
    recordings: Own = None, negatives: Folders = None, noise: Folders = None, rooms: Folders = None,
    test_recordings: Folders = None, set_: Set = None,
) -> None:  # fmt: skip
    """The whole road: a phrase becomes a tested detector. Interrupted and started again, it goes on where it stopped."""
    from wakesmith.steps import forge as step

    folder = out or _default_out(phrase)
    recipe = _recipe(phrase, preset, config, teacher, recordings, negatives, noise, rooms, test_recordings, set_)
    bundle = step.run(recipe, folder)
    _show_report(folder)
    typer.echo(f"bundle: {bundle}\nreport: {folder / 'evaluate' / 'report.html'}\ntry it: wakesmith detect {bundle} FILE.wav")


@app.command()
def plan(
    phrase: Phrase, out: Out = None, preset: Preset = "quick", config: Config = None, teacher: Teacher = None,
    recordings: Own = None, negatives: Folders = None, noise: Folders = None, rooms: Folders = None,
    test_recordings: Folders = None, set_: Set = None,
) -> None:  # fmt: skip
    """Write the run folder's config.yaml and stop, to read it or to run the steps one by one."""
    from wakesmith.steps import forge as step

    folder = out or _default_out(phrase)
    step.plan(_recipe(phrase, preset, config, teacher, recordings, negatives, noise, rooms, test_recordings, set_), folder)
    typer.echo(f"{folder / 'config.yaml'}: written. Next: wakesmith speak {folder}")


def _recipe(
    phrase: str, preset: str, config: Path | None, teacher: str | None, recordings: list[str] | None,
    negatives: list[str] | None, noise: list[str] | None, rooms: list[str] | None, test_recordings: list[str] | None,
    set_: list[str] | None,
) -> Any:  # fmt: skip
    from wakesmith.config import assignment, merge, read_yaml, teacher_named
    from wakesmith.steps import _recipe

    own = read_yaml(config) if config else {}
    phrases = [one.strip() for one in phrase.split(",")]
    own = merge(own, {"phrase": phrases if len(phrases) > 1 else phrase})
    if teacher:
        own = merge(own, {"teacher": teacher_named(teacher)})
    sources = [
        *(_own_source(path, phrases) for path in recordings or []),
        *(_source(path, "speech") for path in negatives or []),
        *(_source(path, "noise") for path in noise or []),
        *(_source(path, "room") for path in rooms or []),
        *(_source(path, "wake", split="test") for path in test_recordings or []),
    ]
    if sources:
        own = merge(own, {"data": {"sources": [*(own.get("data") or {}).get("sources", []), *sources]}})
    for text in set_ or []:
        own = merge(own, assignment(text))
    return _recipe.load(own, preset=preset)


def _own_source(path: str, phrases: list[str]) -> dict[str, Any]:
    """Recordings to learn from: all in train, so that the threshold is chosen, and judged, on voices that were never heard."""
    source = _source(path, "wake", split="train")
    if source["name"] == "wav_folders":
        source |= {"speaker": "folder", "text": phrases[0] if len(phrases) == 1 else ""}
    return source


def _source(path: str, label: str, **options: str) -> dict[str, Any]:
    """Settings of the importer for a folder or a manifest, by the ending of its name."""
    importer = "manifest_csv" if Path(path).suffix.lower() in (".csv", ".jsonl") else "wav_folders"
    return {"name": importer, "path": path, "label": label, **options}


def _default_out(phrase: str) -> Path:
    from wakesmith import text

    return Path("runs") / (text.file_name(phrase) or "phrase")


def _values_of(run: Path, set_: list[str] | None) -> dict[str, Any]:
    """A run's configuration with --set applied, as plain values."""
    from wakesmith.config import assignment, merge, read_yaml

    values = read_yaml(run / "config.yaml")
    for item in set_ or []:
        values = merge(values, assignment(item))
    return values


def _recipe_of(run: Path, set_: list[str] | None) -> Any:
    from wakesmith.steps import _recipe

    return _recipe.load(_values_of(run, set_))


def _step_command(name: str, text: str) -> None:
    def command(run: RunFolder, set_: Set = None) -> None:
        from wakesmith.steps import forge as step

        typer.echo(step.one(_recipe_of(run, set_), run, name))
        if name == "evaluate":
            _show_report(run)

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
            typer.echo(step.one(_recipe_of(run, set_), run, name))
            return
        report = _check.run(_recipe_of(run, set_), run)
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

    values = _values_of(run, set_)
    chosen = [step.Arm(name, {"teacher": teacher_named(name)}) for name in teacher or []]
    chosen += [step.Arm(name, over) for name, over in (read_yaml(arms) if arms else {}).items()]
    told = step.run(values, run, chosen or [step.Arm("the run's teacher", {})], seeds, jobs)
    typer.echo(encoder.dumps(told) if json else _compare.table(told))


@app.command()
def mine(
    run: RunFolder,
    rounds: Annotated[int, typer.Option(min=1, help="So many rounds more.")] = 1,
    set_: Set = None,
) -> None:
    """The bundle listens to train and dev; what nearly wakes it is learned, and a new bundle made. Test is never heard for it."""
    from wakesmith.steps import mine as step

    made = step.run(_recipe_of(run, set_), run, rounds)
    typer.echo(f"rounds made: {len(made)}; figures: {run / 'rounds'}/*/round.json" if made else "nothing new was found")


@app.command()
def learn(
    bundle: Annotated[Path, typer.Argument(help="The bundle in its run folder: RUN/bundle.")],
    false_wakes: Annotated[Path | None, typer.Option(help="Folder of recordings that should not have woken it.")] = None,
    misses: Annotated[Path | None, typer.Option(help="Folder of recordings of the phrase that it missed, one each.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Learn from what the teacher doubts too.")] = False,
    set_: Set = None,
) -> None:
    """Your own recordings of false wakes and misses, checked by the teacher, make a new bundle from the run's cache."""
    from wakesmith.steps import learn as step

    told = step.run(_recipe_of(step.run_of(bundle), set_), bundle, false_wakes, misses, trust)
    typer.echo(step.summary(told))


@app.command()
def detect(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    threshold: Annotated[float | None, typer.Option(help="Instead of the one in the card.", min=0.0, max=1.0)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Where the wake word is heard in sound files; which one, when the bundle hears several."""
    import json as encoder

    import numpy as np

    from wakesmith import audio
    from wakesmith.runtime.detector import Detector

    detector = Detector.load(bundle, threshold)
    for path in files:
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
) -> None:
    """Record your own voice saying the phrase, take by take. Interrupted and started again, it goes on where it stopped."""
    from wakesmith.errors import ConfigError
    from wakesmith.steps import record as step

    if check:
        rows = step.check(folder)
        typer.echo(step.table(rows))
        raise typer.Exit(int(any(row.faults for row in rows)))
    if not phrase or not speaker:
        raise ConfigError('record: give --phrase "hey nova" and --speaker NAME, or --check.')
    made = step.run(folder, phrase, speaker, count, device)
    typer.echo(f'{made}: {count} takes. Next: wakesmith forge "{phrase}" --recordings {folder}')


@app.command()
def listen(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    device: Annotated[str | None, typer.Option(help="Name or number of the microphone.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the one in the card.", min=0.0, max=1.0)] = None,
) -> None:
    """Listen at the microphone until Ctrl-C."""
    from wakesmith.steps import listen as step

    step.run(bundle, device, threshold)


@app.command()
def parts(kind: Annotated[str | None, typer.Argument(help="voices, importers, augment, features, teachers, ...")] = None) -> None:
    """The parts there are, by kind."""
    from wakesmith import registry
    from wakesmith.errors import ConfigError

    if kind is not None and kind not in registry.KINDS:
        raise ConfigError(registry.unknown("parts", kind, list(registry.KINDS)))
    for one in [kind] if kind else registry.KINDS:
        typer.echo(f"{one}: {', '.join(registry.names(one))}")


def _show_report(folder: Path) -> None:
    import json

    from wakesmith import report

    typer.echo(report.table(json.loads((folder / "evaluate" / "report.json").read_text(encoding="utf-8"))))


def main() -> None:
    """Entry point: a user's mistake is one clear message and exit code 2."""
    sys.exit(guarded(app))


def guarded(command: Callable[..., Any]) -> int:
    from wakesmith.errors import WakesmithError

    try:
        command()
    except WakesmithError as error:
        typer.echo(f"wakesmith: {error}", err=True)
        return 2
    except KeyboardInterrupt:
        typer.echo("wakesmith: interrupted. The same command goes on from here.", err=True)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = error.filename or "the run folder"
        typer.echo(f"wakesmith: {where}: {error.strerror}. What was made is kept; mend it and run the same command.", err=True)
        return 2
    return 0


if __name__ == "__main__":
    main()

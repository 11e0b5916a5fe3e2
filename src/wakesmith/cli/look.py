"""What the page shows, for a terminal: `judge` a run at any threshold, `runs` beside one another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wakesmith.cli._app import Json, RunFolder, answer, app

if TYPE_CHECKING:
    from wakesmith.tables import Look, Row
    from wakesmith.web._figures import Mistake
    from wakesmith.web._judged import Judged


@app.command()
def judge(
    run: RunFolder,
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Default: the shipped one.")] = None,
    phrase: Annotated[str | None, typer.Option(help="Which one, where the run has several. Default: the first.")] = None,
    sounds: Annotated[Path | None, typer.Option(help="A folder: the sound of each mistake is written there.")] = None,
    wrong: Annotated[
        list[str] | None, typer.Option(help="Note that a clip is labelled wrong, by its name in the list. May be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """How a run hears at any threshold, and every mistake. What is shipped stays."""
    from wakesmith import tables
    from wakesmith.web import _judged

    judged = _judged.load(run, _judged.number_of(run, phrase))
    at = judged.shipped.threshold if threshold is None else threshold
    mistakes = [one for split in judged.heard for one in _judged.mistakes(judged, split, at)]
    for name in wrong or []:
        _mark(judged, mistakes, name)
    if sounds is not None:
        _write(judged, mistakes, sounds)
    told = _told(judged, at, mistakes)
    answer(json, told, lambda: "\n".join(_text(told, tables.for_stdout())))


def _told(judged: Judged, threshold: float, mistakes: list[Mistake]) -> dict[str, Any]:
    from wakesmith.web import _figures

    point = judged.point(threshold)
    told: dict[str, Any] = {"phrase": judged.report["phrase"], "threshold": point.threshold}
    told |= {"shipped": judged.shipped.threshold, **_figures.at(judged.heard, point, judged.patience_s)}
    for split, heard in judged.heard.items():
        told[split]["near_misses"] = _figures.near_misses(heard, judged.recordings, point, judged.patience_s)
    told["mistakes"] = [_row(judged, one) for one in mistakes]
    return told


def _row(judged: Judged, one: Mistake) -> dict[str, Any]:
    recording = judged.recordings[one.recording]
    made = {"clip": one.name, "kind": one.kind, "split": one.split, "heard": one.condition, "score": round(one.score, 4)}
    return made | {"said": recording.text, "source": recording.source, "speaker": recording.speaker, "recording": recording.id}


def _text(told: dict[str, Any], look: Look) -> Iterator[str]:
    from wakesmith.report.facts import SHARE_HEAD, condition_row, rate_text

    yield f"'{told['phrase']}' at threshold {told['threshold']:.4f}; shipped: {told['shipped']:.4f}. Choose it by dev alone."
    for split in ("dev", "test"):
        near = told[split]["near_misses"]
        fired, n = (sum(row[key] for row in near) for key in ("fired", "n"))
        yield from ("", *look([[f"phrase under, {split}", *SHARE_HEAD], *map(condition_row, told[split]["conditions"])]))
        yield f"false accepts on {split}: {rate_text(told[split]['false_accepts'])}; near misses that fire: {fired} of {n}"
    head = ["clip", "kind", "score", "heard", "said", "who"]
    rows: list[Row] = [
        [row["clip"], row["kind"], f"{row['score']:.3f}", row["heard"], row["said"] or "-", " / ".join(filter(None, _who(row)))]
        for row in told["mistakes"]
    ]
    yield from ("", *(look([head, *rows]) if rows else ["no mistake at this threshold"]))


def _who(row: dict[str, Any]) -> list[str]:
    return [row["source"], row["speaker"]]


def _mark(judged: Judged, mistakes: list[Mistake], name: str) -> None:
    from wakesmith.errors import ConfigError
    from wakesmith.web import _feedback

    found = next((one for one in mistakes if one.name == name), None)
    if found is None:
        raise ConfigError(f"--wrong {name}: no mistake at this threshold is called so. Take a name of the list.")
    _feedback.mark(judged.folder, name, found.recording, judged.recordings[found.recording].label)


def _write(judged: Judged, mistakes: list[Mistake], folder: Path) -> None:
    from wakesmith import audio
    from wakesmith.progress import track
    from wakesmith.web import _judged

    folder.mkdir(parents=True, exist_ok=True)
    for one in track(mistakes, "sounds"):
        audio.write(folder / f"{one.name.replace('/', '-')}.wav", _judged.cut(judged, one))


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the run folders.")] = Path("runs"),
    json: Json = False,
) -> None:
    """Runs in a table, and what their settings have otherwise."""
    from wakesmith import tables
    from wakesmith.errors import ConfigError, WakesmithError
    from wakesmith.web import _compared, _judged

    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder. Name the one that holds run folders, or make a run: wakesmith forge PHRASE")
    found, rows, waiting = _judged.found(folder), [], {}
    for one in found:
        try:
            rows += _compared.rows(one)
        except WakesmithError as error:  # one that is not whole must not hide the others
            waiting[one.name] = str(error)
    differ = _compared.differences([one for one in found if one.name not in waiting])
    told = {"runs": _named(_compared.HEAD, rows), "waiting": waiting, "differences": _named(differ[0], differ[1:])}
    look = tables.for_stdout()
    answer(json, told, lambda: "\n".join([*_tables(look, [_compared.HEAD, *rows], differ), *waiting.values()]))


def _named(head: Row, rows: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(head, row, strict=True)) for row in rows]


def _tables(look: Look, rows: list[Row], differ: list[list[str]]) -> Iterator[str]:
    yield from look(rows) if len(rows) > 1 else ["no run here was evaluated yet"]
    if len(differ) > 1:
        yield from ("", *look(differ))

"""Forge: a phrase or recordings become a recipe, and a forge at work that can be stopped and goes on."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith import audio, config
from wakesmith.errors import ConfigError
from wakesmith.report.page import html_table
from wakesmith.steps import _cost, _recipe, record, say, speak
from wakesmith.web import _fields, _looks, _plan, _runs, _state, _work
from wakesmith.web._told import told

TITLE = "Forge"
EVERY_S = 2.0
EDITED = "The recipe below was changed by hand, so it stays as it is. Press 'Make the recipe' to take the fields again."
TAKE = """(fresh, made, recipe) =>
  fresh && (!(recipe || '').trim() || recipe.trim() === made.trim()) ? [fresh, fresh] : [made, recipe]"""
"""In the browser, at once: what was typed into the recipe while the new one was on its way stays."""


def build(runs: Path, chosen: _runs.Chosen) -> None:
    """Fields, the recipe made from them, and the work."""
    run = chosen.run
    phrase, name, preset, teacher = _fields.phrase_and_teacher(runs)
    cost = gr.HTML(elem_id="cost")
    with gr.Row():
        start = gr.Button("Start", variant="primary", elem_id="start", min_width=80)
        stop = gr.Button("Stop", elem_id="stop", interactive=False, min_width=80)
        go_on = gr.Button("Go on", elem_id="go-on", interactive=False, min_width=80)
    state = gr.HTML(_looks.message("Type a phrase, then press Start."), elem_id="state")
    voice, speaker, hear, said = _fields.hear_first()
    take, files, who, keep, takes = _fields.own_recordings()
    teacher_folder, natural, recordings, *others = _fields.folders()
    made, fresh, recipe, make, check = _fields.recipe_box()
    timer = gr.Timer(EVERY_S, active=False)

    fields = [phrase, preset, teacher, teacher_folder, natural, recordings, *others]
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    shown = [state, stop, go_on, timer]

    changes = [one.blur for one in (phrase, teacher_folder, natural, recordings, *others)]
    for changed in (*changes, preset.input, teacher.input, recordings.change):
        made_anew = changed(told(follow), [made, recipe, *fields], [fresh, cost], **quiet)
        made_anew.success(None, [fresh, made, recipe], [made, recipe], js=TAKE, **quiet)
    phrase.blur(lambda text: _plan.run_name(text) if text.strip() else gr.skip(), phrase, name, **quiet)
    make.click(told(remade), fields, [made, recipe, cost], **quiet)
    check.click(told(lambda text: _costs(_plan.read(text))), recipe, cost, **quiet)
    hear.click(told(spoken), [phrase, voice, speaker, preset], said)
    given = [phrase, name, who, take, files, recordings]
    keep.click(told(lambda *values: kept(runs, *values)), given, [takes, recordings, take, files])
    began = start.click(
        told(lambda *values: begin(runs, *values)), [name, made, recipe, *fields], [made, recipe, cost, *shown], **quiet
    )
    began.success(lambda text: _runs.choices(runs, text), name, run, **quiet)
    stop.click(told(lambda one: stopped(runs, one)), run, shown, **quiet)
    go_on.click(told(lambda one: resumed(runs, one)), run, shown, **quiet)
    for event in (chosen.working.change, timer.tick):
        event(told(lambda one: work(runs, one)), run, shown, **quiet)


def follow(made: str, recipe: str, *fields: str) -> tuple[Any, Any]:
    """The recipe follows the fields until it is changed by hand."""
    if not str(fields[0] or "").strip():
        return gr.skip(), gr.skip()
    if (recipe or "").strip() and recipe.strip() != made.strip():
        gr.Info(EDITED)
        return gr.skip(), gr.skip()
    text = _plan.recipe_text(*fields)
    return text, _costs(_plan.read(text))


def remade(*fields: str) -> tuple[str, str, str]:
    """-> (the recipe, the recipe, its cost)"""
    text = _plan.recipe_text(*fields)
    return text, text, _costs(_plan.read(text))


def _costs(recipe: _recipe.Recipe) -> str:
    """Time, and what speaks against the phrase."""
    doubts = "".join(_looks.message(doubt) for doubt in speak.doubts(recipe))
    return _looks.framed(f"<p class=soft>{html.escape(_cost.told(recipe))}</p>") + doubts


def begin(runs: Path, name: str, made: str, recipe: str, *fields: str) -> tuple[Any, ...]:
    """Write the recipe into the run folder, and start. What was typed last counts, unless the recipe was changed by hand."""
    if not (recipe or "").strip() or recipe.strip() == made.strip():
        made = recipe = remade(*fields)[0]
    read = _plan.read(recipe)
    cost = _costs(read)  # which refuses what cannot be forged, before anything is written
    folder = _plan.planned(runs, (name or "").strip() or _plan.run_name(read.phrases[0]), read)
    _work.start(folder, _work.forging(folder, read.phrases))
    return made, recipe, cost, *_shown(folder)


def stopped(runs: Path, name: str) -> tuple[Any, ...]:
    folder = _runs.folder(runs, name)
    _work.stop(folder)
    return _shown(folder, "Stopping: it keeps what it has.")


def resumed(runs: Path, name: str) -> tuple[Any, ...]:
    """Start again with what the run's own config.yaml says."""
    folder = _runs.folder(runs, name)
    phrases = _recipe.load(config.read_yaml(folder / "config.yaml")).phrases
    _work.start(folder, _work.forging(folder, phrases))
    return _shown(folder)


def work(runs: Path, name: str | None) -> tuple[Any, ...]:
    """How the chosen run stands."""
    return _shown(_runs.folder(runs, name)) if name else (gr.skip(),) * 4


def _shown(folder: Path, news: str = "") -> tuple[Any, ...]:
    shown, working = _state.told(folder, news)
    return shown, gr.Button(interactive=working), gr.Button(interactive=not working), gr.Timer(active=working)


def spoken(phrase: str, voice: str, speaker: str, preset: str) -> tuple[int, Any]:
    """A voice says the phrase -> (rate, samples)."""
    if not phrase.strip():
        raise ConfigError("Type the phrase first.")
    settings = config.part("voices", voice, language=_recipe.load({"phrase": phrase}, preset=preset).language)
    with tempfile.TemporaryDirectory() as folder:
        path = say.run(phrase, Path(folder) / "said.wav", settings, speaker.strip() or None, None, 1)
        return audio.SAMPLE_RATE_HZ, audio.to_int16(audio.read(path))


def kept(
    runs: Path, phrase: str, name: str, who: str, take: str | None, files: list[str] | None, recordings: str
) -> tuple[Any, ...]:
    """Judge the take and the files; keep the good ones and name their folder among the recordings."""
    if not (name or phrase).strip():
        raise ConfigError("Type the phrase first.")
    sounds = [*([take] if take else []), *(files or [])]
    own, rows = _plan.keep(runs, name.strip() or _plan.run_name(phrase), who, sounds)
    n_good = sum(not row.faults for row in rows)
    lines = _plan.kept(runs, name.strip() or _plan.run_name(phrase))
    head = f"<p role=status>{n_good} of {len(rows)} kept; {len(lines)} in {html.escape(str(own))}.</p>"
    table = [["file", "level", "over noise", "speech", "verdict"], *map(_row, rows)]
    folders = [line for line in recordings.splitlines() if line.strip()]
    if n_good and str(own) not in folders:
        folders.append(str(own))
    return _looks.framed(head, html_table(table)), "\n".join(folders), None, None


def _row(row: record.Row) -> list[str]:
    numbers = ["-"] * 3
    if row.take:
        numbers = [f"{row.take.speech_dbfs:.0f} dBFS", f"{row.take.snr_db:.0f} dB", f"{row.take.speech_s:.2f} s"]
    return [row.file, *numbers, " ".join(row.faults) or "good"]

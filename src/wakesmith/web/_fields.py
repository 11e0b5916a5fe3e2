"""The fields of the tab Forge, section by section: what is seen, and nothing of what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith import registry
from wakesmith.steps import _recipe

PRESETS = sorted(path.stem for path in _recipe.PRESETS.glob("*.yaml"))


def phrase_and_teacher(runs: Path) -> tuple[Any, ...]:
    """What a first forge needs, which fits a phone's first screen with the work below it."""
    with gr.Row(equal_height=False):
        phrase = gr.Textbox(
            value="", label="Phrase", placeholder="hey nova", elem_id="phrase", scale=2,
            info="Three or more syllables; commas between several.",
        )  # fmt: skip
        name = gr.Textbox(value="", label="Name of the run", elem_id="run-name", info=f"Its folder in {runs}.", scale=1)
    with gr.Row(equal_height=False):
        preset = gr.Radio(PRESETS, value="quick", label="Preset", elem_id="preset", info="quick: a first try; esphome: an ESP32.")
        teachers: list[Any] = [("the preset's", ""), *registry.names("teachers")]
        teacher = gr.Dropdown(
            teachers, value="", label="Teacher", elem_id="teacher", info="Whom it learns from; its folder below."
        )
    return phrase, name, preset, teacher


def hear_first() -> tuple[Any, ...]:
    with gr.Accordion("Hear the phrase first", open=False):
        with gr.Row(equal_height=True):
            voice = gr.Dropdown(_voices(), value="espeak", label="Voice", elem_id="voice")
            speaker = gr.Textbox(value="", label="Speaker", info="Empty: the voice's first.")
            hear = gr.Button("Say it", elem_id="say", min_width=120)
        said = gr.Audio(label="The phrase", interactive=False, autoplay=True, elem_id="said", buttons=[])
    return voice, speaker, hear, said


def own_recordings() -> tuple[Any, ...]:
    with gr.Accordion("Your own recordings of the phrase", open=False):
        gr.Markdown("Twenty takes of a second or two make it better. Say the phrase as you will: near, far, quietly, fast.")
        with gr.Row(equal_height=False):
            take = gr.Audio(
                label="Record a take", sources=["microphone"], type="filepath", editable=False, elem_id="take", buttons=[]
            )
            files = gr.File(
                label="Or choose sound files", file_count="multiple", file_types=["audio"], elem_id="files", height=150
            )
        with gr.Row(equal_height=True):
            who = gr.Textbox(label="Who speaks", value="me", elem_id="who", info="Letters, digits, - and _.")
            keep = gr.Button("Check and keep", elem_id="keep", min_width=160)
        takes = gr.HTML(elem_id="takes")
    return take, files, who, keep, takes


def folders() -> list[Any]:
    """Teacher, natural voices, recordings, and what --negatives, --noise, --rooms, --test-recordings take, in this order."""
    with gr.Accordion("Folders on this machine", open=False):
        teacher = gr.Textbox(
            value="", label="Folder of the teacher", info="Where its weights lie on this machine; moonshine needs none."
        )
        natural = gr.Textbox(
            value="", label="Natural voices", info="Folder of Kokoro-82M, or its name on the hub, as OWNER/NAME."
        )
        recordings = gr.Textbox(
            value="", label="Recordings of the phrase", lines=2, elem_id="recordings", info="Folders or manifests, one a line."
        )
        others = [
            gr.Textbox(value="", label=label, lines=2, info=info)
            for label, info in (
                ("Other speech", "Folders or manifests, one a line."), ("Noise", "The same."), ("Rooms", "Impulse responses."),
                ("Recordings of the phrase for the test alone", "It is judged by these, and never learns them."),
            )
        ]  # fmt: skip
    return [teacher, natural, recordings, *others]


def recipe_box() -> tuple[Any, ...]:
    """Beside what is seen: the recipe as it was made from the fields, and a new one on its way."""
    made, fresh = (gr.Textbox("", visible="hidden", elem_id=id_) for id_ in ("made", "fresh"))
    with gr.Accordion("The whole recipe: every option", open=False):
        label = "Recipe (Escape, then Tab leaves it)"
        recipe = gr.Code(language="yaml", label=label, elem_id="recipe", interactive=True, lines=12, max_lines=30)
        with gr.Row():
            make = gr.Button("Make the recipe", elem_id="make")
            check = gr.Button("Check it", elem_id="check")
    return made, fresh, recipe, make, check


def _voices() -> list[str]:
    return [name for name in registry.names("voices") if name != "command"]

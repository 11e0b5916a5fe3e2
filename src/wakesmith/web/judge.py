"""Judge: how well a run hears at any threshold, and every mistake to be seen and heard."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from wakesmith.audio import SAMPLE_RATE_HZ, to_int16
from wakesmith.errors import WakesmithError
from wakesmith.report import of_phrases
from wakesmith.report.page import html_table
from wakesmith.web import _better, _feedback, _figures, _judged, _looks, _pictures, _runs, _shown
from wakesmith.web._told import told

TITLE = "Judge"
EVERY = "every condition"
NOTHING = "Nothing here at this threshold. Move the threshold, or choose another split, kind or condition."


def build(runs: Path, chosen: _runs.Chosen) -> None:
    """The tab. It reads the run folder; nothing is trained, and no score is made."""
    run = chosen.run
    state = gr.HTML(_looks.message(_runs.CHOOSE), elem_id="judge-state")
    with gr.Column(visible=False, elem_id="judge") as body:
        phrase = gr.Dropdown(label="Phrase", type="index", visible=False, interactive=True, elem_id="of-phrase")
        # The number is kept here: the dropdown refuses what it still shows of the run before.
        number = gr.State(0)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                threshold = gr.Slider(
                    0.01, 1.0, step=_figures.STEP, label="Threshold", elem_id="threshold", interactive=True, buttons=[],
                    info="From which score on it wakes. Nothing is written: what is shipped stays.",
                )  # fmt: skip
                figures = gr.HTML(elem_id="figures")
                back = gr.Button("Back to the shipped threshold", elem_id="shipped")
            with gr.Column(scale=3, min_width=320):
                det = gr.HTML(elem_id="det")
                others = gr.Dropdown(
                    label="Beside it", multiselect=True, max_choices=3, info="Up to three other runs.", interactive=True
                )
        with gr.Accordion("Under noise and in rooms", open=False):
            conditions = gr.HTML(elem_id="conditions")
        with gr.Accordion("Near misses", open=False):
            near = gr.HTML(elem_id="near")
        mistakes = _Mistakes(runs, run, number, threshold)
        _own_recordings(runs, run)
        _better.build(runs, chosen)

    def opened(name: str | None) -> list[Any]:
        try:
            folder = _runs.folder(runs, name)
            texts, first = _judged.phrases(folder), _judged.load(folder, 0)
        except WakesmithError as error:
            return [gr.HTML(_looks.message(str(error)), visible=True), gr.Column(visible=False), *[gr.skip()] * 4]
        rest = [one for one in _runs.names(runs) if one != name and _judged.is_there(runs / one)]
        return [
            gr.HTML(visible=False), gr.Column(visible=True),
            gr.Dropdown(choices=texts, value=texts[0], visible=len(texts) > 1), 0,
            gr.Slider(value=first.shipped.threshold), gr.Dropdown(choices=rest, value=[]),
        ]  # fmt: skip

    def shown(name: str | None, number: int, value: float, beside: list[str]) -> list[Any]:
        if not name or not _judged.is_kept(_runs.folder(runs, name)):  # `opened` has said so
            return [gr.skip()] * 4
        judged = _judged.load(_runs.folder(runs, name), number)
        point = judged.point(value)
        at = _figures.at(judged.heard, point, judged.patience_s)
        found = {
            split: _figures.near_misses(own, judged.recordings, point, judged.patience_s) for split, own in judged.heard.items()
        }
        curves = [_beside(_runs.folder(runs, one), judged.report["phrase"]) for one in beside or []]
        return [
            _shown.figures(at, found, point.threshold, judged.shipped.threshold), _shown.det(judged.report, at, curves),
            _shown.conditions(at), _shown.near_misses(found),
        ]  # fmt: skip

    def shipped(name: str | None, number: int) -> float:
        return _judged.load(_runs.folder(runs, name), number).shipped.threshold

    def other(name: str | None, number: int) -> tuple[int, float]:
        return number, shipped(name, number)

    asked, outputs = [run, number, threshold, others], [figures, det, conditions, near]
    # Another run is read first: its figures must not be asked for at the threshold of the one before.
    opening = chosen.made.change(opened, run, [state, body, phrase, number, threshold, others])
    for event in (opening.success, threshold.change, others.change):
        event(told(shown), asked, outputs, trigger_mode="always_last", show_progress="hidden")
    back.click(told(shipped), [run, number], threshold, show_progress="hidden")
    # Two phrases may ship the same threshold, which then does not change.
    other_phrase = phrase.input(told(other), [run, phrase], [number, threshold], show_progress="hidden")
    other_phrase.success(told(shown), asked, outputs, trigger_mode="always_last", show_progress="hidden")
    for event in (opening.success, other_phrase.success, threshold.change):
        event(told(mistakes.listed), mistakes.asked, mistakes.listing, trigger_mode="always_last", show_progress="hidden")


def _beside(folder: Path, phrase: str) -> tuple[str, dict[str, Any]]:
    """A run's name and what it tells of the same phrase, or of its first one, which is then named."""
    every = of_phrases(_judged.report(folder))
    found = next((one for one in every if one["phrase"] == phrase), every[0])
    return folder.name if found["phrase"] == phrase else f"{folder.name}: {found['phrase']}", found


class _Mistakes:
    """The list of misses and false wakes, and the one that is looked at."""

    def __init__(self, runs: Path, run: gr.Dropdown, phrase: gr.State, threshold: gr.Slider) -> None:
        self.runs = runs
        gr.Markdown(
            "### Every mistake\nChoose one in the list, or step through them: see it, and hear the very sound that was judged."
        )
        with gr.Row():
            split = gr.Radio(["dev", "test"], value="test", label="Split", elem_id="split")
            kind = gr.Radio(list(_figures.KINDS), value=_figures.FALSE_WAKE, label="Kind", elem_id="kind")
            condition = gr.Dropdown([EVERY], value=EVERY, label="Condition", interactive=True, elem_id="condition")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                count = gr.HTML()
                table = gr.Dataframe(
                    headers=_shown.HEAD, interactive=False, wrap=False, max_height=320, elem_id="mistakes", buttons=[],
                    show_label=False, column_widths=["70px", "330px", "130px", "300px", "250px"],
                )  # fmt: skip
                with gr.Row():
                    before = gr.Button("Previous", elem_id="previous", min_width=100)
                    after = gr.Button("Next", elem_id="next", min_width=100)
            with gr.Column(min_width=320):
                title = gr.HTML(elem_id="mistake")
                picture = gr.HTML(elem_id="picture")
                sound = gr.Audio(label="The sound that was judged", interactive=False, type="numpy", elem_id="sound", buttons=[])
                with gr.Row():
                    wrong = gr.Button("This clip is labelled wrong", elem_id="wrong", min_width=160)
                    gr.Button("Send to learn", interactive=False, elem_id="cannot-send", min_width=160)
        gr.HTML(_looks.framed(f"<p class=soft>{_feedback.WHY_NOT}</p>"))
        marked = gr.HTML(elem_id="marked")
        number = gr.State(0)
        self.asked = [run, phrase, threshold, split, kind, condition]
        self.listing = [condition, count, table, number, title, picture, sound, marked]
        one = [number, title, picture, sound]
        for event in (split.change, kind.change, condition.input):
            event(told(self.listed), self.asked, self.listing, show_progress="minimal")
        table.select(told(self.selected), self.asked, one, show_progress="minimal")
        before.click(told(self.previous), [number, *self.asked], one, show_progress="minimal")
        after.click(told(self.next), [number, *self.asked], one, show_progress="minimal")
        wrong.click(told(self.mark), [number, *self.asked], marked, show_progress="hidden")

    def _found(self, name: str | None, phrase: int, value: float, split: str, kind: str, condition: str) -> tuple[Any, Any]:
        judged = _judged.load(_runs.folder(self.runs, name), phrase)
        every = [one for one in _judged.mistakes(judged, split, value) if one.kind == kind]
        return judged, [one for one in every if condition in (EVERY, one.condition)]

    def listed(self, name: str | None, *asked: Any) -> list[Any]:
        """The list anew, and its first mistake."""
        if not name or not _judged.is_kept(_runs.folder(self.runs, name)):
            return [gr.skip()] * 8
        judged, every = self._found(name, asked[0], asked[1], asked[2], asked[3], EVERY)
        kinds = [EVERY, *dict.fromkeys(one.condition for one in every)]
        condition = asked[-1] if asked[-1] in kinds else EVERY
        found = [one for one in every if condition in (EVERY, one.condition)]
        more = f", the first {_shown.MOST} are listed: choose a condition" if len(found) > _shown.MOST else ""
        count = _looks.framed(f"<p>{len(found)} in all{more}.</p>") if found else _looks.message(NOTHING)
        return [
            gr.Dropdown(choices=kinds, value=condition), count, _shown.rows(found, judged.recordings),
            *self._one(judged, found, 0, asked[1]), _marks(judged.folder),
        ]  # fmt: skip

    def _one(self, judged: Any, found: list[Any], number: int, value: float) -> list[Any]:
        if not found:
            return [0, "", "", None]
        number = min(max(number, 0), min(len(found), _shown.MOST) - 1)
        one, point = found[number], judged.point(value)
        samples, (start_s, end_s) = _judged.cut(judged, one), one.window_s
        stream = judged.stream(one.split, one.stream)
        times_s, scores = _figures.scores_in(stream, point.smoothing_window, start_s, end_s)
        phrase_s = (one.start_s - start_s, one.end_s - start_s) if one.kind != _figures.FALSE_WAKE else None
        title = _shown.title(one, judged.recordings[one.recording], point.threshold)
        picture = _pictures.heard(samples, times_s, scores, point.threshold, phrase_s)
        return [number, title, picture, (SAMPLE_RATE_HZ, to_int16(samples))]

    def selected(
        self, name: str, phrase: int, value: float, split: str, kind: str, condition: str, event: gr.SelectData
    ) -> list[Any]:
        return self._one(*self._found(name, phrase, value, split, kind, condition), event.index[0], value)

    def previous(self, number: int, *asked: Any) -> list[Any]:
        return self._one(*self._found(*asked), number - 1, asked[2])

    def next(self, number: int, *asked: Any) -> list[Any]:
        return self._one(*self._found(*asked), number + 1, asked[2])

    def mark(self, number: int, *asked: Any) -> str:
        judged, found = self._found(*asked)
        if not found:
            raise WakesmithError("No mistake is chosen. Choose one in the list.")
        one = found[number]
        _feedback.mark(judged.folder, one.name, one.recording, judged.recordings[one.recording].label)
        return _marks(judged.folder)


def _marks(folder: Path) -> str:
    rows = [[row["clip"], row["recording"], row["label"], row["at"]] for row in _feedback.marks(folder)]
    if not rows:
        return ""
    where = html.escape(str(folder / _feedback.FOLDER / _feedback.MARKS))
    return _looks.framed(
        f"<h3>Marked as labelled wrong</h3>{html_table([['clip', 'recording', 'labelled', 'when'], *rows])}",
        f"<p class=soft>In <code>{where}</code>. Correct these labels where they come from, then prepare again.</p>",
    )


def _own_recordings(runs: Path, run: gr.Dropdown) -> None:
    """Sounds of the user's own, which learn may take."""
    gr.Markdown(
        "### Send recordings of your own to learn\nRecord or choose a sound that woke it by mistake, or the phrase where it was "
        "missed. The teacher checks each before it is learned."
    )
    with gr.Row(equal_height=False):
        given = gr.Audio(label="Your recording", sources=["upload", "microphone"], type="filepath", elem_id="own", format="wav")
        with gr.Column():
            kind = gr.Radio(list(_feedback.KINDS), value=next(iter(_feedback.KINDS)), label="What happened", elem_id="happened")
            send = gr.Button("Send to learn", variant="primary", elem_id="send")
    sent = gr.HTML(elem_id="sent")

    def taken(name: str | None, path: str | None, what: str) -> tuple[str, None]:
        folder = _runs.folder(runs, name)
        if not path:
            raise WakesmithError("No recording is here. Record one, or choose a file, then send it.")
        _feedback.send(folder, Path(path), _feedback.KINDS[what])
        return _sent(folder), None

    send.click(told(taken), [run, given, kind], [sent, given])
    run.change(lambda name: _sent(_runs.folder(runs, name)) if name else "", run, sent, show_progress="hidden")


def _sent(folder: Path) -> str:
    """What was sent, and what learns from it."""
    rows = [[path.parent.name.replace("_", " "), path.name] for path in _feedback.sent(folder)]
    if not rows:
        return ""
    command = html.escape(_feedback.command(folder))
    return _looks.framed(
        f"<h3>Sent</h3>{html_table([['as', 'file'], *rows])}<p>Press Learn below, or run:</p>",
        f"<pre style='white-space:pre-wrap;overflow-wrap:anywhere'><code>{command}</code></pre>",
    )

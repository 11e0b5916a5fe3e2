"""Try: a file or the microphone, with the score over time, beside a second run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from wakesmith import audio
from wakesmith.errors import AudioError, BundleError
from wakesmith.report.page import html_table
from wakesmith.runtime.pcm import Converter
from wakesmith.web import _hear, _looks, _runs
from wakesmith.web._told import told

TITLE = "Try"
HEAD = ["at", "run", "phrase", "score"]
START = "Choose a file, or press the record button and say the phrase. Your sound stays on this machine."
CHUNK_S = 0.4


def build(runs: Path, chosen: _runs.Chosen) -> None:
    """The microphone and a file, and what was heard beside them; on a phone right below the microphone."""
    run = chosen.run
    with gr.Column(elem_id="try"):
        microphone = gr.Audio(
            label="The microphone", sources=["microphone"], type="numpy", streaming=True, elem_id="try-microphone", buttons=[]
        )
        result = gr.HTML(_looks.message(START), elem_id="heard")
        file = gr.Audio(label="A file", sources=["upload"], type="filepath", elem_id="try-file", editable=False, buttons=[])
        other = gr.Dropdown([("none", "")], value="", label="Beside it", info="A second run hears the same.", elem_id="beside")
    session = gr.State(None)
    chosen.made.change(lambda name: gr.Dropdown(choices=_others(runs, name), value=""), run, other, show_progress="hidden")
    file.change(told(lambda *given: heard_file(runs, *given)), [run, other, file], result)
    for event in (chosen.made.change, other.change):
        event(told(lambda *given: heard_file(runs, *given)), [run, other, file], result, show_progress="hidden")
        event(lambda: None, None, session)
    microphone.start_recording(lambda: None, None, session)
    microphone.stream(
        told(lambda *given: heard_chunk(runs, *given)), [run, other, microphone, session], [result, session],
        stream_every=CHUNK_S, time_limit=600, concurrency_limit=4, show_progress="hidden",
    )  # fmt: skip


def heard_file(runs: Path, run: str, other: str, file: str | None) -> str:
    """What the bundles of one or two runs make of a file."""
    if not file:
        return _looks.message(START)
    samples = audio.read(file)
    if len(samples) > _hear.MOST_FILE_S * audio.SAMPLE_RATE_HZ:
        raise AudioError(
            f"the file is longer than {_hear.MOST_FILE_S / 60:.0f} minutes. Longer ones: wakesmith detect BUNDLE FILE"
        )
    return _page([_hear.whole(place, name, samples) for name, place in bundles(runs, run, other)])


class Session:
    """The microphone's next samples on their way to the bundles: one stream, however the browser cuts it."""

    def __init__(self, streams: list[_hear.Stream], rate_hz: int, sound: np.ndarray) -> None:
        """sound: the first chunk, of which the channels count."""
        self.streams = streams
        self._converter = Converter(rate_hz, 2, 1 if sound.ndim == 1 else sound.shape[1])

    def converted(self, sound: np.ndarray) -> audio.Samples:
        """What the browser gives, (N,) or (N, channels) of int16 or float -> (M,) at 16 kHz."""
        whole = sound if sound.dtype == np.int16 else audio.to_int16(sound)
        return self._converter.convert(whole.astype("<i2").tobytes())


def heard_chunk(
    runs: Path, run: str, other: str, chunk: tuple[int, np.ndarray] | None, session: Session | None
) -> tuple[Any, Any]:
    """The next samples of the microphone; the session is made with the first."""
    if chunk is None:
        return gr.skip(), session
    rate_hz, sound = chunk
    if session is None:
        session = Session([_hear.Stream(place, name) for name, place in bundles(runs, run, other)], rate_hz, sound)
    samples = session.converted(sound)
    for one in session.streams:
        one.feed(samples)
    return _page([one.heard() for one in session.streams]), session


def bundles(runs: Path, run: str, other: str) -> list[tuple[str, Path]]:
    """(name, bundle folder) of the runs that hear. Raises BundleError for a run without one."""
    found = []
    for name in dict.fromkeys(filter(None, (run, other))) or (run,):
        place = _runs.folder(runs, name) / "bundle"
        if not (place / "card.json").exists():
            raise BundleError(f"{name}: has no bundle yet. Press Go on in the tab Forge, and wait until it is done.")
        found.append((name, place))
    return found


def _page(heard: list[_hear.Heard]) -> str:
    rows = _hear.rows(heard)
    return _looks.framed(_hear.summary(heard), _hear.plot(heard), html_table([HEAD, *rows]) if rows else "")


def _others(runs: Path, run: str | None) -> list[tuple[str, str]]:
    return [("none", ""), *((name, name) for name in _runs.names(runs) if name != run)]

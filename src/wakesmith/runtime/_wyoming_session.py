"""What one Wyoming client asks for and hears: events in, answers out. No network here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

import wakesmith
from wakesmith import text
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import BundleError
from wakesmith.runtime._wyoming_events import ClientError, short
from wakesmith.runtime.detector import Detection as Hit
from wakesmith.runtime.detector import Detector
from wakesmith.runtime.pcm import Converter
from wakesmith.runtime.several import Detectors


@dataclass(frozen=True)
class Model:
    """One phrase on offer."""

    phrase: str
    detector: Detector
    """Loaded once; each client hears a stream of its own."""


def models(detectors: Mapping[str, Detector]) -> dict[str, Model]:
    """Loaded bundles by folder -> models by the name that clients use: the phrase as in `hey_nova`. Raises BundleError."""
    made: dict[str, Model] = {}
    for folder, detector in detectors.items():
        if detector.card.rate_hz != SAMPLE_RATE_HZ:
            raise BundleError(f"{folder}: hears {detector.card.rate_hz} Hz, the server {SAMPLE_RATE_HZ} Hz. Export it again.")
        for phrase, point in detector.points.items():
            name = text.file_name(phrase)
            if point is None:
                raise BundleError(f"{folder}: no operating point yet for '{phrase}'. Run `wakesmith evaluate` on its run folder.")
            if name in made:
                raise BundleError(f"{folder}: '{phrase}' is heard by another bundle too. Serve it at another port: --port 10401")
            made[name] = Model(phrase, detector)
    return made


def info(offered: Mapping[str, Model]) -> Event:
    """The answer to `describe`."""
    origin = Attribution(name="Wakesmith", url="")
    described = [
        WakeModel(
            name=name, attribution=origin, installed=True, description=f"'{one.phrase}', forged with Wakesmith",
            version=one.detector.card.sha256[:12], languages=[one.detector.card.language], phrase=one.phrase,
        )
        for name, one in offered.items()
    ]  # fmt: skip
    program = WakeProgram(
        name="wakesmith", attribution=origin, installed=True, description="Wake words forged with Wakesmith",
        version=wakesmith.__version__, models=described,
    )  # fmt: skip
    return Info(wake=[program]).event()


class Session:
    """What one client asked for and has heard so far: events in, answers out."""

    def __init__(self, offered: Mapping[str, Model]) -> None:
        self._offered, self._wanted = offered, dict(offered)
        self._start()

    def answer(self, event: Event) -> Iterator[list[Event]]:
        """Answers to an event, a list for each second heard; an event of another service has none. Raises WakesmithError."""
        if Describe.is_type(event.type):
            yield [info(self._offered)]
        elif Ping.is_type(event.type):
            yield [Pong(text=_echoed(event)).event()]
        elif Detect.is_type(event.type):
            self._wanted = _chosen(self._offered, event.data.get("names"))
            self._start()
        elif AudioStart.is_type(event.type):
            self._start()
            self._take(_format(event))
        elif AudioChunk.is_type(event.type):
            yield from self._chunk(event)
        elif AudioStop.is_type(event.type):
            yield self.stop()

    def stop(self) -> list[Event]:
        """The sound has ended: the last detections, or that there was none."""
        answers = []
        if self._pcm is not None:
            rest = self._pcm.rest()
            answers = self._told([*self._heard.process(rest), *self._heard.finish()])
        if not self._has_detected:
            answers.append(NotDetected().event())
        self._start()
        return answers

    @property
    def is_hearing(self) -> bool:
        return self._pcm is not None

    def _start(self) -> None:
        """A fresh stream, of which nothing was heard."""
        loaded = {id(one.detector): one.detector for one in self._wanted.values()}  # several phrases may share one
        self._heard = Detectors(list(loaded.values()))
        self._names = {one.phrase: name for name, one in self._wanted.items()}
        self._has_detected = False
        self._timestamp_ms: int | None = None
        self._format: tuple[int, int, int] | None = None
        self._pcm: Converter | None = None

    def _take(self, format: tuple[int, int, int]) -> Converter:
        """The converter of a format: the one in use, which knows what was before, as long as that stays."""
        if self._pcm is None or format != self._format:
            self._format, self._pcm = format, Converter(*format)
        return self._pcm

    def _chunk(self, event: Event) -> Iterator[list[Event]]:
        pcm, payload = self._take(_format(event)), event.payload or b""
        stamp = event.data.get("timestamp")
        self._timestamp_ms = stamp if type(stamp) is int else None
        pcm.check(payload)
        for start in range(0, len(payload), pcm.second_bytes):  # a turn each: of a whole chunk, samples take 16 times its bytes
            samples = pcm.convert(payload[start : start + pcm.second_bytes])
            yield self._told(self._heard.process(samples))

    def _told(self, hits: list[Hit]) -> list[Event]:
        """Detections of the phrases asked for, as events; they carry their chunk's timestamp, or the time since the start."""
        wanted = [hit for hit in hits if hit.phrase in self._names]
        self._has_detected |= bool(wanted)
        stamp = self._timestamp_ms
        return [
            Detection(name=self._names[hit.phrase], timestamp=round(hit.time_s * 1000) if stamp is None else stamp).event()
            for hit in wanted
        ]


def _chosen(offered: Mapping[str, Model], names: Any) -> dict[str, Model]:
    """The models that a client names, by name or phrase; none named: all. Raises ClientError."""
    if not names:
        return dict(offered)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ClientError(f"detect: names must be a list of names, got {short(names)}.")
    wanted = [text.file_name(name) for name in names]
    for name, given in zip(wanted, names, strict=True):
        if name not in offered:
            raise ClientError(f"detect: no model {short(given)} here. There are: {', '.join(offered)}.")
    return {name: offered[name] for name in wanted}


def _echoed(event: Event) -> str | None:
    """The text of a ping, which its pong holds too. Raises ClientError for what no answer could carry: half a surrogate pair."""
    given = event.data.get("text")
    try:
        return None if given is None else str.encode(given).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise ClientError(f"ping: text must be a text, got {short(given)}.") from error


def _format(event: Event) -> tuple[int, int, int]:
    """(rate_hz, width, channels) of an audio event. Raises ClientError."""
    found = [event.data.get(key) for key in ("rate", "width", "channels")]
    if not all(type(one) is int for one in found):
        raise ClientError(f"{event.type}: rate, width and channels must be whole numbers, got {short(found)}.")
    return tuple(found)  # type: ignore[return-value]

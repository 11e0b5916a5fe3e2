"""A wake-word server of the Wyoming protocol: audio events over TCP in, detections out.

Each client has detectors of its own on models that all share. Package `wyoming` (MIT); the protocol is described in its README.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

import wakesmith
from wakesmith import text
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import BundleError, WakesmithError
from wakesmith.progress import say
from wakesmith.runtime.detector import Detection as Hit
from wakesmith.runtime.detector import Detector
from wakesmith.runtime.pcm import Converter

MAX_HEADER_BYTES = 1 << 16
MAX_DATA_BYTES = 1 << 16
MAX_PAYLOAD_BYTES = 1 << 20
"""Half a minute of 16 kHz 16-bit sound. What a client sends beyond waits in its own machine, not here."""
TURN_SAMPLES = SAMPLE_RATE_HZ
"""After a second of sound the other clients have their turn."""
CLOSING_S = 2.0
"""A client that does not take its last answers in this time loses them."""


class ClientError(WakesmithError):
    """What a client sent cannot be used: it is told so, and its connection ends."""


@dataclass(frozen=True)
class Model:
    """One phrase on offer."""

    phrase: str
    detector: Detector
    """Loaded once; clients hear with `another`."""


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
            yield [Pong(text=event.data.get("text")).event()]
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
            hits = [hit for one in self._streams for hit in (*one.process(rest), *one.finish())]
            answers = self._told(hits)
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
        self._streams = [detector.another() for detector in loaded.values()]
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
        samples = self._take(_format(event)).convert(event.payload or b"")
        stamp = event.data.get("timestamp")
        self._timestamp_ms = stamp if type(stamp) is int else None
        for start in range(0, len(samples), TURN_SAMPLES):
            turn = samples[start : start + TURN_SAMPLES]
            yield self._told([hit for one in self._streams for hit in one.process(turn)])

    def _told(self, hits: list[Hit]) -> list[Event]:
        """Detections of the phrases asked for, as events; they carry their chunk's timestamp, or the time since the start."""
        wanted = sorted((hit for hit in hits if hit.phrase in self._names), key=lambda hit: hit.time_s)
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
    if not isinstance(names, list):
        raise ClientError(f"detect: names must be a list, got {_short(names)}.")
    wanted = [text.file_name(str(name)) for name in names]
    for name, given in zip(wanted, names, strict=True):
        if name not in offered:
            raise ClientError(f"detect: no model {_short(given)} here. There are: {', '.join(offered)}.")
    return {name: offered[name] for name in wanted}


def _format(event: Event) -> tuple[int, int, int]:
    """(rate_hz, width, channels) of an audio event. Raises ClientError."""
    found = [event.data.get(key) for key in ("rate", "width", "channels")]
    if not all(type(one) is int for one in found):
        raise ClientError(f"{event.type}: rate, width and channels must be whole numbers, got {_short(found)}.")
    return tuple(found)  # type: ignore[return-value]


def _short(value: Any) -> str:
    return repr(value)[:80]


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None when the client has ended. Raises ClientError.

    The package's own reader takes any length that a header names, and cannot tell an end from a broken frame.
    """
    try:
        line = await reader.readuntil(b"\n")
        header = _mapping(line, "header")
        data = header.get("data") or {}
        if length := _length(header, "data_length", MAX_DATA_BYTES):
            data = {**data, **_mapping(await reader.readexactly(length), "data")}
        length = _length(header, "payload_length", MAX_PAYLOAD_BYTES)
        payload = await reader.readexactly(length) if length else None
        return Event(str(header["type"]), data, payload)
    except asyncio.IncompleteReadError as error:
        if error.partial or error.expected:
            raise ClientError("the stream ends inside an event.") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise ClientError(f"a header of more than {MAX_HEADER_BYTES} bytes: this is no Wyoming client.") from error


def _mapping(line: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ClientError(f"the {what} is no JSON: {_short(line)}. This is no Wyoming client.") from error
    if not isinstance(found, dict) or (what == "header" and not isinstance(found.get("type"), str)):
        raise ClientError(f"the {what} is no event: {_short(line)}.")
    if not isinstance(found.get("data") or {}, dict) and what == "header":
        raise ClientError(f"the data is no mapping: {_short(line)}.")
    return found


def _length(header: dict[str, Any], key: str, most: int) -> int:
    length = header.get(key) or 0
    if type(length) is not int or not 0 <= length <= most:
        raise ClientError(f"{key} {_short(length)}: expected 0 to {most}. Send the sound in smaller chunks.")
    return length


@contextlib.asynccontextmanager
async def serving(offered: Mapping[str, Model], host: str, port: int) -> AsyncIterator[int]:
    """Serve as long as the block lasts -> the port; 0 takes a free one. Its end ends every client. Raises WakesmithError."""
    clients: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_client(offered, reader, writer))
        clients.add(task)
        task.add_done_callback(clients.discard)

    try:
        server = await asyncio.start_server(connected, host, port, limit=MAX_HEADER_BYTES)
    except (OSError, OverflowError) as error:
        raise WakesmithError(f"{host}:{port}: cannot be listened on ({error}). Choose others: --host, --port") from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await server.wait_closed()


async def _client(offered: Mapping[str, Model], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one client until it ends. What is wrong with it is told to it and to the log, and ends no other."""
    who = "client {}:{}".format(*writer.get_extra_info("peername")[:2])
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # one that fell silent is noticed
    session = Session(offered)
    say(f"{who}: connected")
    try:
        while (event := await read_event(reader)) is not None:
            for answers in session.answer(event):
                await _send(answers, writer, who)
                await asyncio.sleep(0)
        if session.is_hearing:
            await _send(session.stop(), writer, who)
        say(f"{who}: gone")
    except WakesmithError as error:
        say(f"{who}: {error} Its connection is closed.")
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(_dismiss(error, reader, writer), CLOSING_S)
    except OSError as error:
        say(f"{who}: lost ({error})")
    finally:
        await _close(writer)


async def _send(answers: list[Event], writer: asyncio.StreamWriter, who: str) -> None:
    for answer in answers:
        if Detection.is_type(answer.type):
            say(f"{who}: {answer.data['name']} at {answer.data['timestamp']} ms")
        await async_write_event(answer, writer)  # waits while the client does not read


async def _dismiss(error: WakesmithError, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell a client why, and pass over what it still sends: closed on unread bytes, the connection would lose the message."""
    await async_write_event(Error(text=str(error), code=type(error).__name__).event(), writer)
    writer.write_eof()
    while await reader.read(MAX_HEADER_BYTES):
        pass


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), CLOSING_S)
    except (OSError, TimeoutError):
        writer.transport.abort()


@contextlib.asynccontextmanager
async def announced(host: str, port: int) -> AsyncIterator[None]:
    """Let Home Assistant find the server (zeroconf, `_wyoming._tcp`) as long as the block lasts. Raises WakesmithError."""
    try:
        from zeroconf import NonUniqueNameException
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
    except ModuleNotFoundError as error:
        raise WakesmithError("--zeroconf needs the package zeroconf. Install it: pip install 'wakesmith[serve]'") from error
    address = _address(host)
    kind, name = "_wyoming._tcp.local.", f"wakesmith-{socket.gethostname()}-{port}"
    service = AsyncServiceInfo(kind, f"{name}.{kind}", addresses=[socket.inet_aton(address)], port=port)
    zeroconf = AsyncZeroconf(interfaces=[address])
    try:
        await (await zeroconf.async_register_service(service))  # the name is free; then it is told to all
        yield
    except NonUniqueNameException as error:
        raise WakesmithError(f"--zeroconf: {name} is announced already. End the other server, or change --port.") from error
    finally:
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()


def _address(host: str) -> str:
    """The IPv4 address at which others reach this machine."""
    if host not in ("0.0.0.0", "::", ""):
        return socket.gethostbyname(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("224.0.0.251", 5353))  # sends nothing: it asks for the way there
        return str(probe.getsockname()[0])

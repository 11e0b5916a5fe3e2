"""A wake-word server of the Wyoming protocol: audio events over TCP in, detections out.

Each client has detectors of its own on models that all share. Package `wyoming` (MIT); the protocol is described in its README.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.wake import Detection

from wakesmith.errors import WakesmithError
from wakesmith.progress import say
from wakesmith.runtime._wyoming_events import MAX_HEADER_BYTES, ClientError, read_event
from wakesmith.runtime._wyoming_session import Model, Session, models

__all__ = ["Limits", "Model", "announced", "models", "serving"]

CLOSING_S = 2.0
"""A client that does not take its last answers in this time loses them."""


@dataclass(frozen=True)
class Limits:
    """What strangers may take of the server."""

    clients: int = 200
    """At once; a further one is told so, and its connection closed."""
    idle_s: float = 3600.0
    """A client that sends no whole event, or takes none of its answers, for so long is let go."""


@contextlib.asynccontextmanager
async def serving(offered: Mapping[str, Model], host: str, port: int, limits: Limits = Limits()) -> AsyncIterator[int]:
    """Serve as long as the block lasts -> the port; 0 takes a free one. Its end ends every client. Raises WakesmithError."""
    clients: set[asyncio.Task[None]] = set()
    refused: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        has_room = len(clients) < limits.clients
        if not has_room and len(refused) >= limits.clients:  # so many are being told already
            writer.transport.abort()
            return
        place = clients if has_room else refused
        task = asyncio.create_task(_client(offered, limits, has_room, reader, writer))
        place.add(task)
        task.add_done_callback(place.discard)

    try:
        server = await asyncio.start_server(connected, host, port, limit=MAX_HEADER_BYTES)
    except (OSError, OverflowError) as error:
        raise WakesmithError(f"{host}:{port}: cannot be listened on ({error}). Choose others: --host, --port") from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        tasks = [*clients, *refused]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _client(
    offered: Mapping[str, Model], limits: Limits, has_room: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one client until it ends. What is wrong with it is told to it and to the log, and ends no other."""
    who = "client {}:{}".format(*writer.get_extra_info("peername")[:2])
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # one that fell silent is noticed
    try:
        if not has_room:
            raise ClientError(f"{limits.clients} clients are here already. Let one go, or serve with more: --clients.")
        say(f"{who}: connected")
        await _hear(Session(offered), limits.idle_s, reader, writer, who)
        say(f"{who}: gone")
    except WakesmithError as error:
        say(f"{who}: {error} Its connection is closed.")
        try:
            await asyncio.wait_for(_dismiss(error, reader, writer), CLOSING_S)
        except OSError:  # or too late, a TimeoutError
            writer.transport.abort()
    except OSError as error:
        say(f"{who}: lost ({error})")
    finally:
        await _close(writer)


async def _hear(
    session: Session, idle_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: str
) -> None:  # fmt: skip
    """Answer events until there are no more. Raises WakesmithError, OSError."""
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(idle_s) as limit:
            while (event := await read_event(reader)) is not None:
                limit.reschedule(now() + idle_s)
                for answers in session.answer(event):
                    await _send(answers, writer, who)
                    await asyncio.sleep(0)  # after each second of sound the other clients have their turn
                await asyncio.sleep(0)
            if session.is_hearing:
                await _send(session.stop(), writer, who)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ClientError(f"no whole event came, or no answer was taken, in {idle_s:g} s.") from error


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
    try:
        address = _address(host)
        zeroconf = AsyncZeroconf(interfaces=[address])
    except OSError as error:
        raise WakesmithError(
            f"--zeroconf: {host or 'this machine'} has no IPv4 address to announce ({error}). Name one of this machine that "
            "others reach: --host; or leave --zeroconf out."
        ) from error
    kind, name = "_wyoming._tcp.local.", f"wakesmith-{socket.gethostname()}-{port}"
    service = AsyncServiceInfo(kind, f"{name}.{kind}", addresses=[socket.inet_aton(address)], port=port)
    try:
        await (await zeroconf.async_register_service(service))  # the name is free; then it is told to all
        yield
    except NonUniqueNameException as error:
        raise WakesmithError(f"--zeroconf: {name} is announced already. End the other server, or change --port.") from error
    finally:
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()


def _address(host: str) -> str:
    """The IPv4 address at which others reach this machine. Raises OSError where there is none."""
    if host not in ("0.0.0.0", "::", ""):
        return socket.gethostbyname(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("224.0.0.251", 5353))  # sends nothing: it asks for the way there
        return str(probe.getsockname()[0])

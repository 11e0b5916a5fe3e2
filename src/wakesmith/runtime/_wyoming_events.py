"""Wyoming events from a stream that may hold anything: bounded, and each fault told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from wyoming.event import Event

from wakesmith.errors import WakesmithError

MAX_HEADER_BYTES = 1 << 16
MAX_DATA_BYTES = 1 << 16
MAX_PAYLOAD_BYTES = 1 << 20
"""Half a minute of 16 kHz 16-bit sound. What a client sends beyond waits in its own machine, not here."""


class ClientError(WakesmithError):
    """What a client sent cannot be used: it is told so, and its connection ends."""


def short(value: Any) -> str:
    try:
        return repr(value)[:80]
    except RecursionError:  # nested nearly as deep as JSON may be
        return f"a {type(value).__name__} of great depth"


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
        raise ClientError(f"the {what} is no JSON: {short(line)}. This is no Wyoming client.") from error
    if not isinstance(found, dict) or (what == "header" and not isinstance(found.get("type"), str)):
        raise ClientError(f"the {what} is no event: {short(line)}.")
    if not isinstance(found.get("data") or {}, dict) and what == "header":
        raise ClientError(f"the data is no mapping: {short(line)}.")
    return found


def _length(header: dict[str, Any], key: str, most: int) -> int:
    length = header.get(key) or 0
    if type(length) is not int or not 0 <= length <= most:
        raise ClientError(f"{key} {short(length)}: expected 0 to {most}. Send the sound in smaller chunks.")
    return length

"""Who may see the page: whoever has the token, and no page of another site."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

COOKIE = "wakesmith_token"
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' data: blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""What the browser may load: nothing of another machine. gradio needs scripts inside the page."""
NO_TOKEN = "Wakesmith: this page needs its token. Open the address with ?token=... that `wakesmith ui` printed.\n"
NO_ORIGIN = "Wakesmith: refused, because another site sent this request. Open the page itself.\n"
MOST_BODY_BYTES = 1 << 30
"""Of one request: uploads that are sent together."""
TOO_LARGE = "Wakesmith: refused, because more than 1 GiB was sent at once. Send fewer files together.\n"
NO_HOST = "Wakesmith: refused, because this name is not the address that `wakesmith ui` printed. Open that one.\n"


class Guard:
    """ASGI: lets a request through to `app`, or answers it.

    This machine's own address asks for the token too: its other users reach it, and a recipe may name any program as a voice.
    """

    def __init__(self, app: Any, token: str) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if told := _refusal(headers):
            await _answer(send, scope, 403, told)
        elif _same(given, self.token):
            # One slash in front: two would lead to another machine.
            place = "/" + quote(scope["path"].lstrip("/\\"))
            await _answer(send, scope, 303, "", {"location": place, "set-cookie": self._cookie(headers)})
        elif not self._is_known(headers):
            await _answer(send, scope, 401, NO_TOKEN)
        elif _declared(headers) > MOST_BODY_BYTES:
            await _answer(send, scope, 413, TOO_LARGE)
        else:
            await self.app(scope, _bounded(receive), _with_policy(send))

    def _is_known(self, headers: dict[str, str]) -> bool:
        """Whether a request has the token."""
        return _same(_of_cookie(headers), self.token) or _same(headers.get("authorization", ""), f"Bearer {self.token}")

    def _cookie(self, headers: dict[str, str]) -> str:
        return f"{_cookie_name(headers)}={self.token}; Path=/; HttpOnly; SameSite=Lax"


def _refusal(headers: dict[str, str]) -> str:
    """Why a request of another site is refused; empty: it is none."""
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        urlsplit(f"//{host}")
        sender = urlsplit(origin or "").netloc
    except ValueError:  # half an IPv6 address
        return NO_HOST
    return NO_ORIGIN if origin is not None and sender != host else ""


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _cookie_name(headers: dict[str, str]) -> str:
    """With the port: a browser keeps one cookie of a name for all ports of a machine, and two pages may be open."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isascii() and port.isdigit() else COOKIE


def _of_cookie(headers: dict[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(headers))
    except CookieError:
        return ""
    return found.value if found else ""


def _declared(headers: dict[str, str]) -> int:
    """Bytes that a request says it holds."""
    said = headers.get("content-length", "0")
    return int(said[:20]) if said.isascii() and said.isdigit() else 0


def _bounded(receive: Any) -> Any:
    """What comes in, up to the most: who goes on beyond, without having said so, counts as gone."""
    n_bytes = 0

    async def received() -> Any:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        return message if n_bytes <= MOST_BODY_BYTES else {"type": "http.disconnect"}

    return received


def _with_policy(send: Any) -> Any:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [
                *message.get("headers", ()),
                (b"content-security-policy", POLICY.encode()),
                (b"referrer-policy", b"no-referrer"),
            ]
            message = {**message, "headers": kept}
        await send(message)

    return sent


async def _answer(send: Any, scope: Any, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403})
        return
    named = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", "referrer-policy": "no-referrer"}
    named |= headers or {}
    made = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": made})
    await send({"type": "http.response.body", "body": text.encode()})

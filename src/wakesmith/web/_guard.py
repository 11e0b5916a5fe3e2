"""Who may see the page: whoever has the token, when there is one; on loopback, no page of another site."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

COOKIE = "wakesmith_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' data: blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""What the browser may load: nothing of another machine. gradio needs scripts inside the page."""
NO_TOKEN = "Wakesmith: this page needs its token. Open the address with ?token=... that `wakesmith ui` printed.\n"
NO_ORIGIN = "Wakesmith: refused, because another site sent this request. Open the page itself.\n"
NO_HOST = "Wakesmith: refused, because this name is not the address that `wakesmith ui` printed. Open that one.\n"


class Guard:
    """ASGI: lets a request through to `app`, or answers it. token: None on loopback alone."""

    def __init__(self, app: Any, token: str | None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if told := self._refusal(headers):
            await _answer(send, scope, 403, told)
        elif self.token is None:
            await self.app(scope, receive, _with_policy(send))
        elif _same(given, self.token):
            await _answer(send, scope, 303, "", {"location": scope["path"], "set-cookie": self._cookie()})
        elif _same(_of_cookie(headers), self.token) or _same(headers.get("authorization", ""), f"Bearer {self.token}"):
            await self.app(scope, receive, _with_policy(send))
        else:
            await _answer(send, scope, 401, NO_TOKEN)

    def _refusal(self, headers: dict[str, str]) -> str:
        """Why a request of another site is refused; empty: it is none."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return NO_HOST  # a foreign name that was made to lead here (DNS rebinding)
        return NO_ORIGIN if origin is not None and urlsplit(origin).netloc != host else ""

    def _cookie(self) -> str:
        return f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Lax"


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _of_cookie(headers: dict[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


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
    named = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **(headers or {})}
    made = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": made})
    await send({"type": "http.response.body", "body": text.encode()})

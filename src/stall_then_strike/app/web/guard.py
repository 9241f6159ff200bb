"""Stands before every page and socket of the console: who asks, from where, how much, and what the browser may do.

A page of another site must not command the daemon through the operator's browser. So the name in ``Host`` has to be one
of ours (a foreign name that points here is DNS rebinding), a POST and a WebSocket need an ``Origin`` that is the page's
own (cross-site requests), and the session's cookie is ``SameSite=Strict``. Only ``OPEN`` paths are shown without one.

Scripts come from this server or carry the nonce of their page, so text from logs could not run even if it were not
escaped. ``unsafe-eval`` stays: Vue compiles its templates in the browser.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, NamedTuple

from stall_then_strike.app.web.sessions import Door, Sessions
from stall_then_strike.infra.clock import Clock

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN: Final = frozenset({"/login", "/prefer", "/console.css", "/favicon.ico"})
METRICS: Final = "/metrics"
PAGES: Final = frozenset({"/", "/results", "/why", "/log"})
_OWN: Final = OPEN | PAGES | {METRICS, "/logout"}
_ASSETS: Final = "/_nicegui/"
SOCKET: Final = "/_nicegui_ws/socket.io/"
MOST_BYTES: Final = 4096
"""Largest body."""
MOST_SOCKETS: Final = 100
SEND_S: Final = 10.0
"""How long a browser may take to read a message before it is cut off."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_PRIVATE: Final = (b"x-forwarded-", b"forwarded")
"""Headers that NiceGUI would put into pages; there is no proxy that needs them."""
_FIXED: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class Refusal(NamedTuple):
    """Why a request goes no further."""

    status: int
    text: str
    to: str = ""
    """Where to go instead."""


class Head:
    """What the guard reads of a request's head."""

    def __init__(self, scope: Scope) -> None:
        """Read all headers once; a name that comes twice keeps both values."""
        self._headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            self._headers.setdefault(name, []).append(value.decode("latin-1"))

    def one(self, name: bytes) -> str | None:
        """A header; None if it is absent or comes more than once."""
        values = self._headers.get(name, [])
        return values[0] if len(values) == 1 else None

    def has(self, name: bytes) -> bool:
        """Whether a header is there at all."""
        return name in self._headers

    def cookie(self, name: str) -> str:
        """A cookie; empty if there is none."""
        try:
            morsel = SimpleCookie("; ".join(self._headers.get(b"cookie", []))).get(name)
        except CookieError:
            return ""
        return "" if morsel is None else morsel.value


def hostname_of(host: str) -> str:
    """A ``Host`` without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: App, sessions: Sessions, clock: Clock, cookie: str, hosts: Iterable[str] = ()) -> None:
        """``hosts`` are names besides those of this machine's loopback under which the console may be asked for."""
        self._app, self._sessions, self._clock, self._cookie = app, sessions, clock, cookie
        self._hosts = _LOOPBACK | {name.lower() for name in hosts}
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    # --- requests

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head(scope)
        refusal = self._foreign(scope, head) or _unfit(scope, head) or self._stranger(scope, head)
        if refusal is not None:
            await _refuse(refusal, send)
            return
        _hide(scope)
        await self._app(scope, receive, Dressed(send, str(head.one(b"host"))))

    def _foreign(self, scope: Scope, head: Head) -> Refusal | None:
        """Whether the request comes from another site, or through another name."""
        host, origin = head.one(b"host"), head.one(b"origin")
        if host is None or hostname_of(host) not in self._hosts:
            return Refusal(421, "not known by this name; see --allow-host")
        is_bound = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (is_bound or head.has(b"origin")) and origin not in (f"http://{host}", f"https://{host}"):
            return Refusal(403, "another site asks")
        return None

    def _stranger(self, scope: Scope, head: Head) -> Refusal | None:
        """Whether nobody is logged in who may see this."""
        path, now_ns = scope["path"], self._clock.now_ns()
        if path in OPEN or self._sessions.is_open(head.cookie(self._cookie), now_ns):
            return None
        kind, _, token = (head.one(b"authorization") or "").partition(" ")
        is_bearer = path == METRICS and kind.lower() == "bearer"
        if is_bearer and self._sessions.is_token(token.strip(), Door.METRICS, now_ns):
            return None
        if path in PAGES and scope["type"] == "http" and scope["method"] == "GET":
            return Refusal(303, "log in first", "/login")
        return Refusal(401, "log in first")

    # --- sockets

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head(scope)
        refusal = self._foreign(scope, head) or self._stranger(scope, head)
        if refusal is not None or scope["path"] != SOCKET or self._sockets >= MOST_SOCKETS:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted, this is a 403
            return
        _hide(scope)
        session = head.cookie(self._cookie)

        async def heard() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not self._sessions.is_open(session, self._clock.now_ns()):
                await send({"type": "websocket.close", "code": 1008})
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        async def told(message: Message) -> None:
            async with asyncio.timeout(SEND_S):
                await send(message)

        self._sockets += 1
        try:
            await self._app(scope, heard, told)
        finally:
            self._sockets -= 1


def _unfit(scope: Scope, head: Head) -> Refusal | None:
    """Whether there is nothing of that path, or the request is not one of ours."""
    path, method, length = scope["path"], scope["method"], head.one(b"content-length")
    if method not in ("GET", "HEAD", "POST"):
        return Refusal(405, "not allowed")
    if "\\" in path or "\0" in path or any(part in ("..", ".") for part in path.split("/")):
        return Refusal(404, "nothing here")
    if path not in _OWN and not path.startswith(_ASSETS):
        return Refusal(404, "nothing here")
    if method == "POST" and length is None:
        return Refusal(411, "length required")  # a body that says its length is cut off there
    if length is not None and (not length.isdecimal() or int(length[:20]) > MOST_BYTES):
        return Refusal(413, "too large")
    return None


def _hide(scope: Scope) -> None:
    scope["headers"] = [(name, value) for name, value in scope["headers"] if not name.startswith(_PRIVATE)]


class Dressed:
    """Sends an answer with the headers that bind the browser; scripts of a page get its nonce."""

    def __init__(self, send: Send, host: str) -> None:
        """``host`` is the name under which the browser asked."""
        self._send, self._host = send, host
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Take the next message of the application; a page is kept until it is whole."""
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            if kinds and kinds[0].startswith(b"text/html"):
                self._start = message
            else:
                await self._send({**message, "headers": [*message["headers"], *_headers(self._host, "")]})
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._page(self._start)

    async def _page(self, start: Message) -> None:
        nonce = secrets.token_urlsafe(16)
        body = self._body.replace(b"<script", f'<script nonce="{nonce}"'.encode())
        kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await self._send({**start, "headers": [*kept, length, *_headers(self._host, nonce)]})
        await self._send({"type": "http.response.body", "body": body})


def _headers(host: str, nonce: str) -> list[tuple[bytes, bytes]]:
    script = f"script-src 'self' 'nonce-{nonce}' 'unsafe-eval'" if nonce else "script-src 'none'"
    policy = (
        "default-src 'none'",
        script,
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        f"connect-src 'self' ws://{host} wss://{host}" if host else "connect-src 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return [*_FIXED, (b"content-security-policy", "; ".join(policy).encode("latin-1", "ignore"))]


async def _refuse(refusal: Refusal, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), *_headers("", "")]
    if refusal.to:
        headers.append((b"location", refusal.to.encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{refusal.text}\n".encode()})

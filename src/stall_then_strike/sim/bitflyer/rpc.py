"""JSON-RPC 2.0 of bitFlyer's realtime API: text in, text out, no socket.

Venue facts (Realtime API documentation; error codes and the rules on ids measured on the public feed, 2026-09):

- a request is answered only when it has an ``id``; an array is answered by an array;
- a channel of an unknown product is acknowledged with true and stays silent;
- errors: unknown method -32601; missing parameters or unknown channel prefix -32602; a channel subscribed twice -32009;
  a private channel before login -32007; text that is not JSON -32700 with id null, and the socket stays open.

`auth` (Realtime API documentation) exists when the venue has accounts; a second one is answered by -32009 (seen by a
client). The codes of a refused `auth` are not known: here -32602 for malformed parameters, and the venue's REST status
for a refused key or signature.

Not measured: the answer to `unsubscribe` of a channel that is not subscribed (here true), and to an empty array or a
value that is not a request (here -32600, as in the JSON-RPC specification).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from stall_then_strike.sim.exchange.source import Channel

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
AUTHENTICATION_REQUIRED: Final = -32007
ALREADY_SUBSCRIBED: Final = -32009
ALREADY_AUTHENTICATED: Final = -32009

PRIVATE_CHANNELS: Final = frozenset({"child_order_events", "parent_order_events"})
NO_METHOD: Final = "invalid"
"""Recorded as the method of a message that is not a request."""
Answer = dict[str, Any]
"""A JSON-RPC response object."""

_PUBLIC_PREFIXES: Final = tuple(channel.value for channel in Channel)


class RpcError(Exception):
    """A request is answered by an error object."""

    def __init__(self, code: int, message: str) -> None:
        """Code and message as on the wire."""
        super().__init__(code, message)
        self.code = code
        self.message = message


Authenticate = Callable[[Any], str]
"""Parameters of `auth` in, the account's name out. Raises RpcError."""


@dataclass(slots=True)
class RpcSession:
    """One connection's requests. Its state is the account and the subscribed channels."""

    authenticate: Authenticate | None = None
    """None when there are no accounts: `auth` is then an unknown method."""
    on_change: Callable[[], None] = field(default=lambda: None)
    """Called after the subscriptions changed."""
    on_request: Callable[[str, Any, str | None, str], None] = field(
        default=lambda _method, _params, _account, _answer: None
    )
    """Called for every request: method, parameters, account, and a short form of the answer."""
    channels: set[str] = field(default_factory=set)
    account: str | None = None
    """The account that has logged in."""
    requests: int = 0
    errors: int = 0
    greeting: str | None = None
    """bitFlyer sends nothing of itself."""

    def close(self) -> None:
        """The connection has ended: nothing is kept elsewhere."""

    def receive(self, text: str | bytes) -> str | None:
        """Handle one text frame; return the answer's frame, or None for no answer."""
        try:
            request: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            self.on_request(NO_METHOD, str(text), self.account, f"{PARSE_ERROR} Parse error")
            return _text(self._error(None, RpcError(PARSE_ERROR, "Parse error")))
        if isinstance(request, list) and request:
            return _text([one for item in request if (one := self._answer(item)) is not None])
        return _text(self._answer(request))

    def _answer(self, request: Any) -> Answer | None:
        self.requests += 1
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            self.on_request(NO_METHOD, request, self.account, f"{INVALID_REQUEST} Invalid Request")
            return self._error(None, RpcError(INVALID_REQUEST, "Invalid Request"))
        request_id = request.get("id")
        try:
            result = self._call(request["method"], request.get("params"))
        except RpcError as error:
            answer = self._error(request_id, error)
            said = f"{error.code} {error.message}"
        else:
            answer = {"jsonrpc": "2.0", "id": request_id, "result": result}
            said = "true"
        self.on_request(request["method"], request.get("params"), self.account, said)
        return None if request_id is None else answer

    def _call(self, method: str, params: Any) -> bool:
        if method == "auth" and self.authenticate is not None:
            if self.account is not None:
                raise RpcError(ALREADY_AUTHENTICATED, "already authenticated")
            self.account = self.authenticate(params)
            return True
        if method not in {"subscribe", "unsubscribe"}:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        channel = params.get("channel") if isinstance(params, dict) else None
        if not isinstance(channel, str):
            raise RpcError(INVALID_PARAMS, "Invalid params")
        if channel in PRIVATE_CHANNELS:
            if self.account is None:
                raise RpcError(AUTHENTICATION_REQUIRED, "authentication required")
        elif not channel.startswith(_PUBLIC_PREFIXES):
            raise RpcError(INVALID_PARAMS, "invalid channel")
        if method == "unsubscribe":
            self.channels.discard(channel)
        elif channel in self.channels:
            raise RpcError(ALREADY_SUBSCRIBED, "already subscribed")
        else:
            self.channels.add(channel)
        self.on_change()
        return True

    def _error(self, request_id: object, error: RpcError) -> Answer:
        self.errors += 1
        return {"jsonrpc": "2.0", "id": request_id, "error": {"code": error.code, "message": error.message}}


def methods_in(text: str | bytes) -> frozenset[str]:
    """The methods that a text frame requests; empty when it is not JSON-RPC."""
    try:
        request: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return frozenset()
    items = request if isinstance(request, list) else [request]
    methods = {item.get("method") for item in items if isinstance(item, dict)}
    return frozenset(method for method in methods if isinstance(method, str))


def _text(answer: Answer | list[Answer] | None) -> str | None:
    return orjson.dumps(answer).decode() if answer else None

"""The requests on Lighter's ``/stream``: subscriptions, transactions, pings. Text in, text out, no socket.

Venue facts (WebSocket documentation of 2026, captured messages; *: not known, chosen here):

- a client is greeted with ``{"session_id": ..., "type": "connected"}``;
- a subscription is answered by a snapshot of type ``subscribed/<channel>``, an unsubscription by
  ``{"type": "unsubscribed", "channel": ...}`` *; subscribing twice is error 30003 and brings no snapshot;
- an error is ``{"error": {"code": ..., "message": ...}}`` and the socket stays open;
- ``jsonapi/sendtx`` takes the transaction as an object; ``jsonapi/sendtxbatch`` takes types and transactions as texts
  of JSON lists, the transactions encoded twice, at most 15 in a message. An answer repeats the request's ``id``; a
  refusal is an error frame with the ``id``, or without one when the body could not be read;
- the token's account has to be the channel's; a missing token is refused by 20013 * as a wrong one is;
- a socket opened with ``?readonly=true`` gives all data; its transactions are refused here by 20558 *.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import orjson

from stall_then_strike.sim.lighter.query import invalid_param, list_in
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, UnknownChannel, read_channel
from stall_then_strike.sim.lighter.realtime.stream_limits import Caller
from stall_then_strike.sim.lighter.transactions import Refusal, without_signatures

INVALID_AUTH: Final = 20_013
RESTRICTED: Final = 20_558
TOO_MANY_SUBSCRIPTIONS: Final = 23_001
TOO_MANY_CONNECTIONS: Final = 23_003
INVALID_JSON: Final = 30_000
INVALID_TYPE: Final = 30_001
NOT_SUBSCRIBED: Final = 30_002
ALREADY_SUBSCRIBED: Final = 30_003
INVALID_CHANNEL: Final = 30_005
TOO_MANY_MESSAGES: Final = 30_009
TOO_MANY_IN_BATCH: Final = 21_514

PING: Final = '{"type":"ping"}'
PONG: Final = '{"type":"pong"}'
SEND: Final = "jsonapi/sendtx"
SEND_BATCH: Final = "jsonapi/sendtxbatch"
LARGEST_BATCH: Final = 15
"""Transactions in one message; over REST it is 50."""


class Accepted(NamedTuple):
    """The venue has taken transactions: their hashes in order, and when it expects to execute them."""

    hashes: Sequence[str]
    predicted_ms: int


class StreamDesk(Protocol):
    """The venue behind the stream."""

    def now_ns(self) -> int:
        """Venue time."""
        ...

    def check_subject(self, subject: Subject) -> None:
        """Raise Refusal unless there is such a market or account."""
        ...

    def check_token(self, token: str, subject: Subject) -> None:
        """Raise Refusal unless the token opens the channel."""
        ...

    def snapshot(self, subject: Subject) -> str | None:
        """The first message of a channel; None when a fault has lost it."""
        ...

    def send(self, types: Sequence[int], infos: Sequence[str], address: str) -> Accepted:
        """Hand in transactions of an address as JSON texts. Raises Refusal when the venue refuses them."""
        ...


@dataclass(slots=True)
class StreamSession:
    """One connection's requests. Its state is the subscribed channels and the ping that waits for a pong."""

    desk: StreamDesk
    caller: Caller
    session_id: str
    is_readonly: bool = False
    """Whether transactions are refused."""
    on_change: Callable[[], None] = field(default=lambda: None)
    """Called after the subscriptions changed."""
    on_request: Callable[[str, str, str], None] = field(default=lambda _what, _body, _answer: None)
    """Called for every request: its type, its text without a token, and a short form of the answer."""
    subjects: dict[str, Subject] = field(default_factory=dict)
    """The subscribed channels by key."""
    pinged_s: float | None = None
    """When the server's ping left that has no pong yet, on the loop's clock."""
    account: str | None = None
    """There is no login: each subscription has its own token."""
    requests: int = 0
    errors: int = 0
    is_closed: bool = False

    @property
    def greeting(self) -> str:
        """The first frame."""
        return _text({"session_id": self.session_id, "type": "connected"})

    @property
    def channels(self) -> AbstractSet[str]:
        """Keys of the subscribed channels."""
        return self.subjects.keys()

    def close(self) -> None:
        """The connection has ended: give back what it counted for in its address's limits."""
        self.is_closed = True
        self.caller.connections -= 1
        self.caller.subscriptions -= len(self.subjects)
        self.subjects.clear()
        self.on_change()

    def receive(self, text: str | bytes) -> str | None:
        """Handle one message; return the answer's frame, or None for no answer."""
        self.requests += 1
        kind, request_id, request = "", None, dict[str, Any]()
        answer: str | None
        try:
            request = _object(text)
            kind = str(request.get("type"))
            if kind not in {SEND, SEND_BATCH} and not self.caller.may_send(self.desk.now_ns()):
                raise Refusal(TOO_MANY_MESSAGES, "Too Many Messages!")
            if kind in {SEND, SEND_BATCH}:
                request_id = _id_of(request)
                answer = self._send(kind, request, request_id)
            else:
                answer = self._answer(kind, request)
            said = "ok"
        except Refusal as error:
            self.errors += 1
            answer, said = _error(error, request_id), f"{error.code} {error.message}"
        self.on_request(kind, _without_secrets(request), said)
        return answer

    # --- inside ---------------------------------------------------------------------------------------------------

    def _answer(self, kind: str, request: Mapping[str, Any]) -> str | None:
        match kind:
            case "ping":
                return PONG
            case "pong":
                self.pinged_s = None
                return None
            case "subscribe":
                return self._subscribe(_channel(request), request.get("auth"))
            case "unsubscribe":
                return self._unsubscribe(_channel(request))
            case _:
                raise Refusal(INVALID_TYPE, "Invalid Type")

    def _subscribe(self, subject: Subject, token: object) -> str | None:
        if subject.key in self.subjects:
            raise Refusal(ALREADY_SUBSCRIBED, f"Already Subscribed to : {subject.wire}")
        self.desk.check_subject(subject)
        if token is not None and subject.topic.is_of_account:
            self.desk.check_token(token if isinstance(token, str) else "", subject)
        elif subject.needs_token:
            raise Refusal(INVALID_AUTH, f"invalid auth: no token: {subject.wire}")
        if not self.caller.may_subscribe(len(self.subjects)):
            raise Refusal(TOO_MANY_SUBSCRIPTIONS, "Too Many Subscriptions!")
        first = self.desk.snapshot(subject)
        self.subjects[subject.key] = subject
        self.caller.subscriptions += 1
        self.on_change()
        return first

    def _unsubscribe(self, subject: Subject) -> str:
        if self.subjects.pop(subject.key, None) is None:
            raise Refusal(NOT_SUBSCRIBED, f"Not Subscribed to : {subject.wire}")
        self.caller.subscriptions -= 1
        self.on_change()
        return _text({"channel": subject.wire, "type": "unsubscribed"})

    def _send(self, kind: str, request: Mapping[str, Any], request_id: object) -> str:
        if self.is_readonly:
            raise Refusal(RESTRICTED, "restricted jurisdiction")
        data = request["data"]
        if kind == SEND:
            tx_type, info = data.get("tx_type"), data.get("tx_info")
            if type(tx_type) is not int or not isinstance(info, dict):
                raise invalid_param()
            accepted = self.desk.send([tx_type], [orjson.dumps(info).decode()], self.caller.address)
            hashes: object = accepted.hashes[0]
        else:
            types, infos = list_in(data.get("tx_types"), int), list_in(data.get("tx_infos"), str)
            if len(types) > LARGEST_BATCH:
                raise Refusal(TOO_MANY_IN_BATCH, "too many transactions in a batch")
            accepted = self.desk.send(types, infos, self.caller.address)
            hashes = list(accepted.hashes)
        answer = {"code": 200, "tx_hash": hashes, "predicted_execution_time_ms": accepted.predicted_ms}
        return _text({"type": kind, **({} if request_id is None else {"id": request_id}), **answer})


def types_in(text: str | bytes) -> frozenset[str]:
    """The type of a message; empty when it is not one."""
    try:
        return frozenset({str(_object(text).get("type"))})
    except Refusal:
        return frozenset()


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(INVALID_JSON, "Invalid JSON")
    return value


def _channel(request: Mapping[str, Any]) -> Subject:
    name = request.get("channel")
    try:
        return read_channel(name if isinstance(name, str) else "")
    except UnknownChannel as unknown:
        raise Refusal(INVALID_CHANNEL, f"Invalid Channel:  ({unknown})") from None


def _id_of(request: Mapping[str, Any]) -> object:
    """The request's id. Raises Refusal without one when there is no body."""
    data = request.get("data")
    if not isinstance(data, dict):
        raise invalid_param()
    return data.get("id")


def _without_secrets(request: Mapping[str, Any]) -> str:
    """The request as a text, without token and signatures."""
    shown = {name: value for name, value in request.items() if name != "auth"}
    return without_signatures(orjson.dumps(shown).decode()) if shown else ""


def _error(error: Refusal, request_id: object) -> str:
    body: dict[str, Any] = {"error": {"code": error.code, "message": error.message}}
    return _text(body if request_id is None else {**body, "id": request_id})


def _text(message: Mapping[str, Any]) -> str:
    return orjson.dumps(message).decode()

"""One WebSocket connection that is made again and again: handshake, reading, writing, keepalive, end.

Part of `websocket.py`, which says what it does. It knows channels only as something to ask for, and hands every message
to its owner.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import orjson
from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.connection_rules import STEADY_S, Backoff
from stall_then_strike.infra.line.frame_tap import FrameTap
from stall_then_strike.infra.line.handshakes import connect_failure
from stall_then_strike.infra.line.hearing_socket import close_words
from stall_then_strike.types.errors import FeedError, NotSent

Message = dict[str, Any]
_log = logger.bind(channel="ws")
_CLOSED: Final = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """Times in real seconds, and bounds."""

    connect_s: float = 10.0
    """How long a handshake may take."""
    answer_s: float = 10.0
    """How long a greeting, the answer to a subscription or one write may take."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    most_tries: int | None = 10
    """Failures in a row after which the manager gives up; None: never."""
    steady_s: float = STEADY_S
    """A connection that lasted this long was good."""
    ping_s: float = 30.0
    """Time between two pings of ours."""
    silent_s: float = 75.0
    """A connection on which nothing was heard for this long is dead."""
    oldest_s: float = 23 * 3_600.0
    """A connection this old is renewed, before the venue ends it at a moment of its choice."""
    close_s: float = 2.0
    """How long the peer may take to answer our close."""
    outgoing: int = 256
    """Most messages that wait to be sent on one connection, besides requests for channels."""
    max_bytes: int = 16 * 1024 * 1024
    """A longer message breaks the connection."""


@dataclass(slots=True, eq=False)
class Subscription:
    """A wanted channel."""

    channel: str
    on_message: Callable[[Message, int], None]
    on_gap: Callable[[str], None]
    is_dedicated: bool
    asked_s: float | None = None
    """When it was asked for on the current connection; None: not yet, or answered."""
    is_live: bool = False


class Ended(Exception):
    """The connection is over; the text says why."""


@dataclass(slots=True)
class Counts:
    """Of one connection."""

    connects: int = 0
    drops: int = 0
    failures: int = 0
    messages: int = 0

    def add(self, other: Counts) -> None:
        """Add another's counts."""
        self.connects += other.connects
        self.drops += other.drops
        self.failures += other.failures
        self.messages += other.messages


class LineOwner(Protocol):
    """What a connection needs of its manager."""

    needs_greeting: bool

    @property
    def url(self) -> str:
        """Where to connect."""
        ...

    @property
    def rules(self) -> LineRules:
        """Times and bounds."""
        ...

    @property
    def clock(self) -> Clock:
        """Stamps what is received."""
        ...

    @property
    def tap(self) -> FrameTap | None:
        """Receives the frames of the shared connection."""
        ...

    @property
    def rng(self) -> random.Random:
        """For jitter."""
        ...

    def subscriptions_of(self, name: str) -> Sequence[Subscription]:
        """What this connection is to ask for."""
        ...

    def deliver(self, line: SocketLine, data: str | bytes, recv_ns: int) -> None:
        """A frame arrived."""
        ...

    def subscribe_frame(self, channel: str) -> Mapping[str, Any]:
        """The request for a channel."""
        ...

    def ping_frame(self) -> Mapping[str, Any] | None:
        """What to send as a ping besides the protocol's own."""
        ...

    async def before_send(self, message: Mapping[str, Any]) -> None:
        """Wait until this message may go out."""
        ...

    def on_ready(self) -> None:
        """The shared connection is up and greeted."""
        ...

    def on_dropped(self, why: str) -> None:
        """The shared connection ended."""
        ...

    def on_tick(self, now_s: float) -> None:
        """About once a second on the shared connection."""
        ...


@dataclass(slots=True, eq=False)
class SocketLine:
    """One connection, made again and again."""

    owner: LineOwner
    name: str
    """The channel that it is dedicated to; empty: shared."""
    counts: Counts = field(default_factory=Counts)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the connection is up and greeted."""
    last_error: str = ""
    task: asyncio.Task[None] | None = None
    _outgoing: asyncio.Queue[Mapping[str, Any]] = field(init=False)
    _requests: asyncio.Queue[Mapping[str, Any] | Subscription] = field(default_factory=asyncio.Queue)
    """What the venue's limits may hold back: requests for channels, which keep their order, and pings."""
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    _over: asyncio.Future[str] | None = None
    """Set to end the current connection."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _why_ended: str = ""
    _heard_s: float = 0.0
    _opened_s: float = 0.0

    def __post_init__(self) -> None:
        """Make the queue."""
        self._outgoing = asyncio.Queue(self.owner.rules.outgoing)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Connect, and again, until ended. Raises FeedError after too many failures in a row."""
        rules = self.owner.rules
        backoff = Backoff(rules.first_pause_s, rules.longest_pause_s, most_tries=rules.most_tries, rng=self.owner.rng)
        while not self._ended.is_set():
            lasted_s = await self._connection(session)
            if self._ended.is_set():
                return
            if lasted_s >= rules.steady_s:
                backoff.on_lasted()
            pause_s = backoff.next_pause()
            if pause_s is None:
                raise FeedError(f"no connection to {self.owner.url} after {backoff.tries} tries: {self.last_error}")
            _log.warning("connection to {}: {}; next in {:.1f} s", self.owner.url, self.last_error, pause_s)
            await self._pause(pause_s)

    async def _pause(self, pause_s: float) -> None:
        """Wait, but not longer than until ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._ended.wait()

    async def _connection(self, session: aiohttp.ClientSession) -> float:
        """One connection from handshake to end; returns how long it was up, in seconds."""
        rules, loop = self.owner.rules, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(rules.connect_s):
                socket = await session.ws_connect(
                    self.owner.url,
                    autoping=False,
                    max_msg_size=rules.max_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=rules.close_s),
                    compress=15,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.counts.failures += 1
            self.last_error = connect_failure(error)
            return 0.0
        self._opened_s = self._heard_s = loop.time()
        self._over = loop.create_future()
        if self._ended.is_set():  # during the handshake
            self.renew(self._why_ended)
        self.counts.connects += 1
        if self.owner.tap is not None and not self.name:
            self.owner.tap.on_connected(self.owner.clock.now_ns())
        try:
            if not self.owner.needs_greeting:
                self.greeted()
            await self._serve(socket)
        finally:
            self._dropped()
            await self._hang_up(socket)
        return loop.time() - self._opened_s

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read, write and watch until one of them ends the connection."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(socket))
                group.create_task(self._write(socket))
                group.create_task(self._request(socket))
                group.create_task(self._watch(socket))
        except BaseExceptionGroup as errors:
            first = first_of_group(errors)
            if not isinstance(first, Ended):
                raise first from None
            self.last_error = str(first)

    def _dropped(self) -> None:
        self.counts.drops += 1
        self.ready.clear()
        why = self.last_error
        if not self.name:
            self.owner.on_dropped(why)
            if self.owner.tap is not None:
                self.owner.tap.on_dropped(self.owner.clock.now_ns(), why)
        for entry in self.owner.subscriptions_of(self.name):
            entry.asked_s = None
            if entry.is_live:
                entry.is_live = False
                entry.on_gap(why)

    async def _hang_up(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Send what waits if we end it ourselves, and close."""
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(self.owner.rules.close_s):
                while self._ended.is_set() and not socket.closed and not self._outgoing.empty():
                    await socket.send_str(orjson.dumps(self._outgoing.get_nowait()).decode())
        for queue in (self._outgoing, self._requests):
            while not queue.empty():
                queue.get_nowait()
        with suppress(aiohttp.ClientError, OSError):
            await socket.close()

    # --- the three tasks ---------------------------------------------------------------------------------------------

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        owner, loop = self.owner, asyncio.get_running_loop()
        while True:
            message = await socket.receive()
            recv_ns = owner.clock.now_ns()
            self._heard_s = loop.time()
            match message.type:
                case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                    self.counts.messages += 1
                    if owner.tap is not None and not self.name:
                        text = message.data
                        owner.tap.on_frame(text.encode() if isinstance(text, str) else text, recv_ns)
                    owner.deliver(self, message.data, recv_ns)
                case aiohttp.WSMsgType.PING:
                    with suppress(aiohttp.ClientError, OSError):  # what ended the connection is received next
                        await socket.pong(message.data)
                case aiohttp.WSMsgType.ERROR:
                    raise Ended(f"broken: {message.data}")
                case kind if kind in _CLOSED:
                    words = close_words(message)
                    code = f" with code {socket.close_code}" if socket.close_code else ""
                    raise Ended(f"closed by the venue{code}{f' ({words})' if words else ''}")
                case _:
                    pass

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await self._outgoing.get()
            await self.owner.before_send(message)
            await self._send(socket, message)

    async def _request(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            item = await self._requests.get()
            message = self.owner.subscribe_frame(item.channel) if isinstance(item, Subscription) else item
            await self.owner.before_send(message)
            if isinstance(item, Subscription):
                item.asked_s = asyncio.get_running_loop().time()
            await self._send(socket, message)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, message: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(self.owner.rules.answer_s), self._sending:
                await socket.send_str(orjson.dumps(message).decode())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Ended(f"cannot send ({type(error).__name__})") from None

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Ping, and end the connection when it is dead, too old or no longer wanted."""
        rules, loop = self.owner.rules, asyncio.get_running_loop()
        tick_s = min(1.0, rules.ping_s / 2, rules.silent_s / 2, rules.answer_s / 2, rules.oldest_s)
        pinged_s = loop.time()
        if self._over is None:
            raise AssertionError("the future is made before the tasks")
        while True:
            await asyncio.wait((self._over,), timeout=tick_s)
            if self._over.done():
                raise Ended(self._over.result())
            now_s = loop.time()
            if now_s - pinged_s >= rules.ping_s:
                pinged_s = now_s
                await self._ping(socket)
            if why := self._why_over(now_s):
                raise Ended(why)
            if not self.name and self.ready.is_set():
                self.owner.on_tick(now_s)

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with suppress(aiohttp.ClientError, OSError):  # the reader hears of it too
            await socket.ping()
        if (frame := self.owner.ping_frame()) is not None:
            self.request(frame)

    def _why_over(self, now_s: float) -> str:
        rules = self.owner.rules
        if now_s - self._heard_s >= rules.silent_s:
            return f"nothing heard for {rules.silent_s:g} s"
        if now_s - self._opened_s >= rules.oldest_s:
            return f"older than {rules.oldest_s:g} s"
        if not self.ready.is_set() and now_s - self._opened_s >= rules.answer_s:
            return "no greeting"
        for entry in self.owner.subscriptions_of(self.name):
            if entry.asked_s is not None and now_s - entry.asked_s >= rules.answer_s:
                return f"no answer to the subscription of {entry.channel}"
        return ""

    # --- called by the manager ---------------------------------------------------------------------------------------

    def greeted(self) -> None:
        """The connection can be used: subscribe what is wanted."""
        self.ready.set()
        if not self.name:
            self.owner.on_ready()
        for entry in self.owner.subscriptions_of(self.name):
            self.ask(entry)

    def ask(self, entry: Subscription) -> None:
        """Request a channel, if there is a connection. The answer is due from when the request has gone out."""
        self.request(entry)

    def request(self, item: Mapping[str, Any] | Subscription) -> None:
        """Queue what may wait: a channel that is wanted, or a message; dropped without a connection or room.

        The queue has room for each channel, and as much again as other messages have.
        """
        room = self.owner.rules.outgoing + len(self.owner.subscriptions_of(self.name))
        if self.ready.is_set() and self._requests.qsize() < room:
            self._requests.put_nowait(item)

    def put(self, message: Mapping[str, Any]) -> None:
        """Queue a message. Raises NotSent."""
        if not self.ready.is_set():
            raise NotSent("send", f"no connection to {self.owner.url}")
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            raise NotSent("send", f"{self._outgoing.maxsize} messages wait already") from None

    def reply(self, message: Mapping[str, Any]) -> None:
        """Queue an answer to the venue; dropped without room."""
        with suppress(NotSent):
            self.put(message)

    def renew(self, why: str) -> None:
        """Give the current connection up."""
        if self._over is not None and not self._over.done():
            self._over.set_result(why)

    def end(self, why: str) -> None:
        """Connect no more."""
        self._why_ended = why
        self._ended.set()
        self.renew(why)


def first_of_group(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, without its groups: several end together when one does."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

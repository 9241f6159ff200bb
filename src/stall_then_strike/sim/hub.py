"""The WebSocket side of an exchange on loopback: connections, their queues, their watch. It knows no venue.

Each connection has one reader (its request's own task), one writer and one watch; all end together. Frames wait in a
bounded queue. A client that reads too slowly is disconnected, as at the venues; at maximal speed the server waits for
it instead. What a connection's requests mean is its session's matter (:class:`Session`); when it is dropped for its
silence is its watch's: :class:`PingWatch` is bitFlyer's. Watches run in real time, whatever the speed of the market.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, Final, Protocol

from aiohttp import WSCloseCode, WSMsgType, web
from loguru import logger

_CLOSE_HANDSHAKE_S: Final = 1.0
_MAX_REQUEST_BYTES: Final = 1 << 20
_COMPRESSED_AT_ONCE: Final = 4_096
"""Characters of a frame that is compressed in the event loop whatever its encoding. aiohttp compresses frames of more
than 16 KiB in a thread."""
_LONGEST_SILENCE_S: Final = 120.0
"""How long a silenced connection stays after its client sent a close frame, real seconds."""


@unique
class Passage(Enum):
    """What happens to an answer on a socket."""

    LEAVES = "leaves"
    LOST = "lost"
    CUT = "cut"
    """The connection is cut instead."""


LateReply = Callable[[], Coroutine[Any, Any, Passage]]
"""Waits as long as the answer is held up, and returns what happens to it."""
ReplyTrouble = Callable[[str | bytes], LateReply | None]
"""Called for each request; None lets its answer leave at once."""


class Session(Protocol):
    """The requests of one connection: text in, text out."""

    @property
    def greeting(self) -> str | None:
        """The first frame, sent right after the handshake; None for none."""
        ...

    @property
    def channels(self) -> AbstractSet[str]:
        """The subscribed channels, by the names under which frames are published."""
        ...

    @property
    def account(self) -> str | None:
        """The account that has logged in; None before a login, and where subscriptions carry their own tokens."""
        ...

    @property
    def requests(self) -> int:
        """Requests so far."""
        ...

    @property
    def errors(self) -> int:
        """Requests that failed, whether or not the error was sent."""
        ...

    def receive(self, text: str | bytes) -> str | None:
        """Handle one text frame; return the answer's frame, or None for no answer."""
        ...

    def close(self) -> None:
        """The connection has ended."""
        ...


NewSession = Callable[[web.Request, Callable[[], None]], Session]
"""Called with a client's handshake, and with what the session has to call after its subscriptions changed."""


class Outbox:
    """Frames on their way to one client: at most ``limit``, in order, one reader."""

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self._limit = limit
        self._texts: deque[str] = deque()
        self._changed = asyncio.Event()
        self.is_closed = False

    def offer(self, text: str) -> bool:
        """Queue a frame if there is room; return whether there was. A closed outbox accepts and drops everything."""
        if self.is_closed:
            return True
        if len(self._texts) >= self._limit:
            return False
        self._texts.append(text)
        self._notify()
        return True

    async def put(self, text: str) -> None:
        """Queue a frame; wait for room."""
        while not self.offer(text):
            await self._changed.wait()

    async def get(self) -> str | None:
        """Take the oldest frame; wait for one. None when the outbox is closed."""
        while not self._texts:
            if self.is_closed:
                return None
            await self._changed.wait()
        text = self._texts.popleft()
        self._notify()
        return text

    async def wait_empty(self) -> None:
        """Return when the queue is empty or the outbox closed."""
        while self._texts and not self.is_closed:
            await self._changed.wait()

    def close(self) -> None:
        """Drop what is queued and wake everybody."""
        self.is_closed = True
        self._texts.clear()
        self._notify()

    def _notify(self) -> None:
        """Wake the present waiters; later ones wait for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()


class Connection:
    """One client's socket."""

    def __init__(
        self,
        request: web.Request,
        ws: web.WebSocketResponse,
        session: Session,
        queue_frames: int,
        reply_trouble: ReplyTrouble | None,
    ) -> None:
        """Called after the handshake."""
        self._request = request
        self.ws = ws
        self.session = session
        self.outbox = Outbox(queue_frames)
        self.is_silent = False
        self._reply_trouble = reply_trouble
        self._late_replies: set[asyncio.Task[None]] = set()
        self.has_answered_ping = True
        self.opened_s = self.heard_s = asyncio.get_running_loop().time()
        """When it was opened, and when its peer last sent a frame of any kind: seconds of the loop's clock."""

    def silence(self) -> None:
        """Let nothing pass any more, in either direction; the connection stays open."""
        self.is_silent = True
        self.outbox.close()

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        self.outbox.close()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame; wait a moment for the peer's."""
        if self.is_silent:
            self.abort()
            return
        self.outbox.close()
        try:
            await self.ws.close(code=code, message=reason.encode())
        except ConnectionError:
            self.abort()

    async def read(self, tasks: asyncio.TaskGroup) -> None:
        """Answer requests until the peer is gone. Delayed answers wait in ``tasks`` and are cancelled at the end."""
        try:
            while await self._read_one(tasks):
                pass
        finally:
            for task in self._late_replies:
                task.cancel()

    async def _read_one(self, tasks: asyncio.TaskGroup) -> bool:
        """Handle one message; return whether more may come."""
        message = await self.ws.receive()
        self.heard_s = asyncio.get_running_loop().time()
        is_last = message.type not in {WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG}
        if self.is_silent:
            if message.type is WSMsgType.CLOSE:  # not answered either; the client hangs up, which cancels this task
                await asyncio.sleep(_LONGEST_SILENCE_S)
        elif message.type is WSMsgType.PING:
            await self.ws.pong(message.data)
        elif message.type is WSMsgType.PONG:
            self.has_answered_ping = True
        elif message.type is WSMsgType.CLOSE:
            await self.ws.close(drain=False)  # the peer may be gone already
        elif not is_last:
            trouble = None if self._reply_trouble is None else self._reply_trouble(message.data)
            answer = self.session.receive(message.data)
            if trouble is None:
                await self._reply(answer)
            else:
                late = tasks.create_task(self._reply_late(trouble, answer))
                self._late_replies.add(late)
                late.add_done_callback(self._late_replies.discard)
        return not is_last

    async def _reply(self, answer: str | None) -> None:
        """Queue an answer; wait for room, and meanwhile read no more requests."""
        if answer is not None:
            await self.outbox.put(answer)

    async def _reply_late(self, trouble: LateReply, answer: str | None) -> None:
        passage = await trouble()
        if passage is Passage.LEAVES:
            await self._reply(answer)
        elif passage is Passage.CUT:
            self.abort()

    async def write(self) -> None:
        """Send queued frames until the outbox closes or the connection breaks."""
        try:
            while (text := await self.outbox.get()) is not None:
                if len(text) <= _COMPRESSED_AT_ONCE:
                    await self.ws.send_str(text)
                else:
                    await self._send_long(text)
        except ConnectionError:
            self.abort()

    async def _send_long(self, text: str) -> None:
        """Send a frame to its end, even when cancelled; a peer that does not take it in time is cut.

        aiohttp leaves a cancelled send of a long frame to a task of its own, whose error nobody would hear.
        """
        sending = asyncio.create_task(self.ws.send_str(text))  # noqa: TID251 - awaited here, or left when cancelled twice
        sending.add_done_callback(_read_error)
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            _, late = await asyncio.wait((sending,), timeout=_CLOSE_HANDSHAKE_S)
            if late:
                self.abort()
            with suppress(ConnectionError):
                await sending
            raise


class Watch(Protocol):
    """Decides when a connection ends although its peer has not closed it."""

    async def until_over(self, connection: Connection) -> tuple[int, str] | None:
        """Return when the connection is to end: code and reason of its close frame, None to cut it without one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PingWatch:
    """A ping frame every ``interval_s``; a peer that has not answered by the next one is cut.

    bitFlyer pings every 15 s (measured 2026-09; compression is not negotiated, measured too).
    """

    interval_s: float = 15.0

    async def until_over(self, connection: Connection) -> None:
        """Return when a ping was left unanswered."""
        try:
            while True:
                await asyncio.sleep(self.interval_s)
                if connection.is_silent:
                    continue
                if not connection.has_answered_ping:
                    break
                connection.has_answered_ping = False
                async with asyncio.timeout(self.interval_s):  # a peer that does not read blocks the ping as well
                    await connection.ws.ping()
        except (TimeoutError, ConnectionError):
            pass
        logger.warning("client disconnected: no pong within {} s", self.interval_s)


@dataclass(slots=True, kw_only=True)
class RealtimeCounters:
    """Counts since the hub was made."""

    connections: int = 0
    frames: int = 0
    ended_requests: int = 0
    """Requests of closed connections; open ones count their own."""
    ended_errors: int = 0
    slow_clients: int = 0
    silent_clients: int = 0


class RealtimeHub:
    """All connections, and the delivery of frames to them."""

    def __init__(
        self,
        *,
        watch: Watch,
        queue_frames: int,
        new_session: NewSession,
        reply_trouble: ReplyTrouble | None = None,
        has_compression: bool = False,
    ) -> None:
        """``queue_frames`` bounds each client's queue; ``has_compression`` offers permessage-deflate."""
        self._new_session = new_session
        self._reply_trouble = reply_trouble
        self._watch = watch
        self._has_compression = has_compression
        self._queue_frames = queue_frames
        self._connections: list[Connection] = []
        self._changed = asyncio.Event()
        self.counters = RealtimeCounters()

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._connections)

    @property
    def requests(self) -> int:
        """Requests of all connections so far."""
        return self.counters.ended_requests + sum(c.session.requests for c in self._connections)

    @property
    def errors(self) -> int:
        """Requests that failed, whether or not the error was sent."""
        return self.counters.ended_errors + sum(c.session.errors for c in self._connections)

    def subscribers(self, channel: str | None = None, account: str | None = None) -> list[Connection]:
        """Connections subscribed to a channel (None: to any), of one account (None: of all), in order of connecting."""
        return [
            c
            for c in self._connections
            if (c.session.channels if channel is None else channel in c.session.channels)
            and (account is None or c.session.account == account)
            and not c.is_silent
        ]

    async def wait_subscribed(self, channel: str | None = None, clients: int = 1) -> None:
        """Return when ``clients`` clients are subscribed to the channel (None: to any)."""
        while len(self.subscribers(channel)) < clients:
            await self._changed.wait()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle one client from handshake to close."""
        ws = web.WebSocketResponse(
            autoping=False,
            autoclose=False,
            compress=self._has_compression,
            max_msg_size=_MAX_REQUEST_BYTES,
            timeout=_CLOSE_HANDSHAKE_S,
        )
        try:
            await ws.prepare(request)
        except ConnectionError:
            return ws  # the client has left; the server finds the same when it ends the request
        session = self._new_session(request, self._notify)
        connection = Connection(request, ws, session, self._queue_frames, self._reply_trouble)
        if session.greeting is not None:
            connection.outbox.offer(session.greeting)
        self._connections.append(connection)
        self.counters.connections += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(connection.write())
                watch = tasks.create_task(self._end_in_time(connection))
                await connection.read(tasks)
                connection.outbox.close()
                writer.cancel()
                watch.cancel()
        except* ConnectionError:
            connection.abort()
        finally:
            connection.outbox.close()
            self._connections.remove(connection)
            session.close()
            self.counters.ended_requests += connection.session.requests
            self.counters.ended_errors += connection.session.errors
            self._notify()
        return ws

    def publish(self, channel: str, text: str, account: str | None = None) -> int:
        """Queue a frame for every subscriber and return their number; a client without room is disconnected."""
        queued = 0
        for connection in self.subscribers(channel, account):
            if connection.outbox.offer(text):
                queued += 1
            else:
                logger.warning("client disconnected: it reads too slowly, {} frames were queued", self._queue_frames)
                self.counters.slow_clients += 1
                connection.abort()
        self.counters.frames += queued
        return queued

    def broadcast(self, text: str) -> None:
        """Queue a frame for every client that has room, whatever it is subscribed to."""
        for connection in self._connections:
            if not connection.is_silent:
                connection.outbox.offer(text)

    async def publish_waiting(self, channel: str, text: str, account: str | None = None) -> None:
        """As :meth:`publish`, but wait for room."""
        for connection in self.subscribers(channel, account):
            await connection.outbox.put(text)
            self.counters.frames += 1

    async def wait_sent(self) -> None:
        """Return when every client's queue is empty."""
        for connection in list(self._connections):
            await connection.outbox.wait_empty()

    async def close_all(self, code: int = WSCloseCode.GOING_AWAY, reason: str = "") -> None:
        """Close every socket, at the same time."""
        async with asyncio.TaskGroup() as tasks:
            for connection in list(self._connections):
                tasks.create_task(connection.close(code, reason))

    def abort_all(self) -> None:
        """Cut every connection."""
        for connection in list(self._connections):
            connection.abort()

    def silence_all(self) -> None:
        """Silence the present connections."""
        for connection in self._connections:
            connection.silence()

    def end_silence(self) -> None:
        """Cut the silenced connections."""
        for connection in list(self._connections):
            if connection.is_silent:
                connection.abort()

    async def _end_in_time(self, connection: Connection) -> None:
        farewell = await self._watch.until_over(connection)
        self.counters.silent_clients += 1
        if farewell is None:
            connection.abort()
        else:
            await connection.close(*farewell)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _read_error(sending: asyncio.Task[None]) -> None:
    """Somebody has heard of it, even if nobody waits any more; the reader sees the connection's end."""
    if not sending.cancelled():
        sending.exception()


def address(host: str, port: int) -> str:
    """Host and port for a URL, to connect from this machine: a wildcard address becomes the loopback address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

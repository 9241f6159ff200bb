"""A reusable manager of WebSocket connections, on aiohttp. It knows no venue: a subclass says how its venue speaks.

What it does for every venue:

- *Channels.* ``subscribe`` names a channel and a handler, at any time; the manager sends the request when there is a
  connection, and again after each reconnect. All channels share one connection (*multiplexed*), except those that are
  subscribed as *dedicated*, each of which has its own: a long snapshot on one never delays the other.
- *Gaps.* After a drop a handler hears ``on_gap`` before anything else, because what it knows may be old. ``resync``
  asks for a new snapshot of one channel.
- *Reconnecting.* Pauses of 1, 2, 4 ... 60 s with jitter; a connection that lasted resets them. After ten failures in a
  row ``run`` raises FeedError.
- *Keepalive both ways.* Pings are answered. We send one regularly, whatever else is sent, and give the connection up
  when nothing at all has been heard for too long, when a subscription is not answered, or when it is too old.
- *Bounds.* Outgoing messages wait in a bounded queue. Incoming ones are handled one by one as they are read, so a slow
  handler slows the socket down; a `Mailbox` takes them to another task, and asks for a new snapshot if that falls
  behind.

Everything happens in one event loop: the methods are not to be called from other threads. ``run`` is a task of its
owner; cancelling it, or ``close``, ends all connections with a close frame. A handler must neither block nor raise; an
exception from it ends ``run``.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from stall_then_strike.infra.clock import Clock, SystemClock, perf_ns
from stall_then_strike.infra.line.frame_tap import FrameTap
from stall_then_strike.infra.line.socket_line import (
    Counts,
    LineRules,
    Message,
    SocketLine,
    Subscription,
    first_of_group,
)
from stall_then_strike.types.errors import FeedError


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatistics:
    """Counts of all connections since the start."""

    connects: int
    drops: int
    failures: int
    """Handshakes that failed."""
    messages: int
    unreadable: int
    """Frames that are not a JSON object; they are dropped."""
    is_connected: bool
    last_error: str


class BaseWebSocketManager:
    """Connections to one address. A subclass overrides the hooks in the last section."""

    needs_greeting = False
    """Whether the venue speaks first; subscriptions wait for that message."""

    def __init__(
        self,
        url: str,
        *,
        rules: LineRules | None = None,
        clock: Clock | None = None,
        tap: FrameTap | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Connect to nothing yet; ``tap`` receives all frames of the shared connection."""
        self.url = url
        self.rules: Final = rules or LineRules()
        self.clock: Final = clock or SystemClock()
        self.tap = tap
        self.rng = rng or random.Random()
        self._subscriptions: dict[str, Subscription] = {}
        self._shared = SocketLine(self, "")
        self._dedicated: dict[str, SocketLine] = {}
        self._group: asyncio.TaskGroup | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closing = asyncio.Event()
        self.frame_perf_ns = 0
        """When handling of the current frame began, by the stopwatch ``perf_ns``."""
        self.unreadable = 0
        self._past = Counts()
        """Counts of dedicated connections that are gone."""

    # --- Life --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connections up until ``close`` or cancelled. Raises FeedError, or what a handler raised."""
        if self._group is not None:
            raise RuntimeError("run was called before")
        async with aiohttp.ClientSession() as session:
            self._session = session
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    for line in (self._shared, *self._dedicated.values()):
                        line.task = group.create_task(line.run(session))
                    await self._closing.wait()
                    for line in (self._shared, *self._dedicated.values()):
                        line.end("closed by us")
            except BaseExceptionGroup as errors:
                raise first_of_group(errors) from None
            finally:
                self._closing.set()

    def close(self) -> None:
        """End ``run``; what waits to be sent goes out first, as far as the peer takes it in time."""
        self._closing.set()

    async def wait_connected(self, limit_s: float) -> None:
        """Wait until the shared connection is up and greeted. Raises FeedError when the time is over."""
        try:
            async with asyncio.timeout(limit_s):
                await self._shared.ready.wait()
        except TimeoutError:
            why = self._shared.last_error or "no answer"
            raise FeedError(f"no connection to {self.url} within {limit_s:g} s: {why}") from None

    @property
    def is_connected(self) -> bool:
        """Whether the shared connection is up and greeted."""
        return self._shared.ready.is_set()

    @property
    def connects(self) -> int:
        """Handshakes of the shared connection that succeeded: the number of the current connection."""
        return self._shared.counts.connects

    def statistics(self) -> LineStatistics:
        """The counts so far."""
        lines = (self._shared, *self._dedicated.values())
        counts = [line.counts for line in lines] + [self._past]
        return LineStatistics(
            connects=sum(c.connects for c in counts),
            drops=sum(c.drops for c in counts),
            failures=sum(c.failures for c in counts),
            messages=sum(c.messages for c in counts),
            unreadable=self.unreadable,
            is_connected=self.is_connected,
            last_error=self._shared.last_error,
        )

    # --- Channels ----------------------------------------------------------------------------------------------------

    def subscribe(
        self,
        channel: str,
        on_message: Callable[[Message, int], None],
        *,
        on_gap: Callable[[str], None] = lambda why: None,
        dedicated: bool = False,
    ) -> None:
        """Ask for a channel, now or as soon as there is a connection. Raises ValueError if it is subscribed already.

        ``on_message`` gets each message of the channel and the stamp of its receipt.
        """
        if channel in self._subscriptions:
            raise ValueError(f"{channel} is subscribed already")
        entry = Subscription(channel, on_message, on_gap, dedicated)
        self._subscriptions[channel] = entry
        if not dedicated:
            self._shared.ask(entry)
            return
        line = self._dedicated[channel] = SocketLine(self, channel)
        if self._group is not None and self._session is not None:
            line.task = self._group.create_task(line.run(self._session))

    def unsubscribe(self, channel: str) -> None:
        """Give a channel up; an unknown one is ignored."""
        entry = self._subscriptions.pop(channel, None)
        if entry is None:
            return
        if entry.is_dedicated:
            line = self._dedicated.pop(channel)
            self._past.add(line.counts)
            line.end("no longer wanted")
        else:
            self._shared.request(self.unsubscribe_frame(channel))

    def resync(self, channel: str, why: str) -> None:
        """Ask for a new snapshot of a channel: unsubscribe and subscribe. Ignored without a connection."""
        entry = self._subscriptions.get(channel)
        line = self._line_of(channel)
        if entry is None or not line.ready.is_set():
            return
        entry.is_live = False
        entry.on_gap(why)
        line.request(self.unsubscribe_frame(channel))
        line.ask(entry)

    def open_mailbox(self, channel: str, *, bound: int) -> Mailbox:
        """Subscribe and receive through a queue of at most ``bound`` messages."""
        box = Mailbox(bound, lambda why: self.resync(channel, why))
        self.subscribe(channel, box.put, on_gap=box.put_gap)
        return box

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that are wanted."""
        return tuple(self._subscriptions)

    def is_live(self, channel: str) -> bool:
        """Whether the channel has delivered something since it was last asked for."""
        entry = self._subscriptions.get(channel)
        return entry is not None and entry.is_live

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue a message for the shared connection. Raises NotSent without a connection or room."""
        self._shared.put(message)

    def renew(self, why: str, channel: str | None = None) -> None:
        """Give up the connection of a channel, by default the shared one, and make another."""
        self._line_of(channel or "").renew(why)

    def _line_of(self, channel: str) -> SocketLine:
        return self._dedicated.get(channel, self._shared)

    def subscriptions_of(self, name: str) -> list[Subscription]:
        """The subscriptions of one connection."""
        if name:
            return [entry for entry in self._subscriptions.values() if entry.channel == name]
        return [entry for entry in self._subscriptions.values() if not entry.is_dedicated]

    def deliver(self, line: SocketLine, data: str | bytes, recv_ns: int) -> None:
        """Hand one frame to whom it concerns."""
        self.frame_perf_ns = perf_ns()
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            self.unreadable += 1
            return
        if not line.ready.is_set() and self.is_greeting(message):
            line.greeted()
            return
        if self.on_control(message, line.reply, recv_ns):
            return
        entry = self._subscriptions.get(self.channel_of(message) or "")
        if entry is None:
            return
        entry.asked_s, entry.is_live = None, True
        entry.on_message(message, recv_ns)

    # --- Hooks of a venue --------------------------------------------------------------------------------------------

    def subscribe_frame(self, channel: str) -> Mapping[str, Any]:
        """The request for a channel. Called anew for each connection, so it may carry a fresh token."""
        return {"type": "subscribe", "channel": channel}

    def unsubscribe_frame(self, channel: str) -> Mapping[str, Any]:
        """The request to end a channel."""
        return {"type": "unsubscribe", "channel": channel}

    def channel_of(self, message: Message) -> str | None:
        """The subscribed channel that a message belongs to."""
        channel = message.get("channel")
        return channel if isinstance(channel, str) else None

    def is_greeting(self, message: Message) -> bool:
        """Whether this is the message that the venue sends first."""
        return False

    def on_control(self, message: Message, reply: Callable[[Mapping[str, Any]], None], recv_ns: int) -> bool:
        """Handle a message that belongs to no channel; True if it was one."""
        return False

    def ping_frame(self) -> Mapping[str, Any] | None:
        """What to send as a ping besides the protocol's own; None: nothing."""
        return None

    async def before_send(self, message: Mapping[str, Any]) -> None:
        """Wait until the venue's limits allow this message."""

    def on_ready(self) -> None:
        """The shared connection is up and greeted; subscriptions follow."""

    def on_dropped(self, why: str) -> None:
        """The shared connection ended."""

    def on_tick(self, now_s: float) -> None:
        """Called about once a second while the shared connection is up."""


@dataclass(frozen=True, slots=True)
class Gap:
    """In a mailbox: what was received so far may be out of date; a snapshot follows."""

    why: str


class Mailbox:
    """A bounded queue between the connection and another task."""

    def __init__(self, bound: int, on_full: Callable[[str], None]) -> None:
        """``on_full`` asks for a new snapshot; what waited is dropped then."""
        self.bound: Final = bound
        self._on_full = on_full
        self._items: deque[tuple[Message, int] | Gap] = deque()
        self._filled = asyncio.Event()

    def put(self, message: Message, recv_ns: int) -> None:
        """Add a message; if there is no room, drop all and ask for a new snapshot."""
        if len(self._items) >= self.bound:
            self._items.clear()
            self._on_full(f"more than {self.bound} messages waited")
            return
        self._items.append((message, recv_ns))
        self._filled.set()

    def put_gap(self, why: str) -> None:
        """Note a gap; two in a row are one."""
        if not self._items or not isinstance(self._items[-1], Gap):
            self._items.append(Gap(why))
        self._filled.set()

    async def get(self) -> tuple[Message, int] | Gap:
        """The next message with its stamp, or a gap."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self._items.popleft()

    async def __aiter__(self) -> AsyncIterator[tuple[Message, int] | Gap]:
        """All that comes."""
        while True:
            yield await self.get()

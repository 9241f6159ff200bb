"""The connection to the venue: pybotters' client and stores, the feeds it carries, and a watch over all of them.

pybotters connects, logs in, answers pings, reconnects and sends the subscriptions again. This module adds what it
leaves to its user:

- *Pace.* After a clean close pybotters reconnects at once, thousands of times a second if the server keeps closing,
  and the venue blocks such clients. `handshakes.py` delays each handshake.
- *Drops.* pybotters has no callback for a lost connection. The socket in use is compared with pybotters' current one
  at each frame, before each handshake and every few milliseconds. After a drop the book is unknown until a snapshot.
- *Silence.* A channel can stop sending, or never start, while its socket is open (the venue acknowledges even an
  unknown product). Each channel and each acknowledgement has a time limit, after which the connection is renewed.
- *Pauses.* After the machine slept or the process stood still, frames that wait in the socket are old but would be
  stamped as new. The connection is given up before any of them is read (`pauses.py`). After a shorter stop the book
  counts as stale until the backlog is read.
- *Promptness.* A frame is handled where it is read (`hearing_socket.py`), not two turns of the event loop later.
- *Errors.* pybotters logs a handler's exception and goes on. Here the first exception stops the feed and is raised
  from ``wait_failed``.

With credentials the same socket also carries the private channel, subscribed last: the traffic of the public channels
proves that the socket is alive, and order events and executions arrive in one order. The private channel is live from
the venue's acknowledgement (`login.py` explains why not from the login) until the connection ends. It may be silent for
hours, so a subscription that the venue has lost cannot be noticed here; whoever misses an event calls ``renew``.

A login refused at the start ends the session, unless the refusal speaks of trouble at the venue. Later, the connection
is kept for its public data, which closing a position needs, until the pacer allows the next handshake; then the whole
connection is renewed. An unanswered login delays all subscriptions, so it has the same time limit.

Credentials are never searched for: pybotters by itself would read an ``apis.json`` in the current folder.

Venue facts: channels and their rates as in the feed; at the daily maintenance the board slows down to one message in
10 s and the socket is closed with code 1012 (seen in other people's logs).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self, cast, overload

import aiohttp
import pybotters
from loguru import logger
from yarl import URL

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.bitflyer.feed import EVENTS_CHANNEL, MarketFeed
from stall_then_strike.infra.bitflyer.feeds import Feeds
from stall_then_strike.infra.bitflyer.private_feed import PrivateStatistics
from stall_then_strike.infra.bitflyer.private_side import PrivateEvent, PrivateSide
from stall_then_strike.infra.bitflyer.store import BitflyerStore, Board
from stall_then_strike.infra.bitflyer.subscriptions import Subscriptions
from stall_then_strike.infra.clock import ScaledClock, perf_ns
from stall_then_strike.infra.line.connection_rules import PAUSE_MAX_S, Silence, Silences
from stall_then_strike.infra.line.frame_tap import FrameTap
from stall_then_strike.infra.line.handshakes import Handshakes
from stall_then_strike.infra.line.hearing_socket import HearingSocket, use_hearing_sockets
from stall_then_strike.infra.line.outcome import Outcome
from stall_then_strike.infra.market_source import FeedStatistics, MarketEvent
from stall_then_strike.infra.orderbook_view import OrderBookView
from stall_then_strike.infra.watch.pauses import Pause, PauseKind, PauseWatch
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BoardSnapshot, BookStatus
from stall_then_strike.types.errors import FeedError, LoginRefused

if TYPE_CHECKING:
    from pybotters.ws import ClientWebSocketResponse, WebSocketApp

# All in real seconds, whatever the clock's speed.
POLL_S: Final = 0.05
"""Time between two looks at the connection: whether there is one, and whether the process stood still."""
_CHECK_S: Final = 0.25
"""Time between two checks of what a connection brought; its limits are seconds."""
_LATE_NS: Final = int(3 * POLL_S * NS_PER_S)
"""A shorter gap between two checks is no sign of a backlog, however soon the strategy calls a book stale."""
ACK_LIMIT_S: Final = 10.0
"""How long the login and the acknowledgement of a subscription may take together."""
CLOSE_LIMIT_S: Final = 2.0
"""How long the peer may take to answer a close; on a half-open socket no answer ever comes."""
HEARTBEAT_S: Final = 10.0
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""A longer message breaks the connection; one between ``ws.max_frame_bytes`` and this is counted and dropped."""

_NO_LOGIN_ANSWER: Final = "neither the login nor the subscriptions were answered"

SessionEvent = MarketEvent | PrivateEvent
"""The events of a session with credentials; without them, only MarketEvent."""

_log = logger.bind(channel="ws")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatistics:
    """Counts since the session was created. Durations are in real seconds."""

    connects: int
    """Handshakes that succeeded."""
    drops: int
    """Connections that ended, for whatever reason."""
    failed_attempts: int
    """Handshakes that failed."""
    forced_reconnects: int
    """Connections that we closed: after silence, a pause or a refused subscription, or on request."""
    is_connected: bool
    last_error: str
    """Why the last attempt or connection failed; empty if none has."""
    feed: FeedStatistics
    is_private_live: bool
    private: PrivateStatistics | None
    """None without credentials."""


class PyBotterSession:
    """Owner of the client, the stores, the feed and the one task that watches the connection.

    Events go to ``on_event`` synchronously, in the order they arrive. Enter the context, call ``connect_ws``, await
    ``wait_ready``, and keep ``wait_failed`` running in the program's task group.
    """

    @overload
    def __init__(
        self,
        cfg: AppConfig,
        clock: ScaledClock,
        on_event: Callable[[MarketEvent], None],
        *,
        others: Sequence[Callable[[MarketEvent], None]] = (),
    ) -> None: ...

    @overload
    def __init__(
        self,
        cfg: AppConfig,
        clock: ScaledClock,
        on_event: Callable[[SessionEvent], None],
        credentials: Credentials | None,
        others: Sequence[Callable[[SessionEvent], None]] = (),
    ) -> None: ...

    def __init__(
        self,
        cfg: AppConfig,
        clock: ScaledClock,
        on_event: Callable[[MarketEvent], None] | Callable[[SessionEvent], None],
        credentials: Credentials | None = None,
        others: Sequence[Callable[[MarketEvent], None]] | Sequence[Callable[[SessionEvent], None]] = (),
    ) -> None:
        """Open nothing yet. For a host that is not bitFlyer's, `credentials.sign_for` must be active.

        If ``cfg`` has several instruments, ``on_event`` gets the events of the first, ``others`` those of the others.
        """
        self._cfg = cfg
        self._url = cfg.exchange.ws_url
        self._clock = clock
        self._sinks = cast("list[Callable[[SessionEvent], None]]", [on_event, *others])  # see the overloads
        self._credentials = credentials
        each = cfg.by_instrument()
        units = [one.exchange.instrument() for one in each]
        if len(units) != len(self._sinks):
            raise ValueError("give a sink of events for each instrument")
        self._store = BitflyerStore(units[0])
        private = None if credentials is None else PrivateSide(credentials, units, self._sinks)
        self._private = private
        self.feed: Final = MarketFeed(each[0], self._store.board, None if private is None else private.on_message)
        """The first instrument's feed; it also takes what belongs to no product."""
        self.feeds: Final = Feeds((self.feed, *map(MarketFeed, each[1:])))
        call_s = float(cfg.pybotters.timeout_sec)
        self.call_timeout: Final = aiohttp.ClientTimeout(total=call_s)
        """Limit of one HTTP call. The client's own limit is longer: it includes the delay before a handshake."""

        self.frame_perf_ns = 0
        """When handling of the current frame began, by the stopwatch ``perf_ns``."""
        self.tap: FrameTap | None = None
        """Receives raw frames and connection changes; set it before ``connect_ws``."""
        self.on_pause: Callable[[Pause], None] = lambda pause: None
        """Called on a sleep, a standstill or a clock step, after the connection was given up if need be."""

        channels = dict.fromkeys((*self.feeds.channels, *cfg.ws.channels))
        if credentials is not None:
            channels[EVENTS_CHANNEL] = None  # subscribed last
        self._subscriptions = Subscriptions(channels, self.feed.replies)
        self._silences = self._limits_of_silence()

        self._handshakes = Handshakes(self._url, float(cfg.ws.reconnect_min_sec), self._on_handshake)
        self._client: pybotters.Client | None = None
        self._app: WebSocketApp | None = None
        self._ws: ClientWebSocketResponse | None = None
        self._connected_s = 0.0
        self._check_s = 0.0
        self._watcher: asyncio.Task[None] | None = None
        self._retired: ClientWebSocketResponse | None = None
        self._to_close: list[ClientWebSocketResponse] = []
        self._pauses = PauseWatch(clock.sources, max(_LATE_NS, min(one.strategy.stale_ms for one in each) * NS_PER_MS))
        self._renewal = ""
        """Why ``renew`` was called for the current connection; empty if it was not."""
        self._outcome = Outcome()
        self._drops = 0
        self._forced_reconnects = 0

    # --- Life --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Create the client; nothing is sent."""
        call_s = self.call_timeout.total
        apis: dict[str, list[str]] = {}  # not None, which makes pybotters read apis.json or the file in PYBOTTERS_APIS
        if (pair := self._credentials) is not None:
            apis["bitflyer"] = [pair.key, pair.secret]
        self._client = pybotters.Client(
            apis=apis,
            base_url=self._cfg.exchange.base_url,
            timeout=aiohttp.ClientTimeout(
                total=(call_s or 0.0) + PAUSE_MAX_S, connect=call_s, sock_connect=call_s, sock_read=call_s
            ),
            trace_configs=[self._handshakes.trace()],
        )
        if self._private is not None:
            self._private.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection and all tasks.

        Raises the failure of the feed unless it was raised before or another exception is on its way.
        """
        try:
            if self._watcher is not None:
                self._watcher.cancel()
                await asyncio.wait((self._watcher,))
        finally:
            self._app = self._ws = None
            if self._private is not None:
                self._private.close()
            if self._client is not None:
                await self._client.close()
                self._client = None
        if error is None:
            self._outcome.raise_unraised()

    def listen(self, sinks: Sequence[Callable[[SessionEvent], None]]) -> None:
        """Give events to these from now on, one for each instrument."""
        self._sinks[:] = sinks

    async def connect_ws(self) -> None:
        """Start to connect and return at once; ``wait_ready`` waits for the result."""
        if self._watcher is not None:
            raise RuntimeError("connect_ws was called before")
        client = self.get_client()
        url = self._url
        try:
            URL(url)
        except ValueError as error:
            raise FeedError(f"{url} is not an address: {error}") from None
        use_hearing_sockets(client, self._on_frame)
        self._app = client.ws_connect(
            url,
            send_json=self._subscriptions.requests(),
            # With decode_text off frames arrive as bytes: orjson checks the UTF-8, so a bad frame breaks nothing.
            hdlr_bytes=self._on_binary,
            backoff=(1.0, 1.0, 1.0, 0.5),  # after an error a random wait below 0.5 s; `handshakes.py` sets the pace
            heartbeat=HEARTBEAT_S,
            decode_text=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_LIMIT_S),
            auth=None if self._credentials is None else pybotters.auth.Auth,
        )
        self._pauses.look()  # pauses before the first connection do not matter
        # A separate task, because it outlives this call; __aexit__ cancels and awaits it.
        self._watcher = asyncio.create_task(self._watch(self._app), name="feed watcher")  # noqa: TID251
        self._watcher.add_done_callback(self._on_watcher_done)

    async def wait_ready(self, timeout_sec: float | None = None) -> None:
        """Wait until one connection has a complete book and, with credentials, the private channel.

        ``timeout_sec`` is in real seconds, by default ``ws.connect_timeout_sec``. Raises FeedError, with what was tried
        and how it failed, when the time is up, and LoginRefused.
        """
        limit_s = float(self._cfg.ws.connect_timeout_sec) if timeout_sec is None else timeout_sec
        if not await self._outcome.wait_ready(limit_s):
            without = " and ".join(self.feeds.without_book)
            missing = f"board of {without}" if without else "private channel"
            raise FeedError(f"no {missing} from {self._url} within {limit_s:g} s: {self._why_not_ready()}")

    async def wait_failed(self) -> NoReturn:
        """Wait until the feed cannot go on and raise the cause: an error in ``on_event`` or here, never the network."""
        await self._outcome.wait_failed()

    def renew(self, why: str) -> None:
        """Request a new connection, at the usual pace. Returns at once; ignored while there is no connection."""
        if self._ws is not None:
            self._renewal = why

    def give_up(self, why: str) -> None:
        """Ignore the current connection from now on, close it, and make another at the usual pace."""
        ws = self._ws or (None if self._app is None else self._app.current_ws)
        if ws is None or ws is self._retired:
            return
        self._forced_reconnects += 1
        _log.warning("renewing the connection: {}", why)
        self._on_dropped()
        self._retired = ws  # needed if no frame of it has arrived yet
        self._handshakes.last_error = why
        self._to_close.append(ws)
        self._pauses.nothing_waits()

    # --- Access ------------------------------------------------------------------------------------------------------

    def get_store(self) -> BitflyerStore:
        """The stores. The feed keeps only the board up to date."""
        return self._store

    def get_client(self) -> pybotters.Client:
        """The client for REST calls; pass ``call_timeout`` to each."""
        if self._client is None:
            raise RuntimeError("the session is not open: use `async with`")
        return self._client

    @property
    def board(self) -> Board:
        """The displayed book."""
        return self.feed.board

    @property
    def view(self) -> OrderBookView:
        """The book without our own orders."""
        return self.feed.view

    def statistics(self) -> SessionStatistics:
        """Counts so far."""
        return SessionStatistics(
            connects=self._handshakes.succeeded,
            drops=self._drops,
            failed_attempts=self._handshakes.failed,
            forced_reconnects=self._forced_reconnects,
            is_connected=self._ws is not None,
            last_error=self._handshakes.last_error,
            feed=self.feed.statistics(),
            is_private_live=self._private is not None and self._private.is_live,
            private=None if self._private is None else self._private.feed.statistics(),
        )

    # --- Frames ------------------------------------------------------------------------------------------------------

    def _on_frame(self, data: bytes, ws: ClientWebSocketResponse) -> None:
        """Handle a text frame. pybotters would connect anew after an exception, so it is kept for ``wait_failed``."""
        if self._outcome.failure is not None:
            return
        try:
            if self._pauses.is_late():
                self._look_for_pauses()
            if not self._belongs(ws):
                return
            self.frame_perf_ns = perf_ns()
            now_ns = self._clock.now_ns()
            if self.tap is not None:
                self.tap.on_frame(data, now_ns)
            feeds = self.feeds
            number = 0 if feeds.is_one else feeds.number_of(data)
            event = feeds.all[number].on_text(data, now_ns)
            if event is not None:
                if self._pauses.is_behind and type(event) is BoardSnapshot and event.status is BookStatus.OK:
                    event = event._replace(status=BookStatus.STALE)
                self._sinks[number](event)
                if not feeds.has_books and feeds.note_book(number, event):
                    self._look_whether_ready()
            elif (
                self._private is not None
                and not self._private.is_live
                and self._subscriptions.is_granted(EVENTS_CHANNEL)
            ):
                self._private.on_granted(now_ns)
                self._look_whether_ready()
        except Exception as error:  # noqa: BLE001 - no exception may get lost in pybotters' log
            self._outcome.fail(error)

    def _look_whether_ready(self) -> None:
        if self.feeds.has_books and (self._private is None or self._private.is_live):
            self._outcome.set_ready()

    def _on_binary(self, data: bytes, ws: ClientWebSocketResponse) -> None:
        if self._outcome.failure is None and self._belongs(ws):
            self.feed.on_binary(data, self._clock.now_ns())

    def _belongs(self, ws: ClientWebSocketResponse) -> bool:
        """Whether a frame is of the current connection; the first frame of a new one makes it the current one."""
        if ws is self._ws:
            return True
        if self._app is None or ws is not self._app.current_ws or ws is self._retired:
            return False
        self._on_connected(ws)
        return True

    # --- Connection --------------------------------------------------------------------------------------------------

    def _look_for_pauses(self) -> None:
        """Give the connection up if it was not read for a while."""
        for pause in self._pauses.look():
            logger.warning("{}", pause)
            if pause.kind is not PauseKind.SET:
                self.give_up(str(pause))
            if pause.kind is PauseKind.SLEPT:
                self._clock.catch_up()  # the machine's clock may have been set when it woke up
            self.on_pause(pause)

    def _on_handshake(self) -> None:
        """A handshake is about to begin."""
        self._on_dropped()
        if self._private is not None:
            self._private.on_handshake()

    def _on_connected(self, ws: ClientWebSocketResponse) -> None:
        """A handshake succeeded; the login is in flight or the subscriptions are being sent."""
        now_ns, now_s = self._clock.now_ns(), asyncio.get_running_loop().time()
        self._ws = ws
        self._connected_s = now_s
        self.feeds.on_connect()
        self.feed.expect_replies(self._subscriptions.channels)
        self._silences.restart(now_ns, now_s)
        if self.tap is not None:
            self.tap.on_connected(now_ns)
        _log.info("connected to {}", self._url)

    def _on_dropped(self) -> None:
        """The current connection, if there is one, is lost."""
        ws, self._ws = self._ws, None
        self._renewal = ""
        if self._handshakes.is_open:
            self._handshakes.is_open = False
            self._drops += 1
            self._handshakes.last_error = "connection closed at once" if ws is None else self._why_ended(ws)
        if ws is None:
            return
        self._retired = ws
        _log.warning("{}; the book is unknown until the next snapshot", self._handshakes.last_error)
        now_ns = self._clock.now_ns()
        unknown = self.feeds.on_disconnect(now_ns)
        if self._outcome.failure is not None:
            return
        if self.tap is not None:
            self.tap.on_dropped(now_ns, self._handshakes.last_error)
        try:
            if self._private is not None:
                self._private.on_dropped(now_ns)
            for sink, book in zip(self._sinks, unknown, strict=True):
                sink(book)
        except Exception as error:  # noqa: BLE001 - called by pybotters, which would swallow it
            self._outcome.fail(error)

    def _why_ended(self, ws: ClientWebSocketResponse) -> str:
        during = " during the login" if self._credentials is not None and not self.feed.replies else ""
        if ws.exception() is not None:
            return f"connection lost{during}: {ws.exception()!r}"
        words = ws.close_words if isinstance(ws, HearingSocket) else ""
        said = f", {words}" if words else ""
        return (
            f"connection closed{during} (code {ws.close_code}{said})" if ws.closed else f"connection given up{during}"
        )

    async def _watch(self, app: WebSocketApp) -> None:
        """Watch the connection until cancelled or failed; pybotters' own task ends with this one."""
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(app.wait(), name="pybotters")
            while self._outcome.failure is None:
                await asyncio.sleep(POLL_S)
                self._look_for_pauses()
                ws = app.current_ws
                if self._ws is None:
                    if ws is not None and ws is not self._retired and not ws.closed:
                        self._on_connected(ws)
                elif ws is not self._ws or ws.closed:
                    self._on_dropped()
                elif why := self._renewal or self._fault_of_connection():
                    self.give_up(why)
                while self._to_close:
                    tasks.create_task(_close(self._to_close.pop()), name="closing")
            connecting.cancel()

    def _fault_of_connection(self) -> str:
        """Why what the connection brought calls for a new one; empty if nothing does, or it was checked lately."""
        if (now_s := asyncio.get_running_loop().time()) < self._check_s:
            return ""
        self._check_s = now_s + _CHECK_S
        return self._fault_of_subscriptions() or self._silent_channel()

    def _fault_of_subscriptions(self) -> str:
        """Why subscriptions call for a new connection; empty if they do not. A refusal before readiness is fatal."""
        age_s = asyncio.get_running_loop().time() - self._connected_s
        fault = self._subscriptions.fault(is_late=age_s > ACK_LIMIT_S)
        if fault is None:
            return ""
        if fault.refusal is None:
            if self._credentials is not None and not self.feed.replies:
                return _NO_LOGIN_ANSWER
            return f"the subscription of {fault.channel} was not answered"
        if self._private is not None and fault.channel == EVENTS_CHANNEL:
            text = self._private.refused(self._url, fault.refusal)
            if not self._outcome.is_ready and not self._private.may_pass(fault.refusal):
                self._outcome.fail(LoginRefused(text))
                return text
            self._private.tell_refused(text)
            return text if self._handshakes.is_due() else ""
        if not self._outcome.is_ready:
            self._outcome.fail(FeedError(f"{self._url} refuses the channel {fault.channel}: {fault.refusal}"))
        return f"the channel {fault.channel} was refused: {fault.refusal}"

    def _limits_of_silence(self) -> Silences:
        ws = self._cfg.ws
        quiet_ns = int(ws.snapshot_silence_sec * NS_PER_S)
        executions_ns = int(ws.executions_silence_sec * NS_PER_S)
        limits: list[Silence] = []
        for feed in self.feeds.all:
            limits += (
                Silence(feed.snapshot_channel, quiet_ns, is_vital=True),
                Silence(feed.board_channel, quiet_ns, is_vital=True),
                Silence(feed.ticker_channel, quiet_ns, is_vital=False),
                Silence(feed.executions_channel, executions_ns, is_vital=False, may_pause=True),
            )
        return Silences(tuple(limits), lesser_pause_ns=executions_ns)

    def _silent_channel(self) -> str:
        """Which channel's silence calls for a new connection; empty if none does."""
        now_ns, now_s = self._clock.now_ns(), asyncio.get_running_loop().time()
        for text, must_renew in self._silences.found(self.feeds.heard_ns, now_ns, now_s):
            if must_renew:
                return text
            _log.warning("{}; the connection is kept", text)
        return ""

    # --- Failure -----------------------------------------------------------------------------------------------------

    def _on_watcher_done(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            self._outcome.fail(error)

    def _why_not_ready(self) -> str:
        if self._ws is None:
            return self._handshakes.last_error or "no answer"
        if self._credentials is not None and not self.feed.replies:
            return f"connected, but {_NO_LOGIN_ANSWER}"
        if missing := self._subscriptions.unanswered():
            return f"connected, but the subscription of {', '.join(missing)} was not answered"
        return "connected and subscribed, but no board came (the venue acknowledges unknown products too)"


async def _close(ws: ClientWebSocketResponse) -> None:
    """Close a connection that was given up; a peer that is gone need not answer."""
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        await ws.close()

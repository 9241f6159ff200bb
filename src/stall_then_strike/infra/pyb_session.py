"""The connection to the venue: pybotters' client and stores, the feed they carry, and a watch over both.

pybotters connects, answers pings, reconnects and sends the subscriptions again. What it leaves to its user is here:

- *Pace.* It reconnects at once after a clean close, thousands of times a second against a server that closes at once,
  and the venue bars that. A trace hook of aiohttp holds each handshake back.
- *Drops.* It has no callback for one. The socket in hand is compared with the current one, at each frame, before each
  handshake and every few milliseconds between; from a drop until the next snapshot the book is unknown.
- *Silence.* A channel can go silent, or never speak, while its socket lives (an unknown product is acknowledged with
  success). Each channel has its own limit, and so has each acknowledgement; past it the connection is renewed.
- *Errors.* It logs what happens in handlers and goes on. Here the first exception stops the feed and is raised to
  whoever waits in ``wait_failed``.

Credentials are never looked for: pybotters would read an ``apis.json`` of the current folder by itself.

Venue facts: channels and their rates as in the feed; at the daily maintenance the board thins out to one message in
10 s and the socket is closed with code 1012 (seen in logs of others).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self, cast

import aiohttp
import pybotters
from loguru import logger
from yarl import URL

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.board import BitflyerStore, Board
from stall_then_strike.infra.clock import Clock, perf_ns
from stall_then_strike.infra.connection_rules import PAUSE_MAX_S, Pacer, Silence
from stall_then_strike.infra.market_feed import FeedStatistics, MarketEvent, MarketFeed
from stall_then_strike.infra.orderbook_view import OrderBookView
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, BookStatus
from stall_then_strike.types.errors import FeedError

if TYPE_CHECKING:
    from pybotters.typedefs import WsStrHandler
    from pybotters.ws import ClientWebSocketResponse, WebSocketApp

# All in real seconds, whatever the clock's speed.
POLL_S: Final = 0.02
"""How often the connection is looked at."""
ACK_LIMIT_S: Final = 10.0
"""How long the acknowledgement of a subscription may take."""
CLOSE_LIMIT_S: Final = 2.0
"""How long the peer may take to answer a close; a half-open socket never does."""
HEARTBEAT_S: Final = 10.0
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Longer messages break the connection; those from ``ws.max_frame_bytes`` up to here are counted and dropped."""

_log = logger.bind(channel="ws")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatistics:
    """Counts since the session was made. Seconds are real ones."""

    connects: int
    """Handshakes that succeeded."""
    drops: int
    """Connections that ended, for whatever reason."""
    failed_attempts: int
    """Handshakes that did not succeed."""
    forced_reconnects: int
    """Connections that we ended because of silence or a refused subscription."""
    is_connected: bool
    connected_sec: float
    """Age of the present connection, zero without one."""
    last_error: str
    """Why the last attempt or connection failed; empty if none did."""
    feed: FeedStatistics


class PyBotterSession:
    """Owner of the client, the stores, the feed and the one task that watches the connection.

    Events go to ``on_event`` synchronously, in the order of the wire. Use as a context manager, then ``connect_ws``,
    then ``wait_ready``, and keep ``wait_failed`` in the task group of the program.
    """

    def __init__(self, cfg: AppConfig, clock: Clock, on_event: Callable[[MarketEvent], None]) -> None:
        """Open nothing yet."""
        self._cfg = cfg
        self._clock = clock
        self._on_event = on_event
        self._store = BitflyerStore(cfg.exchange.instrument())
        self.feed: Final = MarketFeed(cfg, self._store.board)
        call_s = float(cfg.pybotters.timeout_sec)
        self.call_timeout: Final = aiohttp.ClientTimeout(total=call_s)
        """For one HTTP call. The client's own limit is longer, for it also covers the pause before a handshake."""

        self.frame_perf_ns = 0
        """When the frame of the event in hand was taken up, on the stopwatch of ``perf_ns``."""

        feed = self.feed
        channels = dict.fromkeys(
            (
                feed.snapshot_channel,
                feed.board_channel,
                feed.executions_channel,
                feed.ticker_channel,
                *cfg.ws.channels,
            )
        )
        self._channel_of_id: Final = dict(enumerate(channels, start=1))
        quiet_ns = int(cfg.ws.snapshot_silence_sec * NS_PER_S)
        executions_ns = int(cfg.ws.executions_silence_sec * NS_PER_S)
        self._silences: Final = (
            Silence(feed.snapshot_channel, quiet_ns, is_vital=True),
            Silence(feed.board_channel, quiet_ns, is_vital=True),
            Silence(feed.ticker_channel, quiet_ns, is_vital=False),
            Silence(feed.executions_channel, executions_ns, is_vital=False, may_pause=True),
        )
        self._lesser_pause_ns = executions_ns
        self._lesser_renewed_ns: int | None = None

        self._pacer = Pacer(float(cfg.ws.reconnect_min_sec))
        self._client: pybotters.Client | None = None
        self._app: WebSocketApp | None = None
        self._ws: ClientWebSocketResponse | None = None
        self._is_open = False
        """Whether a handshake succeeded and its connection's end was not seen yet."""
        self._connected_s = 0.0
        self._watcher: asyncio.Task[None] | None = None
        self._retired: ClientWebSocketResponse | None = None
        self._is_ready = False
        self._failure: BaseException | None = None
        self._is_told = False
        """Whether somebody was given the failure already."""
        self._failed = asyncio.Event()
        self._ready_or_failed = asyncio.Event()

        self._connects = 0
        self._drops = 0
        self._failed_attempts = 0
        self._forced_reconnects = 0
        self._last_error = ""

    # --- Life --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Make the client; nothing is sent."""
        call_s = self.call_timeout.total
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._before_request)
        trace.on_request_end.append(self._after_request)
        trace.on_request_exception.append(self._after_failure)
        self._client = pybotters.Client(
            apis={},  # None would make pybotters read apis.json or the file that PYBOTTERS_APIS names
            base_url=self._cfg.exchange.base_url,
            timeout=aiohttp.ClientTimeout(
                total=(call_s or 0.0) + PAUSE_MAX_S, connect=call_s, sock_connect=call_s, sock_read=call_s
            ),
            trace_configs=[trace],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection and all tasks; raise what broke, unless that was told or other trouble is under way."""
        try:
            if self._watcher is not None:
                self._watcher.cancel()
                await asyncio.wait((self._watcher,))
        finally:
            self._app = self._ws = None
            if self._client is not None:
                await self._client.close()
                self._client = None
        if error is None and self._failure is not None and not self._is_told:
            raise self._failure

    async def connect_ws(self) -> None:
        """Start connecting; returns at once. ``wait_ready`` waits for the result."""
        if self._watcher is not None:
            raise RuntimeError("connect_ws was called before")
        client = self.get_client()
        url = self._cfg.exchange.ws_url
        try:
            URL(url)
        except ValueError as error:
            raise FeedError(f"{url} is not an address: {error}") from None
        requests = [
            {"method": "subscribe", "params": {"channel": channel}, "id": number}
            for number, channel in self._channel_of_id.items()
        ]
        self._app = client.ws_connect(
            url,
            send_json=requests,
            # With decode_text off, frames come as bytes: orjson checks their UTF-8, and faulty ones break nothing.
            hdlr_str=cast("WsStrHandler", self._on_frame),
            hdlr_bytes=self._on_binary,
            backoff=(1.0, 1.0, 1.0, 0.5),  # after an error, up to half a second by chance; the pace is ours
            heartbeat=HEARTBEAT_S,
            auth=None,
            decode_text=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_LIMIT_S),
        )
        # A task of its own, for it outlives this call; cancelled and awaited in __aexit__.
        self._watcher = asyncio.create_task(self._watch(self._app), name="feed watcher")  # noqa: TID251
        self._watcher.add_done_callback(self._on_watcher_done)

    async def wait_ready(self, timeout_sec: float | None = None) -> None:
        """Wait for the first whole book; FeedError, with what was tried and what came of it, if it does not come.

        ``timeout_sec`` is in real seconds, by default ``ws.connect_timeout_sec``.
        """
        limit_s = float(self._cfg.ws.connect_timeout_sec) if timeout_sec is None else timeout_sec
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._ready_or_failed.wait()
        if self._failure is not None:
            self._is_told = True
            raise self._failure
        if not self._is_ready:
            raise FeedError(
                f"no board of {self._cfg.exchange.product_code} from {self._cfg.exchange.ws_url} "
                f"within {limit_s:g} s: {self._why_not_ready()}"
            )

    async def wait_failed(self) -> NoReturn:
        """Wait until the feed cannot go on, and raise why: an error of ``on_event`` or of this file, never the net."""
        await self._failed.wait()
        if self._failure is None:
            raise AssertionError("a failure is set before it is announced")
        self._is_told = True
        raise self._failure

    # --- Access ------------------------------------------------------------------------------------------------------

    def get_store(self) -> BitflyerStore:
        """The stores. Only the board is kept up to date by the feed."""
        return self._store

    def get_client(self) -> pybotters.Client:
        """The client, for REST calls; give each its limit (``call_timeout``)."""
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
            connects=self._connects,
            drops=self._drops,
            failed_attempts=self._failed_attempts,
            forced_reconnects=self._forced_reconnects,
            is_connected=self._ws is not None,
            connected_sec=0.0 if self._ws is None else asyncio.get_running_loop().time() - self._connected_s,
            last_error=self._last_error,
            feed=self.feed.statistics(),
        )

    # --- Frames ------------------------------------------------------------------------------------------------------

    def _on_frame(self, data: bytes, ws: ClientWebSocketResponse) -> None:
        """Take one text frame. pybotters would log an exception and go on, so it is kept for ``wait_failed``."""
        if self._failure is not None or not self._belongs(ws):
            return
        self.frame_perf_ns = perf_ns()
        try:
            event = self.feed.on_text(data, self._clock.now_ns())
            if event is not None:
                self._on_event(event)
                if not self._is_ready and type(event) is BoardSnapshot and event.status is not BookStatus.UNKNOWN:
                    self._is_ready = True
                    self._ready_or_failed.set()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be lost
            self._fail(error)

    def _on_binary(self, data: bytes, ws: ClientWebSocketResponse) -> None:
        if self._failure is None and self._belongs(ws):
            self.feed.on_binary(data, self._clock.now_ns())

    def _belongs(self, ws: ClientWebSocketResponse) -> bool:
        """Whether a frame is of the present connection; the first one of a new connection makes it present."""
        if ws is self._ws:
            return True
        if self._app is None or ws is not self._app.current_ws or ws is self._retired:
            return False
        self._on_connected(ws)
        return True

    # --- Connection --------------------------------------------------------------------------------------------------

    async def _before_request(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestStartParams
    ) -> None:
        """Hold a handshake back; other requests pass."""
        if not _is_handshake(request):
            return
        for _ in range(3):  # the last frames of the old connection are still on their way through the loop
            await asyncio.sleep(0)
        self._on_dropped()
        wait_s = self._pacer.next_wait(asyncio.get_running_loop().time())
        if wait_s > 0:
            _log.info("next connect to {} in {:.1f} s", request.url, wait_s)
            await asyncio.sleep(wait_s)

    async def _after_request(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        if not _is_handshake(request):
            return
        if request.response.status == 101:
            self._pacer.on_connected(asyncio.get_running_loop().time())
            self._connects += 1
            self._is_open = True
        else:
            self._on_attempt_failed(f"HTTP status {request.response.status} instead of a WebSocket")

    async def _after_failure(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if _is_handshake(request) and not isinstance(request.exception, asyncio.CancelledError):
            self._on_attempt_failed(_in_words(request.exception))

    def _on_attempt_failed(self, why: str) -> None:
        self._failed_attempts += 1
        self._last_error = why
        _log.warning("no connection to {}: {}", self._cfg.exchange.ws_url, why)

    def _on_connected(self, ws: ClientWebSocketResponse) -> None:
        """A handshake is through and the subscriptions are being sent."""
        now_ns, now_s = self._clock.now_ns(), asyncio.get_running_loop().time()
        self._ws = ws
        self._connected_s = now_s
        self.feed.on_connect()
        self.feed.expect_replies(self._channel_of_id)
        for silence in self._silences:
            silence.restart(now_ns, now_s)
        _log.info("connected to {}", self._cfg.exchange.ws_url)

    def _on_dropped(self) -> None:
        """The present connection, if there is one, is gone."""
        ws, self._ws = self._ws, None
        if self._is_open:
            self._is_open = False
            self._drops += 1
            self._last_error = "connection closed at once" if ws is None else _in_words_of_close(ws)
        if ws is None:
            return
        self._retired = ws
        _log.warning("{}; the book is unknown until the next snapshot", self._last_error)
        if self._failure is None:
            try:
                self._on_event(self.feed.on_disconnect(self._clock.now_ns()))
            except Exception as error:  # noqa: BLE001 - called from within pybotters, which would swallow it
                self._fail(error)

    async def _watch(self, app: WebSocketApp) -> None:
        """Look after the connection until cancelled or failed; pybotters' own task ends with this one."""
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(app.wait(), name="pybotters")
            while self._failure is None:
                await asyncio.sleep(POLL_S)
                ws = app.current_ws
                if self._ws is None:
                    if ws is not None and ws is not self._retired and not ws.closed:
                        self._on_connected(ws)
                elif ws is not self._ws or ws.closed:
                    self._on_dropped()
                elif why := self._refused_subscription() or self._silent_channel():
                    self._forced_reconnects += 1
                    _log.warning("renewing the connection: {}", why)
                    self._on_dropped()
                    self._last_error = why
                    tasks.create_task(_close(ws), name="closing")
            connecting.cancel()

    def _refused_subscription(self) -> str:
        """Why a subscription does not stand; empty when all do. At the start that is the end."""
        replies = self.feed.replies
        for number, channel in self._channel_of_id.items():
            if number not in replies:
                if asyncio.get_running_loop().time() - self._connected_s > ACK_LIMIT_S:
                    return f"the subscription of {channel} was not answered"
            elif (error := replies[number]) is not None:
                if not self._is_ready:
                    self._fail(FeedError(f"{self._cfg.exchange.ws_url} refuses the channel {channel}: {error}"))
                return f"the channel {channel} was refused: {error}"
        return ""

    def _silent_channel(self) -> str:
        """Which channel's silence calls for a new connection; empty when none does."""
        now_ns, now_s = self._clock.now_ns(), asyncio.get_running_loop().time()
        for silence in self._silences:
            heard_ns = self.feed.heard_ns.get(silence.channel)
            if not silence.is_too_long(heard_ns, now_ns, now_s):
                continue
            text = f"{silence.channel} silent for {silence.limit_ns / NS_PER_S:g} s"
            if silence.is_vital:
                return text
            if heard_ns is None or not silence.may_pause:
                last_ns = self._lesser_renewed_ns
                if last_ns is None or now_ns - last_ns >= self._lesser_pause_ns:
                    self._lesser_renewed_ns = now_ns
                    return text
            _log.warning("{}; the connection is kept", text)
        return ""

    # --- Failure -----------------------------------------------------------------------------------------------------

    def _on_watcher_done(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Stop the feed; the first reason counts."""
        if self._failure is None:
            self._failure = error
            self._failed.set()
            self._ready_or_failed.set()

    def _why_not_ready(self) -> str:
        if self._ws is None:
            return self._last_error or "no answer"
        missing = [channel for number, channel in self._channel_of_id.items() if number not in self.feed.replies]
        if missing:
            return f"connected, but the subscription of {', '.join(missing)} was not answered"
        return "connected and subscribed, but no board came (the venue acknowledges unknown products too)"


def _is_handshake(
    request: aiohttp.TraceRequestStartParams | aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams,
) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _in_words_of_close(ws: ClientWebSocketResponse) -> str:
    if ws.exception() is not None:
        return f"connection lost: {ws.exception()!r}"
    return f"connection closed (code {ws.close_code})" if ws.closed else "connection given up"


async def _close(ws: ClientWebSocketResponse) -> None:
    """Close a connection that is not believed any more; a peer that is gone does not answer, and that is all right."""
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        await ws.close()


def _in_words(error: BaseException) -> str:
    """Why a connect failed, for the operator."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"host name not found ({error.host})"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return f"TLS failed: {error}"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return f"connection refused ({error.host}:{error.port})"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {error.os_error}"
        case TimeoutError():
            return "no answer in time"
        case _:
            return f"{type(error).__name__}: {error}"

"""bitFlyer on loopback: one port that speaks REST under ``/v1/`` and JSON-RPC at ``/json-rpc``.

This file joins a market (generator or tape), a clock, the two faces of the venue and the faults that stand between them
and the clients (`faults.py`), and holds switches by which a test makes the venue misbehave by hand. What is said on the
wire is in `wire.py`, `rpc.py` and `public_rest.py`; when it is said is the market's affair; at what pace, the clock's:

- a clock: frames leave when it shows their time (real time, or a multiple of it), to whoever is there;
- no clock: maximal speed, as fast as the subscribed clients take it; while nobody listens the market stands still, and
  HTTP is answered at once.

With a private side (`private_venue.py`) there are accounts: what they ask for is answered by `private_rest.py` at the
market's present moment, and the answer leaves after its own delay.

One owner: all tasks live in the exchange's task group or in the requests of its server, and none survives the exit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import orjson
from aiohttp import web

from stall_then_strike.sim.bitflyer.hub import RealtimeHub
from stall_then_strike.sim.bitflyer.limits import AddressCalls
from stall_then_strike.sim.bitflyer.private_rest import PrivateRest, RestCall
from stall_then_strike.sim.bitflyer.private_venue import PrivateVenue
from stall_then_strike.sim.bitflyer.public_rest import PublicRest
from stall_then_strike.sim.bitflyer.rpc import INTERNAL_ERROR, RpcError, RpcSession
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.exchange.source import (
    ABORT_SOCKETS,
    CLOSE_SOCKETS,
    CONTROL_PREFIX,
    END_SILENCE,
    SILENCE_SOCKETS,
    Channel,
    Frame,
    MarketSource,
)
from stall_then_strike.sim.faults.faulty_calls import DATE_OFF_S, REALTIME_PATH, FaultyCalls
from stall_then_strike.sim.faults.faulty_feed import FaultyFeed
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind, FaultPlan, Site
from stall_then_strike.sim.faults.lost_deletions import LostDeletions
from stall_then_strike.sim.faults.scene import FaultScene
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health, Side
from stall_then_strike.types.instrument import Ticks

_BACKLOG_FRAMES: Final = 10_000
"""How much a frozen feed keeps for the thaw: about a quarter of an hour."""
_STRIDE_NS: Final = 60 * NS_PER_S
"""So much of a market that lags behind its clock, after a sleep of the machine, is made up for in one go."""


class VenueClock(Protocol):
    """What the exchange needs of a clock."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, never going backwards."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return when ``now_ns`` has reached the deadline; at once if it already has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStatistics:
    """Counts since the exchange was made, over all its starts."""

    clients: int
    """Connected now."""
    connections: int
    frames_sent: int
    rpc_requests: int
    rpc_errors: int
    slow_clients_cut: int
    silent_clients_cut: int
    http_requests: int
    http_refused: int


class BitflyerExchange:
    """An async context manager: the venue is up inside the block, and can be brought up again on the same port."""

    def __init__(
        self,
        source: MarketSource,
        *,
        clock: VenueClock | None,
        host: str = "127.0.0.1",
        port: int = 0,
        ping_s: float = 15.0,
        queue_frames: int = 512,
        ip_limit: int | None = 500,
        private: PrivateVenue | None = None,
        audit: Audit | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        """Nothing is opened yet.

        ``clock`` should start at about the source's time, because everything older is sent at once; None means maximal
        speed. Port 0 lets the system choose at the first start. ``ping_s`` is in real seconds. ``ip_limit`` is the
        number of HTTP calls per address and five minutes, None for no limit. ``private`` must be of the same market.
        ``audit`` hears of everything received; by default one that keeps the newest records. The windows of ``faults``
        count from the source's present moment; more can be injected at any time through :attr:`faults`.
        """
        if private is not None and private.market is not source:
            raise ValueError("the private side is of another market")
        self._private = private
        self._source = source
        self._clock = clock
        self._host = host
        self._port = port
        self._product = source.instrument.product_code
        self.audit = Audit() if audit is None else audit
        self.faults = FaultInjector(faults, start_ns=source.now_ns, now_ns=self._now_ns)
        self.faults.on_change = self._wake
        self._deletions = LostDeletions(source)
        self._scene = FaultScene(source, self.faults, private=private, deletions=self._deletions)
        self._feed = FaultyFeed(source, self.faults, self._scene, private)
        self._calls = FaultyCalls(self.faults, now_ns=self._now_ns, sleep_until=self._wait_until, audit=self.audit)
        self._hub = RealtimeHub(
            ping_s=ping_s,
            queue_frames=queue_frames,
            new_session=self._new_session,
            reply_trouble=self._calls.reply_trouble,
        )
        addresses = AddressCalls(ip_limit)
        calendar = Calendar() if private is None else private.settings.calendar
        self._rest = PublicRest(source, now_ns=self._now_ns, addresses=addresses, calendar=calendar, audit=self.audit)
        self._private_rest = None if private is None else PrivateRest(private, addresses, self.audit)
        if private is not None and self._private_rest is not None:
            private.desk.mishaps = self.faults
            self._private_rest.shown_ns = self.faults.shown_ns
        self._tasks: asyncio.TaskGroup | None = None
        self._nap: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self._ended = asyncio.Event()
        self._is_frozen = False
        self._backlog: deque[Frame] = deque(maxlen=_BACKLOG_FRAMES)
        self._muted: set[str] = set()

    # --- life -----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen and start the market. Raises OSError when the port cannot be had."""
        app = web.Application(middlewares=[self._calls.middleware()])
        app.on_response_prepare.append(self._stamp)
        app.router.add_get(REALTIME_PATH, self._hub.serve)
        if self._private_rest is not None:
            app.router.add_route("*", "/v1/me/{call:.*}", self._answer_private)
        app.router.add_routes(self._rest.routes())
        # A handler ends with its client, for there are answers that never come.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        async with AsyncExitStack() as stack:
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self._host, self._port).start()
            self._host, self._port = runner.addresses[0][:2]  # of a name, one of its addresses
            self._calls.open()
            stack.callback(self._calls.close)
            stack.push_async_callback(self._hub.close_all)
            tasks = self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            pump = tasks.create_task(self._pump())
            stack.callback(pump.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Stop the market, close the sockets, free the port. A market that failed raises here, in a group."""
        if isinstance(exc, asyncio.CancelledError):  # perhaps by our own task group, which has to know
            return await self._stack.__aexit__(exc_type, exc, traceback)
        await self._stack.aclose()
        return None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the first start if none was asked for."""
        return self._port

    @property
    def base_url(self) -> str:
        """Address for REST, without the ``/v1``."""
        return f"http://{address(self._host, self._port)}"

    @property
    def ws_url(self) -> str:
        """Address of the realtime API."""
        return f"ws://{address(self._host, self._port)}/json-rpc"

    @property
    def source(self) -> MarketSource:
        """The market behind the venue."""
        return self._source

    async def wait_ended(self) -> Literal[True]:
        """Return when the market is over (a tape's end) and all of it was handed to the sockets."""
        return await self._ended.wait()

    async def wait_subscribed(self, channel: Channel | str, clients: int = 1) -> None:
        """Return when so many clients listen to a public channel, or to a private one by its name."""
        await self._hub.wait_subscribed(self._name_of(channel), clients)

    def statistics(self) -> ExchangeStatistics:
        """Counts so far."""
        counters = self._hub.counters
        return ExchangeStatistics(
            clients=self._hub.connections,
            connections=counters.connections,
            frames_sent=counters.frames,
            rpc_requests=self._hub.requests,
            rpc_errors=self._hub.errors,
            slow_clients_cut=counters.slow_clients,
            silent_clients_cut=counters.silent_clients,
            http_requests=self._rest.requests + (0 if self._private_rest is None else self._private_rest.requests),
            http_refused=self._rest.refused + (0 if self._private_rest is None else self._private_rest.refused),
        )

    # --- trouble, as venues make it -------------------------------------------------------------------------------

    async def close_clients(self, code: int = 1012, reason: str = "scheduled maintenance") -> None:
        """Close every socket; by default as bitFlyer does at its daily maintenance (client logs of 2023)."""
        await self._hub.close_all(code, reason)

    def abort_clients(self) -> None:
        """Cut every line without a close frame."""
        self._hub.abort_all()

    def freeze(self) -> None:
        """Send no more market data over sockets that stay alive; the market itself goes on."""
        self._is_frozen = True

    def thaw(self, *, deliver_backlog: bool = False) -> None:
        """Send again; what was held back is lost, as after a stuck feed, or delivered late in one burst."""
        self._is_frozen = False
        backlog, self._backlog = self._backlog, deque(maxlen=_BACKLOG_FRAMES)
        if deliver_backlog:
            for frame in backlog:
                self._hub.publish(frame.channel, frame.text, frame.account)

    def mute(self, channel: Channel | str) -> None:
        """Let one channel go silent while the others talk."""
        self._muted.add(self._name_of(channel))

    def unmute(self, channel: Channel | str) -> None:
        """Let it talk again; what it missed is lost."""
        self._muted.discard(self._name_of(channel))

    def inject(self, channel: Channel | str, text: str) -> int:
        """Send a text frame, whatever it says, to the clients of a channel; return to how many."""
        return self._hub.publish(self._name_of(channel), text)

    def lose_deletion(self, side: Side, price: Ticks | None = None) -> None:
        """Leave the next deletion of a level out of the deltas; the next snapshot heals it.

        Without a price: the next one that leaves a phantom best behind. The venue does so itself now and then (one of
        219 recorded messages).
        """
        self._deletions.expect(side, price)

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change the board's state or the venue's health, from now on."""
        self._source.set_condition(state=state, health=health)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _name_of(self, channel: Channel | str) -> str:
        return channel.of(self._product) if isinstance(channel, Channel) else channel

    def _now_ns(self) -> int:
        return self._source.now_ns if self._clock is None else self._clock.now_ns()

    async def _pump(self) -> None:
        """Move the market and send what it says."""
        feed, clock = self._feed, self._clock
        while (wake_ns := feed.next_wake_ns()) is not None:
            if clock is None:
                if not self.faults.bars_clients(self._now_ns()):  # else it would wait for itself to let them in
                    await self._hub.wait_subscribed()
            else:
                await self._sleep_until(clock, wake_ns)
                wake_ns = min(clock.now_ns(), wake_ns + _STRIDE_NS)
            for frame in feed.advance(wake_ns):
                await self._deliver(frame)
            await asyncio.sleep(0)  # neither a clock that lags nor a queue with room gives the others their turn
        await self._hub.wait_sent()
        self._ended.set()

    async def _sleep_until(self, clock: VenueClock, wake_ns: int) -> None:
        """Sleep, but not on when a request makes something due earlier."""
        if self._tasks is None:
            raise AssertionError("the pump runs in the exchange's task group")
        self._nap = self._tasks.create_task(clock.sleep_until(wake_ns))
        try:
            await asyncio.wait((self._nap,))
        finally:
            self._nap.cancel()

    def _wake(self) -> None:
        """Let the pump look again at when something is due."""
        if self._nap is not None:
            self._nap.cancel()

    async def _wait_until(self, deadline_ns: int) -> None:
        """Wait for a moment of venue time; at maximal speed nothing is waited for."""
        if self._clock is not None:
            await self._clock.sleep_until(deadline_ns)

    async def _stamp(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Tell the venue's time, not this machine's, in everything that goes out over HTTP."""
        skew_s = self._scene.skew_ns // NS_PER_S
        date_s = self._now_ns() // NS_PER_S + skew_s + response.get(DATE_OFF_S, 0)
        response.headers["Date"] = formatdate(date_s, usegmt=True)
        if skew_s:
            for name in [name for name in response.headers if name.lower().endswith("ratelimit-reset")]:
                response.headers[name] = str(int(response.headers[name]) + skew_s)

    async def _catch_up(self) -> int:
        """Bring the market to the present and send what it says; return the present."""
        now_ns = self._now_ns()
        if self._clock is not None:
            for frame in self._feed.advance(now_ns):
                await self._deliver(frame)
        return now_ns

    async def _answer_private(self, request: web.Request) -> web.Response:
        if self._private is None or self._private_rest is None:
            raise AssertionError("the route exists only with a private side")
        body = await request.read()
        now_ns = await self._catch_up()
        answer = self._private_rest.answer(
            RestCall(
                method=request.method,
                target=request.raw_path,
                headers=request.headers,
                body=body,
                address=request.remote or "",
            ),
            now_ns,
        )
        self._wake()
        await self._wait_until(now_ns + self._private.answer_delay_ns())
        response = web.Response(status=answer.status, text=answer.text, content_type=answer.content_type)
        response.headers.update(answer.headers)
        return response

    def _new_session(self) -> RpcSession:
        return RpcSession(None if self._private is None else self._log_in, on_request=self._on_request)

    def _log_in(self, params: Any) -> str:
        if self._private is None:
            raise AssertionError("`auth` exists only with a private side")
        now_ns = self._now_ns()
        fault = self.faults.take(Site.AUTH, now_ns)
        if fault is not None and fault.kind is FaultKind.FAIL_AUTH:
            raise RpcError(INTERNAL_ERROR, "Internal error")
        if fault is not None:
            raise RpcError(-500, "Authentication failed")
        return self._private.log_in(params, now_ns)

    def _on_request(self, method: str, params: Any, account: str | None, answer: str) -> None:
        body = "" if method == "auth" else orjson.dumps(params).decode()  # no key, no signature
        self.audit.add(
            Received(time_ns=self._now_ns(), transport="ws", account=account, what=method, body=body, answer=answer)
        )

    async def _deliver(self, frame: Frame) -> None:
        if frame.channel in self._muted:
            return
        if frame.channel.startswith(CONTROL_PREFIX):
            self._handle_sockets(frame)
            return
        frame = self._deletions.apply(frame)
        if self._is_frozen:
            self._backlog.append(frame)
        elif self._clock is None:
            await self._hub.publish_waiting(frame.channel, frame.text, frame.account)
        else:
            self._hub.publish(frame.channel, frame.text, frame.account)

    def _handle_sockets(self, order: Frame) -> None:
        if order.channel == CLOSE_SOCKETS and self._tasks is not None:
            self._tasks.create_task(self.close_clients(reason=order.text))
        elif order.channel == ABORT_SOCKETS:
            self._hub.abort_all()
        elif order.channel == SILENCE_SOCKETS:
            self._hub.silence_all()
        elif order.channel == END_SILENCE:
            self._hub.end_silence()
            self._calls.mend()


def address(host: str, port: int) -> str:
    """Host and port as a URL has them, to connect from this machine: all addresses are told as its own."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing listens by this
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""bitFlyer on loopback: one port that speaks REST under ``/v1/`` and JSON-RPC at ``/json-rpc``.

This file joins a market (generator or tape), a clock, the venue's two interfaces and the faults between them and the
clients (`faults/`). It also has switches with which a test makes the venue misbehave by hand. The content of messages
is in `bitflyer/wire.py`, `rpc.py` and `public_rest.py`. The market decides when a frame leaves, the clock at what pace:

- with a clock, a frame leaves when the clock shows its time (real time, or a multiple of it), to whoever is connected;
- without a clock, frames leave as fast as the subscribed clients read them. The market stands still while nobody is
  subscribed, and HTTP is answered at once.

Several products are one source (`exchange/several_markets.py`), each with its private side.

With a private side (`private_venue.py`) the venue has accounts. `private_rest.py` answers their calls at the market's
current time, and each answer leaves after its own delay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Literal

import orjson
from aiohttp import web

from stall_then_strike.sim.bitflyer.limits import AddressCalls
from stall_then_strike.sim.bitflyer.private_rest import PrivateRest, RestCall
from stall_then_strike.sim.bitflyer.private_venue import PrivateVenue
from stall_then_strike.sim.bitflyer.public_rest import PublicRest
from stall_then_strike.sim.bitflyer.rpc import INTERNAL_ERROR, RpcError, RpcSession
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.exchange.several_markets import products_of
from stall_then_strike.sim.exchange.source import (
    CONTROL_PREFIX,
    Channel,
    Frame,
    MarketSource,
    VenueClock,
)
from stall_then_strike.sim.faults.faulty_calls import DATE_OFF_S, REALTIME_PATH, FaultyCalls
from stall_then_strike.sim.faults.faulty_feed import FaultyFeed
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind, FaultPlan, Site
from stall_then_strike.sim.faults.lost_deletions import LostDeletions
from stall_then_strike.sim.faults.scene import FaultScene
from stall_then_strike.sim.hub import PingWatch, RealtimeHub
from stall_then_strike.sim.loopback import STRIDE_NS, Loopback
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health


class BitflyerExchange(Loopback):
    """The venue, up inside an ``async with`` block."""

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
        """Open nothing yet.

        ``clock`` should start near the source's time, because everything older is sent at once; None means maximal
        speed. Port 0 lets the system choose at the first start. ``ping_s`` is in real seconds. ``ip_limit`` is the
        number of HTTP calls per address in five minutes, None for no limit. ``private`` must belong to the same market;
        of several products it is the first one's, and the others are made beside it.
        ``audit`` records everything received; the default keeps the newest records. The windows of ``faults`` count
        from the source's current time; more can be injected at any time through :attr:`faults`.
        """
        if private is not None:
            sides: dict[str, MarketSource] = {code: venue.market for code, venue in private.products.items()}
            if sides != products_of(source):
                raise ValueError("the private side is of another market")
        self._private = private
        self._source = source
        self._clock = clock
        self._product = source.instrument.product_code
        self.audit = Audit() if audit is None else audit
        self.faults = FaultInjector(faults, start_ns=source.now_ns, now_ns=self._now_ns)
        self._deletions = LostDeletions(source)
        self._scene = FaultScene(source, self.faults, private=private, deletions=self._deletions)
        self._feed = FaultyFeed(source, self.faults, self._scene, private)
        calls = FaultyCalls(self.faults, now_ns=self._now_ns, sleep_until=self._wait_until, audit=self.audit)
        hub = RealtimeHub(
            watch=PingWatch(interval_s=ping_s),
            queue_frames=queue_frames,
            new_session=self._new_session,
            reply_trouble=calls.reply_trouble,
        )
        super().__init__(host, port, hub, calls)
        self.faults.on_change = self.wake
        addresses = AddressCalls(ip_limit)
        calendar = Calendar() if private is None else private.settings.calendar
        self._rest = PublicRest(source, now_ns=self._now_ns, addresses=addresses, calendar=calendar, audit=self.audit)
        self._private_rest = None if private is None else PrivateRest(private, addresses, self.audit)
        if private is not None and self._private_rest is not None:
            for venue in private.products.values():
                venue.desk.mishaps = self.faults
            self._private_rest.shown_ns = self.faults.shown_ns
        self._ended = asyncio.Event()

    @property
    def source(self) -> MarketSource:
        """The market behind the venue."""
        return self._source

    async def wait_ended(self) -> Literal[True]:
        """Return when the market has ended (end of a tape) and all its frames were handed to the sockets."""
        return await self._ended.wait()

    async def wait_subscribed(self, channel: Channel | str, clients: int = 1) -> None:
        """Return when ``clients`` clients are subscribed to a channel; a private channel is given by its name."""
        await super().wait_subscribed(self._name_of(channel), clients)

    @property
    def http_requests(self) -> int:
        """HTTP calls so far."""
        return self._rest.requests + (0 if self._private_rest is None else self._private_rest.requests)

    @property
    def http_refused(self) -> int:
        """Those refused over a limit."""
        return self._rest.refused + (0 if self._private_rest is None else self._private_rest.refused)

    def inject(self, channel: Channel | str, text: str) -> int:
        """Send any text frame to the subscribers of a channel; return the number of clients."""
        return self.hub.publish(self._name_of(channel), text)

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change the board's state or the venue's health, from now on."""
        self._source.set_condition(state=state, health=health)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _name_of(self, channel: Channel | str) -> str:
        return channel.of(self._product) if isinstance(channel, Channel) else channel

    def _now_ns(self) -> int:
        return self._source.now_ns if self._clock is None else self._clock.now_ns()

    def _route(self, app: web.Application) -> None:
        app.on_response_prepare.append(self._stamp)
        app.router.add_get(REALTIME_PATH, self.hub.serve)
        if self._private_rest is not None:
            app.router.add_route("*", "/v1/me/{call:.*}", self._answer_private)
        app.router.add_routes(self._rest.routes())

    async def _pump(self) -> None:
        """Advance the market and send its frames."""
        feed, clock = self._feed, self._clock
        while (wake_ns := feed.next_wake_ns()) is not None:
            if clock is None:
                if not self.faults.bars_clients(self._now_ns()):  # clients barred by a fault get in only as time passes
                    await self.hub.wait_subscribed()
            else:
                await self._nap(clock.sleep_until(wake_ns))
                wake_ns = min(clock.now_ns(), wake_ns + STRIDE_NS)
            for frame in feed.advance(wake_ns):
                await self._deliver(frame)
            await asyncio.sleep(0)  # a lagging clock and a queue with room do not yield
        await self.hub.wait_sent()
        self._ended.set()

    async def _wait_until(self, deadline_ns: int) -> None:
        """Wait until a moment of venue time; at maximal speed return at once."""
        if self._clock is not None:
            await self._clock.sleep_until(deadline_ns)

    async def _stamp(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Put the venue's time, not this machine's, into the headers of every HTTP answer."""
        skew_s = self._scene.skew_ns // NS_PER_S
        date_s = self._now_ns() // NS_PER_S + skew_s + response.get(DATE_OFF_S, 0)
        response.headers["Date"] = formatdate(date_s, usegmt=True)
        if skew_s:
            for name in [name for name in response.headers if name.lower().endswith("ratelimit-reset")]:
                response.headers[name] = str(int(response.headers[name]) + skew_s)

    async def _catch_up(self) -> int:
        """Advance the market to the current time and send its frames; return that time."""
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
        self.wake()
        await self._wait_until(now_ns + self._private.answer_delay_ns())
        response = web.Response(status=answer.status, text=answer.text, content_type=answer.content_type)
        response.headers.update(answer.headers)
        return response

    def _new_session(self, _request: web.Request, on_change: Callable[[], None]) -> RpcSession:
        log_in = None if self._private is None else self._log_in
        return RpcSession(log_in, on_change=on_change, on_request=self._on_request)

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
        if frame.channel.startswith(CONTROL_PREFIX):
            self._control_sockets(frame)
            return
        frame = self._deletions.apply(frame)
        if self._clock is None:
            await self.hub.publish_waiting(frame.channel, frame.text, frame.account)
        else:
            self.hub.publish(frame.channel, frame.text, frame.account)

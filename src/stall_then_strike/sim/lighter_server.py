"""Lighter on loopback: one port that speaks REST under ``/api/v1/`` and WebSocket at ``/stream``.

The venue, its crowd and what they publish are pure (`lighter/`); this file gives them a clock and sockets, and puts the
faults (`faults/`) between them and the clients. A task lets what is due happen, and every call does so, too, before it
reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import orjson
from aiohttp import web

from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.exchange.source import CONTROL_PREFIX, Frame, VenueClock
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.faults.lighter_calls import STREAM_PATH, LighterCalls
from stall_then_strike.sim.faults.lighter_frames import LighterFrames
from stall_then_strike.sim.faults.lighter_scene import CLOSE_REASON, END_RESTART, SHUT_DOWN, LighterScene
from stall_then_strike.sim.hub import RealtimeHub
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, LighterMarket, Plan
from stall_then_strike.sim.lighter.crowd import Crowd
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, VenueSettings
from stall_then_strike.sim.lighter.realtime.keepalive import Keepalive
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed
from stall_then_strike.sim.lighter.realtime.reception import Reception
from stall_then_strike.sim.lighter.realtime.stream import TOO_MANY_CONNECTIONS
from stall_then_strike.sim.lighter.realtime.stream_limits import StreamLimits
from stall_then_strike.sim.lighter.rest import LighterRest
from stall_then_strike.sim.lighter.venue_events import VenueEvent
from stall_then_strike.sim.lighter_desk import LighterDesk
from stall_then_strike.sim.loopback import STRIDE_NS, Loopback
from stall_then_strike.types.dto import NS_PER_MS


class Credentials(NamedTuple):
    """What a client needs to trade for an account."""

    account_index: int
    api_key_index: int
    private_key: str
    """Hexadecimal, with 0x."""


class LighterExchange(Loopback):
    """The venue, up inside an ``async with`` block."""

    _calls: LighterCalls

    def __init__(
        self,
        *,
        clock: VenueClock,
        markets: Iterable[LighterMarket] = MARKETS,
        seed: int = 0,
        plan: Plan = Plan.STANDARD,
        settings: VenueSettings | None = None,
        has_crowd: bool = False,
        models: Mapping[int, FlowModel] | None = None,
        faults: FaultPlan | None = None,
        limits: StreamLimits | None = None,
        keepalive: Keepalive | None = None,
        queue_frames: int = 4_096,
        host: str = "127.0.0.1",
        port: int = 0,
        audit: Audit | None = None,
        signing_ns: Callable[[], int] | None = None,
        clients_ns: Callable[[], int] | None = None,
    ) -> None:
        """Open nothing yet. ``settings`` has its own plan and overrides ``plan``. Port 0 lets the system choose.

        Where ``clock`` runs faster or slower, ``signing_ns`` is the machine's clock, which the SDK's signer reads.
        ``clients_ns`` is the one by which clients state other times, if it is not ``clock`` either.

        ``has_crowd`` fills the markets with other participants, by ``models`` where a market has one; without it books
        hold what clients send. The windows of ``faults`` count from now; more can be injected at any time through
        :attr:`faults`. ``limits`` are those of the stream, ``queue_frames`` bounds each client's queue.
        """
        self._clock = clock
        self.audit = Audit() if audit is None else audit
        settings = VenueSettings(plan=plan) if settings is None else settings
        start_ns = clock.now_ns()
        self.venue = LighterVenue(markets, start_ns=start_ns, seed=seed, settings=settings)
        self.venue.signing_ns, self.venue.clients_ns = signing_ns, clients_ns
        self.crowd = Crowd(self.venue, seed=seed, start_ns=start_ns, models=models) if has_crowd else None
        self.feed = LiveFeed(self.venue, self.crowd)
        self.keepalive = Keepalive() if keepalive is None else keepalive
        self.faults = FaultInjector(faults, start_ns=start_ns, now_ns=clock.now_ns)
        self._frames = LighterFrames(self.feed, self.faults, LighterScene(self.faults, self.keepalive))
        calls = LighterCalls(self.faults, now_ns=clock.now_ns, sleep_until=clock.sleep_until, audit=self.audit)
        self._desk = LighterDesk(
            self.venue, self.feed, self._frames, self.faults, settled_ns=self._read_clock, wake=self.wake
        )
        self._reception = Reception(
            self._desk,
            self.feed,
            limits=StreamLimits() if limits is None else limits,
            seed=seed,
            audit=self.audit,
            now_ns=clock.now_ns,
        )
        hub = RealtimeHub(
            watch=self.keepalive,
            queue_frames=queue_frames,
            new_session=self._reception.new_session,
            reply_trouble=calls.reply_trouble,
            has_compression=True,
        )
        super().__init__(host, port, hub, calls)
        self.faults.on_change = self.wake
        self._rest = LighterRest(self.venue, now_ns=self._read_clock, audit=self.audit)
        self._rest.took = self.wake

    @property
    def listeners(self) -> list[Callable[[list[VenueEvent]], None]]:
        """Called with what has happened in the venue, in its order."""
        return self.feed.listeners

    def add_account(self, usdc: int = 10_000, *, api_key_index: int = 4, plan: Plan | None = None) -> Credentials:
        """Open an account with that many USDC and a throw-away key."""
        account = self.venue.add_account(usdc * MICRO, plan=plan)
        return self.add_key(account.index, api_key_index)

    def add_key(self, account_index: int, api_key_index: int) -> Credentials:
        """Register another throw-away key."""
        private = self.venue.add_key(self.venue.account(account_index), api_key_index)
        return Credentials(account_index, api_key_index, f"0x{private.hex()}")

    @property
    def refused(self) -> Mapping[str, int]:
        """Connections, messages and subscriptions refused over a limit of the stream."""
        return self._reception.refused

    def settle(self) -> None:
        """Let what is due happen now, tell the listeners and send the frames."""
        now_ns = self._clock.now_ns()
        while (step_ns := min(now_ns, self.feed.now_ns + STRIDE_NS)) < now_ns:
            self._advance(step_ns)
        self._advance(now_ns)

    # --- time -----------------------------------------------------------------------------------------------------

    def _read_clock(self) -> int:
        """The current time, at which everything due has had its effect."""
        self.settle()
        return self.feed.now_ns

    def _advance(self, until_ns: int) -> None:
        for frame in self._frames.advance(until_ns):
            if frame.channel.startswith(CONTROL_PREFIX):
                self._control_sockets(frame)
            else:
                self.hub.publish(frame.channel, frame.text)

    async def _pump(self) -> None:
        """Let what is due happen when it is due."""
        while True:
            self.settle()
            wake_ns = self._frames.next_wake_ns()
            if wake_ns is None:
                raise AssertionError("the feed never ends")
            await self._nap(self._clock.sleep_until(wake_ns))
            await asyncio.sleep(0)  # a clock that lags does not yield

    # --- sockets --------------------------------------------------------------------------------------------------

    def _route(self, app: web.Application) -> None:
        app.router.add_get(STREAM_PATH, self._serve_stream)
        app.router.add_routes(self._rest.routes())

    async def _serve_stream(self, request: web.Request) -> web.StreamResponse:
        if not self._reception.admits(request):
            return web.json_response({"code": TOO_MANY_CONNECTIONS, "message": "Too Many Connections!"}, status=429)
        return await self.hub.serve(request)

    def _control_sockets(self, order: Frame) -> None:
        if self._tasks is None:
            return
        if order.channel == SHUT_DOWN:
            self._calls.is_restarting = True
            self.hub.broadcast(orjson.dumps({"type": "shutdown", "close_in_ms": int(order.text)}).decode())
            self._start(self._close_at(order.time_ns + int(order.text) * NS_PER_MS))
        elif order.channel == END_RESTART:
            self._calls.is_restarting = False
        else:
            super()._control_sockets(order)

    async def _close_at(self, time_ns: int) -> None:
        """Close all sockets when the notice of a restart is over."""
        await self._clock.sleep_until(time_ns)
        await self.hub.close_all(1012, CLOSE_REASON)

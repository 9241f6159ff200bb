"""bitFlyer as live trading uses it: a session, a REST client for each product, and the polled state of the venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NoReturn, Self

import aiohttp
import pybotters
from yarl import URL

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.bitflyer.cancel_all import CancelAll
from stall_then_strike.infra.bitflyer.credentials import Credentials, may_sign_for, sign_for
from stall_then_strike.infra.bitflyer.venue_status import poll_venue_status
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.http_bitflyer import BitflyerHttp, SignedLine
from stall_then_strike.infra.line.own_machine import is_own_machine
from stall_then_strike.infra.line.ready_line import ReadyLine
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.pyb_session import PyBotterSession
from stall_then_strike.infra.watch.pauses import Pause
from stall_then_strike.types.dto import LimitReading
from stall_then_strike.venues.bitflyer_checks import bitflyer_checks
from stall_then_strike.venues.connection import Desk, Listener, SessionEvent, Unheard
from stall_then_strike.venues.findings import CheckResult


class BitflyerConnection:
    """One account at bitFlyer, or the public side alone."""

    def __init__(self, cfg: AppConfig, clock: ScaledClock, credentials: Credentials | None) -> None:
        """Open nothing yet. Without ``credentials`` there is the public side alone.

        Requests are signed for bitFlyer's hosts and for this machine alone, wherever ``cfg`` says they go.
        """
        self._cfg, self._clock, self._credentials = cfg, clock, credentials
        self._each = cfg.by_instrument()
        self._stack = AsyncExitStack()
        self.rules = bitflyer_rules(cfg)
        self._listener: Listener = Unheard()
        first, *others = self._sinks()
        self.session = PyBotterSession(cfg, clock, first, credentials, others)
        self.session.on_pause = self._on_pause
        self.feeds: Sequence[InstrumentFeed] = self.session.feeds.all
        self.https: Sequence[BitflyerHttp] = ()
        self.desks: Sequence[Desk] = ()
        self._line: ReadyLine | None = None
        """For orders and cancels; None where nothing is signed."""

    async def __aenter__(self) -> Self:
        """Create the clients. Nothing is sent."""
        session, credentials, base_url = self.session, self._credentials, self._cfg.exchange.base_url
        if credentials is not None:
            for url in (base_url, self._cfg.exchange.ws_url):
                if is_own_machine(host := _host(url)):
                    self._stack.enter_context(sign_for(host))
        await self._stack.enter_async_context(session)
        at_once = None
        if credentials is not None and may_sign_for(_host(base_url)):
            limit_s = float(self._cfg.pybotters.timeout_sec)
            self._line = ReadyLine(base_url, connect_s=limit_s)
            at_once = SignedLine(self._line, base_url, credentials)
        self.https = [
            BitflyerHttp(
                session.get_client(),
                each.exchange,
                self._clock,
                timeout=session.call_timeout,
                on_reading=self._on_reading,
                on_skew=self._on_skew,
                redact=str if credentials is None else credentials.redact,
                at_once=at_once,
            )
            for each in self._each
        ]
        self.desks = [
            Desk(http, http.report, session.renew, feed.view.set_own)
            for http, feed in zip(self.https, self.feeds, strict=True)
        ]
        return self

    async def __aexit__(self, *exc: Any) -> None:
        """Close the session."""
        await self._stack.__aexit__(*exc)

    @property
    def listener(self) -> Listener:
        """The run. The session gives its events to it directly."""
        return self._listener

    @listener.setter
    def listener(self, listener: Listener) -> None:
        self._listener = listener
        self.session.listen(self._sinks())

    def _sinks(self) -> list[Callable[[SessionEvent], None]]:
        return [partial(self._listener.on_session, number=number) for number in range(len(self._each))]

    @property
    def calls_made(self) -> int:
        """Private calls made so far."""
        return sum(http.private_calls for http in self.https)

    async def check(self) -> list[CheckResult]:
        """Key, permissions, margin, orders, positions and limits: six calls for each product."""
        return await bitflyer_checks(self._each, self._credentials, self.https, self._clock)

    async def poll_status(self) -> NoReturn:
        """Ask for state and load of each product in turn; keep connections ready for orders meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            if self._line is not None:
                tasks.create_task(self._line.keep_open())
            await poll_venue_status(self.https, self._clock, self._on_event)

    def forget_skew(self) -> None:
        """Forget the dates of earlier answers."""
        for http in self.https:
            http.skew.forget()

    # The listener is set once the run is made, which is after this.

    def _on_event(self, event: SessionEvent, number: int) -> None:
        self._listener.on_session(event, number)

    def _on_reading(self, reading: LimitReading) -> None:
        self._listener.on_reading(reading)

    def _on_skew(self, skew_ns: int) -> None:
        self._listener.on_skew(skew_ns)

    def _on_pause(self, pause: Pause) -> None:
        if self._line is not None:
            self._line.close()
        self._listener.on_pause(pause)


@asynccontextmanager
async def bitflyer_cancel_all(cfg: AppConfig, credentials: Credentials) -> AsyncIterator[CancelAll]:
    """The watchdog's hand: a client of its own. Raises ConfigError for an address that is not signed for."""
    limit = aiohttp.ClientTimeout(total=float(cfg.pybotters.timeout_sec))
    with sign_for(_host(cfg.exchange.base_url)):
        async with pybotters.Client(apis=credentials.apis(), base_url=cfg.exchange.base_url, timeout=limit) as client:
            yield CancelAll(client, credentials, cfg.products, limit)


def _host(url: str) -> str:
    try:
        return URL(url).host or ""
    except ValueError:  # the check of the address reports it
        return ""

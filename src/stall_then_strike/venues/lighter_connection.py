"""Lighter as live trading uses it: one session, a desk for each market, and the venue's clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NoReturn, Self

from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.line.clock_skew import ClockSkew
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.watch.pauses import Pause
from stall_then_strike.lighter.client import ask_time
from stall_then_strike.lighter.factory import LighterFactory, LighterParts, market_parts
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import VenueError
from stall_then_strike.venues.connection import Desk, Listener, SessionEvent, Unheard
from stall_then_strike.venues.findings import CheckResult
from stall_then_strike.venues.lighter_checks import lighter_checks
from stall_then_strike.venues.lighter_session import LighterSession
from stall_then_strike.venues.venue_rules import venue_rules

_TIME_EVERY_S: Final = 60.0


class LighterConnection:
    """One account at Lighter, or the public side alone."""

    def __init__(self, cfg: AppConfig, clock: ScaledClock, account: LighterAccount | None) -> None:
        """Open nothing yet. Without ``account`` there is the public side alone."""
        self._cfg, self._clock, self._account = cfg, clock, account
        self.rules = venue_rules(cfg)
        self.listener: Listener = Unheard()
        self._skew = ClockSkew()
        self._parts: LighterParts | None = None
        self._session: LighterSession | None = None
        self.feeds: Sequence[InstrumentFeed] = ()
        self.desks: Sequence[Desk] = ()

    async def __aenter__(self) -> Self:
        """Load the signer if there is an account. Nothing is sent.

        With an account, raises ConfigError without the extra ``lighter``, and for a bad key.
        """
        numbers = range(len(self._cfg.by_instrument()))
        sinks = [partial(self._on_event, number=number) for number in numbers]
        if self._account is None:
            market = market_parts(self._cfg, self._clock)
            self._session = LighterSession(market, None, self._clock, sinks, self._on_pause)
            self.feeds = market.feeds
            return self
        self._parts = parts = LighterFactory(self._cfg, self._account, self._clock).make(sinks)
        self._session = LighterSession(parts, parts.account, self._clock, sinks, self._on_pause)
        self.feeds = parts.feeds
        account, broker = parts.account, parts.broker
        self.desks = [
            Desk(
                broker.gateway(feed.market, feed.board),
                partial(account.report, number),
                account.renew,
                feed.view.set_own,
            )
            for number, feed in enumerate(parts.feeds)
        ]
        return self

    async def __aexit__(self, *exc: Any) -> None:
        """Close the session and the SDK's connections."""
        self.listener = Unheard()  # that the channels end now is no news
        if self._session is not None:
            await self._session.close()
        if self._parts is not None:
            await self._parts.aclose()

    @property
    def session(self) -> LighterSession:
        """The realtime connection."""
        if self._session is None:
            raise RuntimeError("the connection is not open")
        return self._session

    @property
    def tokens(self) -> Tokens | None:
        """The account's tokens, for questions beside its own; None without an account."""
        return None if self._parts is None else self._parts.tokens

    @property
    def calls_made(self) -> int:
        """Calls made so far."""
        return 0 if self._parts is None else self._parts.calls.made

    async def check(self) -> list[CheckResult]:
        """Address, clock, markets, key, account, orders and positions: five calls and one for the list of keys."""
        await self._look_at_clock()
        return await lighter_checks(self._cfg, self._account, self._parts, self._skew, self._clock)

    async def poll_status(self) -> NoReturn:
        """Compare the clocks once a minute. States of markets come by themselves."""
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + round(_TIME_EVERY_S * NS_PER_S))
            await self._look_at_clock()
            if (skew_ns := self._skew.skew_ns()) is not None:
                self.listener.on_skew(skew_ns)

    async def _look_at_clock(self) -> None:
        sent_ns = self._clock.now_ns()
        try:
            date_ns = await ask_time(self._cfg.exchange.base_url, self._clock)
        except VenueError as error:
            logger.bind(channel="ws").debug("{}", error)
            return
        self._skew.add(date_ns=date_ns, sent_ns=sent_ns, received_ns=self._clock.now_ns())

    def forget_skew(self) -> None:
        """Forget what was measured."""
        self._skew.forget()

    # The listener is set once the run is made, which is after this.

    def _on_event(self, event: SessionEvent, number: int) -> None:
        self.listener.on_session(event, number)

    def _on_pause(self, pause: Pause) -> None:
        self.listener.on_pause(pause)

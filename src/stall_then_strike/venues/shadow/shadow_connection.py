"""A venue's connection whose desks are on paper: the market, the account's events and reports are real, orders are not.

The desks of the connection behind it are asked for reports and given no order, so nothing that changes the account can
reach the venue. What happens on the real account is told, and kept from the run (`real_account`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn, Self

from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.infra.watch.pauses import Pause
from stall_then_strike.types.dto import (
    NS_PER_S,
    AccountReport,
    BoardSnapshot,
    BookStatus,
    Event,
    ExecId,
    FillEvent,
    FundingEvent,
    LimitReading,
    OrderEvent,
    PrivateChannel,
    PublicTrades,
    VenueStatus,
)
from stall_then_strike.types.instrument import Instrument, Money
from stall_then_strike.venues.connection import Connection, Desk, Listener, Session, SessionEvent, Unheard
from stall_then_strike.venues.findings import CheckResult, ok
from stall_then_strike.venues.shadow.paper_account import PaperAccount, Refrained
from stall_then_strike.venues.shadow.real_account import Change, RealAccount, Tell

_LONGEST_WAIT_S: Final = 1.0


class ShadowConnection:
    """A `Connection`, and the `Listener` of the one behind it."""

    def __init__(self, behind: Connection, cfg: AppConfig, clock: ScaledClock, tell: Tell) -> None:
        """``behind`` is not open yet, and is opened and closed with this one. ``tell`` gets what changes on the
        account."""
        self.behind: Final = behind
        self.rules = behind.rules
        self.listener: Listener = Unheard()
        self.desks: Sequence[Desk] = ()
        self._clock, self._tell = clock, tell
        self._papers = [
            PaperAccount(cfg, number, self.rules, sink=partial(self._on_paper, number), now_ns=clock.now_ns)
            for number in range(len(cfg.by_instrument()))
        ]
        self._reals = [RealAccount(one.instrument, tell) for one in self._papers]
        self._moved = asyncio.Event()
        for one in self._papers:
            one.on_sent = self._moved.set

    async def __aenter__(self) -> Self:
        """Open the connection behind. Nothing is sent."""
        await self.behind.__aenter__()
        self.behind.listener = self
        self.desks = [
            Desk(paper, partial(self._report, number), desk.renew, _not_displayed)
            for number, (paper, desk) in enumerate(zip(self._papers, self.behind.desks, strict=True))
        ]
        return self

    async def __aexit__(self, *exc: Any) -> None:
        """Close it."""
        self.session.tap = None  # that the line ends now is no news
        await self.behind.__aexit__(*exc)

    @property
    def session(self) -> Session:
        """The real one."""
        return self.behind.session

    @property
    def feeds(self) -> Sequence[InstrumentFeed]:
        """The real ones."""
        return self.behind.feeds

    @property
    def calls_made(self) -> int:
        """Calls that read."""
        return self.behind.calls_made

    @property
    def refrained(self) -> Refrained:
        """What a live run would have sent, of all instruments."""
        each = [one.refrained for one in self._papers]
        return Refrained(orders=sum(one.orders for one in each), cancels=sum(one.cancels for one in each))

    async def check(self) -> list[CheckResult]:
        """The venue's findings."""
        return [ok("shadow", "orders are filled on paper; nothing is sent"), *await self.behind.check()]

    async def poll_status(self) -> NoReturn:
        """Ask for the state of the venue, and let orders on paper take effect on time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.behind.poll_status())
            tasks.create_task(self._keep_time())
        raise AssertionError("they never end")

    def forget_skew(self) -> None:
        """Our clock has jumped."""
        self.behind.forget_skew()

    # --- orders on paper

    async def _keep_time(self) -> None:
        while True:
            self._advance()
            left_ns = min(one.paper.next_deadline_ns for one in self._papers) - self._clock.now_ns()
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(0.0, left_ns / self._clock.speed / NS_PER_S), _LONGEST_WAIT_S)):
                    await self._moved.wait()

    def _advance(self) -> None:
        now_ns = self._clock.now_ns()
        for one in self._papers:
            one.paper.advance(now_ns)

    def _on_paper(self, number: int, event: Event) -> None:
        if isinstance(event, OrderEvent | FillEvent | FundingEvent):
            self.listener.on_session(event, number)

    async def _report(self, number: int, since: ExecId) -> AccountReport:
        """The account on paper, at the time and the cost of a report of the real one. Raises as that does."""
        desk, real, paper = self.behind.desks[number], self._reals[number], self._papers[number]
        shown = await desk.report(real.since)
        is_first = not real.at_start
        real.take(shown)
        if is_first:
            logger.info("the account at the start, left alone: {}", real.at_start)
        won = sum(_in_money_of(paper.instrument, one) for one in self._papers)
        return paper.report(shown, since, Money(real.collateral_at_start + won))

    # --- the real market and account

    def on_session(self, event: SessionEvent, number: int) -> None:
        """Pass the market on, once orders on paper have met it."""
        if isinstance(event, PrivateChannel):
            self.listener.on_session(event, number)
        elif isinstance(event, BoardSnapshot | PublicTrades | VenueStatus):
            self._advance()
            self._show(event, number)
            self.listener.on_session(event, number)
        elif isinstance(event, FundingEvent):
            self._tell(Change(name="a payment on the account", seen=event.what, detail=event.what))
        else:
            what = "an execution" if isinstance(event, FillEvent) else "news of an order"
            detail = f"{what}, {event.order_id or event.client_order_id}"
            self._tell(Change(name="the private channel tells of what this run did not do", seen=what, detail=detail))

    def _show(self, event: BoardSnapshot | PublicTrades | VenueStatus, number: int) -> None:
        """Let the orders on paper meet the market."""
        paper = self._papers[number].paper
        if isinstance(event, BoardSnapshot):
            paper.on_book(self.feeds[number].board if event.status is BookStatus.OK else None, event.ts_ns)
        elif isinstance(event, PublicTrades):
            paper.on_trades(event)
        else:
            paper.on_status(event)

    def on_reading(self, reading: LimitReading) -> None:
        """Pass on what the venue says of a limit."""
        self.listener.on_reading(reading)

    def on_skew(self, skew_ns: int) -> None:
        """Pass on what is known of the clocks."""
        self.listener.on_skew(skew_ns)

    def on_pause(self, pause: Pause) -> None:
        """Pass on a pause."""
        self.listener.on_pause(pause)


def _not_displayed(quotes: Sequence[OwnQuote]) -> None:
    """The displayed book has no order of ours."""


def _in_money_of(unit: Instrument, other: PaperAccount) -> int:
    """What another instrument has won, in this one's money."""
    return (
        other.won
        * unit.ticks_per_one
        * unit.lots_per_one
        // (other.instrument.ticks_per_one * other.instrument.lots_per_one)
    )

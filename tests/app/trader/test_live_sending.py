"""What a step leaves behind, in which order: the journal, what is sent, what is logged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from stall_then_strike.app.trader.live_trader import LivePlace, LiveTrader
from stall_then_strike.app.trader.outbox import MOST_IN_FLIGHT
from stall_then_strike.engine.gateway import Later, Reply, Request
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.types.dto import (
    AccountReport,
    Changes,
    ClientOrderId,
    CloseMarket,
    DecisionLogRow,
    ExecId,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderLogRow,
    PlaceLimit,
    PrivateChannel,
    PublicTrade,
    PublicTrades,
    Reason,
    Reconcile,
    Step,
    TradeLogRow,
)
from stall_then_strike.types.errors import NotSent
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, SELL, core_of, fill, own_order
from tests.engine.venue.other_rules import OTHER_RULES
from tests.market_script import config
from tests.waiting import until

LIMIT_S = 10.0


class Story:
    """Journal, venue and logs in one, which tells in which order they heard. The venue answers when it is let."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.may_answer = asyncio.Event()
        self.asked = 0
        self.batches: list[int] = []

    def record(self, changes: Changes) -> None:
        self.heard.append("journal")

    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        self.heard.append("log")

    def send(self, batch: Sequence[Request]) -> Awaitable[Sequence[Reply]]:
        return Later(partial(self._send, batch))

    async def _send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        self.batches.append(len(batch))
        return [NotSent("send", "nothing is sent here") for _ in batch]

    async def report(self, since: ExecId) -> AccountReport:
        self.heard.append("sent")
        self.asked += 1
        await self.may_answer.wait()
        raise NotSent("getchildorders", "nothing is told here")

    def renew(self, why: str) -> None:
        raise AssertionError(why)

    def set_own(self, quotes: Sequence[OwnQuote]) -> None: ...


@asynccontextmanager
async def sending(story: Story, rules: VenueRules | None = None) -> AsyncIterator[LiveTrader]:
    cfg = config()
    feed = MarketFeed(cfg)
    core = core_of(cfg, rules, live=True)
    place = LivePlace(core=core, feed=feed, logs=story, desk=story)
    trader = LiveTrader(Portfolio(cfg.risk, [core]), SystemClock(), [place], story)
    async with asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(trader.send())
        await asyncio.sleep(0)
        yield trader
        sender.cancel()


async def test_journal_then_venue_then_log() -> None:
    story = Story()
    async with sending(story) as trader:
        trader.on_event(PrivateChannel(ts_ns=trader.clock.now_ns(), is_live=True))
        assert story.heard == ["journal"]
        await until(lambda: "log" in story.heard)
        assert story.heard[:3] == ["journal", "sent", "log"]


async def test_rows_are_logged_although_the_sender_ends_at_once() -> None:
    story = Story()
    async with sending(story) as trader:
        trader.on_event(PrivateChannel(ts_ns=trader.clock.now_ns(), is_live=True))
    assert "log" in story.heard


async def test_more_than_may_be_under_way_waits_its_turn() -> None:
    story = Story()
    async with sending(story) as trader:
        for _ in range(2):
            trader._take(trader.seats[0], Step((Reconcile(since=ExecId(0), why="test"),) * MOST_IN_FLIGHT))
        async with asyncio.timeout(LIMIT_S):
            while story.asked < MOST_IN_FLIGHT:  # noqa: ASYNC110 - the turns of the loop are what is waited for
                await asyncio.sleep(0)
        assert (trader.outbox.in_flight, len(trader.outbox), story.asked) == (
            MOST_IN_FLIGHT,
            MOST_IN_FLIGHT,
            MOST_IN_FLIGHT,
        )
        story.may_answer.set()
        async with asyncio.timeout(LIMIT_S):
            await trader.outbox.wait_sent()
        assert story.asked >= 2 * MOST_IN_FLIGHT


class Broken(Story):
    """Its venue's client cannot even make a request."""

    def send(self, batch: Sequence[Request]) -> Awaitable[Sequence[Reply]]:
        raise ValueError("no such size")


async def test_a_call_that_fails_before_it_is_sent_ends_the_run_once_the_others_are_answered() -> None:
    story = Broken()
    close = CloseMarket(
        client_order_id=ClientOrderId("1"), side=SELL, price=None, size=Lots(MIN), tag="close", reason=Reason.REVERSE
    )

    async def run() -> None:
        async with sending(story) as trader:
            trader._take(trader.seats[0], Step((Reconcile(since=ExecId(0), why="test"), close)))
            await until(lambda: story.asked == 1)
            story.heard.append(f"{trader.outbox.in_flight} in flight")
            story.may_answer.set()
            async with asyncio.timeout(LIMIT_S):
                await asyncio.Event().wait()  # ended by the failure

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(ValueError, match="no such size")
    assert "1 in flight" in story.heard


@pytest.mark.parametrize(("rules", "batches"), [(None, [1, 1, 1]), (OTHER_RULES, [2, 1])], ids=["one by one", "batch"])
async def test_quotes_of_a_step_go_out_as_the_venue_takes_them(rules: VenueRules | None, batches: list[int]) -> None:
    """And a close by itself, because it does not wait for the journal as long as quotes do."""
    story = Story()
    story.may_answer.set()
    quotes = tuple(
        PlaceLimit(
            client_order_id=ClientOrderId(name),
            side=side,
            price=Ticks(price),
            size=Lots(MIN),
            ttl_ms=800,
            tag="stall",
            reason=Reason.STRIKE,
        )
        for name, side, price in (("1", BUY, 10_000), ("2", SELL, 10_100))
    )
    close = CloseMarket(
        client_order_id=ClientOrderId("3"), side=SELL, price=None, size=Lots(MIN), tag="close", reason=Reason.REVERSE
    )
    async with sending(story, rules) as trader:
        trader._take(trader.seats[0], Step((*quotes, close)))
        async with asyncio.timeout(LIMIT_S):
            await trader.outbox.wait_sent()
    assert story.batches == batches


async def test_an_execution_that_overtakes_the_answer_to_its_order_has_both_channels_as_witnesses() -> None:
    def printed(exec_id: int, *order_ids: str) -> PublicTrades:
        buyer, seller = map(OrderId, order_ids)
        trade = PublicTrade(ExecId(exec_id), BUY, Ticks(10_000), Lots(MIN), buyer, seller)
        return PublicTrades(ts_ns=trader.clock.now_ns(), trades=(trade,))

    async with sending(Story()) as trader:
        core = trader.seats[0].core
        assert core.account is not None
        witnesses = core.account.rules.witnesses
        core.orders.add(own_order(sent_ns=trader.clock.now_ns()))
        trader.on_market(printed(7, "V-a", "W"))
        trader.on_event(fill(BUY, 10_000, MIN, exec_id=7, name=None, order_id="V-a"))
        answer = OrderEventKind.ACCEPTED
        trader.on_event(OrderEvent(ts_ns=0, kind=answer, client_order_id=ClientOrderId("a"), order_id=OrderId("V-a")))
        assert core.inventory.position == MIN
        assert not witnesses.is_proven(ExecId(7))
        trader.on_market(printed(8, "X", "Y"))
        assert witnesses.is_proven(ExecId(7))
        assert not witnesses.is_proven(ExecId(8))

"""What a step leaves behind, in which order: the journal, what is sent, what is logged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from stall_then_strike.app.trader.live_trader import LivePlace, LiveTrader
from stall_then_strike.app.trader.outbox import MOST_IN_FLIGHT
from stall_then_strike.engine.gateway import Reply, Request
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.types.dto import (
    AccountReport,
    Changes,
    DecisionLogRow,
    ExecId,
    OrderLogRow,
    PrivateChannel,
    Reconcile,
    Step,
    TradeLogRow,
)
from stall_then_strike.types.errors import NotSent
from tests.engine.core_rig import core_of
from tests.market_script import config

LIMIT_S = 10.0


class Story:
    """Journal, venue and logs in one, which tells in which order they heard. The venue answers when it is let."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.may_answer = asyncio.Event()
        self.asked = 0

    def record(self, changes: Changes) -> None:
        self.heard.append("journal")

    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        self.heard.append("log")

    async def send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        return [NotSent("send", "nothing is sent here") for _ in batch]

    async def report(self, since: ExecId) -> AccountReport:
        self.heard.append("sent")
        self.asked += 1
        await self.may_answer.wait()
        raise NotSent("getchildorders", "nothing is told here")

    def renew(self, why: str) -> None:
        raise AssertionError(why)


@asynccontextmanager
async def sending(story: Story) -> AsyncIterator[LiveTrader]:
    cfg = config()
    feed = MarketFeed(cfg)
    core = core_of(cfg, live=True)
    place = LivePlace(core=core, feed=feed, logs=story, venue=story)
    trader = LiveTrader(Portfolio(cfg.risk, [core]), SystemClock(), [place], story)
    async with asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(trader.send())
        await asyncio.sleep(0)
        yield trader
        sender.cancel()


async def until_logged(story: Story) -> None:
    async with asyncio.timeout(LIMIT_S):
        while "log" not in story.heard:  # noqa: ASYNC110 - the logs announce themselves to nobody
            await asyncio.sleep(0.001)


async def test_journal_then_venue_then_log() -> None:
    story = Story()
    async with sending(story) as trader:
        trader.on_event(PrivateChannel(ts_ns=trader.clock.now_ns(), is_live=True))
        assert story.heard == ["journal"]
        await until_logged(story)
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

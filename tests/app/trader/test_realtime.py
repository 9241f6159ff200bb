"""The whole daemon but its command, in real time, on the embedded exchange over real HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest

from stall_then_strike.app.trader.realtime import RealtimeRun
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.infra.pyb_session import PyBotterSession
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import BoardState, DecisionLogRow, OrderLogRow
from tests.live.pace import steady_clock
from tests.market_script import RowList, config
from tests.waiting import until

SPEED = 5.0
FROZEN = Fault(kind=FaultKind.FREEZE_FEED, to_s=1e6)


@dataclass
class Daemon:
    """A running trader and its venue."""

    exchange: BitflyerExchange
    session: PyBotterSession
    trader: PaperTrader
    log: RowList

    @property
    def decisions(self) -> list[DecisionLogRow]:
        return [row for row in self.log.rows if isinstance(row, DecisionLogRow)]

    @property
    def strikes(self) -> int:
        return sum(row.decision_type == "strike" for row in self.decisions)

    @property
    def placed(self) -> int:
        return sum(isinstance(row, OrderLogRow) and row.action == "place" for row in self.log.rows)

    def last_reason(self) -> str:
        return self.decisions[-1].reason.label

    async def wait_market_ms(self, milliseconds: float) -> None:
        """Let so much of the venue's time pass: the only way to see that nothing happens in it."""
        clock = self.trader.clock
        await clock.sleep_until(clock.now_ns() + int(milliseconds * 1e6))


@asynccontextmanager
async def daemon() -> AsyncIterator[Daemon]:
    async with steady_clock(SPEED) as clock, daemon_at(clock) as it:
        yield it


@asynccontextmanager
async def daemon_at(clock: ScaledClock) -> AsyncIterator[Daemon]:
    cfg = config(ws={"reconnect_min_sec": Decimal("0.2")})
    market = Market(seed=3, start_ns=clock.now_ns(), instrument=cfg.exchange.instrument())
    async with BitflyerExchange(market, clock=clock) as exchange:
        cfg = cfg.at(exchange.base_url, exchange.ws_url)
        traders: list[PaperTrader] = []

        def on_event(event: MarketEvent) -> None:
            traders[0].on_market(event, session.frame_perf_ns)

        async with PyBotterSession(cfg, clock, on_event) as session:
            log = RowList()
            traders.append(PaperTrader(cfg, clock, session.feed, log))
            await session.connect_ws()
            await session.wait_ready()
            run = RealtimeRun(traders[0], clock, speed=SPEED)
            async with asyncio.TaskGroup() as tasks:
                owned = [tasks.create_task(job) for job in (run.keep_time(), traders[0].send(), session.wait_failed())]
                yield Daemon(exchange, session, traders[0], log)
                for task in owned:
                    task.cancel()


async def test_strikes_are_sent_and_answered() -> None:
    async with daemon() as it:
        await until(lambda: it.strikes >= 3)
        await until(lambda: it.placed >= 6)
        assert it.trader.latency.count > 0


async def test_feed_frozen_past_stale_ms_is_not_struck_however_long_the_best_stands_still() -> None:
    async with daemon() as it:
        await until(lambda: it.strikes)
        it.exchange.faults.inject(FROZEN)
        await until(lambda: it.last_reason() == "book_stale")
        strikes = it.strikes
        await it.wait_market_ms(5_000)
        assert it.strikes == strikes
        assert it.last_reason() == "book_stale"
        assert not it.trader.core.orders.any_live, "quotes do not outlive the feed"
        it.exchange.faults.lift()
        await until(lambda: it.strikes > strikes)


async def test_cancels_take_effect_on_time_on_a_silent_feed() -> None:
    """The paper venue's answer to a cancel is due by latency: no message is needed to bring it."""
    async with daemon() as it:
        await until(lambda: it.strikes and it.trader.core.orders.any_live)
        it.exchange.faults.inject(FROZEN)
        await it.wait_market_ms(it.trader.core.strategy.params.stale_ns / 1e6 + 300)
        assert not it.trader.core.orders.any_live


async def test_garbage_on_every_channel_is_counted_and_trading_goes_on() -> None:
    garbage = ["not json", "{}", "[[]]", "null", '{"method":"x","params":{}}', "x" * 10_000_000]
    async with daemon() as it:
        await until(lambda: it.strikes)
        for channel in Channel:
            for text in garbage:
                it.exchange.inject(channel, text)
        await until(lambda: sum(it.session.feed.statistics().refused.values()) >= len(garbage) * 3)
        strikes = it.strikes
        await until(lambda: it.strikes > strikes)
        statistics = it.session.feed.statistics()
        assert statistics.mid_agreed == statistics.mid_checked
        assert it.session.statistics().drops == 0


@pytest.mark.parametrize("state", [BoardState.CLOSED, BoardState.CIRCUIT_BREAK])
async def test_board_that_does_not_run_is_left_and_taken_up_again(state: BoardState) -> None:
    async with daemon() as it:
        await until(lambda: it.strikes)
        it.exchange.set_condition(state=state)
        await until(lambda: it.last_reason() == "venue_not_running")
        await until(lambda: not it.trader.core.orders.any_live)
        strikes = it.strikes
        await it.wait_market_ms(2_000)
        assert it.strikes == strikes
        it.exchange.set_condition(state=BoardState.RUNNING)
        await until(lambda: it.strikes > strikes)


async def test_maintenance_close_makes_the_book_unknown_and_quoting_resumes() -> None:
    async with daemon() as it:
        await until(lambda: it.strikes)
        it.exchange.faults.inject(Fault(kind=FaultKind.CLOSE_SOCKETS))
        await until(lambda: any(row.reason.label == "book_unknown" for row in it.decisions[-3:]))
        strikes = it.strikes
        await until(lambda: it.strikes > strikes)
        assert it.session.statistics().connects == 2


async def test_lost_deletion_is_noticed_and_healed_by_the_snapshot() -> None:
    async with daemon() as it:
        await until(lambda: it.strikes)
        suspicions = sum(row.reason.label == "book_suspect" for row in it.decisions)
        it.exchange.faults.inject(Fault(kind=FaultKind.LOSE_DELETION, count=1))
        await until(lambda: sum(r.reason.label == "book_suspect" for r in it.decisions) > suspicions)
        strikes = it.strikes
        await until(lambda: it.strikes > strikes)

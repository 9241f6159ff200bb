"""From the exchange's send of a board message to ``OrderExecutor.execute``, over a real socket on loopback.

The exchange, pybotters' client, the feed, the core and the sender task are the real ones and share one process and one
event loop, as under ``run_paper --sim``; the exchange's own market is frozen. Each sample is one strike: a message
with a wrong mid makes the book suspect, which cancels the quotes of the sample before; then a sound message of ten
levels lifts the suspicion, the stall has long been mature, and the core strikes at once. The time runs from just before
that message is given to the exchange's socket queue until the executor is called with the two orders.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from benchmarks.limits import WIDE
from benchmarks.messages import BOARD, SNAPSHOT, frame
from stall_then_strike.app.trader.realtime import RealtimeRun
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.infra.pyb_session import PyBotterSession
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import (
    Action,
    BoardState,
    BookStatus,
    DecisionLogRow,
    Health,
    OrderLogRow,
    PlaceLimit,
    TradeLogRow,
    VenueStatus,
)

LIMIT_S = 5.0
MID = 5_860_000
LEVELS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Nanoseconds from send to execute."""

    strikes: int
    loop: str
    median_ns: float
    p99_ns: float


class _NoLog:
    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        """Forget the row."""


class _TimedExecutor(OrderExecutor):
    """Notes when it was last called with orders."""

    called_ns = 0

    async def execute(self, actions: Sequence[Action]) -> None:
        if any(isinstance(action, PlaceLimit) for action in actions):
            self.called_ns = perf_counter_ns()
        await super().execute(actions)


def _delta(number: int, *, mid: int) -> str:
    """Ten levels behind the best."""
    sizes = [0.01 + (number + i) % 7 / 100 for i in range(5)]
    bids = [{"price": float(MID - 1_000 - 10 * i), "size": size} for i, size in enumerate(sizes)]
    asks = [{"price": float(MID + 1_000 + 10 * i), "size": size} for i, size in enumerate(sizes)]
    return frame(BOARD, {"mid_price": float(mid), "bids": bids, "asks": asks})


def _config(ws_url: str, base_url: str) -> AppConfig:
    """No limits and no latency of the paper venue: only the way to the executor counts."""
    none = {"kind": "constant", "median_ms": 0}
    return AppConfig.model_validate(
        {
            "exchange": {"ws_url": ws_url, "base_url": base_url, "limits": WIDE},
            "strategy": {"stall_T_ms": 1, "ttl_ms": 50_000, "stale_ms": 60_000},
            "ws": {"snapshot_silence_sec": 3_600},
            "paper": {"order_latency": none, "cancel_latency": none},
        }
    )


async def _until(condition: Callable[[], bool]) -> None:
    """Poll without sleeping, so that nothing but the measured path keeps the loop waiting."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


async def _sample(exchange: BitflyerExchange, trader: PaperTrader, executor: _TimedExecutor, number: int) -> int:
    """Nanoseconds from one send to the strike that it causes."""
    exchange.inject(Channel.BOARD, _delta(number, mid=MID + 1_000))
    await _until(lambda: trader.core.board.status is BookStatus.SUSPECT and not trader.outboxes[0])
    await asyncio.sleep(0.005)
    trader.wake()  # the paper venue confirms the cancels
    await _until(lambda: not trader.core.orders.any_live)
    before = executor.called_ns
    began = perf_counter_ns()
    exchange.inject(Channel.BOARD, _delta(number + 1, mid=MID))
    await _until(lambda: executor.called_ns != before)
    return executor.called_ns - began


async def _measure(strikes: int) -> Latency:
    clock = SystemClock()
    market = Market(seed=1, start_ns=clock.now_ns())
    async with BitflyerExchange(market, clock=clock) as exchange:
        exchange.faults.inject(Fault(kind=FaultKind.FREEZE_FEED, to_s=1e6))
        cfg = _config(exchange.ws_url, exchange.base_url)
        traders: list[PaperTrader] = []

        def on_event(event: MarketEvent) -> None:
            traders[0].on_market(event)

        session = PyBotterSession(cfg, clock, on_event)
        trader = PaperTrader(cfg, clock, session.feed, _NoLog())
        executor = trader.outboxes[0].executor = _TimedExecutor(trader.papers[0], trader.on_event, clock.now_ns)
        traders.append(trader)
        run = RealtimeRun(trader, clock)
        async with session, asyncio.TaskGroup() as tasks:
            await session.connect_ws()
            await exchange.wait_subscribed(Channel.TICKER)
            trader.on_market(VenueStatus(ts_ns=clock.now_ns(), state=BoardState.RUNNING, health=Health.NORMAL))
            exchange.inject(Channel.SNAPSHOT, _snapshot())
            await session.wait_ready()
            owned = [tasks.create_task(run.keep_time()), tasks.create_task(trader.send())]
            warm_up = strikes // 10
            spent = [await _sample(exchange, trader, executor, number) for number in range(warm_up + strikes)]
            await asyncio.sleep(0.01)  # the last strike is answered
            for task in owned:
                task.cancel()
    spent = spent[warm_up:]
    loop = type(asyncio.get_running_loop()).__module__.split(".")[0]
    return Latency(
        strikes=len(spent),
        loop=loop,
        median_ns=statistics.median(spent),
        p99_ns=statistics.quantiles(spent, n=100)[98],
    )


def _snapshot() -> str:
    sides = {
        "bids": [{"price": float(MID - 750 - 7 * i), "size": 0.1} for i in range(LEVELS)],
        "asks": [{"price": float(MID + 750 + 7 * i), "size": 0.1} for i in range(LEVELS)],
    }
    return frame(SNAPSHOT, {"mid_price": float(MID), **sides})


def measure(strikes: int) -> Latency:
    """Time so many strikes, on the event loop that the commands use."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_measure(strikes))

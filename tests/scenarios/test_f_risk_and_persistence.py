"""Group F: losses, dust, re-arming, slow and full disks, and hours of market."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import BookStatus, Command, Control, Reason, Side
from tests.market_script import MS, START_NS, RowList, Script, Traded, config, trade

BIDS = {13_599_000: 0.5, 13_598_000: 1.0}
ASKS = {13_600_500: 0.5, 13_601_000: 1.0}
ROOMY = {"daily_pnl_jpy": -1_000_000, "max_dd_jpy": -1_000_000}
PATIENT = {"max_reverse_ticks": 1_000_000, "ttl_ms": 5_000}


def long_at_400() -> Script:
    """A strike at 250 ms whose buy, at 13,599,749, is filled at 400 ms."""
    script = Script().ticker(0).snapshot(0, BIDS, ASKS).alive(100, 400)
    return script.trade(400, "SELL", 13_599_000, 0.5)


def quotes_gone_at_500(script: Script) -> Script:
    """The best moves by a tick: what is left of the quotes is cancelled, and the next strike is 250 ms away."""
    return script.delta(450, bids={13_599_000: 0, 13_598_999: 0.5})


def fall(script: Script, at_ms: float, by: int) -> Script:
    """The whole book moves down at once."""
    return script.snapshot(
        at_ms, {price - by: size for price, size in BIDS.items()}, {price - by: size for price, size in ASKS.items()}
    )


def assert_halted_flat(run: Traded, reason: str) -> None:
    """Halted for this reason, then flat with nothing live, and never a strike again."""
    halts = [number for number, row in enumerate(run.decisions) if row.decision_type == "halt"]
    assert [run.decisions[number].reason.label for number in halts] == [reason]
    assert all(row.decision_type != "strike" for row in run.decisions[halts[0] :])
    assert run.trader.core.inventory.position == 0
    assert run.trader.core.is_done


def test_f1_loss_by_mark_trips() -> None:
    script = fall(long_at_400(), 500, 40_000).alive(600, 3_000)
    run = trade(script, config(strategy=PATIENT, risk={**ROOMY, "daily_pnl_jpy": -39}))
    assert_halted_flat(run, "kill_pnl")


def test_f1_loss_by_fills_trips() -> None:
    """Closed by the reverse move at a loss that the mark had not shown."""
    script = fall(long_at_400(), 500, 10_000).alive(600, 5_000)
    run = trade(script, config(risk={**ROOMY, "daily_pnl_jpy": -10.5}))
    assert_halted_flat(run, "kill_pnl")
    assert run.trades[-1].pnl_jpy < 0


def test_f1_loss_by_fees_trips() -> None:
    script = long_at_400().alive(500, 3_000)
    cfg = config(strategy=PATIENT, risk={**ROOMY, "daily_pnl_jpy": -13}, paper={"maker_fee": 0.001})
    run = trade(script, cfg)
    assert_halted_flat(run, "kill_pnl")
    assert run.trades[0].pnl_jpy == -run.trades[0].fee < 0


def test_f2_drawdown_counts_from_the_peak_not_from_the_start() -> None:
    script = fall(quotes_gone_at_500(long_at_400()), 520, -60_000)
    fall(script, 700, 10_000).alive(800, 3_000)
    run = trade(script, config(strategy=PATIENT, risk={**ROOMY, "max_dd_jpy": -50}))
    assert_halted_flat(run, "kill_drawdown")


def test_f3_trip_while_no_cancel_can_be_sent_cancels_and_flattens_as_soon_as_one_can() -> None:
    """Something else of the account used up the private limit: the cancels wait for it, the halt does not."""
    script = long_at_400().alive(500, 320_000, 500)
    cfg = config(strategy={**PATIENT, "ttl_ms": 50_000, "stale_ms": 1_000}, risk=ROOMY)
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    trader = PaperTrader(cfg, clock, feed, log)
    messages = script.in_order()
    early = next(number for number, (at_ns, _) in enumerate(messages) if at_ns >= START_NS + 600 * MS)
    asyncio.run(VirtualRun(trader, clock, feed).run(messages[:early], settle=False))
    assert trader.core.orders.any_live
    trader.core.budget.spend_cancel(clock.now_ns(), cfg.exchange.limits.private_per_5min)
    trader.on_event(Control(ts_ns=clock.now_ns(), command=Command.HALT, reason=Reason.OPERATOR))
    asyncio.run(VirtualRun(trader, clock, feed).run(messages[early:], settle=False))
    run = Traded(trader, feed, log.rows)
    assert_halted_flat(run, "operator")
    freed_ns = START_NS + 300 * 1_000 * MS
    assert [row.ts_ns >= freed_ns for row in run.orders if row.action == "cancel" or row.tag == "close"] != []
    assert all(row.ts_ns >= freed_ns for row in run.orders if row.action == "cancel" or row.tag == "close")


def test_f4_trip_with_dust_enlarges_it_and_closes_the_whole() -> None:
    """A part of 0.0004 is filled: under the venue's minimum, so no single order can close it."""
    script = Script().ticker(0).snapshot(0, BIDS, ASKS).alive(100, 400)
    script.trade(400, "SELL", 13_599_000, 0.0004)
    fall(quotes_gone_at_500(script), 600, 100_000).alive(700, 4_000)
    run = trade(script, config(strategy=PATIENT, risk={**ROOMY, "daily_pnl_jpy": -30}))
    assert_halted_flat(run, "kill_pnl")
    assert [(row.side, row.size, row.tag) for row in run.trades] == [
        (Side.BUY, 40_000, "stall"),
        (Side.BUY, 100_000, "dust"),
        (Side.SELL, 140_000, "close"),
    ]


def test_f5_only_the_operator_rearms_within_the_day() -> None:
    script = fall(long_at_400(), 500, 40_000).alive(600, 60_000, 500)
    cfg = config(strategy=PATIENT, risk={**ROOMY, "daily_pnl_jpy": -39, "after_halt": "wait"})
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    trader = PaperTrader(cfg, clock, feed, log)
    messages = script.in_order()
    half = len(messages) // 2
    asyncio.run(VirtualRun(trader, clock, feed).run(messages[:half], settle=False))
    assert trader.core.halted is Reason.KILL_PNL
    strikes = trader.core.record.tally.strikes
    assert strikes == 1
    trader.on_event(Control(ts_ns=clock.now_ns(), command=Command.RESUME, reason=Reason.OPERATOR))
    asyncio.run(VirtualRun(trader, clock, feed).run(messages[half:], settle=False))
    assert trader.core.halted is None
    assert trader.core.record.tally.strikes > strikes


def test_f5_day_limit_ends_with_the_trading_day() -> None:
    """The day rolls one minute after the start; the halt of the old day is lifted."""
    script = fall(long_at_400(), 500, 40_000).alive(600, 70_000, 500)
    cfg = config(
        strategy=PATIENT,
        risk={**ROOMY, "daily_pnl_jpy": -39, "after_halt": "wait"},
        session={"day_start": "09:01"},
    )
    run = trade(script, cfg)
    assert run.at_ms("resume") == [60_000]
    assert [at >= 60_000 for at in run.at_ms("strike")][:2] == [False, True]


def test_f8_disk_that_hangs_does_not_hold_up_trading(tmp_path: Path) -> None:
    """The decisions go to a full pipe that nobody empties: the writer hangs, the run does not notice."""
    folder = tmp_path / "decisions"
    folder.mkdir()
    os.mkfifo(folder / "decisions-20260105.csv")
    disk = os.open(folder / "decisions-20260105.csv", os.O_RDWR | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(disk, bytes(4096))
    script = Script().ticker(0).snapshot(0, BIDS, ASKS).alive(100, 1_200_000, 400)
    cfg = config()
    with CsvLogs(tmp_path, cfg.exchange.instrument(), LogConfig(queue_rows=100_000, flush_ms=10)) as logs:
        clock, feed = VirtualClock(0), MarketFeed(cfg)
        trader = PaperTrader(cfg, clock, feed, logs)
        asyncio.run(VirtualRun(trader, clock, feed).run(script.in_order()))
        assert trader.core.record.tally.strikes > 100
        assert not logs.flush(timeout_s=0.1), "or the disk would not have hung"
        assert logs.failure is None
        os.set_blocking(disk, True)
        answering = threading.Thread(target=read_for_ever, args=(disk,), daemon=True)
        answering.start()  # or the end of the run would wait for the disk as long as it is allowed to


def read_for_ever(descriptor: int) -> None:
    while True:
        os.read(descriptor, 65_536)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads its own memory use from /proc")
def test_f9_an_hour_of_market_at_maximal_speed_keeps_memory_flat(tmp_path: Path) -> None:
    """Resident memory after ten minutes of market and after an hour differ by less than 3 MB."""

    def resident_mb() -> float:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    at_minute: dict[int, float] = {}

    def messages() -> Iterator[tuple[int, str]]:
        following = 10
        for frame in iter_frames(Market(seed=11, start_ns=START_NS), until_ns=START_NS + 3_600 * 10**9):
            if frame.time_ns >= START_NS + following * 60 * 10**9:
                at_minute[following] = resident_mb()
                following += 10
            yield frame.time_ns, frame.text
        at_minute[60] = resident_mb()

    cfg = config(risk=ROOMY)
    with CsvLogs(tmp_path, cfg.exchange.instrument(), LogConfig()) as logs:
        clock, feed = VirtualClock(0), MarketFeed(cfg)
        trader = PaperTrader(cfg, clock, feed, logs)
        asyncio.run(VirtualRun(trader, clock, feed, flush=logs.flush).run(messages()))
        assert logs.failure is None
    assert trader.core.record.tally.strikes > 500
    assert trader.core.book_status(clock.now_ns()) in (BookStatus.OK, BookStatus.STALE)
    assert at_minute[60] - at_minute[10] < 3, at_minute
    assert max(at_minute.values()) - at_minute[10] < 6, at_minute
    assert clock.now_ns() - START_NS >= 3_599 * 1_000 * MS

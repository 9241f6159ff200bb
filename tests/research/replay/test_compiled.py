"""The compiled replay is the interpreted one, to the last integer, or it refuses."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import Message, VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.research.replay.compiled import CannotCompile, CompiledReplay
from stall_then_strike.research.replay.kernel_rows import log_rows
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.types.dto import Reason
from tests.market_script import MS, START_NS, RowList, Script, config
from tests.research.replay.twins import twins
from tests.research.tables.random_tapes import configs, random_tape

pytestmark = pytest.mark.timeout(600)  # the first call compiles everything


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    messages=st.integers(1, 400),
    cfg=configs(),
    chunk=st.sampled_from((1, 2, 7, 50, 16_384)),
)
def test_compiled_replay_equals_the_interpreted_one(seed: int, messages: int, cfg: AppConfig, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twins(random_tape(seed, messages), cfg, Path(folder), chunk=chunk).check()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    messages=st.integers(100, 1_200),
    cfg=configs(),
    chunk=st.sampled_from((7, 50, 300, 16_384)),
)
def test_messages_are_passed_over_only_if_nothing_follows(seed: int, messages: int, cfg: AppConfig, chunk: int) -> None:
    """A calm market, in which most messages change nothing."""
    with tempfile.TemporaryDirectory() as folder:
        twins(random_tape(seed, messages, is_calm=True), cfg, Path(folder), chunk=chunk).check()


def test_days_roll_funding_is_paid_and_quiet_times_are_kept(tmp_path: Path) -> None:
    """A run of several days, with nights without a message."""
    messages, day = [], 86_400 * 10**9
    for number in range(4):
        messages += [(at + number * day, text) for at, text in random_tape(8 + number, 600) if at < START_NS + 10**13]
    messages.sort(key=lambda message: message[0])
    cfg = config(
        strategy={"stale_ms": 5_000},
        risk={"after_halt": "wait", "daily_pnl_jpy": -0.01, "max_dd_jpy": -0.01},
        session={"day_start": "18:00", "quiet": ({"start": "09:00:02", "end": "09:00:04", "why": "test"},)},
        paper={"funding_times": ("09:00:10", "21:00")},
    )
    pair = twins(messages, cfg, tmp_path)
    pair.check()
    assert pair.outcome.reason_rows[Reason.DAY_ROLL] >= 1
    assert Reason.QUIET_TIME in pair.outcome.reason_rows


@pytest.mark.parametrize("seconds", [0.001, 3, 10_000])
def test_duration_ends_both_at_the_same_message(seconds: float, tmp_path: Path) -> None:
    pair = twins(random_tape(4, 300), config(), tmp_path, duration_ns=int(seconds * 10**9))
    pair.check()


@pytest.mark.parametrize("messages", [[], [(START_NS, "{}")], [(START_NS, None)]])
def test_tape_without_a_market_trades_nothing(messages: list[Message], tmp_path: Path) -> None:
    pair = twins(messages, config(), tmp_path)
    pair.check()
    assert pair.outcome.tally["strikes"] == 0


def test_same_seed_same_rows_another_seed_others(tmp_path: Path) -> None:
    folder = tmp_path
    write_columns(random_tape(10, 2_000), config(), folder)

    def rows(seed: int) -> bytes:
        cfg = config(paper={"seed": seed, "order_latency": {}, "cancel_latency": {}}, risk={"after_halt": "wait"})
        return CompiledReplay(cfg, Columns(folder)).run().log.tobytes()

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_counts_are_the_same_without_rows_and_rows_come_in_parts(tmp_path: Path) -> None:
    cfg = config(risk={"after_halt": "wait"})
    write_columns(random_tape(10, 3_000), cfg, tmp_path)
    whole = CompiledReplay(cfg, Columns(tmp_path)).run()
    parts: list[bytes] = []
    streamed = CompiledReplay(cfg, Columns(tmp_path)).run(lambda log, *_: parts.append(log.tobytes()))
    bare = CompiledReplay(cfg, Columns(tmp_path), logging=False).run()
    assert b"".join(parts) == whole.log.tobytes()
    assert (bare.tally, bare.inventory, bare.reason_ns) == (whole.tally, whole.inventory, whole.reason_ns)
    assert streamed.tally == whole.tally
    assert not len(bare.log)


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"strategy": {"max_inventory_btc": 100_000}}, "max_inventory_btc"),
        ({"strategy": {"max_reverse_ticks": 10**12}}, "ticks so large"),
        ({"exchange": {"limits": {"private_per_5min": 10**7}}}, "limits"),
        ({"paper": {"maker_fee": 0.009999999}, "strategy": {"max_inventory_btc": 5}}, "fee"),
    ],
)
def test_what_64_bits_may_not_hold_is_refused_before_anything_runs(
    sections: dict[str, Any], why: str, tmp_path: Path
) -> None:
    script = Script().ticker(0).snapshot(0, {13_000_000: 1.0}, {13_000_010: 1.0})
    write_columns(script.in_order(), config(), tmp_path)
    with pytest.raises(CannotCompile, match=why):
        CompiledReplay(config(**sections), Columns(tmp_path))


def test_tape_of_another_product_is_refused(tmp_path: Path) -> None:
    write_columns(random_tape(1, 50), config(), tmp_path)
    with pytest.raises(CannotCompile, match="FX_BTC_JPY"):
        CompiledReplay(config(exchange={"product_code": "BTC_JPY"}, ws={"channels": ()}), Columns(tmp_path))


def interpreted_from(messages: list[Message], cfg: AppConfig, first: int, end_ns: int) -> tuple[PaperTrader, list[Any]]:
    """A trader that begins to trade at a message, behind a feed that heard all before it."""
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    heard_ns = 0
    for recv_ns, text in messages[:first]:
        heard_ns = max(heard_ns, recv_ns)
        if text is None:
            feed.on_disconnect(heard_ns)
            feed.on_connect()
        else:
            feed.on_text(text, heard_ns)
    trader = PaperTrader(cfg, clock, feed, log)
    run = VirtualRun(trader, clock, feed)
    asyncio.run(run.run(messages[first:], duration_ns=end_ns - 1 - messages[first][0]))
    return trader, log.rows


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    cfg=configs(),
    chunk=st.sampled_from((1, 7, 50, 16_384)),
    shares=st.tuples(st.floats(0, 0.9), st.floats(0.05, 1)),
)
def test_a_span_is_a_run_that_begins_and_ends_there(
    seed: int, cfg: AppConfig, chunk: int, shares: tuple[float, float]
) -> None:
    messages = sorted(random_tape(seed, 300), key=lambda message: message[0])
    first_ns, last_ns = messages[0][0], messages[-1][0]
    begin = first_ns + int((last_ns - first_ns) * shares[0])
    end = begin + max(1, int((last_ns - begin) * shares[1]))
    first = next(n for n, (recv_ns, _) in enumerate(messages) if recv_ns >= begin)
    with tempfile.TemporaryDirectory() as folder:
        write_columns(messages, cfg, Path(folder), chunk=chunk)
        outcome = CompiledReplay(cfg, Columns(Path(folder)), span=(begin, end), sample_ns=700 * MS).run()
    if messages[first][0] >= end:
        assert (outcome.messages, outcome.total) == (0, 0)
        return
    trader, rows = interpreted_from(messages, cfg, first, end)
    assert list(log_rows(outcome, cfg)) == rows
    assert outcome.inventory == trader.core.inventory.memo()
    assert len(outcome.samples) == (min(end, last_ns) - begin) // (700 * MS)


def test_spans_side_by_side_leave_no_message_out(tmp_path: Path) -> None:
    messages = random_tape(3, 900)
    write_columns(messages, config(), tmp_path, chunk=100)
    columns = Columns(tmp_path)
    first, last = columns.manifest.first_ns, columns.manifest.last_ns
    middle = (first + last) // 2
    counts = [
        CompiledReplay(config(), columns, span=span).run().messages
        for span in ((first, middle), (middle, last + 1), (first, last + 1), (last + 1, last + 2))
    ]
    assert counts[2] == len(messages)
    assert counts[3] == 0
    assert abs(counts[0] + counts[1] - len(messages)) < 10  # stamps that went back fall on either side


def test_samples_are_the_equity_after_each_interval(tmp_path: Path) -> None:
    """As the interpreted engine has it after the same messages, and the run's own total at the end."""
    cfg = config(risk={"after_halt": "wait"}, strategy={"stale_ms": 5_000})
    messages = sorted(random_tape(10, 3_000), key=lambda message: message[0])
    write_columns(messages, cfg, tmp_path, chunk=128)
    first_ns, step = messages[0][0], 10 * 10**9
    outcome = CompiledReplay(cfg, Columns(tmp_path), sample_ns=step).run()
    clock, feed = VirtualClock(0), MarketFeed(cfg)
    trader = PaperTrader(cfg, clock, feed, RowList())
    run = VirtualRun(trader, clock, feed)
    expected: list[int] = []

    def told() -> Any:
        for recv_ns, text in messages:
            while first_ns + (len(expected) + 1) * step <= recv_ns:
                expected.append(trader.core.inventory._equity())
            yield recv_ns, text

    asyncio.run(run.run(told()))
    # A message is asked for before the deadlines on the way to it are passed, in both engines.
    assert outcome.samples.tolist()[:-1] == expected[: len(outcome.samples) - 1]
    assert len(set(expected)) > 5
    assert outcome.total == trader.core.inventory._equity()


def test_the_fall_of_a_run_goes_on_over_its_days(tmp_path: Path) -> None:
    messages, day = [], 86_400 * 10**9
    for number in range(3):
        messages += [(at + number * day, text) for at, text in random_tape(8 + number, 600) if at < START_NS + 10**13]
    messages.sort(key=lambda message: message[0])
    cfg = config(strategy={"stale_ms": 5_000}, risk={"after_halt": "wait"})
    write_columns(messages, cfg, tmp_path)
    outcome = CompiledReplay(cfg, Columns(tmp_path)).run()
    assert outcome.max_fall < outcome.inventory.max_drawdown  # that one is the last day's
    assert outcome.total < outcome.pnl_today < 0
    assert outcome.max_fall <= outcome.total


def test_memory_that_is_too_small_is_told_and_not_survived(tmp_path: Path) -> None:
    write_columns(random_tape(10, 500), config(), tmp_path)
    replay = CompiledReplay(config(), Columns(tmp_path))
    replay._state["paper"]["expiries_room"] = 0
    with pytest.raises(CannotCompile, match="resting orders"):
        replay.run()

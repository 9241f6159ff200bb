"""Two instruments of one account, traded by one process: the ledger of each, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.app.trader.observe import Observer
from stall_then_strike.engine.portfolio import MONEY_PER_ONE
from stall_then_strike.infra.journal.halt import lift_halt
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.tapes.tape_files import product_of
from stall_then_strike.types.dto import Event, Reason, Step
from tests.e2e.commands import csv_bytes, run
from tests.live.chaos import ROOMS, SPEED, Scenario, run_all, workers
from tests.live.kill_chain import run_chains
from tests.live.rig import TWO, LiveRoom, live_room
from tests.live.witness import SEND
from tests.signing import SIGNED

MIXTURES = 3
LIMIT = Decimal(-8)
"""Reached soon, before the address has made so many calls that a third start has to wait with its questions."""


def journal_of(room: LiveRoom) -> Path:
    return journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)


def note_the_halt(run: LiveRun, worst: list[Decimal]) -> None:
    """Note the account's result, or its fall from the peak if that is worse, with the step that halts."""

    def watched(on_event: Callable[[Event, int], Step], event: Event, now_ns: int) -> Step:
        step = on_event(event, now_ns)
        day = run.portfolio.day
        if run.portfolio.halted is not None and day is not None:
            worst.append(Decimal(min(day.pnl_today, day.drawdown)) / MONEY_PER_ONE)
        return step

    for core in run.portfolio.cores:
        core.on_event = partial(watched, core.on_event)  # type: ignore[method-assign]


def check_snapshot(room: LiveRoom, fills: list[int]) -> None:
    """The last snapshot tells what each ledger and the account tell."""
    run = room.last
    assert run is not None
    last = Observer(run.trader, "live", 0).finish()
    assert [(one.product, one.base, one.quote) for one in last.instruments] == [
        ("FX_BTC_JPY", "BTC", "JPY"),
        ("ETH_JPY", "ETH", "JPY"),
    ]
    assert last.day.pnl == sum(one.day.pnl for one in last.instruments)
    assert last.counts.fills >= sum(fills)
    for one, venue in zip(last.instruments, room.venue.products.values(), strict=True):
        assert one.position == venue.market.instrument.size(venue.ledger().position)
        assert one.fills
        assert not one.orders
        tick = venue.market.instrument.tick_size
        assert one.best_bid is not None
        assert one.best_bid.as_tuple().exponent == tick.as_tuple().exponent, "a price has all its decimals"
    assert last.account is not None
    assert "FX_BTC_JPY" in (table := room.console.getvalue())
    assert "ETH_JPY" in table
    assert table.count("decision latency") == 1


@SIGNED
async def test_both_trade_and_both_ledgers_are_equal(tmp_path: Path) -> None:
    """The run is recorded, too, and replayed to the same decisions of each."""
    raw, again = tmp_path / "raw", tmp_path / "again"
    recorded = {"record": {"enabled": True, "dir": str(raw)}}
    async with live_room(tmp_path, instruments=TWO, speed=5, sections=recorded) as room:
        assert await room.run(30) == EXIT_DONE
        room.check()
        assert sorted({product_of(tape) for tape in raw.glob("*Z.jsonl.zst")} - {None}) == ["ETH_JPY", "FX_BTC_JPY"]
        (events,) = raw.glob("*.events.jsonl.zst")
        ended = run("tape", "replay", events, "-o", again)
        assert ended.returncode == 0, ended.stderr
        for ours, theirs in zip(
            RunFiles(room.logs, room.cfg.products).each, RunFiles(again, room.cfg.products).each, strict=True
        ):
            assert csv_bytes(ours) == csv_bytes(theirs)
        venues = room.venue.products
        fills = [len(venue.ledger().fills) for venue in venues.values()]
        assert min(fills) >= 2, fills
        check_snapshot(room, fills)
        with JournalReader.open(journal_of(room)) as reader:
            assert reader.info().products == ("FX_BTC_JPY", "ETH_JPY")
            names = [order.client_order_id for order in reader.orders()]
            memo, parts = reader.account_memo(), [reader.of(code).memo() for code in venues]
        assert len(names) == len(set(names))
        assert memo is not None
        lost = [
            venue.market.instrument.amount(part.inventory.realised)
            for venue, part in zip(venues.values(), parts, strict=True)
            if part is not None and not part.inventory.position
        ]
        if len(lost) == len(parts):
            assert Decimal(memo.inventory.realised) / MONEY_PER_ONE == sum(lost)


@SIGNED
async def test_one_limit_halts_both_and_is_remembered_and_lifted_for_both(tmp_path: Path) -> None:
    sections = {"risk": {"daily_pnl_jpy": LIMIT, "max_dd_jpy": LIMIT}}
    async with live_room(tmp_path, instruments=TWO, speed=5, sections=sections) as room:
        worst: list[Decimal] = []
        room.attend = lambda run: note_the_halt(run, worst)
        assert await room.run(3_600) == EXIT_HALTED
        room.check()
        run = room.last
        assert run is not None
        assert run.portfolio.halted in {Reason.KILL_PNL, Reason.KILL_DRAWDOWN}
        parts = [core.instrument.amount(core.inventory.pnl_today) for core in run.portfolio.cores]
        assert run.portfolio.day is not None
        assert sum(parts) == Decimal(run.portfolio.day.pnl_today) / MONEY_PER_ONE
        assert worst[0] <= LIMIT, "what is closed after the halt may win some back"
        assert [venue.ledger().position for venue in room.venue.products.values()] == [0, 0], "both are closed"
        sent = room.exchange.audit.counts[SEND]
        assert await room.run(20) == EXIT_HALTED, "still halted"
        assert room.exchange.audit.counts[SEND] == sent
        halted = lift_halt(journal_of(room), room.cfg, reason="test", now_ns=room.clock.now_ns(), locks=tmp_path)
        assert halted is not None
        quoted = room.exchange.audit.counts[SEND]
        code = await room.run_until(lambda: room.exchange.audit.counts[SEND] > quoted, 600)
        assert (code, room.exchange.audit.counts[SEND] > quoted) == (EXIT_DONE, True), "they count from the resume"
        room.check()


@pytest.mark.slow(30)
@pytest.mark.timeout(600)
def test_mixtures_of_faults_with_two_instruments(tmp_path: Path) -> None:
    """``python -m tests.live --instruments 2`` runs many."""
    scenarios = [Scenario(seed=seed, is_double=True) for seed in range(MIXTURES)]
    with workers(1) as pool:
        outcomes = pool.submit(run_all, scenarios, tmp_path, speed=SPEED, rooms=ROOMS).result()
    bad = [str(outcome) for outcome in outcomes if not outcome.is_good]
    assert not bad, "\n\n".join(bad)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_daemon_of_two_instruments_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    """``python -m tests.live.kill_chain --instruments 2`` does it two hundred times."""
    assert await run_chains(tmp_path, chains=2, kills=4, instruments=TWO)

"""``run_live`` on Lighter: three markets under one portfolio, signed transactions, over real HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_USAGE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.tapes.tape_files import is_event_log, product_of
from stall_then_strike.tapes.tape_tools import audit_tape
from stall_then_strike.venues.embedded_lighter import account_at
from stall_then_strike.venues.lighter_units import with_units
from tests.e2e.commands import csv_bytes
from tests.e2e.commands import run as run_command
from tests.lighter.trader_rig import TradingRoom
from tests.live.pace import steady_clock
from tests.waiting import until

pytest.importorskip("lighter")
SPEED = 8.0
LIVELY = ("strategy.stall_T_ms=150", "account.reconcile_sec=20", "account.stop_sec=60", "ws.reconnect_min_sec=0.1")


@asynccontextmanager
async def room_of(
    folder: Path, *sets: str, is_verified: bool = False, file: str = "lighter-sim.yml", speed: float = SPEED
) -> AsyncIterator[TradingRoom]:
    """The three markets of a file of settings in fast time. A signature takes the exchange 11 ms to verify."""
    defaults = cli.DEFAULTS
    sets = (*LIVELY, f"journal.dir={folder / 'journal'}", *sets)
    cfg = app_config(with_units(read_layers(defaults / "base.yml", defaults / file, sets)))
    markets = [market for market in MARKETS if market.symbol in cfg.products]
    settings = VenueSettings(plan=Plan.PREMIUM, verifies_orders=is_verified)
    async with (
        steady_clock(speed) as clock,
        LighterExchange(
            clock=clock, markets=markets, seed=5, settings=settings, has_crowd=True, signing_ns=time.time_ns
        ) as exchange,
    ):
        account = account_at(exchange, exchange.add_account(100_000))
        yield TradingRoom(folder, clock, exchange, cfg.at(exchange.base_url, exchange.ws_url), account)


async def test_three_markets_are_traded_and_the_ledger_is_ours(tmp_path: Path) -> None:
    """The run is recorded, too, and replayed to the same decisions in each market."""
    recorded = ("record.enabled=true", f"record.dir={tmp_path / 'raw'}")
    async with room_of(tmp_path, *recorded, is_verified=True) as room:
        code = await room.run_until(lambda: {trade.market for trade in room.books.trades} == {0, 1, 2}, 120)
        assert code == EXIT_DONE
        room.check()
        counts = room.exchange.audit.counts
        said = room.console.getvalue()
        assert room.last is not None
        strikes = sum(core.record.tally.strikes for core in room.last.portfolio.cores)
    check_recording(tmp_path, room.cfg)
    assert strikes > 0
    assert sum(count for what, count in counts.items() if "sendtx" in what.lower()) >= strikes
    assert "key 4 is registered" in said
    assert "USDC" in said
    assert "JPY" not in said


def check_recording(folder: Path, cfg: AppConfig) -> None:
    tapes = [path for path in (folder / "raw").glob("*.zst") if not is_event_log(path)]
    assert {product_of(path) for path in tapes} == set(cfg.products)
    assert not any(book.gaps for path in tapes for book in audit_tape(path).audit.books().values())
    (events,) = (folder / "raw").glob("*.events.jsonl.zst")
    ended = run_command("tape", "replay", events, "-o", folder / "again")
    assert ended.returncode == 0, ended.stderr
    for ours, theirs in zip(
        RunFiles(folder / "logs", cfg.products).each, RunFiles(folder / "again", cfg.products).each, strict=True
    ):
        assert csv_bytes(ours) == csv_bytes(theirs)


async def test_restart_after_a_stop_in_mid_air_goes_on_from_the_journal(tmp_path: Path) -> None:
    """The first run ends as a killed process does; the next finds its orders by their names."""
    async with room_of(tmp_path) as room:
        left = set[int]()

        def is_in_mid_air() -> bool:
            nonlocal left
            left = set(room.books.orders)
            return bool(left and room.books.trades)

        await room.killed_run(is_in_mid_air, 60 * SPEED)
        assert await room.run(20) == EXIT_DONE
        room.check()
    assert left


async def test_a_key_that_is_not_registered_ends_the_start_before_anything_is_sent(tmp_path: Path) -> None:
    async with room_of(tmp_path) as room:
        other = room.exchange.add_account(1_000)
        wrong = LighterAccount(
            base_url=room.account.base_url,
            account_index=room.account.account_index,
            api_key_index=room.account.api_key_index + 1,
            private_key=Secret(other.private_key),
        )
        assert await room.run(5, account=wrong) == EXIT_USAGE
        said = room.console.getvalue()
        assert not room.books.order_count
    assert "api key" in said
    assert "api_key_index" in said
    assert other.private_key.removeprefix("0x") not in said


async def test_venue_that_goes_away_and_comes_back_is_traded_again(tmp_path: Path) -> None:
    async with room_of(tmp_path) as room:
        ending = Ending()
        run = asyncio.create_task(room.run(None, ending))
        await until(lambda: room.books.trades, 60)
        room.exchange.faults.inject(Fault(kind=FaultKind.ABORT_SOCKETS))
        assert room.last is not None
        session = room.last.connection.session
        await until(lambda: session.statistics().connects == 2, 60)
        sent = room.books.order_count
        await until(lambda: room.books.order_count >= sent + 6, 60)
        ending.ask("test over")
        async with asyncio.timeout(60):
            assert await run == EXIT_DONE
        room.check()

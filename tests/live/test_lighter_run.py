"""``run_live`` on Lighter: three markets under one portfolio, signed transactions, over real HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun, open_run
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.infra.logs.log_folder import log_folders
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.venues.embedded_lighter import account_at, at_exchange
from stall_then_strike.venues.lighter_connection import LighterConnection
from stall_then_strike.venues.lighter_units import with_units
from tests.lighter.trader_rig import check_market
from tests.live.pace import steady_clock
from tests.live.rig import open_parts

pytest.importorskip("lighter")
SPEED = 8.0
LIVELY = ("strategy.stall_T_ms=150", "account.reconcile_sec=20", "account.stop_sec=60", "ws.reconnect_min_sec=0.1")


class Room:
    """An exchange with a crowd and an account, and a folder in which runs leave what they leave."""

    def __init__(self, folder: Path, clock: ScaledClock, exchange: LighterExchange, cfg: AppConfig) -> None:
        self.folder, self.clock, self.exchange, self.cfg = folder, clock, exchange, cfg
        self.account = account_at(exchange, exchange.add_account(100_000))
        self.console = io.StringIO()
        self.attend: Callable[[LiveRun], None] = lambda run: None
        self.last: LiveRun | None = None

    @property
    def books(self) -> Any:
        return self.exchange.venue.account(self.account.account_index)

    async def run(
        self, duration_s: float | None, ending: Ending | None = None, account: LighterAccount | None = None
    ) -> int:
        """One run, for so many seconds of the exchange's time; its exit code."""
        cfg, account = self.cfg, account or self.account
        with ExitStack() as stack:
            parts = open_parts(stack, cfg, account, self.folder, self.console, self.clock.now_ns())
            connection = LighterConnection(cfg, self.clock, account)
            async with open_run(parts, cfg, self.clock, account, connection, ending or Ending()) as run:
                self.last = run
                self.attend(run)
                return await run.run(duration_s)

    def check(self) -> None:
        """Journal, CSV and inventory are the ledger's, to the unit; nothing works at the venue."""
        assert not self.books.orders
        path = journal_path(self.cfg.journal.dir, self.cfg.exchange.product_code)
        for one, folder in zip(self.cfg.by_instrument(), log_folders(self.folder / "logs", self.cfg), strict=True):
            unit = one.exchange.instrument()
            with JournalReader.open(path) as reader:
                of = reader.of(unit.product_code)
                booked, memo = list(of.fills()), of.memo()
            check_market(self.books, one.exchange.market_index, booked, memo)
            rows = [
                row
                for found in sorted((folder / "trades").glob("*.csv"))
                for row in csv.DictReader(found.read_text().splitlines())
            ]
            assert [(row["order_id"], Decimal(row["price"]), Decimal(row["size"])) for row in rows] == [
                (fill.row.order_id, unit.price(fill.row.price), unit.size(fill.row.size)) for fill in booked
            ]


@asynccontextmanager
async def room_of(
    folder: Path, *sets: str, is_verified: bool = False, file: str = "lighter-sim.yml"
) -> AsyncIterator[Room]:
    """The three markets of a file of settings in fast time. A signature takes the exchange 11 ms to verify."""
    defaults = cli.DEFAULTS
    sets = (*LIVELY, f"journal.dir={folder / 'journal'}", *sets)
    cfg = app_config(with_units(read_layers(defaults / "base.yml", defaults / file, sets)))
    markets = [market for market in MARKETS if market.symbol in cfg.products]
    settings = VenueSettings(plan=Plan.PREMIUM, verifies_orders=is_verified)
    async with (
        steady_clock(SPEED) as clock,
        LighterExchange(clock=clock, markets=markets, seed=5, settings=settings, has_crowd=True) as exchange,
    ):
        yield Room(folder, clock, exchange, at_exchange(cfg, exchange))


async def _comes(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110 - the exchange's books make no event for each look
        await asyncio.sleep(0.01)


async def test_three_markets_are_traded_and_the_ledger_is_ours(tmp_path: Path) -> None:
    async with room_of(tmp_path, is_verified=True) as room:
        ending = Ending()
        run = asyncio.create_task(room.run(None, ending))
        async with asyncio.timeout(90):
            await _comes(lambda: run.done() or {trade.market for trade in room.books.trades} == {0, 1, 2})
            ending.ask("every market has traded")
            assert await run == cli.EXIT_DONE
        room.check()
        counts = room.exchange.audit.counts
        said = room.console.getvalue()
        assert room.last is not None
        strikes = sum(core.record.tally.strikes for core in room.last.portfolio.cores)
    assert sum(count for what, count in counts.items() if "sendtx" in what.lower()) >= strikes > 0
    assert "key 4 is registered" in said
    assert "USDC" in said
    assert "JPY" not in said


async def test_restart_after_a_stop_in_mid_air_goes_on_from_the_journal(tmp_path: Path) -> None:
    """The first run ends as a killed process does; the next finds its orders by their names."""
    async with room_of(tmp_path) as room:

        async def nothing() -> None:
            """A killed process cancels nothing."""

        def attend(run: LiveRun) -> None:
            run._cancel_the_rest = nothing  # type: ignore[method-assign]

        room.attend = attend
        first = asyncio.create_task(room.run(None))
        async with asyncio.timeout(60):
            await _comes(lambda: room.books.trades and room.books.orders)
        left = set(room.books.orders)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        room.attend = lambda run: None
        assert await room.run(20) == cli.EXIT_DONE
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
        assert await room.run(5, account=wrong) == cli.EXIT_USAGE
        said = room.console.getvalue()
        assert not room.books.order_count
    assert "api key" in said
    assert "api_key_index" in said
    assert other.private_key.removeprefix("0x") not in said


async def test_venue_that_goes_away_and_comes_back_is_traded_again(tmp_path: Path) -> None:
    async with room_of(tmp_path) as room:
        ending = Ending()
        run = asyncio.create_task(room.run(None, ending))
        async with asyncio.timeout(60):
            await _comes(lambda: room.books.trades)
            room.exchange.faults.inject(Fault(kind=FaultKind.ABORT_SOCKETS))
            assert room.last is not None
            session = room.last.connection.session
            await _comes(lambda: session.statistics().connects == 2)
            sent = room.books.order_count
            await _comes(lambda: room.books.order_count >= sent + 6)
        ending.ask("test over")
        async with asyncio.timeout(60):
            assert await run == cli.EXIT_DONE
        room.check()

"""A live run and its exchange in one event loop: the real command's parts over real HTTP and WebSocket, at any speed.

``Room`` is an exchange with an account; ``run`` is one run of the daemon on it, journal and logs included, and can be
repeated, as after a restart. ``check`` of each venue's room compares what the daemon left behind with its ledger.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console

from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveParts, LiveRun, Through, directly, open_run
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.corrections import is_taken_back
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import RunList
from stall_then_strike.infra.watch.alerts import Alerts, AlertUrls
from stall_then_strike.types.dto import NS_PER_S, BookedFill
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.connection import Account

if TYPE_CHECKING:
    from stall_then_strike.sim.bitflyer_server import BitflyerExchange
    from stall_then_strike.sim.lighter_server import LighterExchange

    Exchange = BitflyerExchange | LighterExchange


def config_of(tree: Mapping[str, Any], sections: Mapping[str, Any]) -> AppConfig:
    """Settings of live trading with risk that is no limit; ``sections`` are put over those of the tree."""
    tree = {
        "env": "live",
        "risk": {"daily_pnl_jpy": Decimal(-1_000_000), "max_dd_jpy": Decimal(-1_000_000)},
        **tree,
    }
    over = {
        name: {**tree.get(name, {}), **keys} if isinstance(keys, Mapping) else keys for name, keys in sections.items()
    }
    return AppConfig.model_validate({**tree, **over})


def open_parts(
    stack: ExitStack, cfg: AppConfig, account: Account, folder: Path, console: IO[str], now_ns: int
) -> LiveParts:
    """What the command opens for a run: journal, logs, screen; until the stack closes."""
    journal = Journal.open(
        journal_path(cfg.journal.dir, cfg.exchange.product_code),
        product_code=cfg.exchange.product_code,
        others=cfg.products[1:],
        account=account.fingerprint,
        now_ns=now_ns,
        locks=folder,
    )
    logs = [
        stack.enter_context(CsvLogs(place, each.exchange.instrument(), cfg.log))
        for place, each in zip(RunFiles(folder / "logs", cfg.products).each, cfg.by_instrument(), strict=True)
    ]
    return LiveParts(
        cfg=cfg,
        account=account,
        journal=stack.enter_context(journal),
        logs=logs,
        folder=folder / "logs",
        screen=Screen(Console(file=console, width=200), live=False),
        alerts=Alerts(AlertUrls(), pause_sec=0, clock=SystemClock()),
    )


class Room:
    """An exchange with an account, and a folder in which runs leave what they leave."""

    def __init__(
        self,
        folder: Path,
        clock: ScaledClock,
        exchange: BitflyerExchange | LighterExchange,
        cfg: AppConfig,
        account: Account,
    ) -> None:
        self.folder, self.clock, self.speed, self.exchange = folder, clock, clock.speed, exchange
        self.cfg, self.account = cfg, account
        self.last: LiveRun | None = None
        self.strategy: MakeStrategy = configured
        self.console = io.StringIO()
        """What runs have shown."""
        self.alerts = Alerts(AlertUrls(), pause_sec=0, clock=SystemClock())
        """Nobody hears them; a test may put its own here."""
        self.settings: Settings | None = None
        """How a run reads its settings anew."""
        self.through: Through = directly
        self.attend: Callable[[LiveRun], None] = lambda run: None
        """Told of each run before it begins."""

    @asynccontextmanager
    async def open(self, ending: Ending, account: Account | None = None) -> AsyncIterator[LiveRun]:
        """A run, perhaps with another key; nothing is sent yet."""
        cfg, account = self.cfg, account or self.account
        with ExitStack() as stack:
            parts = open_parts(stack, cfg, account, self.folder, self.console, self.clock.now_ns())
            parts = replace(parts, alerts=self.alerts, strategy=self.strategy, settings=self.settings)
            connection = self.through(venue_of(cfg).connect(cfg, self.clock, account), cfg, self.clock)
            async with open_run(parts, cfg, self.clock, account, connection, ending) as run:
                self.last = run
                self.attend(run)
                yield run

    async def run(
        self, duration_s: float | None = None, ending: Ending | None = None, account: Account | None = None
    ) -> int:
        """One run, for so many seconds of the exchange's time; its exit code."""
        async with self.open(ending or Ending(), account) as run:
            return await run.run(duration_s)

    async def run_until(self, is_so: Callable[[], object], limit_s: float) -> int:
        """One run, ended as by a signal once something is so, or after so many venue seconds; its exit code."""
        ending = Ending()

        async def end() -> None:
            await self.wait(is_so, limit_s)
            ending.ask("the test is over")

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(end())
            code = await self.run(ending=ending)
            watching.cancel()
        return code

    async def killed_run(self, until: Callable[[], object], limit_s: float) -> None:
        """One run that ends as a killed process does, once something is so or after so many venue seconds."""
        trading = asyncio.create_task(self.run())
        await self.wait(lambda: trading.done() or until(), limit_s)
        await self.kill(trading)

    async def kill(self, trading: asyncio.Task[int]) -> None:
        """End the last run at once, with nothing said to the venue: as if killed, but for its last CSV rows.

        Facts and orders are then as the journal has them.
        """
        assert self.last is not None
        self.last._cancel_the_rest = _nothing  # type: ignore[method-assign]  # a killed process cancels nothing
        trading.cancel()
        with suppress(asyncio.CancelledError):
            await trading

    async def wait(self, is_so: Callable[[], object], limit_s: float) -> None:
        """Wait until something is so, or for so many venue seconds."""
        end_ns = self.clock.now_ns() + round(limit_s * NS_PER_S)
        while not is_so() and self.clock.now_ns() < end_ns:  # noqa: ASYNC110 - no event for each step
            await asyncio.sleep(0.01)

    async def pass_time(self, seconds: float) -> None:
        """Wait so many seconds of the exchange's time."""
        await self.clock.sleep_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    # --- what is left behind

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def rows(self, kind: str, number: int = 0) -> list[dict[str, str]]:
        """Of all runs, if commands made folders for them."""
        found: list[dict[str, str]] = []
        for run in [run.files.folder for run in RunList(self.logs).all] or [self.logs]:
            for path in sorted((RunFiles(run, self.cfg.products).each[number] / kind).glob("*.csv")):
                found.extend(csv.DictReader(path.read_text().splitlines()))
        return found

    @property
    def reader(self) -> JournalReader:
        """Of the journal; to be closed."""
        return JournalReader.open(journal_path(self.cfg.journal.dir, self.cfg.exchange.product_code))

    def journal(self, number: int = 0) -> tuple[list[BookedFill], Any]:
        """The booked fills of an instrument, and what its core remembers."""
        with self.reader as reader:
            of = reader.of(self.cfg.products[number])
            return list(of.fills()), of.memo()

    def check_books(
        self, number: int, true_ids: Sequence[int], position: int, cash: int, *, is_truth_known: bool = True
    ) -> None:
        """Trades CSV, journal and inventory are those of the exchange's books, to the unit.

        Executions that never were and were taken back again may be in CSV and journal, as pairs. Without
        ``is_truth_known`` there was no time to find them out: then only CSV and journal have to agree.
        """
        product, unit = self.cfg.products[number], self.cfg.by_instrument()[number].exchange.instrument()
        booked, memo = self.journal(number)
        ids = {fill.exec_id for fill in booked}
        real = [fill for fill in booked if fill.exec_id > 0 and not is_taken_back(fill.exec_id, ids.__contains__)]
        rows = Counter(
            (row["order_id"], row["side"], Decimal(row["price"]), Decimal(row["size"]), row["tag"])
            for row in self.rows("trades", number)
        )
        assert rows == Counter(
            (f.row.order_id, f.row.side.value, unit.price(f.row.price), unit.size(f.row.size), f.row.tag)
            for f in booked
        ), f"{product}: trades CSV"
        if is_truth_known:
            held = memo.inventory
            assert sorted(fill.exec_id for fill in real) == sorted(true_ids), f"{product}: journal"
            assert held.position == position, f"{product}: position"
            beyond = held.realised - held.basis - cash
            assert not beyond, f"cash of {product}: {beyond} units too much"


async def _nothing() -> None:
    pass

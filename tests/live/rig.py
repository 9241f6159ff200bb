"""A live run and its exchange in one event loop: the real command's parts over real HTTP and WebSocket, at any speed.

``LiveRoom`` is the exchange with an account; ``run`` is one run of the daemon on it, journal and logs included, and can
be repeated, as after a restart. ``check`` compares what the daemon left behind with the exchange's ledger.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveParts, LiveRun, Through, directly, open_run
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.products import InstrumentConfig
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.corrections import is_taken_back
from stall_then_strike.infra.bitflyer.bitflyer_rules import EXPIRY_NS
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import RunList
from stall_then_strike.infra.watch.alerts import Alerts, AlertUrls
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow_model import BANDS, FlowModel
from stall_then_strike.types.dto import NS_PER_S, BookedFill, Fact
from stall_then_strike.types.instrument import fx_btc_jpy
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from stall_then_strike.venues.connection import Account
from stall_then_strike.venues.embedded_bitflyer import open_accounts, open_markets, source_of
from tests.live.pace import steady_clock

KEY = ApiKey(key="key-of-the-room", secret="made up for tests")
TWO = ({"product_code": "FX_BTC_JPY"}, {"product_code": "ETH_JPY", "tick_size": Decimal("0.1")})
"""Two instruments, the second with prices in tenths."""
FEW_FAR_AWAY = FlowModel(
    bands=[replace(band, per_s=band.per_s / rarer) for band, rarer in zip(BANDS, (1, 1, 4, 8, 16, 16), strict=True)]
)
"""The market near the touch, where the daemon trades; of the orders behind it, which cost half the time, a part."""
OPEN_ALL_DAY = Calendar(maintenance=None, breaker=None, funding_at_s=(), rollover_at_s=None)
"""Nothing is done by the clock: what a test sees must not depend on the hour at which it runs."""
SHORT = {"timeout_sec": Decimal("0.5")}
"""Real seconds: a lost answer is to be noticed soon, also at speed."""
UNHURRIED = {"timeout_sec": Decimal(10)}
"""Where no answer is lost, a busy machine may take its time for each."""


def live_config(
    exchange: BitflyerExchange,
    folder: Path,
    *,
    instruments: Sequence[Mapping[str, Any]] = (),
    **sections: Mapping[str, Any],
) -> AppConfig:
    """Live settings for an exchange on loopback, with pauses short enough for fast time."""
    tree: dict[str, Any] = {
        "env": "live",
        "exchange": {"base_url": exchange.base_url, "ws_url": exchange.ws_url},
        "pybotters": dict(SHORT),
        "ws": {"reconnect_min_sec": Decimal("0.05")},
        "journal": {"dir": str(folder / "journal")},
        "instruments": list(instruments),
        "risk": {"daily_pnl_jpy": Decimal(-1_000_000), "max_dd_jpy": Decimal(-1_000_000)},
    }
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys}
    return AppConfig.model_validate(tree)


def open_parts(
    stack: ExitStack, cfg: AppConfig, account: Account, folder: Path, console: io.StringIO, now_ns: int
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


class LiveRoom:
    """An exchange with an account, and a folder in which runs leave what they leave."""

    def __init__(
        self, folder: Path, clock: ScaledClock, venue: PrivateVenue, exchange: BitflyerExchange, cfg: AppConfig
    ):
        self.folder, self.clock, self.speed, self.venue, self.exchange = folder, clock, clock.speed, venue, exchange
        self.cfg = cfg
        self.credentials = Credentials(key=KEY.key, secret=KEY.secret)
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

    async def run(self, duration_s: float | None = None, ending: Ending | None = None) -> int:
        """One run, for so many seconds of the exchange's time; its exit code."""
        cfg = self.cfg
        with ExitStack() as stack:
            parts = open_parts(stack, cfg, self.credentials, self.folder, self.console, self.clock.now_ns())
            parts = replace(parts, alerts=self.alerts, strategy=self.strategy, settings=self.settings)
            connection = self.through(BitflyerConnection(cfg, self.clock, self.credentials), cfg, self.clock)
            async with open_run(parts, cfg, self.clock, self.credentials, connection, ending or Ending()) as run:
                self.last = run
                self.attend(run)
                return await run.run(duration_s)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    async def pass_time(self, seconds: float) -> None:
        """Wait so many seconds of the exchange's time."""
        await self.clock.sleep_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    # --- what is left behind

    def rows(self, kind: str, number: int = 0) -> list[dict[str, str]]:
        """Of all runs, if commands made folders for them."""
        found: list[dict[str, str]] = []
        for run in [run.files.folder for run in RunList(self.logs).all] or [self.logs]:
            for path in sorted((RunFiles(run, self.cfg.products).each[number] / kind).glob("*.csv")):
                found.extend(csv.DictReader(path.read_text().splitlines()))
        return found

    def journal(self, number: int = 0) -> tuple[list[BookedFill], Any]:
        """The booked fills of an instrument, and what its core remembers."""
        path = journal_path(self.cfg.journal.dir, self.cfg.exchange.product_code)
        with JournalReader.open(path) as reader:
            of = reader.of(self.cfg.products[number])
            return list(of.fills()), of.memo()

    def facts(self, what: str | None = None) -> list[Fact]:
        """What the journal tells of all instruments together, or of one kind."""
        with JournalReader.open(journal_path(self.cfg.journal.dir, self.cfg.exchange.product_code)) as reader:
            return [fact for fact in reader.facts() if what in {None, fact.what}]

    def working(self) -> list[str]:
        """Orders on the book, or on their way there, for longer than they may live."""
        now_ns = self.clock.now_ns()
        accounts = [venue.accounts["main"] for venue in self.venue.products.values()]
        live = [order for account in accounts for order in account.live.values()]
        return [o.acceptance_id for o in live if now_ns - o.accepted_ns > EXPIRY_NS + 5 * NS_PER_S]

    def check(self, *, is_truth_known: bool = True) -> None:
        """Trades CSV, journal and inventory are the ledger's, to the unit.

        Executions that never were and were taken back again may be in CSV and journal, as pairs. Without
        ``is_truth_known`` there was no time to find them out: then only CSV and journal have to agree, and limits hold.
        """
        for number, venue in enumerate(self.venue.products.values()):
            self._check(number, venue, is_truth_known=is_truth_known)
        assert self.venue.limit_breaches == 0, "limits"
        assert not self.working(), "orders that work for too long"

    def _check(self, number: int, venue: PrivateVenue, *, is_truth_known: bool) -> None:
        ledger, unit = venue.ledger(), venue.market.instrument
        booked, memo = self.journal(number)
        ids = {fill.exec_id for fill in booked}
        real = [fill for fill in booked if fill.exec_id > 0 and not is_taken_back(fill.exec_id, ids.__contains__)]
        true_ids = sorted(fill.exec_id for fill in ledger.fills)
        assert sorted(fill.exec_id for fill in real) == true_ids or not is_truth_known, "journal"
        rows = Counter(
            (row["order_id"], row["side"], Decimal(row["price"]), Decimal(row["size"]), row["tag"])
            for row in self.rows("trades", number)
        )
        assert rows == Counter(
            (f.row.order_id, f.row.side.value, unit.price(f.row.price), unit.size(f.row.size), f.row.tag)
            for f in booked
        ), "trades CSV"
        held = memo.inventory
        if is_truth_known:
            assert held.position == ledger.position, "position"
            flow = -sum(fill.side.sign * fill.price * fill.size for fill in ledger.fills)
            beyond = held.realised - held.basis - flow - ledger.funding
            assert not beyond, f"cash of {unit.product_code}: {beyond} units too much"


@asynccontextmanager
async def live_room(
    folder: Path,
    *,
    speed: float = 20.0,
    seed: int = 7,
    settings: PrivateSettings | None = None,
    model: FlowModel = FEW_FAR_AWAY,
    start_ns: int | None = None,
    clock: ScaledClock | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    instruments: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> AsyncIterator[LiveRoom]:
    """An exchange in fast time, by default from now on, or on a clock that runs already; ``more`` goes to it.

    Its time waits for the event loop, so that a busy machine looks neither like a slow venue nor like a dead line.
    ``sections`` change settings. ``instruments`` are those of the account if there are several.
    """
    async with AsyncExitStack() as stack:
        if clock is None:
            clock = await stack.enter_async_context(steady_clock(speed, start_ns))
        units = [InstrumentConfig.model_validate(one).instrument() for one in instruments] or [fx_btc_jpy()]
        markets = open_markets(units, seed, clock.now_ns(), model)
        settings = PrivateSettings(seed=seed, calendar=OPEN_ALL_DAY) if settings is None else settings
        venue = open_accounts(markets, [KEY], settings)
        exchange = BitflyerExchange(source_of(markets), clock=clock, private=venue, **more)
        await stack.enter_async_context(exchange)
        cfg = live_config(exchange, folder, instruments=instruments, **(sections or {}))
        yield LiveRoom(folder, clock, venue, exchange, cfg)


async def ended(task: asyncio.Task[int], seconds: float = 60.0) -> int:
    """The exit code of a run that is about to end."""
    async with asyncio.timeout(seconds):
        return await task

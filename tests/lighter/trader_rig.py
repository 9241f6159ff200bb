"""A live run on Lighter and its exchange in one event loop: the real command's parts over real HTTP and WebSocket.

`TradingRoom` is the exchange with an account; ``run`` is one run of the trader on it, which can be repeated, as after a
restart. ``check`` compares what the trader left behind with the exchange's ledger.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveParts, LiveRun, Through, directly, open_run
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.venue.corrections import is_taken_back
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.watch.alerts import Alerts, AlertUrls
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from stall_then_strike.types.dto import NS_PER_S, BookedFill
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.embedded_lighter import account_at

pytest.importorskip("lighter")
PREMIUM = VenueSettings(plan=Plan.PREMIUM, verifies_orders=False)
TWO: tuple[Mapping[str, Any], ...] = (
    {
        "product_code": "ETH",
        "market_index": 0,
        "tick_size": Decimal("0.01"),
        "size_step": Decimal("0.0001"),
        "size_min": Decimal("0.005"),
        "strategy": {"size_min": Decimal("0.01"), "max_inventory_btc": Decimal("0.04")},
    },
    {
        "product_code": "BTC",
        "market_index": 1,
        "tick_size": Decimal("0.1"),
        "size_step": Decimal("0.00001"),
        "size_min": Decimal("0.0002"),
        "strategy": {"size_min": Decimal("0.0005"), "max_inventory_btc": Decimal("0.002")},
    },
)
CALL_S = 3.0
"""Real seconds that a call may take, and an answer on the socket: a busy machine must not look like a dead line."""
SYMBOLS = ("ETH", "BTC")


def config(exchange: LighterExchange, folder: Path, speed: float, **sections: Any) -> AppConfig:
    tree: dict[str, Any] = {
        "env": "live",
        "exchange": {
            "name": "lighter",
            "plan": exchange.venue.settings.plan.value,
            "base_url": exchange.base_url,
            "ws_url": exchange.ws_url,
            "quote": "USDC",
            "notional_min": Decimal(10),
        },
        "instruments": list(TWO),
        "pybotters": {"timeout_sec": Decimal(str(CALL_S))},
        "ws": {"channels": (), "reconnect_min_sec": Decimal(str(round(1 / speed, 2)))},
        "journal": {"dir": str(folder / "journal")},
        "strategy": {"max_reverse_ticks": 40, "stale_ms": 3_000},
        "risk": {"daily_pnl_jpy": Decimal(-100_000), "max_dd_jpy": Decimal(-100_000)},
        "account": {"reconcile_sec": Decimal(10)},
    }
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys} if isinstance(keys, Mapping) else keys
    return AppConfig.model_validate(tree)


class TradingRoom:
    """An exchange with an account, and a folder in which runs leave what they leave."""

    def __init__(self, folder: Path, clock: ScaledClock, exchange: LighterExchange, key: Credentials, cfg: AppConfig):
        self.folder, self.clock, self.exchange, self.key, self.cfg = folder, clock, exchange, key, cfg
        self.speed = clock.speed
        self.account = account_at(exchange, key)
        self.last: LiveRun | None = None
        self.through: Through = directly
        self.attend: Callable[[LiveRun], None] = lambda run: None
        """Told of each run before it begins."""
        self.console = io.StringIO()
        """What runs have shown."""

    @property
    def books(self) -> Account:
        return self.exchange.venue.account(self.key.account_index)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    async def run(self, until: Callable[[], object] = lambda: False, limit_s: float = 60.0) -> int:
        """One run, ended as by a signal once something is so, or after so many venue seconds; its exit code."""
        ending = Ending()
        async with asyncio.TaskGroup() as tasks, self.open(ending) as run:
            watching = tasks.create_task(self._end_when(until, limit_s, ending))
            code = await run.run(None)
            watching.cancel()
        return code

    async def killed_run(self, until: Callable[[], object], limit_s: float = 60.0) -> None:
        """One run that ends as a killed process does: nothing more is sent or written."""
        async with self.open(Ending()) as run:
            trading = asyncio.create_task(run.run(None))
            await self.wait(lambda: trading.done() or until(), limit_s)
            run._cancel_the_rest = _nothing  # type: ignore[method-assign]  # a killed process cancels nothing
            trading.cancel()
            with suppress(asyncio.CancelledError):
                await trading

    async def _end_when(self, until: Callable[[], object], limit_s: float, ending: Ending) -> None:
        await self.wait(until, limit_s)
        ending.ask("the test is over")

    async def wait(self, is_so: Callable[[], object], limit_s: float) -> None:
        """Wait until something is so, or for so many venue seconds."""
        end_ns = self.clock.now_ns() + round(limit_s * NS_PER_S)
        while not is_so() and self.clock.now_ns() < end_ns:  # noqa: ASYNC110 - no event for each step
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def open(self, ending: Ending, account: LighterAccount | None = None) -> AsyncIterator[LiveRun]:
        """A run, perhaps with another key; nothing is sent yet."""
        cfg, account = self.cfg, account or self.account
        with ExitStack() as stack:
            journal = stack.enter_context(self._journal(account))
            logs = [
                stack.enter_context(CsvLogs(folder, one.exchange.instrument(), cfg.log))
                for folder, one in zip(RunFiles(self.logs, cfg.products).each, cfg.by_instrument(), strict=True)
            ]
            parts = LiveParts(
                cfg=cfg,
                account=account,
                journal=journal,
                logs=logs,
                folder=self.logs,
                screen=Screen(Console(file=self.console, width=200), live=False),
                alerts=Alerts(AlertUrls(), pause_sec=0, clock=SystemClock()),
            )
            connection = self.through(venue_of(cfg).connect(cfg, self.clock, account), cfg, self.clock)
            async with open_run(parts, cfg, self.clock, account, connection, ending) as run:
                self.last = run
                self.attend(run)
                yield run

    def _journal(self, account: LighterAccount) -> Journal:
        cfg = self.cfg
        return Journal.open(
            journal_path(cfg.journal.dir, cfg.exchange.product_code),
            product_code=cfg.exchange.product_code,
            others=cfg.products[1:],
            account=account.fingerprint,
            now_ns=self.clock.now_ns(),
            locks=self.folder,
        )

    # --- what is left behind

    def booked(self, number: int) -> tuple[list[BookedFill], Any]:
        """The booked fills of an instrument, and what its core remembers."""
        with JournalReader.open(journal_path(self.cfg.journal.dir, self.cfg.exchange.product_code)) as reader:
            of = reader.of(self.cfg.products[number])
            return list(of.fills()), of.memo()

    def check(self) -> None:
        """Journal and inventory are the ledger's, to the unit; nothing works at the venue."""
        assert not self.books.orders, f"orders left behind: {list(self.books.orders.values())}"
        for number, one in enumerate(self.cfg.by_instrument()):
            check_market(self.books, one.exchange.market_index, *self.booked(number))


def check_market(books: Account, market: int, booked: Sequence[BookedFill], memo: Any) -> None:
    """What the journal has of a market is in the exchange's books, to the unit."""
    ids = {fill.exec_id for fill in booked}
    real = [fill for fill in booked if fill.exec_id > 0 and not is_taken_back(fill.exec_id, ids.__contains__)]
    own = [trade for trade in books.trades if trade.market == market]
    assert sorted(fill.exec_id for fill in real) == sorted(trade.trade_id for trade in own), f"{market}: fills"
    held = memo.inventory
    assert held.position == books.size_in(market), f"{market}: position"
    flow = Counter[str]()
    for trade in own:
        party = trade.bid if trade.bid.account == books.index else trade.ask
        sign = 1 if party is trade.bid else -1
        flow["cash"] -= sign * trade.quote
        flow["fees"] += -(-trade.quote * party.fee // 10**6)
    funding = sum(paid.change // 10**6 for paid in books.fundings if paid.market == market)
    assert held.realised - held.basis == flow["cash"] - flow["fees"] + funding, f"{market}: cash"


async def _nothing() -> None:
    pass


@asynccontextmanager
async def trading_room(
    folder: Path,
    *,
    clock: ScaledClock,
    seed: int = 7,
    settings: VenueSettings = PREMIUM,
    sections: Mapping[str, Any] | None = None,
    audit: Audit | None = None,
    account_index: int | None = None,
    **more: Any,
) -> AsyncIterator[TradingRoom]:
    """An exchange with a crowd and an account; ``more`` goes to it."""
    async with LighterExchange(
        clock=clock, seed=seed, settings=settings, has_crowd=True, audit=audit, signing_ns=time.time_ns, **more
    ) as exchange:
        account = exchange.venue.add_account(10**11, index=account_index)  # two rooms in a process need two indexes
        key = exchange.add_key(account.index, 4)
        yield TradingRoom(folder, clock, exchange, key, config(exchange, folder, clock.speed, **(sections or {})))

"""The whole live trader on Lighter's exchange on loopback: core, journal, logs, broker, account, market feed.

`TradingRoom` is the exchange with an account; ``run`` is one run of the trader on it, which can be repeated, as after a
restart. ``check`` compares what the trader left behind with the exchange's ledger.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from stall_then_strike.app.trader.live_trader import LivePlace, LiveTrader
from stall_then_strike.app.trader.realtime import RealtimeRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.engine.venue.corrections import is_taken_back
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.infra.line.socket_line import LineRules
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.log_folder import log_folders
from stall_then_strike.lighter.lighter_rules import lighter_rules
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from stall_then_strike.types.dto import NS_PER_S, BookedFill, Event, PublicTrades
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.venues.connection import Desk as Way
from tests.lighter.trading_rig import Desk, connected

PREMIUM = VenueSettings(plan=Plan.PREMIUM, verifies_orders=False)
STANDARD = VenueSettings(plan=Plan.STANDARD, verifies_orders=False)
TWO: tuple[Mapping[str, Any], ...] = (
    {
        "product_code": "ETH",
        "tick_size": Decimal("0.01"),
        "size_step": Decimal("0.0001"),
        "size_min": Decimal("0.005"),
        "strategy": {"size_min": Decimal("0.01"), "max_inventory_btc": Decimal("0.04")},
    },
    {
        "product_code": "BTC",
        "tick_size": Decimal("0.1"),
        "size_step": Decimal("0.00001"),
        "size_min": Decimal("0.0002"),
        "strategy": {"size_min": Decimal("0.0005"), "max_inventory_btc": Decimal("0.002")},
    },
)
SYMBOLS = ("ETH", "BTC")


def config(exchange: LighterExchange, folder: Path, **sections: Mapping[str, Any]) -> AppConfig:
    tree: dict[str, Any] = {
        "env": "live",
        "exchange": {"base_url": exchange.base_url, "ws_url": exchange.ws_url},
        "ws": {"channels": ()},
        "journal": {"dir": str(folder / "journal")},
        "instruments": list(TWO),
        "strategy": {"max_reverse_ticks": 40, "stale_ms": 3_000},
        "risk": {"daily_pnl_jpy": Decimal(-100_000), "max_dd_jpy": Decimal(-100_000)},
        "account": {"reconcile_sec": Decimal(10)},
    }
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys}
    return AppConfig.model_validate(tree)


class TradingRun:
    """One run, with all its parts open."""

    def __init__(self, portfolio: Portfolio, trader: LiveTrader, desk: Desk, clock: ScaledClock) -> None:
        self.portfolio, self.trader, self.desk, self.clock = portfolio, trader, desk, clock

    async def trade(self, until: Callable[[], object], limit_s: float) -> None:
        """Trade until something is so, for so many venue seconds at most, and end in good order."""
        timer = RealtimeRun(self.trader, self.clock, speed=self.clock.speed)
        async with asyncio.TaskGroup() as tasks:
            owned = [tasks.create_task(timer.keep_time()), tasks.create_task(self.trader.send())]
            await self._until(lambda: until() or self.portfolio.halted is not None, limit_s)
            self.trader.stop()
            await self._until(lambda: self.portfolio.is_done, 60.0)
            await self._until(self._is_shown, 60.0)
            await self.trader.wait_sent()
            for task in owned:
                task.cancel()

    def _is_shown(self) -> bool:
        return all(core.account is not None and core.account.is_settled for core in self.portfolio.cores)

    async def _until(self, is_so: Callable[[], object], limit_s: float) -> None:
        end_ns = self.clock.now_ns() + round(limit_s * NS_PER_S)
        while not is_so() and self.clock.now_ns() < end_ns:  # noqa: ASYNC110 - no event for each step
            await asyncio.sleep(0.01)  # venue time that may stand still


class TradingRoom:
    """An exchange with an account, and a folder in which runs leave what they leave."""

    def __init__(self, folder: Path, clock: ScaledClock, exchange: LighterExchange, key: Credentials, cfg: AppConfig):
        self.folder, self.clock, self.exchange, self.key, self.cfg = folder, clock, exchange, key, cfg
        self.speed = clock.speed
        self.last: TradingRun | None = None
        self.attend: Callable[[TradingRun], None] = lambda run: None

    @property
    def books(self) -> Account:
        return self.exchange.venue.account(self.key.account_index)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def rules(self) -> LineRules:
        """Real seconds, patient with a busy machine."""
        return LineRules(
            connect_s=3.0,
            answer_s=3.0,
            first_pause_s=1.0 / self.speed,
            longest_pause_s=5.0 / self.speed,
            most_tries=None,
            ping_s=1.0,
            silent_s=6.0,
        )

    @property
    def is_standard(self) -> bool:
        return self.exchange.venue.settings.plan is Plan.STANDARD

    async def run(self, until: Callable[[], object] = lambda: False, limit_s: float = 60.0) -> TradingRun:
        """One run of the trader, to its good end."""
        async with self.open_run() as run:
            await run.trade(until, limit_s)
            return run

    async def killed_run(self, until: Callable[[], object], limit_s: float = 60.0) -> None:
        """One run that ends as a killed process does: nothing more is sent or written."""
        async with self.open_run() as run:
            trading = asyncio.create_task(run.trade(lambda: False, limit_s * 2))
            await run._until(until, limit_s)
            trading.cancel()
            with suppress(asyncio.CancelledError):
                await trading

    @asynccontextmanager
    async def open_run(self) -> AsyncIterator[TradingRun]:
        cfg, clock = self.cfg, self.clock
        each = cfg.by_instrument()
        async with AsyncExitStack() as stack:
            journal = stack.enter_context(self._journal())
            logs = [
                stack.enter_context(CsvLogs(folder, one.exchange.instrument(), cfg.log))
                for folder, one in zip(log_folders(self.logs, cfg), each, strict=True)
            ]
            desk = await stack.enter_async_context(
                connected(self.exchange, self.key, cfg.products, clock, self.rules, is_live=False)
            )
            rules = lighter_rules(cfg.account, each[0].exchange.instrument(), is_standard=self.is_standard)
            shared = Shared(cfg, rules, live=True)
            cores = []
            for one in each:
                restored = journal.load(one.exchange.product_code)
                core = Core(one, shared)
                core.restore(restored.memo, restored.orders, restored.exec_ids, restored.fills)
                cores.append(core)
            portfolio = Portfolio(cfg.risk, cores)
            portfolio.restore(journal.account())
            run = self._assemble(portfolio, desk, logs, journal)
            self.last = run
            self.attend(run)
            desk.start()
            yield run

    def _journal(self) -> Journal:
        cfg = self.cfg
        return Journal.open(
            journal_path(cfg.journal.dir, cfg.exchange.product_code),
            product_code=cfg.exchange.product_code,
            others=cfg.products[1:],
            account=f"lighter-{self.key.account_index}",
            now_ns=self.clock.now_ns(),
            locks=self.folder,
        )

    def _assemble(self, portfolio: Portfolio, desk: Desk, logs: Sequence[CsvLogs], journal: Journal) -> TradingRun:
        places, feeds = [], []
        for number, (core, log) in enumerate(zip(portfolio.cores, logs, strict=True)):
            market = desk.market(core.instrument.product_code)
            feed = LighterMarketFeed(market, on_resync=desk.socket.resync)
            feeds.append(feed)
            gateway = desk.broker.gateway(market, feed.board)
            way = Way(gateway, partial(desk.account.report, number), desk.account.renew)
            places.append(LivePlace(core=core, feed=feed, logs=log, desk=way))
        trader = LiveTrader(portfolio, self.clock, places, journal)
        desk.sinks[:] = [partial(_to_trader, trader, number) for number in range(len(places))]
        for number, feed in enumerate(feeds):
            _subscribe(desk, feed, trader, number, self.clock)
        return TradingRun(portfolio, trader, desk, self.clock)

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
            self._check(number, one.exchange.instrument())

    def _check(self, number: int, unit: Instrument) -> None:
        check_market(self.books, SYMBOLS.index(unit.product_code), *self.booked(number))


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
    assert held.realised - held.basis == flow["cash"] - flow["fees"], f"{market}: cash"


def _to_trader(trader: LiveTrader, number: int, event: Event) -> None:
    trader.on_event(event, number)


def _subscribe(desk: Desk, feed: LighterMarketFeed, trader: LiveTrader, number: int, clock: ScaledClock) -> None:
    def on_message(message: dict[str, Any], recv_ns: int) -> None:
        event = feed.on_message(message, recv_ns)
        if isinstance(event, PublicTrades):
            event = desk.account.named(event)
        if event is not None:
            trader.on_market(event, number=number)

    def on_gap(why: str) -> None:
        del why
        lost = feed.on_disconnect(clock.now_ns())
        feed.on_connect()
        trader.on_market(lost, number=number)

    for channel in feed.channels:
        desk.socket.subscribe(channel, on_message, on_gap=on_gap if "order_book" in channel else lambda why: None)


@asynccontextmanager
async def trading_room(
    folder: Path,
    *,
    clock: ScaledClock,
    seed: int = 7,
    settings: VenueSettings = PREMIUM,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    audit: Audit | None = None,
    account_index: int | None = None,
    **more: Any,
) -> AsyncIterator[TradingRoom]:
    """An exchange with a crowd and an account; ``more`` goes to it."""
    async with LighterExchange(
        clock=clock, seed=seed, settings=settings, has_crowd=True, audit=audit, **more
    ) as exchange:
        account = exchange.venue.add_account(10**11, index=account_index)  # two rooms in a process need two indexes
        key = exchange.add_key(account.index, 4)
        yield TradingRoom(folder, clock, exchange, key, config(exchange, folder, **(sections or {})))

"""The room of the embedded Lighter, in which the trader trades."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.venues.embedded_lighter import account_at
from tests.live.room import Room, config_of

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


def config(exchange: LighterExchange, folder: Path, speed: float, sections: Mapping[str, Any]) -> AppConfig:
    tree = {
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
    return config_of(tree, sections)


class TradingRoom(Room):
    """The embedded Lighter with an account."""

    exchange: LighterExchange
    account: LighterAccount

    @property
    def books(self) -> Account:
        return self.exchange.venue.account(self.account.account_index)

    def check(self) -> None:
        """What was left behind is in the exchange's books, to the unit; nothing works at the venue."""
        books = self.books
        assert not books.orders, f"orders left behind: {list(books.orders.values())}"
        for number, one in enumerate(self.cfg.by_instrument()):
            market = one.exchange.market_index
            own = [trade for trade in books.trades if trade.market == market]
            cash = sum(paid.change // 10**6 for paid in books.fundings if paid.market == market)
            for trade in own:
                is_buyer = trade.bid.account == books.index
                rate = (trade.bid if is_buyer else trade.ask).fee
                fee = -(-trade.quote * rate // 10**6)  # rounded up
                cash -= fee + (trade.quote if is_buyer else -trade.quote)
            self.check_books(number, [trade.trade_id for trade in own], books.size_in(market), cash)


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
        key = account_at(exchange, exchange.add_key(account.index, 4))
        yield TradingRoom(folder, clock, exchange, config(exchange, folder, clock.speed, sections or {}), key)

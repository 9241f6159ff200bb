"""A dealer on the exchange on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter import DealerConfig, LighterDealer
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, LighterMarket, Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from tests.waiting import until

pytest.importorskip("lighter")
ETH, BTC = 0, 1
QUICK = VenueSettings(plan=Plan.PREMIUM, delay_ms=(1, 3), verifies_orders=False)
OLD_MINIMUMS = tuple(
    replace(market, min_base=1, min_quote=10_000) if market.market_id == ETH else market for market in MARKETS
)
"""ETH as small as the specification's examples trade it; today the venue asks for 0.0050 ETH and 10 USDC."""


def exchange(
    settings: VenueSettings = QUICK, markets: tuple[LighterMarket, ...] = OLD_MINIMUMS, **more: Any
) -> LighterExchange:
    usual = {"clock": SystemClock(), "seed": 1, "signing_ns": time.time_ns}
    return LighterExchange(settings=settings, markets=markets, **usual | more)


def config(base_url: str, *keys: Credentials, **more: Any) -> DealerConfig:
    given = {
        "base_url": base_url,
        "account_index": keys[0].account_index,
        "l1_private_key": "0x" + "7" * 64,
        "api_keys": [{"api_key_index": k.api_key_index, "api_key_private_key": k.private_key} for k in keys],
        "symbol": "ETH",
        "max_ws_batch": 50,
        "standard_account": False,
        "jitter_ms": (0, 0),
    }
    return DealerConfig(**(given | more))


def sent(venue: LighterExchange) -> list[dict[str, Any]]:
    """What the exchange accepted, in order."""
    return [json.loads(record.info) for record in venue.venue.txs.values()]


@dataclass
class Rig:
    venue: LighterExchange
    dealer: LighterDealer
    keys: tuple[Credentials, ...]

    @property
    def account(self) -> int:
        return self.keys[0].account_index

    def orders(self, market: int = ETH) -> list[Any]:
        """The account's open orders on the exchange's own books."""
        book = self.venue.venue.account(self.account)
        return [order for order in book.orders.values() if order.market == market]

    def nonces(self) -> list[int]:
        """Nonces of all accepted transactions, in order."""
        return [record.nonce for record in self.venue.venue.txs.values()]

    def requests(self, name: str) -> int:
        """How many calls of this name reached the exchange."""
        counts = self.venue.audit.counts
        return sum(count for what, count in counts.items() if what.split("?")[0].endswith(f"/{name}"))

    async def settled(self) -> None:
        """All accepted transactions have had their effect."""
        await until(lambda: all(record.executed_ns for record in self.venue.venue.txs.values()))


@asynccontextmanager
async def rig(*, settings: VenueSettings = QUICK, n_keys: int = 1, **more: Any) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        venue = await stack.enter_async_context(exchange(settings))
        keys = [venue.add_account(api_key_index=4)]
        keys += [venue.add_key(keys[0].account_index, 4 + n) for n in range(1, n_keys)]
        dealer = await LighterDealer.create(config(venue.base_url, *keys, **more))
        await stack.enter_async_context(dealer)
        yield Rig(venue, dealer, tuple(keys))

"""Captured messages of the real venue, and messages written like them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from stall_then_strike.lighter.markets import Market, Markets
from tests.shared_data import lighter_file

BTC_FILE = "ws_book_trade_stats_btc_20251210.jsonl"
TRADES_FILE = "ws_trade_20251009.jsonl"
STATS_FILE = "ws_market_stats_all_20251009.jsonl"
MODELLED_FILE = "nautilus_fixtures_2026.json"
ETH, BTC = Markets().named("ETH"), Markets().named("BTC")

Pairs = Sequence[tuple[str, str]]


def messages(name: str) -> list[dict[str, Any]]:
    """All messages of a captured file; skips the test where it is absent."""
    return [json.loads(line)["msg"] for line in lighter_file(name).read_text().splitlines()]


def modelled(name: str) -> dict[str, Any]:
    """A message modelled on the wire of 2026; skips the test where it is absent."""
    found: dict[str, Any] = json.loads(lighter_file(MODELLED_FILE).read_text())[name]
    return found


def all_markets() -> Markets:
    """The venue's list of 2025-12-08; skips the test where it is absent."""
    body = json.loads(lighter_file("rest_orderBooks_20251208.json").read_text())
    return Markets.from_wire(body.get("body", body), as_of_ns=0, source="captured")


def book(
    bids: Pairs | None = (),
    asks: Pairs | None = (),
    *,
    nonce: int = 100,
    begin: int | None = 0,
    offset: int = 1,
    first: bool = False,
    market: Market = ETH,
) -> dict[str, Any]:
    """A message of a book as the venue writes it; ``begin`` None: as it wrote it in 2025."""

    def rows(pairs: Pairs | None) -> list[dict[str, str]] | None:
        return None if pairs is None else [{"price": price, "size": size} for price, size in pairs]

    inner = {"code": 0, "asks": rows(asks), "bids": rows(bids), "offset": offset, "nonce": nonce}
    if begin is not None:
        inner["begin_nonce"] = begin
    return {
        "channel": f"order_book:{market.market_index}",
        "offset": offset,
        "order_book": inner,
        "type": f"{'subscribed' if first else 'update'}/order_book",
    }


class NaiveBook:
    """A book of decimals, as slow and as plain as can be."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def take(self, message: dict[str, Any]) -> None:
        if message["type"].startswith("subscribed"):
            self.bids, self.asks = {}, {}
        for side, rows in ((self.bids, message["order_book"]["bids"]), (self.asks, message["order_book"]["asks"])):
            for row in rows or ():
                side.pop(Decimal(row["price"]), None)
                if Decimal(row["size"]):
                    side[Decimal(row["price"])] = Decimal(row["size"])

    def sorted(self) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())

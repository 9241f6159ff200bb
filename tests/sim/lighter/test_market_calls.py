"""The public calls about markets, without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.sim.lighter.market_calls import MarketCalls
from stall_then_strike.sim.lighter.query import Query
from stall_then_strike.sim.lighter.transactions import Refusal
from tests.sim.lighter.floor_rig import START_NS

SECOND = 10**9
HOUR = 3_600 * SECOND


class Hall:
    """A venue with two accounts that trade when told to."""

    def __init__(self) -> None:
        self.venue = LighterVenue(start_ns=START_NS)
        self.calls = MarketCalls(self.venue).calls()
        self.buyer, self.seller = (self.venue.add_account(10**12) for _ in range(2))

    def ask(self, name: str, **given: object) -> Any:
        return self.calls[name](Query({key: str(value) for key, value in given.items()}))

    def place(self, price: int, size: int, *, is_ask: bool, after_s: int = 0) -> None:
        owner, now_ns = self.seller if is_ask else self.buyer, self.venue.now_ns + after_s * SECOND
        self.venue.place(owner.index, OrderTerms(market=0, is_ask=is_ask, size=size, price=price), now_ns)

    def trade(self, price: int, size: int, after_s: int = 0) -> None:
        self.place(price, size, is_ask=True, after_s=after_s)
        self.place(price, size, is_ask=False)

    def candles(self, resolution: str = "1m", count_back: int = 500, **more: object) -> list[Any]:
        given = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_000, **more}
        answer = self.ask("candles", market_id=0, resolution=resolution, count_back=count_back, **given)
        return list(answer["c"] or [])


def test_lists_of_markets() -> None:
    hall = Hall()
    assert [row["symbol"] for row in hall.ask("orderBooks")["order_books"]] == ["ETH", "BTC", "SOL", "DOGE", "HYPE"]
    assert [row["market_id"] for row in hall.ask("orderBooks", market_id=24)["order_books"]] == [24]
    assert hall.ask("orderBooks", filter="spot")["order_books"] == []
    [details] = hall.ask("orderBookDetails", market_id=0)["order_book_details"]
    assert (details["size_decimals"], details["price_decimals"], details["mark_price"]) == (4, 2, "3100.00")
    for name, given in (
        ("orderBooks", {"market_id": 7}),
        ("orderBooks", {"market_id": "x"}),
        ("orderBooks", {"filter": "all perps"}),
        ("orderBookOrders", {"market_id": 0}),
        ("orderBookOrders", {"market_id": 0, "limit": 251}),
        ("orderBookOrders", {"limit": 5}),
        ("recentTrades", {"market_id": 0, "limit": 101}),
    ):
        with pytest.raises(Refusal, match="invalid param ") as refused:
            hall.ask(name, **given)
        assert (refused.value.code, refused.value.message) == (20001, "invalid param ")


def test_the_book_lists_single_orders_best_first() -> None:
    hall = Hall()
    for price, size in ((310_002, 50), (310_001, 60), (310_001, 70)):
        hall.place(price, size, is_ask=True)
        hall.place(620_000 - price, size, is_ask=False)
    book = hall.ask("orderBookOrders", market_id=0, limit=2)
    assert (book["total_asks"], book["total_bids"]) == (2, 2)
    assert [(row["price"], row["remaining_base_amount"]) for row in book["asks"]] == [
        ("3100.01", "0.0060"), ("3100.01", "0.0070"),
    ]  # fmt: skip
    assert [(row["price"], row["remaining_base_amount"]) for row in book["bids"]] == [
        ("3099.99", "0.0060"), ("3099.99", "0.0070"),
    ]  # fmt: skip


def test_trades_are_null_when_there_are_none() -> None:
    hall = Hall()
    assert hall.ask("recentTrades", market_id=0, limit=5)["trades"] is None
    for n in range(3):
        hall.trade(310_000 + n, 50)
    trades = hall.ask("recentTrades", market_id=0, limit=2)["trades"]
    assert [trade["price"] for trade in trades] == ["3100.02", "3100.01"]
    assert not {"taker_fee", "maker_fee", "ask_account_pnl", "bid_account_pnl"} & trades[0].keys(), "zeros are absent"
    assert "taker_position_sign_changed" not in trades[0]


def test_candles() -> None:
    hall = Hall()
    assert hall.candles() == []
    for price, after_s in ((310_000, 0), (312_000, 10), (309_000, 5), (311_000, 60)):
        hall.trade(price, 100, after_s)
    first, second = hall.candles()
    assert {name: first[name] for name in "ohlcv"} == {"o": 3100.0, "h": 3120.0, "l": 3090.0, "c": 3090.0, "v": 0.03}
    assert first["V"] == 93.1
    assert first["t"] == START_NS // 10**6 // 60_000 * 60_000
    assert (second["o"], second["t"] - first["t"]) == (3110.0, 60_000)
    assert hall.candles(count_back=1) == [second]
    assert hall.candles("1h")[0]["v"] == 0.04
    assert hall.candles(set_timestamp_to_end="True")[0]["t"] == first["t"] + 59_999
    assert hall.candles(end_timestamp=second["t"] - 1) == [first]
    assert hall.candles(start_timestamp=first["t"] + 1) == [second]
    with pytest.raises(Refusal):
        hall.candles("2m")


def test_fundings() -> None:
    hall = Hall()
    given = {"market_id": 0, "start_timestamp": 0, "end_timestamp": 5_000_000_000_000}
    assert hall.ask("fundings", resolution="1h", count_back=10, **given)["fundings"] == []
    hall.venue.advance(START_NS + 25 * HOUR)
    hours = hall.ask("fundings", resolution="1h", count_back=3, **given)["fundings"]
    assert [row["rate"] for row in hours] == ["0.0012"] * 3
    assert (hours[0]["value"], hours[0]["direction"]) == ("0.03720000", "long")
    assert hours[1]["timestamp"] - hours[0]["timestamp"] == 3_600
    days = hall.ask("fundings", resolution="1d", count_back=3, **given)["fundings"]
    assert days[0]["rate"] == "0.0288"
    rates = hall.ask("funding-rates")["funding_rates"]
    assert rates[0] == {"market_id": 0, "exchange": "lighter", "symbol": "ETH", "rate": 0.000012}


def test_statistics_of_the_exchange() -> None:
    hall = Hall()
    hall.trade(310_000, 10_000)
    stats = hall.ask("exchangeStats")
    assert (stats["total"], stats["daily_usd_volume"], stats["daily_trades_count"]) == (5, 3_100.0, 1)
    height = hall.ask("currentHeight")["height"]
    hall.venue.advance(START_NS + 8 * SECOND)
    assert hall.ask("currentHeight")["height"] == height + 100

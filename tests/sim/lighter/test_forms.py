"""The JSON objects have the fields and kinds of values of captured and documented ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from stall_then_strike.sim.lighter.account_calls import AccountCalls
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, Plan
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.forms import event_info, position_form, stats_form
from stall_then_strike.sim.lighter.market_calls import MarketCalls
from stall_then_strike.sim.lighter.query import Query
from tests.shared_data import lighter_file
from tests.sim.lighter.floor_rig import Floor
from tests.sim.lighter.venue_rig import Client

OPTIONAL = {"message", "next_cursor", "total_funding_paid_out"}


def differences(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    """Where an answer of ours has other fields or kinds of values than the venue's."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted((ours.keys() | theirs.keys()) - OPTIONAL):
            if name not in ours or name not in theirs:
                yield f"{at}.{name} is only in {'theirs' if name in theirs else 'ours'}"
            else:
                yield from differences(ours[name], theirs[name], f"{at}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if ours and theirs:
            yield from differences(ours[0], theirs[0], f"{at}[0]")
    elif type(ours) is not type(theirs) and not {type(ours), type(theirs)} <= {int, float}:
        yield f"{at} is {type(ours).__name__} here, {type(theirs).__name__} there"
    elif (
        isinstance(ours, str)
        and ours.replace(".", "").isdigit()
        and len(ours.partition(".")[2]) != len(theirs.partition(".")[2])
    ):
        yield f"{at} is {ours} here, {theirs} there"


@pytest.fixture
def client() -> Client:
    """A premium account that has bought 0.0060 ETH and has an order open."""
    client = Client()
    client.account.plan = Plan.PREMIUM
    maker = client.venue.add_account(10**12, plan=Plan.PREMIUM)
    for owner, size, is_ask in ((maker, 100, True), (client.account, 60, False)):
        client.venue.place(
            owner.index, OrderTerms(market=0, is_ask=is_ask, size=size, price=310_000), client.venue.now_ns
        )
    client.create(Price=315_000, ClientOrderIndex=3)
    client.settle()
    return client


ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "http_order_books.json": ("orderBooks", {"market_id": 0}),
    "http_order_book_details.json": ("orderBookDetails", {"market_id": 0}),
    "http_order_book_orders.json": ("orderBookOrders", {"market_id": 0, "limit": 5}),
    "http_recent_trades.json": ("recentTrades", {"market_id": 0, "limit": 5}),
    "http_candles.json": (
        "candles",
        {"market_id": 0, "resolution": "1m", "count_back": 5, "start_timestamp": 0, "end_timestamp": 5 * 10**12},
    ),
    "http_fundings.json": (
        "fundings",
        {"market_id": 0, "resolution": "1h", "count_back": 5, "start_timestamp": 0, "end_timestamp": 5 * 10**12},
    ),
    "http_next_nonce.json": ("nextNonce", {"account_index": 100_001, "api_key_index": 4}),
    "http_account.json": ("account", {"by": "index", "value": 100_001}),
}
KNOWN = {
    "http_order_book_details.json": {
        ".order_book_details[0].mark_price is only in ours",
        ".order_book_details[0].index_price is only in ours",
    },
    "http_account.json": {
        ".accounts[0].positions[0].total_discount is only in ours",
        ".accounts[0].positions[0].avg_entry_price is 3100.00 here, 0.0 there",
        ".accounts[0].positions[0].position is 0.0060 here, 0.00000 there",
    },
    "http_recent_trades.json": {
        ".trades[0].taker_fee is only in ours",
        ".trades[0].taker_position_sign_changed is only in ours",
        ".trades[0].maker_position_sign_changed is only in ours",
    },
}
"""Fields that the fixture leaves out because they are zero there, or that are of another market there."""


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_have_the_documented_form(client: Client, name: str) -> None:
    theirs = orjson.loads(lighter_file("nautilus_fixtures_2026.json").read_bytes())[name]
    client.settle(2 * 3_600_000)
    call, given = ANSWERS[name]
    calls = MarketCalls(client.venue).calls() | AccountCalls(client.venue).calls()
    ours = calls[call](Query({key: str(value) for key, value in given.items()}))
    assert set(differences(orjson.loads(orjson.dumps(ours)), theirs)) == KNOWN.get(name, set())


def test_orders_have_the_documented_form(client: Client) -> None:
    theirs = orjson.loads(lighter_file("nautilus_fixtures_2026.json").read_bytes())["http_orders.json"]
    ours = AccountCalls(client.venue).own_calls()["accountActiveOrders"](Query({}), client.account)
    assert list(differences(ours, theirs)) == []


def test_statistics_and_positions_have_the_captured_form(client: Client) -> None:
    lines = lighter_file("ws_account_20251012.jsonl").read_bytes().splitlines()
    messages = [orjson.loads(line)["msg"] for line in lines]
    stats = next(message["stats"] for message in messages if message["type"] == "update/user_stats")
    ours = stats_form(client.venue.accounts, client.account)
    assert set(differences(ours, stats)) == {".account_trading_mode is only in ours"}, "which came in 2026"
    info = next(tx["event_info"] for message in messages for tx in message.get("txs", []))
    tx = client.create(Price=310_000, IsAsk=0, TimeInForce=0, OrderExpiry=0)
    client.settle()
    told = orjson.loads(client.venue.txs[tx.tx_hash].event_info)
    assert list(differences(told, orjson.loads(info))) == []


def test_a_captured_statistic_is_computed_alike() -> None:
    floor = Floor(markets=MARKETS)
    account = floor.open(1_000)
    account.collateral = 998_931_800 * 10**6
    floor.accounts.position(account, 24).fraction = 2_000
    floor.accounts.trade(account, 24, -100, 40_1342, 0)
    floor.set_prices(24, 40_1303, 40_1303, floor.now_ns)
    figures = {name: stats_form(floor.accounts, account)[name] for name in (
        "collateral", "portfolio_value", "leverage", "available_balance", "margin_usage",
    )}  # fmt: skip
    assert figures == {
        "collateral": "998.931800", "portfolio_value": "998.935700", "leverage": "0.04",
        "available_balance": "990.909640", "margin_usage": "0.80",
    }  # fmt: skip
    position = position_form(floor.accounts, account, 24)
    assert (position["sign"], position["position"], position["initial_margin_fraction"]) == (-1, "1.00", "20.00")
    assert (position["avg_entry_price"], position["position_value"]) == ("40.1342", "40.130300")
    assert position["unrealized_pnl"] == "0.003900"


def test_what_touched_nothing_has_little_to_tell() -> None:
    assert orjson.loads(event_info(255, [], "order not found")) == {"m": 255, "ae": "order not found"}

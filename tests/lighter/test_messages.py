"""Captured messages of the real venue are read without loss; the parts that trading needs are read right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stall_then_strike.lighter.messages import (
    AccountFrame,
    BookFrame,
    ErrorFrame,
    Frame,
    MarketStatsFrame,
    OrdersFrame,
    StatsFrame,
    TradesFrame,
    TransactionsFrame,
    UnreadableFrame,
    read_frame,
)
from tests.shared_data import lighter_file, shared_folder

DATA = shared_folder() / "data" / "lighter"
KNOWN_PLAIN = {"candle", "ticker", "height", "account_market", "connected", "unsubscribed"}


def captured() -> Iterator[tuple[Path, dict[str, Any]]]:
    """All captured messages of the socket, and the fixtures modelled on answers of 2026."""
    for path in sorted(DATA.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            yield path, json.loads(line)["msg"]
    modelled = DATA / "nautilus_fixtures_2026.json"
    if modelled.is_file():
        for name, message in json.loads(modelled.read_text()).items():
            if name.startswith("ws_"):
                yield Path(name), message


def back(value: Any) -> Any:
    """A read value as plain data."""
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in value.model_fields_set}
        return {name: back(item) for name, item in (given | (value.model_extra or {})).items()}
    if isinstance(value, dict):
        return {key: back(item) for key, item in value.items()}
    return [back(item) for item in value] if isinstance(value, list) else value


def same(read: Any, wire: Any, where: str) -> None:
    """Nothing is missing, nothing is added, and each amount has the digits that it had."""
    if isinstance(wire, dict):
        assert set(read) == set(wire), where
        for key, value in wire.items():
            same(read[key], value, f"{where}.{key}")
    elif isinstance(wire, list):
        assert len(read) == len(wire), where
        for number, (one, other) in enumerate(zip(read, wire, strict=True)):
            same(one, other, f"{where}[{number}]")
    elif isinstance(read, Decimal):
        assert str(read) == wire if isinstance(wire, str) else read == wire, where
    else:
        assert (type(read), read) == (type(wire), wire), where


def test_every_captured_message_is_read_without_loss() -> None:
    kinds: dict[str, int] = {}
    for path, message in captured():
        frame = read_frame(message)
        same(back(frame), message, f"{path.name}: {message.get('type')}")
        kind = frame.kind if isinstance(frame, Frame) else "error"
        assert type(frame) is not Frame or kind in KNOWN_PLAIN, f"{path.name}: {kind} is read as nothing in particular"
        kinds[kind] = kinds.get(kind, 0) + 1
    if not kinds:
        pytest.skip(f"no captured messages here: {DATA}")
    assert sum(kinds.values()) > 450
    assert {"order_book", "trade", "market_stats", "account_all", "account_tx", "user_stats", "error"} <= set(kinds)


def frames(name: str) -> list[Any]:
    path = lighter_file(name)
    return [read_frame(json.loads(line)["msg"]) for line in path.read_text().splitlines()]


def test_captured_account_is_followed_through_a_sell_and_its_close() -> None:
    seen = frames("ws_account_20251012.jsonl")
    accounts = [frame for frame in seen if isinstance(frame, AccountFrame)]
    trades = [trade for frame in accounts if not frame.is_snapshot for trade in frame.all_trades()]
    assert len({trade.trade_id for trade in trades}) == len(trades) == 2
    assert [trade.side_of(225671) for trade in trades] == ["sell", "buy"]
    sizes = [position.size for frame in accounts for position in (frame.positions or {}).values()]
    assert Decimal("-1.00") in sizes
    assert sizes[-1] == 0
    assert [order.status for frame in seen if isinstance(frame, OrdersFrame) for order in frame.all()] == ["filled"] * 2
    collateral = [frame.stats.collateral for frame in seen if isinstance(frame, StatsFrame)]
    assert collateral[0] == Decimal("998.931800")
    hashes = [tx.hash for frame in seen if isinstance(frame, TransactionsFrame) for tx in frame.txs or ()]
    assert len(hashes) == 2


def test_captured_book_of_bitcoin_stays_uncrossed() -> None:
    sides: dict[str, dict[Decimal, Decimal]] = {"asks": {}, "bids": {}}
    updates = 0
    for frame in frames("ws_book_trade_stats_btc_20251210.jsonl"):
        if not isinstance(frame, BookFrame):
            continue
        if frame.is_snapshot:
            sides = {"asks": {}, "bids": {}}
        updates += not frame.is_snapshot
        for side, levels in (("asks", frame.order_book.asks), ("bids", frame.order_book.bids)):
            for level in levels or ():
                sides[side].pop(level.price, None)
                if level.size:
                    sides[side][level.price] = level.size
        assert max(sides["bids"]) < min(sides["asks"])
    assert updates == 228


def test_captured_trades_pay_the_fees_of_their_roles() -> None:
    trades = [
        trade for frame in frames("ws_trade_20251009.jsonl") if isinstance(frame, TradesFrame) for trade in frame.all()
    ]
    assert {trade.type for trade in trades} == {"trade", "liquidation"}
    for trade in trades:
        assert trade.usd_amount == trade.size * trade.price
        taker = trade.bid_account_id if trade.is_maker_ask else trade.ask_account_id
        if taker != (trade.ask_account_id if trade.is_maker_ask else trade.bid_account_id):
            assert trade.fee_of(taker) == trade.usd_amount * trade.taker_fee / 1_000_000


def test_market_statistics_come_for_one_or_for_all() -> None:
    snapshot = next(f for f in frames("ws_market_stats_all_20251009.jsonl") if isinstance(f, MarketStatsFrame))
    assert len(snapshot.all()) == 92
    one = read_frame({"type": "update/market_stats", "channel": "market_stats:1", "market_stats": {"market_id": 1}})
    assert isinstance(one, MarketStatsFrame)
    assert [stats.market_id for stats in one.all()] == [1]
    assert (one.kind, one.channel, one.is_snapshot) == ("market_stats", "market_stats:1", False)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "connected", "session_id": "x"}, Frame),
        ({"error": {"code": 30005, "message": "Invalid Channel:  (account)"}}, ErrorFrame),
        ({"error": {"code": 21104, "message": "invalid nonce"}, "id": "x"}, ErrorFrame),
        ({"type": "update/account_all_orders", "channel": "account_all_orders:1", "orders": None}, OrdersFrame),
        ({"type": "update/trade", "channel": "trade:0", "trades": None, "liquidation_trades": None}, TradesFrame),
        ({"type": "something/new", "channel": "new:1", "what": [1]}, Frame),
        ({}, Frame),
    ],
)
def test_null_missing_and_unknown_forms_are_read(message: dict[str, Any], kind: type[Any]) -> None:
    if "type" not in message and "error" not in message:
        with pytest.raises(UnreadableFrame):
            read_frame(message)
        return
    frame = read_frame(message)
    assert type(frame) is kind
    if isinstance(frame, OrdersFrame | TradesFrame):
        assert frame.all() == []


@pytest.mark.parametrize("price", ["1E+999999", "-9E+999999", "1E-999999"])
def test_number_that_nobody_can_compute_with_is_unreadable(price: str) -> None:
    order = {"order_index": 1, "initial_base_amount": "1", "price": price, "status": "open"}
    with pytest.raises(UnreadableFrame, match="decimal_max_digits"):
        read_frame({"type": "update/account_all_orders", "channel": "account_all_orders:1", "orders": {"0": [order]}})


def test_unreadable_message_names_fields_not_values() -> None:
    with pytest.raises(UnreadableFrame, match=r"update/user_stats: stats.collateral: decimal_parsing") as caught:
        read_frame({"type": "update/user_stats", "channel": "user_stats:1", "stats": {"collateral": "secret"}})
    assert "secret" not in str(caught.value)

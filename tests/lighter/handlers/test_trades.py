"""Captured trades are told each once, equal to the raw fields; what cannot be read spoils no other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stall_then_strike.lighter.handlers.base import Unreadable
from stall_then_strike.lighter.handlers.trades import MOST_TRADES, REMEMBERED, TradesHandler
from stall_then_strike.types.dto import PublicTrade, Side
from tests.lighter.captured import BTC, BTC_FILE, ETH, TRADES_FILE, messages, modelled


def rows_of(message: dict[str, Any]) -> list[tuple[dict[str, Any], bool]]:
    """The rows of a message, and whether each is in the list of liquidations."""
    return [
        (row, name == "liquidation_trades") for name in ("trades", "liquidation_trades") for row in message[name] or ()
    ]


def same(trade: PublicTrade, row: dict[str, Any], is_liquidation: bool) -> None:
    unit = (BTC if row["market_id"] else ETH).instrument
    assert trade.exec_id == row["trade_id"]
    assert unit.price(trade.price) == Decimal(row["price"])
    assert unit.size(trade.size) == Decimal(row["size"])
    assert unit.price(trade.price) * unit.size(trade.size) == Decimal(row["usd_amount"])
    assert trade.taker is (Side.BUY if row["is_maker_ask"] else Side.SELL)
    rates = (row.get("maker_fee", 0), row.get("taker_fee", 0))
    for fee, rate in ((trade.buy_fee, rates[row["is_maker_ask"]]), (trade.sell_fee, rates[not row["is_maker_ask"]])):
        wanted = Decimal(row["usd_amount"]) * rate / 1_000_000
        assert 0 <= unit.amount(fee) - wanted < unit.amount(1)
    assert (trade.buy_order_id, trade.sell_order_id) == (str(row["bid_id"]), str(row["ask_id"]))
    assert trade.is_liquidation is is_liquidation is (row["type"] == "liquidation")


@pytest.mark.parametrize("name", [TRADES_FILE, BTC_FILE])
def test_every_captured_trade_equals_its_raw_fields_and_is_told_once(name: str) -> None:
    handlers = {market.market_index: TradesHandler(market) for market in (ETH, BTC)}
    raw: dict[int, tuple[dict[str, Any], bool]] = {}
    told: dict[int, PublicTrade] = {}
    for number, message in enumerate(messages(name)):
        chosen = [handler for handler in handlers.values() if handler.can_handle(message)]
        assert len(chosen) == ("trade" in str(message.get("type")))
        for handler in chosen:
            raw |= {row["trade_id"]: (row, is_liquidation) for row, is_liquidation in rows_of(message)}
            found = handler.handle(message, number)
            if found is not None:
                assert (found.ts_ns, found.is_history) == (number, message["type"] == "subscribed/trade")
                assert told.keys().isdisjoint(trade.exec_id for trade in found.trades)
                told |= {trade.exec_id: trade for trade in found.trades}
    assert told.keys() == raw.keys()
    assert len(told) > 90
    for trade_id, trade in told.items():
        same(trade, *raw[trade_id])
    assert all(handler.unreadable == 0 for handler in handlers.values())


def test_forms_of_2026_are_read() -> None:
    handler, message = TradesHandler(ETH), modelled("ws_trade_update.json")
    found = handler.handle(message, 1)
    assert found is not None
    same(found.trades[0], message["trades"][0], False)
    assert handler.handle(message, 2) is None


def test_order_of_the_own_account_has_the_name_that_its_owner_gave_it() -> None:
    row = {**ROW, "bid_id": 2**49 - 7, "bid_client_id": 41, "bid_account_id": 3}
    row |= {"ask_id": 2**48 + 7, "ask_client_id": 41, "ask_account_id": 4}
    rows = [row, {**row, "trade_id": 6, "bid_client_id": 0}, {**ROW, "trade_id": 7, "bid_id": 8, "bid_account_id": 3}]
    found = TradesHandler(ETH, 3).handle({"type": "update/trade", "trades": rows}, 1)
    assert found is not None
    assert [trade.buy_order_id for trade in found.trades] == ["41", str(2**49 - 7), "8"]
    assert [trade.sell_order_id for trade in found.trades] == [str(2**48 + 7)] * 2 + [""]


ROW = {"trade_id": 5, "market_id": 0, "price": "2000.50", "size": "0.0100"}


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        {},
        {**ROW, "trade_id": "5"},
        {**ROW, "trade_id": 0},
        {**ROW, "trade_id": True},
        {**ROW, "price": "2000.555"},
        {**ROW, "price": "0.00"},
        {**ROW, "size": None},
        {**ROW, "size": "-0.0100"},
        {**ROW, "market_id": 1},
        {**ROW, "taker_fee": "28"},
    ],
    ids=str,
)
def test_trade_that_cannot_be_read_spoils_no_other(broken: Any) -> None:
    handler = TradesHandler(ETH)
    found = handler.handle({"type": "update/trade", "trades": [broken, {**ROW, "trade_id": 6}]}, 1)
    assert found is not None
    assert [trade.exec_id for trade in found.trades] == [6]
    assert (found.trades[0].buy_order_id, found.trades[0].taker) == ("", Side.SELL)
    assert handler.unreadable == 1
    assert handler.last_error


def test_null_and_absent_lists_are_empty_and_others_are_refused() -> None:
    handler = TradesHandler(ETH)
    assert handler.handle({"type": "update/trade", "trades": None, "liquidation_trades": None}, 1) is None
    assert handler.handle({"type": "update/trade"}, 1) is None
    for wrong in ({}, "x", [ROW] * (MOST_TRADES + 1)):
        with pytest.raises(Unreadable):
            handler.handle({"type": "update/trade", "trades": wrong}, 1)


def test_memory_of_trades_is_bounded() -> None:
    handler = TradesHandler(ETH)
    for trade_id in range(1, REMEMBERED + 2):
        handler.handle({"type": "update/trade", "trades": [{**ROW, "trade_id": trade_id}]}, 1)
    assert handler.handle({"type": "update/trade", "trades": [{**ROW, "trade_id": 2}]}, 1) is None
    assert handler.handle({"type": "update/trade", "trades": [{**ROW, "trade_id": 1}]}, 1) is not None

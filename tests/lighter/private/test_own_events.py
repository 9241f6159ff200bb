"""Private messages as the engine's events, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.lighter.markets import Markets
from stall_then_strike.lighter.messages import AccountFrame, OrdersFrame, TransactionsFrame, read_frame
from stall_then_strike.lighter.private.own_events import OwnEvents
from stall_then_strike.types.dto import NS_PER_S, FillEvent, FundingEvent, OrderEvent
from stall_then_strike.types.names import Side

OURS, THEIRS = 7, 8
START_NS = 1_790_000_000 * NS_PER_S
BID, ASK = 2**48 + 900, 2**48 + 5


@pytest.fixture
def events() -> OwnEvents:
    return OwnEvents(OURS, [Markets().named("ETH"), Markets().named("BTC")], START_NS)


def order(events: OwnEvents, status: str, *, first: bool = False, **more: Any) -> list[Any]:
    given: dict[str, Any] = {
        "order_index": BID,
        "client_order_index": 41,
        "market_index": 0,
        "owner_account_index": OURS,
        "initial_base_amount": "0.0300",
        "filled_base_amount": "0.0000",
        "price": "3000.00",
        "is_ask": False,
        "type": "limit",
        "time_in_force": "post-only",
        "status": status,
        **more,
    }
    kind = "subscribed" if first else "update"
    frame = read_frame(
        {"type": f"{kind}/account_all_orders", "channel": f"account_all_orders:{OURS}", "orders": {"0": [given]}}
    )
    assert isinstance(frame, OrdersFrame)
    return told(events.of_orders(frame, 5))


def trade(events: OwnEvents, trade_id: int, *, first: bool = False, **more: Any) -> list[Any]:
    given: dict[str, Any] = {
        "trade_id": trade_id,
        "market_id": 0,
        "price": "3000.00",
        "size": "0.0100",
        "usd_amount": "30.000000",
        "bid_id": BID,
        "bid_client_id": 41,
        "ask_id": ASK,
        "bid_account_id": OURS,
        "ask_account_id": THEIRS,
        "maker_fee": 28,
        "taker_fee": 196,
        **more,
    }
    return account(events, first=first, trades={"0": [given]})


def account(events: OwnEvents, *, first: bool = False, **parts: Any) -> list[Any]:
    kind = "subscribed" if first else "update"
    frame = read_frame({"type": f"{kind}/account_all", "channel": f"account_all:{OURS}", "account": OURS, **parts})
    assert isinstance(frame, AccountFrame)
    return told(events.of_account(frame, 6))


def told(found: Any) -> list[Any]:
    events = []
    for number, event in found:
        if isinstance(event, FillEvent):
            events.append(("fill", number, event.order_id, event.side, event.size, event.fee))
        elif isinstance(event, FundingEvent):
            events.append(("funding", number, event.amount))
        else:
            assert isinstance(event, OrderEvent)
            events.append((event.kind.value, number, event.order_id, event.detail))
    return events


def test_order_is_known_by_its_client_order_index_or_else_by_its_own(events: OwnEvents) -> None:
    assert order(events, "open") == [("registered", 0, "41", "")]
    assert order(events, "open", client_order_index=0) == [("registered", 0, str(BID), "")]
    assert order(events, "in-progress") == []
    assert order(events, "open", market_index=2) == [], "another market's"


def test_end_waits_for_all_its_fills(events: OwnEvents) -> None:
    order(events, "open")
    assert order(events, "canceled", filled_base_amount="0.0200") == []
    assert trade(events, 1) == [("fill", 0, "41", Side.BUY, 100, 840)]
    assert trade(events, 1) == [], "told twice"
    assert trade(events, 2) == [("fill", 0, "41", Side.BUY, 100, 840), ("cancelled", 0, "41", "")]


def test_end_comes_at_once_when_its_fills_are_told_or_are_from_before(events: OwnEvents) -> None:
    order(events, "open", first=True, filled_base_amount="0.0100")
    trade(events, 2)
    assert order(events, "canceled-post-only", filled_base_amount="0.0200") == [
        ("cancelled", 0, "41", "canceled-post-only")
    ]
    assert order(events, "filled", filled_base_amount="0.0300") == [], "its fills end it"


def test_after_a_gap_nothing_is_owed(events: OwnEvents) -> None:
    order(events, "canceled", filled_base_amount="0.0200")
    events.forget()
    assert trade(events, 1) == [("fill", 0, "41", Side.BUY, 100, 840)]
    assert trade(events, 2) == [("fill", 0, "41", Side.BUY, 100, 840)]


@pytest.mark.parametrize(
    ("status", "tif", "kind"),
    [
        ("canceled-margin-not-allowed", "post-only", "rejected"),
        ("canceled-invalid-balance", "post-only", "rejected"),
        ("canceled-expired", "good-till-time", "expired"),
        ("canceled-too-much-slippage", "immediate-or-cancel", "expired"),
        ("canceled-self-trade", "post-only", "cancelled"),
    ],
)
def test_ways_to_end(events: OwnEvents, status: str, tif: str, kind: str) -> None:
    assert order(events, status, time_in_force=tif) == [(kind, 0, "41", status)]


def test_trade_has_our_side_and_our_part_of_the_fees(events: OwnEvents) -> None:
    taker = {"bid_account_id": THEIRS, "ask_account_id": OURS, "ask_client_id": 42, "bid_client_id": 1}
    assert trade(events, 3, **taker) == [("fill", 0, "42", Side.SELL, 100, 5880)]
    assert trade(events, 4, bid_account_id=THEIRS) == []
    assert trade(events, 5, size="0.00001") == [], "off the market's steps"
    assert trade(events, 6, first=True) == [], "an old one in a snapshot"
    assert trade(events, 7, usd_amount="30.000001")[0][-1] == 841, "fees are rounded against us"


def test_funding_is_told_once_and_not_from_before(events: OwnEvents) -> None:
    paid = {"funding_id": 9, "market_id": 1, "change": "-0.0123459", "timestamp": START_NS // NS_PER_S}
    old = {**paid, "funding_id": 8, "timestamp": START_NS // NS_PER_S - 1}
    histories = {"1": [old, paid]}
    assert account(events, funding_histories=histories) == [("funding", 1, -12_346)]
    assert account(events, first=True, funding_histories=histories) == []
    assert account(events, funding_histories={"1": None}, trades=None) == []


@pytest.mark.parametrize(
    ("tx_type", "info", "why", "expected"),
    [
        (14, '{"MarketIndex":1,"ClientOrderIndex":41}', "order expired", [("rejected", 1, "41", "order expired")]),
        (14, '{"MarketIndex":1,"ClientOrderIndex":41}', "client order index already exists", []),
        (15, '{"MarketIndex":0,"Index":41}', "order not found", [("cancel_failed", 0, "41", "order not found")]),
        (15, f'{{"MarketIndex":0,"Index":{BID}}}', "order not found", []),
        (14, '{"MarketIndex":1,"ClientOrderIndex":41}', "", []),
        (14, "[", "order expired", []),
        (16, '{"MarketIndex":1}', "order expired", []),
    ],
)
def test_transaction_without_effect_is_told(
    events: OwnEvents, tx_type: int, info: str, why: str, expected: list[Any]
) -> None:
    tx = {"hash": "00", "type": tx_type, "status": 0, "info": info, "event_info": f'{{"ae":"{why}"}}'}
    frame = read_frame({"type": "update/account_tx", "channel": f"account_tx:{OURS}", "txs": [tx]})
    assert isinstance(frame, TransactionsFrame)
    assert told(events.of_transactions(frame, 5)) == expected
    done = frame.model_copy(update={"txs": [frame.txs[0].model_copy(update={"status": 2})]} if frame.txs else {})
    assert told(events.of_transactions(done, 5)) == []

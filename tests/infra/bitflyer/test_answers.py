"""Answers as values: exact numbers, times of any form, and nothing guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiohttp.payload import JsonPayload
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.answers import AnswerReader, BadAnswer, read_json, read_time
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.bitflyer.private_feed import PrivateFeed
from stall_then_strike.infra.http_bitflyer import exact_float
from stall_then_strike.sim.bitflyer.tickets import read_body, read_ticket
from stall_then_strike.types.dto import BoardState, Health, ReportedState, Side
from stall_then_strike.types.instrument import Lots, Ticks, fx_btc_jpy

UNIT = fx_btc_jpy()
READ = AnswerReader(UNIT)

ORDER: dict[str, Any] = {
    "id": 138398,
    "child_order_id": "JOR20150707-084555-022523",
    "product_code": "FX_BTC_JPY",
    "side": "BUY",
    "child_order_type": "LIMIT",
    "price": 30000.0,
    "average_price": 30000.0,
    "size": 0.1,
    "child_order_state": "COMPLETED",
    "expire_date": "2015-07-14T07:25:52",
    "child_order_date": "2015-07-07T08:45:53",
    "child_order_acceptance_id": "JRF20150707-084552-031927",
    "outstanding_size": 0.0,
    "cancel_size": 0.0,
    "executed_size": 0.1,
    "total_commission": 0.0,
    "time_in_force": "GTC",
}
EXECUTION: dict[str, Any] = {
    "id": 37233,
    "child_order_id": "JOR20150707-060559-021935",
    "side": "SELL",
    "price": 33470,
    "size": 0.01,
    "commission": 0,
    "exec_date": "2015-07-07T09:57:40.397",
    "child_order_acceptance_id": "JRF20150707-060559-396699",
}


def over_the_wire(value: Any) -> Any:
    return read_json(json.dumps(value))


def test_documented_order_is_read() -> None:
    (order,) = READ.orders(over_the_wire([ORDER]))
    assert (order.order_id, order.side, order.price) == (ORDER["child_order_acceptance_id"], Side.BUY, 30_000)
    assert (order.size, order.executed, order.state) == (10_000_000, 10_000_000, ReportedState.COMPLETED)
    assert order.placed_ns == int(datetime(2015, 7, 7, 8, 45, 53, tzinfo=UTC).timestamp()) * 10**9


def test_market_order_has_no_price() -> None:
    (order,) = READ.orders(over_the_wire([{**ORDER, "child_order_type": "MARKET", "price": 0.0}]))
    assert order.price is None


def test_documented_execution_is_read() -> None:
    (fill,) = READ.executions(over_the_wire([EXECUTION]))
    assert (fill.exec_id, fill.side, fill.price, fill.size, fill.fee) == (37_233, Side.SELL, 33_470, 1_000_000, 0)
    event = fill.to_fill()
    assert (event.ts_ns, event.exec_id, event.order_id) == (
        1_436_263_060_397_000_000,
        37_233,
        "JRF20150707-060559-396699",
    )


def test_commission_in_the_base_currency_becomes_money_at_the_fills_price_rounded_against_us() -> None:
    (fill,) = READ.executions(over_the_wire([{**EXECUTION, "commission": 0.000015}]))
    assert UNIT.amount(fill.fee) == Decimal("0.50205")
    (fill,) = READ.executions(
        read_json(json.dumps([EXECUTION]).replace('"commission": 0', '"commission": 1.00001e-10'))
    )
    assert fill.fee == 335


def test_lots_are_summed_with_their_side_and_their_price_may_be_off_the_grid() -> None:
    row = {"product_code": "FX_BTC_JPY", "side": "SELL", "price": 10_000_000.5, "size": 0.00000003}
    held = READ.position(over_the_wire([row, {**row, "price": 9_000_000.0, "size": 0.3}]))
    assert (held.size, held.basis) == (-30_000_003, -270_000_030_000_002)
    assert READ.position([]).size == READ.position([]).basis == 0


def test_dust_of_a_sum_of_floats_is_forgiven() -> None:
    row = {"side": "BUY", "price": 1.0, "size": 0.1 + 0.2}
    assert READ.position(over_the_wire([row])).size == 30_000_000


def test_collateral_balance_condition_and_the_rest() -> None:
    text = (
        '{"collateral": 100000.123456789, "open_position_pnl": -715.0, "require_collateral": 19857, "keep_rate": 5.0}'
    )
    margin = READ.collateral(read_json(text))
    assert (margin.collateral, margin.open_pnl) == (10_000_012_345_678, -71_500_000_000)
    assert (margin.required, margin.keep_rate) == (1_985_700_000_000, 5)
    (yen,) = READ.balances(over_the_wire([{"currency_code": "JPY", "amount": 1024078, "available": 508000.5}]))
    assert (yen.currency, yen.amount, yen.available) == ("JPY", 1_024_078, Decimal("508000.5"))
    assert READ.permissions(over_the_wire(["/v1/me/getbalance"])) == {"/v1/me/getbalance"}
    condition = READ.condition(over_the_wire({"health": "VERY BUSY", "state": "CIRCUIT BREAK", "data": {}}))
    assert (condition.state, condition.health) == (BoardState.CIRCUIT_BREAK, Health.VERY_BUSY)
    assert READ.condition(over_the_wire({"health": "GOOD", "state": "NEW"})).state is BoardState.UNKNOWN
    assert READ.acceptance(over_the_wire({"child_order_acceptance_id": "JRF1-2"})) == "JRF1-2"


READERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "orders": (READ.orders, [ORDER]),
    "executions": (READ.executions, [EXECUTION]),
    "position": (READ.position, [{"side": "BUY", "price": 1, "size": 0.1}]),
    "collateral": (
        READ.collateral,
        {"collateral": 1, "open_position_pnl": 0, "require_collateral": 0, "keep_rate": 0},
    ),
    "balances": (READ.balances, [{"currency_code": "JPY", "amount": 1, "available": 1}]),
    "permissions": (READ.permissions, ["a"]),
    "condition": (READ.condition, {"health": "NORMAL", "state": "RUNNING"}),
    "acceptance": (READ.acceptance, {"child_order_acceptance_id": "x"}),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("value", [None, 7, "text", [None], [[]], [7], {"a": 1}, True])
def test_other_shapes_are_no_answers(name: str, value: Any) -> None:
    read, good = READERS[name]
    read(over_the_wire(good))
    with pytest.raises(BadAnswer):
        read(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "30000"),
        ("price", None),
        ("price", 30000.5),
        ("price", True),
        ("price", 10**13),
        ("size", -0.1),
        ("size", 0.000000001),
        ("size", 1e300),
        ("side", "buy"),
        ("child_order_state", "CANCELLED"),
        ("child_order_acceptance_id", ""),
        ("child_order_acceptance_id", "a b"),
        ("child_order_acceptance_id", "x" * 65),
    ],
)
def test_order_with_one_senseless_field_is_left_out_and_counted_and_spoils_no_other(field: str, value: Any) -> None:
    read = AnswerReader(UNIT)
    assert read.orders(over_the_wire([ORDER, {**ORDER, field: value}])) == READ.orders(over_the_wire([ORDER]))
    assert read.unreadable_orders == 1
    assert read.absent.counts() == {f"an order of getchildorders.{field}": 1}


def without(row: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in fields}


ORDER_NEEDS = {"child_order_acceptance_id", "side", "price", "size", "child_order_state"}
EXECUTION_NEEDS = {"id", "child_order_acceptance_id", "side", "price", "size"}


@pytest.mark.parametrize("field", sorted(ORDER.keys() - ORDER_NEEDS))
def test_order_can_be_read_without(field: str) -> None:
    read = AnswerReader(UNIT)
    (order,) = read.orders(over_the_wire([without(ORDER, field)]))
    (whole,) = READ.orders(over_the_wire([ORDER]))
    # Without its date it is dated by its name, which here is a second before.
    assert (order.order_id, order.side, order.price, order.size) == (
        whole.order_id,
        whole.side,
        whole.price,
        whole.size,
    )
    assert (order.executed, order.state) == (whole.executed, whole.state)
    assert 0 <= whole.placed_ns - order.placed_ns <= 10**9
    assert not read.unreadable_orders


@pytest.mark.parametrize("field", sorted(ORDER_NEEDS))
def test_order_cannot_be_read_without(field: str) -> None:
    read = AnswerReader(UNIT)
    assert read.orders(over_the_wire([without(ORDER, field)])) == ()
    assert read.unreadable_orders == 1


@pytest.mark.parametrize(
    ("sizes", "executed"),
    [
        ({"outstanding_size": 0.06, "cancel_size": 0.01}, 3_000_000),
        ({"outstanding_size": 0.06}, 0),
        ({"child_order_state": "COMPLETED"}, 10_000_000),
    ],
)
def test_executed_size_that_is_missing_is_what_the_others_leave(sizes: dict[str, Any], executed: int) -> None:
    bare = without(ORDER, "executed_size", "outstanding_size", "cancel_size")
    (order,) = AnswerReader(UNIT).orders(over_the_wire([{**bare, "child_order_state": "CANCELED", **sizes}]))
    assert order.executed == executed


@pytest.mark.parametrize("field", sorted(EXECUTION.keys() - EXECUTION_NEEDS))
def test_execution_can_be_read_without(field: str) -> None:
    read = AnswerReader(UNIT)
    (fill,) = read.executions(over_the_wire([without(EXECUTION, field)]))
    (whole,) = READ.executions(over_the_wire([EXECUTION]))
    assert (fill.exec_id, fill.order_id, fill.side, fill.price, fill.size, fill.fee) == (
        whole.exec_id,
        whole.order_id,
        whole.side,
        whole.price,
        whole.size,
        whole.fee,
    )
    if field in {"commission", "exec_date"}:
        assert read.absent.counts() == {f"an execution of getexecutions.{field}": 1}
    if field == "exec_date":
        assert fill.executed_ns == int(datetime(2015, 7, 7, 6, 5, 59, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("field", sorted(EXECUTION_NEEDS))
def test_execution_that_lacks_what_the_truth_needs_fails_the_answer_and_is_named(field: str) -> None:
    with pytest.raises(BadAnswer, match=field):
        AnswerReader(UNIT).executions(over_the_wire([EXECUTION, without(EXECUTION, field)]))


@pytest.mark.parametrize(
    ("read", "row", "field", "default"),
    [
        ("collateral", {"collateral": 1}, "open_pnl", 0),
        ("collateral", {"collateral": 1, "keep_rate": None}, "keep_rate", 0),
        ("collateral", {"collateral": 1}, "required", 0),
        ("condition", {"health": "NORMAL"}, "state", None),
        ("condition", {"state": "RUNNING"}, "health", None),
    ],
)
def test_other_answers_do_without_what_is_not_needed(read: str, row: dict[str, Any], field: str, default: Any) -> None:
    assert getattr(getattr(AnswerReader(UNIT), read)(over_the_wire(row)), field) == default


NAMES = ["JRF20230611-180201-097176", "x" * 64, "a.b:c/d+e=", "x" * 65, "", "a b", "a\nb", "a\tb", "é", "\x7f", None, 7]


@pytest.mark.parametrize("name", NAMES)
def test_all_parsers_take_the_same_names_of_orders(name: Any) -> None:
    row = {"price": 100.0, "size": 0.1, "side": "BUY", "child_order_acceptance_id": name}
    event = {"product_code": UNIT.product_code, "event_type": "EXECUTION", "exec_id": 7, **row}
    trade = {"id": 7, "buy_child_order_acceptance_id": name, **row}
    (printed,) = MarketFeed(AppConfig())._take_trades([trade], 0)
    told = PrivateFeed(UNIT).decode([{**event, "price": 100}], 0)
    listed = AnswerReader(UNIT).orders(over_the_wire([{**ORDER, "child_order_acceptance_id": name}]))
    try:
        found = AnswerReader(UNIT).executions(over_the_wire([{**EXECUTION, "child_order_acceptance_id": name}]))
        answered = AnswerReader(UNIT).acceptance(over_the_wire({"child_order_acceptance_id": name}))
    except BadAnswer:
        found, answered = (), None
    is_name = name in NAMES[:3]
    assert bool(printed.buy_order_id) is is_name
    assert [order.order_id for order in told] == [name] * is_name
    assert [order.order_id for order in listed] == [name] * is_name
    assert [fill.order_id for fill in found] == [name] * is_name
    assert answered == (name if is_name else None)


@pytest.mark.parametrize(("field", "value"), [("id", 0), ("id", 1.5), ("id", "7"), ("price", 0), ("size", 0)])
def test_execution_of_nothing_is_no_answer(field: str, value: Any) -> None:
    with pytest.raises(BadAnswer):
        READ.executions(over_the_wire([{**EXECUTION, field: value}]))


@pytest.mark.parametrize(
    "text", ["", " ", "<html>", '{"a":', "NaN", '{"a": Infinity}', "[" * 100_000, "1" * 5_000, '{"a": 1}x', "\x00"]
)
def test_what_is_no_json_is_no_answer(text: str) -> None:
    with pytest.raises(BadAnswer):
        read_json(text)


@given(st.datetimes(datetime(2015, 1, 1), datetime(2100, 1, 1)), st.integers(0, 9), st.booleans())  # noqa: DTZ001 - UTC
def test_time_of_any_fraction_is_read_to_the_nanosecond(moment: datetime, digits: int, zoned: bool) -> None:
    whole = moment.replace(microsecond=0)
    fraction = f"{moment.microsecond * 1_000 + 7:09d}"[:digits]
    text = whole.isoformat() + (f".{fraction}" if fraction else "") + ("Z" if zoned else "")
    expected = int(whole.replace(tzinfo=UTC).timestamp()) * 10**9 + int(fraction.ljust(9, "0") or 0)
    assert read_time(text) == expected


@given(st.integers(100_000, 10**13), st.integers(1, 10**9))
def test_size_and_price_on_the_wire_read_back_as_the_same_lots_and_ticks(lots: int, ticks: int) -> None:
    fields = {
        "product_code": UNIT.product_code,
        "child_order_type": "LIMIT",
        "side": "BUY",
        "price": int(UNIT.price(ticks)),
        "size": exact_float(UNIT.size(lots)),
    }
    body = JsonPayload(fields)._value  # what pybotters signs and sends
    ticket = read_ticket(read_body(body), UNIT)
    assert (ticket.size, ticket.price) == (Lots(lots), Ticks(ticks))


def test_size_of_too_many_digits_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="too many digits"):
        exact_float(Decimal("1234567891.12345678"))

"""What comes by itself: expiries, switches, triggers and funding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stall_then_strike.sim.lighter.clearing.records import Grouping, LighterOrder, OrderTerms, OrderType, Status
from stall_then_strike.sim.lighter.venue_events import FundingFell, PricesChanged, Traded
from tests.sim.lighter.floor_rig import BTC, ETH, IOC, PRICE, SECOND, START_NS, Floor

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NEXT_HOUR = START_NS - START_NS % HOUR + HOUR


def after(seconds: int) -> int:
    """That many seconds after the start, in milliseconds."""
    return (START_NS + seconds * SECOND) // 10**6


def test_orders_expire_at_their_time() -> None:
    floor = Floor()
    order = floor.sell(floor.me, 100, expiry_ms=after(400))
    floor.move_to(START_NS + 400 * SECOND - 1)
    assert floor.status(floor.me, order) is Status.OPEN
    floor.move_to(START_NS + 400 * SECOND)
    assert floor.status(floor.me, order) is Status.CANCELED_EXPIRED
    assert floor.order(floor.me, order.order_index).updated_ns == START_NS + 400 * SECOND
    floor.check()


def test_the_last_switch_counts() -> None:
    floor = Floor()
    order, other = floor.sell(floor.me, 100), floor.sell(floor.other, 100, PRICE + 1)
    floor.set_switch(floor.me, after(400))
    floor.set_switch(floor.me, after(600))
    floor.move_to(START_NS + 500 * SECOND)
    assert floor.status(floor.me, order) is Status.OPEN
    floor.move_to(START_NS + 600 * SECOND)
    assert floor.status(floor.me, order) is Status.CANCELED
    assert floor.status(floor.other, other) is Status.OPEN
    assert floor.me.cancel_all_ms == 0


def test_a_switch_can_be_taken_back() -> None:
    floor = Floor()
    order = floor.sell(floor.me, 100)
    floor.set_switch(floor.me, after(400))
    floor.set_switch(floor.me, 0)
    floor.move_to(START_NS + 500 * SECOND)
    assert floor.status(floor.me, order) is Status.OPEN


@pytest.mark.parametrize(
    ("kind", "is_ask", "quiet", "reached"),
    [
        (OrderType.STOP_LOSS, True, PRICE - 99, PRICE - 100),
        (OrderType.STOP_LOSS, False, PRICE - 101, PRICE - 100),
        (OrderType.TAKE_PROFIT, True, PRICE - 101, PRICE - 100),
        (OrderType.TAKE_PROFIT, False, PRICE - 99, PRICE - 100),
    ],
)
def test_triggers_wait_for_the_mark_price(kind: OrderType, is_ask: bool, quiet: int, reached: int) -> None:
    floor = Floor()
    floor.set_prices(ETH, quiet, quiet, floor.now_ns)
    floor.buy(floor.other, 200, PRICE - 200)
    floor.sell(floor.other, 200, PRICE + 200)
    price = PRICE - 300 if is_ask else PRICE + 300
    order = floor.send(
        floor.me, is_ask=is_ask, size=50, price=price, type=kind, in_force=IOC, trigger_price=PRICE - 100,
        expiry_ms=after(9_000),
    )  # fmt: skip
    assert order.status is Status.PENDING
    floor.set_prices(ETH, PRICE, quiet, floor.now_ns)
    assert floor.status(floor.me, order) is Status.PENDING
    floor.set_prices(ETH, PRICE, reached, floor.now_ns)
    assert floor.status(floor.me, order) is Status.FILLED
    floor.check()


def test_a_triggered_limit_order_rests() -> None:
    floor = Floor()
    order = floor.sell(
        floor.me, 50, PRICE + 50, type=OrderType.STOP_LOSS_LIMIT, trigger_price=PRICE - 100, expiry_ms=after(9_000)
    )
    floor.set_prices(ETH, PRICE - 100, PRICE - 100, floor.now_ns)
    assert floor.status(floor.me, order) is Status.OPEN
    assert not floor.pits[ETH].pending
    floor.check()


def test_pending_orders_expire_and_can_be_cleared() -> None:
    floor = Floor()
    stop = {"type": OrderType.STOP_LOSS, "in_force": IOC, "trigger_price": PRICE - 100}
    first = floor.sell(floor.me, 50, PRICE - 200, expiry_ms=after(400), **stop)
    second = floor.sell(floor.me, 50, PRICE - 200, expiry_ms=after(900), **stop)
    floor.move_to(START_NS + 400 * SECOND)
    assert floor.status(floor.me, first) is Status.CANCELED_EXPIRED
    floor.clear(floor.me, floor.now_ns)
    assert floor.status(floor.me, second) is Status.CANCELED
    floor.check()


def test_clearing_one_market() -> None:
    floor = Floor()
    here, there = floor.sell(floor.me, 100), floor.sell(floor.me, 100, 95_000_0, market=BTC)
    floor.clear(floor.me, floor.now_ns, BTC)
    assert (floor.status(floor.me, here), floor.status(floor.me, there)) == (Status.OPEN, Status.CANCELED)


def test_an_order_is_found_by_either_index_in_its_market() -> None:
    floor = Floor()
    order = floor.sell(floor.me, 100, client_index=42)
    assert floor.find(floor.me, ETH, 42) == floor.find(floor.me, ETH, order.order_index) == order
    assert floor.find(floor.me, BTC, 42) is None
    assert floor.find(floor.me, ETH, 43) is None
    assert floor.find(floor.other, ETH, order.order_index) is None
    floor.cancel(order, floor.now_ns)
    assert floor.find(floor.me, ETH, 42) is None


def test_funding_is_paid_on_the_hour_by_every_position() -> None:
    floor = Floor()
    floor.hold(floor.me, 10_000)
    floor.move_to(NEXT_HOUR - 1)
    assert not floor.happened(FundingFell)
    floor.move_to(NEXT_HOUR)
    due = 10_000 * PRICE * 12
    assert {(e.account, e.paid.change) for e in floor.happened(FundingFell)} == {
        (floor.me.index, -due), (floor.other.index, due),
    }  # fmt: skip
    assert {event.market for event in floor.happened(PricesChanged)} == set(floor.pits)
    assert [entry.change for entry in floor.me.fundings] == [-due]
    floor.check()
    floor.hold(floor.me, -10_000)
    assert floor.me.positions[ETH].size == 0
    floor.move_to(NEXT_HOUR + HOUR)
    assert len(floor.me.fundings) == 1, "flat"
    floor.check()


def test_days_figures() -> None:
    floor = Floor()
    floor.hold(floor.me, 10_000)
    floor.hold(floor.me, -4_000, PRICE + 3_100)
    day = floor.day_of(ETH)
    assert day["last_trade_price"] == 3_131.0
    assert (day["daily_trades_count"], day["daily_base_token_volume"]) == (2, 1.4)
    assert day["daily_quote_token_volume"] == 3_100 + 0.4 * 3_131
    assert (day["daily_price_low"], day["daily_price_high"], day["daily_price_change"]) == (3_100.0, 3_131.0, 1.0)
    assert day["open_interest"] == 0.6
    floor.move_to(START_NS + 25 * HOUR)
    assert floor.day_of(ETH)["daily_trades_count"] == 0
    assert len(floor.happened(Traded)) == 2


STOP = OrderTerms(
    market=ETH, is_ask=True, size=0, price=PRICE - 500, type=OrderType.STOP_LOSS, in_force=IOC, is_reduce_only=True,
    trigger_price=PRICE - 200, expiry_ms=after(9_000),
)  # fmt: skip
PROFIT = replace(STOP, type=OrderType.TAKE_PROFIT, trigger_price=PRICE + 200)
PARENT = OrderTerms(market=ETH, is_ask=False, size=100, price=PRICE, expiry_ms=after(9_000))
OTO, OCO, OTOCO = Grouping


def group(floor: Floor, grouping: Grouping, *terms: OrderTerms) -> list[LighterOrder]:
    indices = floor.place_group(floor.me, grouping, terms, floor.now_ns)
    return [floor.order(floor.me, index) for index in indices]


def test_a_parents_fill_sets_its_children_going() -> None:
    floor = Floor()
    parent, stop, profit = group(floor, OTOCO, PARENT, STOP, PROFIT)
    assert (parent.status, stop.status, profit.status) == (Status.OPEN, Status.PENDING, Status.PENDING)
    assert parent.children == (stop.order_index, profit.order_index)
    assert stop.sibling_index == profit.order_index
    floor.set_prices(ETH, PRICE - 300, PRICE - 300, floor.now_ns)
    assert floor.status(floor.me, stop) is Status.PENDING, "it waits for its parent, not for the price"
    floor.set_prices(ETH, PRICE, PRICE, floor.now_ns)
    floor.sell(floor.other, 40)
    assert floor.order(floor.me, stop.order_index).waits_for_parent
    floor.sell(floor.other, 60)
    changed = floor.order(floor.me, stop.order_index)
    assert (changed.waits_for_parent, changed.size) == (False, 100)
    floor.check()
    floor.buy(floor.other, 100, PRICE - 400)
    floor.set_prices(ETH, PRICE - 200, PRICE - 200, floor.now_ns)
    assert floor.status(floor.me, stop) is Status.FILLED
    assert floor.status(floor.me, profit) is Status.CANCELED_OCO
    assert floor.me.size_in(ETH) == 0
    floor.check()


def test_a_part_of_a_parent_is_its_childs_size() -> None:
    floor = Floor()
    floor.sell(floor.other, 30)
    parent, stop = group(floor, OTO, replace(PARENT, in_force=IOC, expiry_ms=0), STOP)
    assert (parent.filled, parent.is_live) == (30, False)
    assert (stop.waits_for_parent, stop.size, stop.status) == (False, 30, Status.PENDING)


def test_children_end_with_a_parent_that_filled_nothing_or_was_cancelled() -> None:
    for filled in (0, 30):
        floor = Floor()
        parent, stop, profit = group(floor, OTOCO, PARENT, STOP, PROFIT)
        if filled:
            floor.sell(floor.other, filled)
        floor.cancel(floor.order(floor.me, parent.order_index), floor.now_ns)
        assert {floor.status(floor.me, order) for order in (stop, profit)} == {Status.CANCELED_CHILD}
        floor.check()
    floor = Floor()
    parent, stop = group(floor, OTO, replace(PARENT, expiry_ms=after(400)), replace(STOP, expiry_ms=after(400)))
    floor.move_to(START_NS + 400 * SECOND)
    assert floor.status(floor.me, parent) is Status.CANCELED_EXPIRED
    assert not floor.me.orders


def test_clearing_takes_whole_groups() -> None:
    floor = Floor()
    group(floor, OTOCO, PARENT, STOP, PROFIT)
    floor.clear(floor.me, floor.now_ns)
    assert not floor.me.orders
    assert len(floor.me.closed) == 3
    floor.check()


def test_one_cancels_the_other_when_it_is_triggered_not_when_it_is_cancelled() -> None:
    floor = Floor()
    floor.hold(floor.me, 100)
    stop, profit = group(floor, OCO, STOP, PROFIT)
    floor.set_prices(ETH, PRICE + 200, PRICE + 200, floor.now_ns)
    assert floor.status(floor.me, profit) is Status.CANCELED_NOT_ENOUGH_LIQUIDITY
    assert floor.status(floor.me, stop) is Status.CANCELED_OCO
    floor.set_prices(ETH, PRICE, PRICE, floor.now_ns)
    stop, profit = group(floor, OCO, STOP, PROFIT)
    floor.cancel(stop, floor.now_ns)
    assert floor.status(floor.me, profit) is Status.PENDING


def test_a_child_whose_price_is_reached_already_goes_at_once() -> None:
    floor = Floor()
    floor.buy(floor.other, 500, PRICE - 300)
    parent, stop = group(floor, OTO, replace(PARENT, price=PRICE + 10), replace(STOP, trigger_price=PRICE + 5))
    floor.sell(floor.other, 100, PRICE + 10)
    assert floor.status(floor.me, parent) is Status.FILLED
    assert floor.status(floor.me, stop) is Status.FILLED
    floor.check()

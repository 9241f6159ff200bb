"""The rules at each trade, one by one, and all of them together against a random crowd."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.clearing.records import OrderType, Status
from stall_then_strike.sim.lighter.venue_events import BookChanged, Traded
from stall_then_strike.types.dto import Side
from tests.sim.lighter.floor_rig import BTC, ETH, GTT, IOC, POST, PRICE, SECOND, Floor, usdc


def test_indices_count_up_for_asks_and_down_for_bids() -> None:
    floor = Floor()
    asks = [floor.sell(floor.me, 50, PRICE + n) for n in (1, 2)]
    bids = [floor.buy(floor.me, 50, PRICE - n, market=BTC) for n in (1, 2)]
    assert [order.order_index for order in asks] == [2**48 + 1, 2**48 + 2]
    assert [order.order_index for order in bids] == [3 * 2**48 - 1, 3 * 2**48 - 2]
    assert [order.number for order in bids] == [2**48 - 1, 2**48 - 2]


def test_price_then_time_at_the_makers_price() -> None:
    floor = Floor()
    late_best = [floor.sell(floor.other, 100, price) for price in (PRICE + 2, PRICE + 1, PRICE + 1)]
    taken = floor.buy(floor.me, 250, PRICE + 9)
    assert taken.status is Status.FILLED
    assert [(t.trade.price, t.trade.size) for t in floor.happened(Traded)] == [
        (PRICE + 1, 100), (PRICE + 1, 100), (PRICE + 2, 50),
    ]  # fmt: skip
    assert [floor.status(floor.other, order) for order in late_best] == [Status.OPEN, Status.FILLED, Status.FILLED]
    assert {t.trade.tx_hash for t in floor.happened(Traded)} == {floor.happened(Traded)[0].trade.tx_hash}
    floor.check()


def test_events_come_in_the_captured_order() -> None:
    floor = Floor()
    floor.sell(floor.other, 100)
    floor.events.clear()
    floor.buy(floor.me, 100)
    kinds = [type(event).__name__ for event in floor.events]
    assert kinds == [
        "BookChanged", "OrderChanged", "OrderChanged", "Traded",
        "PositionChanged", "CollateralChanged", "PositionChanged", "CollateralChanged",
    ]  # fmt: skip
    assert floor.happened(BookChanged) == [BookChanged(ETH, Side.SELL, PRICE, 0)]


def test_ioc_never_rests() -> None:
    floor = Floor()
    floor.sell(floor.other, 60)
    part = floor.buy(floor.me, 100, PRICE, in_force=IOC)
    assert (part.status, part.filled) == (Status.CANCELED_NOT_ENOUGH_LIQUIDITY, 60)
    floor.sell(floor.other, 60, PRICE + 5)
    assert floor.buy(floor.me, 60, PRICE, in_force=IOC).status is Status.CANCELED_TOO_MUCH_SLIPPAGE
    assert not floor.me.orders


def test_post_only_that_would_cross_is_cancelled() -> None:
    floor = Floor()
    floor.sell(floor.other, 60)
    assert floor.buy(floor.me, 60, PRICE, in_force=POST).status is Status.CANCELED_POST_ONLY
    assert floor.buy(floor.me, 60, PRICE - 1, in_force=POST).status is Status.OPEN
    assert floor.sell(floor.other, 60, PRICE - 1, in_force=POST).status is Status.CANCELED_POST_ONLY


def test_a_market_orders_price_bounds_the_average() -> None:
    floor = Floor()
    for price in (PRICE, PRICE + 10, PRICE + 30):
        floor.sell(floor.other, 100, price)
    order = floor.market(floor.me, 300, PRICE + 10)
    assert (order.filled, order.status) == (250, Status.CANCELED_TOO_MUCH_SLIPPAGE)
    assert order.filled_quote <= 250 * (PRICE + 10) < order.filled_quote + PRICE + 30


def test_a_market_order_that_sells() -> None:
    floor = Floor()
    for price in (PRICE, PRICE - 20):
        floor.buy(floor.other, 100, price)
    order = floor.market(floor.me, -200, PRICE - 10)
    assert (order.filled, order.status) == (200, Status.FILLED)
    assert floor.market(floor.me, -50, PRICE).status is Status.CANCELED_NOT_ENOUGH_LIQUIDITY


@pytest.mark.parametrize(
    ("mode", "resting", "taking", "filled"),
    [
        (0, Status.CANCELED_SELF_TRADE, Status.OPEN, 50),
        (1, Status.OPEN, Status.CANCELED_SELF_TRADE, 0),
        (2, Status.CANCELED_SELF_TRADE, Status.CANCELED_SELF_TRADE, 0),
        (3, Status.CANCELED_SELF_TRADE, Status.OPEN, 50),
    ],
)
def test_self_trade_modes(mode: int, resting: Status, taking: Status, filled: int) -> None:
    floor = Floor()
    own = floor.sell(floor.me, 100, PRICE)
    floor.sell(floor.other, 50, PRICE + 1)
    order = floor.buy(floor.me, 200, PRICE + 1, self_trade_mode=mode)
    assert (floor.status(floor.me, own), order.status, order.filled) == (resting, taking, filled)
    if mode == 3:
        assert (order.size, order.remaining) == (200, 50), "the overlap of 100 has left both"
    floor.check()


def test_the_reduced_overlap_leaves_the_rest_of_the_resting_order() -> None:
    floor = Floor()
    own = floor.sell(floor.me, 100, PRICE)
    order = floor.buy(floor.me, 60, PRICE, self_trade_mode=3)
    assert order.status is Status.CANCELED_SELF_TRADE
    left = floor.order(floor.me, own.order_index)
    assert (left.status, left.remaining) == (Status.OPEN, 40)
    assert floor.pits[ETH].engine.depth(Side.SELL) == [(PRICE, 40)]
    floor.check()


def test_sub_accounts_count_as_one_when_asked() -> None:
    floor = Floor()
    sub = floor.open(1_000, floor.me.l1_address)
    floor.sell(sub, 100)
    assert floor.buy(floor.me, 50).filled == 50
    assert floor.buy(floor.me, 50, is_self_by_master=True).filled == 0


def test_reduce_only_is_cut_to_the_position() -> None:
    floor = Floor()
    floor.hold(floor.me, 80)
    floor.buy(floor.other, 500)
    assert floor.buy(floor.me, 50, is_reduce_only=True).status is Status.CANCELED_REDUCE_ONLY
    order = floor.sell(floor.me, 200, PRICE, is_reduce_only=True, in_force=IOC)
    assert (order.size, order.filled, order.status) == (80, 80, Status.FILLED)
    assert floor.me.size_in(ETH) == 0
    assert floor.sell(floor.me, 50, PRICE, is_reduce_only=True).status is Status.CANCELED_REDUCE_ONLY


def test_size_zero_with_reduce_only_is_the_whole_position() -> None:
    floor = Floor()
    floor.hold(floor.me, -80)
    floor.sell(floor.other, 500)
    order = floor.send(
        floor.me, is_ask=False, size=0, price=PRICE + 10, type=OrderType.MARKET, in_force=IOC, is_reduce_only=True
    )
    assert (order.filled, order.status) == (80, Status.FILLED)


def test_a_flip_cancels_orders_that_may_only_reduce() -> None:
    floor = Floor()
    floor.hold(floor.me, 80)
    resting = floor.sell(floor.me, 80, PRICE + 100, is_reduce_only=True)
    elsewhere = floor.sell(floor.me, 80, 95_000_0, market=BTC)
    floor.buy(floor.other, 500)
    floor.sell(floor.me, 30, PRICE, in_force=IOC)
    assert floor.status(floor.me, resting) is Status.OPEN
    floor.sell(floor.me, 100, PRICE, in_force=IOC)
    assert floor.me.size_in(ETH) == -50
    assert floor.status(floor.me, resting) is Status.CANCELED_REDUCE_ONLY
    assert floor.status(floor.me, elsewhere) is Status.OPEN


def test_a_resting_reduce_only_order_trades_no_more_than_the_position() -> None:
    floor = Floor()
    floor.hold(floor.me, 80)
    resting = floor.sell(floor.me, 80, PRICE + 1, is_reduce_only=True)
    floor.buy(floor.other, 30)
    floor.sell(floor.me, 30, PRICE, in_force=IOC)
    floor.buy(floor.other, 80, PRICE + 1)
    assert floor.me.size_in(ETH) == 0
    assert (floor.order(floor.me, resting.order_index).filled) == 50
    assert floor.status(floor.me, resting) is Status.CANCELED_REDUCE_ONLY
    floor.check()


def test_a_taker_without_margin_is_cancelled_rest_included() -> None:
    floor = Floor()
    poor = floor.open(100)
    floor.sell(floor.other, 5_000, PRICE)
    floor.sell(floor.other, 5_000, PRICE + 1)
    order = floor.buy(poor, 10_000, PRICE + 1)
    assert order.status is Status.CANCELED_MARGIN_NOT_ALLOWED
    assert order.filled == 5_000, "1,550 USDC at 20 times leverage want 77.50 of the 100; as much again is too much"
    floor.check()


def test_a_maker_without_margin_is_cancelled_and_the_taker_goes_on() -> None:
    floor = Floor()
    poor = floor.open(1)
    resting = floor.sell(poor, 5_000, PRICE)
    floor.sell(floor.other, 5_000, PRICE)
    order = floor.buy(floor.me, 5_000, PRICE)
    assert order.status is Status.FILLED
    assert floor.status(poor, resting) is Status.CANCELED_MARGIN_NOT_ALLOWED


def test_who_is_below_the_requirement_may_reduce() -> None:
    floor = Floor()
    poor = floor.open(100)
    floor.hold(poor, 6_000)
    floor.set_prices(ETH, PRICE - 2_000, PRICE - 2_000, floor.now_ns)
    assert floor.accounts.health(poor).value < floor.accounts.health(poor).initial
    floor.buy(floor.other, 9_000, PRICE - 2_000)
    floor.sell(floor.other, 9_000, PRICE - 1_990)
    assert floor.buy(poor, 100, PRICE, in_force=IOC).status is Status.CANCELED_MARGIN_NOT_ALLOWED
    assert floor.sell(poor, 100, PRICE - 2_000, in_force=IOC).status is Status.FILLED


def test_expired_makers_and_due_switches_are_skipped() -> None:
    floor = Floor()
    soon_ms = floor.now_ns // 10**6 + 1_000
    resting = floor.sell(floor.other, 100, PRICE, expiry_ms=soon_ms)
    floor.now_ns += SECOND
    order = floor.buy(floor.me, 100, PRICE)
    assert (order.status, floor.status(floor.other, resting)) == (Status.OPEN, Status.CANCELED_EXPIRED)


def test_modify_keeps_the_index_and_loses_the_place() -> None:
    floor = Floor()
    first, second = floor.sell(floor.me, 100), floor.sell(floor.other, 100)
    floor.report(floor.pits[ETH].modify(first, 100, PRICE, 0, floor.now_ns, "x"))
    changed = floor.order(floor.me, first.order_index)
    assert (changed.order_index, changed.number) == (first.order_index, 3)
    floor.buy(floor.open(10_000), 100)
    assert floor.status(floor.other, second) is Status.FILLED
    assert floor.status(floor.me, first) is Status.OPEN


@pytest.mark.parametrize(
    ("total", "status", "remaining"), [(100, Status.OPEN, 40), (60, Status.FILLED, 0), (20, Status.FILLED, 0)]
)
def test_modify_names_the_total_size(total: int, status: Status, remaining: int) -> None:
    floor = Floor()
    order = floor.sell(floor.me, 200)
    floor.buy(floor.other, 60)
    floor.report(
        floor.pits[ETH].modify(floor.order(floor.me, order.order_index), total, PRICE + 5, 0, floor.now_ns, "x")
    )
    changed = floor.order(floor.me, order.order_index)
    assert (changed.status, changed.remaining, changed.filled) == (status, remaining, 60)
    floor.check()


def test_a_modify_can_trade_and_can_cross_a_post_only_order_away() -> None:
    floor = Floor()
    floor.buy(floor.other, 100, PRICE - 10)
    pit = floor.pits[ETH]
    plain = floor.sell(floor.me, 100, PRICE)
    floor.report(pit.modify(plain, 100, PRICE - 10, 0, floor.now_ns, "x"))
    assert floor.status(floor.me, plain) is Status.FILLED
    floor.buy(floor.other, 100, PRICE - 10)
    careful = floor.sell(floor.me, 100, PRICE, in_force=POST)
    floor.report(pit.modify(careful, 100, PRICE - 10, 0, floor.now_ns, "x"))
    assert floor.status(floor.me, careful) is Status.CANCELED_POST_ONLY


def test_fees_by_plan() -> None:
    floor = Floor(plan=Plan.PREMIUM)
    floor.sell(floor.other, 10_000)
    floor.buy(floor.me, 10_000)
    assert 1_000_000 - usdc(floor.me.collateral) == pytest.approx(3_100 * 0.00028)
    assert 1_000_000 - usdc(floor.other.collateral) == pytest.approx(3_100 * 0.00004)
    [traded] = floor.happened(Traded)
    assert (traded.trade.taker.fee, traded.trade.maker.fee) == (280, 40)


KINDS = [(OrderType.LIMIT, GTT)] * 4 + [(OrderType.LIMIT, IOC), (OrderType.LIMIT, POST), (OrderType.MARKET, IOC)]


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    kind, in_force = draw(st.sampled_from(KINDS))
    return {
        "type": kind,
        "in_force": in_force,
        "is_ask": draw(st.booleans()),
        "size": draw(st.integers(1, 400)),
        "price": draw(st.integers(PRICE - 6, PRICE + 6)),
        "is_reduce_only": draw(st.sampled_from([False, False, False, True])),
        "self_trade_mode": draw(st.integers(0, 3)),
    }


@given(st.lists(st.tuples(st.integers(0, 2), orders(), st.integers(0, 9)), max_size=40))
def test_nothing_is_lost_in_a_crowd(steps: list[tuple[int, dict[str, Any], int]]) -> None:
    """Whatever is sent, changed and cancelled: money and sizes are conserved, and the books agree with the accounts."""
    floor = Floor(plan=Plan.PREMIUM)
    everyone = [floor.me, floor.other, floor.open(5)]
    for who, terms, chance in steps:
        owner = everyone[who]
        order = floor.send(owner, **terms)
        assert 0 <= order.filled <= order.size
        assert order.is_live == (order.order_index in owner.orders)
        if chance < 2 and owner.orders:
            victim = next(iter(owner.orders.values()))
            floor.cancel(victim, floor.now_ns)
        elif chance < 5 and owner.orders:
            victim = next(iter(owner.orders.values()))
            floor.report(floor.pits[ETH].modify(victim, terms["size"], terms["price"], 0, floor.now_ns, "x"))
        floor.check()
        best_bid, best_ask = (floor.pits[ETH].engine.best_price(side) for side in (Side.BUY, Side.SELL))
        assert best_bid is None or best_ask is None or best_bid < best_ask
    traded = sum(event.trade.size for event in floor.happened(Traded))
    filled = sum(o.filled for account in everyone for o in (*account.orders.values(), *account.closed))
    assert filled == 2 * traded

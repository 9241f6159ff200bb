"""What a strategy is told and may do: the market's steps, its orders, and what the sandbox does not take."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from stall_then_strike.engine.context import Balance, Cloid, Context, LimitOrderRequest, MarketInfo, OrderFill, Role
from stall_then_strike.types.dto import Command, OrderEventKind, Reason
from stall_then_strike.types.instrument import Instrument, Lots, Money
from tests.engine.core_rig import BUY, MIN, SELL, Desk, config, fill, names
from tests.engine.hands import SIZE, Hand, by_hand, desk_of, order

K = OrderEventKind


def market() -> MarketInfo:
    return MarketInfo(
        Instrument(product_code="X_USDC", tick_size=Decimal("0.5"), lot_size=Decimal("0.001"), min_size=Lots(20))
    )


# --- the market's steps


@pytest.mark.parametrize(
    ("price", "rounded"), [("100.2", "100"), ("100.3", "100.5"), ("100.25", "100"), ("100.75", "101"), (7, "7")]
)
def test_price_is_rounded_to_the_nearest_step(price: str | int, rounded: str) -> None:
    assert market().round_price(price) == Decimal(rounded)


def test_size_is_rounded_down() -> None:
    assert market().round_size("0.0209") == Decimal("0.02")
    assert market().min_size == Decimal("0.02")


def test_floats_are_refused() -> None:
    for rounding in (market().round_price, market().round_size):
        with pytest.raises(TypeError, match="accepted: Decimal"):
            rounding(0.1)  # type: ignore[arg-type]  # what a user may do all the same


@pytest.mark.parametrize(("price", "size"), [("10000.5", "0.001"), ("9999", "0.000000001"), ("9999", "0.0009")])
def test_order_off_the_steps_is_an_error_of_the_strategy(price: str, size: str) -> None:
    hand = Hand()
    desk = desk_of(hand)
    request = LimitOrderRequest(side=BUY, price=Decimal(price), size=Decimal(size))
    hand.to_do = [order(BUY, 9_000), lambda context: context.place_order(request)]
    desk.board(1, bid=10_001)
    desk.board(2, bid=10_002)
    assert len(desk.quotes) == 1
    assert Reason.INTERNAL_ERROR in {one.cancel_reason for one in desk.core.orders.live()}, "what it has is taken back"


# --- orders


def test_orders_of_one_tick_go_out_together_and_are_seen_to_their_end() -> None:
    hand, seen = Hand(), list[Any]()
    desk = desk_of(hand)
    hand.to_do = [lambda context: (order(BUY, 9_900)(context), order(SELL, 10_200)(context))]
    desk.tick(1)
    bid, ask = desk.quotes
    assert hand.did == [(Cloid(1), Cloid(2))]
    assert desk.times(type(bid)) == [1, 1], "one batch"
    desk.accept(2, *names([bid, ask]))
    hand.to_do = [lambda context: seen.append(dict(context.orders))]
    desk.filled(3, bid, size=40_000)
    (orders,) = seen
    assert [one.remaining for one in orders.values()] == [Decimal("0.0006"), SIZE]
    assert all(one.is_sent and not one.is_ending for one in orders.values())
    assert hand.fills == [
        OrderFill(
            cloid=Cloid(1),
            side=BUY,
            price=Decimal(9_900),
            size=Decimal("0.0004"),
            fee=Decimal(0),
            role=None,
            ts_ns=desk.fed[-1][1],
        )
    ]
    hand.to_do = [lambda context: context.cancel_order(Cloid(2))]
    desk.tick(4)
    assert [cancel.order_ids for cancel in desk.cancels] == [(f"V-{ask.client_order_id}",)]
    hand.to_do = [lambda context: seen.append(context.orders[Cloid(2)].is_ending)]
    desk.tick(5)
    assert seen[-1] is True, "it may still be filled"
    desk.cancelled(6, ask.client_order_id)
    hand.to_do = [lambda context: seen.append(list(context.orders))]
    desk.filled(7, bid, size=60_000)
    assert seen[-1] == [], "one was cancelled, the other is filled"


def test_number_of_an_order_is_no_other_number() -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [lambda context: context.cancel_order(7)]
    desk.tick(1)
    (error,) = [row for row in desk.rows if "7 is no Cloid" in getattr(row, "text", "")]
    assert repr(Cloid(7)) == "Cloid(7)"
    assert error


def test_role_and_fee_are_the_venues() -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [order(BUY, 9_900)]
    desk.tick(1)
    (bid,) = desk.quotes
    desk.accept(2, bid.client_order_id)
    told = fill(BUY, 9_900, MIN, name=bid.client_order_id, ms=3)
    desk.feed(replace(told, is_maker=True, fee=Money(-2 * 10**8)), 3)
    assert [(one.role, one.fee) for one in hand.fills] == [(Role.MAKER, Decimal(-2))]


def test_balance_is_the_position_and_its_worth() -> None:
    hand, seen = Hand(), list[Balance]()
    desk = desk_of(hand)
    hand.to_do = [order(BUY, 9_900), lambda context: seen.append(context.balance)]
    desk.tick(1)
    desk.filled(2, desk.quotes[0])
    assert seen == [Balance(position=SIZE, average_price=Decimal(9_900), unrealised=Decimal("0.15"))]


def test_position_is_closed_as_the_configuration_says_after_the_orders_are_taken_back() -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [lambda context: (order(BUY, 9_900)(context), order(BUY, 9_800)(context))]
    desk.tick(1)
    first, second = desk.quotes
    desk.accept(2, *names(desk.quotes))
    hand.to_do = [lambda _: None, Context.close_position]
    desk.filled(3, first)
    desk.tick(4)
    assert not desk.closes
    assert len(desk.cancels) == 1
    desk.cancelled(5, second.client_order_id)
    (close,) = desk.closes
    assert (close.side, close.size) == (SELL, MIN)


# --- what is not taken


def test_order_beyond_the_position_limit_is_not_taken_whatever_became_of_the_others() -> None:
    """The limit is two orders; one is of unknown outcome, and its cancel was not heard."""
    hand = Hand()
    desk = desk_of(hand, max_inventory_btc=Decimal("0.002"))
    hand.to_do = [lambda context: [order(BUY, 9_900 - step)(context) for step in range(3)]]
    desk.tick(1)
    assert hand.did == [[Cloid(1), Cloid(2), None]], "the queue counts"
    first, second = desk.quotes
    desk.tell(2, K.SEND_UNKNOWN, first.client_order_id)
    desk.accept(2, second.client_order_id)
    hand.to_do = [lambda context: context.cancel_all(), order(BUY, 9_000), lambda context: context.room(BUY)]
    for ms in (3, 4, 5):
        desk.tick(ms)
    assert hand.did[2:] == [None, Decimal(0)]
    desk.filled(6, second)
    hand.to_do = [lambda context: (context.room(BUY), context.room(SELL))]
    desk.tick(7)
    assert hand.did[-1] == (Decimal(0), Decimal("0.003"))


@pytest.mark.parametrize(("side", "price"), [(BUY, 10_100), (BUY, 12_000), (SELL, 10_000), (SELL, 9_000)])
def test_order_that_would_take_is_not_taken(side: Any, price: int) -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [order(side, price)]
    desk.tick(1)
    assert hand.did == [None]


def test_order_that_would_meet_an_own_one_is_not_taken() -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [order(BUY, 10_050), order(SELL, 10_050), order(SELL, 10_051)]
    for ms in (1, 2, 3):
        desk.tick(ms)
    assert hand.did == [Cloid(1), None, Cloid(2)]


# --- when the engine forbids quotes


def test_while_quotes_are_forbidden_the_strategy_is_not_called_and_its_fills_wait() -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [order(BUY, 9_900)]
    desk.tick(1)
    (bid,) = desk.quotes
    desk.accept(2, bid.client_order_id)
    desk.control(3, Command.HOLD)
    hand.to_do = [order(BUY, 9_800)]
    desk.filled(4, bid)
    desk.tick(5)
    assert (len(hand.to_do), hand.fills) == (1, [])
    desk.control(6, Command.RELEASE)
    assert (len(hand.to_do), len(hand.fills)) == (0, 1)
    assert len(desk.quotes) == 2


def test_halt_takes_all_back_and_closes() -> None:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [order(BUY, 9_900)]
    desk.tick(1)
    (bid,) = desk.quotes
    desk.accept(2, bid.client_order_id)
    desk.filled(3, bid, size=MIN // 2)
    desk.filled(4, bid, size=MIN // 2)
    desk.control(5, Command.HALT)
    assert [close.side for close in desk.closes] == [SELL]


def test_failing_strategy_loses_its_queue_too() -> None:
    hand = Hand()
    desk = desk_of(hand)

    def fail(context: Context) -> None:
        order(BUY, 9_900)(context)
        raise ZeroDivisionError

    hand.to_do = [fail, lambda context: len(context.quotes)]
    desk.tick(1)
    desk.tick(2)
    assert not desk.quotes
    assert hand.did == [0]


# --- after a restart


def earlier_run() -> tuple[Desk, Any]:
    hand = Hand()
    desk = desk_of(hand)
    hand.to_do = [order(BUY, 9_900)]
    desk.tick(1)
    desk.accept(2, *names(desk.quotes))
    (one,) = desk.core.orders.live()
    return desk, one.memo()


def test_orders_of_an_earlier_run_are_cancelled_before_the_strategy_starts() -> None:
    _, memo = earlier_run()
    hand = Hand()
    desk = desk_of_restored(hand, memo)
    desk.status(10)
    desk.board(10)
    assert hand.starts == 0
    assert desk.core.hold_reason in (Reason.ORPHAN, None)
    assert [cancel.order_ids for cancel in desk.cancels] == [(memo.order_id,)]
    hand.to_do = [lambda context: (list(context.orders), context.room(BUY))]
    desk.cancelled(12, memo.client_order_id)
    assert hand.starts == 1
    assert hand.did == [([], Decimal("0.2"))], "its map is built from what the Context shows"


def desk_of_restored(hand: Hand, memo: Any) -> Desk:
    desk = Desk(config(strategy={"stale_ms": 60_000}), strategy=by_hand(hand))
    desk.core.restore(None, [memo], [])
    return desk


# --- the budget


def test_queue_goes_out_as_the_budget_allows_the_first_first() -> None:
    """Room for six calls a minute, and each order is counted with its cancel."""
    hand = Hand()
    limits = {"private_per_5min": 66, "reserve_private": 60}
    desk = Desk(
        config(strategy={"stale_ms": 10**6}, exchange={"limits": limits | {"address_per_5min": 500}}),
        strategy=by_hand(hand),
    )
    desk.status(0)
    desk.board(0)
    hand.to_do = [lambda context: [order(BUY, 9_900 - step)(context) for step in range(6)]]
    desk.tick(1)
    desk.wait(700_000, alive_ms=1_000)
    assert [quote.price for quote in desk.quotes] == [9_900 - step for step in range(6)]
    stamps = desk.times(type(desk.quotes[0]))
    assert stamps == sorted(stamps)
    assert stamps[-1] > 200_000, "they had to wait"

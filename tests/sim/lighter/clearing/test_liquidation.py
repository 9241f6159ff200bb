"""Accounts that no longer hold their maintenance requirement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.liquidation import POOL_INDEX, is_unhealthy, sales
from stall_then_strike.sim.lighter.clearing.records import OrderType, Status
from stall_then_strike.sim.lighter.venue_events import Traded
from tests.sim.lighter.floor_rig import ETH, PRICE, SOL, Floor, usdc, value_of

SIZE = 6_000  # 0.6 ETH, 1,860 USDC


def trader(side: int = 1) -> tuple[Floor, Account]:
    """An account with 100 USDC and a position of 0.6 ETH."""
    floor = Floor()
    account = floor.open(100)
    floor.hold(account, side * SIZE)
    floor.events.clear()
    return floor, account


def move(floor: Floor, mark: int) -> None:
    floor.set_prices(ETH, mark, mark, floor.now_ns)


def test_healthy_accounts_are_left_alone() -> None:
    floor, account = trader()
    order = floor.sell(account, 100, PRICE + 100)
    move(floor, PRICE - 10_000)
    assert floor.status(account, order) is Status.OPEN
    assert account.size_in(ETH) == SIZE


@pytest.mark.parametrize("side", [1, -1])
def test_a_part_is_sold_until_the_requirement_is_met(side: int) -> None:
    floor, account = trader(side)
    mark = PRICE - side * 13_700
    order = floor.send(account, is_ask=side > 0, size=100, price=PRICE + side * 9_000)
    floor.send(floor.other, is_ask=side < 0, size=9_000, price=mark - side * 300)
    before = usdc(floor.accounts.fees)
    move(floor, mark)
    assert floor.status(account, order) is Status.CANCELED_LIQUIDATION
    assert 0 < side * account.size_in(ETH) < SIZE
    health = floor.accounts.health(account)
    assert not is_unhealthy(health)
    assert health.value < health.maintenance * 101 // 100, "no more than was needed"
    [traded] = floor.happened(Traded)
    assert (traded.trade.kind, traded.trade.taker.account) == ("liquidation", account.index)
    assert 0 < traded.trade.taker.fee <= 10_000, "what the sale brought beyond the zero price"
    assert usdc(floor.accounts.fees) > before
    assert account.closed[-1].type is OrderType.LIQUIDATION
    floor.check()


def test_without_buyers_at_the_zero_price_it_waits() -> None:
    floor, account = trader()
    move(floor, PRICE - 13_700)
    assert account.size_in(ETH) == SIZE
    [sale] = sales(floor.accounts, account)
    assert PRICE - 13_700 > sale.zero_price > PRICE - 17_500
    floor.buy(floor.other, 9_000, sale.zero_price - 1)
    move(floor, PRICE - 13_701)
    assert account.size_in(ETH) == SIZE
    floor.buy(floor.other, 9_000, sale.zero_price + 50)
    move(floor, PRICE - 13_702)
    assert account.size_in(ETH) < SIZE
    floor.check()


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("distance", [15_000, 16_600, 20_000])
def test_too_late_for_orders_the_pool_takes_over(side: int, distance: int) -> None:
    floor, account = trader(side)
    floor.send(floor.other, is_ask=side < 0, size=9_000, price=PRICE - side * distance)
    move(floor, PRICE - side * distance)
    pool = floor.accounts.by_index[POOL_INDEX]
    assert (account.size_in(ETH), pool.size_in(ETH)) == (0, side * SIZE)
    assert 0 <= value_of(floor.accounts, account) < 0.01, "the position's zero price leaves nothing"
    lost = 500_000_000 - value_of(floor.accounts, pool)
    assert lost == pytest.approx(0.6 * distance / 100 - 100, abs=0.01), "beyond the collateral the pool bears the loss"
    floor.check()


def test_several_positions_go_largest_first() -> None:
    floor, account = trader()
    floor.hold(account, 40, 135_000, SOL)
    floor.buy(floor.other, 9_000, PRICE - 14_000)
    move(floor, PRICE - 13_700)
    assert account.size_in(ETH) < SIZE
    assert account.size_in(SOL) == 40
    floor.check()


@given(
    side=st.sampled_from([1, -1]),
    size=st.integers(50, 6_000),
    marks=st.lists(st.integers(PRICE - 25_000, PRICE + 25_000), min_size=1, max_size=8, unique=True),
    depth=st.integers(1, 10_000),
    edge=st.integers(1, 2_000),
)
def test_nobody_is_left_unhealthy_beside_a_willing_book(
    side: int, size: int, marks: list[int], depth: int, edge: int
) -> None:
    floor = Floor()
    account = floor.open(100)
    floor.hold(account, side * size)
    for mark in marks:
        floor.clear(floor.other, floor.now_ns)
        floor.buy(floor.other, depth, mark - edge)
        floor.sell(floor.other, depth, mark + edge)
        move(floor, mark)
        floor.check()
        assert value_of(floor.accounts, account) >= 0
        if is_unhealthy(floor.accounts.health(account)):
            [sale] = sales(floor.accounts, account)
            buyers = [o.price for o in floor.other.orders.values() if o.is_ask != (sale.size > 0)]
            assert not any(price * sale.size >= sale.zero_price * sale.size for price in buyers)

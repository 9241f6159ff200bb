"""The curve is a group, and tables of multiples agree with repeated addition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.crypto.ecgfp5 import NEUTRAL, ORDER, Multiples, Point, decode, encode, minus, plus
from stall_then_strike.sim.lighter.crypto.goldilocks import ZERO


def generator() -> Point:
    point = decode((4, 0, 0, 0, 0))
    assert point is not None
    return point


TABLE = Multiples(generator())


def product(scalar: int) -> Point:
    return TABLE.add_to(NEUTRAL, scalar)


@pytest.mark.parametrize("scalar", [0, 1, 2, 15, 16, 17, 31, 32, 33, 100])
def test_small_products_are_repeated_sums(scalar: int) -> None:
    total = NEUTRAL
    for _ in range(scalar):
        total = plus(total, generator())
    assert encode(product(scalar)) == encode(total)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, ORDER - 1), st.integers(0, ORDER - 1))
def test_products_add_up(a: int, b: int) -> None:
    assert encode(plus(product(a), product(b))) == encode(product((a + b) % ORDER))


def test_the_order_of_the_group() -> None:
    assert encode(plus(product(ORDER - 1), generator())) == ZERO
    assert encode(product(ORDER - 1)) == encode(minus(generator()))


def test_a_point_and_its_w() -> None:
    for scalar in (1, 2, 3, 99, ORDER - 5):
        w = encode(product(scalar))
        point = decode(w)
        assert point is not None
        assert encode(plus(point, minus(product(scalar)))) == ZERO
    assert decode(ZERO) == NEUTRAL

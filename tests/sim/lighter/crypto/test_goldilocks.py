"""The extension field keeps the laws of a field."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.crypto import goldilocks as field
from stall_then_strike.sim.lighter.crypto.goldilocks import ONE, ZERO, Element, P

word = st.integers(0, P - 1)
elements = st.tuples(word, word, word, word, word)
examples = settings(max_examples=30, deadline=None)


@examples
@given(elements, elements, elements)
def test_sums_and_products(a: Element, b: Element, c: Element) -> None:
    times, plus, minus = field.multiply, field.add, field.subtract
    assert times(a, b) == times(b, a)
    assert times(a, times(b, c)) == times(times(a, b), c)
    assert times(a, plus(b, c)) == plus(times(a, b), times(a, c))
    assert minus(plus(a, b), b) == a
    assert field.scale(a, 3) == plus(a, plus(a, a))


@examples
@given(elements)
def test_inverse(a: Element) -> None:
    assert field.multiply(a, field.inverse(a)) == (ZERO if a == ZERO else ONE)


@examples
@given(elements)
def test_roots(a: Element) -> None:
    square = field.multiply(a, a)
    assert field.is_square(square)
    assert field.square_root(square) in {a, field.subtract(ZERO, a)}
    assert (field.square_root(a) is None) != field.is_square(a)


def test_z_to_the_fifth_is_three() -> None:
    z = (0, 1, 0, 0, 0)
    fourth = field.multiply(field.multiply(z, z), field.multiply(z, z))
    assert field.multiply(fourth, z) == (3, 0, 0, 0, 0)


@examples
@given(elements)
def test_bytes(a: Element) -> None:
    assert field.from_bytes(field.to_bytes(a)) == a


def test_bytes_are_reduced_and_have_a_length() -> None:
    assert field.from_bytes(b"\xff" * 40) == (2**32 - 2,) * 5
    with pytest.raises(ValueError, match="40 bytes"):
        field.from_bytes(b"")

"""The curve ECgFp5: y^2 = x (x^2 + 2x + 263z) over GF(p^5), a group of prime order. Pure.

A point travels as w = y / x. Inside it is held as (X, Z, U, T) with x = X / Z and 1 / w = U / T, so that one formula
adds any two points, equal ones and the neutral one included. A table of a point's multiples makes its products cheap:
only additions are left.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stall_then_strike.sim.lighter.crypto.goldilocks import (
    ONE,
    ZERO,
    Element,
    P,
    add,
    inverse,
    is_square,
    multiply,
    scale,
    square_root,
    subtract,
)

ORDER: Final = 1067993516717146951041484916571792702745057740581727230159139685185762082554198619328292418486241
"""The order of the group, a prime of 320 bits."""
_B: Final = 263
_WINDOW: Final = 5
_WINDOWS: Final = 65
"""Enough for 320 bits and the carry of signed digits."""


class Point(NamedTuple):
    """A point in fractional coordinates."""

    x: Element
    z: Element
    u: Element
    t: Element


NEUTRAL: Final = Point(ZERO, ONE, ZERO, ONE)


def decode(w: Element) -> Point | None:
    """The point with that w; None when there is none. Zero stands for the neutral point."""
    if w == ZERO:
        return NEUTRAL
    e = subtract(multiply(w, w), (2, 0, 0, 0, 0))
    root = square_root(subtract(multiply(e, e), (0, 4 * _B, 0, 0, 0)))
    if root is None:
        return None
    half = (P + 1) // 2
    x = scale(add(e, root), half)
    if is_square(x):  # of the two roots, the point's is the one that is no square
        x = scale(subtract(e, root), half)
    return Point(x, ONE, ONE, w)


def encode(point: Point) -> Element:
    """The w of a point; zero for the neutral one."""
    return multiply(point.t, inverse(point.u))


def plus(a: Point, b: Point) -> Point:
    """The sum of any two points."""
    x1, z1, u1, v1 = a
    x2, z2, u2, v2 = b
    t1, t2, t3, t4 = multiply(x1, x2), multiply(z1, z2), multiply(u1, u2), multiply(v1, v2)
    t5 = subtract(multiply(_loose(x1, z1), _loose(x2, z2)), _loose(t1, t2))
    t6 = subtract(multiply(_loose(u1, v1), _loose(u2, v2)), _loose(t3, t4))
    t7 = _plus_b_times(t1, t2)
    t8 = multiply(t4, t7)
    double = _loose(t3, t3)
    t9 = multiply(double, _plus_b_times(t7, t5))
    t10 = multiply(_loose(t4, double), _loose(t5, t7))
    return Point(_times_b(subtract(t10, t8)), subtract(t8, t9), multiply(t6, _b_times_less(t2, t1)), add(t8, t9))


def minus(point: Point) -> Point:
    """The inverse of a point."""
    return point._replace(u=scale(point.u, -1))


class Multiples:
    """The multiples of one point, for fast products with any scalar."""

    def __init__(self, point: Point) -> None:
        """Compute a table of 16 multiples for each of 65 windows of five bits: about a thousand additions."""
        self._rows: list[list[Point]] = []
        for _ in range(_WINDOWS):
            row = [point]
            for _ in range(2 ** (_WINDOW - 1) - 1):
                row.append(plus(row[-1], point))
            self._rows.append(row)
            point = plus(row[-1], row[-1])

    def add_to(self, total: Point, scalar: int) -> Point:
        """``total`` plus the product of the point with a scalar from 0 to ORDER - 1."""
        base, half = 1 << _WINDOW, 1 << (_WINDOW - 1)
        for row in self._rows:
            digit = scalar & (base - 1)
            scalar >>= _WINDOW
            if digit > half:
                digit -= base
                scalar += 1
            if digit > 0:
                total = plus(total, row[digit - 1])
            elif digit:
                total = plus(total, minus(row[-digit - 1]))
        return total


def _loose(a: Element, b: Element) -> Element:
    """A sum that is not reduced: good enough for a factor."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4])


def _times_b(a: Element) -> Element:
    """The product with b = 263z."""
    return (a[4] * 3 * _B, a[0] * _B, a[1] * _B, a[2] * _B, a[3] * _B)


def _plus_b_times(a: Element, b: Element) -> Element:
    """a + b-the-constant times b; not reduced."""
    return _loose(a, _times_b(b))


def _b_times_less(a: Element, b: Element) -> Element:
    """b-the-constant times a, minus b; not reduced."""
    m = _times_b(a)
    return (m[0] - b[0], m[1] - b[1], m[2] - b[2], m[3] - b[3], m[4] - b[4])

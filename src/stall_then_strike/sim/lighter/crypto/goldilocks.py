"""The Goldilocks field and its extension of degree five, GF(p^5) = F[z] / (z^5 - 3). Pure.

An element of the extension is a tuple of five integers below P, lowest power of z first. Inverse, square test and
square root go through the norm, the product of the five conjugates, which lies in the base field.
"""

from __future__ import annotations

from typing import Final

P: Final = 2**64 - 2**32 + 1
"""The modulus of the base field."""

Element = tuple[int, int, int, int, int]
"""An element of GF(p^5)."""

ZERO: Final[Element] = (0, 0, 0, 0, 0)
ONE: Final[Element] = (1, 0, 0, 0, 0)
_TURNS: Final = tuple(pow(3, n * (P - 1) // 5, P) for n in range(5))
"""What the Frobenius map multiplies each coefficient by."""


def add(a: Element, b: Element) -> Element:
    """The sum, reduced."""
    return (
        (a[0] + b[0]) % P,
        (a[1] + b[1]) % P,
        (a[2] + b[2]) % P,
        (a[3] + b[3]) % P,
        (a[4] + b[4]) % P,
    )


def subtract(a: Element, b: Element) -> Element:
    """The difference, reduced."""
    return (
        (a[0] - b[0]) % P,
        (a[1] - b[1]) % P,
        (a[2] - b[2]) % P,
        (a[3] - b[3]) % P,
        (a[4] - b[4]) % P,
    )


def multiply(a: Element, b: Element) -> Element:
    """The product, reduced. The factors need not be reduced."""
    a0, a1, a2, a3, a4 = a
    b0, b1, b2, b3, b4 = b
    return (
        (a0 * b0 + 3 * (a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1)) % P,
        (a0 * b1 + a1 * b0 + 3 * (a2 * b4 + a3 * b3 + a4 * b2)) % P,
        (a0 * b2 + a1 * b1 + a2 * b0 + 3 * (a3 * b4 + a4 * b3)) % P,
        (a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + 3 * (a4 * b4)) % P,
        (a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0) % P,
    )


def scale(a: Element, by: int) -> Element:
    """The product with a number of the base field."""
    return (a[0] * by % P, a[1] * by % P, a[2] * by % P, a[3] * by % P, a[4] * by % P)


def inverse(a: Element) -> Element:
    """One divided by ``a``; zero for zero."""
    others, norm = _conjugates(a)
    return scale(others, pow(norm, P - 2, P))


def square_root(a: Element) -> Element | None:
    """One of the two roots; None when ``a`` is not a square. The root of zero is zero."""
    _, norm = _conjugates(a)
    root = _base_root(norm)
    if root is None:
        return None
    base = _power(_turn(a), (P + 1) // 2)
    return scale(inverse(multiply(base, _turn(_turn(base)))), root)


def is_square(a: Element) -> bool:
    """Whether ``a`` has a root; zero has one."""
    return pow(_conjugates(a)[1], (P - 1) // 2, P) != P - 1


def to_bytes(a: Element) -> bytes:
    """40 bytes: each coefficient in eight, little-endian, lowest power first."""
    return b"".join(word.to_bytes(8, "little") for word in a)


def from_bytes(data: bytes) -> Element:
    """Read 40 bytes; coefficients are reduced. Raises ValueError for another length."""
    if len(data) != 40:
        raise ValueError(f"an element has 40 bytes, got {len(data)}")
    a, b, c, d, e = (int.from_bytes(data[n : n + 8], "little") % P for n in range(0, 40, 8))
    return a, b, c, d, e


def _turn(a: Element) -> Element:
    """The Frobenius map, a -> a^p."""
    _, t1, t2, t3, t4 = _TURNS
    return (a[0], a[1] * t1 % P, a[2] * t2 % P, a[3] * t3 % P, a[4] * t4 % P)


def _conjugates(a: Element) -> tuple[Element, int]:
    """The product of the four other conjugates, and the norm."""
    first = _turn(a)
    second = multiply(first, _turn(first))
    others = multiply(second, _turn(_turn(second)))
    return others, multiply(a, others)[0]


def _power(a: Element, exponent: int) -> Element:
    result = ONE
    for bit in bin(exponent)[2:]:
        result = multiply(result, result)
        if bit == "1":
            result = multiply(result, a)
    return result


def _base_root(number: int) -> int | None:
    """Tonelli-Shanks in the base field: P - 1 = 2^32 times an odd number."""
    if number == 0:
        return 0
    if pow(number, (P - 1) // 2, P) != 1:
        return None
    odd = (P - 1) >> 32
    step, turn, root, rest = 32, pow(7, odd, P), pow(number, (odd + 1) // 2, P), pow(number, odd, P)
    while rest != 1:
        level, probe = 0, rest
        while probe != 1:
            probe = probe * probe % P
            level += 1
        factor = pow(turn, 1 << (step - level - 1), P)
        step, turn = level, factor * factor % P
        root, rest = root * factor % P, rest * turn % P
    return root

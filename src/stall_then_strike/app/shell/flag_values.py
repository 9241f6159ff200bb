"""Numbers that flags take, read for argparse: what is not accepted is told with what is."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Final

LONGEST_S: Final = 1_000_000_000
"""Thirty years; beyond, stamps exceed 64 bits and calendars."""
FASTEST: Final = 100.0
"""Above this speed sockets cannot keep up; virtual time (``max``) has no such limit."""


def number(what: str, accepted: str, least: float, most: float, *, above: bool = False) -> Callable[[str], float]:
    """A reader of numbers from ``least`` to ``most``; with ``above``, without ``least`` itself."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or (above and value == least):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}; accepted: {accepted}")
        return value

    return read


def whole(what: str, accepted: str, least: int, most: float = math.inf) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` to ``most``, written in digits alone."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}; accepted: {accepted}")
        return int(text)

    return read


positive_seconds: Final = number("a duration", f"seconds above 0 to {LONGEST_S:,}", 0, LONGEST_S, above=True)
port: Final = whole("a port", "0 to 65535", 0, 65_535)
_factor: Final = number("a speed", f"above 0 to {FASTEST:g}, or max", 0, FASTEST, above=True)


def speed(text: str) -> float:
    """A positive factor, or infinity for ``max``."""
    return math.inf if text == "max" else _factor(text)

"""The terms of a market, and what a plan pays. Pure.

Amounts are integers: sizes in units of 10^-size_decimals, prices in units of 10^-price_decimals. The decimals add up to
six in all 119 markets of December 2025, so size times price is the quote in micro-USDC, exactly.

Venue facts (market list of December 2025, details and plans of 2026): the scales, minimums and limits below; margin
fractions in 1/10,000; fees in 1/1,000,000 of the quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, NamedTuple

MICRO: Final = 10**6
"""Micro-USDC in a USDC."""
FRACTION_ONE: Final = 10_000
"""A margin fraction of 100 %."""
LARGEST_QUOTE: Final = 281_474_976_710_655


class Fees(NamedTuple):
    """What a plan pays, in 1/1,000,000 of the quote."""

    maker: int
    taker: int


@unique
class Plan(Enum):
    """An account's plan."""

    STANDARD = "standard"
    PREMIUM = "premium"
    PLUS = "plus"
    BUILDER = "builder"

    @property
    def fees(self) -> Fees:
        """Premium pays 0.4 bp as maker and 2.8 bp as taker before its discounts; standard pays nothing.

        What Plus and Builder pay is not known: here, the same as premium.
        """
        return Fees(0, 0) if self is Plan.STANDARD else Fees(40, 280)


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterMarket:
    """A perpetual contract. ``start_price`` is its index and mark price until others are set."""

    market_id: int
    symbol: str
    price_decimals: int
    size_decimals: int
    min_base: int
    start_price: int
    min_quote: int = 10 * MICRO
    order_quote_limit: int = LARGEST_QUOTE
    default_fraction: int = 500
    min_fraction: int = 200

    def __post_init__(self) -> None:
        """Raise ValueError for terms that do not fit together."""
        if self.price_decimals + self.size_decimals != 6 or min(self.price_decimals, self.size_decimals) < 0:
            raise ValueError(f"market {self.symbol}: the decimals of size and price must add up to 6")
        if min(self.min_base, self.start_price) <= 0 or not 0 <= self.market_id < 255:
            raise ValueError(f"market {self.symbol}: accepted: positive amounts and an id from 0 to 254")

    @property
    def maintenance_fraction(self) -> int:
        """Three fifths of the least initial one, as ETH's."""
        return self.min_fraction * 3 // 5

    @property
    def closeout_fraction(self) -> int:
        """Two fifths of it, likewise."""
        return self.min_fraction * 2 // 5

    def price_text(self, price: int) -> str:
        """A price as the venue writes it, with all decimals."""
        return decimal_text(price, self.price_decimals)

    def size_text(self, size: int) -> str:
        """A size as the venue writes it, with all decimals."""
        return decimal_text(size, self.size_decimals)


def decimal_text(amount: int, decimals: int) -> str:
    """An integer amount as a decimal number with exactly that many decimals."""
    sign, digits = "-" if amount < 0 else "", str(abs(amount)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else sign + digits


def usdc_text(micro: int) -> str:
    """Micro-USDC as the venue writes them."""
    return decimal_text(micro, 6)


MARKETS: Final = (
    LighterMarket(
        market_id=0,
        symbol="ETH",
        price_decimals=2,
        size_decimals=4,
        min_base=50,
        start_price=3_100_00,
    ),
    LighterMarket(
        market_id=1,
        symbol="BTC",
        price_decimals=1,
        size_decimals=5,
        min_base=20,
        start_price=92_300_0,
    ),
    LighterMarket(
        market_id=2,
        symbol="SOL",
        price_decimals=3,
        size_decimals=3,
        min_base=50,
        start_price=135_000,
        default_fraction=1000,
        min_fraction=400,
    ),
    LighterMarket(
        market_id=3,
        symbol="DOGE",
        price_decimals=6,
        size_decimals=0,
        min_base=10,
        start_price=140_000,
        default_fraction=1000,
        min_fraction=1000,
    ),
    LighterMarket(
        market_id=24,
        symbol="HYPE",
        price_decimals=4,
        size_decimals=2,
        min_base=50,
        start_price=30_0000,
        default_fraction=1000,
        min_fraction=500,
    ),
)
"""Five of the venue's markets. Only ETH's margin fractions are known; the others' are likely."""

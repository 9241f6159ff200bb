"""One instrument's units: where decimals become integers and integers become decimals.

Inside the system a price is a whole number of *ticks*, a size a whole number of *lots* and money a whole number of
*units*, one unit being one tick times one lot. For ``FX_BTC_JPY`` a tick is 1 JPY, a lot 1e-8 BTC (partial fills have
eight decimals) and so a unit of money is 1e-8 JPY; all sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NewType

Ticks = NewType("Ticks", int)
"""A price in ticks of its instrument. Zero stands for "no price", as it does on bitFlyer's wire."""

Lots = NewType("Lots", int)
"""A size in lots of its instrument: unsigned for orders, fills and levels, signed for positions."""

Money = NewType("Money", int)
"""An amount in units of one tick times one lot, signed."""

_MOST_DIGITS: Final = 60
"""A number of steps with more digits is none: to write 1E+999999 out would take minutes."""

NO_PRICE: Final = Ticks(0)
NO_MONEY: Final = Money(0)


def _reciprocal(name: str, step: Decimal) -> int:
    """How many steps make one. Raises ValueError unless that is a whole number."""
    if not step.is_finite() or step <= 0:
        raise ValueError(f"{name} must be positive, got {step}")
    inverse = 1 / step
    if inverse != int(inverse):
        raise ValueError(f"{name} must divide one evenly (1, 0.1, 0.5, 1e-8 ...), got {step}")
    return int(inverse)


def _whole(value: Decimal | int | str, scale: int, what: str) -> int:
    """Value times scale as a whole number. Raises ValueError unless it is one."""
    try:
        scaled = Decimal(value) * scale
        if scaled.adjusted() < _MOST_DIGITS and scaled == scaled.to_integral_value():
            return int(scaled)
    except (ArithmeticError, ValueError):
        pass
    raise ValueError(f"{value} is not {what}")


def base_of(product_code: str) -> str:
    """The asset that a product trades, from its code: ``BTC``; the code itself if it has only one part."""
    return product_code.split("_")[-2] if "_" in product_code else product_code


def quote_of(product_code: str) -> str:
    """The currency of a product's prices and money, from its code: ``JPY``; empty if it has only one part."""
    return product_code.split("_")[-1] if "_" in product_code else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Names and units of one product. A size or price that is no whole number of steps raises ValueError."""

    product_code: str
    tick_size: Decimal
    """Smallest price step, in quote currency."""
    lot_size: Decimal
    """Smallest size step, in base currency."""
    min_size: Lots
    """Smallest order that the venue accepts."""
    min_notional: Money = NO_MONEY
    """Least price times size of a resting order; zero if the venue has no such limit."""
    base: str = ""
    """The asset that is traded; by default from the code."""
    quote: str = ""
    """The currency of prices and money; by default from the code."""
    ticks_per_one: int = field(init=False)
    lots_per_one: int = field(init=False)

    def __post_init__(self) -> None:
        """Derive the names, and the integer scales that the hot path multiplies by."""
        object.__setattr__(self, "base", self.base or base_of(self.product_code))
        object.__setattr__(self, "quote", self.quote or quote_of(self.product_code))
        object.__setattr__(self, "ticks_per_one", _reciprocal("tick_size", self.tick_size))
        object.__setattr__(self, "lots_per_one", _reciprocal("lot_size", self.lot_size))

    def to_ticks(self, price: Decimal | int | str) -> Ticks:
        """Convert a price to ticks, exactly."""
        return Ticks(_whole(price, self.ticks_per_one, f"a price in steps of {self.tick_size}"))

    def to_lots(self, size: Decimal | int | str) -> Lots:
        """Convert a size to lots, exactly."""
        return Lots(_whole(size, self.lots_per_one, f"a size in steps of {self.lot_size}"))

    def to_money(self, amount: Decimal | int | str) -> Money:
        """Convert a quote-currency amount to money units, exactly."""
        step = self.tick_size * self.lot_size
        return Money(_whole(amount, self.ticks_per_one * self.lots_per_one, f"an amount in steps of {step}"))

    def price(self, ticks: int) -> Decimal:
        """Price in quote currency."""
        return Decimal(ticks) / self.ticks_per_one

    def size(self, lots: int) -> Decimal:
        """Size in base currency."""
        return Decimal(lots) / self.lots_per_one

    def amount(self, money: int) -> Decimal:
        """Amount in quote currency."""
        return Decimal(money) / (self.ticks_per_one * self.lots_per_one)


def fx_btc_jpy() -> Instrument:
    """bitFlyer Crypto CFD: 1 JPY ticks, 1e-8 BTC lots, orders of 0.001 BTC and more."""
    return Instrument(
        product_code="FX_BTC_JPY",
        tick_size=Decimal(1),
        lot_size=Decimal("1e-8"),
        min_size=Lots(100_000),
    )

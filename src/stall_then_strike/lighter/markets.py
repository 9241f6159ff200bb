"""Lighter's markets: index, scales, minimums, exact conversion to the wire's integers. Pure, except the cache file.

A size travels as ``size x 10^size_decimals`` (BaseAmount), a price as ``price x 10^price_decimals`` (Price); every
whole price from 1 is a valid tick. The native signer takes C integers and wraps silently: a price of 2^32 + 5 would be
signed as 5. So a value that is no whole number of steps, or out of range, raises UnfitOrder here.

A market has several names. The venue lists the perpetual as ``ETH`` and the spot market as ``ETH/USDC``. Users may also
write ``ETH-USDC``, ``ETH/USDC:USDC`` and ``XLIGHTER:SWAP:ETH-USDC`` for the perpetual, ``XLIGHTER:SPOT:ETH-USDC`` for
the spot market.

Venue facts: ETH is market 0, BTC is market 1, spot markets start at 2048 (orderBooks of 2025-12-08). Perpetuals are
priced and settled in USDC. The minimums bind resting orders and modifies; IOC orders are exempt from them, but not from
the largest quote amount (the venue's rollup circuits).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from stall_then_strike.config.venue import ProductConfig
from stall_then_strike.lighter.messages import WIRE_NUMBER
from stall_then_strike.types.errors import ConfigError, UnfitOrder
from stall_then_strike.types.instrument import Instrument, Lots, Money
from stall_then_strike.types.names import NS_PER_S

Number = float | int | str | Decimal
"""A price or size as callers give it. A float counts as the decimal that Python prints for it."""

BASE_MAX: Final = 2**48 - 1
"""Largest BaseAmount that the signer takes."""
PRICE_MAX: Final = 2**32 - 1
"""Largest Price and TriggerPrice that the signer takes."""
EXCHANGE: Final = "XLIGHTER"
_ALIAS: Final = "LIGHTER"
SETTLE: Final = "USDC"
_FIRST_SPOT: Final = 2048
_MOST_DECIMALS: Final = 12
_SHOWN: Final = 12
_NEVER_QUOTE: Final = Decimal("281474976.710655")


def exact(value: Number, what: str) -> Decimal:
    """The decimal that the caller wrote: ``3800.05`` for the float 3800.05. Raises UnfitOrder."""
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        raise UnfitOrder(f"{what} {value!r} is not a number") from None
    if not number.is_finite():
        raise UnfitOrder(f"{what} {value!r} is not a finite number")
    return number


def _steps(least: Decimal, step: Decimal) -> int:
    """The least whole number of steps that reaches a minimum."""
    return int((least / step).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One market of the venue."""

    market_index: int
    symbol: str
    size_decimals: int
    price_decimals: int
    min_base: Decimal
    """Least size of a resting order, in the base asset."""
    min_quote: Decimal
    """Least price x size of a resting order, in USDC."""
    max_quote: Decimal = _NEVER_QUOTE
    """Largest price x size of any order, in USDC."""
    is_active: bool = True
    instrument: Instrument = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the exact conversions. Raises ValueError for impossible figures."""
        if not 0 <= self.size_decimals <= _MOST_DECIMALS or not 0 <= self.price_decimals <= _MOST_DECIMALS:
            raise ValueError(f"market {self.symbol}: {self.size_decimals} and {self.price_decimals} decimals")
        if not (self.min_base.is_finite() and self.min_quote.is_finite() and self.max_quote.is_finite()):
            raise ValueError(f"market {self.symbol}: a limit is not a number")
        tick, lot = Decimal(1).scaleb(-self.price_decimals), Decimal(1).scaleb(-self.size_decimals)
        base, _, quote = self.symbol.partition("/")
        object.__setattr__(
            self,
            "instrument",
            Instrument(
                product_code=self.symbol,
                tick_size=tick,
                lot_size=lot,
                min_size=Lots(_steps(self.min_base, lot)),
                min_notional=Money(_steps(self.min_quote, tick * lot)),
                base=base,
                quote=quote or SETTLE,
            ),
        )

    @property
    def market_type(self) -> str:
        """``SWAP`` for a perpetual, ``SPOT`` for a spot market."""
        return "SPOT" if self.market_index >= _FIRST_SPOT else "SWAP"

    @property
    def ticker(self) -> str:
        """``ETH-USDC`` for a perpetual, ``ETH/USDC`` for a spot market: no two markets share one."""
        return self.symbol if self.market_type == "SPOT" else f"{self.symbol}-{SETTLE}"

    @property
    def full_name(self) -> str:
        """Such as ``XLIGHTER:SWAP:ETH-USDC``."""
        return f"{EXCHANGE}:{self._typed_name}"

    @property
    def _typed_name(self) -> str:
        return f"{self.market_type}:{self.instrument.base}-{self.instrument.quote}"

    def names(self) -> tuple[str, ...]:
        """Every form in which users may name it."""
        settled = () if self.market_type == "SPOT" else (f"{self.symbol}/{SETTLE}:{SETTLE}",)
        return (self.symbol, self.ticker, *settled, self.full_name, f"{_ALIAS}:{self._typed_name}")

    @property
    def size_scale(self) -> int:
        """BaseAmount of a size of one."""
        return int(10**self.size_decimals)

    @property
    def price_scale(self) -> int:
        """Price of one USDC."""
        return int(10**self.price_decimals)

    def base_amount(self, size: Number) -> int:
        """The unsigned size as the wire's integer. Raises UnfitOrder."""
        return self._whole("size", exact(size, f"{self.symbol}: size"), BASE_MAX)

    def raw_price(self, price: Number, what: str = "price") -> int:
        """The price as the wire's integer. Raises UnfitOrder."""
        return self._whole(what, exact(price, f"{self.symbol}: {what}"), PRICE_MAX)

    def require_quote(self, base_amount: int, raw_price: int, *, is_resting: bool) -> None:
        """Check size and size x price against the market's limits. Raises UnfitOrder."""
        size, price = self.instrument.size(base_amount), self.instrument.price(raw_price)
        quote = size * price
        if is_resting and size < self.min_base:
            raise UnfitOrder(f"{self.symbol}: size {size} is below the minimum; accepted: {self.min_base} or more")
        if is_resting and quote < self.min_quote:
            raise UnfitOrder(
                f"{self.symbol}: size {size} x price {price} = {quote} USDC is below the minimum; "
                f"accepted: {self.min_quote} or more"
            )
        if quote > self.max_quote:
            raise UnfitOrder(
                f"{self.symbol}: size {size} x price {price} = {quote} USDC is too much; accepted: {self.max_quote}"
            )

    def _whole(self, what: str, value: Decimal, most: int) -> int:
        unit = self.instrument
        try:
            raw = int(unit.to_lots(value) if what == "size" else unit.to_ticks(value))
        except ValueError:
            step = unit.lot_size if what == "size" else unit.tick_size
            raise UnfitOrder(f"{self.symbol}: {what} {value} is not a whole number of steps of {step}") from None
        if not 1 <= raw <= most:
            step = unit.lot_size if what == "size" else unit.tick_size
            raise UnfitOrder(f"{self.symbol}: {what} {value} is out of range; accepted: {step} to {most * step}")
        return raw


def _perp(market_index: int, symbol: str, decimals: tuple[int, int], min_base: str) -> Market:
    return Market(
        market_index=market_index,
        symbol=symbol,
        size_decimals=decimals[0],
        price_decimals=decimals[1],
        min_base=Decimal(min_base),
        min_quote=Decimal("10.000000"),
    )


def configured_market(product: ProductConfig) -> Market:
    """The market of a configuration whose units are filled in."""
    return Market(
        market_index=product.market_index,
        symbol=product.product_code,
        size_decimals=-product.size_step.adjusted(),
        price_decimals=-product.tick_size.adjusted(),
        min_base=product.size_min,
        min_quote=product.notional_min,
    )


BUILT_IN: Final = (
    _perp(0, "ETH", (4, 2), "0.0050"),
    _perp(1, "BTC", (5, 1), "0.00020"),
    _perp(2, "SOL", (3, 3), "0.050"),
    _perp(3, "DOGE", (0, 6), "10"),
    _perp(7, "XRP", (0, 6), "20"),
    _perp(8, "LINK", (1, 5), "1.0"),
    _perp(9, "AVAX", (2, 4), "0.50"),
    _perp(16, "SUI", (1, 5), "3.0"),
    _perp(24, "HYPE", (2, 4), "0.50"),
    _perp(25, "BNB", (2, 4), "0.02"),
    _perp(35, "LTC", (3, 3), "0.100"),
    _perp(39, "ADA", (1, 5), "10.0"),
    _perp(90, "ZEC", (3, 3), "0.100"),
)
"""Markets as the venue listed them on 2025-12-08, for the time before the first refresh."""
BUILT_IN_NS: Final = 1_765_152_000 * NS_PER_S


class Markets:
    """A list of markets and its age."""

    def __init__(
        self, markets: Iterable[Market] = BUILT_IN, *, as_of_ns: int = BUILT_IN_NS, source: str = "built-in table"
    ) -> None:
        """``as_of_ns`` is when the venue said so; ``source`` is named in errors."""
        self._by_index = {market.market_index: market for market in markets}
        self._by_name = {name.upper(): market for market in self._by_index.values() for name in market.names()}
        self._by_name |= {market.symbol: market for market in self._by_index.values()}
        self.as_of_ns = as_of_ns
        self.source = source

    def __len__(self) -> int:
        return len(self._by_index)

    def all(self) -> tuple[Market, ...]:
        """All markets, by index."""
        return tuple(self._by_index[index] for index in sorted(self._by_index))

    def age_ns(self, now_ns: int) -> int:
        """Nanoseconds since the venue said so."""
        return max(0, now_ns - self.as_of_ns)

    def find(self, symbol: str) -> Market | None:
        """The market of that name, in any of its forms; of its upper case if there is none as given."""
        return self._by_name.get(symbol) or self._by_name.get(symbol.upper())

    def at(self, market_index: int) -> Market | None:
        """The market of that index."""
        return self._by_index.get(market_index)

    def named(self, symbol: str) -> Market:
        """The market of that name. Raises ConfigError that lists accepted ones."""
        found = self.find(symbol)
        if found is None:
            raise ConfigError(f"symbol {symbol!r}: no such market ({self.source}); accepted: {self._some()}")
        return found

    def indexed(self, market_index: int) -> Market:
        """The market of that index. Raises ConfigError."""
        found = self.at(market_index)
        if found is None:
            raise ConfigError(
                f"market_index {market_index}: its scales are unknown ({self.source}); accepted: "
                + ", ".join(str(index) for index in sorted(self._by_index)[:_SHOWN])
                + (" ..." if len(self) > _SHOWN else "")
            )
        return found

    def _some(self) -> str:
        names = [market.symbol for market in self.all()]
        return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")

    # --- from the venue, to and from the cache ----------------------------------------------------------------------

    @classmethod
    def from_wire(cls, body: Mapping[str, Any], *, as_of_ns: int, source: str) -> Markets:
        """Read an answer of ``orderBooks``. A row that cannot be read is left out: its market is then unknown."""
        rows = body.get("order_books")
        markets = [market for row in rows if (market := _market(row))] if isinstance(rows, list) else []
        return cls(markets, as_of_ns=as_of_ns, source=source)

    def save(self, path: Path) -> None:
        """Write the cache file, complete or not at all. Raises OSError."""
        rows = [_row(market) for market in self.all()]
        part = path.with_suffix(".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"as_of_ns": self.as_of_ns, "order_books": rows}), encoding="utf-8")
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Markets | None:
        """Read a cache file; None if there is none or it cannot be read."""
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            found = cls.from_wire(body, as_of_ns=int(body["as_of_ns"]), source=str(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return found if len(found) else None


def _market(row: object) -> Market | None:
    if not isinstance(row, dict):
        return None
    try:
        return Market(
            market_index=int(row["market_id"]),
            symbol=str(row["symbol"]),
            size_decimals=int(row["supported_size_decimals"]),
            price_decimals=int(row["supported_price_decimals"]),
            min_base=WIRE_NUMBER.validate_python(row["min_base_amount"]),
            min_quote=WIRE_NUMBER.validate_python(row["min_quote_amount"]),
            max_quote=WIRE_NUMBER.validate_python(row.get("order_quote_limit") or _NEVER_QUOTE),
            is_active=row.get("status", "active") == "active",
        )
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _row(market: Market) -> dict[str, object]:
    return {
        "market_id": market.market_index,
        "symbol": market.symbol,
        "supported_size_decimals": market.size_decimals,
        "supported_price_decimals": market.price_decimals,
        "min_base_amount": str(market.min_base),
        "min_quote_amount": str(market.min_quote),
        "order_quote_limit": str(market.max_quote),
        "status": "active" if market.is_active else "inactive",
    }

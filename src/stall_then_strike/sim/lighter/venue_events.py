"""What happens in the venue, in its order of arrival: what the streams are made of. Pure.

The changes that one transaction makes come in the order that the venue sends them in (captured after two fills):
orders, trades, positions, collateral, the transaction. Changes of the book come first.
"""

from __future__ import annotations

from dataclasses import dataclass

from stall_then_strike.sim.lighter.clearing.records import FundingPaid, LighterOrder, LighterTrade, TxRecord
from stall_then_strike.types.dto import Side


@dataclass(frozen=True, slots=True)
class BookChanged:
    """A level has a new total size; zero when it is gone, perhaps without ever having been shown."""

    market: int
    side: Side
    price: int
    size: int


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order is new or different; ``order`` is its state after the change."""

    account: int
    market: int
    order: LighterOrder


@dataclass(frozen=True, slots=True)
class Traded:
    """Two orders matched."""

    market: int
    trade: LighterTrade


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """A position, its entry or its margin setting changed."""

    account: int
    market: int


@dataclass(frozen=True, slots=True)
class CollateralChanged:
    """An account's collateral changed."""

    account: int


@dataclass(frozen=True, slots=True)
class FundingFell:
    """An hour's funding of a position fell due."""

    account: int
    market: int
    paid: FundingPaid


@dataclass(frozen=True, slots=True)
class PricesChanged:
    """A market's mark price, index price or funding changed."""

    market: int


@dataclass(frozen=True, slots=True)
class TxDone:
    """A transaction had its effect, or failed."""

    account: int
    tx: TxRecord


VenueEvent = (
    BookChanged | OrderChanged | Traded | PositionChanged | CollateralChanged | FundingFell | PricesChanged | TxDone
)

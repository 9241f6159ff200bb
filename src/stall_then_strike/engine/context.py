"""A strategy that places and cancels orders, and the `Context` in which it does.

`Strategy` is what users write. It is called with a `Context`, which shows the market, the balance and its own orders,
and takes orders and cancels. `sandbox` turns them into a wish of the engine's seam, so gates, budget, kill switch,
journal and reconciliation are the engine's. The Context keeps three rules:

- Exposure: an order that could take the position over ``strategy.max_inventory_btc`` is not taken. All live orders
  count as filled, those of an unknown outcome and those of an earlier run, too.
- Rest: an order that would trade at once, with the market or with another of its own, is not taken.
- Steps: a price or size off the market's steps raises ValueError; `MarketInfo` rounds.

Orders are queued and go out in the order of placing, as many at once as the budget allows. While the engine forbids
quotes, the strategy is not called: what is live is taken back, what is queued is dropped, and fills wait to be told.

**After a restart** all orders of the earlier run are cancelled, and a strategy starts (`Strategy.on_start`) when they
have ended. They are not handed on, because what the strategy meant by them is not stored, their outcome may be unknown,
and bitFlyer ends every order within a minute anyway. `Context.orders` is then empty, and all that the earlier run did
is in `Context.balance`: a strategy builds its orders anew from the balance.

Prices, sizes and money are Decimals; ``board``, ``holding``, ``quotes``, ``place`` and ``room_lots`` are the same in
ticks and lots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import Enum, unique
from types import MappingProxyType
from typing import ClassVar, Final

from pydantic import BaseModel

from stall_then_strike.engine.strategy import Holding, Market, Quote
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.types.dto import BookStatus, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks


class Cloid(int):
    """A strategy's number of one order. It is not interchangeable with other integers."""

    __slots__ = ()

    def __repr__(self) -> str:
        """``Cloid(7)``."""
        return f"Cloid({int(self)})"


@unique
class Role(Enum):
    """Which side of a fill rested."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order to be placed."""

    side: Side
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOrderRequest(OrderRequest):
    """An order that rests at a price. Where the venue has post-only orders, it never takes."""

    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """One order of the strategy that may still be filled."""

    cloid: Cloid
    side: Side
    price: Decimal
    size: Decimal
    remaining: Decimal
    is_sent: bool
    """False while it is queued."""
    is_ending: bool
    """A cancel of it is wanted or in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFill:
    """One fill of one of the strategy's orders."""

    cloid: Cloid
    side: Side
    price: Decimal
    size: Decimal
    fee: Decimal
    """In the quote currency; negative for a rebate."""
    role: Role | None
    """None if the venue does not say who rested; bitFlyer does not."""
    ts_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the account holds of this market."""

    position: Decimal
    """Signed: positive is long."""
    average_price: Decimal | None
    """None when flat."""
    unrealised: Decimal
    """Result of the open position at the mid, in the quote currency; zero without a book."""


class MarketInfo:
    """Names and steps of a market. All rounding is to be done here."""

    def __init__(self, instrument: Instrument) -> None:
        """The market of an instrument."""
        self.instrument: Final = instrument
        self.symbol: Final = instrument.product_code
        self.base: Final = instrument.base
        self.quote: Final = instrument.quote
        self.tick_size: Final = instrument.tick_size
        self.size_step: Final = instrument.lot_size
        self.min_size: Final = instrument.size(instrument.min_size)
        self.min_notional: Final = instrument.amount(instrument.min_notional)
        """Least price times size of an order; zero if the venue has no such limit."""

    def round_price(self, price: Decimal | int | str) -> Decimal:
        """The nearest price on a step; of two the one with an even number of steps."""
        return self._rounded(price, self.tick_size, ROUND_HALF_EVEN)

    def round_size(self, size: Decimal | int | str) -> Decimal:
        """The size without what is finer than a step: never more than was asked for."""
        return self._rounded(size, self.size_step, ROUND_DOWN)

    def least(self, price: Ticks) -> Lots:
        """The smallest order at a price, in lots."""
        unit = self.instrument
        return Lots(max(unit.min_size, -(-unit.min_notional // price))) if unit.min_notional else unit.min_size

    def _rounded(self, value: Decimal | int | str, step: Decimal, rounding: str) -> Decimal:
        if isinstance(value, float):
            raise TypeError(f"{value!r} is a float, which holds no exact amount; accepted: Decimal, int, str")
        return (Decimal(value) / step).to_integral_value(rounding) * step


class Sheet:
    """What a strategy has placed and wants, as `sandbox` turns it into a wish. Strategies change it by `Context`."""

    def __init__(self) -> None:
        """Nothing is placed."""
        self.own: dict[Cloid, Quote] = {}
        """Orders that are queued or may still be filled, by their numbers, which count up."""
        self.ending: set[Cloid] = set()
        """Those of them whose cancel is wanted or in flight."""
        self.wake_ns = NEVER_NS
        self.is_closing = False
        """The position is to be closed."""


class Context:
    """What a strategy sees, and where it places and cancels orders."""

    def __init__(self, instrument: Instrument, max_inventory: Lots, sheet: Sheet) -> None:
        """Without a market until the first call of the strategy. ``max_inventory`` is the largest position."""
        self.market: Final = MarketInfo(instrument)
        self.now_ns = 0
        """The time of this call."""
        self.board: Market = _NO_MARKET
        """The best of the book without our own orders, in ticks and lots."""
        self.holding: Holding = _NO_HOLDING
        """What the engine shows to every strategy, in lots and money units."""
        self._unit, self._cap = instrument, max_inventory
        self._sheet, self._own = sheet, sheet.own
        self._last = 0

    # --- what is seen

    @property
    def bid(self) -> Decimal:
        """Best bid without our own orders."""
        return self._unit.price(self.board.best_bid_price)

    @property
    def ask(self) -> Decimal:
        """Best ask without our own orders."""
        return self._unit.price(self.board.best_ask_price)

    @property
    def mid(self) -> Decimal:
        """The middle of both; it may lie between two steps."""
        return (self.bid + self.ask) / 2

    @property
    def balance(self) -> Balance:
        """Position and what it is worth."""
        position, basis = self.holding.position, self.holding.basis
        mid2 = self.board.best_bid_price + self.board.best_ask_price
        return Balance(
            position=self._unit.size(position),
            average_price=self._unit.price(1) * basis / position if position else None,
            unrealised=self._unit.amount(position * mid2 - 2 * basis) / 2 if mid2 else Decimal(0),
        )

    @property
    def quotes(self) -> Mapping[Cloid, Quote]:
        """The strategy's orders that are queued or may still be filled, in ticks and lots, oldest first."""
        return MappingProxyType(self._own)

    @property
    def orders(self) -> Mapping[Cloid, OpenOrder]:
        """The same in Decimals, and how much of each is left."""
        live = {quote.key: quote for quote in self.holding.quotes}
        unit = self._unit
        return {
            cloid: OpenOrder(
                cloid=cloid,
                side=quote.side,
                price=unit.price(quote.price),
                size=unit.size(quote.size),
                remaining=unit.size(live[cloid].remaining if cloid in live else quote.size),
                is_sent=cloid in live,
                is_ending=self.is_ending(cloid),
            )
            for cloid, quote in self._own.items()
        }

    def is_ending(self, cloid: Cloid) -> bool:
        """Whether the cancel of an order is wanted or in flight."""
        return cloid in self._sheet.ending

    def room(self, side: Side) -> Decimal:
        """How much more may be ordered on a side; negative if less than nothing."""
        return self._unit.size(self.room_lots(side))

    def room_lots(self, side: Side) -> int:
        """The same in lots."""
        held, last = self.holding, self.holding.last_key
        queued = sum([quote.size for cloid, quote in self._own.items() if cloid > last and quote.side is side])
        return self._cap - held.position * side.sign - (held.open_buy if side is Side.BUY else held.open_sell) - queued

    # --- what is done

    def place_order(self, request: LimitOrderRequest) -> Cloid | None:
        """Queue an order; its number, or None if one of the rules above forbids it.

        Raises ValueError for a price or size off the market's steps, or under its smallest order or notional.
        """
        return self.place(request.side, self._unit.to_ticks(request.price), self._unit.to_lots(request.size))

    def place(self, side: Side, price: Ticks, size: Lots) -> Cloid | None:
        """The same in ticks and lots."""
        if price <= 0 or size < (least := self.market.least(price)):
            raise ValueError(f"no order of {size} lots at {price} ticks; accepted: {least} lots or more")
        if size > self.room_lots(side):
            return None
        best = self.board.best_ask_price if side is Side.BUY else self.board.best_bid_price
        against = [best, *(quote.price for quote in self._own.values() if quote.side is not side)]
        if any((other - price) * side.sign <= 0 for other in against):
            return None
        self._last += 1
        cloid = Cloid(self._last)
        self._own[cloid] = Quote(cloid, side, price, size, 0)
        return cloid

    def cancel_order(self, cloid: Cloid) -> None:
        """Take an order back. It stays in `orders`, and may be filled, until the venue has confirmed that.

        Raises TypeError for a number that is no Cloid; an order that has ended is ignored.
        """
        if type(cloid) is not Cloid:
            raise TypeError(f"{cloid!r} is no Cloid")
        if cloid > self.holding.last_key:
            self._own.pop(cloid, None)  # not sent
        elif cloid in self._own:
            self._sheet.ending.add(cloid)

    def cancel_all(self) -> None:
        """Take all orders back."""
        for cloid in tuple(self._own):
            self.cancel_order(cloid)

    def close_position(self) -> None:
        """Close the position, as ``strategy.close_type`` says. All orders are taken back first."""
        self._sheet.is_closing = True

    def wake_at(self, at_ns: int) -> None:
        """Ask for a call at this time even if nothing happens."""
        self._sheet.wake_ns = min(self._sheet.wake_ns, at_ns)


_NO_MARKET: Final = Market(0, Ticks(0), Lots(0), Ticks(0), Lots(0), 0, BookStatus.UNKNOWN)
_NO_HOLDING: Final = Holding(Lots(0), 0, 0, 0, (), 0, 0, may_close=False)


class Strategy:
    """Base of users' strategies. An exception in any of its methods takes its orders back, and several halt trading."""

    Parameters: ClassVar[type[BaseModel] | None] = None
    """The settings of ``parameters:`` as a model; None: they are given as they are, a dict."""

    def __init__(self, parameters: object) -> None:
        """Keep the settings. Raise ValueError for settings that cannot be used: the start then ends at once."""
        self.parameters = parameters

    def check(self, market: MarketInfo) -> None:
        """Called before anything is sent. Raise ValueError, as ``key: why``, for settings unfit for the market."""

    def on_start(self, context: Context) -> None:
        """Called once, when trading is allowed and no order of an earlier run is left."""
        self.initialize_zones(context)

    def initialize_zones(self, context: Context) -> None:
        """Set up what the strategy trades around; part of `on_start`."""

    def on_tick(self, context: Context) -> None:
        """Called when anything has changed and quotes are allowed."""

    def on_order_filled(self, context: Context, fill: OrderFill) -> None:
        """Called for each fill of an order of this run, before `on_tick`."""

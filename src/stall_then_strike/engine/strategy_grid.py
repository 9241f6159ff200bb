"""A grid: between its bounds, buys rest below the market and sells above it, and every fill is turned round.

The bounds are divided into *zones* by lines. A zone buys at its lower line and sells at its upper one, in turn: a
filled buy becomes a sell one line up, and a filled sell a buy one line down. A zone that holds nothing begins with the
side that the market is away from, so above the market zones sell first, and a fall or rise through the whole grid
leaves a position of ``zones`` times ``size``, or of the sandbox's limit.

What each zone holds is counted by fills, to the lot, and the zones together always hold the position. What they did not
trade themselves (a position of an earlier run, a close by the kill switch, a fill that was taken back) is shared out:
bought lots to the zones that sell nearest above the market, sold ones to those that buy nearest below it. This is also
how zones are built at a start, after a restart, and when the grid moves after the market.

Only the orders nearest to the market rest, ``resting`` on each side. That bounds the sends: at a venue that ends every
order after a minute, each costs one a minute. One that has ended is placed anew; when the budget is short, the nearest
first. Lines, sizes and what is held are integers, in ticks and lots.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, pairwise
from math import isqrt
from typing import Final, NamedTuple

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Number, Section, raise_all
from stall_then_strike.engine.context import Cloid, Context, MarketInfo, OrderFill, Strategy
from stall_then_strike.engine.strategy import Quote
from stall_then_strike.types.dto import NS_PER_S, Side
from stall_then_strike.types.instrument import Lots, Ticks

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_KEPT: Final = 1_000
"""Orders whose late fills still count to their zones."""


class Spacing(StrEnum):
    """How the lines divide the bounds."""

    ARITHMETIC = "arithmetic"
    """Equal steps."""
    GEOMETRIC = "geometric"
    """Equal ratios."""


class GridParameters(Section):
    """The grid's settings, in ``parameters:``."""

    lower: Number = Field(gt=0, description="lowest line, quote currency")
    upper: Number = Field(gt=0, description="highest line, quote currency")
    zones: int = Field(ge=1, le=500, description="zones between the bounds")
    spacing: Spacing = Field(
        default=Spacing.ARITHMETIC, strict=False, description="lines: arithmetic (equal steps) or geometric"
    )
    size: Number = Field(gt=0, description="size that a zone buys and sells, base currency")
    resting: int = Field(default=3, ge=1, le=20, description="orders that rest on each side, the nearest")
    rebuild_sec: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="time outside the bounds after which the grid moves to the market, seconds; 0: it waits",
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> GridParameters:
        if self.lower >= self.upper:
            raise_all([f"upper: {self.upper} is not above lower; accepted: above {self.lower}"])
        return self


def grid_lines(lower: Ticks, upper: Ticks, zones: int, spacing: Spacing) -> tuple[Ticks, ...]:
    """The lines from bound to bound, ``zones`` + 1 of them, each rounded to the nearest tick. Raises ValueError.

    Exact: a geometric line is the integer whose ``zones``-th power is nearest below the product of the bounds' powers.
    """
    if spacing is Spacing.ARITHMETIC:
        lines = [lower + (2 * (upper - lower) * number + zones) // (2 * zones) for number in range(zones + 1)]
    else:
        lines = [_root(lower ** (zones - number) * upper**number, zones) for number in range(zones + 1)]
    if any(line >= following for line, following in pairwise(lines)):
        raise ValueError(f"zones: {zones} between {lower} and {upper} ticks are under a tick; accepted: fewer")
    return tuple(Ticks(line) for line in lines)


def _root(value: int, degree: int) -> int:
    """The integer nearest to a root, by Newton's method from above."""
    scaled = value << degree  # of twice the root, so that its last bit rounds
    root = 1 << -(-scaled.bit_length() // degree)
    while True:
        following = ((degree - 1) * root + scaled // root ** (degree - 1)) // degree
        if following >= root:
            return (root + 1) // 2
        root = following


def moved(lower: Ticks, upper: Ticks, spacing: Spacing, mid: int) -> tuple[Ticks, Ticks]:
    """The bounds moved so that the market is in their middle: as far apart as before, or in the same ratio."""
    if spacing is Spacing.ARITHMETIC:
        low = max(1, mid - (upper - lower) // 2)
        return Ticks(low), Ticks(low + upper - lower)
    centre = isqrt(lower * upper)
    return Ticks(max(1, lower * mid // centre)), Ticks(upper * mid // centre)


@dataclass(slots=True)
class Zone:
    """Two lines, and what is held between them."""

    low: Ticks
    high: Ticks
    side: Side
    """Its side while it holds nothing."""
    held: int = 0
    """Signed lots: positive were bought at the lower line and are to be sold at the upper one."""
    cloid: Cloid | None = None
    """Its last order."""

    def line(self, side: Side) -> Ticks:
        """Where it buys or sells."""
        return self.low if side is _BUY else self.high


class Order(NamedTuple):
    """What a zone wants to rest."""

    number: int
    """The zone's."""
    side: Side
    price: Ticks
    size: Lots


def wanted(number: int, zone: Zone, size: Lots, market: MarketInfo, bid: int, ask: int) -> Order:
    """A zone's next order: what it holds turned round, or else its full size on its side.

    What it holds is offered at its line, or just behind the market if that has gone past the line meanwhile. A rest
    smaller than the venue's smallest order is carried along in the zone's next order.
    """
    if zone.held:
        side = _SELL if zone.held > 0 else _BUY
        price = Ticks(max(zone.high, bid + 1) if side is _SELL else min(zone.low, ask - 1))
        if abs(zone.held) >= market.least(price):
            return Order(number, side, price, Lots(abs(zone.held)))
    price = zone.line(zone.side)
    return Order(number, zone.side, price, Lots(max(market.least(price), size - zone.held * zone.side.sign)))


def nearest(orders: Sequence[Order], most: int) -> tuple[list[Order], list[Order]]:
    """The highest buys and the lowest sells, at most so many of each, the nearest to the market first."""
    buys = sorted([(-one.price, one) for one in orders if one.side is _BUY])
    sells = sorted([(one.price, one) for one in orders if one.side is _SELL])
    return [one for _, one in buys[:most]], [one for _, one in sells[:most]]


def share_out(zones: Sequence[Zone], lots: int, size: Lots, mid2: int) -> list[Zone]:
    """Give the zones what they did not trade themselves; returns those that were given something.

    Bought lots go to the zones that sell nearest above the market first, then to those below it; sold ones mirrored.
    Each takes up to ``size``, and what is too much for all goes to the first.
    """
    if not lots or not zones:
        return []
    sign = 1 if lots > 0 else -1
    ahead = [zone for zone in zones if (2 * zone.line(_SELL if sign > 0 else _BUY) - mid2) * sign > 0]
    behind = [zone for zone in zones if not any(zone is one for one in ahead)]
    order = [*ahead, *reversed(behind)] if sign > 0 else [*reversed(ahead), *behind]
    given, left = [], abs(lots)
    for zone in order:
        takes = min(left, max(0, size - zone.held * sign))
        if takes:
            zone.held += takes * sign
            left -= takes
            given.append(zone)
    if left:
        order[0].held += left * sign
        given.append(order[0])
    return given


class Grid(Strategy):
    """The grid as a strategy: its zones, and which order belongs to which."""

    Parameters = GridParameters

    def __init__(self, parameters: GridParameters) -> None:
        """Without zones until the start."""
        self.settings = parameters
        self.zones: list[Zone] = []
        self._lines: Sequence[Ticks] = ()
        self._bounds = (Ticks(0), Ticks(0))
        self._size = Lots(0)
        self._of: OrderedDict[Cloid, int] = OrderedDict()
        """The number of the zone of each order, also of those that ended lately."""
        self._outside_ns: int | None = None
        """Since when the market is outside the bounds."""
        self._seen: tuple[range, int, int, int, tuple[Cloid, ...]] | None = None
        """What decided what rests, when it was last decided: the zones at the market, what is held and ordered, and the
        orders."""
        self._prices = Ticks(0), Ticks(0)
        """Bid and ask then."""
        self._is_settled = False
        """Whether it stays decided while bid and ask move between two lines."""

    def check(self, market: MarketInfo) -> None:
        """Bounds on ticks, zones of a tick at least, and a size that the venue takes."""
        settings, unit = self.settings, market.instrument
        for key, price in (("lower", settings.lower), ("upper", settings.upper)):
            if market.round_price(price) != price:
                raise ValueError(f"{key}: {price} is off the tick; accepted: multiples of {market.tick_size:f}")
        least = unit.size(market.least(unit.to_ticks(settings.lower)))
        if market.round_size(settings.size) != settings.size or settings.size < least:
            step = f"multiples of {market.size_step:f}"
            raise ValueError(f"size: {settings.size} is no order; accepted: {step}, {least} or more")
        self._bounds = unit.to_ticks(settings.lower), unit.to_ticks(settings.upper)
        self._size = unit.to_lots(settings.size)
        grid_lines(*self._bounds, settings.zones, settings.spacing)

    # --- zones

    def initialize_zones(self, context: Context) -> None:
        """Zones around the market as it is, holding the position."""
        self._lines = grid_lines(*self._bounds, self.settings.zones, self.settings.spacing)
        mid2 = context.board.best_bid_price + context.board.best_ask_price
        self.zones = [Zone(low, high, _BUY if low + high <= mid2 else _SELL) for low, high in pairwise(self._lines)]
        self._of.clear()
        self._seen = None
        share_out(self.zones, context.holding.position, self._size, mid2)

    def on_order_filled(self, context: Context, fill: OrderFill) -> None:
        """Count a fill to its zone. The zone's next order turns it round."""
        number = self._of.get(fill.cloid)
        if number is not None:
            self.zones[number].held += context.market.instrument.to_lots(fill.size) * fill.side.sign

    def on_tick(self, context: Context) -> None:
        """Bring what rests to what is wanted."""
        if self._is_leaving(context):
            return
        held, quotes = context.holding, context.quotes
        prices = bid, ask = context.board.best_bid_price, context.board.best_ask_price
        seen = self._between(bid, ask), held.position, held.open_buy, held.open_sell, tuple(quotes)
        if seen == self._seen and (self._is_settled or prices == self._prices):
            return
        (last_bid, last_ask), last = (prices, seen) if self._seen is None else (self._prices, self._seen)
        self._prices, self._seen = prices, seen
        if strange := held.position - sum([zone.held for zone in self.zones]):
            for zone in share_out(self.zones, strange, self._size, bid + ask):
                self._take_back(context, zone)
        ended = [self._of[cloid] for cloid in (*last[-1], *seen[-1]) if cloid in self._of and cloid not in quotes]
        self._turn({*self._between(min(bid, last_bid), max(ask, last_ask)), *ended}, quotes, bid, ask)
        is_whole = self._turn_early(context, quotes, bid + ask)
        self._is_settled = self._place(context, quotes, bid, ask) and is_whole

    # --- orders

    def _between(self, bid: Ticks, ask: Ticks) -> range:
        """The zones that are neither wholly below the bid nor wholly above the ask."""
        lines = self._lines
        return range(max(0, bisect_right(lines, bid) - 1), min(len(self.zones), bisect_left(lines, ask)))

    def _turn(self, numbers: Iterable[int], quotes: Mapping[Cloid, Quote], bid: Ticks, ask: Ticks) -> None:
        """Change the side of zones that the market has passed. A zone with an order waits for its end."""
        for number in numbers:
            zone = self.zones[number]
            if zone.cloid in quotes:
                continue
            if ask <= zone.low:
                zone.side = _SELL
            elif bid >= zone.high:
                zone.side = _BUY

    def _turn_early(self, context: Context, quotes: Mapping[Cloid, Quote], mid2: int) -> bool:
        """Take back the rest of a partly filled order once the market is nearer to where its fill is turned round.

        Returns whether there is no such rest.
        """
        is_whole = True
        for cloid, quote in tuple(quotes.items()):
            zone, sign = self.zones[self._of[cloid]], quote.side.sign
            if zone.held * sign >= context.market.least(zone.low):
                is_whole = False
                if (mid2 - zone.low - zone.high) * sign > 0:
                    context.cancel_order(cloid)
        return is_whole

    def _place(self, context: Context, quotes: Mapping[Cloid, Quote], bid: Ticks, ask: Ticks) -> bool:
        """Take back what is no longer among the nearest, and place what is missing, the nearest first.

        Returns whether nothing was placed and every order that waits for its turn has its line as its price.
        """
        # One more is kept than is placed: a market that goes to and fro across a line must not cost cancels.
        most = self.settings.resting + 1
        live = [Order(self._of[cloid], quote.side, quote.price, quote.size) for cloid, quote in quotes.items()]
        free = self._turned(context.market, quotes, ask, most)
        near = self._between(bid, ask)
        free += islice(self._idle(range(near.start, len(self.zones)), _SELL, quotes), most)
        free += islice(self._idle(range(near.stop - 1, -1, -1), _BUY, quotes), most)
        new = [wanted(number, self.zones[number], self._size, context.market, bid, ask) for number in free]
        off = [order for order in new if order.price != self.zones[order.number].line(order.side)]
        new = [order for order in new if (order.price < ask if order.side is _BUY else order.price > bid)]
        buys, sells = nearest([*live, *new], most)
        for order in live:
            if order not in (buys if order.side is _BUY else sells):
                self._take_back(context, self.zones[order.number])
        missing = [order for order in (*buys[: most - 1], *sells[: most - 1]) if order in new]
        is_placed = False
        for order in sorted(missing, key=lambda one: abs(2 * one.price - bid - ask)):
            zone = self.zones[order.number]
            zone.cloid = context.place(order.side, order.price, order.size)
            if zone.cloid is not None:
                is_placed = True
                self._of[zone.cloid] = order.number
        while len(self._of) > _KEPT and next(iter(self._of)) not in quotes:
            self._of.popitem(last=False)
        return not is_placed and self._stays(context, live, off)

    def _stays(self, context: Context, live: Iterable[Order], off: Sequence[Order]) -> bool:
        """Whether nothing can be placed while bid and ask move between two lines, though some orders move with them.

        Those that wait ``off`` their lines, just behind the market, must be without room, and must not pass live ones.
        """
        if not off:
            return True
        if context.market.min_notional or any(order.size <= context.room_lots(order.side) for order in off):
            return False
        return all(order.price == self.zones[order.number].line(order.side) for order in live)

    def _turned(self, market: MarketInfo, quotes: Mapping[Cloid, Quote], ask: Ticks, most: int) -> list[int]:
        """The zones without an order that turn round what they hold: at least those nearest to the market.

        Their sells are the nearer the lower they are. So are their buys the higher they are, but those that the market
        has fallen past share one price, and the lowest of them come first.
        """
        held = [number for number, zone in enumerate(self.zones) if zone.held and zone.cloid not in quotes]
        least = market.instrument.min_size
        if market.min_notional or len(held) <= most:
            return held
        bought: list[int] = []
        sold: list[int] = []
        rests: list[int] = []
        for number in held:
            lots = self.zones[number].held
            (bought if lots >= least else sold if -lots >= least else rests).append(number)
        passed = bisect_left(sold, bisect_left(self._lines, ask - 1))
        return [*bought[:most], *[*sold[passed:], *reversed(sold[:passed])][:most], *rests]

    def _idle(self, numbers: Iterable[int], side: Side, quotes: Mapping[Cloid, Quote]) -> Iterator[int]:
        """Those of these zones that begin with a side: they hold nothing and have no order."""
        for number in numbers:
            zone = self.zones[number]
            if zone.side is side and not zone.held and zone.cloid not in quotes:
                yield number

    @staticmethod
    def _take_back(context: Context, zone: Zone) -> None:
        if zone.cloid is not None:
            context.cancel_order(zone.cloid)

    def _is_leaving(self, context: Context) -> bool:
        """Whether the grid is moving to a market that has left it: all orders end first."""
        bid, ask = context.board.best_bid_price, context.board.best_ask_price
        low, high = self._bounds
        if (low < ask and bid < high) or not self.settings.rebuild_sec:
            self._outside_ns = None
            return False
        if self._outside_ns is None:
            self._outside_ns = context.now_ns
        due_ns = self._outside_ns + self.settings.rebuild_sec * NS_PER_S
        if context.now_ns < due_ns:
            context.wake_at(due_ns)
            return False
        context.cancel_all()
        if context.quotes:
            return True
        self._bounds = moved(low, high, self.settings.spacing, (bid + ask) // 2)
        self._outside_ns = None
        self.initialize_zones(context)
        return False

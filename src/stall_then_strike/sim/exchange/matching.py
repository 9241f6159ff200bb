"""Price-time-priority matching of one product, as a pure data structure.

It knows no clock, no randomness, no wire and no account. An order carries its owner's name and, if it has one, its
expiry time; the caller gives the current time. Trading is continuous, or orders are collected for an auction: then
nothing matches until :meth:`MatchingEngine.uncross`, market orders wait beside the book, and IOC and FOK orders expire
at once.

Invariants (checked by a hypothesis machine in the tests):

- the book is never crossed or locked after a call returns, except while orders are collected for an auction;
- a trade happens at the resting order's price, best price first, oldest order first within a price;
- size is conserved: submitted = traded + resting + cancelled, exactly, in lots;
- IOC, FOK and MARKET never rest in the book; FOK trades all of its size or none;
- an auction trades at one price, market orders first, then by price and time.

Venue facts: time in force GTC, IOC and FOK, MARKET without a price; in an auction market orders count as simultaneous
(bitFlyer API and circuit-breaker documentation). Rules that depend on the accounts behind the orders (self-trades,
margin, orders that may only reduce) belong to a :class:`Referee`, which a venue may send along with an order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from stall_then_strike.sim.exchange.auction import clearing_price
from stall_then_strike.sim.exchange.book_side import BookSide, Order, Owner
from stall_then_strike.sim.exchange.source import Level
from stall_then_strike.types.dto import OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One match, at the resting (maker's) order's price. In an auction it has the auction's price and the buyer as
    taker."""

    price: Ticks
    size: Lots
    taker_side: Side | None
    """None in an auction."""
    maker_id: OrderId
    maker_owner: Owner
    taker_id: OrderId
    taker_owner: Owner
    taker_remaining: Lots


@unique
class Fate(Enum):
    """What became of a submitted order."""

    FILLED = "filled"
    RESTING = "resting"
    """All or part of it is in the book."""
    EXPIRED = "expired"
    """All or part of it could not trade and may not rest (IOC, FOK, MARKET)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The engine's answer to an order. ``remaining`` is the size that rests or, when EXPIRED, that stayed unfilled."""

    fate: Fate
    trades: tuple[Trade, ...]
    remaining: Lots


class Ruling(NamedTuple):
    """What a referee says of the next match: so many lots trade, then the rest of the maker may have to leave.

    No lots and no leaving maker ends the taker's matching. ``is_void``: the lots leave both orders without a trade.
    """

    lots: int
    drops_maker: bool = False
    is_void: bool = False


class Referee(Protocol):
    """The venue's judgement of each match of one order, asked before it happens and told after it."""

    def rule(self, maker: Order, lots: Lots) -> Ruling:
        """How many of at most ``lots`` trade with that maker. Must not touch the book."""
        ...

    def settle(self, trade: Trade) -> None:
        """The match happened."""
        ...

    def dropped(self, maker: Order) -> None:
        """The maker left the book as the ruling said, or was voided to nothing; ``remaining`` is what it had left."""
        ...


class MatchingEngine:
    """The book of one product and the rules by which it trades."""

    def __init__(self) -> None:
        """Start with an empty book."""
        self._bids = BookSide(1)
        self._asks = BookSide(-1)
        self._orders: dict[OrderId, Order] = {}
        self._expiries: list[tuple[int, OrderId]] = []
        self._is_auction = False

    # --- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of resting orders."""
        return len(self._orders)

    def __contains__(self, order_id: object) -> bool:
        """Whether an order rests."""
        return order_id in self._orders

    def order(self, order_id: OrderId) -> Order | None:
        """The resting order with that id; None when there is none."""
        return self._orders.get(order_id)

    def best(self, side: Side) -> Level | None:
        """Best price of a side and its total size; None when the side is empty. BUY is the bid side."""
        book = self._side(side)
        if not book.keys:
            return None
        key = book.keys[-1]
        return Ticks(book.sign * key), Lots(book.levels[key].total)

    def best_price(self, side: Side) -> Ticks | None:
        """Best price of a side."""
        book = self._side(side)
        return Ticks(book.sign * book.keys[-1]) if book.keys else None

    def depth(self, side: Side, limit: int | None = None) -> list[Level]:
        """Levels of a side, best first, at most ``limit``."""
        return self._side(side).top(limit)

    def total(self, side: Side) -> Lots:
        """Size resting on a side."""
        return Lots(self._side(side).total)

    def waiting(self, side: Side) -> Lots:
        """Size of the market orders waiting for an auction."""
        return Lots(self._side(side).waiting_total())

    def waiting_orders(self, side: Side) -> Iterator[Order]:
        """The market orders waiting for an auction, oldest first."""
        return iter(self._side(side).waiting.values())

    @property
    def is_auction(self) -> bool:
        """Whether orders are collected for an auction."""
        return self._is_auction

    def resting(self, side: Side) -> Iterator[Order]:
        """Orders of a side by priority: best price first, oldest first within a price. Do not trade while iterating."""
        book = self._side(side)
        for key in reversed(book.keys):
            yield from book.levels[key].orders.values()

    # --- writing --------------------------------------------------------------------------------------------------

    def submit(
        self,
        *,
        order_id: OrderId,
        owner: Owner,
        side: Side,
        size: Lots,
        price: Ticks | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        expires_ns: int | None = None,
        referee: Referee | None = None,
    ) -> Submitted:
        """Match an order; the remainder of a GTC limit order rests. ``price`` None means MARKET, which never rests.

        A ``referee`` judges each match of this order; an order that it stops never rests. It knows no auctions and no
        FOK orders. Raises ValueError for a size or price that is not positive, and for an id that is resting already.
        """
        if size <= 0 or (price is not None and price <= 0):
            raise ValueError(f"order {order_id}: size and price must be positive, got {size} at {price}")
        if order_id in self._orders:
            raise ValueError(f"order {order_id} already rests")
        if self._is_auction:
            return self._collect(order_id, owner, side, size, price, time_in_force, expires_ns)
        opposite = self._asks if side is Side.BUY else self._bids
        worst_key = None if price is None else opposite.sign * price
        if time_in_force is TimeInForce.FOK and opposite.available(worst_key, size) < size:
            return Submitted(fate=Fate.EXPIRED, trades=(), remaining=size)
        is_stopped = False
        if referee is None:
            trades = self._match(opposite, worst_key, order_id, owner, side, size)
            left = Lots(trades[-1].taker_remaining if trades else size)
        else:
            trades, left, is_stopped = self._match_judged(opposite, worst_key, order_id, owner, side, size, referee)
        if not left:
            return Submitted(fate=Fate.FILLED, trades=trades, remaining=left)
        if is_stopped or price is None or time_in_force is not TimeInForce.GTC:
            return Submitted(fate=Fate.EXPIRED, trades=trades, remaining=left)
        order = self._name(order_id, owner, side, price, size, expires_ns)
        order.remaining = left
        self._side(side).add(order)
        return Submitted(fate=Fate.RESTING, trades=trades, remaining=left)

    def cancel(self, order_id: OrderId) -> Order | None:
        """Remove an order and return it as it stood; None when it is not resting (filled, expired, unknown)."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return None
        remaining = order.remaining
        self._side(order.side).shrink(order, remaining)
        order.remaining = remaining
        return order

    def begin_auction(self) -> None:
        """Collect orders from now on; nothing trades until :meth:`uncross`."""
        self._is_auction = True

    def uncross(self, reference: Ticks) -> tuple[tuple[Trade, ...], list[Order]]:
        """Hold the auction and return to continuous trading.

        Returns the trades, all at one price, and the unfilled market orders, which are removed. ``reference`` decides
        between equally good prices.
        """
        self._is_auction = False
        price = clearing_price(
            self._bids.top(None), self._asks.top(None), self.waiting(Side.BUY), self.waiting(Side.SELL), reference
        )
        trades = [] if price is None else self._pair(price)
        left = [*self._bids.waiting.values(), *self._asks.waiting.values()]
        for order in left:
            self.cancel(order.order_id)
        return tuple(trades), left

    def next_expiry_ns(self) -> int | None:
        """When :meth:`expire` should be called next; None when no order expires."""
        return self._expiries[0][0] if self._expiries else None

    def expire(self, now_ns: int) -> list[Order]:
        """Remove the expired orders and return them as they stood, earliest expiry first."""
        gone: list[Order] = []
        while self._expiries and self._expiries[0][0] <= now_ns:
            expires_ns, order_id = heappop(self._expiries)
            order = self._orders.get(order_id)
            # An id may have been reused after a fill; the entry is valid only for the order that it was made for.
            if order is not None and order.expires_ns == expires_ns:
                self.cancel(order_id)
                gone.append(order)
        return gone

    def drain_changes(self) -> tuple[list[Level], list[Level]]:
        """Levels (bids, asks) changed since the last call, with their current size; zero when the level is gone.

        A level that came and went in between is reported as gone although it was never shown, and a level that returned
        to its old size is reported too: bitFlyer's deltas contain both (3 % and 2 % of entries, measured).
        """
        return self._bids.drain(), self._asks.drain()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _name(
        self, order_id: OrderId, owner: Owner, side: Side, price: Ticks, size: Lots, expires_ns: int | None
    ) -> Order:
        """Register an order and its expiry."""
        order = self._orders[order_id] = Order(order_id, owner, side, price, size, expires_ns)
        if expires_ns is not None:
            heappush(self._expiries, (expires_ns, order_id))
        return order

    def _collect(
        self,
        order_id: OrderId,
        owner: Owner,
        side: Side,
        size: Lots,
        price: Ticks | None,
        time_in_force: TimeInForce,
        expires_ns: int | None,
    ) -> Submitted:
        if time_in_force is not TimeInForce.GTC:
            return Submitted(fate=Fate.EXPIRED, trades=(), remaining=size)
        order = self._name(order_id, owner, side, Ticks(0) if price is None else price, size, expires_ns)
        if price is None:
            self._side(side).wait(order)
        else:
            self._side(side).add(order)
        return Submitted(fate=Fate.RESTING, trades=(), remaining=size)

    def _pair(self, price: Ticks) -> list[Trade]:
        """Match everything that trades at the auction's price, buyers and sellers each by priority."""
        trades: list[Trade] = []
        buyers, sellers = iter(self._bids.queue(price)), iter(self._asks.queue(-price))
        buyer, seller = next(buyers, None), next(sellers, None)
        while buyer is not None and seller is not None:
            lots = min(buyer.remaining, seller.remaining)
            self._bids.shrink(buyer, lots)
            self._asks.shrink(seller, lots)
            trades.append(
                Trade(
                    price=price,
                    size=Lots(lots),
                    taker_side=None,
                    maker_id=seller.order_id,
                    maker_owner=seller.owner,
                    taker_id=buyer.order_id,
                    taker_owner=buyer.owner,
                    taker_remaining=buyer.remaining,
                )
            )
            if not buyer.remaining:
                del self._orders[buyer.order_id]
                buyer = next(buyers, None)
            if not seller.remaining:
                del self._orders[seller.order_id]
                seller = next(sellers, None)
        return trades

    def _side(self, side: Side) -> BookSide:
        return self._bids if side is Side.BUY else self._asks

    def _match(
        self, opposite: BookSide, worst_key: int | None, taker_id: OrderId, owner: Owner, side: Side, size: int
    ) -> tuple[Trade, ...]:
        trades: list[Trade] = []
        left = size
        while (maker := _front(opposite, worst_key)) is not None and left:
            lots = min(left, maker.remaining)
            left -= lots
            trades.append(self._trade(opposite, maker, taker_id, owner, side, lots, left))
        return tuple(trades)

    def _match_judged(
        self,
        opposite: BookSide,
        worst_key: int | None,
        taker_id: OrderId,
        owner: Owner,
        side: Side,
        size: int,
        referee: Referee,
    ) -> tuple[tuple[Trade, ...], Lots, bool]:
        """The trades that the referee allows, what is left of the taker, and whether the referee stopped it."""
        trades: list[Trade] = []
        left = size
        while (maker := _front(opposite, worst_key)) is not None and left:
            lots, drops_maker, is_void = referee.rule(maker, Lots(min(left, maker.remaining)))
            if lots > 0 and is_void:
                left -= lots
                drops_maker = drops_maker or lots >= maker.remaining
                if not drops_maker:
                    opposite.shrink(maker, lots)
            elif lots > 0:
                left -= lots
                trade = self._trade(opposite, maker, taker_id, owner, side, lots, left)
                trades.append(trade)
                referee.settle(trade)
            if drops_maker and self.cancel(maker.order_id) is not None:
                referee.dropped(maker)
            elif lots <= 0:
                return tuple(trades), Lots(left), True
        return tuple(trades), Lots(left), False

    def _trade(
        self, opposite: BookSide, maker: Order, taker_id: OrderId, owner: Owner, side: Side, lots: int, left: int
    ) -> Trade:
        opposite.shrink(maker, lots)
        if not maker.remaining:
            del self._orders[maker.order_id]
        return Trade(
            price=maker.price,
            size=Lots(lots),
            taker_side=side,
            maker_id=maker.order_id,
            maker_owner=maker.owner,
            taker_id=taker_id,
            taker_owner=owner,
            taker_remaining=Lots(left),
        )


def _front(side: BookSide, worst_key: int | None) -> Order | None:
    """The first order that trades at ``worst_key`` or better."""
    if not side.keys or (worst_key is not None and side.keys[-1] < worst_key):
        return None
    return next(iter(side.levels[side.keys[-1]].orders.values()))

"""A strategy's wish made true: its quotes are compared by key with what is live, then sent and cancelled.

This is the only caller of the strategy and the only place that sends quotes. What a key means is told in `strategy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from stall_then_strike.engine.acting.dispatch import Dispatch
from stall_then_strike.engine.acting.exits import Exits
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Order, Orders
from stall_then_strike.engine.strategy import Holding, LiveQuote, Market, Quote, Strategy, Wish
from stall_then_strike.engine.venue.budget import NEVER_NS, Budget
from stall_then_strike.types.dto import NS_PER_MS, Reason, Side
from stall_then_strike.types.instrument import NO_PRICE, Instrument, Lots

_BUY: Final = Side.BUY
_new: Final = tuple.__new__
"""Builds a `Holding` and a `LiveQuote` faster than calling the class does."""
_NO_WISH: Final = Wish((), Reason.QUOTING)
_NO_HOLDING: Final = Holding(Lots(0), 0, 0, 0, (), 0, 0, may_close=False)


class Quoting:
    """Owner of the strategy, of its last wish, and of the keys that were sent."""

    def __init__(
        self,
        strategy: Strategy,
        instrument: Instrument,
        budget: Budget,
        dispatch: Dispatch,
        exits: Exits,
        orders: Orders,
        inventory: InventoryManager,
        is_ghost: Callable[[Order, int], bool] | None,
    ) -> None:
        """``is_ghost`` tells which live orders have most probably ended; None if no order can be in doubt.

        They count as exposure but not as quotes; otherwise one lost acknowledgement would stop quoting for two minutes.
        """
        self.strategy = strategy
        self.deadline_ns = NEVER_NS
        """When the last wish can change without an event."""
        self.room_ns = 0
        """When the budget allows the new quotes of the last wish."""
        self.is_true = False
        """Whether what is live is what was wished, so that there is nothing to carry out."""
        self._min_size = instrument.min_size
        self.retune()
        self._budget, self._dispatch, self._exits = budget, dispatch, exits
        self._orders, self._inventory = orders, inventory
        self._is_ghost = is_ghost
        self._last_key = 0
        self._wished: tuple[Quote, ...] = ()
        """The quotes of the last wish that was carried out."""
        self._wished_keys: set[int] = set()
        self._part = itemgetter(1, 2, 3, 4, 5, 6) if strategy.sees_sizes else itemgetter(1, 3, 5, 6)
        """What of the market a wish depends on: never its stamp."""
        self._wish = _NO_WISH
        """The last wish, and what it was an answer to: that part of the market, the holding and the gate."""
        self._seen: tuple[int, ...] = ()
        self._held = _NO_HOLDING
        self._gate: Reason | None = None
        self._stands_until_ns = 0
        """Until when the last wish need not be asked for again if nothing of that has changed; 0: at the next step."""
        self._exposed: tuple[int, int, tuple[LiveQuote, ...]] = (0, 0, ())
        self._orders_at = -1
        """The count of the orders' changes at which that was added up; -1: it has to be added up anew."""
        self._is_loose = False
        """Whether a quote is live that the last wish did not name: one that was thought to have ended."""

    def retune(self) -> None:
        """The strategy's sizes may have changed, and what it wishes."""
        self._batch, self._size = self.strategy.batch, self.strategy.size
        self.ask_anew()

    def ask_anew(self) -> None:
        """The strategy was told something: its last wish may not stand any more."""
        self._stands_until_ns = 0

    @property
    def wished(self) -> tuple[Quote, ...]:
        """The quotes that are wanted on the book."""
        return self._wished

    # --- asking

    def ask(self, market: Market, gate: Reason | None, now_ns: int, may_close: bool) -> Wish:
        """The strategy's wish. Raises whatever the strategy raises, and ValueError for a wish that cannot be true.

        The strategy is not asked while its last wish is true and all that it sees is as it was then: the best prices,
        their sizes if it sees them, the holding, the budget and the gate. The wish then stands until its time has come.
        """
        if self._orders.changes != self._orders_at:
            self._exposed = self._exposure(now_ns)
        open_buy, open_sell, quotes = self._exposed
        inventory = self._inventory
        budget_ns = self._budget.strike_at_ns(now_ns, self._batch, self._size)
        if budget_ns <= now_ns:
            budget_ns = 0
        held = (inventory.position, inventory.basis, open_buy, open_sell, quotes, self._last_key, budget_ns, may_close)
        seen, holds_the_same = self._part(market), held == self._held
        if (
            now_ns < self._stands_until_ns
            and seen == self._seen
            and holds_the_same
            and gate is self._gate
            and not self._is_loose
        ):
            return self._wish
        self._stands_until_ns = 0
        if not holds_the_same:
            self._held = _new(Holding, held)
        wish = self.strategy.on_event(market, self._held, gate, now_ns)
        wanted, reason, flatten, until_ns = wish
        if type(reason) is not Reason:
            raise ValueError(f"{reason!r} is no reason")
        self.deadline_ns = until_ns if until_ns > now_ns else NEVER_NS
        if wanted is not self._wished:
            self._look_at(wanted, now_ns)
            self.is_true = False
        else:
            self.room_ns = 0
            self.is_true = not (flatten or self._is_loose or (gate is not None and wanted))
            if self.is_true:
                self._stands_until_ns = until_ns
                self._wish, self._seen, self._gate = wish, seen, gate
        return wish

    def _exposure(self, now_ns: int) -> tuple[int, int, tuple[LiveQuote, ...]]:
        """The remaining lots of our live buys and sells, and the live quotes."""
        open_buy = open_sell = 0
        quotes: list[LiveQuote] = []
        self._is_loose, self._orders_at = False, self._orders.changes
        for order in self._orders.live():
            remaining = order.remaining
            if order.side is _BUY:
                open_buy += remaining
            else:
                open_sell += remaining
            if order.absences and self._is_ghost is not None:
                self._orders_at = -1  # whether it is a ghost depends on the time
            is_ending = order.cancel_reason is not None
            if order.is_quote and not self._has_ended(order, now_ns):
                live = (order.key, order.side, order.price or NO_PRICE, remaining, is_ending)
                quotes.append(_new(LiveQuote, live))
                self._is_loose = self._is_loose or not (is_ending or order.key in self._wished_keys)
        return open_buy, open_sell, tuple(quotes)

    def _has_ended(self, order: Order, now_ns: int) -> bool:
        return self._is_ghost is not None and self._is_ghost(order, now_ns)

    def _look_at(self, quotes: tuple[Quote, ...], now_ns: int) -> None:
        """Check the new quotes, and when there is room for them. Raises ValueError for a mistake of the strategy."""
        before = self._last_key
        sizes: list[Lots] = []
        for quote in quotes:
            if quote.key <= self._last_key:
                continue
            if quote.key <= before:
                raise ValueError(f"the key of a new quote is {quote.key}, which does not count up from {before}")
            before = quote.key
            if quote.size:
                is_order = {type(quote.size), type(quote.price)} == {int} and type(quote.side) is Side
                if not is_order or quote.size < self._min_size or quote.price <= 0:
                    raise ValueError(f"no order can be {quote}")
                sizes.append(quote.size)
        self.room_ns = self._room_ns(sizes, now_ns) if sizes else 0

    def _room_ns(self, sizes: Sequence[Lots], now_ns: int) -> int:
        """When new quotes of these sizes may be sent: all of them, or the first."""
        return self._budget.strike_at_ns(now_ns, len(sizes) if self.strategy.together else 1, min(sizes))

    # --- acting

    def carry_out(self, wish: Wish, gate: Reason | None, now_ns: int) -> Reason | None:
        """Cancel the quotes that are live and not wanted, send those that are wanted and new.

        Returns why nothing was done, or None if something was. A quote and the one that replaces it may be live
        together until the venue confirms the cancel.
        """
        quotes = () if gate is not None or wish.flatten else tuple(wish.quotes)
        reason = gate or wish.reason
        if quotes == self._wished and not self._is_loose:
            return reason
        is_idle = not (self._orders.any_live and self._cancel_all_but(quotes, reason, now_ns))
        new = [quote for quote in quotes if quote.key > self._last_key]
        if new and now_ns < self.room_ns:
            return Reason.BUDGET if is_idle else None
        if new and not self.strategy.together:
            new, rest = self._split(new, now_ns)
            if rest:
                quotes = tuple(quote for quote in quotes if quote not in rest)
            reason = reason if new else Reason.BUDGET
        self._wished, self._wished_keys, self._orders_at = quotes, {quote.key for quote in quotes}, -1
        if new:
            self._last_key = new[-1].key
            self._dispatch.quote(new, self.strategy, reason)
            is_idle = False
        return reason if is_idle else None

    def _split(self, new: list[Quote], now_ns: int) -> tuple[list[Quote], list[Quote]]:
        """New quotes that can be sent now, and the rest, for which the next deadline is set."""
        count = self._budget.sendable(now_ns, len(new), min(quote.size for quote in new))
        sent, rest = new[:count], new[count:]
        if rest:
            self.room_ns = max(now_ns + NS_PER_MS, self._room_ns([quote.size for quote in rest], now_ns))
        return sent, rest

    def _cancel_all_but(self, quotes: tuple[Quote, ...], reason: Reason, now_ns: int) -> bool:
        """Cancel the live quotes that are not among these, with the same terms. Returns whether there were any."""
        wanted = {(quote.key, quote.side, quote.price, quote.size) for quote in quotes}
        unwanted = [
            order
            for order in self._orders.quotes()
            if order.cancel_reason is None and (order.key, order.side, order.price, order.size) not in wanted
        ]
        if all(self._has_ended(order, now_ns) for order in unwanted):
            return False
        actions = self._exits.cancel_quotes(reason, now_ns, unwanted)
        self._dispatch.decision("cancel", reason, actions)
        return True

"""Strike when the best stands still.

``decide`` is the whole strategy: one pure function over plain integers and NamedTuples, so that research can compile
it and there is never a second copy of the rules. ``StallThenStrikeStrategy`` feeds it with the daemon's state and turns
its verdict into actions.

Exits are asked before gates: a reverse move closes, then whatever ends a quote cancels it, and only then may a new
strike be considered. Every refusal carries the first gate that refused. bitFlyer has no post-only, so both prices are
clamped to where they cannot take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from stall_then_strike.config.models import QuoteMode, StallStrategyConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.lull import Lull, Passing
from stall_then_strike.engine.orders import Order, Orders
from stall_then_strike.engine.venue.budget import NEVER_NS, Budget
from stall_then_strike.types.dto import (
    NS_PER_MS,
    BoardSnapshot,
    BookStatus,
    ClientOrderId,
    PlaceLimit,
    Reason,
    Side,
)
from stall_then_strike.types.instrument import Instrument, Ticks

STALL_TAG: Final = "stall"

# Moves of a verdict, as plain integers for the compiler.
HOLD: Final = 0
STRIKE: Final = 1
CANCEL: Final = 2
CLOSE: Final = 3

MODE_MID: Final = 0
MODE_INSIDE: Final = 1
MODE_JOIN: Final = 2
_MODES: Final = {QuoteMode.MID: MODE_MID, QuoteMode.INSIDE: MODE_INSIDE, QuoteMode.JOIN: MODE_JOIN}

# Enum members resolved once: the function below is called for every board message.
_OK: Final = int(BookStatus.OK)
_SUSPECT: Final = int(BookStatus.SUSPECT)
_STALE: Final = int(BookStatus.STALE)
_BOOK_UNKNOWN: Final = int(Reason.BOOK_UNKNOWN)
_BOOK_SUSPECT: Final = int(Reason.BOOK_SUSPECT)
_BOOK_STALE: Final = int(Reason.BOOK_STALE)
_BUDGET: Final = int(Reason.BUDGET)
_POSITION_LIMIT: Final = int(Reason.POSITION_LIMIT)
_QUOTING: Final = int(Reason.QUOTING)
_SPREAD: Final = int(Reason.SPREAD)
_STALL_IMMATURE: Final = int(Reason.STALL_IMMATURE)
_STRIKE: Final = int(Reason.STRIKE)
_TTL: Final = int(Reason.TTL)
_BEST_MOVED: Final = int(Reason.BEST_MOVED)
_REVERSE: Final = int(Reason.REVERSE)
_OF_THE_BOOK: Final = frozenset({_BOOK_UNKNOWN, _BOOK_SUSPECT, _BOOK_STALE})


class StallParams(NamedTuple):
    """The strategy's settings in engine units."""

    stall_ns: int
    ttl_ns: int
    stale_ns: int
    min_spread: int
    max_reverse: int
    size: int
    max_inventory: int
    min_size: int
    mode: int
    offset: int


class Situation(NamedTuple):
    """All that a decision depends on, in ticks, lots, money units and nanoseconds."""

    now_ns: int
    gate: int
    """A reason outside the strategy that forbids quotes (halted, venue, quiet time ...), or 0."""
    may_close: int
    """1 unless a closing is under way or nothing may be started any more."""
    book: int
    """A :class:`BookStatus`: STALE where what came had waited. How old the last board is, is judged here."""
    board_ns: int
    best_since_ns: int
    bid: int
    ask: int
    strike_at_ns: int
    """When the budget allows the next strike."""
    position: int
    basis: int
    open_buy: int
    """Live buy orders of ours, in lots, counted as if filled; ``open_sell`` alike."""
    open_sell: int
    quotes: int
    """Live quotes of ours."""
    cancelling: int
    """How many of them have a cancel wanted or under way."""
    struck_ns: int
    struck_bid: int
    """The best at the strike; ``struck_ask`` alike."""
    struck_ask: int


_situation: Final = tuple.__new__
"""What the class does, by the shortest way: one is made at every step."""


class Verdict(NamedTuple):
    """What to do, why, and the two prices of a strike (0: not on that side)."""

    move: int
    reason: int
    bid: int
    ask: int


def decide(p: StallParams, s: Situation) -> Verdict:  # noqa: C901 - all rules in one piece: it is compiled as such
    """Decide. Pure, integer-only, no allocation beyond the answer."""
    book = 0
    if s.book == _SUSPECT:
        book = _BOOK_SUSPECT
    elif s.book == _STALE or (s.book == _OK and s.now_ns - s.board_ns >= p.stale_ns):
        book = _BOOK_STALE
    elif s.book != _OK:
        book = _BOOK_UNKNOWN

    # The way out of a position. Doubled, so that a mid between two ticks stays whole.
    if s.may_close != 0 and book == 0 and abs(s.position) >= p.min_size:
        lost2 = 2 * s.basis - s.position * (s.bid + s.ask)
        if lost2 >= 2 * p.max_reverse * abs(s.position):
            return Verdict(CLOSE, _REVERSE, 0, 0)

    # The ways out of a quote.
    if s.quotes > s.cancelling:
        if s.gate != 0:
            return Verdict(CANCEL, s.gate, 0, 0)
        if book != 0:
            return Verdict(CANCEL, book, 0, 0)
        if s.now_ns - s.struck_ns >= p.ttl_ns:
            return Verdict(CANCEL, _TTL, 0, 0)
        if s.bid != s.struck_bid or s.ask != s.struck_ask:
            return Verdict(CANCEL, _BEST_MOVED, 0, 0)

    # The gates, in order.
    if s.gate != 0:
        return Verdict(HOLD, s.gate, 0, 0)
    if book != 0:
        return Verdict(HOLD, book, 0, 0)
    if s.now_ns < s.strike_at_ns:
        return Verdict(HOLD, _BUDGET, 0, 0)
    may_buy = s.position + s.open_buy + p.size <= p.max_inventory
    may_sell = s.open_sell - s.position + p.size <= p.max_inventory
    if not may_buy and not may_sell:
        return Verdict(HOLD, _POSITION_LIMIT, 0, 0)
    if s.quotes != 0:
        return Verdict(HOLD, _QUOTING, 0, 0)
    if s.ask - s.bid < p.min_spread:
        return Verdict(HOLD, _SPREAD, 0, 0)
    if s.now_ns - s.best_since_ns < p.stall_ns:
        return Verdict(HOLD, _STALL_IMMATURE, 0, 0)

    if p.mode == MODE_MID:
        bid = (s.bid + s.ask) // 2 - p.offset
        ask = (s.bid + s.ask + 1) // 2 + p.offset
    elif p.mode == MODE_INSIDE:
        bid = s.bid + p.offset
        ask = s.ask - p.offset
    else:
        bid = s.bid
        ask = s.ask
    bid = min(bid, s.ask - 1)
    ask = max(ask, s.bid + 1)
    if bid >= ask or bid <= 0:
        # Our two sides would meet each other: the venue refuses that (-159), and we never want it.
        return Verdict(HOLD, _SPREAD, 0, 0)
    return Verdict(STRIKE, _STRIKE, bid if may_buy else 0, ask if may_sell else 0)


class StallThenStrikeStrategy:
    """The strategy with its memory: when and against which best the present quotes were sent."""

    def __init__(
        self,
        cfg: StallStrategyConfig,
        instrument: Instrument,
        *,
        inventory: InventoryManager,
        orders: Orders,
        budget: Budget,
        is_ghost: Callable[[Order, int], bool] | None = None,
    ) -> None:
        """Read the position, the orders and the budget from their owners; change none of them.

        ``is_ghost`` tells which orders in doubt most likely do not exist: they count as exposure, but not as a strike
        under way, or one lost answer would end quoting for two minutes.
        """
        self.params = StallParams(
            stall_ns=cfg.stall_T_ms * NS_PER_MS,
            ttl_ns=cfg.ttl_ms * NS_PER_MS,
            stale_ns=cfg.stale_ms * NS_PER_MS,
            min_spread=cfg.min_spread_tick,
            max_reverse=cfg.max_reverse_ticks,
            size=instrument.to_lots(cfg.size_min),
            max_inventory=instrument.to_lots(cfg.max_inventory_btc),
            min_size=instrument.min_size,
            mode=_MODES[cfg.quote_mode],
            offset=cfg.quote_offset_ticks,
        )
        self.size = instrument.to_lots(cfg.size_min)
        self._ttl_ms = cfg.ttl_ms
        self._inventory = inventory
        self._orders = orders
        self._budget = budget
        self._is_ghost = is_ghost
        self._struck_ns = 0
        self._struck_bid = 0
        self._struck_ask = 0
        self._situation: Situation | None = None

    def on_board(self, board: BoardSnapshot, now_ns: int, gate: Reason | None, *, may_close: bool) -> Verdict:
        """Decide on this board at this moment; ``gate`` is a reason of the core's that forbids quotes."""
        quotes = cancelling = open_buy = open_sell = 0
        if self._orders.any_live:
            for order in self._orders.live():
                if order.tag == STALL_TAG and (self._is_ghost is None or not self._is_ghost(order, now_ns)):
                    quotes += 1
                    cancelling += order.cancel_reason is not None
                if order.side is Side.BUY:
                    open_buy += order.remaining
                else:
                    open_sell += order.remaining
        self._situation = situation = _situation(
            Situation,
            (
                now_ns,
                0 if gate is None else gate,
                may_close,
                board.status,
                board.ts_ns,
                board.best_since_ns,
                board.best_bid_price,
                board.best_ask_price,
                self._budget.strike_at_ns(now_ns, 2, self.size),
                self._inventory.position,
                self._inventory.basis,
                open_buy,
                open_sell,
                quotes,
                cancelling,
                self._struck_ns,
                self._struck_bid,
                self._struck_ask,
            ),
        )
        return decide(self.params, situation)

    def next_deadline_ns(self, now_ns: int) -> int:
        """When the last verdict can change although nothing happens: a stall, a TTL, a stale book, the budget.

        NEVER_NS if nothing of that is to come.
        """
        s, p = self._situation, self.params
        if s is None:
            return NEVER_NS
        stale_ns, own_ns = s.board_ns + p.stale_ns, s.best_since_ns + p.stall_ns
        if s.quotes:
            own_ns = s.struck_ns + p.ttl_ns
        first = stale_ns if stale_ns > now_ns else NEVER_NS
        if now_ns < own_ns < first:
            first = own_ns
        if now_ns < s.strike_at_ns < first:
            first = s.strike_at_ns
        return first

    def lull(self, hold: int, until_ns: int) -> Lull | None:
        """For how long, and for which boards, the last verdict stands: to hold, for this reason.

        ``until_ns`` is when something else than the strategy wants to look. None while the book is the reason.
        """
        s, p = self._situation, self.params
        if s is None or s.book != _OK or hold in _OF_THE_BOOK:
            return None
        if s.strike_at_ns > s.now_ns and hold != s.gate:
            until_ns = min(until_ns, self._budget.not_before_ns())
        if s.quotes == s.cancelling and not s.position:
            if hold in (_BUDGET, s.gate):
                return Lull(until_ns, Passing.ANY)
            if hold == _STALL_IMMATURE:
                return Lull(until_ns, Passing.IMMATURE)
        own_ns = s.struck_ns + p.ttl_ns if s.quotes else s.best_since_ns + p.stall_ns
        return Lull(min(until_ns, own_ns) if own_ns > s.now_ns else until_ns, Passing.SAME)

    def pass_over(self, board: BoardSnapshot, now_ns: int) -> None:
        """Know this board at this moment as if it had been decided on: the last of those that passed in a lull."""
        s = self._situation
        if s is None:
            raise AssertionError("a lull follows a decision")
        self._situation = _situation(
            Situation,
            (
                now_ns,
                s.gate,
                s.may_close,
                s.book,
                board.ts_ns,
                board.best_since_ns,
                board.best_bid_price,
                board.best_ask_price,
                self._budget.strike_at_ns(now_ns, 2, self.size),
                *s[9:],
            ),
        )

    def strike(self, verdict: Verdict, now_ns: int, names: tuple[ClientOrderId, ClientOrderId]) -> list[PlaceLimit]:
        """Turn a STRIKE into its orders, and remember the best that it was aimed at."""
        if self._situation is None:
            raise AssertionError("a strike follows a decision")
        self._struck_ns = now_ns
        self._struck_bid, self._struck_ask = self._situation.bid, self._situation.ask
        quotes = [
            PlaceLimit(
                client_order_id=name,
                side=side,
                price=Ticks(price),
                size=self.size,
                ttl_ms=self._ttl_ms,
                tag=STALL_TAG,
                reason=Reason.STRIKE,
            )
            for name, side, price in zip(names, (Side.BUY, Side.SELL), (verdict.bid, verdict.ask), strict=True)
            if price
        ]
        # The next deadline is asked for before the next decision: it has to know these quotes' TTL.
        self._situation = self._situation._replace(quotes=len(quotes), struck_ns=now_ns)
        return quotes

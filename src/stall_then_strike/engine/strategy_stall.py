"""Strike when the best bid and ask stand still.

``decide`` is the whole strategy: one pure function over integers and NamedTuples. Research compiles this same function,
so the rules exist only once. ``StallThenStrikeStrategy`` feeds it the daemon's state and turns its verdict into orders.

Exits come before gates: a reverse move closes the position, then any reason to end a quote cancels it, and only then is
a new strike considered. A refusal names the first gate that refused. bitFlyer has no post-only orders, so both prices
are clamped to where they cannot take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from stall_then_strike.config.models import QuoteMode, StallStrategyConfig
from stall_then_strike.engine.inventory import InventoryManager
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

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_BUY: Final = Side.BUY
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


def stall_params(cfg: StallStrategyConfig, instrument: Instrument) -> StallParams:
    """The settings of a configuration."""
    return StallParams(
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


class Situation(NamedTuple):
    """All that a decision depends on, in ticks, lots, money units and nanoseconds."""

    now_ns: int
    gate: int
    """A reason outside the strategy that forbids quotes (halted, venue, quiet time ...), or 0."""
    may_close: int
    """1 if the strategy may close the position, otherwise 0."""
    book: int
    """A :class:`BookStatus`. STALE means that the board had waited to be read; ``decide`` itself checks its age."""
    board_ns: int
    best_since_ns: int
    bid: int
    ask: int
    strike_at_ns: int
    """When the budget allows the next strike."""
    position: int
    basis: int
    open_buy: int
    """Remaining lots of our live buy orders, counted as if filled; ``open_sell`` likewise."""
    open_sell: int
    quotes: int
    """Number of our live quotes."""
    cancelling: int
    """How many of them have a cancel wanted or in flight."""
    struck_ns: int
    struck_bid: int
    """The best bid at the strike; ``struck_ask`` likewise."""
    struck_ask: int


_situation: Final = tuple.__new__
"""Builds a `Situation` faster than calling the class does: one is made at every step."""


class Verdict(NamedTuple):
    """What to do, why, and the two prices of a strike (0: no order on that side)."""

    move: int
    reason: int
    bid: int
    ask: int


# Made once: nearly every decision is one of these.
_HOLD_BUDGET: Final = Verdict(HOLD, _BUDGET, 0, 0)
_HOLD_POSITION_LIMIT: Final = Verdict(HOLD, _POSITION_LIMIT, 0, 0)
_HOLD_QUOTING: Final = Verdict(HOLD, _QUOTING, 0, 0)
_HOLD_SPREAD: Final = Verdict(HOLD, _SPREAD, 0, 0)
_HOLD_STALL_IMMATURE: Final = Verdict(HOLD, _STALL_IMMATURE, 0, 0)


def decide(p: StallParams, s: Situation) -> Verdict:  # noqa: C901 - all rules in one function: it is compiled as one
    """Decide what to do. Pure, over integers only; allocates nothing but the verdict."""
    # Unpacked at once: a field of a NamedTuple costs several times as much to read as a local variable.
    (
        now_ns,
        gate,
        may_close,
        status,
        board_ns,
        best_since_ns,
        best_bid,
        best_ask,
        strike_at_ns,
        position,
        basis,
        open_buy,
        open_sell,
        quotes,
        cancelling,
        struck_ns,
        struck_bid,
        struck_ask,
    ) = s
    book = 0
    if status == _SUSPECT:
        book = _BOOK_SUSPECT
    elif status == _STALE or (status == _OK and now_ns - board_ns >= p.stale_ns):
        book = _BOOK_STALE
    elif status != _OK:
        book = _BOOK_UNKNOWN

    # Exit from the position. Amounts are doubled, so that a mid between two ticks stays an integer.
    if may_close != 0 and book == 0 and abs(position) >= p.min_size:
        lost2 = 2 * basis - position * (best_bid + best_ask)
        if lost2 >= 2 * p.max_reverse * abs(position):
            return Verdict(CLOSE, _REVERSE, 0, 0)

    # Reasons to cancel quotes.
    if quotes > cancelling:
        if gate != 0:
            return Verdict(CANCEL, gate, 0, 0)
        if book != 0:
            return Verdict(CANCEL, book, 0, 0)
        if now_ns - struck_ns >= p.ttl_ns:
            return Verdict(CANCEL, _TTL, 0, 0)
        if best_bid != struck_bid or best_ask != struck_ask:
            return Verdict(CANCEL, _BEST_MOVED, 0, 0)

    # Gates that refuse a strike, in order.
    if gate != 0:
        return Verdict(HOLD, gate, 0, 0)
    if book != 0:
        return Verdict(HOLD, book, 0, 0)
    if now_ns < strike_at_ns:
        return _HOLD_BUDGET
    may_buy = position + open_buy + p.size <= p.max_inventory
    may_sell = open_sell - position + p.size <= p.max_inventory
    if not may_buy and not may_sell:
        return _HOLD_POSITION_LIMIT
    if quotes != 0:
        return _HOLD_QUOTING
    if best_ask - best_bid < p.min_spread:
        return _HOLD_SPREAD
    if now_ns - best_since_ns < p.stall_ns:
        return _HOLD_STALL_IMMATURE

    if p.mode == MODE_MID:
        bid = (best_bid + best_ask) // 2 - p.offset
        ask = (best_bid + best_ask + 1) // 2 + p.offset
    elif p.mode == MODE_INSIDE:
        bid = best_bid + p.offset
        ask = best_ask - p.offset
    else:
        bid = best_bid
        ask = best_ask
    bid = min(bid, best_ask - 1)
    ask = max(ask, best_bid + 1)
    if bid >= ask or bid <= 0:
        # Our two orders would trade with each other: the venue refuses that (-159), and we never want it.
        return _HOLD_SPREAD
    return Verdict(STRIKE, _STRIKE, bid if may_buy else 0, ask if may_sell else 0)


def next_deadline(
    p: StallParams, board_ns: int, best_since_ns: int, quotes: int, struck_ns: int, strike_at_ns: int, now_ns: int
) -> int:
    """When a verdict can change without an event: by a stall, a TTL, a stale book or the budget.

    The arguments are as in `Situation`. NEVER_NS if none of these is to come. Pure: research compiles it.
    """
    stale_ns = board_ns + p.stale_ns
    own_ns = struck_ns + p.ttl_ns if quotes != 0 else best_since_ns + p.stall_ns
    first = stale_ns if stale_ns > now_ns else NEVER_NS
    if now_ns < own_ns < first:
        first = own_ns
    if now_ns < strike_at_ns < first:
        first = strike_at_ns
    return first


class StallThenStrikeStrategy:
    """The strategy with its memory: when its current quotes were sent, and the best bid and ask at that time."""

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
        """The position, the orders and the budget are read from their owners and never changed.

        ``is_ghost`` tells which live orders have most probably ended. They count as exposure but not as quotes;
        otherwise one lost acknowledgement would stop quoting for two minutes.
        """
        self.params = stall_params(cfg, instrument)
        self.size = instrument.to_lots(cfg.size_min)
        self._ttl_ms = cfg.ttl_ms
        self._inventory = inventory
        self._orders = orders
        self._budget = budget
        self._is_ghost = is_ghost
        self._struck_ns = 0
        self._struck_bid = 0
        self._struck_ask = 0
        self._board: BoardSnapshot | None = None
        """The board of the last decision."""
        self._quotes = 0
        """Number of live quotes at that decision; ``_strike_at_ns`` is the budget's answer then."""
        self._strike_at_ns = 0

    def on_board(self, board: BoardSnapshot, now_ns: int, gate: Reason | None, *, may_close: bool) -> Verdict:
        """Decide on this board at ``now_ns``. ``gate`` is the core's reason that forbids quotes, or None."""
        quotes = cancelling = open_buy = open_sell = 0
        if self._orders.any_live:
            for order in self._orders.live():
                if order.tag == STALL_TAG and (self._is_ghost is None or not self._is_ghost(order, now_ns)):
                    quotes += 1
                    cancelling += order.cancel_reason is not None
                if order.side is _BUY:
                    open_buy += order.remaining
                else:
                    open_sell += order.remaining
        strike_at_ns = self._budget.strike_at_ns(now_ns, 2, self.size)
        self._board, self._quotes, self._strike_at_ns = board, quotes, strike_at_ns
        situation = _situation(
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
                strike_at_ns,
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
        """When the last verdict can change without an event; NEVER_NS if it cannot."""
        board = self._board
        if board is None:
            return NEVER_NS
        return next_deadline(
            self.params, board.ts_ns, board.best_since_ns, self._quotes, self._struck_ns, self._strike_at_ns, now_ns
        )

    def strike(self, verdict: Verdict, now_ns: int, names: tuple[ClientOrderId, ClientOrderId]) -> list[PlaceLimit]:
        """Turn a STRIKE into its orders, and remember the best bid and ask that it was decided on."""
        if self._board is None:
            raise AssertionError("a strike follows a decision")
        self._struck_ns = now_ns
        self._struck_bid, self._struck_ask = self._board.best_bid_price, self._board.best_ask_price
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
        # The next deadline is computed before the next decision, and must include these quotes' TTL.
        self._quotes = len(quotes)
        return quotes

"""Strike when the best bid and ask stand still.

``decide`` is the whole strategy: one pure function over integers and NamedTuples, with ``strike_or_hold`` as its second
half. Research compiles these same functions, so the rules exist only once. ``StallThenStrikeStrategy`` feeds ``decide``
what the strategy sees and turns its verdict into a wish.

Exits come before gates: a reverse move closes the position, then any reason to end a quote cancels it, and only then is
a new strike considered. A refusal names the first gate that refused. bitFlyer has no post-only orders, so both prices
are clamped to where they cannot take.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stall_then_strike.config.models import AppConfig, QuoteMode, StallStrategyConfig
from stall_then_strike.engine.strategy import QUOTE_TAGS, QUOTE_WORDS, Holding, Market, Quote, Wish
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.types.dto import NS_PER_MS, BookStatus, FillEvent, Reason, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

STALL_TAG, _WORD = QUOTE_TAGS[0], QUOTE_WORDS[0]

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


_new: Final = tuple.__new__
"""Builds a `Wish` faster than calling the class does."""
_REASONS: Final = {int(reason): reason for reason in Reason}


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


def decide(p: StallParams, s: tuple[int, ...]) -> Verdict:
    """Decide what to do. Pure, over integers only; allocates nothing but the verdict.

    ``s`` has the fields of a `Situation` and need not be one: one takes 0.6 µs to make and to unpack, a tuple 0.1.
    """
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
    if status == _OK:  # the most frequent first: an enum is slow to compare with a number
        book = _BOOK_STALE if now_ns - board_ns >= p.stale_ns else 0
    elif status == _SUSPECT:
        book = _BOOK_SUSPECT
    elif status == _STALE:
        book = _BOOK_STALE
    else:
        book = _BOOK_UNKNOWN

    # Exit from the position. Amounts are doubled, so that a mid between two ticks stays an integer.
    held = abs(position)
    is_closable = may_close != 0 and book == 0 and held >= p.min_size
    if is_closable and 2 * basis - position * (best_bid + best_ask) >= 2 * p.max_reverse * held:
        return Verdict(CLOSE, _REVERSE, 0, 0)

    # Reasons to cancel quotes.
    barred = gate if gate != 0 else book
    if quotes > cancelling:
        if barred != 0:
            return Verdict(CANCEL, barred, 0, 0)
        if now_ns - struck_ns >= p.ttl_ns:
            return Verdict(CANCEL, _TTL, 0, 0)
        if best_bid != struck_bid or best_ask != struck_ask:
            return Verdict(CANCEL, _BEST_MOVED, 0, 0)
    if barred != 0:
        return Verdict(HOLD, barred, 0, 0)
    waits = now_ns < strike_at_ns
    return strike_or_hold(p, waits, now_ns - best_since_ns, best_bid, best_ask, position, open_buy, open_sell, quotes)


def strike_or_hold(
    p: StallParams,
    waits: bool,
    stood_ns: int,
    best_bid: int,
    best_ask: int,
    position: int,
    open_buy: int,
    open_sell: int,
    quotes: int,
) -> Verdict:
    """The gates that refuse a strike, in order, and the prices of one that none refuses. A part of ``decide``.

    ``waits``: the budget does not allow a strike yet. ``stood_ns``: how long the best prices have stood still.
    """
    if waits:
        return _HOLD_BUDGET
    most = p.max_inventory - p.size
    may_buy = position + open_buy <= most
    may_sell = open_sell - position <= most
    if not may_buy and not may_sell:
        return _HOLD_POSITION_LIMIT
    if quotes != 0:
        return _HOLD_QUOTING
    if best_ask - best_bid < p.min_spread:
        return _HOLD_SPREAD
    if stood_ns < p.stall_ns:
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
    """The strategy with its memory: its last quotes, when they were sent, and the best bid and ask at that time."""

    tag = STALL_TAG
    word = _WORD
    close_word = "reverse move"
    together = True
    sees_sizes = False
    batch = 2

    def __init__(self, cfg: StallStrategyConfig, instrument: Instrument) -> None:
        """Start without quotes."""
        self._set(cfg, instrument)
        self._key = 0
        """The highest key given to a quote."""
        self._quotes: tuple[Quote, ...] = ()
        """The quotes of the last strike, until they are to be cancelled."""
        self._struck_ns = 0
        """When they were sent; ``_struck_bid`` and ``_struck_ask`` are the best prices at that time."""
        self._struck_bid = self._struck_ask = 0

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        """What is wanted now."""
        ts_ns, bid, _, ask, _, since_ns, status = market
        position, basis, open_buy, open_sell, live, _, budget_ns, may_close = holding
        quotes, struck_ns = len(live), self._struck_ns
        situation = (
            now_ns,
            gate or 0,
            may_close,
            status,
            ts_ns,
            since_ns,
            bid,
            ask,
            budget_ns,
            position,
            basis,
            open_buy,
            open_sell,
            quotes,
            sum([quote.is_ending for quote in live]) if quotes else 0,
            struck_ns,
            self._struck_bid,
            self._struck_ask,
        )
        move, reason, buy_at, sell_at = decide(self.params, situation)
        if move == STRIKE:
            quotes, struck_ns = 2, now_ns  # their TTL counts from now, whenever the next decision is
            self._strike(market, now_ns, buy_at, sell_at)
        elif move != HOLD:
            self._quotes = ()
        # The engine itself asks again when the board is stale.
        until_ns = next_deadline(self.params, NEVER_NS, since_ns, quotes, struck_ns, budget_ns, now_ns)
        return _new(Wish, (self._quotes, _REASONS[reason], move == CLOSE, until_ns))

    def _strike(self, market: Market, now_ns: int, bid: int, ask: int) -> None:
        """Want new quotes at these prices from now on, and remember what they were decided on."""
        self._struck_ns, self._struck_bid, self._struck_ask = now_ns, market.best_bid_price, market.best_ask_price
        self._quotes = (self._quote(Side.BUY, bid), self._quote(Side.SELL, ask))

    def _quote(self, side: Side, price: int) -> Quote:
        """The next quote; of size zero without a price, so that each side of a strike has its number."""
        self._key += 1
        return Quote(self._key, side, Ticks(price), self.size if price else Lots(0), self._ttl_ms)

    def retune(self, cfg: AppConfig, instrument: Instrument) -> None:
        """Decide by these settings from now on."""
        self._set(cfg.strategy, instrument)

    def _set(self, cfg: StallStrategyConfig, instrument: Instrument) -> None:
        self.params = stall_params(cfg, instrument)
        self.size = instrument.to_lots(cfg.size_min)
        self._ttl_ms = cfg.ttl_ms

    def on_fill(self, key: int, fill: FillEvent) -> None:
        """Nothing to do: the next decision sees the position."""

    def on_ended(self, key: int, executed: Lots) -> None:
        """Nothing to do: the next decision counts the quotes that are live."""


def stall_then_strike(cfg: AppConfig, instrument: Instrument) -> StallThenStrikeStrategy:
    """The strategy of a configuration."""
    return StallThenStrikeStrategy(cfg.strategy, instrument)

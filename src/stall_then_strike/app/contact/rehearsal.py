"""The strategy of a rehearsal: one order far from the market, its cancel, and if wanted one smallest round trip.

It is a strategy like any other, so journal, budget, reconciliation and the end of a run are those of live trading. What
it sees happen is noted in a :class:`~.timeline.Timeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum, unique
from typing import Final

from stall_then_strike.app.contact.timeline import BOUGHT, CANCEL_SENT, CLOSE_SENT, Timeline
from stall_then_strike.engine.strategy import QUOTE_TAGS, QUOTE_WORDS, Holding, Market, Quote, Wish
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BookReader, FillEvent, Reason, Side
from stall_then_strike.types.instrument import Lots, Ticks

REST_NS: Final = 6 * NS_PER_S
"""How long the far order rests."""
LONGEST_REST_NS: Final = 15 * NS_PER_S
"""How long it rests if the private channel does not tell of it."""
_TRIES: Final = 4
"""The engine takes a quote back while the book is in doubt; then it is sent again."""
_LOOK_NS: Final = 200 * NS_PER_MS
_FILL_NS: Final = 15 * NS_PER_S
_REACH: Final = 1_000
"""The order that buys may pay 1/1,000 more than the best ask."""
_WISHED_MS: Final = REST_NS // NS_PER_MS


@unique
class Stage(StrEnum):
    """Where the rehearsal is."""

    WAITING = "waiting for the engine to allow an order"
    RESTING = "the order rests"
    CANCELLING = "its cancel is awaited"
    BUYING = "the smallest size is bought"
    CLOSING = "it is sold again"
    DONE = "done"
    FAILED = "failed"


class Rehearsal:
    """A `Strategy` that ends."""

    tag = QUOTE_TAGS[1]
    word = QUOTE_WORDS[1]
    close_word = "the rehearsal's close"
    together = True
    sees_sizes = True
    batch = 1

    def __init__(self, size: Lots, distance: int, timeline: Timeline, *, has_trip: bool) -> None:
        """``distance``: how far below the best bid the order is, in ten-thousandths of it."""
        self.size = size
        self._distance, self._has_trip, self._timeline = distance, has_trip, timeline
        self.stage = Stage.WAITING
        self.why = ""
        """Why it failed."""
        self.on_end: Callable[[str], None] = lambda why: None
        """Called once, when there is nothing left to do."""
        self.board: BookReader | None = None
        """The displayed book."""
        self._key = 0
        self._tries = 0
        self._since_ns = 0
        self._quotes: tuple[Quote, ...] = ()

    # --- as a strategy

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        """What is wanted now."""
        if gate is not None and self.stage is Stage.WAITING:
            return self._wish(gate, now_ns)
        match self.stage:
            case Stage.WAITING:
                self._begin(market, holding, now_ns)
            case Stage.RESTING:
                self._look_at_rest(holding, now_ns)
            case Stage.CANCELLING:
                if not holding.quotes:
                    self._after_cancel(market, holding, now_ns)
            case Stage.BUYING:
                self._look_at_buy(holding, now_ns)
            case Stage.CLOSING:
                if not holding.position and not holding.quotes:
                    self._finish("")
            case _:
                pass
        return self._wish(Reason.STRATEGY, now_ns)

    def on_fill(self, key: int, fill: FillEvent) -> None:
        """Nothing to do: the position shows it."""

    def on_ended(self, key: int, executed: Lots) -> None:
        """A quote that ended before it was to: by the engine, by the venue, or filled. A wish without it follows."""
        if self.stage is not Stage.RESTING or executed:
            return
        if self._tries < _TRIES:
            self._quotes, self.stage = (), Stage.WAITING
        else:
            self._finish(f"the order ended {_TRIES} times before its cancel")

    # --- stages

    def _begin(self, market: Market, holding: Holding, now_ns: int) -> None:
        if holding.position or holding.quotes:
            self._finish("the account is not flat")
            return
        if not self._tries:
            self._since_ns = now_ns
        self._tries += 1
        price = self._free_price(Ticks(market.best_bid_price * (10_000 - self._distance) // 10_000))
        self._want(price, now_ns)
        self._timeline.order_wished(price, self.size, now_ns)
        self.stage = Stage.RESTING

    def _free_price(self, price: Ticks) -> Ticks:
        """The next lower price at which nobody else is, so that the order is seen on the board."""
        while self.board is not None and self.board.size_at(Side.BUY, price):
            price = Ticks(price - 1)
        return price

    def _look_at_rest(self, holding: Holding, now_ns: int) -> None:
        if holding.position:
            self._finish("the order far from the market was filled")
        elif self._timeline.is_accepted and now_ns - self._since_ns >= (
            REST_NS if self._timeline.is_registered else LONGEST_REST_NS
        ):
            self._quotes = ()
            self._timeline.mark(CANCEL_SENT, now_ns)
            self._since_ns, self.stage = now_ns, Stage.CANCELLING
        elif not self._timeline.is_accepted and now_ns - self._since_ns >= _FILL_NS and not holding.quotes:
            self._finish("the order was not accepted")

    def _after_cancel(self, market: Market, holding: Holding, now_ns: int) -> None:
        if not self._has_trip or holding.position:
            self._finish("the order far from the market was filled" if holding.position else "")
            return
        self._want(Ticks(market.best_ask_price + market.best_ask_price // _REACH), now_ns)
        self._timeline.mark(BOUGHT, now_ns)
        self.stage = Stage.BUYING

    def _look_at_buy(self, holding: Holding, now_ns: int) -> None:
        if holding.position:
            self._quotes, self.stage = (), Stage.CLOSING
            self._timeline.mark(CLOSE_SENT, now_ns)
        elif now_ns - self._since_ns > _FILL_NS:
            self._finish("the order at the market was not filled")

    def _want(self, price: Ticks, now_ns: int) -> None:
        self._key += 1
        self._since_ns = now_ns
        self._quotes = (Quote(self._key, Side.BUY, price, self.size, _WISHED_MS),)

    def _wish(self, reason: Reason, now_ns: int) -> Wish:
        is_over = self.stage in {Stage.DONE, Stage.FAILED}
        until_ns = NEVER_NS if is_over else now_ns + _LOOK_NS
        return Wish(self._quotes, reason, flatten=self.stage is Stage.CLOSING, until_ns=until_ns)

    def _finish(self, why: str) -> None:
        """Nothing more is wanted. The end of the run cancels and closes what is left."""
        self._quotes = ()
        self.stage, self.why = (Stage.FAILED if why else Stage.DONE), why
        self.on_end(f"the rehearsal failed: {why}" if why else "rehearsed")

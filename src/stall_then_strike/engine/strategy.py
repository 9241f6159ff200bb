"""The seam between the engine and a strategy: what a strategy sees, and what it answers.

A strategy says at every step which quotes it *wants*; `quoting` makes it so. It sends nothing itself: it sees the
market and what it holds, and is told of fills. Everything here is immutable and made of integers. `context` is the same
seam for a strategy that would rather place and cancel orders.

**A key is one order.** A strategy numbers its quotes by counting up. A key higher than all before is a new quote, which
is sent once. As long as it is live, the strategy names it in every wish, with the terms it was sent with: a live quote
that a wish leaves out, or names with other terms, is cancelled. A quote that has ended (filled, refused, cancelled,
expired) is never sent again, even if wishes still name its key; what is wanted in its place needs a new key. Whether a
key was sent shows in `Holding.last_key`, and whether it is live in `Holding.quotes`: a key up to the last one that is
not live has ended. A quote for which there was no budget is sent later if it is still wished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, runtime_checkable

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.types.dto import BoardSnapshot, FillEvent, Reason, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

QUOTE_TAGS: Final = ("stall", "quote")
"""Tags of the quotes of our strategies in the logs: stall-then-strike, and any other."""
QUOTE_WORDS: Final = ("strike", "quote")
"""What they call sending quotes in the decision log."""

Market = BoardSnapshot
"""The best of the book without our own orders. Its status is STALE once its message is older than ``stale_ms``."""


class Quote(NamedTuple):
    """One order that is wanted on the book."""

    key: int
    side: Side
    price: Ticks
    size: Lots
    """The size it is sent with, whatever is filled later. A quote of size zero uses up its key and is not sent."""
    ttl_ms: int
    """How long it is meant to live, for the logs; the strategy ends it."""


class Wish(NamedTuple):
    """All quotes that are wanted now, and why."""

    quotes: tuple[Quote, ...]
    reason: Reason
    """Why quotes are sent, cancelled or left as they are, for the decision log."""
    flatten: bool = False
    """Close the position. All quotes are then taken back first."""
    until_ns: int = NEVER_NS
    """When the wish can change although nothing that the strategy sees has: then it is asked again."""


class LiveQuote(NamedTuple):
    """One quote that may still be filled."""

    key: int
    """Zero for a quote of an earlier run, whose cancel is wanted."""
    side: Side
    price: Ticks
    remaining: Lots
    is_ending: bool
    """A cancel of it is wanted or in flight."""


class Holding(NamedTuple):
    """What the strategy has: its position and its quotes."""

    position: Lots
    """Signed: positive is long."""
    basis: int
    """What the position cost, in money units, with the position's sign."""
    open_buy: int
    """Remaining lots of all our live buy orders, counted as if filled."""
    open_sell: int
    quotes: tuple[LiveQuote, ...]
    """Quotes that are live, without those that have most probably ended: they only count in ``open_buy`` and
    ``open_sell``."""
    last_key: int
    """The highest key that was sent."""
    budget_ns: int
    """When the budget allows ``Strategy.batch`` orders; now or earlier means now."""
    may_close: bool
    """Whether ``Wish.flatten`` has an effect now."""


class Strategy(Protocol):
    """Decides what to quote. Any exception in it takes its quotes back, and several of a day halt trading."""

    tag: str
    """Its orders' tag in the logs."""
    word: str
    """What sending quotes is called in the decision log."""
    close_word: str
    """What ``Wish.flatten`` is called in the runtime log."""
    together: bool
    """The new quotes of a wish are sent together or not at all. Otherwise as many as the budget allows, in order."""
    sees_sizes: bool
    """Whether its wish depends on the sizes at the best prices. If not, it is not asked when only they have changed."""
    batch: int
    """How many orders of ``size`` one wish usually adds, for the budget's outlook."""
    size: Lots

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        """What is wanted now. Called at every step that shows it something new, and when the last wish's time has come.

        What it sees are the best prices, their sizes if ``sees_sizes``, the holding and the gate. While all of that is
        as it was when it last wished, and what it wished is true, that wish stands: it must not depend on the stamps
        alone.

        ``gate`` is the engine's reason that forbids quotes, or None. While there is one, no quote is left or sent,
        whatever is wished, and the reason in the log is the gate.
        """
        ...

    def on_fill(self, key: int, fill: FillEvent) -> None:
        """A quote of this run was filled, in part or whole. Also told of a quote that had ended before."""
        ...

    def on_ended(self, key: int, executed: Lots) -> None:
        """A quote has ended, with this much of it filled. A fill may still follow; the position shows it."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """A strategy whose settings may change while it trades. Those of any other need a restart."""

    def retune(self, cfg: AppConfig, instrument: Instrument) -> None:
        """Decide by these settings from the next event on. Quotes that are live keep their terms."""
        ...


MakeStrategy = Callable[[AppConfig, Instrument], Strategy]
"""Makes the strategy of one instrument from the configuration."""

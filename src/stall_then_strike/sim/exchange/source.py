"""What the exchange on loopback needs of a market: frames in venue time, and the state behind its REST calls.

Two things are markets: the order-flow generator (`market.py`) and a recorded tape (`tape.py`). Both are passive: they
own no clock and no task, and are asked to advance to a moment. The server asks in real, multiplied or maximal time;
a driver without sockets walks :func:`iter_frames` in virtual time and sees the very same frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Protocol

from stall_then_strike.types.dto import BoardState, ExecId, Health, OrderId, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

Level = tuple[Ticks, Lots]
"""A price and the total size that is displayed there; zero deletes the level in a delta. Price zero stands for market
orders that wait for an auction."""

CONTROL_PREFIX: Final = "!"
"""Frames on channels of such names go to no client: they say what happens to the sockets."""
CLOSE_SOCKETS: Final = "!close"
"""In place of a channel: the venue closes all sockets, with the frame's text as the reason."""
ABORT_SOCKETS: Final = "!abort"
"""All lines are cut without a close frame."""
SILENCE_SOCKETS: Final = "!silence"
"""Nothing passes any more over the sockets that there are, in either direction; the lines stay up."""
END_SILENCE: Final = "!end silence"
"""The lines that were silenced are cut."""


@unique
class Channel(StrEnum):
    """Public channels, by the prefix of their names (bitFlyer Realtime API documentation)."""

    SNAPSHOT = "lightning_board_snapshot_"
    BOARD = "lightning_board_"
    EXECUTIONS = "lightning_executions_"
    TICKER = "lightning_ticker_"

    def of(self, product_code: str) -> str:
        """Full name of this channel for a product."""
        return self.value + product_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One text frame as the venue sends it to the subscribers of a channel."""

    time_ns: int
    """When it leaves the venue, nanoseconds since the Unix epoch."""
    channel: str
    text: str
    account: str | None = None
    """Whose sockets it is for; None for everybody who listens to the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What the venue says of itself in ``getboardstate``, ``gethealth`` and the ticker."""

    state: BoardState = BoardState.RUNNING
    health: Health = Health.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """The displayed book, best first on each side. ``mid`` is floored to the tick, as on bitFlyer's wire (measured)."""

    mid: Ticks
    bids: Sequence[Level]
    asks: Sequence[Level]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One public execution; both orders are named in public (bitFlyer Realtime API documentation)."""

    exec_id: ExecId
    taker: Side | None
    """None in an auction, where the wire leaves the side empty."""
    price: Ticks
    size: Lots
    time_ns: int
    buy_order_id: OrderId
    sell_order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """The ticker's fields."""

    state: BoardState
    time_ns: int
    tick_id: int
    best_bid: Level
    best_ask: Level
    bid_depth: Lots
    ask_depth: Lots
    last_price: Ticks
    volume: Lots
    waiting_bid: Lots = Lots(0)
    """Market orders that wait for an auction."""
    waiting_ask: Lots = Lots(0)


class MarketSource(Protocol):
    """A market that can be asked to move on."""

    @property
    def instrument(self) -> Instrument:
        """Product and units."""
        ...

    @property
    def now_ns(self) -> int:
        """Venue time at which the source stands."""
        ...

    @property
    def condition(self) -> Condition:
        """Board state and health now."""
        ...

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change what is given, from now on."""
        ...

    def next_wake_ns(self) -> int | None:
        """When :meth:`advance` has something to do next, maybe without yielding a frame; None when it is over."""
        ...

    def advance(self, until_ns: int) -> list[Frame]:
        """Move to a moment and return the frames that left by then, in order. A moment of the past does nothing."""
        ...

    def depth(self, limit: int | None = None) -> Depth:
        """The displayed book, at most ``limit`` levels a side."""
        ...

    def ticker(self) -> Ticker | None:
        """The ticker now; None while there is nothing to tell."""
        ...

    def executions(self) -> Sequence[Execution]:
        """Recent executions, newest first; a bounded number."""
        ...


def iter_frames(source: MarketSource, until_ns: int | None = None) -> Iterator[Frame]:
    """Walk a market in its own time as fast as it is consumed, up to and including ``until_ns`` or to its end.

    Lazy to the single step, so a consumer may act on the source between two frames.
    """
    while (wake_ns := source.next_wake_ns()) is not None and (until_ns is None or wake_ns <= until_ns):
        yield from source.advance(wake_ns)

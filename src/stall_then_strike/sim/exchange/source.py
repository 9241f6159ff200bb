"""What the simulated exchange needs from a market: frames in venue time, and the state behind its REST calls.

There are two markets: the order-flow generator (`sim/market.py`) and a recorded tape (`tapes/`). Both are passive: they
own no clock and no task, and are told to advance to a time. The server does so in real, accelerated or maximal time; a
driver without sockets uses :func:`iter_frames` in virtual time and gets exactly the same frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Protocol

from stall_then_strike.types.dto import BoardState, ExecId, Health, OrderId, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

Level = tuple[Ticks, Lots]
"""A price and the total size displayed there; in a delta, size zero deletes the level. Price zero stands for market
orders waiting for an auction."""

CONTROL_PREFIX: Final = "!"
"""A frame on a channel with this prefix goes to no client: it says what happens to the sockets."""
CLOSE_SOCKETS: Final = "!close"
"""The venue closes all sockets, with the frame's text as the reason."""
ABORT_SOCKETS: Final = "!abort"
"""All connections are cut without a close frame."""
SILENCE_SOCKETS: Final = "!silence"
"""Nothing passes over the present sockets any more, in either direction; the connections stay open."""
END_SILENCE: Final = "!end silence"
"""The silenced connections are cut."""


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
    """The account whose sockets get it; None for every subscriber of the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The venue's condition, as in ``getboardstate``, ``gethealth`` and the ticker."""

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
    """One public execution, with the ids of both orders (bitFlyer Realtime API documentation)."""

    exec_id: ExecId
    taker: Side | None
    """None in an auction; the side is then empty on the wire."""
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
    """Market orders waiting for an auction."""
    waiting_ask: Lots = Lots(0)


class MarketSource(Protocol):
    """A market that can be advanced in time."""

    @property
    def instrument(self) -> Instrument:
        """Product and units."""
        ...

    @property
    def now_ns(self) -> int:
        """Venue time that the source has reached."""
        ...

    @property
    def condition(self) -> Condition:
        """Board state and health now."""
        ...

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change the given values from now on."""
        ...

    def next_wake_ns(self) -> int | None:
        """When :meth:`advance` next has something to do, perhaps without a frame; None when the market has ended."""
        ...

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance to a time and return the frames that left by then, in order. A time in the past does nothing."""
        ...

    def depth(self, limit: int | None = None) -> Depth:
        """The displayed book, at most ``limit`` levels a side."""
        ...

    def ticker(self) -> Ticker | None:
        """The ticker now; None while there is none yet."""
        ...

    def executions(self) -> Sequence[Execution]:
        """Recent executions, newest first, bounded in number."""
        ...


class VenueClock(Protocol):
    """What the exchange needs of a clock."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, never going backwards."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return when ``now_ns`` has reached the deadline; at once if it already has."""
        ...


def iter_frames(source: MarketSource, until_ns: int | None = None) -> Iterator[Frame]:
    """Advance a market as fast as its frames are consumed, up to and including ``until_ns`` or to its end.

    It advances one step at a time, so that a consumer may act on the source between two frames.
    """
    while (wake_ns := source.next_wake_ns()) is not None and (until_ns is None or wake_ns <= until_ns):
        yield from source.advance(wake_ns)

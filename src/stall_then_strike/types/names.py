"""Names and words that all values are made of: identifiers, sides, states, reasons."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, StrEnum, unique
from typing import Final, NewType, Protocol

from stall_then_strike.types.instrument import Lots, Ticks

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

ClientOrderId = NewType("ClientOrderId", str)
"""Our own name of an order, given before it is sent. bitFlyer has no field for it, so it never leaves this machine."""

OrderId = NewType("OrderId", str)
"""The venue's name of an order: at bitFlyer the ``child_order_acceptance_id``."""

NO_ORDER: Final = OrderId("")

ExecId = NewType("ExecId", int)
"""The venue's number of one fill."""


@unique
class Side(StrEnum):
    """Side of an order, a fill or the taker of a trade, spelled as on bitFlyer's wire."""

    BUY = "BUY"
    SELL = "SELL"

    sign: int
    """+1 for a buy, -1 for a sell."""
    opposite: Side
    """The other side."""


# Plain attributes: they are read for every order at every message, and in Python 3.11 a property that reads members off
# their class costs ten times as much.
Side.BUY.sign, Side.SELL.sign = 1, -1
Side.BUY.opposite, Side.SELL.opposite = Side.SELL, Side.BUY


@unique
class BookStatus(IntEnum):
    """Whether the local book can be trusted. Only ``OK`` allows a strike."""

    OK = 0
    UNKNOWN = 1
    """No snapshot since the last (re)connect."""
    SUSPECT = 2
    """The last message's mid price, or the book itself (crossed, one side empty), contradicts it."""
    STALE = 3
    """Consistent, but its last message is older than ``stale_ms``."""


@unique
class BoardState(StrEnum):
    """State of the venue's board, as in the ticker channel (bitFlyer API documentation, ``getboardstate``)."""

    RUNNING = "RUNNING"
    CLOSED = "CLOSED"
    STARTING = "STARTING"
    PREOPEN = "PREOPEN"
    CIRCUIT_BREAK = "CIRCUIT BREAK"
    UNKNOWN = "UNKNOWN"
    """Not told yet, or a word that the documentation does not list."""


@unique
class Health(StrEnum):
    """Load of the venue (bitFlyer API documentation, ``gethealth``)."""

    NORMAL = "NORMAL"
    BUSY = "BUSY"
    VERY_BUSY = "VERY BUSY"
    SUPER_BUSY = "SUPER BUSY"
    NO_ORDER = "NO ORDER"
    STOP = "STOP"
    UNKNOWN = "UNKNOWN"


@unique
class Reason(IntEnum):
    """Why something was done or not done. The decision log has the name in lower case.

    The values are numbers and not words, because the decision function is compiled for research.
    """

    STRIKE = 1
    STRATEGY = 2
    """A strategy other than stall-then-strike wished it."""
    # Gates, in the order in which they are checked.
    HALTED = 10
    STOPPING = 11
    CLOSING = 12
    VENUE_NOT_RUNNING = 13
    VENUE_UNHEALTHY = 14
    QUIET_TIME = 15
    BOOK_UNKNOWN = 16
    BOOK_SUSPECT = 17
    BOOK_STALE = 18
    BUDGET = 19
    POSITION_LIMIT = 20
    QUOTING = 21
    SPREAD = 22
    STALL_IMMATURE = 23
    ACCOUNT_UNKNOWN = 24
    """The private channel is down, or the account was not reconciled since it came up. Checked after CLOSING."""
    MARGIN = 25
    """A pause after the venue refused an order for lack of margin. Checked after ACCOUNT_UNKNOWN."""
    JOURNAL_LOCKED = 26
    """Another program locks the journal. Checked after CLOSING."""
    PAUSED = 27
    """The operator paused trading. Checked after CLOSING."""
    # Exits.
    TTL = 30
    BEST_MOVED = 31
    REVERSE = 32
    FLATTEN = 33
    DUST = 34
    # Kill switch.
    KILL_PNL = 40
    KILL_DRAWDOWN = 41
    LOG_FAILURE = 42
    OPERATOR = 43
    REJECTS = 44
    INTERNAL_ERROR = 45
    LIMIT_BREACH = 46
    """The venue answered that we exceeded one of its limits."""
    AUTH_REFUSED = 47
    POSITION_MISMATCH = 48
    CLOCK_SKEW = 49
    # Lifts.
    DAY_ROLL = 50
    RESUMED = 51
    # Of orders found at the venue.
    ORPHAN = 60
    """An order of ours that an earlier run, or a lost answer, left behind."""

    @property
    def label(self) -> str:
        """The word in the logs."""
        return _LABELS[self]


_LABELS: Final = {reason: reason.name.lower() for reason in Reason}


class BookReader(Protocol):
    """Read access to a displayed book in integers, as a fill model needs it."""

    def size_at(self, side: Side, price: Ticks) -> Lots:
        """Size displayed at a price; zero if there is no level. BUY is the bid side."""
        ...

    def best(self, side: Side) -> Ticks:
        """The best price of a side; zero while it is empty."""
        ...

    def levels(self, side: Side) -> Iterator[tuple[Ticks, Lots]]:
        """Levels of a side, best first."""
        ...

"""The surface that all venues' market feeds share: raw frames in, market events out.

A feed is one instrument's decoder. It knows no socket, no clock and no task, so that a recording takes the same path
as the live stream. Whoever trades, shows or records a market names this surface and no venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

from stall_then_strike.infra.levels import Levels
from stall_then_strike.infra.orderbook_view import OrderBookView
from stall_then_strike.types.dto import BoardSnapshot, PublicTrades, VenueStatus

MarketEvent = BoardSnapshot | PublicTrades | VenueStatus


@unique
class Refusal(StrEnum):
    """Kinds of refused frames."""

    TOO_LONG = "too_long"
    NOT_JSON = "not_json"
    BATCH = "batch"
    NOT_AN_OBJECT = "not_an_object"
    BINARY = "binary"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_CHANNEL = "unknown_channel"
    BAD_PARAMS = "bad_params"
    BAD_BOARD = "bad_board"
    BAD_EXECUTIONS = "bad_executions"
    BAD_TICKER = "bad_ticker"
    STRAY_REPLY = "stray_reply"
    """An answer to no request of this connection."""


class RefusedFrame(Exception):
    """A frame to be refused; feeds raise and catch it inside."""

    def __init__(self, kind: Refusal, why: str = "") -> None:
        """``why`` is for the log."""
        super().__init__(kind, why)
        self.kind = kind
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatistics:
    """Counts since the feed was made."""

    board_snapshots: int
    board_deltas: int
    deltas_before_snapshot: int
    """Deltas received before their connection's first snapshot: not applied."""
    executions: int
    replies: int
    mid_checked: int
    """Board messages whose book was checked: against the mid price that came with it, if the venue tells it."""
    mid_agreed: int
    execution_gaps: int
    """How often execution ids rose by more than one within a connection: perhaps lost messages."""
    executions_missing: int
    """Ids that those gaps skipped."""
    refused: Mapping[str, int]
    """Refused frames, by kind."""
    book_gaps: int = 0
    """How often a board message did not continue the one before it, at a venue that numbers them."""


class InstrumentFeed(Protocol):
    """The feed of one instrument."""

    @property
    def product(self) -> str:
        """The instrument, as the venue spells it."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """The public channels, in the order in which to subscribe them."""
        ...

    @property
    def frame_names(self) -> tuple[str, ...]:
        """The texts, each as a whole JSON string, by which this instrument's frames are told from others'."""
        ...

    @property
    def board(self) -> Levels:
        """The displayed book after the last event."""
        ...

    @property
    def view(self) -> OrderBookView:
        """The book without our own orders."""
        ...

    @property
    def heard_ns(self) -> dict[str, int]:
        """Receive stamp of the last valid message of each channel on the current connection."""
        ...

    def on_connect(self) -> None:
        """A new connection begins: its deltas are ignored until its first snapshot."""
        ...

    def on_disconnect(self, now_ns: int) -> BoardSnapshot:
        """The connection is lost: the book is UNKNOWN. Returns a snapshot with that status."""
        ...

    def on_text(self, text: str | bytes, recv_ns: int) -> MarketEvent | None:
        """Take one text frame as received."""
        ...

    def on_recorded(self, text: str | None, recv_ns: int) -> MarketEvent | None:
        """Take one frame of a recording; None means that the recording was interrupted before this moment."""
        ...

    def statistics(self) -> FeedStatistics:
        """Counts so far."""
        ...


class OfRecordings:
    """What every feed does with a recording."""

    def on_recorded(self: InstrumentFeed, text: str | None, recv_ns: int) -> MarketEvent | None:
        """Take one frame of a recording; None means that the recording was interrupted before this moment."""
        if text is not None:
            return self.on_text(text, recv_ns)
        lost = self.on_disconnect(recv_ns)
        self.on_connect()
        return lost

"""What live trading uses of a venue: one account's connection, and a desk for each instrument.

A venue implements :class:`Connection` and nothing else. It is opened with ``async with``, which connects nothing; then
it is asked, for the checks before trading; then it is connected, and its listener gets what it hears. What differs
between venues and is no code is in its :class:`~stall_then_strike.engine.venue.rules.VenueRules`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, Self

from stall_then_strike.engine.gateway import OrderGateway, Reply, Request
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.infra.line.frame_tap import FrameTap
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.infra.watch.pauses import Pause
from stall_then_strike.types.dto import (
    AccountReport,
    BoardSnapshot,
    ExecId,
    FillEvent,
    FundingEvent,
    LimitReading,
    OrderEvent,
    PrivateChannel,
    PublicTrades,
    VenueStatus,
)
from stall_then_strike.venues.findings import CheckResult

SessionEvent = BoardSnapshot | PublicTrades | VenueStatus | OrderEvent | FillEvent | FundingEvent | PrivateChannel
"""What a session hears: the market, and with an account the account."""


class Account(Protocol):
    """The account that is traded, and what a venue's texts may give away of it."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that stand for the account in names of locks and in the journal; no secret."""
        ...

    def redact(self, text: str) -> str:
        """The text without secrets, if there are any in it."""
        ...


class Listener(Protocol):
    """The run that uses a connection. None of its methods blocks or raises."""

    def on_session(self, event: SessionEvent, number: int) -> None:
        """Take an event of the instrument with this number; of all with number 0, if it is of no instrument."""
        ...

    def on_reading(self, reading: LimitReading) -> None:
        """Take the venue's own reading of a rate limit."""
        ...

    def on_skew(self, skew_ns: int) -> None:
        """Take the least number of nanoseconds by which the venue's clock is ahead of ours, by one answer."""
        ...

    def on_pause(self, pause: Pause) -> None:
        """The machine slept, the process stood still, or the clock was set; the connection was given up if need be."""
        ...


class Unheard:
    """The listener of a connection that nobody uses but for checks."""

    def on_session(self, event: SessionEvent, number: int) -> None:
        """Drop it."""

    def on_reading(self, reading: LimitReading) -> None:
        """Drop it."""

    def on_skew(self, skew_ns: int) -> None:
        """Drop it."""

    def on_pause(self, pause: Pause) -> None:
        """Drop it."""


class Condition(Protocol):
    """The state of a session's transport."""

    @property
    def connects(self) -> int:
        """Handshakes that succeeded so far."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether the socket is open."""
        ...

    @property
    def is_private_live(self) -> bool:
        """Whether the account's events are heard."""
        ...

    @property
    def last_error(self) -> str:
        """Why the last attempt or connection failed; empty if none has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A plain `Condition`."""

    connects: int
    is_connected: bool = True
    is_private_live: bool = True
    last_error: str = ""


class Session(Protocol):
    """The realtime connection: one line that carries all instruments and the account."""

    frame_perf_ns: int
    """When handling of the current frame began, by the stopwatch ``perf_ns``."""
    tap: FrameTap | None
    """Receives raw frames and connection changes; set it before ``connect_ws``."""

    async def connect_ws(self) -> None:
        """Start to connect and return at once; ``wait_ready`` waits for the result."""
        ...

    async def wait_ready(self, timeout_sec: float | None = None) -> None:
        """Wait until there is a complete book of every instrument, and the account's events are heard.

        ``timeout_sec`` is in real seconds. Raises FeedError when the time is up, and LoginRefused.
        """
        ...

    async def wait_failed(self) -> NoReturn:
        """Wait until the session cannot go on, and raise the cause: an error in the listener or here, never the
        network."""
        ...

    def statistics(self) -> Condition:
        """The state now, and counts so far."""
        ...

    def renew(self, why: str) -> None:
        """Request a new connection, at the usual pace. Returns at once."""
        ...

    def give_up(self, why: str) -> None:
        """Ignore the current connection from now on, close it, and make another at the usual pace."""
        ...


class Desk:
    """One instrument at the venue, as the executor uses it: orders, reports, and a new event channel."""

    def __init__(
        self,
        gateway: OrderGateway,
        report: Callable[[ExecId], Awaitable[AccountReport]],
        renew: Callable[[str], None],
        set_own: Callable[[Sequence[OwnQuote]], None],
    ) -> None:
        """``report`` and ``renew`` are those of an `AccountReader`.

        ``set_own`` is told all orders that may be in the displayed book: `OrderBookView.set_own`, if they go there.
        """
        self.gateway = gateway
        self._report, self._renew, self.set_own = report, renew, set_own
        self.last: AccountReport | None = None
        """The newest report."""

    def send(self, batch: Sequence[Request]) -> Awaitable[Sequence[Reply]]:
        """Send orders and cancels, as the gateway does."""
        return self.gateway.send(batch)

    async def report(self, since: ExecId) -> AccountReport:
        """Request the account."""
        self.last = await self._report(since)
        return self.last

    def renew(self, why: str) -> None:
        """Reconnect the session."""
        self._renew(why)


class Connection(Protocol):
    """One account at one venue. An async context manager; its session and desks are there inside the block."""

    rules: VenueRules
    listener: Listener
    """To be set before the session connects."""

    @property
    def session(self) -> Session:
        """The realtime connection."""
        ...

    @property
    def feeds(self) -> Sequence[InstrumentFeed]:
        """The market data of each instrument, in the order of the configuration."""
        ...

    @property
    def desks(self) -> Sequence[Desk]:
        """The desk of each instrument, in the order of the configuration."""
        ...

    @property
    def calls_made(self) -> int:
        """Calls made so far that count on the account's limits."""
        ...

    async def check(self) -> list[CheckResult]:
        """Whether all is ready for trading, by reading alone. Never raises for what it finds.

        Names of findings about one of several instruments end with its code.
        """
        ...

    async def poll_status(self) -> NoReturn:
        """Ask for the state of the venue for ever, if it does not tell by itself; the listener gets it."""
        ...

    def forget_skew(self) -> None:
        """Our clock has jumped: skews measured before do not count any more."""
        ...

    async def __aenter__(self) -> Self:
        """Open what is needed to ask the venue. Nothing is sent."""
        ...

    async def __aexit__(self, *exc: Any) -> None:
        """Close everything."""
        ...


class CancelsAll(Protocol):
    """The watchdog's hand at a venue."""

    async def send(self) -> None:
        """Send one cancel-all. Raises AuthRefused or NoAnswer unless the venue accepted it."""
        ...

    async def check_key(self) -> None:
        """Check that the key may cancel. Raises AuthRefused if not, NoAnswer if the venue did not say."""
        ...

    async def while_alive(self) -> None:
        """Called at each look at a trader that is alive: put off the venue's own cancel-all, if it has one."""
        ...

    async def stand_down(self) -> None:
        """Take the venue's own cancel-all back: the trader has stopped in good order."""
        ...

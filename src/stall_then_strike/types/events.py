"""Events: facts of the past that the core is told.

All stamps named ``ts_ns`` are ours: nanoseconds since the Unix epoch, UTC, taken on receipt. Only the fills of an
:class:`AccountReport` carry the venue's stamp of the execution, because they may be found long after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import NamedTuple

from stall_then_strike.types.instrument import NO_MONEY, Lots, Money, Ticks
from stall_then_strike.types.names import (
    NO_ORDER,
    NS_PER_MS,
    BoardState,
    BookStatus,
    ClientOrderId,
    ExecId,
    Health,
    OrderId,
    Reason,
    Side,
)


class BoardSnapshot(NamedTuple):
    """The best of the book, without our own orders, after one message.

    Prices and sizes are zero on a side that is empty, or while the book is unknown. One is made for every board
    message, so this is a NamedTuple: it costs a third of a frozen dataclass. So are the other events of a market.
    """

    ts_ns: int
    best_bid_price: Ticks
    best_bid_size: Lots
    best_ask_price: Ticks
    best_ask_size: Lots
    best_since_ns: int
    """Since when both best prices have been unchanged."""
    status: BookStatus

    @property
    def best_age_ms(self) -> int:
        """How long the best had stood still at ``ts_ns``, in whole milliseconds."""
        return (self.ts_ns - self.best_since_ns) // NS_PER_MS

    @property
    def spread_ticks(self) -> int:
        """Best ask minus best bid; zero unless both sides have a price."""
        if self.best_bid_price and self.best_ask_price:
            return self.best_ask_price - self.best_bid_price
        return 0


class PublicTrade(NamedTuple):
    """One public execution. ``taker`` is None in an auction, where the wire leaves the side empty.

    Both orders are named, so that a fill of ours can be seen here too; a name is empty where the wire has none.
    """

    exec_id: ExecId
    taker: Side | None
    price: Ticks
    size: Lots
    buy_order_id: OrderId = NO_ORDER
    sell_order_id: OrderId = NO_ORDER
    is_liquidation: bool = False
    """Whether the venue closed a position by it, where it tells so."""
    buy_fee: Money = NO_MONEY
    """What the buyer pays, where the venue tells so; negative for a rebate."""
    sell_fee: Money = NO_MONEY


class PublicTrades(NamedTuple):
    """One message of the executions channel, in the venue's order."""

    ts_ns: int
    trades: tuple[PublicTrade, ...]


class VenueStatus(NamedTuple):
    """What the venue says about itself. None means that this message did not say it."""

    ts_ns: int
    state: BoardState | None = None
    health: Health | None = None


@unique
class OrderEventKind(StrEnum):
    """What can become known about an order, apart from its fills."""

    ACCEPTED = "accepted"
    """The venue accepted the request and named the order. At bitFlyer that is HTTP 200: queued, not yet on the book."""
    REGISTERED = "registered"
    """It is on the book (``ORDER`` event)."""
    REJECTED = "rejected"
    """A definite refusal, in the answer or later (``ORDER_FAILED``)."""
    SEND_UNKNOWN = "send_unknown"
    """The request left and no answer came."""
    NOT_SENT = "not_sent"
    """It had no effect and may be sent again later: it never left, or was refused for overload or a rate limit."""
    PROVEN_ABSENT = "proven_absent"
    """Evidence shows that it was never on the book."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its time ran out, or it was the unfilled remainder of an IOC or FOK."""
    CANCEL_FAILED = "cancel_failed"
    """The venue refused the cancel, mostly because the order was filled already."""
    CANCEL_UNSENT = "cancel_unsent"
    """The request to cancel got no answer or had no effect: send it again."""


class OrderTerms(NamedTuple):
    """Side, price and size that an order was placed with. ``price`` None means at market."""

    side: Side
    price: Ticks | None
    size: Lots


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One fact about an order. At least one of its two names is known."""

    ts_ns: int
    kind: OrderEventKind
    client_order_id: ClientOrderId | None = None
    order_id: OrderId | None = None
    detail: str = ""
    is_margin: bool = False
    """A refusal for lack of margin. The order itself has no fault."""
    terms: OrderTerms | None = None
    """The order's terms, if the event tells them (``ORDER`` does). They identify an order whose answer was lost."""

    def __post_init__(self) -> None:
        """Refuse an event that names no order."""
        if self.client_order_id is None and self.order_id is None:
            raise ValueError("an order event needs a client order id or a venue order id")


@dataclass(frozen=True, slots=True, kw_only=True)
class FillEvent:
    """One fill of one of our orders. Fills are deduplicated by ``exec_id``."""

    ts_ns: int
    exec_id: ExecId
    side: Side
    price: Ticks
    size: Lots
    fee: Money = NO_MONEY
    """What the venue charges; negative for a rebate."""
    client_order_id: ClientOrderId | None = None
    order_id: OrderId | None = None
    is_maker: bool | None = None
    """Whether our order rested; None if the venue does not say so."""

    def __post_init__(self) -> None:
        """Refuse a fill without an order, a price or a size."""
        if self.client_order_id is None and self.order_id is None:
            raise ValueError("a fill needs a client order id or a venue order id")
        if self.price <= 0 or self.size <= 0:
            raise ValueError(f"a fill needs a positive price and size, got {self.price} x {self.size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedFill:
    """A public execution that names an order of ours: the second witness of a fill, beside the private channel."""

    ts_ns: int
    fill: FillEvent
    """The fill as the private channel would tell it. bitFlyer's public channel tells no fees; its CFD has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingEvent:
    """A payment that changes the day's result without a fill: funding or another carry. Positive is income."""

    ts_ns: int
    amount: Money
    what: str


@unique
class RefusalKind(StrEnum):
    """Refusals that concern more than the one request that was refused."""

    THROTTLED = "throttled"
    """A rate limit was exceeded, by us or by others on our account or address."""
    RESTRICTED = "restricted"
    """The venue restricts this account's orders for their irregular number."""
    OVERLOADED = "overloaded"
    """The venue cannot take orders now."""
    UNAUTHORISED = "unauthorised"
    """The key, its permission or the signature's time was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRefusal:
    """The venue refused a request for a reason that also concerns later requests."""

    ts_ns: int
    kind: RefusalKind
    until_ns: int
    """Only exits may be sent before this; ``ts_ns`` if the venue did not say."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReading:
    """The venue's own count of a limit's calls, from an answer's ``x-ratelimit-*`` headers."""

    ts_ns: int
    limit: str
    """The name of a limit of the venue's rules."""
    remaining: int
    reset_ns: int
    """When the venue's window ends, on our clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateChannel:
    """The private event channel came up (logged in, subscribed and acknowledged) or went down."""

    ts_ns: int
    is_live: bool


@unique
class ReportedState(StrEnum):
    """``child_order_state`` (bitFlyer API documentation; CANCELED with one L)."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOrder:
    """One order as the venue lists it. Orders that ended without an execution are never listed."""

    order_id: OrderId
    side: Side
    price: Ticks | None
    """None for a market order."""
    size: Lots
    executed: Lots
    state: ReportedState
    placed_ns: int
    """The venue's stamp of its acceptance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """The account as REST showed it, requested in this order: orders, executions, positions, collateral.

    What happened after ``asked_ns`` may or may not be in it.
    """

    ts_ns: int
    asked_ns: int
    orders: tuple[ReportedOrder, ...]
    """All ACTIVE orders, and the newest of the others."""
    since: ExecId
    """``fills`` are the executions with a higher id, newest last."""
    fills: tuple[FillEvent, ...]
    is_complete: bool
    """False if there are more orders or executions than were requested."""
    position: Lots
    """Signed sum of the open lots."""
    basis: Money
    """Sum of price x size of the open lots, with the position's sign."""
    collateral: Money
    """Without the result of the open position."""
    calls: int = 4
    """Private calls that it cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFailed:
    """The request for the account failed."""

    ts_ns: int
    detail: str
    calls: int = 4
    """Private calls that were made before it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsMade:
    """Private calls that the core did not ask for, such as those of the pre-flight. They count all the same."""

    ts_ns: int
    calls: int


@unique
class Command(StrEnum):
    """What the operator or the shell may command."""

    HALT = "halt"
    """Cancel, flatten, and make no strikes until resumed or until the trading day rolls."""
    STOP = "stop"
    """Cancel and make no more strikes: the process is ending."""
    STOP_FLAT = "stop_flat"
    """As STOP, and close the position too."""
    RESUME = "resume"
    """Lift a halt and a pause."""
    PAUSE = "pause"
    """No strikes until resumed: quotes are taken back, exits go on."""
    FLATTEN = "flatten"
    """As PAUSE, and close the position; until resumed no position may be held."""
    CANCEL_ALL = "cancel_all"
    """Take back the quotes that are live now. The strategy may quote again."""
    HOLD = "hold"
    """No strikes for now, for the command's reason: quotes are taken back, exits go on."""
    RELEASE = "release"
    """Lift a hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A command, with its reason for the log."""

    ts_ns: int
    command: Command
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting and its new value, as text."""

    key: str
    """Such as ``strategy.ttl_ms``."""
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSettings:
    """Settings that hold from this step on. They are checked before: the configuration accepts them."""

    ts_ns: int
    changes: tuple[SettingChange, ...]
    detail: str = ""
    """Who changed what, for the log."""


class Tick(NamedTuple):
    """The core's deadline has come without another event."""

    ts_ns: int


Event = (
    BoardSnapshot
    | VenueStatus
    | OrderEvent
    | FillEvent
    | PrintedFill
    | FundingEvent
    | VenueRefusal
    | LimitReading
    | PrivateChannel
    | AccountReport
    | ReportFailed
    | CallsMade
    | Control
    | NewSettings
    | Tick
)

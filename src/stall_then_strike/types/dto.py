"""The values that layers hand to each other: snapshots, events, actions, decisions and log rows.

Events are facts of the past that :class:`~stall_then_strike.engine.core.Core` is told; actions are what it wants done;
rows are what it wants written. All stamps named ``ts_ns`` are ours: nanoseconds since the Unix epoch, UTC, taken on
receipt. The venue's own stamps never drive a decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique
from typing import Final, NamedTuple, NewType, Protocol

from stall_then_strike.types.instrument import NO_MONEY, NO_PRICE, Lots, Money, Ticks

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

ClientOrderId = NewType("ClientOrderId", str)
"""Our own name of an order, given before it is sent. bitFlyer has no field for it: it never leaves this machine."""

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

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


@unique
class BookStatus(IntEnum):
    """How far the local book can be believed. Only ``OK`` allows a strike."""

    OK = 0
    UNKNOWN = 1
    """No snapshot since the last (re)connect."""
    SUSPECT = 2
    """The last message's mid price, or the book itself (crossed, one side empty), contradicts it."""
    STALE = 3
    """Believed, but its last message is older than ``stale_ms``."""


@unique
class BoardState(StrEnum):
    """State of the venue's board, as in the ticker channel (bitFlyer API documentation, ``getboardstate``)."""

    RUNNING = "RUNNING"
    CLOSED = "CLOSED"
    STARTING = "STARTING"
    PREOPEN = "PREOPEN"
    CIRCUIT_BREAK = "CIRCUIT BREAK"
    UNKNOWN = "UNKNOWN"
    """Not heard yet, or a word that the documentation does not list."""


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
    """Why something was done or not done; lands in the decision log in lower case.

    Numbers and not words, because the decision function is compiled for research.
    """

    STRIKE = 1
    # Gates, in the order in which they are asked.
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
    """The private channel is down, or the account was not reconciled since it came up. Asked after CLOSING."""
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
    """The venue answered that we went over a limit of its."""
    AUTH_REFUSED = 47
    POSITION_MISMATCH = 48
    CLOCK_SKEW = 49
    # Lifts.
    DAY_ROLL = 50
    RESUMED = 51
    # Of orders found at the venue.
    ORPHAN = 60
    """One of ours that an earlier run, or a lost answer, left behind."""

    @property
    def label(self) -> str:
        """The word in the logs."""
        return self.name.lower()


class BookReader(Protocol):
    """Read access to a displayed book, in integers: what a fill model needs of it."""

    def size_at(self, side: Side, price: Ticks) -> Lots:
        """Size displayed at a price; zero where there is no level. BUY is the bid side."""
        ...

    def levels(self, side: Side) -> Iterator[tuple[Ticks, Lots]]:
        """Levels of a side, best first."""
        ...


# --- Events: what the core is told -----------------------------------------------------------------------------------


class BoardSnapshot(NamedTuple):
    """The best of the book, without our own orders, after one message.

    Prices and sizes are zero on a side that is empty or while the book is unknown. A NamedTuple and not, as the other
    events, a frozen dataclass: one is made for every board message, and this costs a third.
    """

    ts_ns: int
    best_bid_price: Ticks
    best_bid_size: Lots
    best_ask_price: Ticks
    best_ask_size: Lots
    best_since_ns: int
    """Since when both best prices have stood where they are."""
    status: BookStatus

    @property
    def best_age_ms(self) -> int:
        """How long the best had stood still at ``ts_ns``, in whole milliseconds."""
        return (self.ts_ns - self.best_since_ns) // NS_PER_MS

    @property
    def spread_ticks(self) -> int:
        """Best ask minus best bid; zero unless both sides are there."""
        if self.best_bid_price and self.best_ask_price:
            return self.best_ask_price - self.best_bid_price
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """One public execution. ``taker`` is None in an auction, where the wire leaves the side empty.

    Both orders are named, so that a fill of ours can be seen here too; a name is empty where the wire has none.
    """

    exec_id: ExecId
    taker: Side | None
    price: Ticks
    size: Lots
    buy_order_id: OrderId = NO_ORDER
    sell_order_id: OrderId = NO_ORDER


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrades:
    """One message of the executions channel, in the venue's order."""

    ts_ns: int
    trades: tuple[PublicTrade, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueStatus:
    """What the venue says of itself. None means: this message did not say."""

    ts_ns: int
    state: BoardState | None = None
    health: Health | None = None


@unique
class OrderEventKind(StrEnum):
    """What can become known of an order, beside its fills."""

    ACCEPTED = "accepted"
    """The venue took the request and named it. At bitFlyer that is HTTP 200: queued, not yet on the book."""
    REGISTERED = "registered"
    """It is on the book (``ORDER`` event)."""
    REJECTED = "rejected"
    """A definite no, in the answer or later (``ORDER_FAILED``)."""
    SEND_UNKNOWN = "send_unknown"
    """The request left and no answer came."""
    NOT_SENT = "not_sent"
    """It did not take effect and may be sent again later: never left, refused for overload or for a rate limit."""
    PROVEN_ABSENT = "proven_absent"
    """Evidence shows that it never came to live."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its time ran out, or it was the unfilled rest of an IOC or FOK."""
    CANCEL_FAILED = "cancel_failed"
    """The venue refused the cancel, mostly because the order is filled already."""
    CANCEL_UNSENT = "cancel_unsent"
    """The request to cancel got no answer or did not take effect: ask again."""


class OrderTerms(NamedTuple):
    """What an order asks for. ``price`` None means at market."""

    side: Side
    price: Ticks | None
    size: Lots


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One fact on an order. At least one of the two names is known."""

    ts_ns: int
    kind: OrderEventKind
    client_order_id: ClientOrderId | None = None
    order_id: OrderId | None = None
    detail: str = ""
    terms: OrderTerms | None = None
    """What it asks for, where the event says so (``ORDER`` does): names an order whose answer was lost."""

    def __post_init__(self) -> None:
        """Refuse an event on nothing."""
        if self.client_order_id is None and self.order_id is None:
            raise ValueError("an order event needs a client order id or a venue order id")


@dataclass(frozen=True, slots=True, kw_only=True)
class FillEvent:
    """One fill of one of our orders. ``exec_id`` is what fills are deduplicated by."""

    ts_ns: int
    exec_id: ExecId
    side: Side
    price: Ticks
    size: Lots
    fee: Money = NO_MONEY
    """What the venue takes; negative for a rebate."""
    client_order_id: ClientOrderId | None = None
    order_id: OrderId | None = None

    def __post_init__(self) -> None:
        """Refuse a fill of nothing or of nobody."""
        if self.client_order_id is None and self.order_id is None:
            raise ValueError("a fill needs a client order id or a venue order id")
        if self.price <= 0 or self.size <= 0:
            raise ValueError(f"a fill needs a positive price and size, got {self.price} x {self.size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingEvent:
    """A payment that changes the day's result without a fill: funding or another carry. Positive is income."""

    ts_ns: int
    amount: Money
    what: str


@unique
class RefusalKind(StrEnum):
    """Refusals that say more of us than of the one request that met them."""

    THROTTLED = "throttled"
    """We went over a rate limit."""
    OVERLOADED = "overloaded"
    """The venue cannot take orders now."""
    UNAUTHORISED = "unauthorised"
    """The key, its permission or the signature's time was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRefusal:
    """The venue refused a request for a reason that concerns those to come, too."""

    ts_ns: int
    kind: RefusalKind
    until_ns: int
    """Nothing but exits is to be sent before; ``ts_ns`` where the venue did not say."""
    detail: str


@unique
class LimitName(StrEnum):
    """The venue's limits that it reports in its headers."""

    PRIVATE = "private"
    ORDERS = "orders"
    ADDRESS = "address"
    """All calls from this address, public ones included; told by the answers to those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReading:
    """The venue's own count of a limit's calls, from an answer's ``x-ratelimit-*`` headers."""

    ts_ns: int
    limit: LimitName
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
    """One order as the venue lists it. Orders that died without an execution are never listed."""

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
    """The account as the venue showed it over REST, asked in this order: orders, executions, positions, collateral.

    What came about after ``asked_ns`` may or may not be in it.
    """

    ts_ns: int
    asked_ns: int
    orders: tuple[ReportedOrder, ...]
    """All that are ACTIVE, and the newest of the others."""
    since: ExecId
    """``fills`` are the executions with a higher id, newest last."""
    fills: tuple[FillEvent, ...]
    is_complete: bool
    """False if there are more orders or executions than were asked for."""
    position: Lots
    """Signed sum of the open lots."""
    basis: Money
    """Sum of price x size of the open lots, with the position's sign."""
    collateral: Money
    """Without what is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFailed:
    """The account could not be asked."""

    ts_ns: int
    detail: str


@unique
class Command(StrEnum):
    """What the operator or the shell may order."""

    HALT = "halt"
    """Cancel, flatten, and strike no more until resumed or the trading day rolls."""
    STOP = "stop"
    """Cancel and strike no more: the process is ending."""
    STOP_FLAT = "stop_flat"
    """As STOP, and close the position too."""
    RESUME = "resume"
    """Lift a halt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A command, with its reason for the log."""

    ts_ns: int
    command: Command
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Nothing happened, but the core's deadline has come."""

    ts_ns: int


Event = (
    BoardSnapshot
    | VenueStatus
    | OrderEvent
    | FillEvent
    | FundingEvent
    | VenueRefusal
    | LimitReading
    | PrivateChannel
    | AccountReport
    | ReportFailed
    | Control
    | Tick
)


# --- Actions: what the core wants done -------------------------------------------------------------------------------


@unique
class TimeInForce(StrEnum):
    """How long an order may rest (bitFlyer API documentation)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceLimit:
    """``place_limit``: rest one order at a price. ``ttl_ms`` is ours: the core cancels, the venue is not told."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks
    size: Lots
    ttl_ms: int
    tag: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAllStall:
    """``cancel_all_stall``: cancel the named working quotes of this strategy, and no other order of the account."""

    order_ids: tuple[OrderId, ...]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseMarket:
    """``close_market``: take liquidity, at market (``price`` None) or as IOC limit at ``price``."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks | None
    size: Lots
    tag: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """Ask the venue for the account; the answer is an :class:`AccountReport` or a :class:`ReportFailed`."""

    since: ExecId
    """Executions after this one are wanted."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewFeed:
    """Connect anew: the private channel is silent on what it should have told."""

    why: str


Action = PlaceLimit | CancelAllStall | CloseMarket | Reconcile | RenewFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as a gateway sends it. ``price`` None means MARKET."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks | None
    size: Lots
    time_in_force: TimeInForce


# --- State that outlives the process ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMemo:
    """An order as it is remembered: the fields of ``engine.orders.Order``, frozen."""

    client_order_id: ClientOrderId
    order_id: OrderId | None
    side: Side
    price: Ticks | None
    size: Lots
    time_in_force: TimeInForce
    ttl_ms: int
    tag: str
    reason: Reason
    sent_ns: int
    state: str
    """Value of ``engine.orders.OrderState``."""
    executed: Lots
    cancel_reason: Reason | None
    cancel_sent_ns: int | None
    registered_ns: int | None
    """When it was first known to be on the book."""
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryMemo:
    """What ``engine.inventory.InventoryManager`` has to know to go on: lots and money units."""

    position: int
    basis: int
    realised: int
    realised_at_roll: int
    equity_at_roll: int
    peak: int
    max_drawdown: int
    mid2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMemo:
    """What a later run has to know of this one, beside its orders and fills."""

    ts_ns: int
    day: str
    """Trading day as YYYY-MM-DD, empty before the first event."""
    inventory: InventoryMemo
    halted: Reason | None
    halt_ns: int
    halt_detail: str
    pnl_base: int
    """Where the day's loss is counted from since the last resume, money units."""
    cash_base: int | None
    """The venue's collateral less what fills explain of it, money units; None before the first report."""
    since: ExecId | None
    """Executions up to this one are all accounted for; None before the first report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """A fill with what the venue called it, and its row in the trade log."""

    exec_id: ExecId
    client_order_id: ClientOrderId | None
    """None for a fill that is not of an order of ours."""
    row: TradeLogRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the story of the account, for ``why``: what was sent, answered, told, found, halted."""

    ts_ns: int
    what: str
    """One word: ``send``, ``cancel``, an event's kind, ``report``, ``halt``, ``resume``, ``refusal``, ``channel``."""
    client_order_id: ClientOrderId | None = None
    order_id: OrderId | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a step changed that must outlive the process. To be stored as one, before the step's actions are sent."""

    ts_ns: int
    orders: tuple[OrderMemo, ...] = ()
    """Every order touched, as it is now."""
    fills: tuple[BookedFill, ...] = ()
    facts: tuple[Fact, ...] = ()
    memo: CoreMemo | None = None
    """None if nothing in it changed."""


# --- State and decision values ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryState:
    """The position and the trading day's result, as shown and logged. Money is marked to the mid where it says so."""

    side: str
    """``flat``, ``long`` or ``short``."""
    size: Lots
    avg_price: Ticks
    """Average entry price, rounded to the nearest tick for show; the accounting keeps the exact cost."""
    pnl_today_jpy: Money
    """Realised and marked, fees and funding included, since the day began."""
    realised_today_jpy: Money
    max_drawdown_jpy: Money
    """Deepest fall from the day's peak, zero or negative."""
    drawdown_jpy: Money
    """Fall from the day's peak now, zero or negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMeta:
    """What was decided and why; zero stands for a price that the decision does not have."""

    decision_type: str
    """``strike``, ``cancel``, ``close``, ``halt``, ``resume`` or ``hold``."""
    reason: Reason
    entry_bid: Ticks = NO_PRICE
    entry_ask: Ticks = NO_PRICE


# --- Log rows --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeLogRow:
    """One fill, with its effect on the day."""

    ts_ns: int
    order_id: str
    side: Side
    price: Ticks
    size: Lots
    fee: Money
    tag: str
    pnl_jpy: Money
    """Realised by this fill, after its fee."""
    pnl_cum_jpy: Money
    """Realised in the trading day so far, fees and funding included."""
    inventory_after: Lots
    """Signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLogRow:
    """One fact on an order: ``place`` (taken or refused), ``cancel`` (confirmed) or ``expire``."""

    ts_ns: int
    action: str
    order_id: str
    client_order_id: str
    side: Side
    price: Ticks
    """Zero for a market order."""
    size: Lots
    tif: TimeInForce
    ttl_ms: int
    """Zero where none applies."""
    tag: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLogRow:
    """One decision: every action, and every change of the reason for doing nothing."""

    ts_ns: int
    best_age_ms: int
    spread_ticks: int
    inventory: Lots
    """Signed."""
    decision_type: str
    entry_bid_px: Ticks
    entry_ask_px: Ticks
    actions: tuple[Action, ...]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A line for the operator's runtime log. ``level`` is a loguru level name."""

    ts_ns: int
    level: str
    text: str


Row = TradeLogRow | OrderLogRow | DecisionLogRow | Notice


@dataclass(frozen=True, slots=True)
class Step:
    """The core's answer to one event."""

    actions: tuple[Action, ...] = ()
    rows: tuple[Row, ...] = ()
    changes: Changes | None = None


NOTHING: Final = Step()
"""The step in which nothing is to be done: most of them."""

"""What can be seen of a running account: one frozen value, which panel, minute line and summary read.

Plain numbers, decimals and texts, taken by the shell at one moment. Nothing here reads a clock or a store, so that the
display can neither change nor slow a run. Prices and money are in the quote currency of their instrument, those of the
account in the account's; sizes are in the base asset. Every default means "not known yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Self

from stall_then_strike.engine.orders import Order
from stall_then_strike.types.dto import (
    NS_PER_S,
    BoardState,
    BookStatus,
    Health,
    InventoryState,
    OrderMemo,
    Reason,
    Side,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import plain, utc_iso

ZERO: Final = Decimal(0)
_PLAIN: Final = frozenset({str, int, float, bool})
_AS_NAMED: Final[Mapping[str, str]] = MappingProxyType({})


def price_of(unit: Instrument, ticks: int) -> Decimal:
    """A price with all decimals of its instrument, so that it keeps its width on the screen."""
    return unit.price(ticks).quantize(unit.tick_size.normalize())


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why trading is halted, and since when."""

    reason: str
    ts_ns: int = 0
    """Zero if it is not known."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """Result of a trading day, marked to the last known mid."""

    pnl: Decimal = ZERO
    """Realised and marked."""
    realised: Decimal = ZERO
    drawdown: Decimal = ZERO
    """Zero or negative."""
    max_drawdown: Decimal = ZERO
    fills: int = 0
    """Executions of the day, of earlier runs as well."""

    @classmethod
    def of(cls, state: InventoryState, unit: Instrument, **more: Any) -> Self:
        """An instrument's; ``more`` are the fields of a subclass."""
        return cls(
            pnl=unit.amount(state.pnl_today_jpy),
            realised=unit.amount(state.realised_today_jpy),
            drawdown=unit.amount(state.drawdown_jpy),
            max_drawdown=unit.amount(state.max_drawdown_jpy),
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOrder:
    """One of our orders that is not known to have ended."""

    sent_ns: int
    client_order_id: str
    order_id: str | None = None
    """The venue's name of it; None before it is known."""
    side: Side
    price: Decimal | None
    """None at market."""
    size: Decimal
    remaining: Decimal
    """Not filled yet."""
    state: str
    """As in the order table: ``working``, ``partial``, ``pending_cancel`` ..."""
    tag: str = ""

    @classmethod
    def of(cls, order: Order | OrderMemo, unit: Instrument) -> Self:
        """From the order table or the journal."""
        return cls(
            sent_ns=order.sent_ns,
            client_order_id=order.client_order_id,
            order_id=order.order_id,
            side=order.side,
            price=None if order.price is None else price_of(unit, order.price),
            size=unit.size(order.size),
            remaining=unit.size(max(0, order.size - order.executed)),
            state=str(order.state),
            tag=order.tag,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One price of the displayed book."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedQuote:
    """One order that the strategy wants on the book."""

    side: Side
    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLine:
    """One decision, as in the decision log."""

    ts_ns: int
    decision_type: str
    reason: str
    detail: str = ""
    """What was done, in brief."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill of ours."""

    ts_ns: int
    side: Side
    price: Decimal
    size: Decimal
    pnl: Decimal
    """Realised by this fill."""
    inventory_after: Decimal = ZERO
    tag: str = ""

    @classmethod
    def of(cls, row: TradeLogRow, unit: Instrument, **more: Any) -> Self:
        """From the trade log or the journal; ``more`` are the fields of a subclass."""
        return cls(
            ts_ns=row.ts_ns,
            side=row.side,
            price=price_of(unit, row.price),
            size=unit.size(row.size),
            pnl=unit.amount(row.pnl_jpy),
            inventory_after=unit.size(row.inventory_after),
            tag=row.tag,
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """One rate limit of the venue: how much of its rolling window is used."""

    name: str
    """Such as ``private/5min``."""
    used: int
    limit: int
    next_s: float | None = None
    """Seconds until a call of a quote fits; zero if one fits now. None if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From board text to decision, microseconds; None before the first sample."""

    p50_us: float | None = None
    p99_us: float | None = None
    samples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened since the start."""

    messages: int = 0
    """Board messages."""
    strikes: int = 0
    """Decisions to send quotes, whatever the strategy calls them."""
    placed: int = 0
    """Orders that the venue accepted."""
    filled: int = 0
    """Orders filled completely."""
    partly_filled: int = 0
    """Orders that ended partly filled."""
    fills: int = 0
    """Executions of ours; one order may have several."""
    cancels: int = 0
    """Confirmed cancels."""
    closes: int = 0
    rejects: int = 0
    garbage: int = 0
    """Frames that could not be parsed and were dropped."""

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Counts)})

    @property
    def fill_ratio(self) -> float | None:
        """Share of placed orders with any fill; None if none was placed."""
        return (self.filled + self.partly_filled) / self.placed if self.placed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """State of our knowledge of the account at the venue; live runs only."""

    is_live: bool
    """The private channel is connected."""
    is_settled: bool
    """Reconciled since it connected, and the positions agree."""
    reported_s: float | None
    """Seconds since the last reconciliation; None before the first."""
    in_doubt: int = 0
    """Live orders that were missing from the venue's last list, or whose answer was lost."""
    lag_p99_ms: float | None = None
    """Lag of the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How often and for how long one reason held."""

    reason: str
    count: int
    seconds: float | None = None
    """None if it was not measured."""


def reason_counts(rows: Mapping[Reason, int], held_ns: Mapping[Reason, int]) -> tuple[ReasonCount, ...]:
    """Combine a run's decision rows by reason with how long each reason for doing nothing held."""
    return tuple(
        ReasonCount(
            reason=reason.label,
            count=count,
            seconds=held_ns[reason] / NS_PER_S if reason in held_ns else None,
        )
        for reason, count in rows.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """An instrument's result in this run."""

    realised: Decimal = ZERO
    """With fees and funding."""
    marked: Decimal = ZERO
    """The open position's profit at the last mid."""
    max_drawdown: Decimal = ZERO
    """Deepest drawdown of realised and marked together."""
    volume: Decimal = ZERO
    """Traded, base asset."""
    mid_checks: int = 0
    """Messages whose mid price was compared with the book's."""
    mid_agreed: int = 0
    reasons: tuple[ReasonCount, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentSnapshot:
    """One instrument of the account."""

    product: str = ""
    base: str = ""
    quote: str = ""
    reason: str = ""
    """The latest reason for acting or holding."""

    venue_state: BoardState = BoardState.UNKNOWN
    venue_health: Health = Health.UNKNOWN
    book: BookStatus = BookStatus.UNKNOWN
    message_age_ms: int | None = None
    """Since the last board message."""
    stale_ms: int | None = None
    """From this age on the book is stale."""
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    spread_ticks: int | None = None
    bids: tuple[Level, ...] = ()
    """The first levels of the displayed book, best first, with our own orders."""
    asks: tuple[Level, ...] = ()
    best_age_ms: int | None = None
    stall_ms: int | None = None
    """From this age on the best prices count as standing still; None if the strategy knows no stalls."""
    word: str = "strike"
    """What the strategy calls sending quotes."""

    position: Decimal = ZERO
    """Signed."""
    max_position: Decimal | None = None
    """On either side."""
    avg_price: Decimal | None = None
    day: DayFigures = DayFigures()
    run: RunFigures = RunFigures()
    counts: Counts = Counts()

    orders: tuple[LiveOrder, ...] = ()
    quotes: tuple[WantedQuote, ...] = ()
    decisions: tuple[DecisionLine, ...] = ()
    """Oldest first; the panel shows the latest ones that fit."""
    fills: tuple[Fill, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment of a run: the account, and its instruments."""

    ts_ns: int
    """UTC, on the run's own clock; in a replay the tape's."""
    mode: str
    """Such as ``paper · embedded exchange``."""
    uptime_s: float = 0.0
    halt: Halt | None = None
    paused: str = ""
    """``paused`` or ``flatten`` as the operator commanded; empty while trading is not paused."""
    awaited: str = ""
    """What the run's end waits for; empty before."""
    connected: bool = False
    reconnects: int = 0
    account: AccountLine | None = None
    """None on paper."""

    quote: str = ""
    """The currency of the account's money."""
    date: str = ""
    """The trading day, ``2026-11-29``."""
    day: DayFigures = DayFigures()
    """All instruments together, including earlier runs of the day."""
    pnl_limit: Decimal | None = None
    """Result of the day at which trading halts, below zero."""
    drawdown_limit: Decimal | None = None
    equity: tuple[Decimal, ...] = ()
    """The day's result at even steps of time since the run or the day began, oldest first; the last is the present."""

    budget: tuple[BudgetUse, ...] = ()
    budget_wait: str = ""
    """Which limit the next strike waits for, and until when; empty if it need not wait."""
    latency: Latency = Latency()
    counts: Counts = field(init=False)
    """All instruments together."""
    instruments: tuple[InstrumentSnapshot, ...]

    def __post_init__(self) -> None:
        """Add the counts up."""
        object.__setattr__(self, "counts", sum((one.counts for one in self.instruments), Counts()))

    @property
    def alone(self) -> InstrumentSnapshot | None:
        """The account's only instrument; None if there are several."""
        return self.instruments[0] if len(self.instruments) == 1 else None

    @property
    def strikes(self) -> str:
        """What sending quotes is called, in the plural: quotes, if the strategies differ."""
        words = {one.word for one in self.instruments}
        return f"{words.pop()}s" if len(words) == 1 else "quotes"

    @property
    def doing(self) -> str:
        """In a word, while trading is not halted: what the end waits for, or the reason of an only instrument."""
        reasons = [one.reason for one in self.instruments]
        return self.awaited or (reasons[0] if len(reasons) == 1 else "trading" if any(reasons) else "") or "starting"

    @property
    def named(self) -> tuple[tuple[str, InstrumentSnapshot], ...]:
        """The instruments with their short names: the base asset if no other has it; none for an only one."""
        bases = [one.base for one in self.instruments]
        return tuple(
            ("" if len(bases) == 1 else one.base if bases.count(one.base) == 1 else one.product, one)
            for one in self.instruments
        )


def as_plain(value: object, names: Mapping[str, str] = _AS_NAMED) -> Any:
    """A value of this module as dicts, lists, texts and numbers, for JSON.

    Decimals and stamps are texts, as in the CSV logs; ``ts_ns`` becomes ``ts``. ``names`` are keys to use for fields.
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple):
        return [as_plain(item, names) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        shown: dict[str, Any] = {}
        for name, key, is_stamp in _fields_of(type(value)):
            item = getattr(value, name)
            shown[names.get(name, key)] = utc_iso(item) if is_stamp else as_plain(item, names)
        return shown
    if isinstance(value, StrEnum):
        return value.value
    return value.name.lower() if isinstance(value, Enum) else value


@cache
def _fields_of(kind: type) -> tuple[tuple[str, str, bool], ...]:
    """The fields of a class, each with its key and whether it is a stamp. Looking them up took most of the time."""
    return tuple((one.name, one.name.removesuffix("_ns"), one.name.endswith("_ns")) for one in fields(kind))

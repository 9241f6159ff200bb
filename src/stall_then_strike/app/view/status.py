"""What an operator can see of a run: values for the panel, the minute line and the summary at the end.

Plain numbers, decimals and words, taken by the shell at one moment; nothing here reads a clock or a store, so showing
a run can neither change nor slow it. Everything has a default that means "not known yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from stall_then_strike.types.dto import NS_PER_S, BoardState, BookStatus, Health, Reason, Side

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingOrder:
    """One of our orders that may be live."""

    side: Side
    price: Decimal | None
    """JPY; None at market."""
    size: Decimal
    """BTC."""
    remaining: Decimal
    """BTC not filled yet."""
    age_ms: int
    state: str
    """As in the order table: ``working``, ``partial``, ``pending_cancel`` ..."""
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLine:
    """One decision, as in the decision log."""

    ts_ns: int
    decision_type: str
    reason: str
    detail: str = ""
    """What was done, in few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLine:
    """One fill of ours."""

    ts_ns: int
    side: Side
    price: Decimal
    """JPY."""
    size: Decimal
    """BTC."""
    pnl_jpy: Decimal
    """Realised by this fill."""
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """One rate limit of the venue: how much of its rolling window is used."""

    name: str
    """Such as ``private/5min``."""
    used: int
    limit: int


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
    placed: int = 0
    """Orders that the venue took."""
    filled: int = 0
    """Orders filled whole."""
    partly_filled: int = 0
    """Orders that ended with a part filled."""
    fills: int = 0
    """Executions of ours; one order may have several."""
    cancels: int = 0
    """Confirmed."""
    closes: int = 0
    rejects: int = 0
    reconnects: int = 0
    garbage: int = 0
    """Frames that could not be understood, and were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """How well the account at the venue is known; live only."""

    is_live: bool
    """The private channel is up."""
    is_settled: bool
    """Reconciled since it came up, and the positions agree."""
    reported_s: float | None
    """Since the last look at the account, seconds; None before the first."""
    in_doubt: int = 0
    """Live orders that the venue's last list lacked, or whose answer was lost."""
    lag_p99_ms: float | None = None
    """Of the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One moment of a run."""

    ts_ns: int
    """UTC, on the run's own clock, which in a replay is the tape's."""
    mode: str
    """Such as ``paper · embedded exchange``."""
    product: str = "FX_BTC_JPY"
    uptime_s: float = 0.0
    halted: str | None = None
    """Why trading is halted; None while it is not."""
    reason: str = ""
    """The latest reason for acting or holding."""

    connected: bool = False
    venue_state: BoardState = BoardState.UNKNOWN
    venue_health: Health = Health.UNKNOWN
    book: BookStatus = BookStatus.UNKNOWN
    message_age_ms: int | None = None
    """Since the last board message."""
    stale_ms: int | None = None
    """Above this age the book is not believed."""
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    spread_ticks: int | None = None
    best_age_ms: int | None = None
    stall_ms: int | None = None
    """From this age on the best counts as standing still."""

    position: Decimal = ZERO
    """BTC, signed."""
    max_position: Decimal | None = None
    """BTC, either way."""
    avg_price: Decimal | None = None
    pnl_today_jpy: Decimal = ZERO
    """Realised and marked."""
    realised_today_jpy: Decimal = ZERO
    pnl_limit_jpy: Decimal | None = None
    """Result of the day at which trading halts, below zero."""
    drawdown_jpy: Decimal = ZERO
    """Zero or negative."""
    max_drawdown_jpy: Decimal = ZERO
    drawdown_limit_jpy: Decimal | None = None

    account: AccountLine | None = None
    """None on paper."""

    orders: tuple[WorkingOrder, ...] = ()
    decisions: tuple[DecisionLine, ...] = ()
    """Oldest first; the panel shows as many of the latest as there is room for."""
    fills: tuple[FillLine, ...] = ()
    """Oldest first."""
    budget: tuple[BudgetUse, ...] = ()
    budget_wait: str = ""
    """Which limit holds the next strike up, and until when; empty while none does."""
    latency: Latency = Latency()
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How often, and for how long, one reason was the current one."""

    reason: str
    count: int
    seconds: float | None = None
    """None where it was not measured."""


def reason_counts(rows: Mapping[Reason, int], held_ns: Mapping[Reason, int]) -> tuple[ReasonCount, ...]:
    """From a run's counts: decision rows by reason, and how long each reason for doing nothing held."""
    return tuple(
        ReasonCount(
            reason=reason.label,
            count=count,
            seconds=held_ns[reason] / NS_PER_S if reason in held_ns else None,
        )
        for reason, count in rows.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A whole run."""

    mode: str
    product: str = "FX_BTC_JPY"
    duration_s: float
    counts: Counts = Counts()
    realised_jpy: Decimal = ZERO
    """Of the whole run, fees and funding included."""
    marked_jpy: Decimal = ZERO
    """Open position against the mid at the end, and what it cost."""
    max_drawdown_jpy: Decimal = ZERO
    """Deepest fall of both together, over the whole run."""
    day: str = ""
    """The trading day in which the run ended, ``2026-11-29``."""
    day_jpy: Decimal = ZERO
    """Result of that day, realised and marked; what earlier runs of the day earned included."""
    day_max_drawdown_jpy: Decimal = ZERO
    position: Decimal = ZERO
    """BTC at the end, signed."""
    volume: Decimal = ZERO
    """BTC traded."""
    mid_checks: int = 0
    """Messages whose mid price was compared with the book's."""
    mid_agreed: int = 0
    latency: Latency = Latency()
    reasons: tuple[ReasonCount, ...] = ()
    log_dir: str = ""
    ended: str = ""
    """Why: ``duration over``, ``SIGINT``, ``halted: kill_pnl`` ..."""

    @property
    def fill_ratio(self) -> float | None:
        """Orders with any fill, of those placed; None when none was."""
        if not self.counts.placed:
            return None
        return (self.counts.filled + self.counts.partly_filled) / self.counts.placed

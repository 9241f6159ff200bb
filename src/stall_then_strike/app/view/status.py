"""What an operator can see of a run: values for the panel, the minute line and the summary at the end.

Plain numbers, decimals and texts, taken by the shell at one moment. Nothing here reads a clock or a store, so that the
display can neither change nor slow a run. Every default means "not known yet".
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
    """Quote currency; None at market."""
    size: Decimal
    """Base asset."""
    remaining: Decimal
    """Not filled yet, base asset."""
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
    """What was done, in brief."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLine:
    """One fill of ours."""

    ts_ns: int
    side: Side
    price: Decimal
    """Quote currency."""
    size: Decimal
    """Base asset."""
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
    reconnects: int = 0
    garbage: int = 0
    """Frames that could not be parsed and were dropped."""


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
class Status:
    """One moment of a run."""

    ts_ns: int
    """UTC, on the run's own clock; in a replay the tape's."""
    mode: str
    """Such as ``paper · embedded exchange``."""
    product: str = ""
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
    """From this age on the book is stale."""
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    spread_ticks: int | None = None
    best_age_ms: int | None = None
    stall_ms: int | None = None
    """From this age on the best prices count as standing still."""

    position: Decimal = ZERO
    """Base asset, signed."""
    max_position: Decimal | None = None
    """On either side, base asset."""
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
    """Oldest first; the panel shows the latest ones that fit."""
    fills: tuple[FillLine, ...] = ()
    """Oldest first."""
    budget: tuple[BudgetUse, ...] = ()
    budget_wait: str = ""
    """Which limit the next strike waits for, and until when; empty if it need not wait."""
    latency: Latency = Latency()
    counts: Counts = Counts()


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
class Summary:
    """A whole run."""

    mode: str
    product: str = ""
    duration_s: float
    counts: Counts = Counts()
    realised_jpy: Decimal = ZERO
    """Realised over the whole run, with fees and funding."""
    marked_jpy: Decimal = ZERO
    """The open position's profit at the last mid."""
    max_drawdown_jpy: Decimal = ZERO
    """Deepest drawdown of realised and marked together, over the whole run."""
    day: str = ""
    """The trading day in which the run ended, ``2026-11-29``."""
    day_jpy: Decimal = ZERO
    """Result of that day, realised and marked, including earlier runs of the day."""
    day_max_drawdown_jpy: Decimal = ZERO
    position: Decimal = ZERO
    """At the end, base asset, signed."""
    volume: Decimal = ZERO
    """Traded, base asset."""
    mid_checks: int = 0
    """Messages whose mid price was compared with the book's."""
    mid_agreed: int = 0
    latency: Latency = Latency()
    reasons: tuple[ReasonCount, ...] = ()
    log_dir: str = ""
    ended: str = ""
    """Why it ended: ``duration over``, ``SIGINT``, ``halted: kill_pnl`` ..."""

    @property
    def fill_ratio(self) -> float | None:
        """Share of placed orders with any fill; None if none was placed."""
        if not self.counts.placed:
            return None
        return (self.counts.filled + self.counts.partly_filled) / self.counts.placed

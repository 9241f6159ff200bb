"""Settings of the strategy, of risk, of the account and of the trading day."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import Final, Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Number, Section, TimeOfDay, ZoneName


class QuoteMode(StrEnum):
    """Where the two quotes of a strike go."""

    MID = "mid"
    """Around the mid: floor(mid) - offset and ceil(mid) + offset."""
    INSIDE = "inside"
    """One offset better than the best."""
    JOIN = "join"
    """At the best, behind the orders that are there."""


class CloseType(StrEnum):
    """How a position is closed."""

    MARKET = "market"
    IOC = "ioc"
    """Limit within ``close_band_ticks`` of the best. What is not filled is sent again."""


class AfterHalt(StrEnum):
    """What the process does once the kill switch has closed the position."""

    EXIT = "exit"
    WAIT = "wait"
    """Stay up, and trade again when the trading day rolls."""


STALL_THEN_STRIKE: Final = "stall_then_strike"


class StallStrategyConfig(Section):
    """Which strategy trades, what holds for every strategy, and the settings of stall-then-strike.

    Every strategy has ``name``, ``max_inventory_btc``, ``stale_ms`` and the keys of closes. Stall-then-strike has its
    other settings here, as the specification does; any other strategy has them in ``parameters``.
    """

    name: str = Field(
        default=STALL_THEN_STRIKE,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
        description="stall_then_strike, grid, or the module.Class of your own (docs/strategies.md)",
    )
    stall_T_ms: int = Field(default=250, ge=1, description="time for which both best prices must have stood still, ms")
    min_spread_tick: int = Field(default=1, ge=1, description="narrowest spread in which to strike, ticks")
    ttl_ms: int = Field(
        default=800, ge=1, le=50_000, description="life of a quote, ms (the venue's own expiry is 1 minute)"
    )
    max_reverse_ticks: int = Field(
        default=2, ge=1, description="move of the mid against the average price at which to close, ticks"
    )
    size_min: Number = Field(default=Decimal("0.001"), gt=0, description="size of one quote, BTC")
    max_inventory_btc: Number = Field(
        default=Decimal("0.2"), gt=0, description="largest position either way, open orders counted as filled, BTC"
    )
    stale_ms: int = Field(
        default=700, ge=1, description="time without a message after which the book is stale, ms (541 is usual)"
    )
    quote_mode: QuoteMode = Field(
        default=QuoteMode.MID,
        strict=False,
        description="where quotes go: mid (mid +- offset), inside (best improved by offset) or join (at the best)",
    )
    quote_offset_ticks: int = Field(default=1, ge=0, description="offset of mid and inside, ticks")
    close_type: CloseType = Field(
        default=CloseType.MARKET,
        strict=False,
        description="how to close: market, or ioc (a limit within the band below)",
    )
    close_band_ticks: int = Field(
        default=3_000, ge=0, description="ticks beyond the best price that an IOC close may pay"
    )
    close_retry_ms: int = Field(default=500, ge=50, description="pause before the remainder of a close is sent, ms")


class RiskConfig(Section):
    """When trading halts, and what is done then. The day's limits are losses, so both are below zero."""

    daily_pnl_jpy: Number = Field(
        default=Decimal(-30_000), lt=0, description="day's result (realised + marked to mid) at which to halt, JPY"
    )
    max_dd_jpy: Number = Field(
        default=Decimal(-20_000), lt=0, description="fall from the day's peak at which to halt, JPY"
    )
    max_rejects: int = Field(default=10, ge=1, description="refused orders within a minute at which to halt")
    max_errors: int = Field(default=3, ge=1, description="exceptions of the strategy in a trading day at which to halt")
    max_clock_skew_sec: Number = Field(
        default=Decimal(3), ge=1, le=60, description="difference to the venue's clock at which to halt, seconds"
    )
    flatten_blind_sec: Number = Field(
        default=Decimal(30),
        gt=0,
        le=600,
        description="wait of a halt's close for a book that can be trusted, before it goes at market, seconds",
    )
    stop_flat: bool = Field(default=False, description="close the position when the program stops")
    after_halt: AfterHalt = Field(
        default=AfterHalt.EXIT,
        strict=False,
        description="once flat after a halt: exit, or wait for the next trading day",
    )


class ForeignOrders(StrEnum):
    """What to do about orders on the account that are not ours."""

    REPORT = "report"
    CANCEL = "cancel"


class AccountConfig(Section):
    """The account, and its reconciliation with the venue (live only)."""

    name: str = Field(
        default="",
        max_length=100,
        description="account of accounts.toml to trade with; empty: the key of the environment or .env",
    )

    reconcile_sec: Number = Field(
        default=Decimal(60), ge=10, le=3_600, description="pause between two reconciliations without a doubt, seconds"
    )
    doubt_ms: int = Field(
        default=3_000, ge=500, le=60_000, description="delay of an overdue event that calls for a reconciliation, ms"
    )
    vanish_sec: Number = Field(
        default=Decimal(60),
        ge=1,
        le=600,
        description="time after its expiry for which an untraced order counts as live, seconds",
    )
    position_checks: int = Field(
        default=3, ge=2, le=20, description="reconciliations in a row with the same unexplained position that halt"
    )
    list_lag_sec: Number = Field(
        default=Decimal(90),
        ge=5,
        le=600,
        description="time for which the venue's lists may lack what two channels told, seconds",
    )
    failing_sec: Number = Field(
        default=Decimal(60),
        ge=10,
        le=3_600,
        description="time without a reconciled account after which to alert and stop quoting, seconds",
    )
    foreign_orders: ForeignOrders = Field(
        default=ForeignOrders.REPORT, strict=False, description="orders that are not ours: report or cancel"
    )
    stop_sec: Number = Field(
        default=Decimal(20),
        ge=1,
        le=300,
        description="time for which a stop waits for the confirmation of cancels, seconds",
    )


class QuietWindow(Section):
    """A time of day without quotes. A window may pass midnight."""

    start: TimeOfDay = Field(strict=False, description='"HH:MM[:SS]", included')
    end: TimeOfDay = Field(strict=False, description='"HH:MM[:SS]", excluded')
    why: str = Field(
        pattern=r"^[^\p{C}\p{Zl}\p{Zp}]{1,60}$", description="for the log, one line of at most 60 characters"
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"end: {self.end:%H:%M:%S} is also the start; accepted: another time of day")
        return self


class SessionConfig(Section):
    """The trading day and its quiet times, in one zone."""

    timezone: ZoneName = Field(default="Asia/Tokyo", description="IANA zone of all times of day in this section")
    day_start: TimeOfDay = Field(default=time(0), strict=False, description='when the trading day rolls, "HH:MM"')
    quiet: tuple[QuietWindow, ...] = Field(
        default=(),
        strict=False,
        description="windows without quotes: each has start (included), end (excluded) and why",
    )

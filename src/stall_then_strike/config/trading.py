"""Settings of the strategy, of risk, of the account and of the trading day."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Number, Section, TimeOfDay, ZoneName


class QuoteMode(StrEnum):
    """Where the two quotes of a strike go."""

    MID = "mid"
    """Around the mid: floor(mid) - offset and ceil(mid) + offset."""
    INSIDE = "inside"
    """One offset better than the best."""
    JOIN = "join"
    """At the best, behind those who are there."""


class CloseType(StrEnum):
    """How a position is closed."""

    MARKET = "market"
    IOC = "ioc"
    """Limit within ``close_band_ticks`` of the best; what is not there is tried again."""


class AfterHalt(StrEnum):
    """What the process does once the kill switch has flattened the position."""

    EXIT = "exit"
    WAIT = "wait"
    """Stay up, and trade again when the trading day rolls."""


class StallStrategyConfig(Section):
    """Stall, strike, and the ways out."""

    stall_T_ms: int = Field(default=250, ge=1, description="how long both best prices must have stood still, ms")
    min_spread_tick: int = Field(default=1, ge=1, description="narrowest spread to strike in, ticks")
    ttl_ms: int = Field(
        default=800, ge=1, le=50_000, description="life of a quote, ms (the venue's own expiry is 1 minute)"
    )
    max_reverse_ticks: int = Field(
        default=2, ge=1, description="adverse move of the mid against the average price, ticks"
    )
    size_min: Number = Field(default=Decimal("0.001"), gt=0, description="size of one quote, BTC")
    max_inventory_btc: Number = Field(default=Decimal("0.2"), gt=0, description="largest position either way, BTC")
    stale_ms: int = Field(
        default=700, ge=1, description="a book without message for so long is stale, ms (541 is usual)"
    )
    quote_mode: QuoteMode = Field(
        default=QuoteMode.MID, strict=False, description="where quotes go: mid, inside or join"
    )
    quote_offset_ticks: int = Field(default=1, ge=0, description="distance from mid, or improvement of the best, ticks")
    close_type: CloseType = Field(default=CloseType.MARKET, strict=False, description="how to close: market or ioc")
    close_band_ticks: int = Field(
        default=3_000, ge=0, description="how far through the best an IOC close may pay, ticks"
    )
    close_retry_ms: int = Field(
        default=500, ge=50, description="pause before a close that left a rest is sent again, ms"
    )


class RiskConfig(Section):
    """The day's limits. Both are losses, so both are below zero."""

    daily_pnl_jpy: Number = Field(
        default=Decimal(-30_000), lt=0, description="day's result at which to halt, JPY, below 0"
    )
    max_dd_jpy: Number = Field(
        default=Decimal(-20_000), lt=0, description="fall from the day's peak to halt at, JPY, below 0"
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
        description="once halted, how long a close waits for a believable book before it goes at market, seconds",
    )
    stop_flat: bool = Field(default=False, description="close the position when the program stops")
    after_halt: AfterHalt = Field(
        default=AfterHalt.EXIT, strict=False, description="once flat after a halt: exit or wait"
    )


class ForeignOrders(StrEnum):
    """What to do about orders on the account that are not ours."""

    REPORT = "report"
    CANCEL = "cancel"


class AccountConfig(Section):
    """How the account's truth is kept (live only)."""

    reconcile_sec: Number = Field(
        default=Decimal(60), ge=10, le=3_600, description="pause between two reconciliations without doubt, seconds"
    )
    doubt_ms: int = Field(
        default=3_000, ge=500, le=60_000, description="an event that is overdue by so much calls for one, ms"
    )
    vanish_sec: Number = Field(
        default=Decimal(60),
        ge=1,
        le=600,
        description="past its expiry, how long an order without trace counts as live, seconds",
    )
    position_checks: int = Field(
        default=3, ge=2, le=20, description="reconciliations in a row with the same unexplained position that halt"
    )
    list_lag_sec: Number = Field(
        default=Decimal(90),
        ge=5,
        le=600,
        description="how long the venue's lists may lack what two channels told of, seconds",
    )
    failing_sec: Number = Field(
        default=Decimal(60),
        ge=10,
        le=3_600,
        description="how long the account may not be asked or not agree: then an alert and no quotes, seconds",
    )
    foreign_orders: ForeignOrders = Field(
        default=ForeignOrders.REPORT, strict=False, description="orders that are not ours: report or cancel"
    )
    stop_sec: Number = Field(
        default=Decimal(20), ge=1, le=300, description="how long a stop waits for cancels to be confirmed, seconds"
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

    timezone: ZoneName = Field(default="Asia/Tokyo", description="IANA zone of the day roll and of the quiet times")
    day_start: TimeOfDay = Field(default=time(0), strict=False, description='when the trading day rolls, "HH:MM"')
    quiet: tuple[QuietWindow, ...] = Field(default=(), strict=False, description="windows without quotes")

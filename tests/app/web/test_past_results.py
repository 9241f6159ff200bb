"""Results by trading day, week and month."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.past_pane import past_pane
from stall_then_strike.app.web.past_results import by_day, first_of_month, monday, together
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.logs.log_reader import TradeLine


def fill(stamp: str, pnl: str) -> TradeLine:
    at = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    one = Decimal(1)
    return TradeLine(
        ts_ns=int(at.timestamp()) * 10**9,
        order_id="",
        side="BUY",
        price=one,
        size=Decimal("0.1"),
        fee=one,
        tag="",
        pnl=Decimal(pnl),
        pnl_cum=one,
        inventory_after=one,
    )


ROWS = [
    ("A", fill("2026-11-27T10:00", "5")),
    ("A", fill("2026-11-30T10:00", "-3")),
    ("A", fill("2026-11-30T16:00", "-7")),  # in Tokyo it is December
    ("B", fill("2026-11-30T11:00", "2")),
]


def test_days_are_the_traders_and_longer_periods_are_made_of_them() -> None:
    days = by_day(ROWS, TradingCalendar(AppConfig().session).day)
    assert [(one.first, one.product, one.fills, one.pnl) for one in days] == [
        (date(2026, 12, 1), "A", 1, -7),
        (date(2026, 11, 30), "A", 1, -3),
        (date(2026, 11, 30), "B", 1, 2),
        (date(2026, 11, 27), "A", 1, 5),
    ]
    weeks = together(days, monday)
    assert [(one.first, one.product, one.pnl) for one in weeks] == [
        (date(2026, 11, 30), "A", -10),
        (date(2026, 11, 30), "B", 2),
        (date(2026, 11, 23), "A", 5),
    ]
    months = together(days, first_of_month)
    assert [(one.first.month, one.product, one.pnl, one.volume) for one in months] == [
        (12, "A", -7, Decimal("0.1")),
        (11, "A", 2, Decimal("0.2")),
        (11, "B", 2, Decimal("0.1")),
    ]


def test_tables_name_the_instrument_only_where_there_are_several() -> None:
    days = by_day(ROWS, TradingCalendar(AppConfig().session).day)
    assert "Instrument" in past_pane(days, "Asia/Tokyo", Words("en"))
    assert "Instrument" not in past_pane(days[:2], "Asia/Tokyo", Words("en"))
    assert "No trade" in past_pane([], "Asia/Tokyo", Words("en"))

"""The minute line and the table at the end."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from stall_then_strike.app.view.snapshot import Counts, DayFigures, Halt, Latency, ReasonCount, RunFigures, Snapshot
from stall_then_strike.app.view.summary import REASONS_SHOWN, minute_line, summary_table
from stall_then_strike.types.dto import BookStatus
from tests.app.view.snapshots import EMPTY, NOTHING, TS, TWO, changed

RUN = Snapshot(
    ts_ns=TS,
    mode="paper · embedded exchange",
    uptime_s=3_661.5,
    reconnects=2,
    quote="JPY",
    date="2026-11-21",
    day=DayFigures(pnl=Decimal("-33.66"), max_drawdown=Decimal(-50), fills=41),
    latency=Latency(p50_us=31.2, p99_us=88, samples=219),
    instruments=(
        replace(
            NOTHING,
            position=Decimal("-0.001"),
            day=DayFigures(pnl=Decimal("-33.66"), max_drawdown=Decimal(-50), fills=41),
            run=RunFigures(
                realised=Decimal("-1234.4"),
                marked=Decimal(234),
                max_drawdown=Decimal(-2_000),
                volume=Decimal("0.04000000"),
                mid_checks=219,
                mid_agreed=218,
                reasons=(
                    ReasonCount(reason="quoting", count=120, seconds=25.0),
                    ReasonCount(reason="stall_immature", count=300, seconds=75.0),
                    ReasonCount(reason="strike", count=120),
                ),
            ),
            counts=Counts(
                messages=219, strikes=120, placed=240, filled=31, partly_filled=4, fills=39, cancels=205, closes=12,
                rejects=1, garbage=3,
            ),
        ),
    ),
)  # fmt: skip


def shown(last: Snapshot, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(summary_table(last, folder="logs/demo", ended="duration over"))
    return capture.get()


def with_reasons(reasons: tuple[ReasonCount, ...]) -> Snapshot:
    return changed(RUN, run=replace(RUN.instruments[0].run, reasons=reasons))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "paper · embedded exchange"),
        ("ended", "duration over"),
        ("duration", "1:01:01"),
        ("mid checks agreed", "218 of 219"),
        ("reconnects, garbage", "2, 3"),
        ("strikes", "120"),
        ("orders placed", "240"),
        ("filled, partly filled", "31, 4 (14.6% of placed)"),
        ("fills, volume, this run", "39, 0.04 BTC"),
        ("cancels, closes, rejects", "205, 12, 1"),
        ("result, this run", "-1,000 JPY"),
        ("realised part, open position", "-1,234, +234 JPY"),
        ("deepest drawdown, this run", "-2,000 JPY"),
        ("result, trading day 2026-11-21", "-33.66 JPY"),
        ("deepest drawdown, that day", "-50 JPY"),
        ("fills, that day", "41"),
        ("position at the end", "-0.001 BTC"),
        ("decision latency", "p50 31 µs, p99 88 µs of 219"),
        ("reasons", "stall_immature: 75.0% of the time, 300 x"),
        ("logs", "logs/demo"),
    ],
)
def test_table_has(name: str, value: str) -> None:
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown(RUN).splitlines() if "│" in line]
    assert [name, value] in rows


@pytest.mark.parametrize("width", [30, 80, 200])
def test_table_of_a_run_in_which_nothing_happened(width: int) -> None:
    assert "summary" in shown(EMPTY, width)


def test_what_a_replay_does_not_measure_is_not_shown() -> None:
    assert "latency" in shown(RUN)
    assert "latency" not in shown(replace(RUN, latency=Latency()))


def test_reasons_are_the_longest_and_the_rest_is_counted() -> None:
    many = tuple(ReasonCount(reason=f"r{n}", count=1, seconds=float(n)) for n in range(10))
    text = shown(with_reasons(many))
    assert "r9: 20.0% of the time" in text
    assert "r0:" not in text
    assert f"and {10 - REASONS_SHOWN} more" in text


def test_reasons_without_time_are_ranked_by_number() -> None:
    text = shown(with_reasons((ReasonCount(reason="a", count=1), ReasonCount(reason="b", count=2))))
    assert text.index("b: 2 x") < text.index("a: 1 x")


def test_fill_ratio_counts_orders_with_any_fill() -> None:
    assert RUN.counts.fill_ratio == 35 / 240
    assert EMPTY.counts.fill_ratio is None


def test_minute_line_is_one_line_that_says_how_it_stands() -> None:
    line = minute_line(
        changed(
            EMPTY,
            uptime_s=60,
            reason="quoting",
            connected=True,
            book=BookStatus.OK,
            message_age_ms=45,
            best_bid=Decimal(13_600_000),
            best_ask=Decimal(13_601_500),
            spread_ticks=1500,
            position=Decimal("0.001"),
            day=DayFigures(pnl=Decimal(-1234), drawdown=Decimal(-2000), fills=5),
            counts=Counts(strikes=3, fills=2, cancels=4, closes=1),
            latency=Latency(p99_us=88),
        )
    )
    assert line == (
        "2026-11-21T07:30:13Z up 0:01:00 | quoting | connected book ok 45 ms | 13,600,000/13,601,500 spread 1,500"
        " | position 0.001 BTC | day's PnL -1,234 JPY drawdown -2,000 fills 5"
        " | run: strikes 3 fills 2 cancels 4 closes 1 | reconnects 0 garbage 0 | p99 88 µs"
    )


def test_minute_line_before_anything_is_known_and_when_halted() -> None:
    assert "| starting | NOT CONNECTED book unknown - | -/- spread - |" in minute_line(EMPTY)
    assert "| HALTED kill_pnl |" in minute_line(changed(EMPTY, halt=Halt(reason="kill_pnl")))


def test_minute_line_of_several_instruments_says_how_each_stands() -> None:
    line = minute_line(TWO)
    assert "\n" not in line
    assert line.startswith(
        "2026-11-21T07:30:13Z up 0:12:34 | trading (small orders 57/100, spaced, next in 0.8 s) | connected"
        " | FX_BTC_JPY budget, book ok 45 ms, 13,600,000/13,601,500 spread 1,500, position -0.012 BTC"
        " | ETH_JPY quoting, book ok 310 ms, 499,985.5/500,014.5 spread 290, position 0.37 ETH"
        " | day's PnL -16,234 JPY drawdown -17,000 fills 0 | run: strikes 1,500 "
    )


def test_tables_of_several_instruments_begin_with_the_account() -> None:
    account, first, second = re.split(r"^(?:FX_BTC_JPY|ETH_JPY) *$", shown(TWO), flags=re.MULTILINE)
    assert "result, trading day 2026-11-21 │ -16,234 JPY" in account
    assert "-0.012 BTC" in first
    assert "result, trading day 2026-11-21 │ -16,469 JPY" in first
    assert "0.37 ETH" in second
    assert [part.count("logs/demo") for part in (account, first, second)] == [1, 0, 0]

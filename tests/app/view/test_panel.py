"""The panel at several sizes, with everything or nothing known, checked as text on the screen."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.cells import cell_len
from rich.console import Console

from stall_then_strike.app.view.panel import _figures, _live_orders, jpy, micros, render, span
from stall_then_strike.app.view.status import (
    AccountLine,
    BudgetUse,
    Counts,
    DecisionLine,
    FillLine,
    Latency,
    Status,
    WorkingOrder,
)
from stall_then_strike.types.dto import BoardState, BookStatus, Health, Side

TS = 1_795_246_213_123_456_789  # 2026-11-21T07:30:13Z

EMPTY = Status(ts_ns=TS, mode="paper · bitFlyer", product="FX_BTC_JPY")
FULL = Status(
    ts_ns=TS,
    mode="paper · embedded exchange",
    product="FX_BTC_JPY",
    uptime_s=754,
    reason="stall_immature",
    connected=True,
    venue_state=BoardState.RUNNING,
    venue_health=Health.NORMAL,
    book=BookStatus.OK,
    message_age_ms=45,
    stale_ms=700,
    best_bid=Decimal(13_600_000),
    best_ask=Decimal(13_601_500),
    spread_ticks=1500,
    best_age_ms=312,
    stall_ms=250,
    position=Decimal("-0.012"),
    max_position=Decimal("0.2"),
    avg_price=Decimal(13_600_444),
    pnl_today_jpy=Decimal("-16234.5"),
    realised_today_jpy=Decimal(-12_000),
    pnl_limit_jpy=Decimal(-30_000),
    drawdown_jpy=Decimal(-17_000),
    max_drawdown_jpy=Decimal(-17_500),
    drawdown_limit_jpy=Decimal(-20_000),
    orders=tuple(
        WorkingOrder(
            side=side,
            price=Decimal(13_600_749),
            size=Decimal("0.001"),
            remaining=Decimal("0.0004"),
            age_ms=512,
            state="partial",
            tag="stall",
        )
        for side in (Side.BUY, Side.SELL) * 4
    ),
    decisions=tuple(
        DecisionLine(ts_ns=TS + n * 10**9, decision_type="cancel", reason=f"ttl{n}", detail="cancel_all_stall 2")
        for n in range(50)
    ),
    fills=tuple(
        FillLine(
            ts_ns=TS + n * 10**9,
            side=Side.BUY,
            price=Decimal(13_600_749),
            size=Decimal("0.001"),
            pnl_jpy=Decimal(n) - 20,
        )
        for n in range(50)
    ),
    budget=(
        BudgetUse(name="private/5min", used=412, limit=500),
        BudgetUse(name="orders/5min", used=100, limit=300),
        BudgetUse(name="small/min", used=20, limit=100),
    ),
    latency=Latency(p50_us=31.2, p99_us=12_345, samples=5234),
    counts=Counts(messages=5234, strikes=1200, fills=39, cancels=205, closes=12, rejects=3, reconnects=1, garbage=2),
)

LIVE = replace(
    FULL,
    mode="live · https://api.bitflyer.com",
    reason="budget",
    orders=FULL.orders[:2],
    account=AccountLine(is_live=True, is_settled=True, reported_s=3.2, lag_p99_ms=3.4),
    budget=(
        BudgetUse(name="address", used=157, limit=500),
        BudgetUse(name="private", used=157, limit=500),
        BudgetUse(name="orders", used=78, limit=300),
        BudgetUse(name="small orders", used=57, limit=100),
    ),
    budget_wait="small orders 57/100, spaced, next in 0.8 s",
)
BAD = replace(
    LIVE,
    connected=False,
    halted="position_mismatch",
    book=BookStatus.STALE,
    message_age_ms=3_600_000,
    venue_state=BoardState.CIRCUIT_BREAK,
    venue_health=Health.SUPER_BUSY,
    account=AccountLine(is_live=False, is_settled=False, reported_s=12_345, in_doubt=17, lag_p99_ms=1_234.5),
    budget_wait="pause after a refused or unsent request, next in 123.4 s",
    pnl_today_jpy=Decimal("-1234567.5"),
    position=Decimal("-123.456"),
    max_position=Decimal(200),
    counts=Counts(messages=52_345_678, strikes=123_456, fills=98_765, cancels=99_999, reconnects=1_234, garbage=9_876),
)
STATUSES = {"empty": EMPTY, "full": FULL, "live": LIVE, "bad": BAD}

SIZES = [(40, 15), (60, 20), (80, 24), (120, 40), (200, 50)]
SMALLER = [(60, 16), (40, 10), (20, 5), (8, 2)]
BETWEEN = [(40, 50), (48, 18), (59, 24), (69, 60), (70, 21), (70, 22), (99, 15), (139, 30), (140, 22), (200, 15)]


def drawn(status: Status, width: int, height: int, *, colours: bool = False) -> list[str]:
    console = Console(width=width, height=height, force_terminal=colours, color_system="truecolor" if colours else None)
    with console.capture() as capture:
        console.print(render(status), height=height)
    return capture.get().splitlines()


@pytest.mark.parametrize("size", SIZES + SMALLER + BETWEEN)
@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
def test_panel_fills_the_terminal_and_never_outgrows_it(status: Status, size: tuple[int, int]) -> None:
    lines = drawn(status, *size)
    assert len(lines) == size[1]
    assert all(cell_len(line) <= size[0] for line in lines)


@pytest.mark.parametrize("size", SIZES)
def test_what_an_operator_needs_is_whole_at_every_size(size: tuple[int, int]) -> None:
    text = "\n".join(drawn(LIVE, *size))
    for part in (
        " budget ",
        "FX_BTC_JPY",
        "13,600,000 / 13,601,500",
        "312 ms",
        "45 ms",
        "connected",
        "RUNNING",
        "NORMAL",
        "-0.012 of 0.2 BTC (6%)",
        "13,600,444",
        "-16,234 JPY",
        "-30,000 (54%)",
        "-17,000 JPY",
        "-20,000 (85%)",
        "reconciled",
        "in doubt 0",
        "57/100",
        "next in 0.8 s",
        "1,200 strikes",
        "39 fills",
        "p50 31 µs",
        "p99 12.3 ms",
        "13,600,749",
    ):
        assert part in text, part


@pytest.mark.parametrize("size", SIZES + BETWEEN)
@pytest.mark.parametrize("status", [FULL, LIVE, BAD], ids=["full", "live", "bad"])
def test_whatever_is_left_out_is_marked(status: Status, size: tuple[int, int]) -> None:
    """A row shows all of its parts or ends in an ellipsis; a row that is left out is counted."""
    lines = drawn(status, *size)
    figures = [*_figures(status), _live_orders(status)][: 99 if not (size[0] >= 70 and size[1] >= 22) else -1]
    missing = 0
    for figure in figures:
        shapes = [[part.long.plain for part in figure.parts], [part.short.plain for part in figure.parts]]
        is_whole = any(all(any(text in line for line in lines) for text in shape) for shape in shapes)
        start = next((n for n, line in enumerate(lines) if is_row(line, figure.label, figure.short_label)), None)
        if start is None:
            missing += 1
        elif not is_whole:
            assert any("…" in line for line in lines[start : start + 2]), (figure.label, lines[start])
    assert (f"… {missing} more rows" in lines) == (missing > 0)


def is_row(line: str, label: str, short_label: str) -> bool:
    return any(re.search(rf"(^|│ | {{3,}}){re.escape(word)} ", line) for word in (label, short_label))


def test_a_low_terminal_keeps_the_rows_that_matter_most() -> None:
    text = "\n".join(drawn(LIVE, 40, 10))
    for part in ("-0.012 of 0.2 BTC", "-16,234 JPY", "reconciled", "connected", "ok  45 ms ago", "… 5 more rows"):
        assert part in text, part


def test_the_tightest_limit_comes_first() -> None:
    for size in SIZES:
        (line,) = (line for line in drawn(replace(LIVE, budget_wait=""), *size) if "57/100" in line)
        assert line.index("57/100") < (line + "157/500").index("157/500")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
def test_everything_that_matters_is_on_a_usual_terminal(size: tuple[int, int]) -> None:
    text = "\n".join(drawn(FULL, *size))
    for part in (
        "paper · embedded exchange",
        "stall_immature",
        "13,600,000 / 13,601,500  spread 1,500 ticks",
        "best for 312 ms",
        "ok  last message 45 ms",
        "connected  RUNNING  NORMAL  1 reconnects  2 garbage",
        "-0.012 of 0.2 BTC (6%)  at 13,600,444",
        "-16,234 JPY  halts at -30,000 (54%)  realised -12,000",
        "-17,000 JPY  halts at -20,000 (85%)  deepest -17,500",
        "private/5min 412/500  orders/5min 100/300  small/min 20/100",
        "1,200 strikes  39 fills  205 cancels  12 closes  3 rejects",
        "p50 31 µs  p99 12.3 ms",
        "BUY  0.001 (0.0004 left) @ 13,600,749  partial  512 ms",
        "cancel ttl49",
        "07:31:02 BUY  0.001@13600749 +29",
    ):
        assert part in text


def test_latest_events_are_the_ones_shown() -> None:
    text = "\n".join(drawn(FULL, 80, 24))
    assert "ttl49" in text
    assert "ttl0 " not in text


def test_orders_without_room_are_counted() -> None:
    assert "(and 6 more)" in "\n".join(drawn(FULL, 80, 24))


def test_halt_is_said_in_words_and_red() -> None:
    halted = replace(FULL, halted="kill_drawdown")
    assert "HALTED: kill_drawdown" in drawn(halted, 80, 24)[0]
    assert "48;" in drawn(halted, 80, 24, colours=True)[0] or "41m" in drawn(halted, 80, 24, colours=True)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"book": BookStatus.SUSPECT}, "suspect"),
        ({"book": BookStatus.STALE, "message_age_ms": 60_000}, "stale  last message 60.0 s"),
        ({"connected": False}, "NOT CONNECTED"),
        ({"venue_state": BoardState.CIRCUIT_BREAK}, "CIRCUIT BREAK"),
        ({"venue_health": Health.SUPER_BUSY}, "SUPER BUSY"),
        ({"drawdown_jpy": Decimal(-19_999)}, "(100%)"),
        ({"account": AccountLine(is_live=True, is_settled=False, reported_s=None)}, "NOT RECONCILED"),
        (
            {"account": AccountLine(is_live=False, is_settled=False, reported_s=3.2)},
            "PRIVATE CHANNEL DOWN  last seen 3 s ago",
        ),
    ],
)
def test_danger_is_said_in_words_and_colour(change: dict[str, object], words: str) -> None:
    status = replace(FULL, **change)  # type: ignore[arg-type]
    assert words in "\n".join(drawn(status, 80, 24))
    danger = next(line for line in drawn(status, 80, 24, colours=True)[1:] if words.split()[0] in line)
    assert "\x1b[1;31m" in danger


@pytest.mark.parametrize("size", SIZES + SMALLER[:2])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"connected": False}, "NOT CONNECTED"),
        ({"halted": "kill_pnl"}, "HALTED: kill_pnl"),
        ({"book": BookStatus.SUSPECT}, "BOOK SUSPECT"),
        ({"book": BookStatus.STALE}, "BOOK STALE"),
        ({"venue_state": BoardState.CLOSED}, "VENUE CLOSED"),
        ({"venue_health": Health.STOP}, "VENUE STOP"),
        ({"account": AccountLine(is_live=True, is_settled=False, reported_s=None)}, "NOT RECONCILED"),
        ({"account": AccountLine(is_live=False, is_settled=False, reported_s=3.2)}, "PRIVATE CHANNEL DOWN"),
    ],
)
def test_the_badge_says_what_is_wrong_in_red(change: dict[str, object], words: str, size: tuple[int, int]) -> None:
    status = replace(LIVE, **change)  # type: ignore[arg-type]
    assert drawn(status, *size)[0].startswith(f" {words} ")
    assert "\x1b[1;37;41m" in drawn(status, *size, colours=True)[0]


def test_the_badge_is_calm_while_all_is_well_and_yellow_before_the_first_book() -> None:
    assert "\x1b[30;46m" in drawn(LIVE, 80, 24, colours=True)[0]
    assert "\x1b[30;43m" in drawn(replace(LIVE, book=BookStatus.UNKNOWN), 80, 24, colours=True)[0]


def test_what_is_wrong_comes_before_what_is_being_done_the_worst_first() -> None:
    assert drawn(BAD, 200, 50)[0].startswith(
        " HALTED: position_mismatch  NOT CONNECTED  PRIVATE CHANNEL DOWN  BOOK STALE  VENUE CIRCUIT BREAK  "
        "VENUE SUPER BUSY "
    )
    assert drawn(BAD, 40, 15)[0].startswith(" HALTED: position_mismatch … ")


def test_words_from_outside_cannot_be_markup() -> None:
    status = replace(FULL, mode="[red]x[/red]", halted="[/]", reason="[bold]")
    assert "[red]x[/red]" in drawn(status, 80, 24)[0]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("-0.004", "0.00"),
        ("0.6", "+0.60"),
        ("-3.414", "-3.41"),
        ("-1234567.5", "-1,234,568"),
        ("999.4", "+999.40"),
        ("-30000", "-30,000"),
    ],
)
def test_yen(amount: str, text: str) -> None:
    assert jpy(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.9, "0:00:59"), (90_061, "25:01:01"), (-1, "0:00:00")]
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.4, "0 µs"), (9_999, "9,999 µs"), (12_345, "12.3 ms")])
def test_micros(value: float | None, text: str) -> None:
    assert micros(value) == text

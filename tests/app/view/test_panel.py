"""The panel at several sizes, with everything or nothing known, checked as text on the screen."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from stall_then_strike.app.view.amounts import micros, span
from stall_then_strike.app.view.panel import _figures, _live_orders, render
from stall_then_strike.app.view.snapshot import AccountLine, DayFigures, Halt, Snapshot
from stall_then_strike.types.dto import BoardState, BookStatus, Health, Side
from stall_then_strike.types.text import money
from tests.app.view.snapshots import BAD, EMPTY, FULL, LIVE, TWO, changed

SEEN = {"empty": EMPTY, "full": FULL, "live": LIVE, "bad": BAD, "two": TWO}

SIZES = [(40, 15), (60, 20), (80, 24), (120, 40), (200, 50)]
SMALLER = [(60, 16), (40, 10), (20, 5), (8, 2)]
BETWEEN = [(40, 50), (48, 18), (59, 24), (69, 60), (70, 21), (70, 22), (99, 15), (139, 30), (140, 22), (200, 15)]


def drawn(seen: Snapshot, width: int, height: int, *, colours: bool = False) -> list[str]:
    console = Console(width=width, height=height, force_terminal=colours, color_system="truecolor" if colours else None)
    with console.capture() as capture:
        console.print(render(seen), height=height)
    return capture.get().splitlines()


@pytest.mark.parametrize("size", SIZES + SMALLER + BETWEEN)
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_panel_fills_the_terminal_and_never_outgrows_it(seen: Snapshot, size: tuple[int, int]) -> None:
    lines = drawn(seen, *size)
    assert len(lines) == size[1]
    assert all(cell_len(line) <= size[0] for line in lines)


def test_strategy_without_stalls_is_shown_in_its_own_words() -> None:
    text = "\n".join(drawn(changed(LIVE, stall_ms=None, word="quote"), 80, 24))
    assert "best for 312 ms" in text
    assert "a stall from" not in text
    assert re.search(r"\d quotes  ", text)
    assert "strikes" not in text


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
@pytest.mark.parametrize("seen", [FULL, LIVE, BAD], ids=["full", "live", "bad"])
def test_whatever_is_left_out_is_marked(seen: Snapshot, size: tuple[int, int]) -> None:
    """A row shows all of its parts or ends in an ellipsis; a row that is left out is counted."""
    lines = drawn(seen, *size)
    is_framed = size[0] >= 70 and size[1] >= 22
    figures = [*_figures(seen), *([] if is_framed else [_live_orders(seen)])]
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
        (line,) = (line for line in drawn(changed(LIVE, budget_wait=""), *size) if "57/100" in line)
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
    halted = changed(FULL, halt=Halt(reason="kill_drawdown"))
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
        ({"day": DayFigures(drawdown=Decimal(-19_999))}, "(100%)"),
        ({"account": AccountLine(is_live=True, is_settled=False, reported_s=None)}, "NOT RECONCILED"),
        (
            {"account": AccountLine(is_live=False, is_settled=False, reported_s=3.2)},
            "PRIVATE CHANNEL DOWN  last seen 3 s ago",
        ),
    ],
)
def test_danger_is_said_in_words_and_colour(change: dict[str, Any], words: str) -> None:
    seen = changed(FULL, **change)
    assert words in "\n".join(drawn(seen, 80, 24))
    danger = next(line for line in drawn(seen, 80, 24, colours=True)[1:] if words.split()[0] in line)
    assert "\x1b[1;31m" in danger


@pytest.mark.parametrize("size", SIZES + SMALLER[:2])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"connected": False}, "NOT CONNECTED"),
        ({"halt": Halt(reason="kill_pnl")}, "HALTED: kill_pnl"),
        ({"book": BookStatus.SUSPECT}, "BOOK SUSPECT"),
        ({"book": BookStatus.STALE}, "BOOK STALE"),
        ({"venue_state": BoardState.CLOSED}, "VENUE CLOSED"),
        ({"venue_health": Health.STOP}, "VENUE STOP"),
        ({"account": AccountLine(is_live=True, is_settled=False, reported_s=None)}, "NOT RECONCILED"),
        ({"account": AccountLine(is_live=False, is_settled=False, reported_s=3.2)}, "PRIVATE CHANNEL DOWN"),
    ],
)
def test_the_badge_says_what_is_wrong_in_red(change: dict[str, Any], words: str, size: tuple[int, int]) -> None:
    seen = changed(LIVE, **change)
    assert drawn(seen, *size)[0].startswith(f" {words} ")
    assert "\x1b[1;37;41m" in drawn(seen, *size, colours=True)[0]


def test_the_badge_is_calm_while_all_is_well_and_yellow_before_the_first_book() -> None:
    assert "\x1b[30;46m" in drawn(LIVE, 80, 24, colours=True)[0]
    assert "\x1b[30;43m" in drawn(changed(LIVE, book=BookStatus.UNKNOWN), 80, 24, colours=True)[0]


def test_what_is_wrong_comes_before_what_is_being_done_the_worst_first() -> None:
    assert drawn(BAD, 200, 50)[0].startswith(
        " HALTED: position_mismatch  NOT CONNECTED  PRIVATE CHANNEL DOWN  BOOK STALE  VENUE CIRCUIT BREAK  "
        "VENUE SUPER BUSY "
    )
    assert drawn(BAD, 40, 15)[0].startswith(" HALTED: position_mismatch … ")


def test_words_from_outside_cannot_be_markup() -> None:
    seen = changed(FULL, mode="[red]x[/red]", halt=Halt(reason="[/]"), reason="[bold]")
    assert "[red]x[/red]" in drawn(seen, 80, 24)[0]


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
def test_money(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.9, "0:00:59"), (90_061, "25:01:01"), (-1, "0:00:00")]
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.4, "0 µs"), (9_999, "9,999 µs"), (12_345, "12.3 ms")])
def test_micros(value: float | None, text: str) -> None:
    assert micros(value) == text


# --- several instruments


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
def test_each_of_several_instruments_has_a_row_on_a_usual_terminal(size: tuple[int, int]) -> None:
    text = "\n".join(drawn(TWO, *size))
    for part in (
        "FX_BTC_JPY + ETH_JPY",
        "FX_BTC_JPY -0.012 of 0.2 BTC (6%)  -16,469 JPY  ok 45 ms   budget",
        "ETH_JPY    +0.37 of 2 ETH (18%)    +234.50 JPY  ok 310 ms  quoting",
        "499,985.5 / 500,014.5",
        "-16,234 JPY  halts at -30,000 (54%)",
        "1,500 strikes  50 fills",
        "BTC BUY  0.001 (0.0004 left)",
        "ETH hold quoting",
        "ETH SELL 0.01@500014.5 +14.50",
    ):
        assert part in text, part


@pytest.mark.parametrize("size", SIZES[1:] + SMALLER[:1])
def test_rows_of_several_instruments_stand_below_each_other(size: tuple[int, int]) -> None:
    lines = drawn(TWO, *size)
    first, second = (next(n for n, line in enumerate(lines) if word in line) for word in ("-0.012 of", "+0.37 of"))
    assert lines[first].index("-0.012") == lines[second].index("+0.37")
    assert lines[first].index("-16,469") == lines[second].index("+234.50")
    assert lines[first].index("ok") == lines[second].index("ok")


def test_more_instruments_than_lines_are_counted() -> None:
    many = tuple(replace(TWO.instruments[1], product=f"P{n:02d}_JPY", base=f"P{n:02d}") for n in range(20))
    lines = drawn(replace(TWO, instruments=many), 80, 24)
    assert len(lines) == 24
    assert any("more rows" in line for line in lines)
    assert any("P00_JPY" in line for line in lines)
    assert any("decisions" in line for line in lines)


def test_a_trouble_of_one_instrument_names_it_and_one_of_all_does_not() -> None:
    first, second = TWO.instruments
    one = replace(TWO, instruments=(first, replace(second, book=BookStatus.STALE)))
    assert drawn(one, 80, 24)[0].startswith(" BOOK STALE ETH  trading ")
    both = replace(TWO, instruments=(replace(first, book=BookStatus.STALE), replace(second, book=BookStatus.STALE)))
    assert drawn(both, 80, 24)[0].startswith(" BOOK STALE  trading ")


def test_instruments_with_one_base_are_told_apart_by_their_products() -> None:
    first, second = TWO.instruments
    seen = replace(TWO, instruments=(first, replace(second, product="BTC_JPY", base="BTC")))
    assert [name for name, _ in seen.named] == ["FX_BTC_JPY", "BTC_JPY"]
    assert "FX_BTC_JPY SELL" in "\n".join(drawn(seen, 80, 24))


def test_our_quotes_stand_on_their_sides_of_the_mid() -> None:
    order = LIVE.instruments[0].orders[0]
    orders = tuple(
        replace(order, side=side, price=Decimal(price))
        for side, price in (
            (Side.BUY, 13_600_749),
            (Side.SELL, 13_600_751),
            (Side.BUY, 13_599_000),
            (Side.SELL, 13_601_000),
        )
    )
    text = "\n".join(drawn(changed(LIVE, orders=orders), 80, 24))
    assert "quotes    B              B+S   S          ]  mid 13,600,750" in text

"""Figures of handmade logs with known results."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_record import RunRecord
from stall_then_strike.research.figures.log_rows import ReportInputError
from stall_then_strike.research.figures.profit import PARTS
from stall_then_strike.research.report.run_data import HORIZONS_NS, RunFigures, read_run
from stall_then_strike.types.text import iso_ns
from tests.infra.logs.saved_csv import DIALECTS
from tests.research.figures.run_folder import at, hold, place, strike, trade, write

CFG = AppConfig()
Book = dict[str, list[dict[str, float]]]


def run_of(folder: Path, **more: object) -> RunFigures:
    return read_run(folder, CFG, **more)  # type: ignore[arg-type]  # keywords of read_run


def snapshots(folder: Path, books: list[tuple[float, int, Book]]) -> Path:
    """Snapshots, each with its second and its mid."""
    path = folder / "tape.jsonl"
    with path.open("wb") as file:
        for second, mid, levels in books:
            params = {"channel": "lightning_board_snapshot_FX_BTC_JPY", "message": {"mid_price": mid, **levels}}
            msg = {"jsonrpc": "2.0", "method": "channelMessage", "params": params}
            file.write(orjson.dumps({"recv_ns": iso_ns(at(second)), "msg": msg}) + b"\n")
    return path


def tape(folder: Path, mids: list[tuple[float, int]]) -> Path:
    """Snapshots with one level 100 ticks on each side of a mid."""

    def around(mid: int) -> Book:
        return {"bids": [{"price": mid - 100, "size": 1}], "asks": [{"price": mid + 100, "size": 1}]}

    return snapshots(folder, [(second, mid, around(mid)) for second, mid in mids])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Buy 0.001 at 9,990 below a mid of 10,000; close it at 9,950; then buy a position that stays open."""
    write(
        tmp_path,
        "trades",
        [
            trade(10, "A", "BUY", 9_990, "0.001"),
            trade(12, "B", "SELL", 9_950, "0", "-0.04", "-0.04", tag="close"),
            trade(20, "C", "BUY", 9_960, "0.001", "-0.01", "-0.03", fee="0.01"),
        ],
    )
    write(
        tmp_path, "orders", [place(9, "A", "BUY", 9_990), place(9, "X", "SELL", 10_010), place(19, "C", "BUY", 9_960)]
    )
    decisions = [hold(0, "stall_immature"), strike(9, 260, 1000, 9_990, 10_010), hold(9, "quoting"), hold(13, "budget")]
    write(tmp_path, "decisions", [*decisions, strike(19, 600, 2_000, 9_960, 9_980), hold(30, "stopping")])
    return tmp_path


@pytest.fixture
def mids(folder: Path) -> Path:
    every = [(5.0 + step, 10_000) for step in range(5)]
    return tape(folder, [*every, (10.05, 9_980), (10.9, 9_970), (14, 9_940), (19.5, 9_965), (25, 9_975), (30, 9_975)])


def test_result_is_cash_and_position_at_its_mark(folder: Path, mids: Path) -> None:
    run = run_of(folder, tapes=[mids])
    # -0.04 of the round trip, -0.01 fee, funding +0.02 (the sum moved to -0.03), 0.001 x (9,975 - 9,960)
    assert run.jpy(run.books.total) == Decimal("-0.04") - Decimal("0.01") + Decimal("0.02") + Decimal("0.015")
    assert run.jpy(run.books.realised) == Decimal("-0.03")
    assert run.jpy(run.books.unrealised) == Decimal("0.015")
    assert run.jpy(run.books.funding) == Decimal("0.02")
    assert run.books.position == 100_000
    assert [run.jpy(won) for _, won in run.books.trips] == [Decimal("-0.04")]


def test_parts_are_as_defined_and_sum_to_the_total(folder: Path, mids: Path) -> None:
    run = run_of(folder, tapes=[mids])
    assert run.parts is not None
    parts = {name: run.jpy(amount) for name, amount in run.parts.items()}
    assert parts["spread_quotes"] == Decimal("0.010") + Decimal("0.005")  # 10,000 - 9,990 and 9,965 - 9,960
    assert parts["spread_closes"] == Decimal("-0.020")  # sold at 9,950 under 9,970
    assert parts["adverse_quotes"] == Decimal("-0.030")  # 10,000 to 9,970 within a second; the other did not move
    assert parts["fees"] == Decimal("-0.01")
    assert parts["funding"] == Decimal("0.02")
    assert set(parts) == set(PARTS)
    assert sum(run.parts.values()) == run.books.total


def test_markouts_are_taken_at_their_time_and_on_the_fills_side(folder: Path, mids: Path) -> None:
    run = run_of(folder, tapes=[mids])
    at_fill, tenth, second, five, ten, minute = run.markouts["quotes"]
    assert at_fill is not None
    assert tenth is not None
    assert second is not None
    assert (at_fill.value, at_fill.n) == ((10 + 5) / 2, 2)
    assert tenth.value == (-10 + 5) / 2
    assert second.value == (-20 + 5) / 2
    assert five is not None
    assert five.value == (-50 + 15) / 2
    assert minute is None, "the tape ends before"
    close = run.markouts["closes"][0]
    assert close is not None
    assert close.value == -20
    assert len(HORIZONS_NS) == 6
    assert ten is not None


def test_drawdown_is_the_deepest_fall_also_between_fills(folder: Path, mids: Path) -> None:
    run = run_of(folder, tapes=[mids])
    # +0.010 at the fill (mid 10,000); after the close -0.04; C: fee and funding +0.01, marked 9,965 and later 9,975
    assert run.jpy(run.books.max_drawdown) == Decimal("-0.05")
    assert run.jpy(run_of(folder).books.max_drawdown) == Decimal("-0.04"), "without a tape the first gain is not seen"


def test_fill_ratio_by_age_and_spread(folder: Path) -> None:
    fate = run_of(folder).fate
    assert (fate.quotes, fate.touched, fate.whole) == (3, 2, 2)
    assert [(found.low, found.filled.n, found.filled.value) for found in fate.by_age] == [(250, 2, 0.5), (500, 1, 1.0)]
    assert [(found.low, found.filled.n) for found in fate.by_spread] == [(1_000, 2), (2_000, 1)]


def test_reasons_hold_until_the_next_row(folder: Path) -> None:
    held = run_of(folder).reasons.held_ns
    assert held == {"stall_immature": 9 * 10**9, "quoting": 4 * 10**9, "budget": 6 * 10**9}


def test_limits_count_sends_in_their_window(folder: Path) -> None:
    peaks = {use.name: use.peak for use in run_of(folder).limits}
    assert peaks == {"private": 4, "orders": 4, "small": 4}


def test_sums_equal_the_csv(folder: Path) -> None:
    run = run_of(folder)
    with next((folder / "trades").iterdir()).open() as file:
        rows = list(csv.DictReader(file))
    assert run.jpy(run.books.realised - run.books.funding) == sum(Decimal(row["pnl_jpy"]) for row in rows)
    assert run.units.size(run.books.volume) == sum(Decimal(row["size"]) for row in rows)
    assert run.jpy(run.books.fees) == sum(Decimal(row["fee"]) for row in rows)
    assert sum(day.pnl for day in run.days) == sum(fill.pnl for fill in run.fills)


def test_cut_rows_are_left_out_and_counted(folder: Path) -> None:
    for kind in ("trades", "orders", "decisions"):
        path = folder / kind / f"{kind}-20260105.csv"
        path.write_bytes(path.read_bytes()[:-3])
    run = run_of(folder)
    assert run.rows.unreadable == 3
    assert len(run.fills) == 2
    assert run.jpy(run.books.realised) == Decimal("-0.04")


def test_row_cut_by_a_crash_within_a_file_spoils_no_other(folder: Path) -> None:
    path = folder / "decisions" / "decisions-20260105.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2][:30], *lines[3:], ""]))
    run = run_of(folder)
    assert run.rows.unreadable == 1
    assert run.rows.decisions.height == 5


def test_days_without_decisions_are_named(folder: Path) -> None:
    write(folder, "decisions", [], day="20260108")
    run = run_of(folder)
    assert run.rows.missing_days == ("20260106", "20260107")


def test_second_paper_run_in_the_folder_is_a_jump_and_not_funding(folder: Path) -> None:
    path = folder / "trades" / "trades-20260105.csv"
    with path.open("a") as file:
        file.write(trade(40, "D", "SELL", 9_975, "-0.001") + "\n")
    run = run_of(folder)
    assert run.books.jumps == 1
    assert run.jpy(run.books.funding) == Decimal("0.02")


@pytest.mark.parametrize(("mode", "bid"), [("live", 9_980), ("paper", 9_990), ("shadow", 9_990)])
def test_only_a_live_runs_quotes_are_taken_out_of_the_tapes_book(folder: Path, mode: str, bid: int) -> None:
    """By the run's mode: on a venue that takes our names of orders, ids do not tell."""
    record = RunRecord(
        mode=mode, venue="bitflyer", source="<somewhere>", instruments=(CFG.exchange.product_code,),
        configuration="c0ffee", version="1", started=at(0),
    )  # fmt: skip
    record.write(RunFiles(folder).record)
    others: Book = {"bids": [{"price": 9_980, "size": 1}], "asks": [{"price": 10_010, "size": 1}]}
    with_ours: Book = {**others, "bids": [{"price": 9_990, "size": 0.001}, *others["bids"]]}
    books = [(5.0, 9_995, others), (9.2, 10_000, with_ours), (9.4, 10_000, with_ours)]
    run = run_of(folder, tapes=[snapshots(folder, books)])
    assert run.mids is not None
    assert run.mids.at(iso_ns(at(9.7))) == bid + 10_010
    assert run.on_paper is (mode != "live")


def test_empty_folder_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportInputError, match="no runs"):
        run_of(tmp_path)
    with pytest.raises(ReportInputError, match="no such folder"):
        run_of(tmp_path / "absent")
    path = write(tmp_path, "trades", [])
    with pytest.raises(ReportInputError, match="no rows"):
        run_of(tmp_path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ReportInputError, match="other columns"):
        run_of(tmp_path)


def test_tape_of_another_time_is_refused(folder: Path) -> None:
    with pytest.raises(ReportInputError, match="is it from this run"):
        run_of(folder, tapes=[tape(folder, [(59 * 60, 10_000)])])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_files_that_another_program_has_saved_give_the_same_figures(folder: Path, dialect: str) -> None:
    before = run_of(folder)
    for path in sorted(folder.glob("*/*.csv")):
        path.write_bytes(DIALECTS[dialect](path.read_text()))
    after = run_of(folder)
    assert (after.books.total, after.fills, after.rows.unreadable) == (before.books.total, before.fills, 0)
    assert after.rows.decisions.equals(before.rows.decisions)

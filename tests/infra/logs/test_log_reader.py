"""Reading the CSV logs back: what was written, the nearest rows outside a period, and incomplete files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs, columns
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.types.dto import (
    NS_PER_S,
    ClientOrderId,
    DecisionLogRow,
    OrderLogRow,
    PlaceLimit,
    Reason,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import NO_PRICE, Lots, Ticks, fx_btc_jpy
from stall_then_strike.types.text import iso_ns
from tests.infra.journal.journal_rig import DAY_NS, TS, trade
from tests.infra.logs.saved_csv import DIALECTS

HEAD = ",".join(columns()["decisions"])


def hold(text: str, reason: str = "spread") -> str:
    return f"{text},0,1,0,hold,,,,{reason}"


def decisions(folder: Path, day: str, *lines: str, end: str = "\n") -> LogReader:
    path = folder / "decisions" / f"decisions-{day}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join((HEAD, *lines)) + end)
    return LogReader([folder])


def test_rows_read_back_as_they_were_written(tmp_path: Path) -> None:
    quote = PlaceLimit(
        client_order_id=ClientOrderId("k-1"),
        side=Side.BUY,
        price=Ticks(13_600_000),
        size=Lots(100_000),
        ttl_ms=800,
        tag="stall",
        reason=Reason.STRIKE,
    )
    strike = DecisionLogRow(
        ts_ns=TS,
        best_age_ms=258,
        spread_ticks=1519,
        inventory=Lots(-100_000),
        decision_type="strike",
        entry_bid_px=Ticks(13_600_000),
        entry_ask_px=NO_PRICE,
        actions=(quote,),
        reason=Reason.STRIKE,
    )
    place = OrderLogRow(
        ts_ns=TS,
        action="place",
        order_id="",
        client_order_id="k-1",
        side=Side.SELL,
        price=NO_PRICE,
        size=Lots(12_345),
        tif=TimeInForce.IOC,
        ttl_ms=0,
        tag="close",
        reason='rejected: -205, "margin"',
    )
    with CsvLogs(tmp_path, fx_btc_jpy(), LogConfig()) as logs:
        for row in (strike, place, trade()):
            logs.write(row)
    reader = LogReader([tmp_path])
    (decision,) = reader.decisions(TS - NS_PER_S, TS + NS_PER_S).within
    assert (decision.ts_ns, decision.best_age_ms, decision.spread_ticks) == (TS // 1_000 * 1_000, 258, 1519)
    assert (decision.inventory, decision.entry_bid, decision.entry_ask) == (Decimal("-0.001"), 13_600_000, None)
    assert (decision.actions, decision.reason) == ("place_limit BUY 0.001@13600000", "strike")
    (order,) = reader.orders_named("k-1")
    assert (order.price, order.size, order.ttl_ms, order.reason) == (
        None,
        Decimal("0.00012345"),
        0,
        'rejected: -205, "margin"',
    )
    (fill,) = reader.trades_of("JRF20261121-073013-000001")
    assert (fill.pnl, fill.pnl_cum, fill.inventory_after) == (Decimal("-12.345678"), 10, Decimal("-0.001"))
    assert reader.notes == []


def test_a_span_has_its_rows_in_order_and_the_nearest_outside_also_on_other_days(tmp_path: Path) -> None:
    decisions(tmp_path, "20261119", hold("2026-11-19T10:00:00.000000Z"), hold("2026-11-19T11:00:00.000000Z", "ttl"))
    decisions(tmp_path, "20261121", hold("2026-11-21T07:30:14.000000Z"), hold("2026-11-21T07:30:13.000000Z", "budget"))
    reader = decisions(tmp_path, "20261123", hold("2026-11-23T01:00:00.000000Z", "dust"))
    found = reader.decisions(TS - DAY_NS, TS + DAY_NS)
    assert [row.reason for row in found.within] == ["budget", "spread"]
    assert found.before is not None
    assert found.before.reason == "ttl"
    assert found.after is not None
    assert found.after.reason == "dust"
    later = reader.decisions(TS + 1_000 * DAY_NS, TS + 1_001 * DAY_NS)
    assert (later.within, later.after) == ((), None)
    assert later.before is not None
    assert later.before.reason == "dust"


def test_of_rows_with_one_stamp_the_last_is_the_state_before(tmp_path: Path) -> None:
    stamp = "2026-11-21T07:30:13.000000Z"
    reader = decisions(tmp_path, "20261121", hold(stamp, "halted"), hold(stamp, "stopping"))
    before = reader.decisions(TS, TS + 1).before
    assert before is not None
    assert before.reason == "stopping"


def test_a_cut_line_is_left_out_and_told_of(tmp_path: Path) -> None:
    reader = decisions(tmp_path, "20261121", hold("2026-11-21T07:30:13.000000Z"), "2026-11-21T07:30:13.5", end="")
    assert [row.reason for row in reader.decisions(TS - NS_PER_S, TS + NS_PER_S).within] == ["spread"]
    assert len(reader.notes) == 1
    assert "the last line is unfinished" in reader.notes[0]


@pytest.mark.parametrize(
    "row",
    [
        "2026-11-21T07:30:13.000000Z,0,1,0,hold",
        "2026-11-21T07:30:13.000000Z,x,1,0,hold,,,,spread",
        "2026-11-21T07:30:13.000000Z,0,1,NaN,hold,,,,spread",
        "2026-13-21T07:30:13.000000Z,0,1,0,hold,,,,spread",
        "\0\0\0\0",
    ],
)
def test_a_row_that_is_none_spoils_no_other(tmp_path: Path, row: str) -> None:
    reader = decisions(tmp_path, "20261121", row, hold("2026-11-21T07:30:13.000000Z", "budget"))
    found = reader.decisions(TS - NS_PER_S, iso_ns("2027-01-01T00:00:00Z"))
    assert [line.reason for line in found.within] == ["budget"]
    assert len(reader.notes) == 1
    assert "a row that is no row was left out" in reader.notes[0]


def test_a_file_of_other_columns_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "decisions-20261121.csv").write_text("ts,reason\n2026-11-21T07:30:13.000000Z,spread\n")
    reader = LogReader([tmp_path])
    assert reader.decisions(TS - NS_PER_S, TS).within == ()
    assert "other columns" in reader.notes[0]


def test_the_last_decision_of_a_type_is_found_days_back(tmp_path: Path) -> None:
    halt = "2026-11-19T10:00:00.000000Z,5,9,0,halt,,,,kill_pnl"
    decisions(tmp_path, "20261119", halt)
    reader = decisions(tmp_path, "20261121", hold("2026-11-21T07:30:13.000000Z", "halted"))
    found = reader.last_decision("halt", TS)
    assert found is not None
    assert found.reason == "kill_pnl"
    assert reader.last_decision("halt", found.ts_ns) is None


def test_no_folder_has_no_rows(tmp_path: Path) -> None:
    reader = LogReader([tmp_path / "nowhere"])
    assert reader.decisions(0, TS).within == ()
    assert reader.orders_named("k-1") == []
    assert reader.notes == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_file_that_another_program_has_saved_is_read_as_it_was(tmp_path: Path, dialect: str) -> None:
    with CsvLogs(tmp_path, fx_btc_jpy(), LogConfig()) as logs:
        for n in range(3):
            logs.write(trade(ts_ns=TS + n * NS_PER_S))
    before = LogReader([tmp_path]).trades(TS, TS + DAY_NS).within
    (path,) = (tmp_path / "trades").glob("*.csv")
    path.write_bytes(DIALECTS[dialect](path.read_text()))
    reader = LogReader([tmp_path])
    assert reader.trades(TS, TS + DAY_NS).within[:2] == before[:2]
    assert len(reader.trades(TS, TS + DAY_NS).within) == 3 or "unfinished" in reader.notes[0]

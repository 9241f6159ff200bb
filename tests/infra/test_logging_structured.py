"""The CSV logs: columns, cells, day files, crashes and bad disks. Real files, nothing faked."""

from __future__ import annotations

import csv
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs, CsvRow, DecisionLogger, OrderLogger, TradeLogger
from stall_then_strike.infra.logs.daily_csv import DailyCsv, csv_line
from stall_then_strike.types.dto import (
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    DecisionLogRow,
    OrderId,
    OrderLogRow,
    PlaceLimit,
    Reason,
    Side,
    TimeInForce,
)
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.instrument import Lots, Money, Ticks, fx_btc_jpy
from tests.infra.journal.journal_rig import TS, trade

DAY_NS = 86_400_000_000_000
DAY = "20261121"
QUICK = LogConfig(flush_ms=10)
UNITS = fx_btc_jpy()

needs_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the full device of Linux")


def order(ts_ns: int = TS, **changes: object) -> OrderLogRow:
    row: dict[str, object] = {
        "ts_ns": ts_ns,
        "action": "place",
        "order_id": "JRF20261121-073013-000001",
        "client_order_id": "s1-b",
        "side": Side.SELL,
        "price": Ticks(13_601_500),
        "size": Lots(100_000),
        "tif": TimeInForce.GTC,
        "ttl_ms": 800,
        "tag": "stall",
        "reason": "strike",
    }
    return OrderLogRow(**(row | changes))  # type: ignore[arg-type]


PLACES = tuple(
    PlaceLimit(
        client_order_id=ClientOrderId(side),
        side=side,
        price=Ticks(price),
        size=Lots(100_000),
        ttl_ms=800,
        tag="stall",
        reason=Reason.STRIKE,
    )
    for side, price in ((Side.BUY, 13_600_000), (Side.SELL, 13_601_500))
)


def decision(ts_ns: int = TS, **changes: object) -> DecisionLogRow:
    row: dict[str, object] = {
        "ts_ns": ts_ns,
        "best_age_ms": 250,
        "spread_ticks": 1500,
        "inventory": Lots(0),
        "decision_type": "strike",
        "entry_bid_px": Ticks(13_600_000),
        "entry_ask_px": Ticks(13_601_500),
        "actions": PLACES,
        "reason": Reason.STRIKE,
    }
    return DecisionLogRow(**(row | changes))  # type: ignore[arg-type]


def write(root: Path, rows: Sequence[CsvRow], cfg: LogConfig = QUICK) -> LogError | None:
    with CsvLogs(root, UNITS, cfg) as logs:
        for row in rows:
            logs.write(row)
    return logs.failure


def lines(root: Path, kind: str, day: str = DAY) -> list[str]:
    return (root / kind / f"{kind}-{day}.csv").read_text().split("\n")


# --- What a row looks like -------------------------------------------------------------------------------------------


def test_columns_are_the_specified_ones_in_order() -> None:
    assert ", ".join(TradeLogger.COLUMNS) == (
        "ts, order_id, side, price, size, fee, strategy, tag, pnl_jpy, pnl_cum_jpy, inventory_after"
    )
    assert ", ".join(OrderLogger.COLUMNS) == (
        "ts, action, order_id, client_order_id, side, price, size, tif, ttl_ms, tag, reason"
    )
    assert ", ".join(DecisionLogger.COLUMNS) == (
        "ts, best_age_ms, spread_ticks, inventory_btc, decision_type, entry_bid_px, entry_ask_px, actions, reason"
    )


def test_rows_of_each_kind(tmp_path: Path) -> None:
    assert write(tmp_path, [trade(), order(), decision()]) is None
    assert lines(tmp_path, "trades") == [
        "ts,order_id,side,price,size,fee,strategy,tag,pnl_jpy,pnl_cum_jpy,inventory_after",
        (
            "2026-11-21T07:30:13.123456Z,JRF20261121-073013-000001,BUY,13600000,0.001,0,stall_then_strike,stall,"
            "-12.345678,10,-0.001"
        ),
        "",
    ]
    assert lines(tmp_path, "orders") == [
        "ts,action,order_id,client_order_id,side,price,size,tif,ttl_ms,tag,reason",
        "2026-11-21T07:30:13.123456Z,place,JRF20261121-073013-000001,s1-b,SELL,13601500,0.001,GTC,800,stall,strike",
        "",
    ]
    assert lines(tmp_path, "decisions") == [
        "ts,best_age_ms,spread_ticks,inventory_btc,decision_type,entry_bid_px,entry_ask_px,actions,reason",
        (
            "2026-11-21T07:30:13.123456Z,250,1500,0,strike,13600000,13601500,"
            "place_limit BUY 0.001@13600000; place_limit SELL 0.001@13601500,strike"
        ),
        "",
    ]


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [
        (trade(ts_ns=TS - TS % 10**9), "ts", "2026-11-21T07:30:13.000000Z"),
        (trade(ts_ns=TS - TS % 10**9 + 999_999_999), "ts", "2026-11-21T07:30:13.999999Z"),
        (trade(size=Lots(1)), "size", "0.00000001"),
        (trade(size=Lots(10**9)), "size", "10"),
        (trade(size=Lots(123_456_789)), "size", "1.23456789"),
        (trade(pnl_jpy=Money(0)), "pnl_jpy", "0"),
        (trade(pnl_jpy=Money(-1)), "pnl_jpy", "-0.00000001"),
        (trade(pnl_jpy=Money(-3_000_000_000_000)), "pnl_jpy", "-30000"),
        (trade(pnl_jpy=Money(10**25)), "pnl_jpy", "100000000000000000"),
        (trade(fee=Money(-150_000_000)), "fee", "-1.5"),
        (trade(inventory_after=Lots(0)), "inventory_after", "0"),
        (order(price=Ticks(0)), "price", ""),
        (order(ttl_ms=0), "ttl_ms", ""),
        (order(tif=TimeInForce.IOC), "tif", "IOC"),
        (order(order_id=""), "order_id", ""),
        (order(reason='refused: "-205", margin\nshort'), "reason", 'refused: "-205", margin short'),
        (order(reason="静止"), "reason", "静止"),
        (decision(entry_bid_px=Ticks(0)), "entry_bid_px", ""),
        (decision(entry_ask_px=Ticks(0)), "entry_ask_px", ""),
        (decision(inventory=Lots(-20_000_000)), "inventory_btc", "-0.2"),
        (decision(reason=Reason.KILL_DRAWDOWN), "reason", "kill_drawdown"),
        (decision(actions=()), "actions", ""),
        (
            decision(actions=(CancelAllStall(order_ids=(OrderId("a"), OrderId("b")), reason=Reason.TTL),)),
            "actions",
            "cancel_all_stall 2",
        ),
        *(
            (
                decision(
                    actions=(
                        CloseMarket(
                            client_order_id=ClientOrderId("c"),
                            side=Side.SELL,
                            price=price,
                            size=Lots(100_000),
                            tag="close",
                            reason=Reason.REVERSE,
                        ),
                    )
                ),
                "actions",
                text,
            )
            for price, text in (
                (None, "close_market SELL 0.001@market"),
                (Ticks(13_597_000), "close_market SELL 0.001@13597000"),
            )
        ),
    ],
)
def test_cell(tmp_path: Path, row: CsvRow, column: str, cell: str) -> None:
    write(tmp_path, [row])
    (path,) = tmp_path.glob("*/*.csv")
    with path.open(newline="") as file:
        (written,) = csv.DictReader(file)
    assert written[column] == cell


@given(st.lists(st.text(max_size=20), min_size=2, max_size=6))
def test_any_text_stays_one_line_and_reads_back(cells: list[str]) -> None:
    line = csv_line(cells)
    assert line.count("\n") == 1
    ((*read,),) = csv.reader([line])
    assert read == [cell.replace("\n", " ").replace("\r", " ").replace("\0", " ") for cell in cells]


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    rows = [kind(ts_ns=TS + step * 10**8) for step in range(500) for kind in (trade, order, decision)]
    for name in ("one", "two"):
        write(tmp_path / name, rows)
    for path in (tmp_path / "one").glob("*/*.csv"):
        assert path.read_bytes() == (tmp_path / "two" / path.parent.name / path.name).read_bytes()


# --- Files and days --------------------------------------------------------------------------------------------------


def test_file_changes_with_the_utc_day_of_the_row(tmp_path: Path) -> None:
    midnight = TS - TS % DAY_NS + DAY_NS
    write(tmp_path, [trade(ts_ns=midnight + step) for step in (-1, 0, 1, -2)])
    assert [line[:27] for line in lines(tmp_path, "trades", "20261121")[1:-1]] == ["2026-11-21T23:59:59.999999Z"] * 2
    assert [line[:27] for line in lines(tmp_path, "trades", "20261122")[1:-1]] == ["2026-11-22T00:00:00.000000Z"] * 2
    assert sum(line.startswith("ts,") for line in lines(tmp_path, "trades", "20261121")) == 1


def test_todays_files_can_be_followed_before_the_first_row(tmp_path: Path) -> None:
    with CsvLogs(tmp_path, UNITS, QUICK, start_ns=TS):
        assert lines(tmp_path, "decisions") == [",".join(DecisionLogger.COLUMNS), ""]
    write(tmp_path, [trade()])
    assert len(lines(tmp_path, "trades")) == 3


def test_second_run_continues_the_file(tmp_path: Path) -> None:
    for _ in range(2):
        write(tmp_path, [trade()])
    header, first, second, end = lines(tmp_path, "trades")
    assert (header.split(",")[0], first, end) == ("ts", second, "")


HEADER = ",".join(OrderLogger.COLUMNS)
ROW = OrderLogger.line  # the text of a row is tested above; here only where it lands


@pytest.mark.parametrize(
    ("left_behind", "expected_before_the_new_row"),
    [
        ("", f"{HEADER}\n"),
        (HEADER[:1], f"{HEADER}\n"),
        (HEADER[:40], f"{HEADER}\n"),
        (HEADER, f"{HEADER}\n"),
        (f"{HEADER}\n", f"{HEADER}\n"),
        (f"{HEADER}\na,b\n", f"{HEADER}\na,b\n"),
        (f"{HEADER}\na,b\n2026-11-21T07:3", f"{HEADER}\na,b\n2026-11-21T07:3\n"),
        (f"{HEADER}\r\na,b\r\n", f"{HEADER}\r\na,b\r\n"),
        (f"\ufeff{HEADER}\n", f"\ufeff{HEADER}\n"),
    ],
)
def test_file_cut_by_a_crash_is_continued_on_a_fresh_line(
    tmp_path: Path, left_behind: str, expected_before_the_new_row: str
) -> None:
    path = tmp_path / "orders" / f"orders-{DAY}.csv"
    path.parent.mkdir()
    path.write_bytes(left_behind.encode())
    assert write(tmp_path, [order()]) is None
    whole = path.read_bytes().decode()
    assert whole.startswith(expected_before_the_new_row)
    new = whole.removeprefix(expected_before_the_new_row)
    assert new.startswith("2026-11-21T07:30:13.123456Z,place,")
    assert new.count("\n") == 1


def test_file_of_other_columns_is_kept_under_another_name_and_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "orders" / f"orders-{DAY}.csv"
    path.parent.mkdir()
    for _ in range(2):
        path.write_text("time,price\n1,2\n")
        assert write(tmp_path, [order()]) is None
        assert lines(tmp_path, "orders")[0] == HEADER
        assert len(lines(tmp_path, "orders")) == 3
    for kept in (".old", ".old-2"):
        assert path.with_name(path.name + kept).read_text() == "time,price\n1,2\n"


# --- Time ------------------------------------------------------------------------------------------------------------


def test_rows_appear_without_flush_or_close(tmp_path: Path) -> None:
    with CsvLogs(tmp_path, UNITS, LogConfig(), start_ns=TS) as logs:
        read_end = tmp_path / "decisions" / f"decisions-{DAY}.csv"
        before = read_end.stat().st_size
        logs.write(decision())
        # No sleeping: the writer is waited for by its own progress, which flush would hurry and this does not. In many
        # short waits, of which a machine that stands still lengthens one.
        with logs._changed:
            waits = (logs._changed.wait_for(lambda: logs._done == 1, timeout=0.01) for _ in range(95))
            assert any(waits), "within a second"
        assert read_end.stat().st_size > before


def test_flush_waits_for_all_rows_so_far(tmp_path: Path) -> None:
    with CsvLogs(tmp_path, UNITS, LogConfig(flush_ms=900)) as logs:
        for number in range(5_000):
            logs.write(order(ttl_ms=number + 1))
        assert logs.flush()
        assert [line.split(",")[8] for line in lines(tmp_path, "orders")[1:-1]] == [str(n + 1) for n in range(5_000)]
        assert logs.flush(), "also when there is nothing to do"


def test_rows_come_in_order_from_a_burst_larger_than_half_the_queue(tmp_path: Path) -> None:
    with CsvLogs(tmp_path, UNITS, LogConfig(flush_ms=900, queue_rows=1_000)) as logs:
        for number in range(950):
            logs.write(order(ttl_ms=number + 1))
    assert logs.failure is None
    assert [line.split(",")[8] for line in lines(tmp_path, "orders")[1:-1]] == [str(n + 1) for n in range(950)]


# --- Bad disks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["trades", "orders", "decisions"])
def test_folder_that_cannot_be_made_is_an_error_by_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / kind).write_text("a file is in the way")
    with pytest.raises(LogError, match=rf"/{kind} cannot be written to: File exists"):
        CsvLogs(tmp_path, UNITS, QUICK)


def test_folder_that_takes_no_files_is_an_error_by_name() -> None:
    with pytest.raises(LogError, match=r"/proc/self/.* cannot be written to: "):  # holds for root as well
        CsvLogs(Path("/proc/self/logs"), UNITS, QUICK)


def test_file_that_is_a_folder_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "trades" / f"trades-{DAY}.csv").mkdir(parents=True)
    with pytest.raises(LogError, match=rf"trades-{DAY}\.csv cannot be written: Is a directory"):
        CsvLogs(tmp_path, UNITS, QUICK, start_ns=TS)


@needs_full_device
def test_full_disk_at_the_start_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / f"orders-{DAY}.csv").symlink_to("/dev/full")
    with pytest.raises(LogError, match=rf"orders-{DAY}\.csv cannot be written: No space left on device"):
        CsvLogs(tmp_path, UNITS, QUICK, start_ns=TS)


@needs_full_device
def test_full_disk_is_told_once_and_the_other_files_go_on(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / f"orders-{DAY}.csv").symlink_to("/dev/full")
    told: list[tuple[LogError, str]] = []
    with CsvLogs(
        tmp_path, UNITS, QUICK, on_failure=lambda error: told.append((error, threading.current_thread().name))
    ) as logs:
        logs.write(decision())
        logs.write(order())
        assert not logs.flush()
        logs.write(order())
        assert "No space left on device" in str(logs.failure)
    assert [(str(error), thread) for error, thread in told] == [(str(logs.failure), "csv-logs")]
    assert f"orders-{DAY}.csv cannot be written: No space left on device" in str(logs.failure)
    assert len(lines(tmp_path, "decisions")) == 3
    assert logs.dropped == 3, "what is not known to be written counts as lost"


@needs_full_device
def test_rows_held_back_by_a_full_disk_are_written_when_it_has_room(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    folder.mkdir()
    path = folder / "orders-20261122.csv"
    path.symlink_to("/dev/full")
    with CsvLogs(tmp_path, UNITS, QUICK) as logs:
        logs.write(order(ttl_ms=1))
        logs.write(order(TS + DAY_NS, ttl_ms=2))
        assert not logs.flush()
        logs.write(order(TS + 2 * DAY_NS, ttl_ms=3))
        # Room again: what the descriptor could not take is offered to it once more, here to a real file under it.
        file = logs._orders.file
        assert file._fd is not None
        real = os.open(folder / "real.csv", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        os.dup2(real, file._fd)
        os.close(real)
        assert logs.flush()
    assert logs.failure is not None, "it stays told"
    assert logs.dropped == 0
    found = [
        (folder / name).read_text().splitlines() for name in (f"orders-{DAY}.csv", "real.csv", "orders-20261123.csv")
    ]
    assert [[line.split(",")[8] for line in part] for part in found] == [["ttl_ms", n] for n in "123"]


def test_line_half_taken_by_the_disk_is_finished_not_repeated(tmp_path: Path) -> None:
    file = DailyCsv(tmp_path, "orders", ["a", "b"])
    file.open(DAY)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    assert file._fd is not None
    os.dup2(write_end, file._fd)  # takes 64 kB, then refuses
    os.close(write_end)
    sent = "".join(f"{number},{'x' * 1000}\n" for number in range(100))
    for line in sent.splitlines(keepends=True):
        file.append(DAY, line)
    with pytest.raises(LogError):
        file.flush()
    received = os.read(read_end, 1 << 20)
    file.flush()
    received += os.read(read_end, 1 << 20)
    file.close()
    os.close(read_end)
    assert received.decode() == sent


def test_hanging_disk_fills_the_queue_and_never_holds_up_the_caller(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    os.mkfifo(tmp_path / "orders" / f"orders-{DAY}.csv")
    # A fifo opened for both ends takes 64 kB and then waits.
    told = threading.Event()
    logs = CsvLogs(tmp_path, UNITS, LogConfig(flush_ms=10, queue_rows=100), on_failure=lambda _: told.set())
    number = 0
    while not told.is_set():
        logs.write(order())
        number += 1
        assert number < 100_000
    assert "lost a row: 100 rows wait for the disk" in str(logs.failure)
    assert logs.dropped >= 1
    with open(tmp_path / "orders" / f"orders-{DAY}.csv", "rb") as disk:  # it answers again
        reader = threading.Thread(target=disk.read, daemon=True)
        reader.start()
        logs.close()
        reader.join(10)
    assert not reader.is_alive()


def test_row_that_has_no_text_is_told_and_the_others_are_written(tmp_path: Path) -> None:
    failure = write(tmp_path, [order(), order(ts_ns=10**40), order()])
    assert "could not be written as text" in str(failure)
    assert len(lines(tmp_path, "orders")) == 4


def test_row_after_the_end_is_told(tmp_path: Path) -> None:
    logs = CsvLogs(tmp_path, UNITS, QUICK)
    logs.close()
    logs.close()
    logs.write(trade())
    assert "lost a row: they are closed" in str(logs.failure)


def test_no_thread_and_no_descriptor_is_left(tmp_path: Path) -> None:
    before = (threading.active_count(), len(os.listdir("/proc/self/fd"))) if Path("/proc/self/fd").exists() else None
    write(tmp_path, [trade(), order(), decision()])
    with pytest.raises(LogError):
        CsvLogs(Path("/proc/self/logs"), UNITS, QUICK)
    if before is not None:
        assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_stamp_is_the_instant_it_says() -> None:
    assert datetime.fromtimestamp(TS // 10**9, UTC) == datetime(2026, 11, 21, 7, 30, 13, tzinfo=UTC)

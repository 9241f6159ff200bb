"""Fills that a crash kept out of the CSV are in it exactly once after the repair, wherever it was cut off."""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.logging_structured import STRATEGY, CsvLogs, TradeLogger, trade_line
from stall_then_strike.infra.logs.csv_dialects import as_written
from stall_then_strike.infra.logs.csv_mending import drop_cut_rows, missing_trades
from stall_then_strike.infra.logs.run_files import day_files
from stall_then_strike.types.dto import Side, TradeLogRow
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.instrument import Money, fx_btc_jpy
from tests.infra.journal.journal_rig import DAY_NS, TS, trade
from tests.infra.logs.saved_csv import DIALECTS

UNITS = fx_btc_jpy()
MIDNIGHT = TS - TS % DAY_NS + DAY_NS
# Few values, so that equal rows and rows that are the beginning of others come about.
ROWS = st.builds(
    trade,
    ts_ns=st.sampled_from([TS, TS + 1, TS + 1_000, MIDNIGHT - 1, MIDNIGHT]),
    side=st.sampled_from(Side),
    size=st.sampled_from([1, 10, 100_000]),
    inventory_after=st.sampled_from([0, 100_000, 150_000, 1_500_000, 10**8, 10**9]),
    tag=st.sampled_from(["stall", 'a "quoted", tag']),
)


def log(root: Path, rows: Sequence[TradeLogRow]) -> None:
    with CsvLogs(root, UNITS, LogConfig(flush_ms=10)) as logs:
        for row in rows:
            logs.write(row)
    assert logs.failure is None


def mend(root: Path, fills: Sequence[TradeLogRow]) -> int:
    folder = root / "trades"
    drop_cut_rows(path for _, path in day_files(folder.parent, "trades"))
    missing = missing_trades(folder.parent, fills, UNITS)
    log(root, missing)
    return len(missing)


def rows_in(root: Path) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for path in (root / "trades").glob("*.csv"):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        assert tuple(header) == TradeLogger.COLUMNS
        found.update(map(tuple, rows))
    return found


def expected(fills: Sequence[TradeLogRow]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(next(csv.reader([trade_line(row, STRATEGY, UNITS)]))) for row in fills)


@given(st.lists(ROWS, min_size=1, max_size=12), st.integers(0, 12), st.data())
def test_each_fill_is_there_once_wherever_the_files_were_cut(
    fills: list[TradeLogRow], lost: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        log(root, fills[: max(0, len(fills) - lost)])
        for path in sorted((root / "trades").glob("*.csv")):
            os.truncate(path, data.draw(st.integers(0, path.stat().st_size)))
        mend(root, fills)
        assert rows_in(root) == expected(fills)
        assert mend(root, fills) == 0, "mended once, there is nothing left to do"


def test_row_cut_within_its_last_number_does_not_stay_as_a_wrong_one(tmp_path: Path) -> None:
    fills = [trade(inventory_after=150_000)]
    log(tmp_path, fills)
    (path,) = (tmp_path / "trades").glob("*.csv")
    os.truncate(path, path.stat().st_size - len("5\n"))
    assert path.read_text().endswith(",0.001")
    mend(tmp_path, fills)
    assert rows_in(tmp_path) == expected(fills)


def test_rows_of_others_are_left_alone(tmp_path: Path) -> None:
    before, after = [trade(tag="paper")], [trade(tag="stall")]
    log(tmp_path, before)
    assert mend(tmp_path, after) == 1
    assert rows_in(tmp_path) == expected(before + after)


def test_file_that_a_spreadsheet_gave_other_line_ends_is_understood(tmp_path: Path) -> None:
    fills = [trade(), trade(ts_ns=TS + 5_000)]
    log(tmp_path, fills)
    (path,) = (tmp_path / "trades").glob("*.csv")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert missing_trades(tmp_path, fills, UNITS) == []


def test_without_files_everything_is_missing_in_its_order(tmp_path: Path) -> None:
    fills = [trade(ts_ns=TS + 5), trade(), trade()]
    assert drop_cut_rows([tmp_path / "trades" / "trades-20261121.csv"]) == 0
    assert missing_trades(tmp_path, fills, UNITS) == fills


def test_file_that_cannot_be_read_is_an_error_by_name(tmp_path: Path) -> None:
    path = tmp_path / "trades" / "trades-20261121.csv"
    path.mkdir(parents=True)
    with pytest.raises(LogError, match=r"trades-20261121\.csv cannot be read: Is a directory"):
        missing_trades(tmp_path, [trade()], UNITS)
    with pytest.raises(LogError, match=r"trades-20261121\.csv cannot be mended: Is a directory"):
        drop_cut_rows([path])


def rounded(text: str) -> str:
    """The numbers as a spreadsheet saves them: fewer digits, and a price with an exponent."""
    return text.replace("13600000", "1.36E+07").replace("-0.12345678", "-0.123457")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("change", [str, rounded])
def test_fills_of_a_file_that_a_spreadsheet_has_saved_are_not_added_again(
    tmp_path: Path, dialect: str, change: Callable[[str], str]
) -> None:
    fills = [trade(ts_ns=TS + n * 5_000, pnl_jpy=Money(-12_345_678)) for n in range(4)]
    log(tmp_path, fills[:3])
    (path,) = (tmp_path / "trades").glob("*.csv")
    path.write_bytes(DIALECTS[dialect](change(path.read_text())))
    assert mend(tmp_path, fills) == 1, "the one that it lacks"
    assert mend(tmp_path, fills) == 0
    text = as_written(path.read_bytes(), TradeLogger.COLUMNS)
    assert text is not None
    assert len(text.splitlines()) == 5

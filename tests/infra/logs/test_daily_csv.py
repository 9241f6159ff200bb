"""CSV files that other programs rotate, move, delete and rewrite, while they are written and before."""

from __future__ import annotations

import codecs
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stall_then_strike.infra.logs.csv_dialects import as_written, number
from stall_then_strike.infra.logs.daily_csv import DailyCsv
from tests.infra.logs.saved_csv import DIALECTS, saved

DAY = "20261121"
COLUMNS = ("ts", "order_id", "price", "size")
HEADER = "ts,order_id,price,size\n"
ROWS = [f"2026-11-21T07:30:1{n}.123456Z,J{n},13600000,0.00{n}\n" for n in range(1, 6)]
OURS = HEADER + "".join(ROWS)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DailyCsv]:
    """A file of the day with two rows in it."""
    opened = DailyCsv(tmp_path / "orders", "orders", COLUMNS)
    put(opened, *ROWS[:2])
    yield opened
    opened.close()


def put(file: DailyCsv, *rows: str) -> str:
    for row in rows:
        file.append(DAY, row)
    file.flush()
    return file.path.read_text()


def old(file: DailyCsv, number: str = "") -> Path:
    return file.path.with_name(f"{file.path.name}.old{number}")


def semicolons(text: str) -> bytes:
    return saved(text, separator=";", is_comma=True)


# --- while it is written


def test_a_file_that_logrotate_truncates_goes_on_with_a_header(file: DailyCsv) -> None:
    copy = file.path.with_suffix(".csv.1")
    for row in ROWS[2:]:
        shutil.copyfile(file.path, copy)
        os.truncate(file.path, 0)
        assert put(file, row) == HEADER + row
    assert copy.read_text() == HEADER + ROWS[3]
    assert not old(file).exists()


def test_truncation_at_any_moment_leaves_no_row_without_a_header(file: DailyCsv) -> None:
    done = threading.Event()

    def truncate() -> None:
        while not done.is_set():
            with suppress(FileNotFoundError):  # just being given another name
                os.truncate(file.path, 0)

    other = threading.Thread(target=truncate)
    other.start()
    try:
        for n in range(2_000):
            put(file, ROWS[n % 5])
    finally:
        done.set()
        other.join()
    assert put(file, ROWS[0]).startswith(HEADER)
    assert set(file.path.read_text().splitlines(keepends=True)) <= {HEADER, *ROWS}


@pytest.mark.parametrize("what", ["deleted", "moved", "moved and made anew", "its folder deleted"])
def test_a_file_that_is_gone_is_begun_anew(file: DailyCsv, what: str) -> None:
    away = file.folder.parent / "away.csv"
    if what.startswith("moved"):
        file.path.rename(away)
    elif what == "deleted":
        file.path.unlink()
    else:
        shutil.rmtree(file.folder)
    if what.endswith("anew"):
        file.path.touch()
    file.flush()
    assert file.path.read_text() == HEADER, "noticed without a row, too"
    assert put(file, ROWS[2]) == HEADER + ROWS[2]
    if what.startswith("moved"):
        assert away.read_text() == HEADER + "".join(ROWS[:2])


def test_a_copy_that_a_spreadsheet_puts_in_its_place_is_kept_and_no_row_is_lost(file: DailyCsv) -> None:
    copy = file.path.with_suffix(".tmp")
    copy.write_bytes(semicolons(HEADER + ROWS[0]))  # opened before the second row came
    copy.replace(file.path)
    assert put(file, ROWS[2]) == HEADER + "".join(ROWS[:3])
    assert old(file).read_bytes() == semicolons(HEADER + ROWS[0])


def test_rows_that_are_rewritten_in_place_are_taken_over(file: DailyCsv) -> None:
    changed = semicolons(HEADER + "".join(ROWS[:2]))
    file.path.write_bytes(changed)
    assert put(file, ROWS[2]) == HEADER + "".join(ROWS[:3])
    assert old(file).read_bytes() == changed


def test_a_torn_line_of_a_file_that_is_gone_is_whole_in_the_new_one(file: DailyCsv, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    assert file._fd is not None
    kept = os.dup(file._fd)
    os.dup2(write_end, file._fd)  # takes 64 kB, then refuses: the disk is full in the middle of a line
    os.close(write_end)
    long = [f"2026-11-21T07:30:13.123456Z,J{n},1,{'1' * 50_000}\n" for n in range(2)]
    file.append(DAY, long[0])
    file.append(DAY, long[1])
    with pytest.raises(OSError, match="temporarily"):
        file._write()
    os.dup2(kept, file._fd)
    os.close(kept)
    os.close(read_end)
    file.path.unlink()
    file.flush()
    assert file.path.read_text() == HEADER + long[1]


# --- as it is found


BOM = codecs.BOM_UTF8


@pytest.mark.parametrize(
    ("found", "before"),
    [
        (b"", b""),
        (BOM, b""),
        (BOM + HEADER[:9].encode(), b""),
        (BOM + HEADER.encode().replace(b"\n", b"\r\n"), BOM),
    ],
)
def test_an_unfinished_beginning_is_finished(tmp_path: Path, found: bytes, before: bytes) -> None:
    file = DailyCsv(tmp_path, "orders", COLUMNS)
    (tmp_path / f"orders-{DAY}.csv").write_bytes(found)
    put(file, ROWS[0])
    assert file.path.read_bytes().replace(b"\r\n", b"\n") == before + (HEADER + ROWS[0]).encode()
    assert not old(file).exists()


@pytest.mark.parametrize(
    "found", [b"\0" * 100, b"\xef\xbb", b"\n", b"time,price\n1,2\n", b'"ts', b"\xff\xfe\0\0", b'"' + b"x" * 200_000]
)
def test_what_is_no_log_of_ours_is_kept_and_a_new_one_begun(tmp_path: Path, found: bytes) -> None:
    file = DailyCsv(tmp_path, "orders", COLUMNS)
    (tmp_path / f"orders-{DAY}.csv").write_bytes(found)
    assert put(file, ROWS[0]) == HEADER + ROWS[0]
    assert old(file).read_bytes() == found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_form_of_a_saved_file_is_read_as_we_had_written_it(dialect: str) -> None:
    found = as_written(DIALECTS[dialect](OURS), COLUMNS)
    assert found is not None
    assert found.decode() == OURS


def test_stamps_and_numbers_in_other_forms_are_understood() -> None:
    row = '"2026/11/21 07:30:11.123456";J1;1,36E+07;"0,00100"\n'
    found = as_written((HEADER.replace(",", ";") + row + "sum;;;5\n").encode(), COLUMNS)
    assert found == (HEADER + ROWS[0]).encode()


@pytest.mark.parametrize("cell", ["0,001", "1,36", "x", "1.2.3", "NaN", "1,2,3"])
def test_a_number_that_could_be_two_is_none(cell: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        number(cell)

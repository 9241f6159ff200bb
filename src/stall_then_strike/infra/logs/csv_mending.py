"""Trade rows that a crash kept out of the CSV: the journal has a fill at once, the CSV up to ``log.flush_ms`` later.

Of a run that was killed, :func:`drop_cut_rows` and then :func:`missing_trades` say what its files lack
(``run_mending``). Rows are compared as text and counted, so each fill is in the files
exactly once wherever the file was cut off. A row that another program has rewritten, perhaps with rounded numbers,
counts as the fill with the same order, side, price, size and tag.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from stall_then_strike.infra.logging_structured import STRATEGY, TradeLogger, trade_line
from stall_then_strike.infra.logs.csv_dialects import as_written, has_header, number
from stall_then_strike.infra.logs.run_files import day_files, read_whole
from stall_then_strike.types.dto import TradeLogRow
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import utc_day

_KIND: Final = TradeLogger.KIND


def drop_cut_rows(paths: Iterable[Path]) -> int:
    """Remove the unfinished last line from these trade files; return how many had one.

    A row cut off within its last number looks complete but is wrong. Raises LogError.
    """
    cut = 0
    for path in paths:
        try:
            whole = path.read_bytes()
            end = whole.rfind(b"\n") + 1
            if end < len(whole) and has_header(whole, TradeLogger.COLUMNS):
                os.truncate(path, end)
                cut += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LogError(f"{path} cannot be mended: {error.strerror}") from error
    return cut


def missing_trades(
    folder: Path, fills: Iterable[TradeLogRow], instrument: Instrument, *, strategy: str = STRATEGY
) -> list[TradeLogRow]:
    """The rows that an instrument's folder lacks, in the given order.

    Raises LogError if a file cannot be read.
    """
    unmatched: list[tuple[TradeLogRow, str, str]] = []
    present: dict[str, Counter[str]] = {}
    for row in fills:
        day = utc_day(row.ts_ns)
        lines = present.get(day)
        if lines is None:
            lines = present[day] = _finished_lines(folder, day)
        line = trade_line(row, strategy, instrument).rstrip("\n")
        if lines[line]:
            lines[line] -= 1
        else:
            unmatched.append((row, day, line))
    touched = {day: Counter(filter(None, map(_terms, lines.elements()))) for day, lines in present.items()}
    missing = []
    for row, day, line in unmatched:
        terms = _terms(line)
        if touched[day][terms]:
            touched[day][terms] -= 1
        else:
            missing.append(row)
    return missing


def _terms(line: str) -> tuple[str, ...]:
    """The cells that identify the fill of a row even if others were changed; empty for an invalid row."""
    cells = next(csv.reader([line]), [])
    if len(cells) != len(TradeLogger.COLUMNS):
        return ()
    named = dict(zip(TradeLogger.COLUMNS, cells, strict=True))
    try:
        numbers = number(named["price"]), number(named["size"])
    except ValueError:
        return ()
    return named["order_id"], named["side"], named["tag"], *numbers


def _finished_lines(folder: Path, day: str) -> Counter[str]:
    try:
        raw = next((read_whole(path) for its, path in day_files(folder, _KIND) if its == day), b"")
    except OSError as error:
        raise LogError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    text = (as_written(raw, TradeLogger.COLUMNS) or b"").decode("utf-8", "replace")
    return Counter(text.split("\n")[1:-1])

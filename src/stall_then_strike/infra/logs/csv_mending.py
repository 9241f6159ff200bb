"""Trade rows that a crash kept from the CSV: fills are in the journal at once, in the CSV up to ``log.flush_ms`` later.

At start, with the log folder taken and before it is written to: first :func:`drop_cut_rows`, then
:func:`missing_trades`, whose rows are to be logged again. Rows are compared as text, as often as they come, so a fill
is in the files exactly once however the file was cut. A row that another program has written anew, perhaps with its
numbers rounded, counts for the fill of its order, side, price, size and tag.
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
from stall_then_strike.types.dto import TradeLogRow
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import utc_day

_KIND: Final = TradeLogger.KIND


def drop_cut_rows(folder: Path, days: Iterable[str]) -> int:
    """Take the unfinished last line off the trade files of these UTC days (``YYYYMMDD``); return how many had one.

    A row cut within its last number looks whole and is wrong, so it goes before it is continued. Raises LogError.
    """
    cut = 0
    for day in days:
        path = folder / f"{_KIND}-{day}.csv"
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
    """Those of the rows that the trade files lack, in their order. Raises LogError if a file cannot be read."""
    unmatched: list[tuple[TradeLogRow, str, str]] = []
    present: dict[str, Counter[str]] = {}
    for row in fills:
        day = utc_day(row.ts_ns)
        lines = present.get(day)
        if lines is None:
            lines = present[day] = _finished_lines(folder / f"{_KIND}-{day}.csv")
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
    """What names the fill of a row whatever became of its other cells; nothing if that cannot be told."""
    cells = next(csv.reader([line]), [])
    if len(cells) != len(TradeLogger.COLUMNS):
        return ()
    named = dict(zip(TradeLogger.COLUMNS, cells, strict=True))
    try:
        numbers = number(named["price"]), number(named["size"])
    except ValueError:
        return ()
    return named["order_id"], named["side"], named["tag"], *numbers


def _finished_lines(path: Path) -> Counter[str]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Counter()
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror}") from error
    text = (as_written(raw, TradeLogger.COLUMNS) or b"").decode("utf-8", "replace")
    return Counter(text.split("\n")[1:-1])

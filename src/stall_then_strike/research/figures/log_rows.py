"""Reads the three CSVs of runs: complete rows only, several days as one run.

A crash leaves half a line at the end of a file, and the next run continues on a new line. An incomplete row is left out
and counted, never guessed; it must not prevent a report, which is needed most after a crash.

Fills are read to exact integers. Orders and decisions, of which there may be millions, stay columns; their numbers stay
text until they are needed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from stall_then_strike.engine.venue.account import TAKEN_TAG
from stall_then_strike.infra.logging_structured import columns
from stall_then_strike.infra.logs.csv_dialects import BOM, as_written
from stall_then_strike.infra.logs.run_files import KINDS, day_files, read_whole
from stall_then_strike.types.dto import NS_PER_S, Reason, Side
from stall_then_strike.types.errors import StallThenStrikeError
from stall_then_strike.types.instrument import Instrument, Lots, Money, Ticks
from stall_then_strike.types.text import iso_ns, utc_day

_STAMP: Final = "%Y-%m-%dT%H:%M:%S%.fZ"


class ReportInputError(StallThenStrikeError):
    """The input of a report is missing or wrong. The text is meant for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One row of the trade log, in integers."""

    ts_ns: int
    order_id: str
    side: Side
    price: Ticks
    size: Lots
    fee: Money
    tag: str
    pnl: Money
    """Realised by this fill, after its fee."""
    pnl_cum: Money
    """Realised in the trading day so far, with fees and funding."""
    inventory_after: Lots

    @property
    def signed(self) -> int:
        """Lots, positive for a buy."""
        return self.side.sign * self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRows:
    """All complete rows of an instrument in some runs, in the order of the files."""

    folder: Path
    """The first of those that were read."""
    fills: list[Fill]
    orders: pl.DataFrame
    """Columns of the CSV as text, and ``ts_ns``."""
    decisions: pl.DataFrame
    """The same, with ``best_age_ms`` and ``spread_ticks`` as numbers."""
    days: tuple[str, ...]
    """UTC days with a file, ``YYYYMMDD``."""
    missing_days: tuple[str, ...]
    """UTC days between them without decisions: nothing ran, or the file is gone."""
    unreadable: int
    """Number of incomplete rows, which were left out."""

    @property
    def first_ns(self) -> int:
        """Stamp of the earliest row; zero if there is none."""
        return min(self._ends(0), default=0)

    @property
    def last_ns(self) -> int:
        """Stamp of the latest row; zero if there is none."""
        return max(self._ends(-1), default=0)

    def _ends(self, at: int) -> Iterable[int]:
        for frame in (self.orders, self.decisions):
            if frame.height:
                yield int(frame["ts_ns"][at])
        if self.fills:
            yield self.fills[at].ts_ns


def read_log_rows(folders: Sequence[Path], units: Instrument, span: tuple[int, int] | None = None) -> LogRows:
    """Read an instrument's folders in some runs, all rows or those in ``span``.

    Raises ReportInputError when they have no rows or other columns.
    """
    names = " and ".join(map(str, folders))
    try:
        files = {
            kind: sorted((day, path) for folder in folders for day, path in day_files(folder, kind)) for kind in KINDS
        }
    except OSError as error:
        raise ReportInputError(f"{names} cannot be read: {error.strerror}") from error
    if span is not None:  # a row may be written a moment after midnight and be of before
        first, last = utc_day(span[0]), utc_day(span[1] + NS_PER_S)
        files = {kind: [(day, path) for day, path in found if first <= day <= last] for kind, found in files.items()}
    if not any(files.values()):
        raise ReportInputError(f"{names}: no logs; looked for {', '.join(f'{kind}/{kind}-*.csv' for kind in KINDS)}")
    fills, bad_fills = _read_fills([path for _, path in files["trades"]], units)
    orders, bad_orders = _read_columns([path for _, path in files["orders"]], "orders")
    decisions, bad_decisions = _read_columns([path for _, path in files["decisions"]], "decisions")
    if span is not None:
        within = pl.col("ts_ns").is_between(*span, closed="left")
        orders, decisions = orders.filter(within), decisions.filter(within)
        fills = [fill for fill in fills if span[0] <= fill.ts_ns < span[1]]
    present = {kind: [day for day, _ in found] for kind, found in files.items()}
    days = sorted({day for found in present.values() for day in found})
    if not fills and not orders.height and not decisions.height:
        of = "" if span is None else " of that day"
        raise ReportInputError(f"{names}: the logs have no rows{of}")
    return LogRows(
        folder=folders[0],
        fills=fills,
        orders=orders,
        decisions=decisions,
        days=tuple(days),
        missing_days=tuple(day for day in _calendar(days) if day not in present["decisions"]),
        unreadable=bad_fills + bad_orders + bad_decisions,
    )


# --- Trades -----------------------------------------------------------------------------------------------------------


def _read_fills(paths: Sequence[Path], units: Instrument) -> tuple[list[Fill], int]:
    fills: list[Fill] = []
    unreadable = 0
    for path in paths:
        text, cut = _whole_lines(path, "trades")
        unreadable += cut
        for line in text.decode("utf-8", "replace").split("\n")[1:-1]:
            try:
                fills.append(_fill(next(csv.reader([line])), units))
            except (ValueError, StopIteration):
                unreadable += bool(line.strip())
    # A position that was taken over is not a trade; it shows as a jump of the inventory.
    return [fill for fill in fills if fill.tag != TAKEN_TAG], unreadable


def _fill(cells: list[str], units: Instrument) -> Fill:
    """Read one row. Raises ValueError if it is incomplete."""
    ts, order_id, side, price, size, fee, _strategy, tag, pnl, pnl_cum, inventory = cells
    return Fill(
        ts_ns=iso_ns(ts),
        order_id=order_id,
        side=Side(side),
        price=units.to_ticks(price),
        size=units.to_lots(size),
        fee=units.to_money(fee),
        tag=tag,
        pnl=units.to_money(pnl),
        pnl_cum=units.to_money(pnl_cum),
        inventory_after=units.to_lots(inventory),
    )


# --- Orders and decisions ---------------------------------------------------------------------------------------------


def _read_columns(paths: Sequence[Path], kind: str) -> tuple[pl.DataFrame, int]:
    names = list(columns()[kind])
    frames = []
    unreadable = 0
    for path in paths:
        text, cut = _whole_lines(path, kind)
        unreadable += cut
        try:
            frame = pl.read_csv(text, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
        except pl.exceptions.PolarsError as error:
            raise ReportInputError(f"{path} cannot be read as CSV: {str(error).splitlines()[0]}") from error
        frames.append(frame)
    empty = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    raw = pl.concat([empty, *frames])
    stamped = raw.with_columns(
        pl.col("ts").str.to_datetime(_STAMP, time_unit="ns", strict=False).cast(pl.Int64).alias("ts_ns")
    )
    whole = pl.col("ts_ns").is_not_null() & pl.col(names[-1]).is_not_null()
    if kind == "decisions":
        numbers = [pl.col(name).cast(pl.Int64, strict=False) for name in ("best_age_ms", "spread_ticks")]
        stamped = stamped.with_columns(numbers)
        # A reason is one of a few words, so a truncated one can be recognised.
        whole &= pl.col("reason").is_in([reason.label for reason in Reason]) & pl.col("spread_ticks").is_not_null()
    kept = stamped.filter(whole).with_columns(pl.col(pl.String).fill_null(""))
    return kept, unreadable + raw.height - kept.height


def _whole_lines(path: Path, kind: str) -> tuple[bytes, int]:
    """The file up to its last line end, and 1 if an incomplete line follows, else 0. Raises ReportInputError."""
    try:
        raw = read_whole(path)
    except OSError as error:
        raise ReportInputError(f"{path} cannot be read: {error.strerror}") from error
    known, header = as_written(raw, columns()[kind]), ",".join(columns()[kind])
    if known is None:
        if b"\n" in raw:
            raise ReportInputError(f"{path} has other columns than {header}")
        return header.encode() + b"\n", int(bool(raw.removeprefix(BOM)))
    end = known.rfind(b"\n") + 1
    return known[:end] or header.encode() + b"\n", int(end < len(known))


def _calendar(days: Sequence[str]) -> Iterable[str]:
    """All days from the first to the last."""
    try:
        known = [date.fromisoformat(day) for day in days]
    except ValueError:
        return
    for ahead in range((known[-1] - known[0]).days + 1 if known else 0):
        yield f"{known[0] + timedelta(days=ahead):%Y%m%d}"

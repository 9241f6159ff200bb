"""Reads the CSV logs back, even while a run writes them.

What cannot be read is left out and noted in ``notes``: an unfinished last line (cut off by a crash or still being
written; cut off within its last number it would look complete but be wrong), an invalid row, a file that cannot be
opened or has other columns. Rows are sorted by stamp, because rows that a crash kept out are added later.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path
from typing import Final, Generic, TypeVar

from stall_then_strike.infra.logging_structured import columns
from stall_then_strike.infra.logs.csv_dialects import BOM, as_written
from stall_then_strike.infra.logs.run_files import day_files, read_whole
from stall_then_strike.types.text import iso_ns, utc_day, utc_iso

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z,")
_STAMP_CHARS: Final = 27

_Row = TypeVar("_Row", "DecisionLine", "OrderLine", "TradeLine")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLine:
    """A row of the decision log. Sizes in the base asset, prices in quote currency; None for an empty cell."""

    ts_ns: int
    best_age_ms: int
    spread_ticks: int
    inventory: Decimal
    decision_type: str
    entry_bid: Decimal | None
    entry_ask: Decimal | None
    actions: str
    reason: str
    """Label of a :class:`~stall_then_strike.types.dto.Reason`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """A row of the order log."""

    ts_ns: int
    action: str
    order_id: str
    client_order_id: str
    side: str
    price: Decimal | None
    """None at market."""
    size: Decimal
    tif: str
    ttl_ms: int
    tag: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeLine:
    """A row of the trade log. Money in quote currency."""

    ts_ns: int
    order_id: str
    side: str
    price: Decimal
    size: Decimal
    fee: Decimal
    tag: str
    pnl: Decimal
    pnl_cum: Decimal
    inventory_after: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span(Generic[_Row]):
    """The rows of a period in order, with the nearest row before and after it."""

    before: _Row | None
    within: tuple[_Row, ...]
    after: _Row | None


class LogReader:
    """The CSVs of one instrument in some runs."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read nothing yet. ``folders`` are the instrument's in each run; a missing one has no rows."""
        self._folders = folders
        self.notes: list[str] = []
        """What could not be read, without duplicates."""

    def decisions(self, from_ns: int, until_ns: int) -> Span[DecisionLine]:
        """Decisions in ``[from_ns, until_ns)``."""
        return self._span("decisions", _decision, from_ns, until_ns)

    def orders(self, from_ns: int, until_ns: int) -> Span[OrderLine]:
        """Order rows in ``[from_ns, until_ns)``."""
        return self._span("orders", _order, from_ns, until_ns)

    def trades(self, from_ns: int, until_ns: int) -> Span[TradeLine]:
        """Trades in ``[from_ns, until_ns)``."""
        return self._span("trades", _trade, from_ns, until_ns)

    def orders_named(self, name: str) -> list[OrderLine]:
        """All rows of an order, by our id or the venue's."""
        found: list[OrderLine] = []
        for _, files in groupby(reversed(self._files("orders")), key=lambda one: one[0]):
            rows = [
                row
                for _, path in files
                for row in self._rows(path, "orders", _order, lambda line: name in line)
                if name in (row.order_id, row.client_order_id)
            ]
            if not rows and found:
                break  # an order has rows on at most two days, and those are adjacent
            found.extend(rows)
        return sorted(found, key=_stamp_of)

    def trades_of(self, order_id: str) -> list[TradeLine]:
        """All fills of an order, by the venue's id."""
        found = [
            row
            for _, path in self._files("trades")
            for row in self._rows(path, "trades", _trade, lambda line: order_id in line)
            if row.order_id == order_id
        ]
        return sorted(found, key=_stamp_of)

    def last_decision(self, decision_type: str, until_ns: int) -> DecisionLine | None:
        """The newest decision of a type before ``until_ns``."""
        until, mark = utc_iso(until_ns), f",{decision_type},"
        for day, path in reversed(self._files("decisions")):
            if day > utc_day(until_ns):
                continue
            rows = self._rows(path, "decisions", _decision, lambda line: line < until and mark in line)
            newest = max((row for row in rows if row.decision_type == decision_type), key=_stamp_of, default=None)
            if newest is not None:
                return newest
        return None

    # --- files

    def _files(self, kind: str) -> list[tuple[str, Path]]:
        found: list[tuple[str, Path]] = []
        for folder in self._folders:
            try:
                found += day_files(folder, kind)
            except OSError as error:
                self._note(f"{folder / kind} cannot be read: {error.strerror}")
        return sorted(found, key=lambda one: one[0])

    def _span(self, kind: str, parse: Callable[[Sequence[str]], _Row], from_ns: int, until_ns: int) -> Span[_Row]:
        from_text, until_text = utc_iso(from_ns), utc_iso(until_ns)
        from_day, until_day = utc_day(from_ns), utc_day(until_ns)
        files = self._files(kind)
        within: list[_Row] = []
        before: _Row | None = None
        after: _Row | None = None
        for day, path in files:
            if from_day <= day <= until_day:
                within += self._rows(path, kind, parse, lambda line: from_text <= line < until_text)
        for day, path in reversed(files):
            if day <= from_day and before is None:
                before = self._edge(path, kind, parse, max, lambda line: line < from_text)
        for day, path in files:
            if day >= until_day and after is None:
                after = self._edge(path, kind, parse, min, lambda line: line >= until_text)
        return Span(before=before, within=tuple(sorted(within, key=_stamp_of)), after=after)

    def _edge(
        self,
        path: Path,
        kind: str,
        parse: Callable[[Sequence[str]], _Row],
        pick: Callable[..., str | None],
        wanted: Callable[[str], bool],
    ) -> _Row | None:
        # Of rows with equal stamps, the one written last shows the state afterwards.
        key: Callable[[str], str] = lambda line: line[:_STAMP_CHARS]  # noqa: E731 - typed for mypy
        lines = [line for line in self._lines(path, kind) if wanted(line)]
        line = pick(reversed(lines) if pick is max else lines, key=key, default=None)
        return None if line is None else next(iter(self._parsed(path, [line], parse)), None)

    def _rows(
        self, path: Path, kind: str, parse: Callable[[Sequence[str]], _Row], wanted: Callable[[str], bool]
    ) -> list[_Row]:
        return list(self._parsed(path, filter(wanted, self._lines(path, kind)), parse))

    def _parsed(
        self, path: Path, lines: Iterator[str] | Sequence[str], parse: Callable[[Sequence[str]], _Row]
    ) -> Iterator[_Row]:
        for line in lines:
            try:
                yield parse(next(csv.reader([line])))
            except (ValueError, InvalidOperation, csv.Error, StopIteration):
                self._note(f"{path}: a row that is no row was left out")

    def _lines(self, path: Path, kind: str) -> Iterator[str]:
        """The complete lines that begin with a stamp."""
        try:
            raw = read_whole(path)
        except OSError as error:
            self._note(f"{path} cannot be read: {error.strerror}")
            return
        if (known := as_written(raw, columns()[kind])) is None:
            if b"\n" in raw:
                self._note(f"{path} has other columns than this version writes, and was left out")
            elif raw.removeprefix(BOM):
                self._note(f"{path}: the last line is unfinished and was left out")
            return
        lines = known.decode("utf-8", "replace").split("\n")
        if lines[-1]:
            self._note(f"{path}: the last line is unfinished and was left out")
        for line in lines[1:-1]:
            if _STAMP.match(line):
                yield line
            elif line.strip():
                self._note(f"{path}: a row that is no row was left out")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _stamp_of(row: DecisionLine | OrderLine | TradeLine) -> int:
    return row.ts_ns


def _number(cell: str) -> Decimal:
    value = Decimal(cell)
    if not value.is_finite():
        raise ValueError(cell)
    return value


def _maybe(cell: str) -> Decimal | None:
    return _number(cell) if cell else None


def _decision(cells: Sequence[str]) -> DecisionLine:
    ts, age, spread, inventory, kind, bid, ask, actions, reason = cells
    return DecisionLine(
        ts_ns=iso_ns(ts),
        best_age_ms=int(age),
        spread_ticks=int(spread),
        inventory=_number(inventory),
        decision_type=kind,
        entry_bid=_maybe(bid),
        entry_ask=_maybe(ask),
        actions=actions,
        reason=reason,
    )


def _order(cells: Sequence[str]) -> OrderLine:
    ts, action, order_id, client_order_id, side, price, size, tif, ttl_ms, tag, reason = cells
    return OrderLine(
        ts_ns=iso_ns(ts),
        action=action,
        order_id=order_id,
        client_order_id=client_order_id,
        side=side,
        price=_maybe(price),
        size=_number(size),
        tif=tif,
        ttl_ms=int(ttl_ms or 0),
        tag=tag,
        reason=reason,
    )


def _trade(cells: Sequence[str]) -> TradeLine:
    ts, order_id, side, price, size, fee, _, tag, pnl, pnl_cum, inventory_after = cells
    return TradeLine(
        ts_ns=iso_ns(ts),
        order_id=order_id,
        side=side,
        price=_number(price),
        size=_number(size),
        fee=_number(fee),
        tag=tag,
        pnl=_number(pnl),
        pnl_cum=_number(pnl_cum),
        inventory_after=_number(inventory_after),
    )

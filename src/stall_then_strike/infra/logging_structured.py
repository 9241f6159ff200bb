"""Trades, orders and decisions as CSV, in the columns and the order of the specification.

Equal rows give equal bytes. ``ts`` is UTC in ISO 8601 with microseconds; numbers are plain decimals; a cell is empty
if there is no value (a price, time to live or entry price of zero). There is one file per UTC day, by the row's stamp.

The event loop never waits for a disk: :meth:`CsvLogs.write` puts the row into a bounded queue, and one thread formats
and writes rows at most ``flush_ms`` after the oldest was queued. The first failure (a failed write, or a full queue
because the disk hangs) is reported once; the caller is expected to stop quoting. The thread keeps trying, and the
queued rows are written in order and complete as soon as the disk takes them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, assert_never

from stall_then_strike.config.models import LogConfig
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.infra.logs.csv_dialects import csv_line
from stall_then_strike.infra.logs.daily_csv import DailyCsv
from stall_then_strike.types.dto import (
    Action,
    CancelAllStall,
    CloseMarket,
    DecisionLogRow,
    OrderLogRow,
    PlaceLimit,
    Reconcile,
    RenewFeed,
    TradeLogRow,
)
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import plain, utc_day, utc_iso

CsvRow = TradeLogRow | OrderLogRow | DecisionLogRow

RETRY_S: Final = 1.0
"""Pause before a failed write is repeated, in seconds."""
STRATEGY: Final = STALL_THEN_STRIKE
"""Name of the strategy in the trade log."""
CLOSE_S: Final = 10.0
"""How long closing waits for a hanging disk, in seconds."""


class TradeLogger:
    """``trades-YYYYMMDD.csv``: one row per fill."""

    KIND: Final = "trades"
    COLUMNS: Final = (
        "ts", "order_id", "side", "price", "size", "fee", "strategy", "tag", "pnl_jpy", "pnl_cum_jpy",
        "inventory_after",
    )  # fmt: skip

    def __init__(self, folder: Path, strategy: str, instrument: Instrument) -> None:
        """Raises LogError if the folder cannot be written to."""
        self.file = DailyCsv(folder, self.KIND, self.COLUMNS)
        self._strategy = strategy
        self._units = instrument

    def log_trade(self, row: TradeLogRow) -> None:
        """Add one row; it is in the file after ``file.flush()``. Raises LogError."""
        self.file.append(utc_day(row.ts_ns), self.line(row))

    def line(self, row: TradeLogRow) -> str:
        """The row as text, with its line end."""
        return trade_line(row, self._strategy, self._units)


def trade_line(row: TradeLogRow, strategy: str, units: Instrument) -> str:
    """A row of the trade log as text, with its line end."""
    return csv_line(
        (
            utc_iso(row.ts_ns),
            row.order_id,
            row.side.value,
            plain(units.price(row.price)),
            plain(units.size(row.size)),
            plain(units.amount(row.fee)),
            strategy,
            row.tag,
            plain(units.amount(row.pnl_jpy)),
            plain(units.amount(row.pnl_cum_jpy)),
            plain(units.size(row.inventory_after)),
        )
    )


class OrderLogger:
    """``orders-YYYYMMDD.csv``: one row per event of an order."""

    COLUMNS: Final = (
        "ts", "action", "order_id", "client_order_id", "side", "price", "size", "tif", "ttl_ms", "tag", "reason",
    )  # fmt: skip

    def __init__(self, folder: Path, instrument: Instrument) -> None:
        """Raises LogError if the folder cannot be written to."""
        self.file = DailyCsv(folder, "orders", self.COLUMNS)
        self._units = instrument

    def log_order(self, row: OrderLogRow) -> None:
        """Add one row; it is in the file after ``file.flush()``. Raises LogError."""
        self.file.append(utc_day(row.ts_ns), self.line(row))

    def line(self, row: OrderLogRow) -> str:
        """The row as text, with its line end."""
        return csv_line(
            (
                utc_iso(row.ts_ns),
                row.action,
                row.order_id,
                row.client_order_id,
                row.side.value,
                plain(self._units.price(row.price)) if row.price else "",
                plain(self._units.size(row.size)),
                row.tif.value,
                str(row.ttl_ms) if row.ttl_ms else "",
                row.tag,
                row.reason,
            )
        )


class DecisionLogger:
    """``decisions-YYYYMMDD.csv``: one row per decision."""

    COLUMNS: Final = (
        "ts", "best_age_ms", "spread_ticks", "inventory_btc", "decision_type", "entry_bid_px", "entry_ask_px",
        "actions", "reason",
    )  # fmt: skip

    def __init__(self, folder: Path, instrument: Instrument) -> None:
        """Raises LogError if the folder cannot be written to."""
        self.file = DailyCsv(folder, "decisions", self.COLUMNS)
        self._units = instrument

    def log_decision(self, row: DecisionLogRow) -> None:
        """Add one row; it is in the file after ``file.flush()``. Raises LogError."""
        self.file.append(utc_day(row.ts_ns), self.line(row))

    def line(self, row: DecisionLogRow) -> str:
        """The row as text, with its line end."""
        units = self._units
        return csv_line(
            (
                utc_iso(row.ts_ns),
                str(row.best_age_ms),
                str(row.spread_ticks),
                plain(units.size(row.inventory)),
                row.decision_type,
                plain(units.price(row.entry_bid_px)) if row.entry_bid_px else "",
                plain(units.price(row.entry_ask_px)) if row.entry_ask_px else "",
                "; ".join(action_text(action, units) for action in row.actions),
                row.reason.label,
            )
        )


def action_text(action: Action, units: Instrument) -> str:
    """An action as text: ``place_limit BUY 1@13600000``, ``cancel_all_stall 2``, ``close_market SELL 1@market``."""
    match action:
        case PlaceLimit():
            return f"place_limit {action.side} {plain(units.size(action.size))}@{plain(units.price(action.price))}"
        case CancelAllStall():
            return f"cancel_all_stall {len(action.order_ids)}"
        case CloseMarket():
            price = "market" if action.price is None else plain(units.price(action.price))
            return f"close_market {action.side} {plain(units.size(action.size))}@{price}"
        case Reconcile():
            return "reconcile"
        case RenewFeed():
            return "renew_feed"
        case _:
            assert_never(action)


class CsvLogs:
    """The three CSVs and the thread that writes them. Close it, or use it as a context manager."""

    def __init__(
        self,
        root: Path,
        instrument: Instrument,
        cfg: LogConfig,
        *,
        strategy: str = STRATEGY,
        start_ns: int | None = None,
        on_failure: Callable[[LogError], None] | None = None,
    ) -> None:
        """Create ``trades``, ``orders`` and ``decisions`` under ``root`` and check that they can be written to.

        With ``start_ns`` the files of that UTC day are created at once, with their headers, so that they can be
        followed before the first row. ``on_failure`` is called once, by the writing thread or by :meth:`write`. Raises
        LogError with the path and the system's reason.
        """
        self.dropped = 0
        """Rows that were lost, such as when the queue was full."""
        self._trades = TradeLogger(root / "trades", strategy, instrument)
        self._orders = OrderLogger(root / "orders", instrument)
        self._decisions = DecisionLogger(root / "decisions", instrument)
        self._files = (self._trades.file, self._orders.file, self._decisions.file)
        self.first_ns: int | None = None
        """Stamp of the earliest row in the files; ``last_ns``: of the latest."""
        self.last_ns: int | None = None
        if start_ns is not None:
            try:
                for file in self._files:
                    file.open(utc_day(start_ns))
            except LogError:
                for file in self._files:
                    file.abandon()
                raise
        self._on_failure = on_failure
        self._failure: LogError | None = None
        self._flush_s = cfg.flush_ms / 1000
        self._bound = cfg.queue_rows
        # Everything below is shared with the writing thread. The condition guards it and is only held briefly.
        self._changed = threading.Condition()
        self._rows: deque[CsvRow] = deque()
        self._taken = 0
        self._done = 0
        self._attempts = 0
        self._hurry = False
        self._closing = False
        self._writer = threading.Thread(target=self._run, name="csv-logs", daemon=True)
        self._writer.start()

    @property
    def failure(self) -> LogError | None:
        """The first failure; None if there was none."""
        return self._failure

    def write(self, row: CsvRow) -> None:
        """Queue one row. Never waits, never raises; if the queue is full, the row is dropped, which is a failure."""
        with self._changed:
            waiting = self._taken - self._done
            if waiting < self._bound and not self._closing:
                self._rows.append(row)
                self._taken += 1
                if waiting == 0 or waiting == self._bound // 2:
                    self._hurry |= waiting > 0
                    self._changed.notify_all()
                return
            self.dropped += 1
            why = "they are closed" if self._closing else f"{waiting} rows wait for the disk"
        self._fail(LogError(f"the CSV logs in {self.folder} lost a row: {why}"))

    @property
    def folder(self) -> Path:
        """The folder of ``trades``, ``orders`` and ``decisions``."""
        return self._trades.file.folder.parent

    def flush(self, timeout_s: float = CLOSE_S) -> bool:
        """Block until all rows so far are in the files, the disk has refused them once more, or time is up.

        For the end of a run, for replays faster than the disk, and for tests. Returns whether everything is written.
        """
        with self._changed:
            target, attempts = self._taken, self._attempts
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._done >= target or (self._failure is not None and self._attempts > attempts + 1), timeout_s
            )
            return self._done >= target

    def close(self) -> None:
        """Write the queued rows, close the files. Safe to call twice. Waits at most :data:`CLOSE_S` for the disk."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join(CLOSE_S)
        if self._writer.is_alive():
            self._fail(LogError(f"the CSV logs in {self.folder} could not be finished: the disk does not answer"))

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    # --- The writing thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        batch: deque[CsvRow] = deque()
        while True:
            last = self._wait_for_work(batch)
            clean = self._write_batch(batch)
            with self._changed:
                self._attempts += 1
                if clean:
                    self._done = self._taken - len(self._rows)
                self._changed.notify_all()
                if last and (not clean or not self._rows):
                    break
                if not clean:
                    self._changed.wait_for(lambda: self._closing or self._hurry, RETRY_S)
        for file in self._files:
            try:
                file.close()
            except LogError as error:
                self._fail(error)
                file.abandon()
        with self._changed:
            self.dropped += self._taken - self._done

    def _wait_for_work(self, batch: deque[CsvRow]) -> bool:
        """Move the queued rows into the batch, after collecting for ``flush_ms``. Returns whether it is the last."""
        with self._changed:
            if not batch and not any(file.has_unwritten for file in self._files):
                self._changed.wait_for(lambda: self._rows or self._closing or self._hurry)
                self._changed.wait_for(lambda: self._closing or self._hurry, self._flush_s)
            batch.extend(self._rows)
            self._rows.clear()
            self._hurry = False
            return self._closing

    def _write_batch(self, batch: deque[CsvRow]) -> bool:
        """Write rows and remove them from the batch, oldest first. Returns whether all were written.

        After a row fails, the later rows of its file stay in the batch too; those of other files are written.
        """
        held: deque[CsvRow] = deque()
        failed: set[type[CsvRow]] = set()
        while batch:
            row = batch.popleft()
            if type(row) not in failed:
                try:
                    self._append(row)
                    continue
                except LogError as error:
                    self._fail(error)
                    failed.add(type(row))
            held.append(row)
        batch.extend(held)
        clean = not failed
        for file in self._files:
            try:
                file.flush()
            except LogError as error:
                self._fail(error)
                clean = False
        return clean

    def _append(self, row: CsvRow) -> None:
        try:
            match row:
                case TradeLogRow():
                    self._trades.log_trade(row)
                case OrderLogRow():
                    self._orders.log_order(row)
                case DecisionLogRow():
                    self._decisions.log_decision(row)
                case _:
                    assert_never(row)
            self.first_ns = row.ts_ns if self.first_ns is None else min(self.first_ns, row.ts_ns)
            self.last_ns = row.ts_ns if self.last_ns is None else max(self.last_ns, row.ts_ns)
        except LogError:
            raise
        except Exception as error:  # noqa: BLE001 - a row that cannot be formatted is a bug: report it, keep the others
            self.dropped += 1
            self._fail(LogError(f"a row could not be written as text ({error!r}): {row}"))

    def _fail(self, error: LogError) -> None:
        with self._changed:
            if self._failure is not None:
                return
            self._failure = error
        if self._on_failure is not None:
            self._on_failure(error)


def columns() -> dict[str, Sequence[str]]:
    """The columns of each kind of file, for readers."""
    return {"trades": TradeLogger.COLUMNS, "orders": OrderLogger.COLUMNS, "decisions": DecisionLogger.COLUMNS}

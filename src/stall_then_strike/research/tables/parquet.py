"""A tape as two Parquet tables, written by polars in bounded memory.

``NAME.levels.parquet``, one row a level of a board message, in the tape's order:

    recv_ns      Int64     when the message was received, ns since the Unix epoch
    message      Int64     number of the message on the tape, from zero; all rows of a message have it
    is_snapshot  Boolean   whether the message replaces the book
    side         Enum      bid, ask
    price_ticks  Int64     price / tick size
    size_lots    Int64     size / size step, the new total size; zero deletes the level
    mid_ticks    Int64     the message's mid price

``NAME.executions.parquet``, one row an execution:

    recv_ns, message       as above
    exec_ns      Int64     the venue's stamp; null if there is none
    exec_id      Int64
    taker        Enum      BUY, SELL; null in an auction
    price_ticks, size_lots
    buy_order_id, sell_order_id  String  acceptance ids of both orders
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import polars as pl

from stall_then_strike.tapes.tape_rows import BoardMessage, read_rows
from stall_then_strike.types.instrument import Instrument

LEVELS: Final = pl.Schema(
    {
        "recv_ns": pl.Int64(),
        "message": pl.Int64(),
        "is_snapshot": pl.Boolean(),
        "side": pl.Enum(["bid", "ask"]),
        "price_ticks": pl.Int64(),
        "size_lots": pl.Int64(),
        "mid_ticks": pl.Int64(),
    }
)
EXECUTIONS: Final = pl.Schema(
    {
        "recv_ns": pl.Int64(),
        "message": pl.Int64(),
        "exec_ns": pl.Int64(),
        "exec_id": pl.Int64(),
        "taker": pl.Enum(["BUY", "SELL"]),
        "price_ticks": pl.Int64(),
        "size_lots": pl.Int64(),
        "buy_order_id": pl.String(),
        "sell_order_id": pl.String(),
    }
)
_ROWS: Final = 200_000
"""Rows of each table held in memory."""


def write_parquet(tape: Path, stem: Path, instrument: Instrument) -> tuple[Path, Path]:
    """Convert one product's messages; return the two files. Raises TapeError, OSError."""
    levels_path = stem.with_name(stem.name + ".levels.parquet")
    executions_path = stem.with_name(stem.name + ".executions.parquet")
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=stem.parent) as folder:
        levels = _Table(LEVELS, Path(folder) / "levels")
        executions = _Table(EXECUTIONS, Path(folder) / "executions")
        for row in read_rows(tape, instrument):
            if isinstance(row, BoardMessage):
                for side, changes in (("bid", row.bids), ("ask", row.asks)):
                    for price, size in changes:
                        levels.add((row.recv_ns, row.number, row.is_snapshot, side, price, size, row.mid_ticks))
            else:
                executions.add(row)
        levels.finish(levels_path)
        executions.finish(executions_path)
    return levels_path, executions_path


class _Table:
    """Writes rows to temporary pieces, and joins the pieces to one file."""

    def __init__(self, schema: pl.Schema, folder: Path) -> None:
        folder.mkdir()
        self._schema, self._folder = schema, folder
        self._rows: list[tuple[Any, ...]] = []
        self._pieces = 0

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS:
            self._put()

    def _put(self) -> None:
        frame = pl.DataFrame(self._rows, schema=self._schema, orient="row")
        frame.write_parquet(self._folder / f"{self._pieces:06d}.parquet")
        self._rows.clear()
        self._pieces += 1

    def finish(self, path: Path) -> None:
        if self._rows or not self._pieces:
            self._put()
        whole = self._folder / "whole"
        pieces = sorted(self._folder.glob("*.parquet"))
        pl.scan_parquet(pieces).sink_parquet(whole, maintain_order=True)
        whole.replace(path)

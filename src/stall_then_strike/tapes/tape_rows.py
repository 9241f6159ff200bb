"""A tape's messages as rows for tables: board messages as level changes, executions as trades, all in integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.tapes.tape_reader import TapeError, on_grid, read_tape, stamp_ns
from stall_then_strike.tapes.wires import channel_of, kind_of
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Instrument

Level = tuple[int, int]
"""Price in ticks and size in lots; size zero deletes the level."""


@dataclass(frozen=True, slots=True)
class BoardMessage:
    """A snapshot of the book or a delta."""

    recv_ns: int
    number: int
    """Position of the message on the tape, from zero."""
    is_snapshot: bool
    mid_ticks: int
    bids: list[Level]
    asks: list[Level]


class ExecutionRow(NamedTuple):
    """One execution."""

    recv_ns: int
    number: int
    exec_ns: int | None
    """The venue's stamp; None if it is invalid."""
    exec_id: int
    taker: str | None
    """BUY or SELL; None in an auction."""
    price_ticks: int
    size_lots: int
    buy_order_id: str
    sell_order_id: str


def read_rows(path: Path, instrument: Instrument) -> Iterator[BoardMessage | ExecutionRow]:
    """All board messages and executions of one product, in order. Raises TapeError, OSError."""
    product = instrument.product_code
    per_tick, per_lot = instrument.ticks_per_one, instrument.lots_per_one
    for number, line in enumerate(read_tape(path)):
        message: Any = orjson.loads(line.text)
        name = channel_of(message)
        kind, of_product = (None, "") if name is None else kind_of(name)
        if of_product != product or kind is Channel.TICKER or kind is None:
            continue
        try:
            content = message["params"]["message"]
            if kind is Channel.EXECUTIONS:
                for item in content:
                    yield ExecutionRow(
                        line.recv_ns,
                        number,
                        stamp_ns(item["exec_date"], 0) or None,
                        on_grid(int(item["id"]), 1),
                        Side(item["side"]).value if item["side"] else None,
                        on_grid(item["price"], per_tick),
                        on_grid(item["size"], per_lot),
                        str(item["buy_child_order_acceptance_id"]),
                        str(item["sell_child_order_acceptance_id"]),
                    )
            else:
                bids, asks = (
                    [
                        (ticks, on_grid(entry["size"], per_lot))
                        for entry in content[side]
                        if (ticks := on_grid(entry["price"], per_tick))  # zero: market orders waiting for an auction
                    ]
                    for side in ("bids", "asks")
                )
                mid = on_grid(content["mid_price"], per_tick)
                yield BoardMessage(line.recv_ns, number, kind is Channel.SNAPSHOT, mid, bids, asks)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TapeError(f"{path}: message {number + 1} does not have its channel's format: {error!r}") from error


def only_product(path: Path, wanted: str | None) -> str:
    """``wanted`` if the tape has it, without ``wanted`` the tape's product. Raises TapeError for none or several."""
    found: set[str] = set()
    for line in read_tape(path):
        name = channel_of(orjson.loads(line.text))
        if name is not None and kind_of(name)[1]:
            found.add(kind_of(name)[1])
            if wanted in found:
                return kind_of(name)[1]
    if not found:
        raise TapeError(f"{path}: no channel of a product of bitFlyer; other tapes cannot be converted")
    if wanted is not None or len(found) > 1:
        raise TapeError(f"{path}: channels of {', '.join(sorted(found))}; name one of them by --product")
    return found.pop()

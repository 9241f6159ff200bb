"""A tape as hftbacktest's event array (``.npz``, version 2.x): ``data`` of ``event_dtype``.

- ``local_ts`` is the receive stamp.
- ``exch_ts`` of a trade is the venue's own stamp (``exec_date``), limited to at most the receive stamp (clocks differ)
  and at least 10 s before it. Board messages carry no stamp: theirs is the receive stamp less a constant feed latency,
  which the caller chooses. At bitFlyer, executions were received a median of 0.1 to 0.8 s after their stamp.
- A snapshot is one DEPTH_CLEAR_EVENT a side, down to the deepest known level, and its levels as DEPTH_SNAPSHOT_EVENTs.
  A delta's levels are DEPTH_EVENTs with the new total size, zero for a deletion.
- A trade's BUY or SELL flag is the taker's side; in an auction it has neither.
- Prices are in quote currency and sizes in base currency, as floats, which hftbacktest requires.

hftbacktest reads exchange events and local events from the same array, each in the order of its own stamps. Where both
orders agree, one row serves both (EXCH_EVENT and LOCAL_EVENT); elsewhere there are two rows. The result is that of its
``correct_event_order``, but made in a sliding window instead of with the whole array in memory.
"""

from __future__ import annotations

import heapq
import shutil
import tempfile
import zipfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np

from stall_then_strike.tapes.tape_rows import BoardMessage, ExecutionRow, Level, read_rows
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.instrument import Instrument

DEPTH_EVENT: Final = 1
TRADE_EVENT: Final = 2
DEPTH_CLEAR_EVENT: Final = 3
DEPTH_SNAPSHOT_EVENT: Final = 4
EXCH_EVENT: Final = 1 << 31
LOCAL_EVENT: Final = 1 << 30
BUY_EVENT: Final = 1 << 29
SELL_EVENT: Final = 1 << 28
EVENT_DTYPE: Final = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
FEED_LATENCY_MS: Final = 100
_LONGEST_NS: Final = 10 * NS_PER_S
_ROWS: Final = 100_000


@dataclass(slots=True)
class _Happening:
    """One event, before it is known whether it takes one row or two."""

    ev: int
    exch_ns: int
    local_ns: int
    price: int
    size: int
    has_exchange_row: bool = False
    """Whether the exchange's row was yielded."""


Row = tuple[int, int, int, float, float, int, int, float]


def write_npz(tape: Path, path: Path, instrument: Instrument, *, feed_latency_ms: float = FEED_LATENCY_MS) -> int:
    """Convert one product's messages; return the number of rows. Raises TapeError, OSError."""
    rows = event_rows(tape, instrument, int(feed_latency_ms * NS_PER_MS))
    count = 0
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=path.parent) as folder:
        raw_path, packed = Path(folder) / "rows", Path(folder) / "npz"
        with raw_path.open("wb") as raw:
            while batch := list(islice(rows, _ROWS)):
                np.array(batch, dtype=EVENT_DTYPE).tofile(raw)
                count += len(batch)
        with (
            raw_path.open("rb") as raw,
            zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("data.npy", "w", force_zip64=True) as data,
        ):
            data.write(_header(count))
            shutil.copyfileobj(raw, data, 1 << 20)
        packed.replace(path)
    return count


def _header(count: int) -> bytes:
    """The head of a ``.npy`` file, format 1.0, whose data begins at a multiple of 64 bytes (numpy's documentation)."""
    text = repr({"descr": EVENT_DTYPE.descr, "fortran_order": False, "shape": (count,)})
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")


def event_rows(tape: Path, instrument: Instrument, feed_ns: int) -> Iterator[Row]:
    """Rows in an order that is right for exchange and local events. Raises TapeError, OSError."""
    per_tick, per_lot = instrument.ticks_per_one, instrument.lots_per_one
    to_come: list[tuple[int, int, _Happening]] = []
    unheard: deque[_Happening] = deque()

    def row(event: _Happening, flags: int) -> Row:
        price, size = event.price / per_tick, event.size / per_lot
        return (event.ev | flags, event.exch_ns, event.local_ns, price, size, 0, 0, 0.0)

    def settled(until_ns: int) -> Iterator[Row]:
        """Rows of events whose place is final: no later event happened before ``until_ns``."""
        while unheard:
            if unheard[0].has_exchange_row:
                yield row(unheard.popleft(), LOCAL_EVENT)
                continue
            exch_ns, _, event = to_come[0]
            if exch_ns >= until_ns:
                return
            heapq.heappop(to_come)
            event.has_exchange_row = True
            if event is unheard[0]:
                yield row(unheard.popleft(), EXCH_EVENT | LOCAL_EVENT)
            else:
                yield row(event, EXCH_EVENT)

    for number, event in enumerate(_happenings(tape, instrument, min(feed_ns, _LONGEST_NS))):
        heapq.heappush(to_come, (event.exch_ns, number, event))
        unheard.append(event)
        yield from settled(event.local_ns - _LONGEST_NS)
    yield from settled(1 << 63)


def _happenings(tape: Path, instrument: Instrument, feed_ns: int) -> Iterator[_Happening]:
    """Events in the order of receipt; a stamp before an earlier one is replaced by the latest."""
    local_ns = 0
    bids: set[int] = set()
    asks: set[int] = set()
    for message in read_rows(tape, instrument):
        local_ns = max(local_ns, message.recv_ns)
        if isinstance(message, ExecutionRow):
            stamp_ns = local_ns - feed_ns if message.exec_ns is None else message.exec_ns
            exch_ns = min(max(stamp_ns, local_ns - _LONGEST_NS), local_ns)
            flag = {"BUY": BUY_EVENT, "SELL": SELL_EVENT}.get(message.taker or "", 0)
            yield _Happening(TRADE_EVENT | flag, exch_ns, local_ns, message.price_ticks, message.size_lots)
        else:
            stamps = (local_ns - feed_ns, local_ns)
            yield from chain(
                _depth(message, message.bids, bids, BUY_EVENT, stamps),
                _depth(message, message.asks, asks, SELL_EVENT, stamps),
            )


def _depth(
    message: BoardMessage, levels: list[Level], known: set[int], flag: int, stamps: tuple[int, int]
) -> Iterator[_Happening]:
    if message.is_snapshot:
        known.update(price for price, _ in levels)
        if known:
            yield _Happening(DEPTH_CLEAR_EVENT | flag, *stamps, min(known) if flag == BUY_EVENT else max(known), 0)
        known.clear()
    for price, size in levels:
        if size:
            known.add(price)
        else:
            known.discard(price)
        kind = DEPTH_SNAPSHOT_EVENT if message.is_snapshot else DEPTH_EVENT
        yield _Happening(kind | flag, *stamps, price, size)

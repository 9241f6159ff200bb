"""A tape as hftbacktest's events. Needs numpy, and not hftbacktest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stall_then_strike.research.tables.npz import (
    BUY_EVENT,
    DEPTH_EVENT,
    EVENT_DTYPE,
    EXCH_EVENT,
    LOCAL_EVENT,
    TRADE_EVENT,
    event_rows,
)
from stall_then_strike.types.instrument import Instrument

AFTER_NS = 3_600 * 10**9


def events(tape: Path, instrument: Instrument, *, shift_ns: int = 0) -> Any:
    """What ``tape convert --to npz`` writes, but with the venue's stamps so long before ours, trades' too."""
    rows = [row for row in event_rows(tape, instrument, 0) if row[0] & LOCAL_EVENT]
    data = with_an_end(np.array(rows, dtype=EVENT_DTYPE))
    data["ev"] |= EXCH_EVENT
    data["exch_ts"] = data["local_ts"] - shift_ns
    return data


def with_an_end(data: Any) -> Any:
    """These events, and long after them one that changes nothing: at the end of its data hftbacktest's time stands."""
    stamp = int(data["local_ts"].max()) + AFTER_NS
    last = (DEPTH_EVENT | BUY_EVENT | EXCH_EVENT | LOCAL_EVENT, stamp, stamp, 1.0, 0.0, 0, 0, 0.0)
    return np.concatenate((data.astype(EVENT_DTYPE, copy=False), np.array([last], EVENT_DTYPE)))


def depth_rows(data: Any) -> list[Any]:
    """The depth events among them, in the order of receipt."""
    return [row for row in data.tolist() if row[0] & 0xFF != TRADE_EVENT and row[0] & LOCAL_EVENT]

"""A prepared tape on disk: columns in plain files, read one chunk at a time, so that memory use stays constant.

There is one folder per run of tapes. ``manifest.json`` describes its content and how it was made; every other file is
one column of one type without a header. Messages, trades and level changes are numbered within their chunk. See `Chunk`
for the meaning of the columns.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stall_then_strike.types.dto import BoardState
from stall_then_strike.types.errors import FeedError

I64 = npt.NDArray[np.int64]
Ints = npt.NDArray[Any]

VERSION: Final = 3
"""Version of the files' meaning. Columns of an older version are prepared again."""

BOARD_STATES: Final = (
    BoardState.RUNNING,
    BoardState.UNKNOWN,
    *(state for state in BoardState if state not in (BoardState.RUNNING, BoardState.UNKNOWN)),
)
"""States of the board by their number in the columns: 0 is running, 1 is unknown, all others refuse orders."""

KIND_NONE, KIND_BOARD, KIND_TRADES, KIND_STATE = range(4)
"""Values of the column ``kind`` of messages."""
MOST_LEVELS: Final = 1 << 19
"""Number of level changes at which a chunk ends early."""
MANIFEST: Final = "manifest.json"
_REOPEN: Final = 16
"""The mapped files are reopened after this many chunks, so that pages read once do not stay in our memory."""

MESSAGES: Final = {"recv": "i8", "kind": "i1", "status": "i1", "bid": "i4", "ask": "i4", "since": "i8"}
TRADES: Final = {"trade_at": "i4", "trade_taker": "i1", "trade_price": "i4", "trade_size": "i8"}
BASE: Final = {"base_rank": "i4", "base_size": "i8"}
LEVELS: Final = {"level_rank": "i4", "level_at": "i4", "level_size": "i8"}
COLUMNS: Final = {**MESSAGES, **TRADES, **BASE, **LEVELS}
BOUNDS: Final = ("messages", "trades", "base_asks", "base", "level_asks", "levels")
"""Per chunk: the end of its part of each group of columns, and where the asks begin in it."""


class Chunk(NamedTuple):
    """A stretch of the tape, as columns. Messages are numbered within it."""

    recv: Ints
    kind: Ints
    status: Ints
    """For a board message a BookStatus, for a state message an index into BOARD_STATES."""
    bid: Ints
    ask: Ints
    since: Ints
    trade_at: Ints
    trade_taker: Ints
    trade_price: Ints
    trade_size: Ints
    base_rank: Ints
    """The book before the chunk, bids then asks, each sorted by rank: a bid's negated price, an ask's price."""
    base_size: Ints
    base_asks: int
    """Index of the first ask."""
    level_rank: Ints
    """Level changes, bids then asks, each sorted by rank and then by message."""
    level_at: Ints
    level_size: Ints
    level_asks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Description of a folder of columns."""

    version: int
    key: str
    product: str
    messages: int
    boards: int
    level_changes: int
    """Level changes as received, without snapshots; ``stored`` of them changed the book."""
    stored: int
    trades: int
    chunks: int
    first_ns: int
    last_ns: int
    """The latest stamp; a tape may hold a few messages out of order."""
    highest_price: int
    mid_checked: int
    mid_agreed: int
    garbage: int
    """Refused frames."""


class Columns:
    """A folder of columns, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest. Raises FeedError if this is not a complete folder of this version."""
        self.folder = folder
        try:
            held: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            self.manifest: Final = Manifest(**held)
        except (OSError, ValueError, TypeError) as error:
            raise FeedError(f"{folder} holds no prepared tape: {error}") from error
        if self.manifest.version != VERSION:
            raise FeedError(f"{folder} was prepared by version {self.manifest.version}; this is {VERSION}")
        self._bounds = np.fromfile(folder / "bounds", np.int64).reshape(-1, len(BOUNDS))

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in order. Their arrays are read-only and valid until the next chunk is requested."""
        opened: dict[str, Ints] = {}
        before: Ints = np.zeros(len(BOUNDS), np.int64)
        for number, bounds in enumerate(self._bounds):
            if number % _REOPEN == 0:
                opened = {name: self._open(name, kind) for name, kind in COLUMNS.items()}
            yield _chunk(opened, dict(zip(BOUNDS, before, strict=True)), dict(zip(BOUNDS, bounds, strict=True)))
            before = bounds

    def _open(self, name: str, kind: str) -> Ints:
        # Not np.memmap, which takes five times as long. An empty file cannot be mapped. Its column cannot be written
        # either: functions are compiled again for arrays that can.
        with (self.folder / name).open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return np.frombuffer(b"", kind)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), kind)


def _chunk(opened: dict[str, Ints], first: dict[str, Any], end: dict[str, Any]) -> Chunk:
    parts = {
        name: opened[name][int(first[group]) : int(end[group])]
        for group, names in (("messages", MESSAGES), ("trades", TRADES), ("base", BASE), ("levels", LEVELS))
        for name in names
    }
    return Chunk(
        **parts,
        base_asks=int(end["base_asks"] - first["base"]),
        level_asks=int(end["level_asks"] - first["levels"]),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest. To be done last: a folder with a manifest is complete."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")

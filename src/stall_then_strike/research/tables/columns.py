"""A prepared tape on disk: columns in plain files, read a chunk at a time, so that memory stays flat.

One folder a run of tapes. ``manifest.json`` says what is in it and how it was made; every other file is one column of
one type without a header. Messages, trades and level changes are numbered within their chunk. See ``arrays.Chunk`` for
what the columns mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from stall_then_strike.research.replay.kernel_state import Chunk, Ints
from stall_then_strike.types.dto import BoardState
from stall_then_strike.types.errors import FeedError

VERSION: Final = 3
"""Of what the files mean. Older ones are made anew."""

BOARD_STATES: Final = (
    BoardState.RUNNING,
    BoardState.UNKNOWN,
    *(state for state in BoardState if state not in (BoardState.RUNNING, BoardState.UNKNOWN)),
)
"""States of the board by their number in the columns: 0 runs, 1 is not known, all others refuse orders."""

MANIFEST: Final = "manifest.json"
_REOPEN: Final = 16
"""Chunks after which the mapped files are let go, so that pages once read do not count as ours for ever."""

MESSAGES: Final = {"recv": "i8", "kind": "i1", "status": "i1", "bid": "i4", "ask": "i4", "since": "i8"}
TRADES: Final = {"trade_at": "i4", "trade_taker": "i1", "trade_price": "i4", "trade_size": "i8"}
BASE: Final = {"base_rank": "i4", "base_size": "i8"}
LEVELS: Final = {"level_rank": "i4", "level_at": "i4", "level_size": "i8"}
COLUMNS: Final = {**MESSAGES, **TRADES, **BASE, **LEVELS}
BOUNDS: Final = ("messages", "trades", "base_asks", "base", "level_asks", "levels")
"""Per chunk: where its part of each group ends, and where the asks begin in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder of columns holds."""

    version: int
    key: str
    product: str
    messages: int
    boards: int
    level_changes: int
    """As they stood on the wire, snapshots not counted; ``stored`` of them changed the book."""
    stored: int
    trades: int
    chunks: int
    first_ns: int
    last_ns: int
    """The latest stamp; tapes may hold a few that are out of order."""
    highest_price: int
    mid_checked: int
    mid_agreed: int
    garbage: int
    """Frames that were not understood."""


class Columns:
    """A folder of columns, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest. Raises FeedError if this is not a whole folder of this version."""
        self.folder = folder
        try:
            held: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            self.manifest: Final = Manifest(**held)
        except (OSError, ValueError, TypeError) as error:
            raise FeedError(f"{folder} holds no prepared tape: {error}") from error
        if self.manifest.version != VERSION:
            raise FeedError(f"{folder} was prepared by version {self.manifest.version}; this is {VERSION}")
        self._bounds = np.fromfile(folder / "bounds", np.int64).reshape(-1, len(BOUNDS))

    @property
    def largest_book(self) -> int:
        """The most levels and changes that any chunk has."""
        sizes = np.diff(self._bounds, axis=0, prepend=0)
        return int((sizes[:, BOUNDS.index("base")] + sizes[:, BOUNDS.index("levels")]).max(initial=0))

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in order. Their arrays are read-only, and valid until the next chunk is asked for."""
        opened: dict[str, Ints] = {}
        before: Ints = np.zeros(len(BOUNDS), np.int64)
        for number, bounds in enumerate(self._bounds):
            if number % _REOPEN == 0:
                opened = {name: self._open(name, kind) for name, kind in COLUMNS.items()}
            yield _chunk(opened, dict(zip(BOUNDS, before, strict=True)), dict(zip(BOUNDS, bounds, strict=True)))
            before = bounds

    def _open(self, name: str, kind: str) -> Ints:
        path = self.folder / name
        if path.stat().st_size == 0:
            return np.zeros(0, kind)
        return np.asarray(np.memmap(path, kind, mode="r"))


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
    """Write it last: a folder with a manifest is whole."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")

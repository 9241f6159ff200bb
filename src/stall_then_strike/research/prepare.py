"""A tape, once, into columns.

Every message goes through the same `MarketFeed` and board as in trading, so that what is stored is what was believed:
the best after each message, its age, and how far the book could be believed. Memory is that of one chunk.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.board import Board
from stall_then_strike.infra.market_feed import MarketEvent, MarketFeed
from stall_then_strike.research.arrays import KIND_BOARD, KIND_NONE, KIND_STATE, KIND_TRADES
from stall_then_strike.research.columns import BOUNDS, COLUMNS, VERSION, Columns, Manifest, write_manifest
from stall_then_strike.research.sequence import Message, one_run
from stall_then_strike.types.dto import (
    NS_PER_S,
    BoardSnapshot,
    BoardState,
    PublicTrade,
    PublicTrades,
    Side,
    VenueStatus,
)
from stall_then_strike.types.errors import FeedError

BOARD_STATES: Final = (
    BoardState.RUNNING,
    BoardState.UNKNOWN,
    *(state for state in BoardState if state not in (BoardState.RUNNING, BoardState.UNKNOWN)),
)
"""States of the board by their number in the columns: 0 runs, 1 is not known, all others refuse orders."""

CHUNK: Final = 16_384
"""Messages a chunk."""
_MOST_LEVELS: Final = 1 << 20
"""Level changes at which a chunk ends early."""
_HIGHEST: Final = 1 << 30
"""Prices and sizes beyond which 64 bits are not proven to be enough."""
_LARGEST: Final = 1 << 42
_LONGEST_GAP_NS: Final = 7 * 86_400 * NS_PER_S


class ColumnWriter:
    """Collects a chunk and appends it to the columns' files."""

    def __init__(self, folder: Path) -> None:
        """The files are made anew; ``with`` closes them."""
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {
            name: self._stack.enter_context((folder / name).open("wb")) for name in (*COLUMNS, "bounds")
        }
        self._rows: dict[str, list[int]] = {name: [] for name in COLUMNS}
        self._levels: list[tuple[int, int, int, int]] = []
        self._ends = dict.fromkeys(BOUNDS, 0)
        self.stored = 0
        self.chunks = 0

    def __enter__(self) -> ColumnWriter:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._stack.close()

    @property
    def at(self) -> int:
        """Number of the next message in its chunk."""
        return len(self._rows["recv"])

    @property
    def is_full(self) -> bool:
        """Whether the chunk is to be ended before the next message."""
        return self.at >= CHUNK or len(self._levels) >= _MOST_LEVELS

    def message(self, recv_ns: int, kind: int, status: int = 0, bid: int = 0, ask: int = 0, since_ns: int = 0) -> None:
        """One message."""
        rows = self._rows
        rows["recv"].append(recv_ns)
        rows["kind"].append(kind)
        rows["status"].append(status)
        rows["bid"].append(bid)
        rows["ask"].append(ask)
        rows["since"].append(since_ns)

    def trade(self, taker: Side, price: int, size: int) -> None:
        """One execution of the message that comes next."""
        rows = self._rows
        rows["trade_at"].append(self.at)
        rows["trade_taker"].append(taker.sign)
        rows["trade_price"].append(price)
        rows["trade_size"].append(size)

    def level(self, side: Side, price: int, size: int) -> None:
        """One changed level of the message that comes next."""
        is_ask = side is Side.SELL
        self._levels.append((is_ask, price if is_ask else -price, self.at, size))

    def begin(self, bids: Mapping[Any, int], asks: Mapping[Any, int]) -> None:
        """The book before the next chunk."""
        rows = self._rows
        for price in sorted(bids, reverse=True):
            rows["base_rank"].append(-price)
            rows["base_size"].append(bids[price])
        self._ends["base_asks"] = self._ends["base"] + len(bids)
        for price in sorted(asks):
            rows["base_rank"].append(price)
            rows["base_size"].append(asks[price])

    def end(self) -> None:
        """Sort the chunk's changes and write everything."""
        levels = sorted(self._levels, key=lambda level: level[:3])
        rows, ends = self._rows, self._ends
        rows["level_rank"] = [level[1] for level in levels]
        rows["level_at"] = [level[2] for level in levels]
        rows["level_size"] = [level[3] for level in levels]
        ends["level_asks"] = ends["levels"] + sum(not level[0] for level in levels)
        ends["messages"] += self.at
        ends["trades"] += len(rows["trade_at"])
        ends["base"] += len(rows["base_rank"])
        ends["levels"] += len(levels)
        for name, kind in COLUMNS.items():
            np.asarray(rows[name], kind).tofile(self._files[name])
            rows[name] = []
        np.asarray([ends[name] for name in BOUNDS], np.int64).tofile(self._files["bounds"])
        self._levels = []
        self.stored += len(levels)
        self.chunks += 1


class RecordingBoard(Board):
    """A board that tells which levels each message changed."""

    writer: ColumnWriter
    changes = 0

    def apply_delta(self, message: dict[str, Any]) -> int:
        """As the board's, and note what it changed."""
        mid = super().apply_delta(message)
        for side, key in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            for level in message[key]:
                self.changes += 1
                price = round(level["price"] * self._ticks_per_one)
                if price > 0:
                    self._note(side, price, (self._bids if side is Side.BUY else self._asks).get(price, 0))
        return mid

    def apply_snapshot(self, message: dict[str, Any]) -> int:
        """As the board's, and note what differs from the book before."""
        before = {Side.BUY: self._bids, Side.SELL: self._asks}
        mid = super().apply_snapshot(message)
        for side, after in ((Side.BUY, self._bids), (Side.SELL, self._asks)):
            old = before[side]
            for price in old.keys() | after.keys():
                if (size := after.get(price, 0)) != old.get(price, 0):
                    self._note(side, price, size)
        return mid

    def begin_chunk(self) -> None:
        """Write the whole book as the base of the next chunk."""
        self.writer.begin(self._bids, self._asks)

    def _note(self, side: Side, price: int, size: int) -> None:
        if price >= _HIGHEST or size >= _LARGEST:
            raise FeedError(f"a level of {size} lots at {price} ticks is beyond what a prepared tape can hold")
        self.writer.level(side, price, size)


class _Builder:
    """One pass over messages."""

    def __init__(self, cfg: AppConfig, writer: ColumnWriter) -> None:
        board = RecordingBoard(cfg.exchange.instrument())
        board.writer = writer
        self.board, self.writer, self.feed = board, writer, MarketFeed(cfg, board)
        self.messages = self.boards = self.trades = self.highest = 0
        self.first_ns = self.last_ns = 0

    def take(self, recv_ns: int, text: str | None) -> None:
        writer = self.writer
        if not self.messages:
            self.first_ns = self.last_ns = recv_ns
            self.board.begin_chunk()
        elif recv_ns - self.last_ns > _LONGEST_GAP_NS:
            raise FeedError(f"message {self.messages + 1} is stamped more than 7 days after the one before it")
        elif writer.is_full:
            writer.end()
            self.board.begin_chunk()
        self.messages += 1
        self.last_ns = now = max(self.last_ns, recv_ns)
        if text is None:
            event: MarketEvent | None = self.feed.on_disconnect(now)
            self.feed.on_connect()
        else:
            event = self.feed.on_text(text, now)
        self._store(recv_ns, event)

    def _store(self, recv_ns: int, event: MarketEvent | None) -> None:
        writer = self.writer
        if isinstance(event, BoardSnapshot):
            self.boards += 1
            bid, ask = int(event.best_bid_price), int(event.best_ask_price)
            self.highest = max(self.highest, bid, ask)
            writer.message(recv_ns, KIND_BOARD, int(event.status), bid, ask, event.best_since_ns)
        elif isinstance(event, PublicTrades):
            for trade in event.trades:
                if trade.taker is not None:
                    self._store_trade(trade, trade.taker)
            writer.message(recv_ns, KIND_TRADES)
        elif isinstance(event, VenueStatus) and event.state is not None:
            writer.message(recv_ns, KIND_STATE, BOARD_STATES.index(event.state))
        else:
            writer.message(recv_ns, KIND_NONE)

    def _store_trade(self, trade: PublicTrade, taker: Side) -> None:
        if trade.price >= _HIGHEST or trade.size >= _LARGEST:
            raise FeedError(f"a trade of {trade.size} lots at {trade.price} ticks is beyond what columns can hold")
        self.trades += 1
        self.highest = max(self.highest, trade.price)
        self.writer.trade(taker, trade.price, trade.size)


def write_columns(messages: Iterable[Message], cfg: AppConfig, folder: Path, key: str = "") -> Manifest:
    """Write columns into an existing folder. Raises FeedError for stamps and sizes that cannot be."""
    with ColumnWriter(folder) as writer:
        builder = _Builder(cfg, writer)
        for recv_ns, text in messages:
            builder.take(recv_ns, text)
        writer.end()
    counts = builder.feed.statistics()
    manifest = Manifest(
        version=VERSION,
        key=key,
        product=cfg.exchange.product_code,
        messages=builder.messages,
        boards=builder.boards,
        level_changes=builder.board.changes,
        stored=writer.stored,
        trades=builder.trades,
        chunks=writer.chunks,
        first_ns=builder.first_ns,
        last_ns=builder.last_ns,
        highest_price=builder.highest,
        mid_checked=counts.mid_checked,
        mid_agreed=counts.mid_agreed,
        garbage=sum(counts.refused.values()),
    )
    write_manifest(folder, manifest)
    return manifest


def cache_key(tapes: Sequence[Path], cfg: AppConfig) -> str:
    """What columns depend on: the tapes' bytes, the product's units, and this version."""
    exchange = cfg.exchange
    units = (VERSION, exchange.product_code, exchange.tick_size, exchange.size_step, cfg.ws.max_frame_bytes)
    digest = hashlib.blake2b(repr(units).encode(), digest_size=16)
    for path in tapes:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def prepared(tapes: Sequence[Path], cfg: AppConfig, cache: Path) -> Columns:
    """The columns of these tapes as one run, from the cache or made now. Raises TapeError, FeedError, OSError."""
    key = cache_key(tapes, cfg)
    folder = cache / key
    try:
        return Columns(folder)
    except FeedError:
        shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        write_columns(one_run(tapes), cfg, making, key)
        making.replace(folder)
    except OSError:
        if not folder.is_dir():  # somebody else made the same meanwhile
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Columns(folder)

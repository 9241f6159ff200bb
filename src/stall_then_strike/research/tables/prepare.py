"""Prepares tapes as columns, once.

The columns hold what trading would have seen: the best after each message, its age, and the book's status. Board
messages and tickers in the venue's usual spelling are read by the compiled scanner (`scan.py`); all others go through
`MarketFeed` itself. Memory use is that of one chunk.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MAX_TRADES, MarketFeed
from stall_then_strike.infra.bitflyer.store import Board, BoardMessage, board_message
from stall_then_strike.infra.levels import MAX_LEVELS, BoardError, Sizes
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.research.tables.columns import (
    BOARD_STATES,
    BOUNDS,
    COLUMNS,
    KIND_BOARD,
    KIND_NONE,
    KIND_STATE,
    KIND_TRADES,
    MESSAGES,
    TRADES,
    VERSION,
    Columns,
    Manifest,
    write_manifest,
)
from stall_then_strike.research.tables.scan import (
    CHUNK,
    DAY_BYTES,
    HIGHEST,
    LARGEST,
    LONGEST_GAP_NS,
    T_ID,
    W_AGREED,
    W_ALONE,
    W_ASK,
    W_ASKS,
    W_BID,
    W_BIDS,
    W_BOARDS,
    W_CHANGES,
    W_CHECKED,
    W_CHUNK,
    W_DATED,
    W_DAY_NS,
    W_HAS_SNAPSHOT,
    W_HIGHEST,
    W_LAST_ID,
    W_LAST_NS,
    W_LEVELS,
    W_MESSAGES,
    W_SINCE_NS,
    W_STATUS,
    W_TOO_LONG,
    W_TOTAL,
    W_TRADES,
    Sheet,
    add_board,
    add_message,
    apply_delta,
    apply_snapshot,
    is_full,
    scan_lines,
    sheet,
    spelling,
)
from stall_then_strike.tapes.sequence import Joints, Message
from stall_then_strike.tapes.tape_reader import (
    EARLIEST_NS,
    EXEC_DATE,
    LineFile,
    Stamps,
    TapeError,
    judge,
    judge_whole,
    parse_line,
    stamp_ns,
)
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BookStatus,
    PublicTrade,
    PublicTrades,
    VenueStatus,
)
from stall_then_strike.types.errors import FeedError

_BLOCK: Final = 4 << 20
"""Bytes of a tape read at a time."""


class BeyondColumns(FeedError):
    """A number on a tape is too large for columns. Interpreted trading, which needs no columns, takes it."""

    def __init__(self, what: str, lots: int, ticks: int) -> None:
        """``what`` is the thing with this size and price."""
        super().__init__(f"a {what} of {lots:,} lots at {ticks:,} ticks is beyond what prepared tapes can hold")


class ColumnWriter:
    """Appends chunks to the columns' files."""

    def __init__(self, folder: Path, s: Sheet) -> None:
        """Make the files, replacing older ones; ``with`` closes them."""
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {
            name: self._stack.enter_context((folder / name).open("wb")) for name in (*COLUMNS, "bounds")
        }
        self._sheet = s
        self._base = np.zeros((2, 0), np.int64)
        self._base_asks = 0
        self._ends = dict.fromkeys(BOUNDS, 0)
        self.stored = self.chunks = self.trades = 0

    def __enter__(self) -> ColumnWriter:
        """Itself; the files are open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._stack.close()

    def begin(self) -> None:
        """Remember the book before the next chunk."""
        s = self._sheet
        sides = [
            (s.rank[side, :count][::-1], s.size[side, :count][::-1]) for side, count in enumerate(s.w[W_BIDS:][:2])
        ]
        self._base = np.asarray([np.concatenate(part) for part in zip(*sides, strict=True)])
        self._base_asks = int(s.w[W_BIDS])

    def end(self) -> None:
        """Sort the chunk's changes and write the chunk."""
        s, ends = self._sheet, self._ends
        messages, levels, trades = int(s.w[W_MESSAGES]), int(s.w[W_LEVELS]), int(s.w[W_TRADES])
        keys = np.sort(s.keys[:levels])
        order = keys & 0xFFFFFFFF
        columns = {
            **{name: s.messages[:messages, field] for field, name in enumerate(MESSAGES)},
            **{name: s.trades[:trades, field] for field, name in enumerate(TRADES)},
            "base_rank": self._base[0],
            "base_size": self._base[1],
            "level_rank": keys >> 32,
            "level_at": s.at[order],
            "level_size": s.sizes[order],
        }
        ends["base_asks"] = ends["base"] + self._base_asks
        ends["level_asks"] = ends["levels"] + int(np.searchsorted(keys, 0))
        for group, size in (
            ("messages", messages),
            ("trades", trades),
            ("base", self._base.shape[1]),
            ("levels", levels),
        ):
            ends[group] += size
        for name, kind in COLUMNS.items():
            columns[name].astype(kind).tofile(self._files[name])
        np.asarray([ends[name] for name in BOUNDS], np.int64).tofile(self._files["bounds"])
        s.w[W_MESSAGES] = s.w[W_LEVELS] = s.w[W_TRADES] = 0
        self.trades += trades
        self.stored += levels
        self.chunks += 1


_NO_MID: Final = -1
_HIGHEST_ID: Final = 1 << 62
"""Stands for all higher ids of executions."""


class SheetBoard(Board):
    """A board whose levels are in a sheet. It decodes and refuses messages as `Board` does."""

    sheet: Sheet
    mid = 0

    def apply_delta(self, message: BoardMessage | dict[str, Any]) -> int:
        """As the board's."""
        content = board_message(message)
        mid, (bids, _, _), (asks, _, _) = self._decode(content)
        w = self.sheet.w
        if len(bids) + w[W_BIDS] > self._max_levels or len(asks) + w[W_ASKS] > self._max_levels:
            raise BoardError(f"more than {self._max_levels} levels a side")
        self._spread(mid, bids, asks)
        w[W_CHANGES] += len(content.bids) + len(content.asks)
        apply_delta(self.sheet, len(bids), len(asks))
        return mid

    def apply_snapshot(self, message: BoardMessage | dict[str, Any]) -> int:
        """As the board's."""
        mid, (bids, _, _), (asks, _, _) = self._decode(board_message(message))
        if len(bids) > self._max_levels or len(asks) > self._max_levels:
            raise BoardError(f"more than {self._max_levels} levels a side")
        sides = dict(sorted(bids.items(), reverse=True)), dict(sorted(asks.items()))
        self._spread(mid, *sides)
        apply_snapshot(self.sheet, *map(len, sides))
        return mid

    def _spread(self, mid: int, bids: Sizes, asks: Sizes) -> None:
        self.mid = min(mid, HIGHEST)  # compared with the book's, which is below that
        for side, levels in enumerate((bids, asks)):
            for n, (ticks, wire_size) in enumerate(levels.items()):
                price, size = int(ticks), self._lots_of(wire_size)
                if price >= HIGHEST or size >= LARGEST:
                    raise BeyondColumns("level", size, price)
                self.sheet.ticks[side, n] = price
                self.sheet.lots[side, n] = size


class _Feed(MarketFeed):
    """Live trading's feed, which is told of the executions that it did not see."""

    def know(self, exec_ids: Iterable[int]) -> None:
        """These are no news any more."""
        for exec_id in exec_ids:
            self._is_new(exec_id)


class Builder:
    """One pass over messages: the scanner takes those it can read, live trading's feed the rest."""

    def __init__(self, cfg: AppConfig, writer: ColumnWriter, s: Sheet) -> None:
        """``writer`` writes what ``s`` collects."""
        unit = cfg.exchange.instrument()
        board = SheetBoard(unit)
        board.sheet = self.sheet = s
        s.w[W_TOO_LONG] = cfg.ws.max_frame_bytes
        self._board, self._writer = board, writer
        self.feed = _Feed(cfg, board, is_recorded=True)
        self._told = 0
        """Executions of the chunk that the feed knows."""
        self.spelling = spelling(
            unit.product_code, unit.ticks_per_one, unit.lots_per_one, tuple(state.value for state in BOARD_STATES)
        )
        self.first_ns: int | None = None

    def take(self, recv_ns: int, text: str | None) -> None:
        """Take one message. Raises FeedError for impossible stamps and sizes."""
        if is_full(self.sheet):
            self.turn()
        line = np.frombuffer(f'{{"recv_ns":{recv_ns},"msg":{text}}}\n'.encode(), np.uint8)
        _, taken = scan_lines(self.sheet, self.spelling, line, 0)
        if not taken:
            self.take_alone(recv_ns, text)

    def turn(self) -> None:
        """End the chunk and begin the next."""
        self._tell()
        self._told = 0
        self._writer.end()
        self._writer.begin()

    def dated(self) -> int:
        """Messages of executions that the scanner took since this was last asked. Their dates are right."""
        count, self.sheet.w[W_DATED] = int(self.sheet.w[W_DATED]), 0
        return count

    def _tell(self) -> None:
        """Tell the feed of the executions that the scanner took."""
        upto = int(self.sheet.w[W_TRADES])
        self.feed.know(self.sheet.trades[self._told : upto, T_ID].tolist())
        self._told = upto

    def take_alone(self, recv_ns: int, text: str | None) -> None:
        """Take one message that the scanner did not take; the chunk has room for it."""
        w = self.sheet.w
        if self.first_ns is None:
            self.first_ns = recv_ns
        elif recv_ns - w[W_LAST_NS] > LONGEST_GAP_NS:
            raise FeedError(f"message {w[W_TOTAL] + 1} is stamped more than 7 days after the one before it")
        w[W_LAST_NS] = now = max(int(w[W_LAST_NS]), recv_ns)
        if text is None:
            self.feed.on_disconnect(now)
            self.feed.on_connect()
            w[W_HAS_SNAPSHOT] = w[W_BID] = w[W_ASK] = 0
            w[W_STATUS], w[W_SINCE_NS] = BookStatus.UNKNOWN, now
            w[W_BOARDS] += 1
            add_message(self.sheet, recv_ns, KIND_BOARD, int(BookStatus.UNKNOWN), 0, 0, now)
        else:
            self._board.mid = _NO_MID
            self._tell()
            event = self.feed.on_text(text, now)
            if isinstance(event, BoardSnapshot) and self._board.mid == _NO_MID:  # refused: the book is SUSPECT
                w[W_BOARDS] += 1
                if w[W_STATUS] == BookStatus.OK:
                    w[W_STATUS] = BookStatus.SUSPECT
                bid, ask, since_ns = int(w[W_BID]), int(w[W_ASK]), int(w[W_SINCE_NS])
                add_message(self.sheet, recv_ns, KIND_BOARD, int(w[W_STATUS]), bid, ask, since_ns)
            elif isinstance(event, BoardSnapshot):
                w[W_HAS_SNAPSHOT] = 1
                add_board(self.sheet, recv_ns, now, self._board.mid)
            else:
                self._store(recv_ns, event, text)
        w[W_ALONE] = 0

    def _store(self, recv_ns: int, event: MarketEvent | None, text: str) -> None:
        kind, state = KIND_NONE, 0
        if isinstance(event, PublicTrades):
            kind = KIND_TRADES
            for trade in event.trades:
                self._store_trade(trade)
            self._told = int(self.sheet.w[W_TRADES])
            self._note_day(text)
        elif isinstance(event, VenueStatus) and event.state is not None:
            kind, state = KIND_STATE, BOARD_STATES.index(event.state)
        add_message(self.sheet, recv_ns, kind, state, 0, 0, 0)

    def _store_trade(self, trade: PublicTrade) -> None:
        w = self.sheet.w
        w[W_LAST_ID] = max(int(w[W_LAST_ID]), min(trade.exec_id, _HIGHEST_ID))
        if trade.taker is None:
            return
        if trade.price >= HIGHEST or trade.size >= LARGEST:
            raise BeyondColumns("trade", trade.size, trade.price)
        w[W_HIGHEST] = max(int(w[W_HIGHEST]), trade.price)
        self.sheet.trades[w[W_TRADES]] = (w[W_MESSAGES], trade.taker.sign, trade.price, trade.size, 0)
        w[W_TRADES] += 1

    def _note_day(self, text: str) -> None:
        """Note the date of an execution, so that the scanner takes the next ones of that day."""
        found = EXEC_DATE.search(text)
        day = found[1][:DAY_BYTES].encode() if found is not None else b""
        midnight_ns = stamp_ns(f"{day.decode()}00:00:00", 0) if len(day) == DAY_BYTES else 0
        if midnight_ns >= EARLIEST_NS:
            self.sheet.day[:] = np.frombuffer(day, np.uint8)
            self.sheet.w[W_DAY_NS] = midnight_ns


def write_columns(
    source: Iterable[Message] | Sequence[Path], cfg: AppConfig, folder: Path, *, key: str = "", chunk: int = CHUNK
) -> Manifest:
    """Write the columns of messages, or of tapes, into an existing folder. Raises FeedError for impossible values.

    ``chunk`` is the most messages of a chunk, up to CHUNK.
    """
    s = sheet(MAX_TRADES)
    s.w[W_CHUNK] = min(chunk, CHUNK)
    with ColumnWriter(folder, s) as writer:
        builder = Builder(cfg, writer, s)
        writer.begin()
        if isinstance(source, Sequence) and all(isinstance(part, Path) for part in source):
            read_tapes([part for part in source if isinstance(part, Path)], builder)
        else:
            for message in source:
                if not isinstance(message, Path):
                    builder.take(*message)
        writer.end()
    w, counts = s.w, builder.feed.statistics()
    manifest = Manifest(
        version=VERSION,
        key=key,
        product=cfg.exchange.product_code,
        messages=int(w[W_TOTAL]),
        boards=int(w[W_BOARDS]),
        level_changes=int(w[W_CHANGES]),
        stored=writer.stored,
        trades=writer.trades,
        chunks=writer.chunks,
        first_ns=builder.first_ns or 0,
        last_ns=int(w[W_LAST_NS]),
        highest_price=int(w[W_HIGHEST]),
        mid_checked=int(w[W_CHECKED]),
        mid_agreed=int(w[W_AGREED]),
        garbage=sum(counts.refused.values()),
    )
    write_manifest(folder, manifest)
    return manifest


def read_tapes(tapes: Sequence[Path], builder: Builder) -> None:
    """Take all lines of all tapes, in the order of `sequence.one_run`. Raises TapeError, OSError.

    Only the stamps of the first line, of executions and of lines that the scanner leaves are checked.
    """
    join = Joints()
    for path in tapes:
        builder.sheet.w[W_ALONE] = 1
        stamps = Stamps()
        with LineFile(path) as stream:
            number, rest = 0, b""
            while True:
                block = stream.read(_BLOCK)
                buffer = rest + block
                used, lines = _take_lines(buffer, builder, join, stamps, path, number, is_last=not block)
                number += lines
                rest = buffer[used:]
                if not block:
                    break
        stamps.dated += builder.dated()
        judge_whole(stamps, path)
        if builder.sheet.w[W_TOTAL]:
            join.ended(int(builder.sheet.w[W_LAST_NS]))


def _take_lines(
    buffer: bytes, builder: Builder, join: Joints, stamps: Stamps, path: Path, number: int, *, is_last: bool
) -> tuple[int, int]:
    """Take the complete lines of a block; return how many bytes and lines they were."""
    text, at, lines, end = np.frombuffer(buffer, np.uint8), 0, 0, len(buffer)
    while at < end:
        if is_full(builder.sheet):
            builder.turn()
        at, taken = scan_lines(builder.sheet, builder.spelling, text, at)
        lines += taken
        if is_full(builder.sheet):
            continue
        stop = buffer.find(b"\n", at)
        if stop < 0 and not is_last:
            break
        line = buffer[at:] if stop < 0 else buffer[at : stop + 1]
        at += len(line)
        lines += 1
        if not line.strip():
            continue
        try:
            message = parse_line(line)
        except ValueError as error:
            if stop < 0:
                logger.warning("{}:{}: the last line is cut off and was dropped", path, number + lines)
                break
            raise TapeError(f"{path}:{number + lines}: {error}") from error
        stamps.dated += builder.dated()
        judge(stamps, message, path, number + lines)
        if join.is_break(path, message.recv_ns):
            builder.take_alone(message.recv_ns, None)
            if is_full(builder.sheet):
                builder.turn()
        builder.take_alone(message.recv_ns, message.text)
    return at, lines


def cache_key(tapes: Sequence[Path], cfg: AppConfig) -> str:
    """Digest of everything that columns depend on: the tapes' bytes, the product's units, and VERSION."""
    return key_of([tape_digest(path) for path in tapes], cfg)


def tape_digest(path: Path) -> bytes:
    """Digest of the bytes of one tape. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def key_of(digests: Sequence[bytes], cfg: AppConfig) -> str:
    """The cache key of tapes with these digests."""
    exchange = cfg.exchange
    units = (VERSION, MAX_LEVELS, exchange.product_code, exchange.tick_size, exchange.size_step, cfg.ws.max_frame_bytes)
    digest = hashlib.blake2b(repr(units).encode(), digest_size=16)
    for tape in digests:
        digest.update(tape)
    return digest.hexdigest()


def prepared(tapes: Sequence[Path], cfg: AppConfig, cache: Path) -> Columns:
    """The columns of these tapes as one run, cached or made now. Raises TapeError, FeedError, OSError."""
    key = cache_key(tapes, cfg)
    return held(key, cache) or prepare(tapes, cfg, cache, key=key)


def held(key: str, cache: Path) -> Columns | None:
    """The columns with this key in the cache; None if there are none."""
    try:
        return Columns(cache / key)
    except FeedError:
        return None


def prepare(tapes: Sequence[Path], cfg: AppConfig, cache: Path, *, key: str) -> Columns:
    """Make columns, replacing any in the cache with this key. Raises TapeError, FeedError, OSError."""
    folder = cache / key
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        write_columns(list(tapes), cfg, making, key=key)
        making.replace(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process has made the same meanwhile
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Columns(folder)

"""Recorded markets: reads a tape, and presents a tape as a market.

A tape is JSON Lines, one object per line, ``{"recv_ns": int, "msg": <JSON-RPC message as received>}``, plain or zstd
(``.zst``). It is read as a stream, in constant memory. The message is passed on byte for byte as it is in the line, so
a replay decodes what the venue sent and not what a JSON library made of it.

A process that dies while recording leaves half a line at the end: that line is dropped, counted and logged. Any other
invalid line is an error that names file and line, because a tape with gaps is not evidence. A tape that is still being
written (``.part``) is read as far as it goes.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Self

import orjson
import zstandard
from loguru import logger

from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.sim.bitflyer.publisher import EXECUTIONS_KEPT
from stall_then_strike.sim.exchange.source import Channel, Condition, Depth, Execution, Frame, Level, Ticker
from stall_then_strike.types.dto import NS_PER_S, BoardState, ExecId, Health, OrderId, Side
from stall_then_strike.types.errors import FeedError
from stall_then_strike.types.instrument import Instrument, Lots, Ticks, fx_btc_jpy
from stall_then_strike.types.text import utc_iso

if TYPE_CHECKING:
    from typing_extensions import Buffer  # typing's own from 3.12 on

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_CHUNK_BYTES: Final = 1 << 16
_SHAPE: Final = re.compile(rb'\s*\{\s*"recv_ns"\s*:\s*\d+\s*,\s*"msg"\s*:\s*(?P<msg>.*\S)\s*\}\s*', re.DOTALL)
EXEC_DATE: Final = re.compile(r'"exec_date"\s*:\s*"([^"]*)"')
EARLIEST_NS: Final = 946_684_800 * NS_PER_S
"""2000-01-01. An earlier receive stamp is not in nanoseconds: today in microseconds would read as 1970."""
_LAST_NS: Final = (1 << 63) - 1
_UNITS: Final = ((10**9, "seconds"), (10**6, "milliseconds"), (10**3, "microseconds"))
APART_NS: Final = 3_600 * NS_PER_S
"""A message is received within seconds of the venue's stamp. An hour apart, the two stamps are of different clocks."""
_ENOUGH: Final = 3
"""Number of wrong stamps after which a tape is refused without reading to its end."""


class TapeError(FeedError):
    """A tape cannot be read any further. Names the file and, if there is one, the line."""


class TapeLine(NamedTuple):
    """One recorded message."""

    recv_ns: int
    """Local receive time, nanoseconds since the Unix epoch."""
    text: str
    """The message as it was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeStatistics:
    """What was read so far."""

    messages: int
    truncated: int
    """1 if the last line was cut off and dropped."""
    first_ns: int | None
    last_ns: int | None
    is_unfinished: bool = False
    """Whether the zstd data ends within a frame: cut off by a crash, or still being written."""


class Stamps:
    """Checks receive stamps: that they can be nanoseconds since 1970 and agree with the venue's execution dates."""

    def __init__(self) -> None:
        """Start without messages."""
        self.not_ns = 0
        """Messages with a stamp before :data:`EARLIEST_NS`."""
        self.first_not_ns = 0
        self.dated = 0
        """Messages with the venue's own stamp."""
        self.apart = 0
        """Of these, messages whose two stamps are more than :data:`APART_NS` apart."""
        self.widest_ns = 0

    def take(self, recv_ns: int, text: str) -> None:
        """Check one message."""
        if recv_ns < EARLIEST_NS:
            self.first_not_ns = self.first_not_ns or recv_ns
            self.not_ns += 1
        elif '"exec_date"' in text and (match := EXEC_DATE.search(text)) is not None:
            apart_ns = recv_ns - stamp_ns(match[1], recv_ns)
            self.dated += 1
            if abs(apart_ns) > APART_NS:
                self.apart += 1
                self.widest_ns = max(self.widest_ns, apart_ns, key=abs)

    def fault(self, *, at_end: bool) -> str:
        """Why a replay of these messages cannot be a valid result; empty if it can. A few wrong stamps are allowed."""
        if self.not_ns and (at_end or self.not_ns >= _ENOUGH):
            return self.unit_words()
        if self.apart * 2 > self.dated and (at_end or self.apart >= _ENOUGH):
            return self.apart_words()
        return ""

    def unit_words(self) -> str:
        """The message for stamps that are not nanoseconds, with their likely unit."""
        stamp = self.first_not_ns
        units = [name for factor, name in _UNITS if EARLIEST_NS <= stamp * factor <= _LAST_NS]
        likely = f"it looks like {units[-1]}" if units else "no recording is that old"
        return f'"recv_ns" must be nanoseconds since 1970; {stamp} would be {utc_iso(stamp)}: {likely}'

    def apart_words(self) -> str:
        """The message for stamps that disagree with the venue's."""
        side = "after" if self.widest_ns > 0 else "before"
        return (
            f"{self.apart:,} of {self.dated:,} execution messages were stamped more than an hour from their exec_date, "
            f"up to {abs(self.widest_ns) / APART_NS:,.1f} h {side} it: these stamps are not UTC"
        )


class TapeReader:
    """Iterates over a tape's lines. Each iteration starts at the beginning and resets the counts."""

    def __init__(self, path: Path, *, for_result: bool = False) -> None:
        """Open nothing yet: each iteration opens the file. See :func:`read_tape`."""
        self._path = path
        self._for_result = for_result
        self._messages = 0
        self._truncated = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._is_unfinished = False

    def statistics(self) -> TapeStatistics:
        """Counts of the latest iteration."""
        return TapeStatistics(
            messages=self._messages,
            truncated=self._truncated,
            first_ns=self._first_ns,
            last_ns=self._last_ns,
            is_unfinished=self._is_unfinished,
        )

    def __iter__(self) -> Iterator[TapeLine]:
        """Yield all messages in the file's order. Raises TapeError, and OSError if the file cannot be opened."""
        self._messages = self._truncated = 0
        self._first_ns = self._last_ns = None
        self._is_unfinished = False
        stamps = Stamps()
        with LineFile(self._path) as lines:
            number = 0
            while line := lines.readline():
                number += 1
                if not line.strip():
                    continue
                try:
                    parsed = parse_line(line)
                except ValueError as error:
                    if not line.endswith(b"\n"):
                        self._truncated = 1
                        logger.warning("{}:{}: the last line is cut off and was dropped", self._path, number)
                        break
                    raise TapeError(f"{self._path}:{number}: {error}") from error
                if self._for_result:
                    judge(stamps, parsed, self._path, number)
                if self._first_ns is None:
                    self._first_ns = parsed.recv_ns
                self._last_ns = parsed.recv_ns
                self._messages += 1
                yield parsed
            self._is_unfinished = lines.is_unfinished
        judge_whole(stamps, self._path)


def read_tape(path: Path | str, *, for_result: bool = False) -> TapeReader:
    """Open a tape for reading, ``.jsonl`` or ``.jsonl.zst``.

    With ``for_result``, impossible stamps (:class:`Stamps`) are an error too, so that no result is computed from them.
    """
    return TapeReader(Path(path), for_result=for_result)


def judge(stamps: Stamps, line: TapeLine, path: Path, number: int) -> None:
    """Check the stamp of a line. Raises TapeError once the stamps cannot be right."""
    stamps.take(line.recv_ns, line.text)
    if why := stamps.fault(at_end=False):
        raise TapeError(f"{path}:{number}: {why}; see `tape check`")


def judge_whole(stamps: Stamps, path: Path) -> None:
    """Judge the stamps at the end of a tape. Raises TapeError if they cannot be right."""
    if why := stamps.fault(at_end=True):
        raise TapeError(f"{path}: {why}; see `tape check`")


class LineFile:
    """A file of lines, plain or zstd, as a context manager. A zstd file cut off by a crash simply ends early."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path
        self._stack = ExitStack()
        self._lines: IO[bytes] | None = None
        self._is_begun = False
        self._unpacked: _Unpacked | None = None
        self._number = 0

    def __enter__(self) -> Self:
        """Open it. Raises OSError."""
        raw = self._stack.enter_context(self._path.open("rb"))
        if self._path.suffix == ".zst" or raw.peek(len(ZSTD_MAGIC))[: len(ZSTD_MAGIC)] == ZSTD_MAGIC:
            self._unpacked = _Unpacked(raw)
            self._lines = self._stack.enter_context(io.BufferedReader(self._unpacked))
        else:
            self._lines = raw
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self._stack.close()

    def readline(self) -> bytes:
        """The next line with its end, empty at the end of the file. Raises TapeError for damaged zstd data."""
        if self._lines is None:
            raise AssertionError("opened by `with`")
        try:
            line = self._lines.readline()
        except zstandard.ZstdError as error:
            raise TapeError(f"{self._path}: zstd data is damaged after line {self._number}: {error}") from error
        self._number += 1
        return self._without_mark(line)

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``, empty at the end of the file. Raises TapeError for damaged zstd data."""
        if self._lines is None:
            raise AssertionError("opened by `with`")
        try:
            return self._without_mark(self._lines.read(size))
        except zstandard.ZstdError as error:
            raise TapeError(f"{self._path}: zstd data is damaged: {error}") from error

    def _without_mark(self, data: bytes) -> bytes:
        """The data, without the byte order mark that some editors put at the beginning of a file."""
        is_first, self._is_begun = not self._is_begun, True
        return data.removeprefix(codecs.BOM_UTF8) if is_first else data

    @property
    def is_unfinished(self) -> bool:
        """At the end of the file: whether it is within a zstd frame."""
        return self._unpacked is not None and self._unpacked.is_in_frame


class _Unpacked(io.RawIOBase):
    """The content of a zstd file, one frame after the other."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._ready = memoryview(b"")

    @property
    def is_in_frame(self) -> bool:
        return self._frame is not None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        while not self._ready:
            packed = self._packed or self._raw.read(_CHUNK_BYTES)
            self._packed = b""
            if not packed:
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._ready = memoryview(self._frame.decompress(packed))
            if self._frame.eof:
                self._packed = self._frame.unused_data
                self._frame = None
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def parse_line(line: bytes) -> TapeLine:
    """Parse a line. Raises ValueError with the reason."""
    outer: Any = orjson.loads(line)
    if not isinstance(outer, dict) or "recv_ns" not in outer or "msg" not in outer:
        raise ValueError('expected an object with "recv_ns" and "msg"')
    recv_ns, msg = outer["recv_ns"], outer["msg"]
    if not isinstance(recv_ns, int) or isinstance(recv_ns, bool) or not 0 <= recv_ns <= _LAST_NS:
        raise ValueError(f'"recv_ns" must be nanoseconds since the Unix epoch, got {recv_ns!r}')
    shape = _SHAPE.fullmatch(line) if len(outer) == 2 else None
    raw = shape["msg"] if shape is not None else orjson.dumps(msg)
    return TapeLine(recv_ns, raw.decode())


class TapeSource:
    """A tape as a market: frames at the times they were received, and the book rebuilt from them for REST."""

    def __init__(self, path: Path | str) -> None:
        """Open the tape and read its first line. Raises TapeError if it has none, OSError if there is no file."""
        self._instrument = fx_btc_jpy()
        self._reader = read_tape(path)
        self._lines = iter(self._reader)
        first = next(self._lines, None)
        if first is None:
            raise TapeError(f"{path}: contains no message")
        self._next: TapeLine | None = first
        self.start_ns = first.recv_ns
        """Receive time of the first message."""
        self._now_ns = first.recv_ns
        self._channels = {channel.of(self._instrument.product_code): channel for channel in Channel}
        self._book: dict[Side, dict[Ticks, Lots]] = {Side.BUY: {}, Side.SELL: {}}
        self._mid = Ticks(0)
        self._ticker: Ticker | None = None
        self._executions: deque[Execution] = deque(maxlen=EXECUTIONS_KEPT)
        self._recorded_state = BoardState.RUNNING
        self._forced_state: BoardState | None = None
        self._health = Health.NORMAL

    def statistics(self) -> TapeStatistics:
        """Counts of what was read so far."""
        return self._reader.statistics()

    @property
    def instrument(self) -> Instrument:
        """Product and units."""
        return self._instrument

    @property
    def now_ns(self) -> int:
        """Tape time."""
        return self._now_ns

    @property
    def condition(self) -> Condition:
        """The board state recorded in the ticker, unless it was overridden; the health as set."""
        state = self._recorded_state if self._forced_state is None else self._forced_state
        return Condition(state=state, health=self._health)

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Override the tape from now on, in REST and in ticker frames."""
        self._forced_state = self._forced_state if state is None else state
        self._health = self._health if health is None else health

    def next_wake_ns(self) -> int | None:
        """Receive time of the next message, at least the current time; None at the end."""
        return None if self._next is None else max(self._now_ns, self._next.recv_ns)

    def advance(self, until_ns: int) -> list[Frame]:
        """Play the messages up to ``until_ns``. Anything but channel messages (recorded acks) is left out."""
        frames: list[Frame] = []
        while (wake_ns := self.next_wake_ns()) is not None and wake_ns <= until_ns and self._next is not None:
            self._now_ns = wake_ns
            frame = self._play(wake_ns, self._next.text)
            if frame is not None:
                frames.append(frame)
            self._next = next(self._lines, None)
        self._now_ns = max(self._now_ns, until_ns)
        return frames

    def depth(self, limit: int | None = None) -> Depth:
        """The book rebuilt from snapshots and deltas, with the last recorded mid price."""
        bids: list[Level] = sorted(self._book[Side.BUY].items(), reverse=True)
        asks: list[Level] = sorted(self._book[Side.SELL].items())
        return Depth(mid=self._mid, bids=bids[:limit], asks=asks[:limit])

    def ticker(self) -> Ticker | None:
        """The last recorded ticker; None before the first one."""
        return self._ticker

    def executions(self) -> Sequence[Execution]:
        """The last recorded executions, newest first."""
        return self._executions

    # --- inside ---------------------------------------------------------------------------------------------------

    def _play(self, time_ns: int, text: str) -> Frame | None:
        params = _params(text)
        if params is None:
            return None
        channel, message = params
        kind = self._channels.get(channel)
        try:
            if kind is Channel.TICKER:
                self._ticker = self._read_ticker(message, time_ns)
                if self._forced_state is not None:
                    recorded, forced = self._recorded_state.value, self._forced_state.value
                    text = text.replace(f'"state":"{recorded}"', f'"state":"{forced}"')
            elif kind is Channel.EXECUTIONS:
                self._executions.extendleft([self._read_execution(item, time_ns) for item in message])
            elif kind is not None:
                self._read_board(message, is_snapshot=kind is Channel.SNAPSHOT)
        except (KeyError, TypeError, ValueError) as error:
            # The frame is replayed anyway; only the book for REST misses it.
            logger.warning("tape message of {} cannot be read: {!r}", channel, error)
        return Frame(time_ns=time_ns, channel=channel, text=text)

    def _read_board(self, message: Any, *, is_snapshot: bool) -> None:
        for side, key in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            levels = self._book[side]
            if is_snapshot:
                levels.clear()
            for entry in message[key]:
                price, size = self._ticks(entry["price"]), self._lots(entry["size"])
                if size and price:
                    levels[price] = size
                else:
                    levels.pop(price, None)
        self._mid = self._ticks(message["mid_price"])

    def _read_execution(self, item: Any, time_ns: int) -> Execution:
        return Execution(
            exec_id=ExecId(int(item["id"])),
            taker=Side(item["side"]) if item["side"] else None,
            price=self._ticks(item["price"]),
            size=self._lots(item["size"]),
            time_ns=stamp_ns(item["exec_date"], time_ns),
            buy_order_id=OrderId(item["buy_child_order_acceptance_id"]),
            sell_order_id=OrderId(item["sell_child_order_acceptance_id"]),
        )

    def _read_ticker(self, message: Any, time_ns: int) -> Ticker:
        self._recorded_state = BoardState(message["state"])
        return Ticker(
            state=self.condition.state,
            time_ns=stamp_ns(message["timestamp"], time_ns),
            tick_id=int(message["tick_id"]),
            best_bid=(self._ticks(message["best_bid"]), self._lots(message["best_bid_size"])),
            best_ask=(self._ticks(message["best_ask"]), self._lots(message["best_ask_size"])),
            bid_depth=self._lots(message["total_bid_depth"]),
            ask_depth=self._lots(message["total_ask_depth"]),
            last_price=self._ticks(message["ltp"]),
            volume=self._lots(message["volume"]),
        )

    def _ticks(self, price: object) -> Ticks:
        return Ticks(on_grid(price, self._instrument.ticks_per_one))

    def _lots(self, size: object) -> Lots:
        return Lots(on_grid(size, self._instrument.lots_per_one))


def _params(text: str) -> tuple[str, Any] | None:
    """Channel and message of a channel message; None for anything else."""
    outer: Any = orjson.loads(text)
    params = outer.get("params") if isinstance(outer, dict) else None
    if not isinstance(params, dict) or "message" not in params or not isinstance(params.get("channel"), str):
        return None
    return params["channel"], params["message"]


def stamp_ns(text: str, otherwise_ns: int) -> int:
    """The venue's stamp in nanoseconds; ``otherwise_ns`` if it is invalid."""
    try:
        found_ns = wire_time_ns(text)
    except ValueError:
        return otherwise_ns
    return found_ns if NS_PER_S <= found_ns < _LAST_NS else otherwise_ns


def on_grid(number: object, per_one: int) -> int:
    """A received number in ticks or lots, rounded to the nearest, which removes the error of the binary float.

    Raises ValueError if it is not a number or exceeds 64 bits.
    """
    if isinstance(number, bool) or not isinstance(number, int | float) or abs(number) * per_one > _LAST_NS:
        raise ValueError(f"{number!r:.40} is not a price or size")
    return round(number * per_one)

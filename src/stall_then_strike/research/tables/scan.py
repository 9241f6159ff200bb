"""Decodes messages from bytes to columns, compiled. Lines in any unusual spelling are left to Python.

The scanner knows one spelling of each kind of message. It takes a line only if it has that spelling, its numbers are
short enough to be read exactly, and it needs no decision (a price off the grid, a book without a snapshot, too many
levels, an execution that may be known already). Everything else goes to `MarketFeed`, one line at a time, on the same
book.

The book of a side is an array of ranks (see `columns.Chunk`) with the best at its end, where most changes are.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe.numbers import trailing_zeros

from stall_then_strike.infra.levels import MAX_LEVELS
from stall_then_strike.research.replay.jit import entry, jit, word
from stall_then_strike.research.tables.columns import I64, KIND_BOARD, KIND_STATE, KIND_TRADES, MOST_LEVELS
from stall_then_strike.types.dto import NS_PER_S, BookStatus

U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]

CHUNK: Final = 16_384
"""Most messages of a chunk, and the default."""
HIGHEST: Final = 1 << 30
"""Columns hold prices below this, and sizes below LARGEST: 64 bits are not proven to be enough beyond."""
LARGEST: Final = 1 << 42
LONGEST_GAP_NS: Final = 7 * 86_400 * NS_PER_S

(
    W_MESSAGES,  # in the chunk
    W_LEVELS,  # in the chunk
    W_TOTAL,
    W_BOARDS,
    W_CHANGES,  # levels of deltas, as received
    W_LAST_NS,
    W_HIGHEST,
    W_HAS_SNAPSHOT,
    W_STATUS,
    W_BID,
    W_ASK,
    W_SINCE_NS,
    W_CHECKED,
    W_AGREED,
    W_BIDS,  # levels of the book
    W_ASKS,
    W_TRADES,  # in the chunk
    W_LAST_ID,  # highest id of an execution
    W_DAY_NS,  # midnight before the last execution that was left to Python
    W_DATED,  # messages of executions taken here, until Python counts them
    W_ALONE,  # 1: leave the next message to Python
    W_TOO_LONG,
    W_CHUNK,  # most messages of a chunk
    WORDS,
) = range(24)

M_RECV, M_KIND, M_STATUS, M_BID, M_ASK, M_SINCE, M_FIELDS = range(7)
T_AT, T_TAKER, T_PRICE, T_SIZE, T_ID, T_FIELDS = range(6)

MOST_TRADES: Final = 1 << 17
"""Number of executions at which a chunk ends early."""
DAY_BYTES: Final = len("2026-01-05T")
_NEAR_NS: Final = 1_800 * NS_PER_S
"""Executions received this long before or after their date are left to Python, which judges the stamps."""

_OK, _UNKNOWN, _SUSPECT = int(BookStatus.OK), int(BookStatus.UNKNOWN), int(BookStatus.SUSPECT)
_POWERS: Final = np.asarray([10.0**n for n in range(19)])
_EXACT: Final = 1 << 53
_zeros_below: Final[Any] = trailing_zeros
# Constants for `_digits`.
_ZEROS, _TO_HIGH, _HIGH = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x76, 0x80))
_PAIR, _UPPER, _LOWER = (np.uint64(n) for n in (0x000000FF000000FF, 100 + (1_000_000 << 32), 1 + (10_000 << 32)))
_TEN, _BYTE, _TWO, _FOUR = (np.uint64(n) for n in (10, 8, 16, 32))


def _bytes(text: str) -> U8:
    return np.frombuffer(text.encode(), np.uint8)


_PRICE: Final = _bytes('{"price":')
_SIZE: Final = _bytes(',"size":')
_BIDS: Final = _bytes(',"bids":[')
_ASKS: Final = _bytes(',"asks":[')
_FILL_ID: Final = _bytes('{"id":')
_BUY: Final = _bytes(',"side":"BUY","price":')
_SELL: Final = _bytes(',"side":"SELL","price":')
_DATE: Final = _bytes(',"exec_date":"')
_BUYER: Final = _bytes(',"buy_child_order_acceptance_id":')
_SELLER: Final = _bytes(',"sell_child_order_acceptance_id":')
_LIST_END: Final = _bytes("]}}}\n")
_END: Final = _bytes("}}}}\n")
"""The end of a message, and of its line."""


class Sheet(NamedTuple):
    """The chunk being written: its messages and changes, the book, and scratch space."""

    w: I64
    messages: I64
    trades: I64
    day: U8
    """Date of the last execution that was left to Python, as the venue writes it."""
    keys: I64
    """Changes: rank << 32 | number of the change."""
    at: I64
    """Message of a change."""
    sizes: I64
    rank: I64
    """Ranks of both sides: two rows."""
    size: I64
    ticks: I64
    """Prices of the current message's levels: two rows."""
    lots: I64


class Spelling(NamedTuple):
    """How each kind of message begins, and the product's units."""

    line: U8
    msg: U8
    board: U8
    snapshot: U8
    ticker: U8
    executions: U8
    states: U8
    """Names of the board's states in the order of BOARD_STATES, each followed by a quotation mark."""
    ticks_per_one: float
    lots_per_one: float


def spelling(product: str, ticks_per_one: int, lots_per_one: int, states: tuple[str, ...]) -> Spelling:
    """The spelling of one product's messages."""

    def head(channel: str, content: str) -> U8:
        text = '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"%s%s","message":%s'
        return _bytes(text % (channel, product, content))

    return Spelling(
        line=_bytes('{"recv_ns":'),
        msg=_bytes(',"msg":'),
        board=head("lightning_board_", '{"mid_price":'),
        snapshot=head("lightning_board_snapshot_", '{"mid_price":'),
        ticker=head("lightning_ticker_", f'{{"product_code":"{product}","state":"'),
        executions=head("lightning_executions_", "["),
        states=_bytes("".join(f'{name}"' for name in states)),
        ticks_per_one=float(ticks_per_one),
        lots_per_one=float(lots_per_one),
    )


def sheet(most_trades: int) -> Sheet:
    """An empty sheet, with room for messages of so many executions. The book is UNKNOWN."""
    room = MOST_LEVELS + 4 * MAX_LEVELS + 8
    w = np.zeros(WORDS, np.int64)
    w[W_STATUS], w[W_ALONE], w[W_CHUNK] = _UNKNOWN, 1, CHUNK
    side = (2, MAX_LEVELS + 1)
    return Sheet(
        w=w,
        messages=np.zeros((CHUNK, M_FIELDS), np.int64),
        trades=np.zeros((MOST_TRADES + most_trades, T_FIELDS), np.int64),
        day=np.zeros(DAY_BYTES, np.uint8),
        keys=np.zeros(room, np.int64),
        at=np.zeros(room, np.int64),
        sizes=np.zeros(room, np.int64),
        rank=np.zeros(side, np.int64),
        size=np.zeros(side, np.int64),
        ticks=np.zeros(side, np.int64),
        lots=np.zeros(side, np.int64),
    )


# --- the book


@jit
def _place(s: Sheet, side: int, rank: int) -> int:
    """First index in a side's ranks (worst first) whose rank is not worse than this one."""
    low, high = 0, s.w[W_BIDS + side]
    while low < high:
        middle = (low + high) >> 1
        if s.rank[side, middle] > rank:
            low = middle + 1
        else:
            high = middle
    return int(low)


@jit
def _note(s: Sheet, rank: int, lots: int) -> None:
    n = s.w[W_LEVELS]
    s.keys[n] = rank << 32 | n
    s.at[n] = s.w[W_MESSAGES]
    s.sizes[n] = lots
    s.w[W_LEVELS] = n + 1


@jit
def _set_level(s: Sheet, side: int, ticks: int, lots: int) -> None:
    """Set the total size of one level; 0 deletes it."""
    rank = ticks if side == 1 else -ticks
    count = s.w[W_BIDS + side]
    at = _place(s, side, rank)
    is_there = at < count and s.rank[side, at] == rank
    if lots > 0:
        if not is_there:
            for n in range(count, at, -1):
                s.rank[side, n] = s.rank[side, n - 1]
                s.size[side, n] = s.size[side, n - 1]
            s.rank[side, at] = rank
            s.w[W_BIDS + side] = count + 1
        s.size[side, at] = lots
        _note(s, rank, lots)
    elif is_there:
        for n in range(at, count - 1):
            s.rank[side, n] = s.rank[side, n + 1]
            s.size[side, n] = s.size[side, n + 1]
        s.w[W_BIDS + side] = count - 1
        _note(s, rank, 0)


@entry
def apply_delta(s: Sheet, bids: int, asks: int) -> None:
    """Apply the changes in scratch: ``bids`` and ``asks`` are their numbers."""
    for n in range(bids):
        _set_level(s, 0, s.ticks[0, n], s.lots[0, n])
    for n in range(asks):
        _set_level(s, 1, s.ticks[1, n], s.lots[1, n])


@jit
def _replace_side(s: Sheet, side: int, count: int) -> None:
    """Replace a side by the levels in scratch, which are sorted, best first, and note the differences."""
    sign = 1 if side == 1 else -1
    old, kept = s.w[W_BIDS + side] - 1, 0
    for n in range(count):
        rank, lots = s.ticks[side, n] * sign, s.lots[side, n]
        while old >= 0 and s.rank[side, old] < rank:
            _note(s, s.rank[side, old], 0)
            old -= 1
        before = 0
        if old >= 0 and s.rank[side, old] == rank:
            before = s.size[side, old]
            old -= 1
        if lots != before:
            _note(s, rank, lots)
        if lots > 0:
            s.ticks[side, kept] = s.ticks[side, n]
            s.lots[side, kept] = lots
            kept += 1
    while old >= 0:
        _note(s, s.rank[side, old], 0)
        old -= 1
    for n in range(kept):
        s.rank[side, kept - 1 - n] = s.ticks[side, n] * sign
        s.size[side, kept - 1 - n] = s.lots[side, n]
    s.w[W_BIDS + side] = kept


@entry
def apply_snapshot(s: Sheet, bids: int, asks: int) -> None:
    """Replace the book by the levels in scratch, sorted, best first: ``bids`` and ``asks`` are their numbers."""
    _replace_side(s, 0, bids)
    _replace_side(s, 1, asks)


@jit
def best(s: Sheet, side: int) -> int:
    """Best price of a side; 0 if it is empty."""
    count = s.w[W_BIDS + side]
    if count == 0:
        return 0
    return int(abs(s.rank[side, count - 1]))


@entry
def add_message(s: Sheet, recv: int, kind: int, status: int, bid: int, ask: int, since: int) -> None:
    """Add one row to the chunk."""
    row = s.messages[s.w[W_MESSAGES]]
    row[M_RECV], row[M_KIND], row[M_STATUS] = recv, kind, status
    row[M_BID], row[M_ASK], row[M_SINCE] = bid, ask, since
    s.w[W_MESSAGES] += 1
    s.w[W_TOTAL] += 1
    s.w[W_HIGHEST] = max(s.w[W_HIGHEST], bid, ask)


@entry
def add_board(s: Sheet, recv: int, now: int, mid: int) -> None:
    """Add one board message that was applied, with the status that `OrderBookView` gives without orders of ours."""
    w = s.w
    bid, ask = best(s, 0), best(s, 1)
    status = _OK if bid != 0 and bid < ask and (bid + ask) // 2 == mid else _SUSPECT
    w[W_CHECKED] += 1
    w[W_BOARDS] += 1
    if status == _OK:
        w[W_AGREED] += 1
    if bid != w[W_BID] or ask != w[W_ASK] or w[W_STATUS] == _UNKNOWN:
        w[W_BID] = bid
        w[W_ASK] = ask
        w[W_SINCE_NS] = now
    w[W_STATUS] = status
    add_message(s, recv, KIND_BOARD, status, bid, ask, w[W_SINCE_NS])


# --- bytes


@jit
def _skip(text: U8, at: int, expected: U8) -> int:
    """The index after the expected bytes; -1 if the text differs."""
    size, n = len(expected), 0
    if at < 0 or at + size > len(text):
        return -1
    while n + 8 <= size:
        if word(text, at + n) != word(expected, n):
            return -1
        n += 8
    while n < size:
        if text[at + n] != expected[n]:
            return -1
        n += 1
    return at + size


@jit
def _is_digit(text: U8, at: int) -> bool:
    return bool(0 <= at < len(text) and 48 <= text[at] <= 57)


@jit
def _digits(text: U8, at: int) -> tuple[int, int]:
    """The digits from an index on, as a number, and how many they are: of the next eight bytes, which must exist.

    All eight are read at once. A byte that is no digit becomes 10 or more and is found by its highest bit; it and all
    after it are pushed out, so that zeros lead. Then neighbours are joined: to pairs of digits, and these to the whole.
    """
    eight = word(text, at) ^ _ZEROS
    others = ((eight + _TO_HIGH) | eight) & _HIGH
    count = 8
    if others != 0:
        count = int(np.int64(_zeros_below(others))) >> 3
        if count == 0:
            return 0, 0
        eight <<= np.uint64(64 - 8 * count)
    pairs = eight * _TEN + (eight >> _BYTE)
    return int(np.int64(((pairs & _PAIR) * _UPPER + ((pairs >> _TWO) & _PAIR) * _LOWER) >> _FOUR)), count


@jit
def _short_number(text: U8, at: int) -> tuple[float, int]:
    """A number with at most eight digits before and after the point; the index -1 if it is none of these."""
    whole, count = _digits(text, at)
    if count == 0 or (count > 1 and text[at] == 48) or _is_digit(text, at + count):
        return 0.0, -1
    at += count
    if text[at] != 46:
        return float(whole), at
    part, count = _digits(text, at + 1)
    at += 1 + count
    whole = whole * int(_POWERS[count]) + part
    if count == 0 or _is_digit(text, at) or whole >= _EXACT:
        return 0.0, -1
    return whole / _POWERS[count], at


@jit
def _number(text: U8, at: int) -> tuple[float, int]:
    """A plain decimal number, read exactly, and the index after it; -1 if there is none."""
    if 0 <= at < len(text) - 18:
        value, after = _short_number(text, at)
        if after >= 0:
            return value, after
    whole, begin = 0, at
    while _is_digit(text, at) and at - begin < 19:
        whole = whole * 10 + (int(text[at]) - 48)
        at += 1
    digits = at - begin
    if digits == 0 or digits > 17 or (digits > 1 and text[begin] == 48):
        return 0.0, -1
    decimals = 0
    if _is(text, at, 46):
        at += 1
        while _is_digit(text, at) and decimals < 19:
            whole = whole * 10 + (int(text[at]) - 48)
            at, decimals = at + 1, decimals + 1
        if decimals == 0 or digits + decimals > 18:
            return 0.0, -1
    if whole >= _EXACT:
        return 0.0, -1
    return whole / _POWERS[decimals], at


@jit
def _is(text: U8, at: int, byte: int) -> bool:
    return bool(0 <= at < len(text) and text[at] == byte)


@jit
def _levels(s: Sheet, p: Spelling, text: U8, at: int, side: int, key: U8) -> tuple[int, int]:
    """Read ``[{"price":N,"size":N},...]`` after its key into scratch; return the count and the next index (or -1)."""
    at = _skip(text, at, key)
    count = 0
    if _is(text, at, 93):
        return 0, at + 1
    while True:
        at = _skip(text, at, _PRICE)
        if at < 0 or count >= MAX_LEVELS:
            return 0, -1
        price, at = _number(text, at)
        at = _skip(text, at, _SIZE)
        if at < 0:
            return 0, -1
        size, at = _number(text, at)
        scaled = price * p.ticks_per_one
        ticks = int(np.floor(scaled))
        if at < 0 or scaled - ticks != 0 or ticks < 2 or ticks >= HIGHEST:
            return 0, -1
        lots = int(np.floor(size * p.lots_per_one + 0.5))
        if lots >= LARGEST or not _is(text, at, 125):
            return 0, -1
        s.ticks[side, count] = ticks
        s.lots[side, count] = lots
        count += 1
        if _is(text, at + 1, 93):
            return count, at + 2
        if not _is(text, at + 1, 44):
            return 0, -1
        at += 2


@jit
def _is_sorted(s: Sheet, side: int, count: int) -> bool:
    """Whether the levels in scratch are sorted, best first, each price once."""
    for n in range(1, count):
        if (s.ticks[side, n - 1] < s.ticks[side, n]) != (side == 1) or s.ticks[side, n - 1] == s.ticks[side, n]:
            return False
    return True


@jit
def _ended(s: Sheet, text: U8, begin: int, at: int, expected: U8) -> int:
    """The index after the line of a message that was read from ``begin`` on, and now ends; -1 if it does not.

    One that live trading would refuse for its length is none to take.
    """
    end = _skip(text, at, expected)
    return -1 if end - 2 - begin > s.w[W_TOO_LONG] else end


@jit
def _board(s: Sheet, p: Spelling, text: U8, begin: int, at: int, recv: int, is_snapshot: bool) -> int:
    """Read a board message from after ``"mid_price":``; the index after its line, -1 if it is left to Python."""
    w = s.w
    mid, at = _number(text, at)
    bids, at = _levels(s, p, text, at, 0, _BIDS)
    asks, at = _levels(s, p, text, at, 1, _ASKS)
    end = _ended(s, text, begin, at, _END)
    if end < 0 or w[W_HAS_SNAPSHOT] == 0:
        return -1
    if is_snapshot and not (_is_sorted(s, 0, bids) and _is_sorted(s, 1, asks)):
        return -1
    if not is_snapshot and (bids + w[W_BIDS] > MAX_LEVELS or asks + w[W_ASKS] > MAX_LEVELS):
        return -1
    now = max(w[W_LAST_NS], recv)
    w[W_LAST_NS] = now
    if is_snapshot:
        apply_snapshot(s, bids, asks)
    else:
        w[W_CHANGES] += bids + asks
        apply_delta(s, bids, asks)
    add_board(s, recv, now, int(np.floor(mid * p.ticks_per_one + 0.5)))
    return end


@jit
def _after_text(text: U8, at: int) -> int:
    """The index after a quoted text of plain characters without escapes; -1 if there is none."""
    if not _is(text, at, 34):
        return -1
    at += 1
    while at < len(text) and 32 <= text[at] <= 126 and text[at] != 34 and text[at] != 92:
        at += 1
    return at + 1 if _is(text, at, 34) else -1


@jit
def _after_flat(text: U8, at: int) -> int:
    """The index after any number of ``,"key":value`` of a ticker in the known spelling; -1 if there is another."""
    while _is(text, at, 44):
        begin = at + 2
        at = _after_text(text, at + 1)
        # A second state or product would override the first (112 is p, 115 is s).
        if at < 0 or text[begin] == 112 or text[begin] == 115 or not _is(text, at, 58):
            return -1
        at += 1
        if _is(text, at, 34):
            at = _after_text(text, at)
        else:
            _, at = _number(text, at)
    return at


@jit
def _ticker(s: Sheet, p: Spelling, text: U8, begin: int, at: int, recv: int) -> int:
    """Read a ticker from after ``"state":"``; the index after its line, -1 if it is left to Python."""
    state, name = 0, 0
    while name < len(p.states):
        n = 0
        while p.states[name + n] != 34:
            n += 1
        after = _skip(text, at, p.states[name : name + n + 1])
        if after >= 0:
            end = _ended(s, text, begin, _after_flat(text, after), _END)
            if end >= 0:
                s.w[W_LAST_NS] = max(s.w[W_LAST_NS], recv)
                add_message(s, recv, KIND_STATE, state, 0, 0, 0)
            return end
        name += n + 1
        state += 1
    return -1


@jit
def _two(text: U8, at: int, most: int, after: int) -> int:
    """Two digits of at most this value, before this byte; -1 if it is something else."""
    if not (_is_digit(text, at) and _is_digit(text, at + 1) and _is(text, at + 2, after)):
        return -1
    value = 10 * (int(text[at]) - 48) + int(text[at + 1]) - 48
    return value if value <= most else -1


@jit
def _dated(s: Sheet, text: U8, at: int, recv: int) -> bool:
    """Whether a date is of the known day, in the venue's spelling, and near a receive stamp."""
    at = _skip(text, at, s.day)
    if at < 0:
        return False
    hours, minutes, seconds = _two(text, at, 23, 58), _two(text, at + 3, 59, 58), _two(text, at + 6, 59, 46)
    if hours < 0 or minutes < 0 or seconds < 0:
        return False
    at += 9
    first = at
    while _is_digit(text, at):
        at += 1
    apart = recv - s.w[W_DAY_NS] - ((hours * 60 + minutes) * 60 + seconds) * NS_PER_S
    return bool(0 < at - first <= 9 and _is(text, at, 90) and _is(text, at + 1, 34) and abs(apart) < _NEAR_NS)


@jit
def _fill(s: Sheet, p: Spelling, text: U8, at: int, number: int, recv: int) -> int:
    """Read one execution into the next free place; the index after it, -1 if it is left to Python."""
    first, exec_id = _skip(text, at, _FILL_ID), 0
    at = first
    while _is_digit(text, at) and at - first < 18:
        exec_id = exec_id * 10 + (int(text[at]) - 48)
        at += 1
    if at == first or text[first] == 48 or exec_id <= s.w[W_LAST_ID]:
        return -1
    taker, after = 1, _skip(text, at, _BUY)
    if after < 0:
        taker, after = -1, _skip(text, at, _SELL)
    price, at = _number(text, after)
    at = _skip(text, at, _SIZE)
    if at < 0:
        return -1
    size, at = _number(text, at)
    at = _skip(text, at, _DATE)
    if at < 0 or (number == 0 and not _dated(s, text, at, recv)):
        return -1
    at = _after_text(text, _skip(text, _after_text(text, at - 1), _BUYER))
    at = _after_text(text, _skip(text, at, _SELLER))
    ticks, lots = int(np.floor(price * p.ticks_per_one)), int(np.floor(size * p.lots_per_one + 0.5))
    if ticks <= 0 or ticks >= HIGHEST or ticks / p.ticks_per_one != price or size <= 0 or lots >= LARGEST:
        return -1
    row = s.trades[s.w[W_TRADES] + number]
    row[T_AT], row[T_TAKER], row[T_PRICE], row[T_SIZE], row[T_ID] = s.w[W_MESSAGES], taker, ticks, lots, exec_id
    s.w[W_LAST_ID] = exec_id
    return at + 1 if _is(text, at, 125) else -1


@jit
def _fills(s: Sheet, p: Spelling, text: U8, begin: int, at: int, recv: int) -> int:
    """Read executions from the first one on; the index after their line, -1 if they are left to Python."""
    w, count, known = s.w, 0, s.w[W_LAST_ID]
    while count < len(s.trades) - MOST_TRADES:
        at = _fill(s, p, text, at, count, recv)
        count += 1
        if not _is(text, at, 44):
            break
        at += 1
    end = _ended(s, text, begin, at, _LIST_END)
    if end < 0:
        w[W_LAST_ID] = known
        return -1
    for n in range(w[W_TRADES], w[W_TRADES] + count):
        w[W_HIGHEST] = max(w[W_HIGHEST], s.trades[n, T_PRICE])
    w[W_TRADES] += count
    w[W_DATED] += 1
    w[W_LAST_NS] = max(w[W_LAST_NS], recv)
    add_message(s, recv, KIND_TRADES, 0, 0, 0, 0)
    return end


@jit
def _message(s: Sheet, p: Spelling, text: U8, at: int, recv: int) -> int:
    """Take one message and the end of its line; the index after it, or -1, with nothing changed, if left to Python."""
    if s.w[W_ALONE] != 0 or recv - s.w[W_LAST_NS] > LONGEST_GAP_NS:
        return -1
    after = _skip(text, at, p.board)
    if after >= 0:
        return _board(s, p, text, at, after, recv, False)
    after = _skip(text, at, p.ticker)
    if after >= 0:
        return _ticker(s, p, text, at, after, recv)
    after = _skip(text, at, p.executions)
    if after >= 0:
        return _fills(s, p, text, at, after, recv)
    after = _skip(text, at, p.snapshot)
    return -1 if after < 0 else _board(s, p, text, at, after, recv, True)


@entry
def is_full(s: Sheet) -> bool:
    """Whether the chunk must end before the next message."""
    w = s.w
    return bool(w[W_MESSAGES] >= w[W_CHUNK] or w[W_LEVELS] >= MOST_LEVELS or w[W_TRADES] >= MOST_TRADES)


@entry
def scan_lines(s: Sheet, p: Spelling, text: U8, at: int) -> tuple[int, int]:
    """Take complete lines from ``at`` on; return the index of the first line not taken, and how many were taken.

    Stops at a line that is left to Python, at an incomplete one, and when the chunk is full.
    """
    lines = 0
    while not is_full(s):
        digits = _skip(text, at, p.line)
        if digits < 0:
            break
        recv, n = 0, digits
        while _is_digit(text, n) and n - digits < 19:
            recv = recv * 10 + (int(text[n]) - 48)
            n += 1
        is_stamp = n > digits and (n - digits < 19 or text[digits] < 57) and (n - digits == 1 or text[digits] != 48)
        begin = _skip(text, n, p.msg)
        if not is_stamp or begin < 0:
            break
        end = _message(s, p, text, begin, recv)
        if end < 0:
            break
        lines += 1
        at = end
    return at, lines

"""Decodes board messages from bytes to columns, compiled. Lines in any unusual spelling are left to Python.

The scanner knows one spelling of a board message and one of a ticker. It takes a line only if it has that spelling, its
numbers are short enough to be read exactly, and it needs no decision (a price off the grid, a book without a snapshot,
too many levels). Everything else goes to `MarketFeed`, one line at a time, on the same book.

The book of a side is an array of ranks (see `columns.Chunk`) with the best at its end, where most changes are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stall_then_strike.infra.levels import MAX_LEVELS
from stall_then_strike.research.replay.jit import entry, jit
from stall_then_strike.research.tables.columns import I64, KIND_BOARD, KIND_STATE, MOST_LEVELS
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
    W_ALONE,  # 1: leave the next message to Python
    W_TOO_LONG,
    W_CHUNK,  # most messages of a chunk
    WORDS,
) = range(20)

M_RECV, M_KIND, M_STATUS, M_BID, M_ASK, M_SINCE, M_FIELDS = range(7)

_OK, _UNKNOWN, _SUSPECT = int(BookStatus.OK), int(BookStatus.UNKNOWN), int(BookStatus.SUSPECT)
_POWERS: Final = np.asarray([10.0**n for n in range(19)])
_EXACT: Final = 1 << 53
_PRICE: Final = np.frombuffer(b'{"price":', np.uint8)
_SIZE: Final = np.frombuffer(b',"size":', np.uint8)
_BIDS: Final = np.frombuffer(b',"bids":[', np.uint8)
_ASKS: Final = np.frombuffer(b',"asks":[', np.uint8)
_END: Final = np.frombuffer(b"}}}", np.uint8)


class Sheet(NamedTuple):
    """The chunk being written: its messages and changes, the book, and scratch space."""

    w: I64
    messages: I64
    keys: I64
    """Changes: rank << 32 | message."""
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
    states: U8
    """Names of the board's states in the order of BOARD_STATES, each followed by a quotation mark."""
    ticks_per_one: float
    lots_per_one: float


def spelling(product: str, ticks_per_one: int, lots_per_one: int, states: tuple[str, ...]) -> Spelling:
    """The spelling of one product's messages."""

    def head(channel: str, content: str) -> U8:
        text = '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"%s%s","message":{%s'
        return np.frombuffer((text % (channel, product, content)).encode(), np.uint8)

    return Spelling(
        line=np.frombuffer(b'{"recv_ns":', np.uint8),
        msg=np.frombuffer(b',"msg":', np.uint8),
        board=head("lightning_board_", '"mid_price":'),
        snapshot=head("lightning_board_snapshot_", '"mid_price":'),
        ticker=head("lightning_ticker_", f'"product_code":"{product}","state":"'),
        states=np.frombuffer("".join(f'{word}"' for word in states).encode(), np.uint8),
        ticks_per_one=float(ticks_per_one),
        lots_per_one=float(lots_per_one),
    )


def sheet() -> Sheet:
    """An empty sheet. The book is UNKNOWN."""
    room = MOST_LEVELS + 4 * MAX_LEVELS + 8
    w = np.zeros(WORDS, np.int64)
    w[W_STATUS], w[W_ALONE], w[W_CHUNK] = _UNKNOWN, 1, CHUNK
    side = (2, MAX_LEVELS + 1)
    return Sheet(
        w=w,
        messages=np.zeros((CHUNK, M_FIELDS), np.int64),
        keys=np.zeros(room, np.int64),
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
    s.keys[n] = rank << 32 | s.w[W_MESSAGES]
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
    """Replace a side by the levels in scratch, and note the differences."""
    sign = 1 if side == 1 else -1
    ranks = s.ticks[side, :count] * sign
    order = np.argsort(ranks, kind="mergesort")
    old_rank, old_size = s.rank[side, : s.w[W_BIDS + side]].copy(), s.size[side, : s.w[W_BIDS + side]].copy()
    kept = 0
    for n in range(count - 1, -1, -1):  # worst first; of equal prices the last one counts
        at = order[n]
        if n + 1 < count and ranks[order[n + 1]] == ranks[at]:
            continue
        if s.lots[side, at] > 0:
            s.rank[side, kept] = ranks[at]
            s.size[side, kept] = s.lots[side, at]
            kept += 1
    s.w[W_BIDS + side] = kept
    new, old = 0, 0
    while new < kept or old < len(old_rank):
        if old >= len(old_rank) or (new < kept and s.rank[side, new] > old_rank[old]):
            _note(s, s.rank[side, new], s.size[side, new])
            new += 1
        elif new >= kept or s.rank[side, new] < old_rank[old]:
            _note(s, old_rank[old], 0)
            old += 1
        else:
            if s.size[side, new] != old_size[old]:
                _note(s, s.rank[side, new], s.size[side, new])
            new += 1
            old += 1


@entry
def apply_snapshot(s: Sheet, bids: int, asks: int) -> None:
    """Replace the book by the levels in scratch: ``bids`` and ``asks`` are their numbers."""
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
def _skip(text: U8, at: int, end: int, expected: U8) -> int:
    """The index after the expected bytes; -1 if the text differs."""
    if at < 0 or at + len(expected) > end:
        return -1
    for n in range(len(expected)):
        if text[at + n] != expected[n]:
            return -1
    return at + len(expected)


@jit
def _number(text: U8, at: int, end: int) -> tuple[float, int]:
    """A plain decimal number, read exactly, and the index after it; -1 if there is none."""
    whole, begin = 0, at
    while at < end and 48 <= text[at] <= 57 and at - begin < 19:
        whole = whole * 10 + (int(text[at]) - 48)
        at += 1
    digits = at - begin
    if digits == 0 or digits > 17 or (digits > 1 and text[begin] == 48):
        return 0.0, -1
    if at < end and text[at] == 46:
        at += 1
        point = at
        while at < end and 48 <= text[at] <= 57 and at - point < 19:
            whole = whole * 10 + (int(text[at]) - 48)
            at += 1
        if at == point or digits + at - point > 18:
            return 0.0, -1
        if whole >= _EXACT:
            return 0.0, -1
        return whole / _POWERS[at - point], at
    if whole >= _EXACT:
        return 0.0, -1
    return float(whole), at


@jit
def _is(text: U8, at: int, end: int, byte: int) -> bool:
    return bool(0 <= at < end and text[at] == byte)


@jit
def _levels(s: Sheet, p: Spelling, text: U8, at: int, end: int, side: int, key: U8) -> tuple[int, int]:
    """Read ``[{"price":N,"size":N},...]`` after its key into scratch; return the count and the next index (or -1)."""
    at = _skip(text, at, end, key)
    count = 0
    if _is(text, at, end, 93):
        return 0, at + 1
    while True:
        at = _skip(text, at, end, _PRICE)
        if at < 0 or count >= MAX_LEVELS:
            return 0, -1
        price, at = _number(text, at, end)
        at = _skip(text, at, end, _SIZE)
        if at < 0:
            return 0, -1
        size, at = _number(text, at, end)
        scaled = price * p.ticks_per_one
        ticks = int(np.floor(scaled))
        if at < 0 or scaled - ticks != 0 or ticks < 2 or ticks >= HIGHEST:
            return 0, -1
        lots = int(np.floor(size * p.lots_per_one + 0.5))
        if lots >= LARGEST or not _is(text, at, end, 125):
            return 0, -1
        s.ticks[side, count] = ticks
        s.lots[side, count] = lots
        count += 1
        if _is(text, at + 1, end, 93):
            return count, at + 2
        if not _is(text, at + 1, end, 44):
            return 0, -1
        at += 2


@jit
def _board(s: Sheet, p: Spelling, text: U8, at: int, end: int, recv: int, is_snapshot: bool) -> bool:
    """Read a board message from after ``"mid_price":``; False if it is not in the known spelling."""
    w = s.w
    mid, at = _number(text, at, end)
    bids, at = _levels(s, p, text, at, end, 0, _BIDS)
    asks, at = _levels(s, p, text, at, end, 1, _ASKS)
    if _skip(text, at, end, _END) != end or w[W_HAS_SNAPSHOT] == 0:
        return False
    if not is_snapshot and (bids + w[W_BIDS] > MAX_LEVELS or asks + w[W_ASKS] > MAX_LEVELS):
        return False
    now = max(w[W_LAST_NS], recv)
    w[W_LAST_NS] = now
    if is_snapshot:
        apply_snapshot(s, bids, asks)
    else:
        w[W_CHANGES] += bids + asks
        apply_delta(s, bids, asks)
    add_board(s, recv, now, int(np.floor(mid * p.ticks_per_one + 0.5)))
    return True


@jit
def _rest_is_flat(text: U8, at: int, end: int) -> bool:
    """Whether the rest is any number of ``,"key":value`` and then the end of a ticker, in the known spelling."""
    while _is(text, at, end, 44) and _is(text, at + 1, end, 34):
        begin = at + 2
        at = begin
        while at < end and (97 <= text[at] <= 122 or text[at] == 95):
            at += 1
        # A second state or product would override the first (112 is p, 115 is s).
        if at == begin or text[begin] == 112 or (at - begin >= 5 and text[begin] == 115):
            return False
        if not _is(text, at, end, 34) or not _is(text, at + 1, end, 58):
            return False
        at += 2
        if _is(text, at, end, 34):
            at += 1
            while at < end and 32 <= text[at] <= 126 and text[at] != 34 and text[at] != 92:
                at += 1
            if not _is(text, at, end, 34):
                return False
            at += 1
        else:
            _, at = _number(text, at, end)
    return bool(_skip(text, at, end, _END) == end)


@jit
def _ticker(s: Sheet, p: Spelling, text: U8, at: int, end: int, recv: int) -> bool:
    """Read a ticker from after ``"state":"``; False if it is not in the known spelling."""
    state, word = 0, 0
    while word < len(p.states):
        n = 0
        while p.states[word + n] != 34:
            n += 1
        if _skip(text, at, end, p.states[word : word + n + 1]) >= 0:
            if not _rest_is_flat(text, at + n + 1, end):
                return False
            s.w[W_LAST_NS] = max(s.w[W_LAST_NS], recv)
            add_message(s, recv, KIND_STATE, state, 0, 0, 0)
            return True
        word += n + 1
        state += 1
    return False


@entry
def scan_message(s: Sheet, p: Spelling, text: U8, at: int, end: int, recv: int) -> bool:
    """Take one message, ``text[at:end]``. Returns False, with nothing changed, if it is left to Python."""
    if s.w[W_ALONE] != 0 or recv - s.w[W_LAST_NS] > LONGEST_GAP_NS or end - at > s.w[W_TOO_LONG]:
        return False
    after = _skip(text, at, end, p.board)
    if after >= 0:
        return _board(s, p, text, after, end, recv, False)
    after = _skip(text, at, end, p.ticker)
    if after >= 0:
        return _ticker(s, p, text, after, end, recv)
    after = _skip(text, at, end, p.snapshot)
    return after >= 0 and _board(s, p, text, after, end, recv, True)


@entry
def is_full(s: Sheet) -> bool:
    """Whether the chunk must end before the next message."""
    return bool(s.w[W_MESSAGES] >= s.w[W_CHUNK] or s.w[W_LEVELS] >= MOST_LEVELS)


@entry
def scan_lines(s: Sheet, p: Spelling, text: U8, at: int, end: int) -> tuple[int, int]:
    """Take complete lines from ``at`` on; return the index of the first line not taken, and how many were taken.

    Stops at a line that is left to Python, at an incomplete one, and when the chunk is full.
    """
    lines = 0
    while not is_full(s):
        stop = at
        while stop < end and text[stop] != 10:
            stop += 1
        if stop >= end:
            break
        digits = _skip(text, at, stop, p.line)
        if digits < 0:
            break
        recv, n = 0, digits
        while n < stop and 48 <= text[n] <= 57 and n - digits < 19:
            recv = recv * 10 + (int(text[n]) - 48)
            n += 1
        is_stamp = n > digits and (n - digits < 19 or text[digits] < 57) and (n - digits == 1 or text[digits] != 48)
        begin = _skip(text, n, stop, p.msg)
        if not is_stamp or begin < 0 or text[stop - 1] != 125:
            break
        if not scan_message(s, p, text, begin, stop - 1, recv):
            break
        lines += 1
        at = stop + 1
    return at, lines

"""The compiled replay's memory: one array of 64-bit integers, and which number stands where in it.

All state of a run is in it, its settings and the book of the present chunk too: compiled functions then hand on one
pointer, which makes them fast to run and above all to compile. Names begin with what they are: ``S_`` a scalar of
the state, ``P_`` a setting of the strategy, ``Q_`` another one, ``T_`` a count, ``A_`` where a part begins whose size
depends on the run. An order is the place where its row begins; ``m[o + O_SIDE]`` is its side. The meaning of a field is
that of its namesake in ``engine`` and ``sim.paper``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Ints = npt.NDArray[Any]

NEVER: Final = 1 << 62
"""A stamp that does not come."""

# --- scalars

(
    S_ERROR,  # what does not fit into the arrays (E_...), or 0
    S_STARTED,  # 1 after the first message
    S_CLOCK,
    S_NOW,  # the core's
    S_MESSAGES,
    S_BACKWARDS,
    S_LOG_ROWS,
    # the core
    S_STATE,  # of the board, index into BOARD_STATES
    S_STOPPING,
    S_CHECKED,
    S_DAY,  # -1 before the first event
    S_CHANGE_NS,
    S_QUIET,
    S_SEGMENT,  # of the calendar
    S_SENT,  # numbers our orders
    S_RUN_NS,  # the core's first step
    # the last board
    S_BOARD_NS,
    S_BID,
    S_ASK,
    S_SINCE,
    S_STATUS,
    # the strategy
    S_HAS_SITUATION,
    S_SIT_BOARD_NS,
    S_SIT_STRIKE_AT,
    S_SIT_STRUCK_NS,
    S_SIT_QUOTES,
    S_SIT_SINCE,
    S_STRUCK_NS,
    S_STRUCK_BID,
    S_STRUCK_ASK,
    # inventory
    S_POSITION,
    S_BASIS,
    S_REALISED,
    S_REALISED_AT_ROLL,
    S_EQUITY_AT_ROLL,
    S_PEAK,
    S_MAX_DRAWDOWN,
    S_TOP,  # of the whole run, whatever day: highest equity, and deepest fall from it
    S_FALL,
    S_MID2,
    S_CHANGES,
    S_LAST_PNL,
    # the kill switch
    S_HALTED,  # reason or 0
    S_PNL_BASE,
    S_REJECTS,  # stamps in the part of that name
    # budget
    S_LAST_STRIKE,  # -1: none yet
    S_FREE_FROM,  # -1: not known
    # closing
    S_CLOSING,
    S_CLOSE_REASON,
    S_CLOSE_FLATTEN,
    S_CLOSE_RETRY,
    S_CLOSE_NO_MARKET,  # -1: there is one
    S_CLOSE_PAUSE,
    # the record
    S_HOLD,
    S_HOLD_NS,
    # lists
    S_LIVE,
    S_RESTING,
    S_OUTBOX,
    S_DUE,
    S_EXPIRY_HEAD,
    S_EXPIRIES,
    S_TAKEN,
    # the paper venue
    S_PLACED,
    S_PLACED_NS,  # of the first order
    S_CANCELS,
    S_SEQUENCE,
    S_PAPER_BOOK,  # 1: there is one that can be believed
    S_PAPER_STATE,
    S_FILLS,
    S_PAPER_POSITION,
    S_PAPER_MID2,
    S_SETTLEMENT,  # place of the next; -1: not looked up yet
    # where the tape is
    S_BOOK_AT,  # last message of the chunk whose changes count; -1: none yet
    S_BOOK_BID,
    S_BOOK_ASK,
    S_TRADE,  # next trade of the chunk
    # counts
    T_BOARDS,
    T_STRIKES,
    T_PLACED,
    T_REJECTED,
    T_QUOTES,
    T_TOUCHED,
    T_FILLED,
    T_CANCELLED,
    T_EXPIRED,
    T_CLOSES,
    T_FILLS,
    T_VOLUME,
    T_FEES,
    T_FUNDING,
    # settings
    P_STALL_NS,
    P_TTL_NS,
    P_STALE_NS,
    P_MIN_SPREAD,
    P_MAX_REVERSE,
    P_SIZE,
    P_MAX_INVENTORY,
    P_MIN_SIZE,
    P_MODE,
    P_OFFSET,
    Q_LOGGING,
    Q_END_NS,  # no message after this is traded
    Q_EXITS_ON_HALT,
    Q_SHARE,
    Q_POWER,
    Q_MAKER,  # rates as numerator and denominator
    Q_MAKER_PER,
    Q_TAKER,
    Q_TAKER_PER,
    Q_FUNDING,
    Q_FUNDING_PER,
    Q_ORDER_SEED,
    Q_CANCEL_SEED,
    Q_ORDER_SPIKES,  # four numbers: ``sim.latency.Spikes``
    _Q_ORDER_1,
    _Q_ORDER_2,
    _Q_ORDER_3,
    Q_CANCEL_SPIKES,
    _Q_CANCEL_1,
    _Q_CANCEL_2,
    _Q_CANCEL_3,
    Q_DAILY_LIMIT,
    Q_DRAWDOWN_LIMIT,
    Q_MAX_REJECTS,
    Q_CLOSE_IS_IOC,
    Q_CLOSE_BAND,
    Q_CLOSE_RETRY_NS,
    Q_BLIND_NS,
    Q_SMALL_LOTS,
    Q_LIMIT,  # four windows: private, orders, small, address
    _Q_LIMIT_1,
    _Q_LIMIT_2,
    _Q_LIMIT_3,
    Q_WINDOW,
    _Q_WINDOW_1,
    _Q_WINDOW_2,
    _Q_WINDOW_3,
    Q_RESERVE,
    _Q_RESERVE_1,
    _Q_RESERVE_2,
    _Q_RESERVE_3,
    # parts whose size depends on the run, and how much they hold
    A_STAMPS,  # calls of each window, as rings
    C_STAMPS,
    A_EXPIRIES,
    C_EXPIRIES,
    A_REJECTS,
    C_REJECTS,
    A_LOG,
    C_LOG,
    A_CALENDAR,  # segments: from when, which day, whether quiet
    C_CALENDAR,
    A_SETTLEMENTS,
    A_ORDER_TABLE,
    C_ORDER_TABLE,
    A_CANCEL_TABLE,
    C_CANCEL_TABLE,
    # the chunk's book: by rank, which is the price of an ask and minus the price of a bid, bids before asks
    A_BASE,  # ranks of the levels before the chunk
    A_BASE_ASKS,
    A_BASE_END,
    A_BASE_SIZE,
    A_LEVELS,  # changes in the chunk: rank << 32 | message
    A_LEVELS_ASKS,
    A_LEVELS_END,
    A_LEVELS_SIZE,
    SCALARS,
) = range(165)

# --- orders: one row each

(
    O_CORE,  # live for the core
    O_PAPER,  # known to the paper venue
    O_NUMBER,
    O_PLACED,  # the paper venue's number, 0 before
    O_SIDE,  # +1 or -1
    O_PRICE,  # 0: at market
    O_SIZE,
    O_TAG,
    O_IOC,
    O_STATE,
    O_EXECUTED,
    O_REASON,
    O_CANCEL_REASON,  # 0: not wanted
    O_CANCEL_NS,  # -1: not sent
    O_NAMED,
    O_ARRIVES,
    O_REMAINING,
    O_QUEUED,  # it has a place in a queue
    O_AHEAD,
    O_LEVEL,
    O_UNSEEN,
    O_TRADED_NS,
    O_NEXT,  # next change of its level, the end of them, and the level's size before it
    O_END,
    O_SHOWN,
    ORDER_FIELDS,
) = range(26)

SLOTS: Final = 16
TAG_STALL, TAG_CLOSE, TAG_DUST = 0, 1, 2
PENDING_NEW, WORKING, PARTIAL, PENDING_CANCEL, ENDED = 0, 1, 2, 3, 4

# --- what we took of levels

K_SIDE, K_PRICE, K_LOTS, K_NEXT, K_END, K_SHOWN, TAKEN_FIELDS = range(7)

# --- what takes effect later

D_AT, D_SEQUENCE, D_ORDER, D_WHAT, DUE_FIELDS = range(5)
DUE_ORDER, DUE_CANCEL = 0, 1

# --- rows of the log: kind, stamp, and what the kind needs

LOG_NEW, LOG_DECISION, LOG_TRADE, LOG_ORDER = range(4)
LOG_FIELDS: Final = 14
LOG_ROWS: Final = 65_536
LOG_ROOM: Final = 32_768
"""Free rows before each message and deadline; more than any makes, short of a book walked level by level."""
DID_STRIKE, DID_CANCEL, DID_CLOSE, DID_HOLD, DID_HALT, DID_RESUME = range(6)
ACT_NONE, ACT_STRIKE, ACT_CANCEL, ACT_CLOSE = range(4)
END_PLACED, END_REJECTED, END_CANCELLED, END_EXPIRED = range(4)

# --- errors: the arrays are too small for this run

E_SLOTS, E_DUE, E_EXPIRIES, E_TAKEN, E_OUTBOX, E_LOG, E_CALENDAR, E_REFUSED, E_WINDOW, E_REJECTS = range(1, 11)

# --- messages, column ``kind``

KIND_NONE, KIND_BOARD, KIND_TRADES, KIND_STATE = range(4)

WINDOWS: Final = 4
W_PRIVATE, W_ORDERS, W_SMALL, W_ADDRESS = range(WINDOWS)


# --- parts of fixed size

ORDERS: Final = SCALARS
ORDERS_END: Final = ORDERS + SLOTS * ORDER_FIELDS
LIVE: Final = ORDERS_END
"""The core's live orders, in the order of sending."""
RESTING: Final = LIVE + SLOTS
"""The paper venue's resting orders, in the order of arrival."""
RANKED: Final = RESTING + SLOTS
"""Scratch: resting orders by priority."""
OUTBOX: Final = RANKED + SLOTS
"""Pairs: 0 and an order to place, or 1 and the number of one to cancel."""
OUTBOX_SIZE: Final = 256
DUE: Final = OUTBOX + 2 * OUTBOX_SIZE
DUE_SIZE: Final = 4_096
TAKEN: Final = DUE + DUE_SIZE * DUE_FIELDS
TAKEN_SIZE: Final = 4_096
REASONS: Final = 64
HELD_NS: Final = TAKEN + TAKEN_SIZE * TAKEN_FIELDS
"""How long each reason held."""
REASON_ROWS: Final = HELD_NS + REASONS
HEADS: Final = REASON_ROWS + REASONS
"""Of each window's ring: where it begins, and how many calls are in it."""
USED: Final = HEADS + WINDOWS
PARTS: Final = USED + WINDOWS
"""Where the parts of variable size begin."""


class Chunk(NamedTuple):
    """A stretch of the tape, as columns. Messages are numbered within it."""

    recv: Ints
    kind: Ints
    status: Ints
    """Of a board: BookStatus; of a state: index into BOARD_STATES."""
    bid: Ints
    ask: Ints
    since: Ints
    trade_at: Ints
    trade_taker: Ints
    trade_price: Ints
    trade_size: Ints
    base_rank: Ints
    """The book before the chunk, bids then asks, each by rank: minus the price of a bid, the price of an ask."""
    base_size: Ints
    base_asks: int
    """Where the asks begin."""
    level_rank: Ints
    """Changes, bids then asks, each by rank and then by message."""
    level_at: Ints
    level_size: Ints
    level_asks: int


def memory(
    *,
    window: int,
    rejects: int,
    expiries: int,
    calendar: I64,
    settlements: I64,
    order_table: I64,
    cancel_table: I64,
    book: int,
) -> I64:
    """Memory of a run that has not begun.

    ``window``: the most calls that any limit allows; ``book``: the most levels and changes of a chunk.
    """
    parts = (
        (A_STAMPS, C_STAMPS, window, WINDOWS * window),
        (A_EXPIRIES, C_EXPIRIES, expiries, expiries * DUE_FIELDS),
        (A_REJECTS, C_REJECTS, rejects, rejects),
        (A_LOG, C_LOG, LOG_ROWS, LOG_ROWS * LOG_FIELDS),
        (A_CALENDAR, C_CALENDAR, len(calendar), calendar.size),
        (A_SETTLEMENTS, A_SETTLEMENTS, 0, len(settlements)),
        (A_ORDER_TABLE, C_ORDER_TABLE, len(order_table), len(order_table)),
        (A_CANCEL_TABLE, C_CANCEL_TABLE, len(cancel_table), len(cancel_table)),
        (A_BASE, A_BASE, 0, 2 * book),
    )
    m = np.zeros(PARTS + sum(size for *_, size in parts), np.int64)
    begin = PARTS
    for place, count, held, size in parts:
        m[count] = held
        m[place] = begin
        begin += size
    for place, values in (
        (A_CALENDAR, calendar.ravel()),
        (A_SETTLEMENTS, settlements),
        (A_ORDER_TABLE, order_table),
        (A_CANCEL_TABLE, cancel_table),
    ):
        m[m[place] : m[place] + len(values)] = values
    for name, value in (
        (S_STATE, 1),
        (S_PAPER_STATE, 1),
        (S_STATUS, 1),
        (S_CHECKED, -1),
        (S_DAY, -1),
        (S_LAST_STRIKE, -1),
        (S_FREE_FROM, -1),
        (S_CLOSE_NO_MARKET, -1),
        (S_SETTLEMENT, -1),
        (S_BOOK_AT, -1),
    ):
        m[name] = value
    return m


def put_book(m: I64, chunk: Chunk) -> None:
    """Make the chunk's book the present one."""
    at = int(m[A_BASE])
    base, levels = len(chunk.base_rank), len(chunk.level_rank)
    m[A_BASE_ASKS], m[A_BASE_END] = at + chunk.base_asks, at + base
    m[at : at + base] = chunk.base_rank
    m[A_BASE_SIZE] = at = at + base
    m[at : at + base] = chunk.base_size
    m[A_LEVELS] = at = at + base
    m[A_LEVELS_ASKS], m[A_LEVELS_END] = at + chunk.level_asks, at + levels
    keys = m[at : at + levels]
    np.left_shift(chunk.level_rank, 32, out=keys, dtype=np.int64)
    keys |= chunk.level_at
    m[A_LEVELS_SIZE] = at = at + levels
    m[at : at + levels] = chunk.level_size

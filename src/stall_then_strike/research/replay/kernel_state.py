"""The compiled replay's state: one numpy record with named fields, which compiled functions read by name.

The classes below declare the record: a field is a 64-bit integer, another record, or an array of either, and `layout`
makes the numpy type of it. A compiled function is handed the whole record as one pointer, so that ``state.inventory``
or ``state.orders[n].price`` cost no more than a place in an array. Nothing of the classes exists at run time but their
annotations. A field means what its namesake in ``engine`` or ``sim.paper`` means; where that is a yes or no, it is 1 or
0. Arrays are as large as any run may need: memory that is never touched is never given out by the system.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast, get_args, get_origin, get_type_hints

import numpy as np

from stall_then_strike.engine.recording import Tally
from stall_then_strike.engine.strategy_stall import StallParams
from stall_then_strike.infra.bitflyer.store import MAX_LEVELS
from stall_then_strike.research.tables.columns import BOARD_STATES, I64, MOST_LEVELS, Chunk, Ints
from stall_then_strike.sim.fill_rules import Queue
from stall_then_strike.sim.latency import QUANTILES, Spikes
from stall_then_strike.types.dto import BoardState, BookStatus, Reason

# --- how much there is room for

SLOTS: Final = 16
"""Orders at once."""
OUTBOX_ROOM: Final = 256
INBOX_ROOM: Final = 16_384
DUE_ROOM: Final = 4_096
TAKEN_ROOM: Final = 4_096
MOST_CALLS: Final = 100_000
"""The highest limit on calls, and on refused orders, that a run may have."""
SPARE: Final = 16
EXPIRIES_PER_ORDER: Final = 4
"""Places for expiries, of each order that the limit allows in five minutes."""
LOG_NUMBERS: Final = 14
"""In a row of the log, of 64 bits each."""
_NUMBER: Final = 8
_ROW_BYTES: Final = LOG_NUMBERS * _NUMBER
LOG_ROOM: Final = 65_536
LOG_SPARE: Final = 32_768
"""Free rows before each message and deadline; more than any makes, short of a book walked level by level."""
CALENDAR_ROOM: Final = 1 << 18
SETTLEMENTS_ROOM: Final = 1 << 18
REASONS: Final = max(Reason) + 1
BASE_ROOM: Final = 2 * (MAX_LEVELS + 1)
LEVELS_ROOM: Final = MOST_LEVELS + 4 * MAX_LEVELS + 8
"""No chunk holds more: see ``tables.scan.sheet``."""

# --- numbers for words

TAG_STALL, TAG_CLOSE, TAG_DUST = range(3)
PENDING_NEW, WORKING, PARTIAL, PENDING_CANCEL, ENDED = range(5)
"""States of an order, as far as a paper account knows them."""
DUE_ORDER, DUE_CANCEL = range(2)
LOG_NEW, LOG_DECISION, LOG_TRADE, LOG_ORDER = range(4)
DID_STRIKE, DID_CANCEL, DID_CLOSE, DID_HOLD, DID_HALT, DID_RESUME = range(6)
ACT_NONE, ACT_STRIKE, ACT_CANCEL, ACT_CLOSE = range(4)
END_PLACED, END_REJECTED, END_CANCELLED, END_EXPIRED = range(4)
"""What became of an order, in the log; events that tell of it have the same numbers."""
EVENT_REGISTERED, EVENT_FILL, EVENT_FUNDING, EVENT_TICK, EVENT_BOARD, EVENT_VENUE, EVENT_STOP = range(4, 11)
RUNNING, UNKNOWN = (BOARD_STATES.index(state) for state in (BoardState.RUNNING, BoardState.UNKNOWN))

# --- errors: the record is too small for this run

E_SLOTS, E_DUE, E_EXPIRIES, E_TAKEN, E_OUTBOX, E_LOG, E_CALENDAR, E_REFUSED, E_WINDOW, E_REJECTS = range(1, 11)
E_INBOX = 11


class Cursor:
    """A reader's place in the changes of one price: the next one, their end, and the size displayed before it."""

    next: int
    end: int
    size: int


class Order:
    """One order of ours: what the core knows of it, then what the paper venue does."""

    slot: int
    """Its place in ``State.orders``, free again once neither knows it."""
    in_core: int
    at_venue: int
    number: int
    """Ours, from 1; ``placed`` is the venue's, 0 before it is sent."""
    placed: int
    side: int
    """+1 buys, -1 sells."""
    price: int
    """0: at market."""
    size: int
    tag: int
    is_ioc: int
    reason: int
    state: int
    executed: int
    cancel_reason: int
    """0: no cancel is wanted."""
    cancel_sent_ns: int
    """-1: never."""
    is_named: int
    arrives_ns: int
    remaining: int
    is_queued: int
    queue: Annotated[Any, Queue]
    traded_ns: int
    level: Cursor
    """What its price displays."""


class Request:
    """Something to send: an order by its slot, or a cancel by the venue's number."""

    is_cancel: int
    which: int


class Event:
    """What the core is told: it steps once for each, in the order in which they came."""

    what: int
    """EVENT_..."""
    slot: int
    """Of the order that it is about."""
    ts_ns: int
    detail: int
    price: int
    size: int
    fee: int
    """Or an amount that is paid."""


class Due:
    """What takes effect later: an order by its slot, or a cancel or an expiry by the venue's number."""

    at_ns: int
    sequence: int
    what: int
    which: int


class Taken:
    """What we took of a displayed level."""

    side: int
    price: int
    lots: int
    level: Cursor


class Window:
    """One limit on calls, with the stamps of those that still count: a ring."""

    limit: int
    window_ns: int
    reserve: int
    room: int
    """How many places the ring has."""
    head: int
    used: int
    stamps: Annotated[I64, MOST_CALLS + SPARE]


class Budget:
    """All limits, and when the next strike may go out."""

    address: Window
    private: Window
    orders: Window
    small: Window
    small_lots: int
    last_strike_ns: int
    """-1: none yet."""
    free_from_ns: int
    """-1: not known."""


class Inventory:
    """Position and results."""

    position: int
    basis: int
    realised: int
    realised_at_roll: int
    equity_at_roll: int
    peak: int
    max_drawdown: int
    mid2: int
    run_peak: int
    run_max_drawdown: int
    changes: int


class Closing:
    """The way out of the position."""

    is_on: int
    reason: int
    flatten: int
    retry_at_ns: int
    no_market_ns: int
    """-1: there is one."""
    pause_ns: int


class KillSwitch:
    """Why trading is halted, and the refused orders of the last minute."""

    halted: int
    """A reason, or 0."""
    pnl_base: int
    rejects_room: int
    rejects_count: int
    rejects: Annotated[I64, 2 * MOST_CALLS + SPARE]


class Board:
    """The last snapshot that the core saw."""

    ts_ns: int
    bid: int
    ask: int
    best_since_ns: int
    status: int


class Seen:
    """What the last decision saw, as far as the next deadline follows from it."""

    is_set: int
    """0 before the first decision."""
    board_ns: int
    best_since_ns: int
    quotes: int
    strike_at_ns: int


class Struck:
    """The best at the last strike."""

    ts_ns: int
    bid: int
    ask: int


class Segment:
    """A stretch of the calendar in which nothing changes."""

    from_ns: int
    day: int
    is_quiet: int


class Calendar:
    """All stretches of the run, and where in them it is."""

    count: int
    at: int
    day: int
    """-1 before the first event."""
    is_quiet: int
    change_ns: int
    segments: Annotated[list[Segment], CALENDAR_ROOM]


class Levels:
    """The chunk's displayed book by rank: minus the price of a bid, the price of an ask; bids before asks."""

    base_asks: int
    """Where the asks begin among the levels before the chunk, and where they end."""
    base_end: int
    changes_asks: int
    changes_end: int
    base_rank: Annotated[I64, BASE_ROOM]
    base_size: Annotated[I64, BASE_ROOM]
    change_key: Annotated[I64, LEVELS_ROOM]
    """Changes in the chunk: rank << 32 | message."""
    change_size: Annotated[I64, LEVELS_ROOM]


class Paper:
    """The paper venue."""

    state: int
    """Of the board, a place in ``columns.BOARD_STATES``."""
    is_believed: int
    """Whether there is a book that can be believed."""
    at: int
    """The last message of the chunk whose changes count; -1: none yet."""
    bid: int
    ask: int
    placed: int
    placed_ns: int
    """Stamp of the first order, which names them all."""
    cancels: int
    sequence: int
    fills: int
    position: int
    mid2: int
    settlement: int
    """The next one's place; -1: not looked up yet."""
    trade: int
    """The chunk's next trade."""
    resting_count: int
    resting: Annotated[I64, SLOTS]
    """Slots of resting orders, in the order of arrival."""
    ranked: Annotated[I64, SLOTS]
    """Scratch: the same by priority."""
    due_count: int
    due: Annotated[list[Due], DUE_ROOM]
    taken_count: int
    taken: Annotated[list[Taken], TAKEN_ROOM]
    expiries_room: int
    expiries_head: int
    expiries_count: int
    expiries: Annotated[list[Due], EXPIRIES_PER_ORDER * (MOST_CALLS + SPARE)]
    """A ring: all orders live for the same time."""
    settlements: Annotated[I64, SETTLEMENTS_ROOM]
    order_table_size: int
    order_table: Annotated[I64, QUANTILES + 1]
    cancel_table_size: int
    cancel_table: Annotated[I64, QUANTILES + 1]


class NewRow:
    """An order of ours, before it is sent."""

    number: int
    side: int
    price: int
    size: int
    tag: int
    reason: int


class DecisionRow:
    """A decision, with at most one action."""

    did: int
    reason: int
    bid: int
    ask: int
    age_ms: int
    spread: int
    position: int
    action: int
    first: int
    """Orders that the action is about, 0 for none."""
    second: int
    action_reason: int


class TradeRow:
    """A fill, after it was booked."""

    number: int
    side: int
    price: int
    size: int
    fee: int
    realised: int
    realised_today: int
    position: int
    placed: int


class OrderRow:
    """An order was placed, or ended without a fill."""

    number: int
    what: int
    detail: int
    placed: int


class LogRow:
    """One row of the log. Its kind says which of the others it holds: they share their place."""

    kind: int
    ts_ns: int
    new: NewRow
    decision: DecisionRow
    trade: TradeRow
    order: OrderRow


class Record:
    """What is written down of the run."""

    hold: int
    """Why nothing is being done, or 0; ``hold_ns`` says since when it is not counted yet."""
    hold_ns: int
    reason_ns: Annotated[I64, REASONS]
    reason_rows: Annotated[I64, REASONS]
    count: int
    """Rows in the log."""
    rows: Annotated[list[LogRow], LOG_ROOM]


class Settings:
    """What the run was configured with, beside the strategy's own settings."""

    logging: int
    end_ns: int
    """No message after this is traded."""
    exits_on_halt: int
    share: int
    power: int
    maker: int
    """Rates as numerator and denominator."""
    maker_per: int
    taker: int
    taker_per: int
    funding: int
    funding_per: int
    order_seed: int
    cancel_seed: int
    order_spikes: Annotated[Any, Spikes]
    cancel_spikes: Annotated[Any, Spikes]
    daily_limit: int
    drawdown_limit: int
    max_rejects: int
    close_is_ioc: int
    close_band: int
    close_retry_ns: int
    blind_ns: int


class State:
    """A run: the clock, the core, the paper venue, the chunk at hand, and what it was configured with."""

    error: int
    """What there is no room for (E_...), or 0."""
    has_started: int
    clock_ns: int
    messages: int
    backwards: int
    # the core
    now_ns: int
    run_ns: int
    """Stamp of its first step, which names its orders."""
    venue: int
    """State of the board, a place in ``columns.BOARD_STATES``."""
    is_stopping: int
    checked: int
    sent: int
    board: Board
    seen: Seen
    struck: Struck
    inventory: Inventory
    kill_switch: KillSwitch
    budget: Budget
    closing: Closing
    calendar: Calendar
    record: Record
    tally: Annotated[Tally, Tally]
    orders: Annotated[list[Order], SLOTS]
    live_count: int
    live: Annotated[I64, SLOTS]
    """Slots of the core's live orders, in the order of sending."""
    outbox_count: int
    outbox: Annotated[list[Request], OUTBOX_ROOM]
    # around it
    inbox_count: int
    inbox: Annotated[list[Event], INBOX_ROOM]
    """What the paper venue tells the core."""
    paper: Paper
    levels: Levels
    params: Annotated[StallParams, StallParams]
    settings: Settings


def layout(declared: type) -> np.dtype[Any]:
    """The numpy type of a class whose annotations are the fields. Of another layer's, its integers are."""
    fields = get_type_hints(declared, include_extras=True)
    if declared is LogRow:
        kinds = {name: layout(hint) for name, hint in fields.items() if hint is not int}
        offsets = [0, _NUMBER, *(2 * _NUMBER for _ in kinds)]
        kinds = {"kind": np.dtype(np.int64), "ts_ns": np.dtype(np.int64), **kinds}
        row: Any = {"names": [*kinds], "formats": [*kinds.values()], "offsets": offsets, "itemsize": _ROW_BYTES}
        shared: Any = np.dtype(row, align=True)
        return cast("np.dtype[Any]", shared)
    if declared.__module__ != __name__:
        return np.dtype([(name, np.int64) for name, hint in fields.items() if hint is int], align=True)
    return np.dtype([(name, *_kind(hint)) for name, hint in fields.items()], align=True)


def _kind(hint: Any) -> tuple[Any, ...]:
    """Type of a field, and its length if it is an array."""
    if hint is int:
        return (np.int64,)
    if get_origin(hint) is not Annotated:
        return (layout(hint),)
    values, size = get_args(hint)
    if isinstance(size, type):
        return (layout(size),)
    if values is I64:
        return np.int64, size
    return layout(get_args(values)[0]), size


STATE: Final = layout(State)
LOG_ROW: Final = layout(LogRow)
TALLY: Final = layout(Tally).names or ()
"""Counts that a compiled run keeps."""


def new_state() -> Ints:
    """State of a run that has not begun, without settings: an array of one record, for that is what numba takes.

    Fields of the record are read and set as ``states[0]["clock_ns"]``.
    """
    states = np.zeros(1, STATE)
    state = states[0]
    state["venue"] = state["paper"]["state"] = UNKNOWN
    state["board"]["status"] = BookStatus.UNKNOWN
    state["checked"] = state["calendar"]["day"] = -1
    state["budget"]["last_strike_ns"] = state["budget"]["free_from_ns"] = -1
    state["closing"]["no_market_ns"] = -1
    state["paper"]["settlement"] = state["paper"]["at"] = -1
    return states


def put_levels(state: Any, chunk: Chunk) -> None:
    """Make the chunk's book the present one."""
    levels = state["levels"]
    base, changes = len(chunk.base_rank), len(chunk.level_rank)
    levels["base_asks"], levels["base_end"] = chunk.base_asks, base
    levels["base_rank"][:base] = chunk.base_rank
    levels["base_size"][:base] = chunk.base_size
    levels["changes_asks"], levels["changes_end"] = chunk.level_asks, changes
    keys = levels["change_key"][:changes]
    np.left_shift(chunk.level_rank, 32, out=keys, dtype=np.int64)
    keys |= chunk.level_at
    levels["change_size"][:changes] = chunk.level_size

"""The compiled replay's state: one numpy record with named fields, which compiled functions read by name.

The classes below declare the record: a field is a 64-bit integer, another record, or an array of either, and `layout`
makes the numpy type. A compiled function gets the whole record as one pointer, so ``state.inventory`` or
``state.orders[n].price`` costs no more than an array access. At run time only the annotations of the classes are used.
A field means what the field of the same name in ``engine`` or ``sim.paper`` means; booleans are 1 or 0. Arrays are as
large as any run may need: the system allocates no memory that is never touched.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast, get_args, get_origin, get_type_hints

import numpy as np

from stall_then_strike.engine.recording import Tally
from stall_then_strike.engine.strategy_stall import StallParams
from stall_then_strike.infra.levels import MAX_LEVELS
from stall_then_strike.research.tables.columns import BOARD_STATES, I64, MOST_LEVELS, Chunk, Ints
from stall_then_strike.sim.fill_rules import Queue
from stall_then_strike.sim.latency import QUANTILES, Spikes
from stall_then_strike.types.dto import BoardState, BookStatus, Reason

# --- capacities

SLOTS: Final = 16
"""Most orders at a time."""
OUTBOX_ROOM: Final = 256
INBOX_ROOM: Final = 16_384
DUE_ROOM: Final = 4_096
TAKEN_ROOM: Final = 4_096
MOST_CALLS: Final = 100_000
"""Highest limit on calls, and on rejected orders, that a run may have."""
SPARE: Final = 16
EXPIRIES_PER_ORDER: Final = 4
"""Room for expiries per order that the limit allows in five minutes."""
LOG_NUMBERS: Final = 14
"""64-bit numbers in a row of the log."""
_NUMBER: Final = 8
_ROW_BYTES: Final = LOG_NUMBERS * _NUMBER
SAMPLES_ROOM: Final = 4_096
LOG_ROOM: Final = 65_536
LOG_SPARE: Final = 32_768
"""Free log rows before each message and deadline; more than any adds, except if it takes a whole book of levels."""
CALENDAR_ROOM: Final = 1 << 18
SETTLEMENTS_ROOM: Final = 1 << 18
REASONS: Final = max(Reason) + 1
BASE_ROOM: Final = 2 * (MAX_LEVELS + 1)
LEVELS_ROOM: Final = MOST_LEVELS + 4 * MAX_LEVELS + 8
"""Most level changes of a chunk: see ``tables.scan.sheet``."""

# --- numbers for enums

TAG_STALL, TAG_CLOSE, TAG_DUST = range(3)
PENDING_NEW, WORKING, PARTIAL, PENDING_CANCEL, ENDED = range(5)
"""The order states that a paper account uses."""
DUE_ORDER, DUE_CANCEL = range(2)
LOG_NEW, LOG_DECISION, LOG_TRADE, LOG_ORDER = range(4)
DID_STRIKE, DID_CANCEL, DID_CLOSE, DID_HOLD, DID_HALT, DID_RESUME = range(6)
ACT_NONE, ACT_STRIKE, ACT_CANCEL, ACT_CLOSE = range(4)
END_PLACED, END_REJECTED, END_CANCELLED, END_EXPIRED = range(4)
"""What happened to an order, in the log; the events for it have the same numbers."""
EVENT_REGISTERED, EVENT_FILL, EVENT_FUNDING, EVENT_TICK, EVENT_BOARD, EVENT_VENUE, EVENT_STOP = range(4, 11)
RUNNING, UNKNOWN = (BOARD_STATES.index(state) for state in (BoardState.RUNNING, BoardState.UNKNOWN))

# --- errors: the record is too small for this run

E_SLOTS, E_DUE, E_EXPIRIES, E_TAKEN, E_OUTBOX, E_LOG, E_CALENDAR, E_REFUSED, E_WINDOW, E_REJECTS = range(1, 11)
E_INBOX = 11


class Cursor:
    """A reader's position in the changes of one price: the next change, their end, and the size before that change."""

    next: int
    end: int
    size: int


class Order:
    """One order of ours: first the core's fields, then the paper venue's."""

    slot: int
    """Its index in ``State.orders``; reused once neither core nor venue knows the order."""
    in_core: int
    at_venue: int
    number: int
    """Our number, from 1; ``placed`` is the venue's, 0 before the order is sent."""
    placed: int
    side: int
    """+1: buy, -1: sell."""
    price: int
    """0: market order."""
    size: int
    tag: int
    is_ioc: int
    reason: int
    state: int
    executed: int
    cancel_reason: int
    """0: no cancel wanted."""
    cancel_sent_ns: int
    """-1: never."""
    is_named: int
    arrives_ns: int
    remaining: int
    is_queued: int
    queue: Annotated[Any, Queue]
    traded_ns: int
    rival: int
    outbid_ns: int
    level: Cursor
    """The displayed size at its price."""


class Request:
    """A request to send: an order by its slot, or a cancel by the venue's number."""

    is_cancel: int
    which: int


class Event:
    """An event for the core, which takes one step for each, in order."""

    what: int
    """EVENT_..."""
    slot: int
    """Slot of its order."""
    ts_ns: int
    detail: int
    price: int
    size: int
    fee: int
    """A fill's fee, or the amount of a payment."""


class Due:
    """Something that takes effect later: an order by its slot, or a cancel or an expiry by the venue's number."""

    at_ns: int
    sequence: int
    what: int
    which: int


class Taken:
    """The size that we took of a displayed level."""

    side: int
    price: int
    lots: int
    level: Cursor


class Window:
    """One limit on calls, with a ring of the stamps that still count."""

    limit: int
    window_ns: int
    reserve: int
    elsewhere: int
    room: int
    """Capacity of the ring."""
    head: int
    used: int
    stamps: Annotated[I64, MOST_CALLS + SPARE]


class Budget:
    """All limits, and when the next strike may be sent."""

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
    """The state of closing the position."""

    is_on: int
    reason: int
    flatten: int
    retry_at_ns: int
    no_market_ns: int
    """Since when there has been no market to close at; -1: there is one."""
    pause_ns: int


class KillSwitch:
    """Why trading is halted, and the rejected orders of the last minute."""

    halted: int
    """The reason, or 0."""
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
    """Those inputs of the last decision that the next deadline depends on."""

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
    """All segments of the run's calendar, and the present one."""

    count: int
    at: int
    day: int
    """-1 before the first event."""
    is_quiet: int
    change_ns: int
    segments: Annotated[list[Segment], CALENDAR_ROOM]


class Levels:
    """The chunk's displayed book sorted by rank (a bid's negated price, an ask's price), bids before asks."""

    base_asks: int
    """Index of the first ask among the levels before the chunk; the next field is their end."""
    base_end: int
    changes_asks: int
    changes_end: int
    base_rank: Annotated[I64, BASE_ROOM]
    base_size: Annotated[I64, BASE_ROOM]
    change_key: Annotated[I64, LEVELS_ROOM]
    """Level changes in the chunk: rank << 32 | message."""
    change_size: Annotated[I64, LEVELS_ROOM]


class Paper:
    """The paper venue."""

    state: int
    """State of the board, an index into ``columns.BOARD_STATES``."""
    is_believed: int
    """Whether the book is OK."""
    at: int
    """The last applied message of the chunk; -1: none yet."""
    bid: int
    ask: int
    placed: int
    placed_ns: int
    """Stamp of the first order, part of all order ids."""
    cancels: int
    sequence: int
    fills: int
    position: int
    mid2: int
    settlement: int
    """Index of the next settlement; -1: not looked up yet."""
    trade: int
    """Index of the chunk's next trade."""
    resting_count: int
    resting: Annotated[I64, SLOTS]
    """Slots of resting orders, in the order of arrival."""
    ranked: Annotated[I64, SLOTS]
    """Scratch space: the same slots by priority."""
    due_count: int
    due: Annotated[list[Due], DUE_ROOM]
    taken_count: int
    taken: Annotated[list[Taken], TAKEN_ROOM]
    expiries_room: int
    expiries_head: int
    expiries_count: int
    expiries: Annotated[list[Due], EXPIRIES_PER_ORDER * (MOST_CALLS + SPARE)]
    """A ring; entries are in order of time because all orders have the same lifetime."""
    settlements: Annotated[I64, SETTLEMENTS_ROOM]
    order_table_size: int
    order_table: Annotated[I64, QUANTILES + 1]
    cancel_table_size: int
    cancel_table: Annotated[I64, QUANTILES + 1]
    outbid_table_size: int
    """0: nobody outbids."""
    outbid_table: Annotated[I64, QUANTILES + 1]


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
    """Numbers of the action's orders, 0 for none."""
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
    """One row of the log. ``kind`` says which of the other records it holds: they share the same memory."""

    kind: int
    ts_ns: int
    new: NewRow
    decision: DecisionRow
    trade: TradeRow
    order: OrderRow


class Record:
    """What is logged and counted of the run."""

    hold: int
    """The reason for doing nothing, or 0; its time is counted up to ``hold_ns``."""
    hold_ns: int
    reason_ns: Annotated[I64, REASONS]
    reason_rows: Annotated[I64, REASONS]
    count: int
    """Rows in the log."""
    rows: Annotated[list[LogRow], LOG_ROOM]


class Samples:
    """The result at the end of each interval of observation."""

    every_ns: int
    next_ns: int
    """End of the present interval, ``NEVER_NS`` if nothing is sampled."""
    end_ns: int
    """No interval that ends here or later is sampled."""
    count: int
    totals: Annotated[I64, SAMPLES_ROOM]


class Settings:
    """The run's settings other than the strategy's own."""

    logging: int
    end_ns: int
    """Stamp of the end: no later message is traded."""
    exits_on_halt: int
    share: int
    power: int
    queues_through: int
    maker: int
    """Numerator of the rate; ``maker_per`` is its denominator. The same for the rates below."""
    maker_per: int
    taker: int
    taker_per: int
    funding: int
    funding_per: int
    order_seed: int
    cancel_seed: int
    outbid_seed: int
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
    """A run: the clock, the core, the paper venue, the present chunk and the settings."""

    error: int
    """Which array is too small (E_...), or 0."""
    has_started: int
    clock_ns: int
    wake_ns: int
    """The next deadline, as of the last look at it; later messages can only put it off while the core is calm."""
    messages: int
    backwards: int
    # the core
    now_ns: int
    run_ns: int
    """Stamp of its first step, part of its order ids."""
    venue: int
    """State of the board as the core knows it, an index into ``columns.BOARD_STATES``."""
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
    samples: Samples
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
    """Events from the paper venue for the core."""
    paper: Paper
    levels: Levels
    params: Annotated[StallParams, StallParams]
    settings: Settings


def layout(declared: type) -> np.dtype[Any]:
    """The numpy type of a class: its annotations are the fields. Of another layer's class, only the integer ones."""
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
    """Type of a field, and its length if an array."""
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
    """State of a run that has not begun, without settings: an array of one record, as numba requires.

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
    """Copy the chunk's book into the state."""
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

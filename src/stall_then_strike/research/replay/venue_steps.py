"""The paper venue and the clock, compiled: `sim.paper`, `app.trader.trader` and `app.trader.virtual` for one chunk.

Fills and funding follow `sim.fill_rules` and latencies `sim.latency`, the same functions, compiled. Things happen in
the order of a virtual run: deadlines up to the message, then the paper venue, then the core, then what it sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.infra.bitflyer.bitflyer_rules import EXPIRY_NS
from stall_then_strike.research.replay.core_steps import core_deadline, is_calm, is_done, on_event
from stall_then_strike.research.replay.jit import entry, inlined, jit, jit_with
from stall_then_strike.research.replay.kernel_book import next_change, seek, shown, walk, walk_from
from stall_then_strike.research.replay.kernel_ledger import equity
from stall_then_strike.research.replay.kernel_state import (
    DUE_CANCEL,
    DUE_ORDER,
    DUE_ROOM,
    E_DUE,
    E_EXPIRIES,
    E_INBOX,
    E_LOG,
    E_REFUSED,
    E_TAKEN,
    END_CANCELLED,
    END_EXPIRED,
    END_PLACED,
    END_REJECTED,
    EVENT_BOARD,
    EVENT_FILL,
    EVENT_FUNDING,
    EVENT_REGISTERED,
    EVENT_STOP,
    EVENT_TICK,
    EVENT_VENUE,
    INBOX_ROOM,
    LOG_ROOM,
    LOG_SPARE,
    SAMPLES_ROOM,
    SLOTS,
    TAKEN_ROOM,
    UNKNOWN,
    Event,
    Order,
    Paper,
    State,
)
from stall_then_strike.research.tables.columns import KIND_BOARD, KIND_STATE, KIND_TRADES, Ints
from stall_then_strike.sim import fill_rules, latency
from stall_then_strike.sim.fill_rules import Queue
from stall_then_strike.sim.paper import STOP_NS, UNSEEN_NS
from stall_then_strike.types.dto import BookStatus

_join, _match, _fee = jit(fill_rules.join), jit(fill_rules.match_behind), jit(fill_rules.fee)
_stands_inside = jit(fill_rules.stands_inside)
_after_level, _share_ahead, _funding = jit(fill_rules.after_level), jit(fill_rules.share_ahead), jit(fill_rules.funding)
_mixed = jit(latency.mixed)
_word_at = jit_with(latency.word_at, mixed=_mixed)
_drawn_ns = jit_with(latency.drawn_ns, word_at=_word_at)
_delay_ns = jit_with(latency.delay_ns, word_at=_word_at, drawn_ns=_drawn_ns)

_OK, _BOOK_UNKNOWN = int(BookStatus.OK), int(BookStatus.UNKNOWN)
_FULL = LOG_ROOM - LOG_SPARE
STOP_OVER = -1
"""``run`` returns this if the run is over before the chunk's end."""

# --- events for the core


@inlined
def _tell(state: State, what: int, slot: int, detail: int, ts_ns: int) -> Event:
    """Add an event for the core, which steps once the venue is done. The caller sets the other fields."""
    event = state.inbox[state.inbox_count]
    state.inbox_count += 1
    if state.inbox_count >= INBOX_ROOM:
        state.error = E_INBOX
        state.inbox_count = 0
    event.what = what
    event.slot = slot
    event.detail = detail
    event.ts_ns = ts_ns
    return event


@jit
def _step(state: State) -> None:
    """Let the core take a step for each event."""
    for n in range(state.inbox_count):
        on_event(state, state.inbox[n])
    state.inbox_count = 0


# --- requests


@jit
def _push(state: State, at_ns: int, what: int, which: int) -> None:
    paper = state.paper
    paper.sequence += 1
    if paper.due_count >= DUE_ROOM:
        state.error = E_DUE
        return
    due = paper.due[paper.due_count]
    due.at_ns = at_ns
    due.sequence = paper.sequence
    due.what = what
    due.which = which
    paper.due_count += 1


@jit
def _slot_of(state: State, placed: int) -> int:
    """Slot of the order with this venue number; -1 if the paper venue no longer knows it."""
    for slot in range(SLOTS):
        if state.orders[slot].at_venue != 0 and state.orders[slot].placed == placed:
            return slot
    return -1


@inlined
def _send_order(state: State, order: Order) -> None:
    paper, settings, now = state.paper, state.settings, state.clock_ns
    if paper.state > UNKNOWN or order.size < state.params.min_size:
        state.error = E_REFUSED  # the gates prevent this
    if paper.placed == 0:
        paper.placed_ns = now
    paper.placed += 1
    order.placed = paper.placed
    order.at_venue = 1
    order.remaining = order.size
    table: Any = paper.order_table[: paper.order_table_size]
    order.arrives_ns = now + _delay_ns(table, settings.order_seed, paper.placed, now, settings.order_spikes)
    _push(state, order.arrives_ns, DUE_ORDER, order.slot)
    _tell(state, END_PLACED, order.slot, 0, now)


@jit
def _send_cancel(state: State, placed: int) -> None:
    paper, settings, now = state.paper, state.settings, state.clock_ns
    paper.cancels += 1
    table: Any = paper.cancel_table[: paper.cancel_table_size]
    arrives_ns = now + _delay_ns(table, settings.cancel_seed, paper.cancels, now, settings.cancel_spikes)
    slot = _slot_of(state, placed)
    if slot >= 0:
        arrives_ns = max(arrives_ns, state.orders[slot].arrives_ns)
    _push(state, arrives_ns, DUE_CANCEL, placed)


@jit
def send_waiting(state: State) -> None:
    """Send the outbox, and whatever the core's steps on the answers add to it."""
    n = 0
    while n < state.outbox_count:
        request = state.outbox[n]
        n += 1
        if request.is_cancel == 0:
            _send_order(state, state.orders[request.which])
        else:
            _send_cancel(state, request.which)
        _step(state)
    state.outbox_count = 0


# --- fills


@jit
def _drop(state: State, order: Order) -> None:
    paper = state.paper
    order.at_venue = 0
    kept = 0
    for n in range(paper.resting_count):
        if paper.resting[n] != order.slot:
            paper.resting[kept] = paper.resting[n]
            kept += 1
    paper.resting_count = kept


@jit
def _fill(state: State, order: Order, price: int, size: int, is_maker: bool, ts_ns: int) -> None:
    paper, rates = state.paper, state.settings
    order.remaining -= size
    paper.fills += 1
    paper.position += size * order.side
    rate = (rates.maker, rates.maker_per) if is_maker else (rates.taker, rates.taker_per)
    event = _tell(state, EVENT_FILL, order.slot, 0, ts_ns)
    event.price = price
    event.size = size
    event.fee = _fee(price, size, rate)


@jit
def _taken_at(state: State, side: int, price: int) -> int:
    """Index in ``taken`` of what we took of a level; -1 if nothing."""
    taken = state.paper.taken
    for n in range(state.paper.taken_count):
        if taken[n].price == price and taken[n].side == side:
            return n
    return -1


@jit
def _note_taken(state: State, side: int, price: int, lots: int) -> None:
    """Note a size that we took of a displayed level, because the public book does not show it."""
    paper = state.paper
    n = _taken_at(state, side, price)
    if n < 0:
        if paper.taken_count >= TAKEN_ROOM:
            state.error = E_TAKEN
            return
        n = paper.taken_count
        paper.taken_count += 1
        paper.taken[n].side = side
        paper.taken[n].price = price
        paper.taken[n].lots = 0
        seek(state.levels, side, price, paper.taken[n].level)
    paper.taken[n].lots += lots


@jit
def _behind_rival(order: Order, size: int, now: int) -> int:
    """What is left of a size for this order, once whoever outbid it is served."""
    if now < order.outbid_ns:
        return size
    served = min(order.rival, size)
    order.rival -= served
    return size - served


@jit
def _take(state: State, order: Order, ts_ns: int, through: int) -> None:
    """Match an order with the other side's display; ``through`` is 1 if only prices better than its own count."""
    paper, side, limit = state.paper, order.side, order.price
    best = paper.ask if side > 0 else paper.bid
    if paper.is_believed == 0 or best == 0 or (limit != 0 and (limit - best) * side < through):
        return
    in_base, in_changes = walk_from(state.levels, -side, best)
    while order.remaining > 0 and state.error == 0:
        price, displayed, in_base, in_changes = walk(state.levels, -side, in_base, in_changes, paper.at)
        if price == 0 or (limit != 0 and (limit - price) * side < through):
            return
        n = _taken_at(state, -side, price)
        taken = paper.taken[n].lots if n >= 0 else 0
        offered = displayed - taken
        if offered <= 0:
            continue
        free = _behind_rival(order, offered, ts_ns)
        size = min(order.remaining, free)
        _note_taken(state, -side, price, offered - free + size)
        if size > 0:
            rested = through != 0 and limit != 0
            _fill(state, order, limit if rested else price, size, rested, ts_ns)


@jit
def _rank(state: State, taker: int, price: int) -> int:
    """Put resting orders into ``ranked``, by price and then by arrival on each side; return how many.

    ``taker``: only those that a taker of this side meets on the way to the price; 0: all.
    """
    paper, orders = state.paper, state.orders
    count = 0
    for n in range(paper.resting_count):
        slot = paper.resting[n]
        side, own = orders[slot].side, orders[slot].price
        if taker != 0 and (side == taker or (own - price) * side < 0):
            continue
        at = count
        while at > 0:
            before = orders[paper.ranked[at - 1]]
            if side * own <= before.side * before.price:
                break
            paper.ranked[at] = paper.ranked[at - 1]
            at -= 1
        paper.ranked[at] = slot
        count += 1
    return count


@jit
def _put(order: Order, queue: Queue) -> None:
    order.is_queued = 1
    order.queue.ahead = queue.ahead
    order.queue.level = queue.level
    order.queue.unseen = queue.unseen


@jit
def _forget_taken(state: State) -> None:
    """Lower what we took of a level to the level's size if that shrank; forget levels that are gone."""
    paper, kept = state.paper, 0
    for n in range(paper.taken_count):
        taken = paper.taken[n]
        displayed = shown(state.levels, taken.level, paper.at)
        if displayed > 0:
            to = paper.taken[kept]
            to.side = taken.side
            to.price = taken.price
            to.lots = min(taken.lots, displayed)
            to.level.next = taken.level.next
            to.level.end = taken.level.end
            to.level.size = taken.level.size
            kept += 1
    paper.taken_count = kept


@inlined
def _requeue(state: State, order: Order, now: int) -> None:
    """Update an order's queue position by the size now displayed at its price."""
    displayed = shown(state.levels, order.level, state.paper.at)
    queue = order.queue
    if order.is_queued == 0:
        _put(order, _join(displayed))
    elif displayed != queue.level:
        if now - order.traded_ns > UNSEEN_NS:
            queue.unseen = 0
        _put(order, _after_level(queue, displayed, _share_ahead(queue, state.settings.share, state.settings.power)))


@inlined
def _on_book(state: State, now: int) -> None:
    """Apply a message that left the book OK."""
    paper = state.paper
    if paper.bid != 0 and paper.ask != 0:
        paper.mid2 = paper.bid + paper.ask
    if paper.taken_count > 0:
        _forget_taken(state)
    if paper.resting_count == 0:
        return
    count = _rank(state, 0, 0)
    for n in range(count):
        order = state.orders[paper.ranked[n]]
        _requeue(state, order, now)
        if paper.state <= UNKNOWN:
            _take(state, order, now, 1)
        if order.remaining == 0:
            _drop(state, order)


@jit
def _print(state: State, taker: int, price: int, size: int, now: int) -> None:
    """Apply one public trade."""
    paper = state.paper
    left, passed, passed_at = size, 0, 0
    count = _rank(state, taker, price)
    for n in range(count):
        order = state.orders[paper.ranked[n]]
        if order.is_queued == 0:
            continue
        if order.price != passed_at:
            passed, passed_at = 0, order.price
        left = _behind_rival(order, left, now)
        ahead = order.queue.ahead
        if order.price != price and state.settings.queues_through == 0:
            ahead = 0
        match = _match(max(0, ahead - passed), order.remaining, left)
        passed += match.passed
        left -= match.passed + match.filled
        order.queue.ahead = max(0, ahead - passed)
        if order.price == price:
            order.queue.unseen += size
            order.traded_ns = now
        if match.filled > 0:
            _fill(state, order, order.price, match.filled, True, now)
            if order.remaining == 0:
                _drop(state, order)


# --- delayed effects


@jit
def _settle(state: State, now: int) -> None:
    """Pay or receive funding at each settlement passed."""
    paper = state.paper
    while paper.settlements[paper.settlement] <= now:
        paper.settlement += 1
        cost = _funding(paper.position, paper.mid2, (state.settings.funding, state.settings.funding_per))
        if cost != 0:
            _tell(state, EVENT_FUNDING, 0, 0, now).fee = -cost


@jit
def _meets_own(state: State, order: Order) -> bool:
    for n in range(state.paper.resting_count):
        other = state.orders[state.paper.resting[n]]
        beyond = (order.price - other.price) * order.side
        if other.side != order.side and (order.price == 0 or beyond >= 0):
            return True
    return False


@jit
def _expect_rival(state: State, order: Order, at_ns: int) -> None:
    """Draw when somebody outbids an order that improves the best."""
    paper, side = state.paper, order.side
    order.rival = 0
    order.outbid_ns = NEVER_NS
    best = paper.bid if side > 0 else paper.ask
    if paper.is_believed == 0 or paper.outbid_table_size == 0 or not _stands_inside(side, order.price, best):
        return
    in_base, in_changes = walk_from(state.levels, side, best)
    _, order.rival, _, _ = walk(state.levels, side, in_base, in_changes, paper.at)
    table: Any = paper.outbid_table[: paper.outbid_table_size]
    order.outbid_ns = at_ns + _drawn_ns(table, state.settings.outbid_seed, order.placed)


@inlined
def _rest(state: State, order: Order, at_ns: int) -> None:
    """An order rests on the book until it expires."""
    paper = state.paper
    seek(state.levels, order.side, order.price, order.level)
    if paper.is_believed != 0:
        _put(order, _join(shown(state.levels, order.level, paper.at)))
    _expect_rival(state, order, at_ns)
    paper.resting[paper.resting_count] = order.slot
    paper.resting_count += 1
    paper.sequence += 1
    if paper.expiries_count >= paper.expiries_room:
        state.error = E_EXPIRIES
        return
    at = paper.expiries_head + paper.expiries_count
    due = paper.expiries[at if at < paper.expiries_room else at - paper.expiries_room]
    due.at_ns = at_ns + EXPIRY_NS
    due.sequence = paper.sequence
    due.which = order.placed
    paper.expiries_count += 1


@inlined
def _arrive(state: State, order: Order, at_ns: int) -> None:
    """An order reaches the book: take what it crosses, rest or expire with the remainder."""
    venue = state.paper.state
    if venue > UNKNOWN or _meets_own(state, order):
        _tell(state, END_REJECTED, order.slot, venue if venue > UNKNOWN else 0, at_ns)
        order.at_venue = 0
        return
    _tell(state, EVENT_REGISTERED, order.slot, 0, at_ns)
    _take(state, order, at_ns, 0)
    if order.remaining == 0:
        order.at_venue = 0
    elif order.is_ioc != 0 or order.price == 0:
        _tell(state, END_EXPIRED, order.slot, 0, at_ns)
        order.at_venue = 0
    else:
        _rest(state, order, at_ns)


@jit
def _end_order(state: State, placed: int, what: int, at_ns: int) -> None:
    """A cancel or an expiry reaches the book."""
    slot = _slot_of(state, placed)
    if slot >= 0:
        _tell(state, what, slot, 0, at_ns)
        _drop(state, state.orders[slot])
    elif what == END_CANCELLED:
        _tell(state, EVENT_TICK, 0, 0, at_ns)  # the cancel failed: an event for the core that changes nothing


@inlined
def _first_due(state: State) -> int:
    """Index of the order or cancel in flight that is due first; -1: none."""
    due, first = state.paper.due, -1
    for n in range(state.paper.due_count):
        if (
            first < 0
            or due[n].at_ns < due[first].at_ns
            or (due[n].at_ns == due[first].at_ns and due[n].sequence < due[first].sequence)
        ):
            first = n
    return first


@inlined
def _pop_due(state: State, n: int) -> tuple[int, int]:
    """Remove one order or cancel in flight; return its kind and its order."""
    paper = state.paper
    due, last = paper.due[n], paper.due[paper.due_count - 1]
    what, which = due.what, due.which
    paper.due_count -= 1
    due.at_ns = last.at_ns
    due.sequence = last.sequence
    due.what = last.what
    due.which = last.which
    return what, which


@jit
def _pop_expiry(paper: Paper) -> int:
    """Remove the first expiry; return the venue's number of its order."""
    head = paper.expiries_head
    paper.expiries_head = head + 1 if head + 1 < paper.expiries_room else 0
    paper.expiries_count -= 1
    return paper.expiries[head].which


@jit
def advance(state: State, now: int) -> None:
    """Apply everything that is due by now, against the last known book."""
    paper = state.paper
    if paper.settlement < 0:
        paper.settlement = 0
        while paper.settlements[paper.settlement] <= now:
            paper.settlement += 1
    while state.error == 0:
        first, is_expiry = _first_due(state), False
        at_ns, sequence = NEVER_NS, NEVER_NS
        if first >= 0:
            at_ns, sequence = paper.due[first].at_ns, paper.due[first].sequence
        if paper.expiries_count > 0:
            expiry = paper.expiries[paper.expiries_head]
            is_expiry = expiry.at_ns < at_ns or (expiry.at_ns == at_ns and expiry.sequence < sequence)
            at_ns = min(at_ns, expiry.at_ns)
        if at_ns > now:
            break
        if is_expiry:
            _settle(state, at_ns)
            _end_order(state, _pop_expiry(paper), END_EXPIRED, at_ns)
            continue
        what, which = _pop_due(state, first)
        _settle(state, at_ns)
        if what == DUE_ORDER:
            _arrive(state, state.orders[which], at_ns)
        else:
            _end_order(state, which, END_CANCELLED, at_ns)
    _settle(state, now)


# --- time


@inlined
def next_deadline(state: State) -> int:
    """When the run must be woken if no message comes before."""
    paper, best = state.paper, core_deadline(state)
    for n in range(paper.due_count):
        best = min(best, paper.due[n].at_ns)
    if paper.expiries_count > 0:
        best = min(best, paper.expiries[paper.expiries_head].at_ns)
    if paper.settlement >= 0:
        best = min(best, paper.settlements[paper.settlement])
    return best


@entry
def begin_chunk(states: Sequence[State]) -> None:
    """Start a chunk: reset the cursors."""
    state = states[0]
    paper = state.paper
    paper.at = -1
    paper.trade = 0
    for n in range(paper.resting_count):
        order = state.orders[paper.resting[n]]
        seek(state.levels, order.side, order.price, order.level)
    for n in range(paper.taken_count):
        taken = paper.taken[n]
        seek(state.levels, taken.side, taken.price, taken.level)


@inlined
def _board_message(state: State, i: int, status: int, bid: int, ask: int, since_ns: int) -> None:
    """Apply one message of a board channel."""
    now, paper, board = state.clock_ns, state.paper, state.board
    paper.at = i
    if status != _BOOK_UNKNOWN:  # the event of a lost connection carries no best
        paper.bid = bid
        paper.ask = ask
    advance(state, now)
    paper.is_believed = 1 if status == _OK else 0
    if status == _OK:
        _on_book(state, now)
    _step(state)
    board.ts_ns = now
    board.status = status
    board.bid = bid
    board.ask = ask
    board.best_since_ns = since_ns
    _tell(state, EVENT_BOARD, 0, 0, now)


@jit
def _state_message(state: State, venue: int) -> None:
    """Apply one message about the board's state."""
    now = state.clock_ns
    advance(state, now)
    state.paper.state = venue
    _tell(state, EVENT_VENUE, 0, venue, now)


@jit
def _forget_expiry(state: State, deadline: int) -> bool:
    """Forget an expiry that is due if its order has ended and nobody else has anything to do then."""
    paper = state.paper
    if paper.expiries_count == 0 or paper.expiries[paper.expiries_head].at_ns != deadline or not is_calm(state):
        return False
    if _slot_of(state, paper.expiries[paper.expiries_head].which) >= 0:
        return False
    _pop_expiry(paper)
    return True


@jit
def _pass_deadlines(state: State, until_ns: int) -> bool:
    """Wake at each deadline up to and including this stamp. Returns False if the log must be emptied first."""
    while True:
        deadline = next_deadline(state)
        if deadline > until_ns or state.error != 0:
            state.wake_ns = deadline
            return True
        if state.record.count > _FULL:
            return False
        if _forget_expiry(state, deadline):
            continue
        state.clock_ns = max(state.clock_ns, deadline)
        advance(state, state.clock_ns)
        _tell(state, EVENT_TICK, 0, 0, state.clock_ns)
        _step(state)
        send_waiting(state)


@inlined
def _sample(state: State, now: int) -> bool:
    """Note the result for each interval that ends by now. Returns False if the samples must be emptied first."""
    samples = state.samples
    while samples.next_ns <= now and samples.next_ns < samples.end_ns:
        if samples.count == SAMPLES_ROOM:
            return False
        samples.totals[samples.count] = equity(state.inventory)
        samples.count += 1
        samples.next_ns += samples.every_ns
    return True


@inlined
def _levels_stand_until(state: State) -> int:
    """The first message that changes a level at which we have an order or took something; 0: it may be any."""
    paper, until = state.paper, NEVER_NS
    for n in range(paper.resting_count):
        order = state.orders[paper.resting[n]]
        best = paper.ask if order.side > 0 else paper.bid
        if order.is_queued == 0 or order.level.size != order.queue.level or (order.price - best) * order.side > 0:
            return 0
        until = min(until, next_change(state.levels, order.level))
    for n in range(paper.taken_count):
        until = min(until, next_change(state.levels, paper.taken[n].level))
    return until


@inlined
def _pass_calm(
    state: State,
    i: int,
    recv_column: Ints,
    kind_column: Ints,
    status_column: Ints,
    bid_column: Ints,
    ask_column: Ints,
    since_column: Ints,
    trade_at: Ints,
) -> int:
    """Pass the messages from ``i`` on that change nothing for a calm core. Returns the first that may change something.

    They come in order, before the next deadline, and show the best as it stands, or nothing that concerns us.
    """
    board, paper, first, last, boards, now = state.board, state.paper, i, -1, 0, state.clock_ns
    bid, ask, since_ns, is_resting = board.bid, board.ask, board.best_since_ns, paper.resting_count > 0
    before_ns = min(state.wake_ns, state.samples.next_ns, state.settings.end_ns + 1)
    until = min(_levels_stand_until(state), len(recv_column))
    venue, heard_ns = state.venue, state.now_ns
    while i < until:
        recv, kind = int(recv_column[i]), kind_column[i]
        if recv < now or recv >= before_ns:
            break
        if kind == KIND_BOARD:
            if bid_column[i] != bid or ask_column[i] != ask or since_column[i] != since_ns or status_column[i] != _OK:
                break
            boards += 1
            last = i
            heard_ns = recv
        elif kind == KIND_STATE:
            if status_column[i] != venue:
                break
            heard_ns = recv
        elif kind == KIND_TRADES and is_resting:
            break
        now = recv
        i += 1
    state.clock_ns = now
    state.now_ns = heard_ns
    state.messages += i - first
    if boards > 0:
        paper.at = last
        board.ts_ns = state.seen.board_ns = int(recv_column[last])
        state.tally.boards += boards
    while paper.trade < len(trade_at) and trade_at[paper.trade] < i:
        paper.trade += 1
    return i


@entry
def run(  # noqa: C901 - one loop over columns, each passed as it is
    states: Sequence[State],
    i: int,
    recv_column: Ints,
    kind_column: Ints,
    status_column: Ints,
    bid_column: Ints,
    ask_column: Ints,
    since_column: Ints,
    trade_at: Ints,
    trade_taker: Ints,
    trade_price: Ints,
    trade_size: Ints,
) -> int:
    """Trade the chunk's messages from ``i`` on.

    Returns where it stopped: the chunk's end, a message before which log and samples must be emptied, or STOP_OVER.
    """
    state = states[0]
    paper = state.paper
    while i < len(recv_column):
        recv, kind = int(recv_column[i]), kind_column[i]
        if not _sample(state, max(state.clock_ns, recv)):
            return i
        if state.has_started != 0:
            if recv > state.settings.end_ns:
                return STOP_OVER
            if state.record.count > _FULL or not _pass_deadlines(state, recv):
                return i
            if is_calm(state):
                calm_until = _pass_calm(
                    state,
                    i,
                    recv_column,
                    kind_column,
                    status_column,
                    bid_column,
                    ask_column,
                    since_column,
                    trade_at,
                )
                if calm_until > i:
                    i = calm_until
                    continue
            if recv < state.clock_ns:
                state.backwards += 1
        state.has_started = 1
        state.clock_ns = max(state.clock_ns, recv)
        if kind == KIND_BOARD:
            since_ns = int(since_column[i])
            _board_message(state, i, int(status_column[i]), int(bid_column[i]), int(ask_column[i]), since_ns)
        elif kind == KIND_STATE:
            _state_message(state, int(status_column[i]))
        elif kind == KIND_TRADES:
            advance(state, state.clock_ns)
            at = paper.trade
            while at < len(trade_at) and trade_at[at] <= i:
                if paper.resting_count > 0:
                    _print(state, int(trade_taker[at]), int(trade_price[at]), int(trade_size[at]), state.clock_ns)
                at += 1
            paper.trade = at
        _step(state)
        if state.outbox_count > 0:
            send_waiting(state)
        state.messages += 1
        i += 1
        if state.error != 0 or is_done(state):
            return STOP_OVER
    return i


@entry
def stop(states: Sequence[State]) -> None:
    """Stop in good order: cancel, and let what is in flight take effect for some seconds."""
    state = states[0]
    _tell(state, EVENT_STOP, 0, 0, state.clock_ns)
    _step(state)
    send_waiting(state)
    end_ns = state.clock_ns + STOP_NS
    while state.error == 0 and not is_done(state):
        deadline = next_deadline(state)
        if deadline > end_ns:
            return
        if not _pass_deadlines(state, deadline):
            state.error = E_LOG

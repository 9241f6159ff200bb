"""The core's step, compiled: `engine.core`, `orders`, `exits` and `dispatch` for one paper account.

All decisions are made by the engine's own functions, compiled: `decide`, `next_deadline`, `first_gate`, `next_step`,
`after_close` and those in `kernel_ledger`. This module only repeats the code around them, in the same order;
``tests/research/replay/test_twice.py`` lists what is written twice. In paper trading no order is ever in doubt, so the
engine's code for that has no counterpart here.
"""

from __future__ import annotations

from stall_then_strike.engine import gates, risk, strategy_stall
from stall_then_strike.engine.acting import closing as closings
from stall_then_strike.engine.acting.closing import DONE_DUST, DONE_FLAT, SEND, WAIT_MARKET, CloseTerms
from stall_then_strike.engine.acting.exits import RETRY_NS
from stall_then_strike.engine.strategy_stall import CANCEL, CLOSE, HOLD, STRIKE, Situation, Verdict
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.research.replay.jit import inlined, inlined_with, jit
from stall_then_strike.research.replay.kernel_ledger import (
    apply_cash,
    apply_fill,
    decision,
    equity,
    hold,
    mark,
    may_cancel,
    may_send,
    new_row,
    roll_day,
    spend_calls,
    spend_order,
    strike_at,
    too_many_rejects,
)
from stall_then_strike.research.replay.kernel_state import (
    ACT_CANCEL,
    ACT_CLOSE,
    ACT_STRIKE,
    DID_CANCEL,
    DID_CLOSE,
    DID_HALT,
    DID_HOLD,
    DID_RESUME,
    DID_STRIKE,
    E_CALENDAR,
    E_OUTBOX,
    E_SLOTS,
    END_CANCELLED,
    END_EXPIRED,
    END_PLACED,
    END_REJECTED,
    ENDED,
    EVENT_BOARD,
    EVENT_FILL,
    EVENT_FUNDING,
    EVENT_REGISTERED,
    EVENT_STOP,
    EVENT_VENUE,
    LOG_NEW,
    LOG_ORDER,
    LOG_TRADE,
    OUTBOX_ROOM,
    PARTIAL,
    PENDING_CANCEL,
    PENDING_NEW,
    RUNNING,
    SLOTS,
    TAG_CLOSE,
    TAG_DUST,
    TAG_STALL,
    WORKING,
    DecisionRow,
    Event,
    Order,
    State,
)
from stall_then_strike.types.dto import NS_PER_S, BookStatus, Reason

decide = inlined_with(strategy_stall.decide, strike_or_hold=inlined(strategy_stall.strike_or_hold))
next_deadline = inlined(strategy_stall.next_deadline)
_first_gate, _limit_reached = inlined(gates.first_gate), inlined(risk.limit_reached)
_next_step, _close_terms = jit(closings.next_step), jit(closings.close_terms)
_close_price, _after_close = jit(closings.close_price), jit(closings.after_close)

_OK = int(BookStatus.OK)
_CLOSING = int(Reason.CLOSING)
_STRIKE, _REVERSE, _DUST, _DAY_ROLL = int(Reason.STRIKE), int(Reason.REVERSE), int(Reason.DUST), int(Reason.DAY_ROLL)
_KILL_PNL, _KILL_DRAWDOWN, _REJECTS = int(Reason.KILL_PNL), int(Reason.KILL_DRAWDOWN), int(Reason.REJECTS)

# --- orders


@jit
def _track(state: State, side: int, price: int, size: int, tag: int, reason: int) -> int:
    """Add a new order and queue it for sending; return its number."""
    state.sent += 1
    slot = 0
    while slot < SLOTS and (state.orders[slot].in_core != 0 or state.orders[slot].at_venue != 0):
        slot += 1
    if slot == SLOTS or state.live_count == SLOTS or state.outbox_count >= OUTBOX_ROOM:
        state.error = E_SLOTS
        return state.sent
    order = state.orders[slot]
    order.slot = slot
    order.in_core = 1
    order.number = state.sent
    order.placed = 0
    order.side = side
    order.price = price
    order.size = size
    order.tag = tag
    order.is_ioc = 0 if tag == TAG_STALL else 1
    order.reason = reason
    order.state = PENDING_NEW
    order.executed = 0
    order.cancel_reason = 0
    order.cancel_sent_ns = -1
    order.is_named = 0
    order.remaining = 0
    order.is_queued = 0
    order.rival = 0
    order.traded_ns = 0
    state.live[state.live_count] = slot
    state.live_count += 1
    request = state.outbox[state.outbox_count]
    request.is_cancel = 0
    request.which = slot
    state.outbox_count += 1
    row = new_row(state, LOG_NEW, state.now_ns).new
    row.number = state.sent
    row.side = side
    row.price = price
    row.size = size
    row.tag = tag
    row.reason = reason
    return state.sent


@jit
def _end(state: State, order: Order) -> None:
    """Remove an ended order from the live ones."""
    order.state = ENDED
    order.in_core = 0
    kept = 0
    for n in range(state.live_count):
        if state.live[n] != order.slot:
            state.live[kept] = state.live[n]
            kept += 1
    state.live_count = kept


@jit
def _order_row(state: State, order: Order, ts_ns: int, what: int, detail: int) -> None:
    row = new_row(state, LOG_ORDER, ts_ns).order
    row.number = order.number
    row.what = what
    row.detail = detail
    row.placed = order.placed


# --- exits


@jit
def _begin_closing(state: State, reason: int, flatten: bool) -> None:
    closing = state.closing
    closing.is_on = 1
    closing.reason = reason
    closing.flatten = flatten
    closing.retry_at_ns = 0
    closing.no_market_ns = -1
    closing.pause_ns = state.settings.close_retry_ns


@jit
def _close_ended(state: State, order: Order) -> None:
    """An order has ended; after a closing order, the next one may have to wait."""
    closing = state.closing
    if order.tag != TAG_STALL and closing.is_on != 0:
        remaining = max(0, order.size - order.executed)
        closing.retry_at_ns, closing.pause_ns = _after_close(
            state.now_ns, order.executed, remaining, closing.pause_ns, state.settings.close_retry_ns
        )


@jit
def _cancel_due_ns(order: Order) -> int:
    """When an order's wanted cancel may be sent; NEVER_NS if there is none to send."""
    if order.tag != TAG_STALL or order.cancel_reason == 0 or order.is_named == 0 or order.state == PENDING_CANCEL:
        return NEVER_NS
    return 0 if order.cancel_sent_ns < 0 else order.cancel_sent_ns + RETRY_NS


@jit
def _send_cancels(state: State, row: DecisionRow) -> None:
    """Send the cancels that are due, and enter them in the decision's row."""
    now, count, first = state.now_ns, 0, 0
    for n in range(state.live_count):
        if now >= _cancel_due_ns(state.orders[state.live[n]]):
            count += 1
    if count > 2 or state.outbox_count + count > OUTBOX_ROOM:
        state.error = E_OUTBOX
        return
    spend_calls(state, now, count)
    for n in range(state.live_count):
        order = state.orders[state.live[n]]
        if now >= _cancel_due_ns(order):
            if first == 0:
                first = order.number
                row.action = ACT_CANCEL
                row.first = first
                row.action_reason = order.cancel_reason
            else:
                row.second = order.number
            order.cancel_sent_ns = now
            order.state = PENDING_CANCEL
            request = state.outbox[state.outbox_count]
            request.is_cancel = 1
            request.which = order.placed
            state.outbox_count += 1


@jit
def _may_send_cancels(state: State) -> bool:
    """Whether cancels are due and the budget allows all of them."""
    count = 0
    for n in range(state.live_count):
        if state.now_ns >= _cancel_due_ns(state.orders[state.live[n]]):
            count += 1
    return count > 0 and may_cancel(state.budget, state.now_ns, count)


@jit
def _cancel_quotes(state: State, reason: int, did: int) -> None:
    """Mark every live quote for cancelling, and log the decision."""
    for n in range(state.live_count):
        order = state.orders[state.live[n]]
        if order.tag == TAG_STALL and order.cancel_reason == 0:
            order.cancel_reason = reason
    row = decision(state, did, reason)
    if _may_send_cancels(state):
        _send_cancels(state, row)


@jit
def _retry_cancels(state: State) -> None:
    """Send cancels that could not be sent when they were decided."""
    for n in range(state.live_count):
        order = state.orders[state.live[n]]
        if order.tag == TAG_STALL and order.cancel_reason != 0 and order.state != PENDING_CANCEL:
            if _may_send_cancels(state):
                _send_cancels(state, decision(state, DID_CANCEL, order.cancel_reason))
            return


@jit
def _halt(state: State, reason: int) -> None:
    state.kill_switch.halted = reason
    decision(state, DID_HALT, reason)
    _begin_closing(state, reason, True)


@jit
def _go_on(state: State) -> None:
    """Take the next step of closing the position."""
    now, closing, board = state.now_ns, state.closing, state.board
    quotes = others = False
    for n in range(state.live_count):
        if state.orders[state.live[n]].tag == TAG_STALL:
            quotes = True
        else:
            others = True
    is_running = state.venue == RUNNING
    has_market = is_running and board.status == _OK and now - board.ts_ns < state.params.stale_ns
    position, least = state.inventory.position, state.params.min_size
    step = _next_step(now, position, least, closing.flatten != 0, quotes, others, True, closing.retry_at_ns, has_market)
    if step == WAIT_MARKET and closing.no_market_ns < 0:
        closing.no_market_ns = now
    if step == SEND or not is_running:
        closing.no_market_ns = -1  # the time without a book counts only while the venue runs
    if step in (DONE_FLAT, DONE_DUST):
        closing.is_on = 0
        if step == DONE_DUST:
            decision(state, DID_HOLD, _DUST)
    elif step == SEND:
        terms: CloseTerms = _close_terms(position, least)
        if may_send(state.budget, now, terms.size):
            _send_close(state, terms.sign, terms.size, TAG_DUST if terms.is_dust else TAG_CLOSE)
        else:
            closing.retry_at_ns = now + RETRY_NS


@jit
def _send_close(state: State, sign: int, size: int, tag: int) -> None:
    price, reason = 0, state.closing.reason
    if state.settings.close_is_ioc != 0:
        price = _close_price(sign, state.board.bid, state.board.ask, state.settings.close_band)
    number = _track(state, sign, price, size, tag, reason)
    spend_order(state, state.now_ns, size)
    state.tally.closes += 1
    row = decision(state, DID_CLOSE, reason)
    row.action = ACT_CLOSE
    row.first = number


# --- the step


@jit
def _roll(state: State) -> None:
    """Pass a boundary of the calendar."""
    calendar, switch = state.calendar, state.kill_switch
    at = calendar.at
    while at + 1 < calendar.count and calendar.segments[at + 1].from_ns <= state.now_ns:
        at += 1
    if at + 1 >= calendar.count:
        state.error = E_CALENDAR
        return
    calendar.at = at
    segment = calendar.segments[at]
    if calendar.day >= 0 and segment.day != calendar.day:
        roll_day(state.inventory)
        switch.pnl_base = 0
        if switch.halted == _KILL_PNL or switch.halted == _KILL_DRAWDOWN:
            switch.halted = 0
            switch.rejects_count = 0
            decision(state, DID_RESUME, _DAY_ROLL)
    calendar.day = segment.day
    calendar.is_quiet = segment.is_quiet
    calendar.change_ns = calendar.segments[at + 1].from_ns


@inlined
def _see(state: State) -> Situation:
    """Everything that a decision depends on."""
    quotes = cancelling = open_buy = open_sell = 0
    for n in range(state.live_count):
        order = state.orders[state.live[n]]
        if order.tag == TAG_STALL:
            quotes += 1
            if order.cancel_reason != 0:
                cancelling += 1
        remaining = max(0, order.size - order.executed)
        if order.side > 0:
            open_buy += remaining
        else:
            open_sell += remaining
    halted, stopping, closing = state.kill_switch.halted != 0, state.is_stopping != 0, state.closing.is_on != 0
    board, struck, held, seen = state.board, state.struck, state.inventory, state.seen
    is_running, is_quiet = state.venue == RUNNING, state.calendar.is_quiet != 0
    seen.is_set = 1
    seen.board_ns = board.ts_ns
    seen.best_since_ns = board.best_since_ns
    seen.quotes = quotes
    seen.strike_at_ns = strike_at(state.budget, state.now_ns, state.params.size)
    return Situation(
        state.now_ns,
        _first_gate(halted, stopping, closing, 0, True, False, is_running, True, is_quiet),
        0 if halted or stopping or closing else 1,
        board.status,
        board.ts_ns,
        board.best_since_ns,
        board.bid,
        board.ask,
        seen.strike_at_ns,
        held.position,
        held.basis,
        open_buy,
        open_sell,
        quotes,
        cancelling,
        struck.ts_ns,
        struck.bid,
        struck.ask,
    )


@inlined
def _decide(state: State) -> None:
    verdict: Verdict = decide(state.params, _see(state))
    if verdict.move == HOLD:
        hold(state, DID_HOLD, verdict.reason)
    elif verdict.move == STRIKE:
        _strike(state, verdict.bid, verdict.ask)
    elif verdict.move == CANCEL:
        _cancel_quotes(state, verdict.reason, DID_CANCEL)
    elif verdict.move == CLOSE:
        _begin_closing(state, _REVERSE, False)
        _cancel_quotes(state, _REVERSE, DID_CLOSE)
    if state.live_count > 0:
        _retry_cancels(state)


@jit
def _strike(state: State, bid: int, ask: int) -> None:
    now, size, struck = state.now_ns, state.params.size, state.struck
    struck.ts_ns = now
    struck.bid = state.board.bid
    struck.ask = state.board.ask
    first = second = quotes = 0
    if bid != 0:
        first = _track(state, 1, bid, size, TAG_STALL, _STRIKE)
        quotes += 1
    else:
        state.sent += 1  # each side uses up an order number, quoted or not
    if ask != 0:
        second = _track(state, -1, ask, size, TAG_STALL, _STRIKE)
        quotes += 1
    else:
        state.sent += 1
    # The next deadline is computed before the next decision, and depends on the TTL of these quotes.
    state.seen.quotes = quotes
    for _ in range(quotes):
        spend_order(state, now, size)
    state.budget.last_strike_ns = now
    state.tally.strikes += 1
    row = decision(state, DID_STRIKE, _STRIKE)
    row.bid = bid
    row.ask = ask
    row.action = ACT_STRIKE
    row.first = first
    row.second = second


@jit
def _check_limits(state: State) -> None:
    """Trip the kill switch where the day's result or drawdown has reached its limit."""
    held, switch = state.inventory, state.kill_switch
    state.checked = held.changes
    if switch.halted == 0:
        pnl = equity(held) - held.equity_at_roll
        reason = _limit_reached(
            pnl, switch.pnl_base, state.settings.daily_limit, pnl - held.peak, state.settings.drawdown_limit
        )
        if reason != 0:
            _halt(state, reason)


@inlined
def _on_order(state: State, order: Order, what: int, detail: int, ts_ns: int) -> None:
    """An order was placed or ended without a fill."""
    tally = state.tally
    if what == END_PLACED:
        order.is_named = 1
        tally.placed += 1
        if order.tag == TAG_STALL:
            tally.quotes += 1
        _order_row(state, order, ts_ns, what, order.reason)
        return
    _end(state, order)
    if what == END_REJECTED:
        tally.rejected += 1
        _order_row(state, order, ts_ns, what, detail)
        if too_many_rejects(state):
            _halt(state, _REJECTS)
    elif what == END_CANCELLED:
        tally.cancelled += 1
        _order_row(state, order, ts_ns, what, order.cancel_reason)
    else:
        tally.expired += 1
        _order_row(state, order, ts_ns, what, order.is_ioc)
    _close_ended(state, order)


@jit
def _on_fill(state: State, order: Order, price: int, size: int, fee: int, ts_ns: int) -> None:
    order.executed += size
    is_whole = order.executed >= order.size
    if is_whole:
        _end(state, order)
    elif order.state != PENDING_CANCEL:
        order.state = PARTIAL
    realised = apply_fill(state.inventory, size * order.side, price, fee)
    held, tally = state.inventory, state.tally
    tally.fills += 1
    tally.volume += size
    if order.tag == TAG_STALL:
        if order.executed == size:
            tally.touched += 1
        if is_whole:
            tally.filled += 1
    row = new_row(state, LOG_TRADE, ts_ns).trade
    row.number = order.number
    row.side = order.side
    row.price = price
    row.size = size
    row.fee = fee
    row.realised = realised
    row.realised_today = held.realised - held.realised_at_roll
    row.position = held.position
    row.placed = order.placed
    if is_whole:
        _close_ended(state, order)


@inlined
def _on_board(state: State) -> None:
    """A board message came; `State.board` holds it already."""
    state.tally.boards += 1
    if state.board.status == _OK:
        mark(state.inventory, state.board.bid, state.board.ask)


@inlined
def _take_in(state: State, event: Event) -> None:
    """Apply one event to the state."""
    what, order = event.what, state.orders[event.slot]
    if what == EVENT_BOARD:
        _on_board(state)
    elif what == EVENT_FILL:
        _on_fill(state, order, event.price, event.size, event.fee, event.ts_ns)
    elif what <= END_EXPIRED:
        _on_order(state, order, what, event.detail, event.ts_ns)
    elif what == EVENT_REGISTERED:
        if order.state == PENDING_NEW:
            order.state = WORKING
    elif what == EVENT_FUNDING:
        apply_cash(state.inventory, event.fee)
    elif what == EVENT_VENUE:
        state.venue = event.detail
    elif what == EVENT_STOP:
        state.is_stopping = 1


@inlined
def on_event(state: State, event: Event) -> None:
    """One step, like `Core.on_event`."""
    state.now_ns = max(state.now_ns, state.clock_ns)
    if state.run_ns == 0:
        state.run_ns = state.now_ns
    if state.now_ns >= state.calendar.change_ns:
        _roll(state)
    _take_in(state, event)
    if state.inventory.changes != state.checked:
        _check_limits(state)
    _decide(state)
    if state.kill_switch.halted != 0 and state.closing.is_on == 0 and state.inventory.position != 0:
        _begin_closing(state, state.kill_switch.halted, True)
    if state.closing.is_on != 0:
        _go_on(state)


@jit
def is_calm(state: State) -> bool:
    """Whether an event that changes nothing has no effect before the next deadline: the last decision was to do
    nothing, on a book that lives, with a budget that allows a strike, and nothing is to be closed or cancelled."""
    board, hold_reason = state.board, state.record.hold
    if hold_reason == 0 or hold_reason == _CLOSING:  # a closing may have ended after that decision
        return False
    if state.closing.is_on != 0 or state.is_stopping != 0 or state.budget.free_from_ns < 0:
        return False
    if state.kill_switch.halted != 0 and state.settings.exits_on_halt != 0:  # the run may be over
        return False
    if board.status != _OK or state.now_ns - board.ts_ns >= state.params.stale_ns:
        return False
    for n in range(state.live_count):
        order = state.orders[state.live[n]]
        if order.cancel_reason != 0 and order.state != PENDING_CANCEL:
            return False
    return state.inventory.changes == state.checked


@jit
def is_done(state: State) -> bool:
    """Whether the run is stopping, or ended by a halt, and nothing is live any more."""
    halts = state.kill_switch.halted != 0 and state.settings.exits_on_halt != 0
    return (state.is_stopping != 0 or halts) and state.closing.is_on == 0 and state.live_count == 0


@inlined
def core_deadline(state: State) -> int:
    """The core's next deadline, always after its last event."""
    now, closing, seen = state.now_ns, state.closing, state.seen
    best = NEVER_NS
    if seen.is_set != 0:
        best = next_deadline(
            state.params, seen.board_ns, seen.best_since_ns, seen.quotes, state.struck.ts_ns, seen.strike_at_ns, now
        )
    if now < state.calendar.change_ns < best:
        best = state.calendar.change_ns
    if closing.is_on != 0:
        if now < closing.retry_at_ns < best:
            best = closing.retry_at_ns
        if closing.no_market_ns >= 0 and now < closing.no_market_ns + state.settings.blind_ns < best:
            best = closing.no_market_ns + state.settings.blind_ns
    for n in range(state.live_count):
        due_ns = _cancel_due_ns(state.orders[state.live[n]])
        if due_ns != NEVER_NS:
            best = min(best, due_ns if due_ns > now else now + RETRY_NS)
    return best if best != NEVER_NS else now + NS_PER_S

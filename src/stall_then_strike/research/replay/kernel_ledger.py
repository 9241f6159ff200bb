"""Result, limits on calls and log of the compiled replay: the state of `engine.inventory`, `budget` and `recording`.

The rules are the engine's own functions, compiled. Rewritten here is only how a limit keeps its stamps (a ring instead
of a deque) and what a strike reads of them. ``compiled.refusals`` ensures before a run that products fit 64 bits.
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.engine import inventory, risk
from stall_then_strike.engine.inventory import Booked
from stall_then_strike.engine.venue import budget
from stall_then_strike.research.replay.jit import inlined, jit
from stall_then_strike.research.replay.kernel_state import (
    ACT_NONE,
    E_LOG,
    E_REJECTS,
    E_WINDOW,
    LOG_DECISION,
    LOG_ROOM,
    Budget,
    DecisionRow,
    Inventory,
    LogRow,
    State,
    Window,
)
from stall_then_strike.types.dto import NS_PER_MS

book_fill, _worth, _peak_and_fall = jit(inventory.book_fill), jit(inventory.worth), jit(inventory.peak_and_fall)
_gap_ns, _exits_fit = jit(budget.strike_gap_ns), jit(budget.exits_fit)
_REJECTS_NS: Final = risk.REJECTS_NS

# --- the log


@jit
def new_row(state: State, kind: int, ts_ns: int) -> LogRow:
    """A new row. If rows are not kept, the next one overwrites it."""
    record = state.record
    row = record.rows[record.count]
    if state.settings.logging != 0:
        record.count += 1
        if record.count >= LOG_ROOM:
            state.error = E_LOG
            record.count = 0
        row.kind = kind
        row.ts_ns = ts_ns
    return row


@jit
def count_hold(state: State) -> None:
    """Add the time up to now to the present reason for doing nothing."""
    record = state.record
    if record.hold != 0:
        record.reason_ns[record.hold] += state.now_ns - record.hold_ns
    record.hold_ns = state.now_ns


@jit
def _decision_row(state: State, did: int, reason: int) -> DecisionRow:
    """A row of the decision log without prices and actions."""
    state.record.reason_rows[reason] += 1
    row, board = new_row(state, LOG_DECISION, state.now_ns).decision, state.board
    row.did = did
    row.reason = reason
    row.bid = 0
    row.ask = 0
    row.age_ms = (state.now_ns - board.best_since_ns) // NS_PER_MS if board.best_since_ns != 0 else 0
    row.spread = board.ask - board.bid if board.bid != 0 and board.ask != 0 else 0
    row.position = state.inventory.position
    row.action = ACT_NONE
    row.first = 0
    row.second = 0
    row.action_reason = 0
    return row


@jit
def decision(state: State, did: int, reason: int) -> DecisionRow:
    """Log a decision to act, which ends the present reason for doing nothing. The caller adds prices and actions."""
    count_hold(state)
    state.record.hold = 0
    return _decision_row(state, did, reason)


@inlined
def hold(state: State, did: int, reason: int) -> None:
    """Nothing is done for this reason. Logs a row if the reason is new."""
    if state.record.hold != reason:
        count_hold(state)
        state.record.hold = reason
        _decision_row(state, did, reason)


# --- inventory


@jit
def equity(held: Inventory) -> int:
    """Realised plus unrealised result."""
    return _worth(held.realised, held.position, held.basis, held.mid2)


@jit
def track(held: Inventory) -> None:
    """Update peak and largest drawdown of the result, the day's and the run's."""
    held.changes += 1
    total = equity(held)
    held.run_peak, held.run_max_drawdown = _peak_and_fall(held.run_peak, held.run_max_drawdown, total)
    held.peak, held.max_drawdown = _peak_and_fall(held.peak, held.max_drawdown, total - held.equity_at_roll)


@jit
def apply_fill(held: Inventory, signed: int, price: int, fee: int) -> int:
    """Book one fill; return its realised result after the fee."""
    booked: Booked = book_fill(held.position, held.basis, signed, price, fee)
    held.position = booked.position
    held.basis = booked.basis
    held.realised += booked.realised
    track(held)
    return booked.realised


@jit
def apply_cash(held: Inventory, amount: int) -> None:
    """Book a payment without a fill."""
    held.realised += amount
    track(held)


@inlined
def mark(held: Inventory, bid: int, ask: int) -> None:
    """Value the position at the mid."""
    if bid + ask != held.mid2:
        held.mid2 = bid + ask
        if held.position != 0:
            track(held)


@jit
def roll_day(held: Inventory) -> None:
    """Begin a new day."""
    held.changes += 1
    held.realised_at_roll = held.realised
    held.equity_at_roll = equity(held)
    held.peak = 0
    held.max_drawdown = 0


@jit
def too_many_rejects(state: State) -> bool:
    """Count a rejected order. Returns whether there were too many within a minute and trading is not halted yet."""
    switch, now = state.kill_switch, state.now_ns
    kept = 0
    for n in range(switch.rejects_count):
        if switch.rejects[n] > now - _REJECTS_NS:
            switch.rejects[kept] = switch.rejects[n]
            kept += 1
    if kept >= switch.rejects_room:
        state.error = E_REJECTS
        kept -= 1
    switch.rejects[kept] = now
    switch.rejects_count = kept + 1
    return switch.halted == 0 and kept + 1 >= state.settings.max_rejects


# --- budget


@jit
def calls(window: Window, now: int) -> int:
    """Calls within the window that ends now."""
    since = now - window.window_ns
    head, used = window.head, window.used
    while used > 0 and window.stamps[head] <= since:
        head = head + 1 if head + 1 < window.room else 0
        used -= 1
    window.head = head
    window.used = used
    return used


@jit
def _spend(state: State, window: Window, now: int, count: int) -> None:
    """Record calls."""
    used = calls(window, now)
    if used + count > window.room:
        state.error = E_WINDOW
        return
    at = window.head + used
    for _ in range(count):
        at = at if at < window.room else at - window.room  # a remainder would be a division
        window.stamps[at] = now
        at += 1
    window.used = used + count


@jit
def _room_ns(window: Window, now: int, count: int) -> int:
    """When ``count`` calls fit into a window without using its reserve."""
    over = calls(window, now) + count - (window.limit - window.reserve)
    if over <= 0:
        return now
    at = window.head + over - 1
    return int(window.stamps[at if at < window.room else at - window.room]) + window.window_ns


@jit
def _pause_ns(window: Window, now: int, count: int) -> int:
    """The pause between strikes of ``count`` calls each."""
    return _gap_ns(calls(window, now), count, window.limit - window.reserve, window.window_ns)


@inlined
def strike_at(spent: Budget, now: int, size: int) -> int:
    """When the next strike of two orders may be sent."""
    if spent.free_from_ns >= 0 and now >= spent.free_from_ns:
        return spent.free_from_ns
    is_small = size <= spent.small_lots
    at = now
    if spent.last_strike_ns >= 0:
        gap = max(_pause_ns(spent.private, now, 4), _pause_ns(spent.address, now, 4))
        gap = max(gap, _pause_ns(spent.orders, now, 2))
        if is_small:
            gap = max(gap, _pause_ns(spent.small, now, 2))
        at = spent.last_strike_ns + gap
    at = max(at, _room_ns(spent.private, now, 4))
    at = max(at, _room_ns(spent.address, now, 4))
    at = max(at, _room_ns(spent.orders, now, 2))
    if is_small:
        at = max(at, _room_ns(spent.small, now, 2))
    spent.free_from_ns = at if at <= now else -1
    return at


@jit
def _has_room(window: Window, now: int, count: int) -> bool:
    """Whether exits of ``count`` calls fit into a window."""
    return _exits_fit(calls(window, now), count, window.limit, window.elsewhere)


@jit
def may_send(spent: Budget, now: int, size: int) -> bool:
    """Whether the limits allow one closing order."""
    if size <= spent.small_lots and not _has_room(spent.small, now, 1):
        return False
    return _has_room(spent.address, now, 1) and _has_room(spent.private, now, 1) and _has_room(spent.orders, now, 1)


@jit
def may_cancel(spent: Budget, now: int, orders: int) -> bool:
    """Whether the limits allow ``orders`` single cancels."""
    return _has_room(spent.address, now, orders) and _has_room(spent.private, now, orders)


@jit
def spend_calls(state: State, now: int, count: int) -> None:
    """Record private calls, which count towards the limits of the account and of the IP address."""
    state.budget.free_from_ns = -1
    _spend(state, state.budget.private, now, count)
    _spend(state, state.budget.address, now, count)


@jit
def spend_order(state: State, now: int, size: int) -> None:
    """Record one order send."""
    spend_calls(state, now, 1)
    _spend(state, state.budget.orders, now, 1)
    if size <= state.budget.small_lots:
        _spend(state, state.budget.small, now, 1)

"""Position, result, limits and log of the compiled replay, on arrays.

These are `engine.inventory`, `engine.venue.budget` and the log rows written for arrays.

Products that could pass 64 bits are split where they are exact otherwise; what remains is bounded by
``compiled.refusals`` before a run begins.
"""

from __future__ import annotations

from stall_then_strike.engine.venue.budget import PUBLIC_CALLS
from stall_then_strike.research.replay.jit import jit
from stall_then_strike.research.replay.kernel_state import (
    A_LOG,
    A_REJECTS,
    A_STAMPS,
    ACT_NONE,
    C_LOG,
    C_REJECTS,
    C_STAMPS,
    E_LOG,
    E_REJECTS,
    E_WINDOW,
    HEADS,
    HELD_NS,
    I64,
    LOG_DECISION,
    LOG_FIELDS,
    Q_LIMIT,
    Q_LOGGING,
    Q_MAX_REJECTS,
    Q_RESERVE,
    Q_SMALL_LOTS,
    Q_WINDOW,
    REASON_ROWS,
    S_ASK,
    S_BASIS,
    S_BID,
    S_CHANGES,
    S_EQUITY_AT_ROLL,
    S_ERROR,
    S_FALL,
    S_FREE_FROM,
    S_HALTED,
    S_HOLD,
    S_HOLD_NS,
    S_LAST_PNL,
    S_LAST_STRIKE,
    S_LOG_ROWS,
    S_MAX_DRAWDOWN,
    S_MID2,
    S_NOW,
    S_PEAK,
    S_POSITION,
    S_REALISED,
    S_REALISED_AT_ROLL,
    S_REJECTS,
    S_SINCE,
    S_TOP,
    USED,
    W_ADDRESS,
    W_ORDERS,
    W_PRIVATE,
    W_SMALL,
)
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

_MINUTE_NS = 60 * NS_PER_S

# --- the log


@jit
def new_row(m: I64, kind: int, ts_ns: int) -> int:
    """A new row's place; -1 where none is kept."""
    if m[Q_LOGGING] == 0:
        return -1
    at = m[S_LOG_ROWS]
    if at >= m[C_LOG]:
        m[S_ERROR] = E_LOG
        return -1
    m[S_LOG_ROWS] = at + 1
    row = m[A_LOG] + at * LOG_FIELDS
    m[row] = kind
    m[row + 1] = ts_ns
    return int(row)


@jit
def count_hold(m: I64) -> None:
    """Count the present reason's time up to now."""
    if m[S_HOLD] != 0:
        m[HELD_NS + m[S_HOLD]] += m[S_NOW] - m[S_HOLD_NS]
    m[S_HOLD_NS] = m[S_NOW]


@jit
def decision_row(m: I64, did: int, reason: int, bid: int, ask: int) -> int:
    """A row of the decision log without actions; returns its place."""
    m[REASON_ROWS + reason] += 1
    at = new_row(m, LOG_DECISION, m[S_NOW])
    if at >= 0:
        m[at + 2] = did
        m[at + 3] = reason
        m[at + 4] = bid
        m[at + 5] = ask
        m[at + 6] = (m[S_NOW] - m[S_SINCE]) // NS_PER_MS if m[S_SINCE] != 0 else 0
        m[at + 7] = m[S_ASK] - m[S_BID] if m[S_BID] != 0 and m[S_ASK] != 0 else 0
        m[at + 8] = m[S_POSITION]
        m[at + 9] = ACT_NONE
        m[at + 10] = 0
        m[at + 11] = 0
        m[at + 12] = 0
    return at


@jit
def decision(m: I64, did: int, reason: int, bid: int, ask: int) -> int:
    """A decision to act: the next reason for doing nothing is a new one."""
    count_hold(m)
    m[S_HOLD] = 0
    return decision_row(m, did, reason, bid, ask)


@jit
def hold(m: I64, did: int, reason: int) -> None:
    """Nothing is done: a row when the reason is a new one."""
    if m[S_HOLD] != reason:
        count_hold(m)
        m[S_HOLD] = reason
        decision_row(m, did, reason, 0, 0)


# --- inventory


@jit
def equity(m: I64) -> int:
    """Realised and marked."""
    if m[S_POSITION] == 0 or m[S_MID2] == 0:
        return int(m[S_REALISED])
    return int(m[S_REALISED] + m[S_POSITION] * m[S_MID2] // 2 - m[S_BASIS])


@jit
def pnl_today(m: I64) -> int:
    """Realised and marked since the day began."""
    return int(equity(m) - m[S_EQUITY_AT_ROLL])


@jit
def track(m: I64) -> None:
    """The result may have moved: follow its peak and its deepest fall, the day's and the run's."""
    m[S_CHANGES] += 1
    worth = equity(m)
    m[S_TOP] = max(m[S_TOP], worth)
    m[S_FALL] = min(m[S_FALL], worth - m[S_TOP])
    pnl = worth - m[S_EQUITY_AT_ROLL]
    m[S_PEAK] = max(m[S_PEAK], pnl)
    m[S_MAX_DRAWDOWN] = min(m[S_MAX_DRAWDOWN], pnl - m[S_PEAK])


@jit
def apply_fill(m: I64, side: int, price: int, size: int, fee: int) -> int:
    """Book one fill; returns what it realised after its fee."""
    signed = size * side
    realised = -fee
    opening = signed
    held = abs(m[S_POSITION])
    if held != 0 and (signed > 0) != (m[S_POSITION] > 0):
        closing = min(size, held)
        # basis * closing // held, without the product: it can need more than 64 bits.
        whole = m[S_BASIS] // held
        released = whole * closing + (m[S_BASIS] - whole * held) * closing // held
        realised += (price * closing if m[S_POSITION] > 0 else -price * closing) - released
        m[S_BASIS] -= released
        step = closing if signed > 0 else -closing
        m[S_POSITION] += step
        opening = signed - step
    m[S_POSITION] += opening
    m[S_BASIS] += price * opening
    m[S_REALISED] += realised
    m[S_LAST_PNL] = realised
    track(m)
    return realised


@jit
def apply_cash(m: I64, amount: int) -> None:
    """Book a payment without a fill."""
    m[S_REALISED] += amount
    track(m)


@jit
def mark(m: I64, bid: int, ask: int) -> None:
    """Value the position at the mid."""
    if bid + ask != m[S_MID2]:
        m[S_MID2] = bid + ask
        if m[S_POSITION] != 0:
            track(m)


@jit
def roll_inventory(m: I64) -> None:
    """Begin a new day."""
    m[S_CHANGES] += 1
    m[S_REALISED_AT_ROLL] = m[S_REALISED]
    m[S_EQUITY_AT_ROLL] = equity(m)
    m[S_PEAK] = 0
    m[S_MAX_DRAWDOWN] = 0


@jit
def too_many_rejects(m: I64) -> bool:
    """Count a refused order; whether there were too many within a minute and nothing is halted yet."""
    now = m[S_NOW]
    kept = 0
    for n in range(m[S_REJECTS]):
        if m[m[A_REJECTS] + n] > now - _MINUTE_NS:
            m[m[A_REJECTS] + kept] = m[m[A_REJECTS] + n]
            kept += 1
    if kept >= m[C_REJECTS]:
        m[S_ERROR] = E_REJECTS
        kept -= 1
    m[m[A_REJECTS] + kept] = now
    m[S_REJECTS] = kept + 1
    return bool(m[S_HALTED] == 0 and kept + 1 >= m[Q_MAX_REJECTS])


# --- budget


@jit
def calls(m: I64, window: int, now: int) -> int:
    """Calls within the window that ends now."""
    size = m[C_STAMPS]
    ring = m[A_STAMPS] + window * size
    head, used = m[HEADS + window], m[USED + window]
    since = now - m[Q_WINDOW + window]
    while used > 0 and m[ring + head] <= since:
        head = head + 1 if head + 1 < size else 0
        used -= 1
    m[HEADS + window] = head
    m[USED + window] = used
    return int(used)


@jit
def spend(m: I64, window: int, now: int, count: int) -> None:
    """Record calls."""
    size = m[C_STAMPS]
    ring = m[A_STAMPS] + window * size
    used = calls(m, window, now)
    if used + count > size:
        m[S_ERROR] = E_WINDOW
        return
    for n in range(count):
        m[ring + (m[HEADS + window] + used + n) % size] = now
    m[USED + window] = used + count


@jit
def _window_at(m: I64, window: int, now: int, count: int, gap: bool) -> int:
    """When so many calls fit into a window beside its reserve, or, with ``gap``, the pause to keep before them."""
    used = calls(m, window, now)
    share = m[Q_LIMIT + window] - m[Q_RESERVE + window]
    if gap:
        above = used - share // 2
        if above <= 0:
            return 0
        return int(m[Q_WINDOW + window] * count * above // (share * max(1, share - used)))
    over = used + count - share
    if over <= 0:
        return now
    size = m[C_STAMPS]
    return int(m[m[A_STAMPS] + window * size + (m[HEADS + window] + over - 1) % size] + m[Q_WINDOW + window])


@jit
def strike_at(m: I64, now: int, size: int) -> int:
    """When the next strike of two orders may go out."""
    if m[S_FREE_FROM] >= 0 and now >= m[S_FREE_FROM]:
        return int(m[S_FREE_FROM])
    small = size <= m[Q_SMALL_LOTS]
    at = now
    if m[S_LAST_STRIKE] >= 0:
        gap = max(_window_at(m, W_PRIVATE, now, 4, True), _window_at(m, W_ADDRESS, now, 4, True))
        gap = max(gap, _window_at(m, W_ORDERS, now, 2, True))
        if small:
            gap = max(gap, _window_at(m, W_SMALL, now, 2, True))
        at = m[S_LAST_STRIKE] + gap
    at = max(at, _window_at(m, W_PRIVATE, now, 4, False), _window_at(m, W_ADDRESS, now, 4, False))
    at = max(at, _window_at(m, W_ORDERS, now, 2, False))
    if small:
        at = max(at, _window_at(m, W_SMALL, now, 2, False))
    m[S_FREE_FROM] = at if at <= now else -1
    return at


@jit
def may_send(m: I64, now: int, size: int) -> bool:
    """Whether one closing order fits."""
    if calls(m, W_ADDRESS, now) >= m[Q_LIMIT + W_ADDRESS] - PUBLIC_CALLS:
        return False
    if calls(m, W_PRIVATE, now) >= m[Q_LIMIT + W_PRIVATE] or calls(m, W_ORDERS, now) >= m[Q_LIMIT + W_ORDERS]:
        return False
    return bool(size > m[Q_SMALL_LOTS] or calls(m, W_SMALL, now) < m[Q_LIMIT + W_SMALL])


@jit
def may_cancel(m: I64, now: int, orders: int) -> bool:
    """Whether so many single cancels fit."""
    most = min(m[Q_LIMIT + W_PRIVATE], m[Q_LIMIT + W_ADDRESS] - PUBLIC_CALLS)
    return bool(calls(m, W_PRIVATE, now) + orders <= most)


@jit
def spend_calls(m: I64, now: int, count: int) -> None:
    """Record private calls: they count on the account and on the address."""
    m[S_FREE_FROM] = -1
    spend(m, W_PRIVATE, now, count)
    spend(m, W_ADDRESS, now, count)


@jit
def spend_order(m: I64, now: int, size: int) -> None:
    """Record one order send."""
    spend_calls(m, now, 1)
    spend(m, W_ORDERS, now, 1)
    if size <= m[Q_SMALL_LOTS]:
        spend(m, W_SMALL, now, 1)

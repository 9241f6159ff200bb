"""The paper venue and the clock on arrays: `sim.paper`, `app.trader.trader` and `app.trader.virtual` for one chunk.

Fills follow `sim.fill_rules` and latencies `sim.latency`, the same functions, compiled. The order in which things
happen is that of a virtual run: deadlines up to the message, then the paper venue, then the core, then what it sends.
"""

from __future__ import annotations

from typing import Any

from stall_then_strike.research.replay.core_steps import (
    begin_step,
    core_deadline,
    end_step,
    fill_step,
    is_done,
    order_step,
    registered_step,
)
from stall_then_strike.research.replay.jit import jit, jit_with
from stall_then_strike.research.replay.kernel_book import seek, shown, walk, walk_from
from stall_then_strike.research.replay.kernel_ledger import apply_cash, mark
from stall_then_strike.research.replay.kernel_state import (
    A_CANCEL_TABLE,
    A_EXPIRIES,
    A_ORDER_TABLE,
    A_SETTLEMENTS,
    C_EXPIRIES,
    C_LOG,
    D_AT,
    D_ORDER,
    D_SEQUENCE,
    D_WHAT,
    DUE,
    DUE_CANCEL,
    DUE_FIELDS,
    DUE_ORDER,
    DUE_SIZE,
    E_DUE,
    E_EXPIRIES,
    E_LOG,
    E_REFUSED,
    E_TAKEN,
    END_CANCELLED,
    END_EXPIRED,
    END_PLACED,
    END_REJECTED,
    I64,
    K_LOTS,
    K_NEXT,
    K_PRICE,
    K_SIDE,
    KIND_BOARD,
    KIND_STATE,
    KIND_TRADES,
    LOG_ROOM,
    NEVER,
    O_AHEAD,
    O_ARRIVES,
    O_IOC,
    O_LEVEL,
    O_NEXT,
    O_PAPER,
    O_PLACED,
    O_PRICE,
    O_QUEUED,
    O_REMAINING,
    O_SIDE,
    O_SIZE,
    O_TRADED_NS,
    O_UNSEEN,
    ORDER_FIELDS,
    ORDERS,
    ORDERS_END,
    OUTBOX,
    P_MIN_SIZE,
    Q_CANCEL_SEED,
    Q_CANCEL_SPIKES,
    Q_END_NS,
    Q_FUNDING,
    Q_FUNDING_PER,
    Q_MAKER,
    Q_MAKER_PER,
    Q_ORDER_SEED,
    Q_ORDER_SPIKES,
    Q_POWER,
    Q_SHARE,
    Q_TAKER,
    Q_TAKER_PER,
    RANKED,
    RESTING,
    S_ASK,
    S_BACKWARDS,
    S_BID,
    S_BOARD_NS,
    S_BOOK_ASK,
    S_BOOK_AT,
    S_BOOK_BID,
    S_CANCELS,
    S_CLOCK,
    S_DUE,
    S_ERROR,
    S_EXPIRIES,
    S_EXPIRY_HEAD,
    S_FILLS,
    S_LOG_ROWS,
    S_MESSAGES,
    S_OUTBOX,
    S_PAPER_BOOK,
    S_PAPER_MID2,
    S_PAPER_POSITION,
    S_PAPER_STATE,
    S_PLACED,
    S_PLACED_NS,
    S_RESTING,
    S_SEQUENCE,
    S_SETTLEMENT,
    S_SINCE,
    S_STARTED,
    S_STATE,
    S_STATUS,
    S_STOPPING,
    S_TAKEN,
    S_TRADE,
    T_BOARDS,
    T_FUNDING,
    TAKEN,
    TAKEN_FIELDS,
    TAKEN_SIZE,
    Ints,
)
from stall_then_strike.sim import fill_rules, latency
from stall_then_strike.sim.fill_rules import Queue
from stall_then_strike.sim.latency import Spikes
from stall_then_strike.types.dto import NS_PER_S

_join, _match, _fee = jit(fill_rules.join), jit(fill_rules.match_at_price), jit(fill_rules.fee)
_after_level, _share_ahead = jit(fill_rules.after_level), jit(fill_rules.share_ahead)
_mixed = jit(latency.mixed)
_word_at = jit_with(latency.word_at, mixed=_mixed)
_delay_ns = jit_with(latency.delay_ns, word_at=_word_at)

_LIFE_NS = 60 * NS_PER_S  # sim.paper
_UNSEEN_NS = 1 * NS_PER_S  # sim.paper
_SETTLE_NS = 5 * NS_PER_S  # app.virtual
STOP_OVER = -1
"""What ``run`` returns when the run is over before the chunk is."""

# --- requests


@jit
def _push(m: I64, at_ns: int, what: int, order: int) -> None:
    m[S_SEQUENCE] += 1
    n = m[S_DUE]
    if n >= DUE_SIZE:
        m[S_ERROR] = E_DUE
        return
    d = DUE + n * DUE_FIELDS
    m[d + D_AT] = at_ns
    m[d + D_SEQUENCE] = m[S_SEQUENCE]
    m[d + D_WHAT] = what
    m[d + D_ORDER] = order
    m[S_DUE] = n + 1


@jit
def _order_of(m: I64, placed: int) -> int:
    """The order of this number that the paper venue still knows; -1 if it does not."""
    for o in range(ORDERS, ORDERS_END, ORDER_FIELDS):
        if m[o + O_PAPER] != 0 and m[o + O_PLACED] == placed:
            return o
    return -1


@jit
def _drawn(m: I64, table: int, seed: int, number: int, spikes: int) -> int:
    """Latency of a request made now. ``table`` and ``spikes`` say where those are noted."""
    at = m[table]
    found = Spikes(m[spikes], m[spikes + 1], m[spikes + 2], m[spikes + 3])
    table_of_latencies: Any = m[at : at + m[table + 1]]
    return _delay_ns(table_of_latencies, seed, number, m[S_CLOCK], found)


@jit
def send_waiting(m: I64) -> None:
    """Send what is in the outbox, and what comes of that."""
    n = 0
    while n < m[S_OUTBOX]:
        is_cancel, which = m[OUTBOX + 2 * n], m[OUTBOX + 2 * n + 1]
        n += 1
        now = m[S_CLOCK]
        if is_cancel == 0:
            o = which
            if m[S_PAPER_STATE] > 1 or m[o + O_SIZE] < m[P_MIN_SIZE]:
                m[S_ERROR] = E_REFUSED  # the gates do not let this happen
            if m[S_PLACED] == 0:
                m[S_PLACED_NS] = now
            m[S_PLACED] += 1
            m[o + O_PLACED] = m[S_PLACED]
            m[o + O_PAPER] = 1
            m[o + O_REMAINING] = m[o + O_SIZE]
            m[o + O_ARRIVES] = now + _drawn(m, A_ORDER_TABLE, m[Q_ORDER_SEED], m[S_PLACED], Q_ORDER_SPIKES)
            _push(m, m[o + O_ARRIVES], DUE_ORDER, which)
            order_step(m, which, END_PLACED, 0, now)
        else:
            m[S_CANCELS] += 1
            arrives = now + _drawn(m, A_CANCEL_TABLE, m[Q_CANCEL_SEED], m[S_CANCELS], Q_CANCEL_SPIKES)
            o = _order_of(m, which)
            if o >= 0:
                arrives = max(arrives, m[o + O_ARRIVES])
            _push(m, arrives, DUE_CANCEL, which)
    m[S_OUTBOX] = 0


# --- fills


@jit
def _drop(m: I64, o: int) -> None:
    m[o + O_PAPER] = 0
    kept = 0
    for n in range(m[S_RESTING]):
        if m[RESTING + n] != o:
            m[RESTING + kept] = m[RESTING + n]
            kept += 1
    m[S_RESTING] = kept


@jit
def _fill(m: I64, o: int, price: int, size: int, maker: int, ts_ns: int) -> None:
    m[o + O_REMAINING] -= size
    m[S_FILLS] += 1
    m[S_PAPER_POSITION] += size * m[o + O_SIDE]
    fee = (
        _fee(price, size, (m[Q_MAKER], m[Q_MAKER_PER]))
        if maker != 0
        else _fee(price, size, (m[Q_TAKER], m[Q_TAKER_PER]))
    )
    fill_step(m, o, price, size, fee, ts_ns)


@jit
def _taken_at(m: I64, side: int, price: int) -> int:
    """Where what we took of a level is noted; -1 if we took nothing."""
    for n in range(m[S_TAKEN]):
        k = TAKEN + n * TAKEN_FIELDS
        if m[k + K_PRICE] == price and m[k + K_SIDE] == side:
            return k
    return -1


@jit
def _take(m: I64, o: int, ts_ns: int, through: int) -> None:
    """Match an order with the displayed other side."""
    if m[S_PAPER_BOOK] == 0:
        return
    side, limit = m[o + O_SIDE], m[o + O_PRICE]
    best = m[S_BOOK_ASK] if side > 0 else m[S_BOOK_BID]
    if best == 0 or (limit != 0 and (limit - best) * side < through):
        return
    in_base, in_levels = walk_from(m, -side, best)
    while m[o + O_REMAINING] > 0:
        price, displayed, in_base, in_levels = walk(m, -side, in_base, in_levels, m[S_BOOK_AT])
        if price == 0:
            return
        if limit != 0 and (limit - price) * side < through:
            return
        at = _taken_at(m, -side, price)
        taken = m[at + K_LOTS] if at >= 0 else 0
        size = min(m[o + O_REMAINING], displayed - taken)
        if size <= 0:
            continue
        if at < 0:
            if m[S_TAKEN] >= TAKEN_SIZE:
                m[S_ERROR] = E_TAKEN
                return
            at = TAKEN + m[S_TAKEN] * TAKEN_FIELDS
            m[S_TAKEN] += 1
            m[at + K_SIDE] = -side
            m[at + K_PRICE] = price
            seek(m, -side, price, at + K_NEXT)
        m[at + K_LOTS] = taken + size
        if through != 0 and limit != 0:
            _fill(m, o, limit, size, 1, ts_ns)
        else:
            _fill(m, o, price, size, 0, ts_ns)


@jit
def _rank(m: I64, taker: int, price: int) -> int:
    """Put resting orders into ``ranked``, best price first on each side, then first come; returns how many.

    ``taker``: only those that a taker of this side meets on the way to the price; 0: all.
    """
    count = 0
    for n in range(m[S_RESTING]):
        o = m[RESTING + n]
        side, own = m[o + O_SIDE], m[o + O_PRICE]
        if taker != 0 and (side == taker or (own - price) * side < 0):
            continue
        at = count
        while at > 0 and -side * own < -m[m[RANKED + at - 1] + O_SIDE] * m[m[RANKED + at - 1] + O_PRICE]:
            m[RANKED + at] = m[RANKED + at - 1]
            at -= 1
        m[RANKED + at] = o
        count += 1
    return count


@jit
def _queue_up(m: I64, o: int, displayed: int) -> None:
    queue = _join(displayed)
    m[o + O_QUEUED] = 1
    m[o + O_AHEAD] = queue.ahead
    m[o + O_LEVEL] = queue.level
    m[o + O_UNSEEN] = queue.unseen


@jit
def _on_book(m: I64, now: int) -> None:  # noqa: C901 - told as it is in the original
    """See a believable book after a message."""
    if m[S_BOOK_BID] != 0 and m[S_BOOK_ASK] != 0:
        m[S_PAPER_MID2] = m[S_BOOK_BID] + m[S_BOOK_ASK]
    kept = 0
    for n in range(m[S_TAKEN]):
        k = TAKEN + n * TAKEN_FIELDS
        displayed = shown(m, k + K_NEXT, m[S_BOOK_AT])
        if displayed > 0:
            m[k + K_LOTS] = min(m[k + K_LOTS], displayed)
            if kept != n:
                for field in range(TAKEN_FIELDS):
                    m[TAKEN + kept * TAKEN_FIELDS + field] = m[k + field]
            kept += 1
    m[S_TAKEN] = kept
    if m[S_RESTING] == 0:
        return
    count = _rank(m, 0, 0)
    for n in range(count):
        o = m[RANKED + n]
        displayed = shown(m, o + O_NEXT, m[S_BOOK_AT])
        if m[o + O_QUEUED] == 0:
            _queue_up(m, o, displayed)
        elif displayed != m[o + O_LEVEL]:
            unseen = m[o + O_UNSEEN] if now - m[o + O_TRADED_NS] <= _UNSEEN_NS else 0
            queue = Queue(m[o + O_AHEAD], m[o + O_LEVEL], unseen)
            after = _after_level(queue, displayed, _share_ahead(queue, m[Q_SHARE], m[Q_POWER]))
            m[o + O_AHEAD] = after.ahead
            m[o + O_LEVEL] = after.level
            m[o + O_UNSEEN] = after.unseen
        if m[S_PAPER_STATE] <= 1:
            _take(m, o, now, 1)
        if m[o + O_REMAINING] == 0:
            _drop(m, o)


@jit
def _print(m: I64, taker: int, price: int, size: int, now: int) -> None:
    """One public trade."""
    left, passed = size, 0
    count = _rank(m, taker, price)
    for n in range(count):
        o = m[RANKED + n]
        if m[o + O_QUEUED] == 0:
            continue
        if m[o + O_PRICE] == price:
            match = _match(max(0, m[o + O_AHEAD] - passed), m[o + O_REMAINING], left)
            passed += match.passed
            left -= match.passed + match.filled
            filled = match.filled
            m[o + O_AHEAD] = max(0, m[o + O_AHEAD] - passed)
            m[o + O_UNSEEN] += size
            m[o + O_TRADED_NS] = now
        else:
            filled = min(m[o + O_REMAINING], left)
            left -= filled
            m[o + O_AHEAD] = 0
        if filled > 0:
            _fill(m, o, m[o + O_PRICE], filled, 1, now)
            if m[o + O_REMAINING] == 0:
                _drop(m, o)


# --- what takes effect


@jit
def _settle(m: I64, now: int) -> None:
    """Pay or receive funding at each settlement passed."""
    while m[m[S_SETTLEMENT]] <= now:
        m[S_SETTLEMENT] += 1
        numerator, denominator = m[Q_FUNDING], m[Q_FUNDING_PER]
        cost = -(-m[S_PAPER_POSITION] * m[S_PAPER_MID2] * numerator // (2 * denominator))
        if cost != 0:
            begin_step(m, m[S_CLOCK])
            apply_cash(m, -cost)
            m[T_FUNDING] -= cost
            end_step(m)


@jit
def _meets_own(m: I64, o: int) -> bool:
    for n in range(m[S_RESTING]):
        other = m[RESTING + n]
        beyond = (m[o + O_PRICE] - m[other + O_PRICE]) * m[o + O_SIDE]
        if m[other + O_SIDE] != m[o + O_SIDE] and (m[o + O_PRICE] == 0 or beyond >= 0):
            return True
    return False


@jit
def _arrive(m: I64, o: int, at_ns: int) -> None:
    """An order reaches the book."""
    if m[S_PAPER_STATE] > 1 or _meets_own(m, o):
        detail = m[S_PAPER_STATE] if m[S_PAPER_STATE] > 1 else 0
        order_step(m, o, END_REJECTED, detail, at_ns)
        m[o + O_PAPER] = 0
        return
    registered_step(m, o)
    _take(m, o, at_ns, 0)
    if m[o + O_REMAINING] == 0:
        m[o + O_PAPER] = 0
    elif m[o + O_IOC] != 0 or m[o + O_PRICE] == 0:
        order_step(m, o, END_EXPIRED, 0, at_ns)
        m[o + O_PAPER] = 0
    else:
        seek(m, m[o + O_SIDE], m[o + O_PRICE], o + O_NEXT)
        if m[S_PAPER_BOOK] != 0:
            _queue_up(m, o, shown(m, o + O_NEXT, m[S_BOOK_AT]))
        m[RESTING + m[S_RESTING]] = o
        m[S_RESTING] += 1
        m[S_SEQUENCE] += 1
        size = m[C_EXPIRIES]
        if m[S_EXPIRIES] >= size:
            m[S_ERROR] = E_EXPIRIES
            return
        at = (m[S_EXPIRY_HEAD] + m[S_EXPIRIES]) % size
        e = m[A_EXPIRIES] + at * DUE_FIELDS
        m[e + D_AT] = at_ns + _LIFE_NS
        m[e + D_SEQUENCE] = m[S_SEQUENCE]
        m[e + D_ORDER] = m[o + O_PLACED]
        m[S_EXPIRIES] += 1


@jit
def _end_order(m: I64, placed: int, what: int, at_ns: int) -> None:
    """A cancel or an expiry reaches the book."""
    o = _order_of(m, placed)
    if o >= 0:
        order_step(m, o, what, 0, at_ns)
        _drop(m, o)
    elif what == END_CANCELLED:
        begin_step(m, m[S_CLOCK])  # the cancel failed: news, but nothing changes
        end_step(m)


@jit
def _first_due(m: I64) -> int:
    """Which of the orders and cancels under way is due first; -1: none."""
    first = -1
    for n in range(m[S_DUE]):
        d = DUE + n * DUE_FIELDS
        if first < 0 or (
            m[d + D_AT] < m[first + D_AT]
            or (m[d + D_AT] == m[first + D_AT] and m[d + D_SEQUENCE] < m[first + D_SEQUENCE])
        ):
            first = d
    return first


@jit
def advance(m: I64, now: int) -> None:  # noqa: C901 - told as it is in the original
    """Let everything due by now take effect, against the book as last seen."""
    if m[S_SETTLEMENT] < 0:
        n = m[A_SETTLEMENTS]
        while m[n] <= now:
            n += 1
        m[S_SETTLEMENT] = n
    while m[S_ERROR] == 0:
        first = _first_due(m)
        at_ns, sequence = NEVER, NEVER
        if first >= 0:
            at_ns, sequence = m[first + D_AT], m[first + D_SEQUENCE]
        if m[S_EXPIRIES] > 0:
            e = m[A_EXPIRIES] + m[S_EXPIRY_HEAD] * DUE_FIELDS
            if m[e + D_AT] < at_ns or (m[e + D_AT] == at_ns and m[e + D_SEQUENCE] < sequence):
                first, at_ns = -2, m[e + D_AT]
        if at_ns > now:
            break
        if first == -2:
            order = m[m[A_EXPIRIES] + m[S_EXPIRY_HEAD] * DUE_FIELDS + D_ORDER]
            m[S_EXPIRY_HEAD] = (m[S_EXPIRY_HEAD] + 1) % m[C_EXPIRIES]
            m[S_EXPIRIES] -= 1
            _settle(m, at_ns)
            _end_order(m, order, END_EXPIRED, at_ns)
            continue
        what, order = m[first + D_WHAT], m[first + D_ORDER]
        m[S_DUE] -= 1
        for field in range(DUE_FIELDS):
            m[first + field] = m[DUE + m[S_DUE] * DUE_FIELDS + field]
        _settle(m, at_ns)
        if what == DUE_ORDER:
            _arrive(m, order, at_ns)
        else:
            _end_order(m, order, END_CANCELLED, at_ns)
    _settle(m, now)


# --- time


@jit
def next_deadline(m: I64) -> int:
    """When the run is to be woken if nothing comes before."""
    best = core_deadline(m)
    for n in range(m[S_DUE]):
        best = min(best, m[DUE + n * DUE_FIELDS + D_AT])
    if m[S_EXPIRIES] > 0:
        best = min(best, m[m[A_EXPIRIES] + m[S_EXPIRY_HEAD] * DUE_FIELDS + D_AT])
    if m[S_SETTLEMENT] >= 0:
        best = min(best, m[m[S_SETTLEMENT]])
    return best


@jit
def begin_chunk(m: I64) -> None:
    """The tape goes on in this chunk: cursors begin anew."""
    m[S_BOOK_AT] = -1
    m[S_TRADE] = 0
    for n in range(m[S_RESTING]):
        o = m[RESTING + n]
        seek(m, m[o + O_SIDE], m[o + O_PRICE], o + O_NEXT)
    for n in range(m[S_TAKEN]):
        k = TAKEN + n * TAKEN_FIELDS
        seek(m, m[k + K_SIDE], m[k + K_PRICE], k + K_NEXT)


@jit
def _board_message(m: I64, i: int, status: int, bid: int, ask: int, since_ns: int) -> None:
    """One message of a board channel."""
    now = m[S_CLOCK]
    m[S_BOOK_AT] = i
    if status != 1:  # a lost connection says nothing of the book
        m[S_BOOK_BID] = bid
        m[S_BOOK_ASK] = ask
    advance(m, now)
    m[S_PAPER_BOOK] = 1 if status == 0 else 0
    if status == 0:
        _on_book(m, now)
    begin_step(m, now)
    m[S_BOARD_NS] = now
    m[S_STATUS] = status
    m[S_BID] = bid
    m[S_ASK] = ask
    m[S_SINCE] = since_ns
    m[T_BOARDS] += 1
    if status == 0:
        mark(m, bid, ask)
    end_step(m)


@jit
def _state_message(m: I64, state: int) -> None:
    """One message on the board's state."""
    now = m[S_CLOCK]
    advance(m, now)
    m[S_PAPER_STATE] = state
    begin_step(m, now)
    m[S_STATE] = state
    end_step(m)


@jit
def _pass_deadlines(m: I64, until_ns: int) -> bool:
    """Wake at each deadline up to this stamp, itself included; False if the log has to be emptied first."""
    while True:
        deadline = next_deadline(m)
        if deadline > until_ns or m[S_ERROR] != 0:
            return True
        if m[S_LOG_ROWS] > m[C_LOG] - LOG_ROOM:
            return False
        m[S_CLOCK] = max(m[S_CLOCK], deadline)
        advance(m, m[S_CLOCK])
        begin_step(m, m[S_CLOCK])
        end_step(m)
        send_waiting(m)


@jit
def run(  # noqa: C901 - one loop over columns, each handed to it as it is
    m: I64,
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

    Returns where it stopped: the chunk's end, a message before which the log must be emptied, or STOP_OVER.
    """
    while i < len(recv_column):
        recv, kind = int(recv_column[i]), kind_column[i]
        if m[S_STARTED] != 0:
            if recv > m[Q_END_NS]:
                return STOP_OVER
            if m[S_LOG_ROWS] > m[C_LOG] - LOG_ROOM or not _pass_deadlines(m, recv):
                return i
            if recv < m[S_CLOCK]:
                m[S_BACKWARDS] += 1
        m[S_STARTED] = 1
        m[S_CLOCK] = max(m[S_CLOCK], recv)
        if kind == KIND_BOARD:
            _board_message(m, i, int(status_column[i]), int(bid_column[i]), int(ask_column[i]), int(since_column[i]))
        elif kind == KIND_STATE:
            _state_message(m, int(status_column[i]))
        elif kind == KIND_TRADES:
            advance(m, m[S_CLOCK])
            at = m[S_TRADE]
            while at < len(trade_at) and trade_at[at] <= i:
                if m[S_RESTING] > 0:
                    _print(m, int(trade_taker[at]), int(trade_price[at]), int(trade_size[at]), m[S_CLOCK])
                at += 1
            m[S_TRADE] = at
        if m[S_OUTBOX] > 0:
            send_waiting(m)
        m[S_MESSAGES] += 1
        i += 1
        if m[S_ERROR] != 0 or is_done(m):
            return STOP_OVER
    return i


@jit
def stop(m: I64) -> None:
    """Stop in good order: cancel, and let what is under way take effect for some seconds."""
    begin_step(m, m[S_CLOCK])
    m[S_STOPPING] = 1
    end_step(m)
    send_waiting(m)
    end_ns = m[S_CLOCK] + _SETTLE_NS
    while m[S_ERROR] == 0 and not is_done(m):
        deadline = next_deadline(m)
        if deadline > end_ns:
            return
        if not _pass_deadlines(m, deadline):
            m[S_ERROR] = E_LOG

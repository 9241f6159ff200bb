"""The core's step on arrays: `engine.core`, `orders`, `exits`, `closing` and `dispatch` for one paper account.

What is decided is `engine.strategy_stall.decide` itself, compiled. Here is only what surrounds it, in the same order as
there; `tests/research/replay/test_compiled.py` holds the two to the same rows. Paper trading leaves no order in doubt:
nothing of that is here.
"""

from __future__ import annotations

from stall_then_strike.engine import strategy_stall
from stall_then_strike.engine.strategy_stall import CANCEL, CLOSE, HOLD, STRIKE, Situation, StallParams
from stall_then_strike.research.replay.jit import jit
from stall_then_strike.research.replay.kernel_ledger import (
    apply_fill,
    decision,
    hold,
    may_cancel,
    may_send,
    new_row,
    pnl_today,
    roll_inventory,
    spend_calls,
    spend_order,
    strike_at,
    too_many_rejects,
)
from stall_then_strike.research.replay.kernel_state import (
    A_CALENDAR,
    ACT_CANCEL,
    ACT_CLOSE,
    ACT_STRIKE,
    C_CALENDAR,
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
    I64,
    LIVE,
    LOG_NEW,
    LOG_ORDER,
    LOG_TRADE,
    NEVER,
    O_CANCEL_NS,
    O_CANCEL_REASON,
    O_CORE,
    O_EXECUTED,
    O_IOC,
    O_NAMED,
    O_NUMBER,
    O_PAPER,
    O_PLACED,
    O_PRICE,
    O_REASON,
    O_SIDE,
    O_SIZE,
    O_STATE,
    O_TAG,
    ORDER_FIELDS,
    ORDERS,
    ORDERS_END,
    OUTBOX,
    OUTBOX_SIZE,
    P_MAX_INVENTORY,
    P_MAX_REVERSE,
    P_MIN_SIZE,
    P_MIN_SPREAD,
    P_MODE,
    P_OFFSET,
    P_SIZE,
    P_STALE_NS,
    P_STALL_NS,
    P_TTL_NS,
    PARTIAL,
    PENDING_CANCEL,
    PENDING_NEW,
    Q_BLIND_NS,
    Q_CLOSE_BAND,
    Q_CLOSE_IS_IOC,
    Q_CLOSE_RETRY_NS,
    Q_DAILY_LIMIT,
    Q_DRAWDOWN_LIMIT,
    Q_EXITS_ON_HALT,
    S_ASK,
    S_BASIS,
    S_BID,
    S_BOARD_NS,
    S_CHANGE_NS,
    S_CHANGES,
    S_CHECKED,
    S_CLOCK,
    S_CLOSE_FLATTEN,
    S_CLOSE_NO_MARKET,
    S_CLOSE_PAUSE,
    S_CLOSE_REASON,
    S_CLOSE_RETRY,
    S_CLOSING,
    S_DAY,
    S_ERROR,
    S_HALTED,
    S_HAS_SITUATION,
    S_LAST_STRIKE,
    S_LIVE,
    S_NOW,
    S_OUTBOX,
    S_PEAK,
    S_PNL_BASE,
    S_POSITION,
    S_QUIET,
    S_REALISED,
    S_REALISED_AT_ROLL,
    S_REJECTS,
    S_RUN_NS,
    S_SEGMENT,
    S_SENT,
    S_SINCE,
    S_SIT_BOARD_NS,
    S_SIT_QUOTES,
    S_SIT_SINCE,
    S_SIT_STRIKE_AT,
    S_SIT_STRUCK_NS,
    S_STATE,
    S_STATUS,
    S_STOPPING,
    S_STRUCK_ASK,
    S_STRUCK_BID,
    S_STRUCK_NS,
    SLOTS,
    T_CANCELLED,
    T_CLOSES,
    T_EXPIRED,
    T_FEES,
    T_FILLED,
    T_FILLS,
    T_PLACED,
    T_QUOTES,
    T_REJECTED,
    T_STRIKES,
    T_TOUCHED,
    T_VOLUME,
    TAG_CLOSE,
    TAG_DUST,
    TAG_STALL,
    WORKING,
)
from stall_then_strike.types.dto import NS_PER_S, Reason

decide = jit(strategy_stall.decide)

_RETRY_NS = 1 * NS_PER_S  # engine.exits.RETRY_NS
_LONGEST_NS = 16 * NS_PER_S  # engine.closing
_HALTED, _STOPPING, _CLOSING = int(Reason.HALTED), int(Reason.STOPPING), int(Reason.CLOSING)
_NOT_RUNNING, _QUIET = int(Reason.VENUE_NOT_RUNNING), int(Reason.QUIET_TIME)
_STRIKE, _REVERSE, _DUST, _DAY_ROLL = int(Reason.STRIKE), int(Reason.REVERSE), int(Reason.DUST), int(Reason.DAY_ROLL)
_KILL_PNL, _KILL_DRAWDOWN, _REJECTS = int(Reason.KILL_PNL), int(Reason.KILL_DRAWDOWN), int(Reason.REJECTS)

# --- orders


@jit
def _track(m: I64, side: int, price: int, size: int, tag: int, reason: int, number: int) -> None:
    """Know a new order and have it sent."""
    o = ORDERS
    while o < ORDERS_END and (m[o + O_CORE] != 0 or m[o + O_PAPER] != 0):
        o += ORDER_FIELDS
    if o == ORDERS_END or m[S_LIVE] == SLOTS or m[S_OUTBOX] >= OUTBOX_SIZE:
        m[S_ERROR] = E_SLOTS
        return
    for field in range(ORDER_FIELDS):
        m[o + field] = 0
    m[o + O_CORE] = 1
    m[o + O_NUMBER] = number
    m[o + O_SIDE] = side
    m[o + O_PRICE] = price
    m[o + O_SIZE] = size
    m[o + O_TAG] = tag
    m[o + O_IOC] = 0 if tag == TAG_STALL else 1
    m[o + O_REASON] = reason
    m[o + O_CANCEL_NS] = -1
    m[LIVE + m[S_LIVE]] = o
    m[S_LIVE] += 1
    m[OUTBOX + 2 * m[S_OUTBOX]] = 0
    m[OUTBOX + 2 * m[S_OUTBOX] + 1] = o
    m[S_OUTBOX] += 1
    at = new_row(m, LOG_NEW, m[S_NOW])
    if at >= 0:
        m[at + 2] = number
        m[at + 3] = side
        m[at + 4] = price
        m[at + 5] = size
        m[at + 6] = tag
        m[at + 7] = reason


@jit
def _end(m: I64, o: int) -> None:
    """An order has ended: it is no longer live."""
    m[o + O_STATE] = ENDED
    m[o + O_CORE] = 0
    kept = 0
    for n in range(m[S_LIVE]):
        if m[LIVE + n] != o:
            m[LIVE + kept] = m[LIVE + n]
            kept += 1
    m[S_LIVE] = kept


@jit
def _order_row(m: I64, o: int, ts_ns: int, what: int, detail: int) -> None:
    at = new_row(m, LOG_ORDER, ts_ns)
    if at >= 0:
        m[at + 2] = m[o + O_NUMBER]
        m[at + 3] = what
        m[at + 4] = detail
        m[at + 5] = m[o + O_PLACED]


# --- exits


@jit
def _begin_closing(m: I64, reason: int, flatten: int) -> None:
    m[S_CLOSING] = 1
    m[S_CLOSE_REASON] = reason
    m[S_CLOSE_FLATTEN] = flatten
    m[S_CLOSE_RETRY] = 0
    m[S_CLOSE_NO_MARKET] = -1
    m[S_CLOSE_PAUSE] = m[Q_CLOSE_RETRY_NS]


@jit
def _close_order_ended(m: I64, o: int) -> None:
    now = m[S_NOW]
    if m[o + O_EXECUTED] >= m[o + O_SIZE]:
        m[S_CLOSE_RETRY] = now
    elif m[o + O_EXECUTED] != 0:
        m[S_CLOSE_PAUSE] = m[Q_CLOSE_RETRY_NS]
        m[S_CLOSE_RETRY] = now + m[Q_CLOSE_RETRY_NS]
    else:
        m[S_CLOSE_RETRY] = now + m[S_CLOSE_PAUSE]
        m[S_CLOSE_PAUSE] = min(2 * m[S_CLOSE_PAUSE], max(_LONGEST_NS, m[Q_CLOSE_RETRY_NS]))


@jit
def _cancel_due_ns(m: I64, o: int) -> int:
    """When the wanted cancel of an order may be sent; NEVER if none is to be sent."""
    if (
        m[o + O_TAG] != TAG_STALL
        or m[o + O_CANCEL_REASON] == 0
        or m[o + O_NAMED] == 0
        or m[o + O_STATE] == PENDING_CANCEL
    ):
        return NEVER
    return 0 if m[o + O_CANCEL_NS] < 0 else m[o + O_CANCEL_NS] + _RETRY_NS


@jit
def _send_cancels(m: I64) -> tuple[int, int, int, int]:
    """Send what is due: how many, the first two orders' numbers, and the reason of the first."""
    now = m[S_NOW]
    count = first = second = reason = 0
    for n in range(m[S_LIVE]):
        o = m[LIVE + n]
        if now >= _cancel_due_ns(m, o):
            if count == 0:
                first, reason = m[o + O_NUMBER], m[o + O_CANCEL_REASON]
            elif count == 1:
                second = m[o + O_NUMBER]
            count += 1
    if count == 0 or not may_cancel(m, now, count):
        return 0, 0, 0, 0
    if count > 2 or m[S_OUTBOX] + count > OUTBOX_SIZE:
        m[S_ERROR] = E_OUTBOX
        return 0, 0, 0, 0
    spend_calls(m, now, count)
    for n in range(m[S_LIVE]):
        o = m[LIVE + n]
        if now >= _cancel_due_ns(m, o):
            m[o + O_CANCEL_NS] = now
            m[o + O_STATE] = PENDING_CANCEL
            m[OUTBOX + 2 * m[S_OUTBOX]] = 1
            m[OUTBOX + 2 * m[S_OUTBOX] + 1] = m[o + O_PLACED]
            m[S_OUTBOX] += 1
    return count, first, second, reason


@jit
def _cancel_decision(m: I64, did: int, reason: int, sent: tuple[int, int, int, int]) -> None:
    at = decision(m, did, reason, 0, 0)
    if at >= 0 and sent[0] > 0:
        m[at + 9] = ACT_CANCEL
        m[at + 10] = sent[1]
        m[at + 11] = sent[2]
        m[at + 12] = sent[3]


@jit
def _cancel_quotes(m: I64, reason: int, did: int) -> None:
    """Want every live quote cancelled, and decide so."""
    for n in range(m[S_LIVE]):
        o = m[LIVE + n]
        if m[o + O_TAG] == TAG_STALL and m[o + O_CANCEL_REASON] == 0:
            m[o + O_CANCEL_REASON] = reason
    _cancel_decision(m, did, reason, _send_cancels(m))


@jit
def _retry_cancels(m: I64) -> None:
    for n in range(m[S_LIVE]):
        o = m[LIVE + n]
        if m[o + O_TAG] == TAG_STALL and m[o + O_CANCEL_REASON] != 0 and m[o + O_STATE] != PENDING_CANCEL:
            reason = m[o + O_CANCEL_REASON]
            sent = _send_cancels(m)
            if sent[0] > 0:
                _cancel_decision(m, DID_CANCEL, reason, sent)
            return


@jit
def _halt(m: I64, reason: int) -> None:
    m[S_HALTED] = reason
    decision(m, DID_HALT, reason, 0, 0)
    _begin_closing(m, reason, 1)


@jit
def is_stale(m: I64) -> bool:
    """Whether the last board is too old to be believed."""
    return bool(m[S_NOW] - m[S_BOARD_NS] >= m[P_STALE_NS])


@jit
def _go_on(m: I64) -> None:  # noqa: C901 - told as it is in the original
    """Take the closing one step further."""
    now = m[S_NOW]
    if m[S_STATE] != 0:
        m[S_CLOSE_NO_MARKET] = -1  # the wait for a book begins when the venue runs
    quotes = others = 0
    for n in range(m[S_LIVE]):
        if m[m[LIVE + n] + O_TAG] == TAG_STALL:
            quotes += 1
        else:
            others += 1
    if quotes > 0 or others > 0:
        return
    size = abs(m[S_POSITION])
    if size == 0:
        m[S_CLOSING] = 0
        return
    if size < m[P_MIN_SIZE] and m[S_CLOSE_FLATTEN] == 0:
        m[S_CLOSING] = 0
        decision(m, DID_HOLD, _DUST, 0, 0)
        return
    if now < m[S_CLOSE_RETRY]:
        return
    if m[S_STATE] != 0 or m[S_STATUS] != 0 or is_stale(m):
        if m[S_CLOSE_NO_MARKET] < 0 and m[S_STATE] == 0:
            m[S_CLOSE_NO_MARKET] = now
        return
    m[S_CLOSE_NO_MARKET] = -1
    side, tag = (-1 if m[S_POSITION] > 0 else 1), TAG_CLOSE
    if size < m[P_MIN_SIZE]:
        side, tag, size = -side, TAG_DUST, m[P_MIN_SIZE]
    price = 0
    if m[Q_CLOSE_IS_IOC] != 0:
        price = m[S_ASK] + m[Q_CLOSE_BAND] if side > 0 else max(1, m[S_BID] - m[Q_CLOSE_BAND])
    if not may_send(m, now, size):
        m[S_CLOSE_RETRY] = now + _RETRY_NS
        return
    m[S_SENT] += 1
    number = m[S_SENT]
    _track(m, side, price, size, tag, m[S_CLOSE_REASON], number)
    spend_order(m, now, size)
    m[T_CLOSES] += 1
    at = decision(m, DID_CLOSE, m[S_CLOSE_REASON], 0, 0)
    if at >= 0:
        m[at + 9] = ACT_CLOSE
        m[at + 10] = number


# --- the step


@jit
def _roll(m: I64) -> None:
    """Pass a boundary of the calendar."""
    now = m[S_NOW]
    segment = m[S_SEGMENT]
    while segment + 1 < m[C_CALENDAR] and m[m[A_CALENDAR] + 3 * (segment + 1)] <= now:
        segment += 1
    if segment + 1 >= m[C_CALENDAR]:
        m[S_ERROR] = E_CALENDAR
        return
    m[S_SEGMENT] = segment
    day = m[m[A_CALENDAR] + 3 * segment + 1]
    if m[S_DAY] >= 0 and day != m[S_DAY]:
        roll_inventory(m)
        m[S_PNL_BASE] = 0
        if m[S_HALTED] == _KILL_PNL or m[S_HALTED] == _KILL_DRAWDOWN:
            m[S_HALTED] = 0
            m[S_REJECTS] = 0
            decision(m, DID_RESUME, _DAY_ROLL, 0, 0)
    m[S_DAY] = day
    m[S_QUIET] = m[m[A_CALENDAR] + 3 * segment + 2]
    m[S_CHANGE_NS] = m[m[A_CALENDAR] + 3 * (segment + 1)]


@jit
def begin_step(m: I64, now_ns: int) -> None:
    """What every step begins with, before its event is taken in."""
    m[S_NOW] = max(m[S_NOW], now_ns)
    if m[S_RUN_NS] == 0:
        m[S_RUN_NS] = m[S_NOW]
    if m[S_NOW] >= m[S_CHANGE_NS]:
        _roll(m)


@jit
def _gate(m: I64) -> int:
    if m[S_HALTED] != 0:
        return _HALTED
    if m[S_STOPPING] != 0:
        return _STOPPING
    if m[S_CLOSING] != 0:
        return _CLOSING
    if m[S_STATE] != 0:
        return _NOT_RUNNING
    if m[S_QUIET] != 0:
        return _QUIET
    return 0


@jit
def _decide(m: I64) -> None:
    now = m[S_NOW]
    quotes = cancelling = open_buy = open_sell = 0
    for n in range(m[S_LIVE]):
        o = m[LIVE + n]
        if m[o + O_TAG] == TAG_STALL:
            quotes += 1
            if m[o + O_CANCEL_REASON] != 0:
                cancelling += 1
        remaining = max(0, m[o + O_SIZE] - m[o + O_EXECUTED])
        if m[o + O_SIDE] > 0:
            open_buy += remaining
        else:
            open_sell += remaining
    budget = strike_at(m, now, m[P_SIZE])
    may_close = 1 if m[S_HALTED] == 0 and m[S_STOPPING] == 0 and m[S_CLOSING] == 0 else 0
    verdict = decide(
        StallParams(
            m[P_STALL_NS],
            m[P_TTL_NS],
            m[P_STALE_NS],
            m[P_MIN_SPREAD],
            m[P_MAX_REVERSE],
            m[P_SIZE],
            m[P_MAX_INVENTORY],
            m[P_MIN_SIZE],
            m[P_MODE],
            m[P_OFFSET],
        ),
        Situation(
            now,
            _gate(m),
            may_close,
            m[S_STATUS],
            m[S_BOARD_NS],
            m[S_SINCE],
            m[S_BID],
            m[S_ASK],
            budget,
            m[S_POSITION],
            m[S_BASIS],
            open_buy,
            open_sell,
            quotes,
            cancelling,
            m[S_STRUCK_NS],
            m[S_STRUCK_BID],
            m[S_STRUCK_ASK],
        ),
    )
    m[S_HAS_SITUATION] = 1
    m[S_SIT_BOARD_NS] = m[S_BOARD_NS]
    m[S_SIT_SINCE] = m[S_SINCE]
    m[S_SIT_STRIKE_AT] = budget
    m[S_SIT_STRUCK_NS] = m[S_STRUCK_NS]
    m[S_SIT_QUOTES] = quotes
    if verdict.move == HOLD:
        hold(m, DID_HOLD, verdict.reason)
    elif verdict.move == STRIKE:
        _strike(m, verdict.bid, verdict.ask)
    elif verdict.move == CANCEL:
        _cancel_quotes(m, verdict.reason, DID_CANCEL)
    elif verdict.move == CLOSE:
        _begin_closing(m, _REVERSE, 0)
        _cancel_quotes(m, _REVERSE, DID_CLOSE)
    if m[S_LIVE] > 0:
        _retry_cancels(m)


@jit
def _strike(m: I64, bid: int, ask: int) -> None:
    now = m[S_NOW]
    first = m[S_SENT] + 1
    m[S_SENT] += 2
    m[S_STRUCK_NS] = now
    m[S_STRUCK_BID] = m[S_BID]
    m[S_STRUCK_ASK] = m[S_ASK]
    sent = 0
    if bid != 0:
        _track(m, 1, bid, m[P_SIZE], TAG_STALL, _STRIKE, first)
        sent += 1
    if ask != 0:
        _track(m, -1, ask, m[P_SIZE], TAG_STALL, _STRIKE, first + 1)
        sent += 1
    m[S_SIT_QUOTES] = sent
    m[S_SIT_STRUCK_NS] = now
    for _ in range(sent):
        spend_order(m, now, m[P_SIZE])
    m[S_LAST_STRIKE] = now
    m[T_STRIKES] += 1
    at = decision(m, DID_STRIKE, _STRIKE, bid, ask)
    if at >= 0:
        m[at + 9] = ACT_STRIKE
        m[at + 10] = first if bid != 0 else 0
        m[at + 11] = first + 1 if ask != 0 else 0


@jit
def end_step(m: I64) -> None:
    """What every step ends with, once its event is taken in."""
    if m[S_CHANGES] != m[S_CHECKED]:
        m[S_CHECKED] = m[S_CHANGES]
        if m[S_HALTED] == 0:
            pnl = pnl_today(m)
            if pnl - m[S_PNL_BASE] <= m[Q_DAILY_LIMIT]:
                _halt(m, _KILL_PNL)
            elif pnl - m[S_PEAK] <= m[Q_DRAWDOWN_LIMIT]:
                _halt(m, _KILL_DRAWDOWN)
    _decide(m)
    if m[S_HALTED] != 0 and m[S_CLOSING] == 0 and m[S_POSITION] != 0:
        _begin_closing(m, m[S_HALTED], 1)
    if m[S_CLOSING] != 0:
        _go_on(m)


@jit
def order_step(m: I64, o: int, what: int, detail: int, ts_ns: int) -> None:
    """One step for an order that was placed or ended without a fill (END_...)."""
    begin_step(m, m[S_CLOCK])
    if what == END_PLACED:
        m[o + O_NAMED] = 1
        m[T_PLACED] += 1
        if m[o + O_TAG] == TAG_STALL:
            m[T_QUOTES] += 1
        _order_row(m, o, ts_ns, what, m[o + O_REASON])
    else:
        _end(m, o)
        if what == END_REJECTED:
            m[T_REJECTED] += 1
            _order_row(m, o, ts_ns, what, detail)
            if too_many_rejects(m):
                _halt(m, _REJECTS)
        elif what == END_CANCELLED:
            m[T_CANCELLED] += 1
            _order_row(m, o, ts_ns, what, m[o + O_CANCEL_REASON])
        elif what == END_EXPIRED:
            m[T_EXPIRED] += 1
            _order_row(m, o, ts_ns, what, m[o + O_IOC])
        if m[o + O_TAG] != TAG_STALL and m[S_CLOSING] != 0:
            _close_order_ended(m, o)
    end_step(m)


@jit
def registered_step(m: I64, o: int) -> None:
    """One step for an order that is on the book."""
    begin_step(m, m[S_CLOCK])
    if m[o + O_STATE] == PENDING_NEW:
        m[o + O_STATE] = WORKING
    end_step(m)


@jit
def fill_step(m: I64, o: int, price: int, size: int, fee: int, ts_ns: int) -> None:
    """One step for a fill."""
    begin_step(m, m[S_CLOCK])
    m[o + O_EXECUTED] += size
    whole = m[o + O_EXECUTED] >= m[o + O_SIZE]
    if whole:
        _end(m, o)
    elif m[o + O_STATE] != PENDING_CANCEL:
        m[o + O_STATE] = PARTIAL
    realised = apply_fill(m, m[o + O_SIDE], price, size, fee)
    m[T_FILLS] += 1
    m[T_VOLUME] += size
    m[T_FEES] += fee
    if m[o + O_TAG] == TAG_STALL:
        if m[o + O_EXECUTED] == size:
            m[T_TOUCHED] += 1
        if whole:
            m[T_FILLED] += 1
    at = new_row(m, LOG_TRADE, ts_ns)
    if at >= 0:
        m[at + 2] = m[o + O_NUMBER]
        m[at + 3] = m[o + O_SIDE]
        m[at + 4] = price
        m[at + 5] = size
        m[at + 6] = fee
        m[at + 7] = realised
        m[at + 8] = m[S_REALISED] - m[S_REALISED_AT_ROLL]
        m[at + 9] = m[S_POSITION]
        m[at + 10] = m[o + O_PLACED]
    if whole and m[o + O_TAG] != TAG_STALL and m[S_CLOSING] != 0:
        _close_order_ended(m, o)
    end_step(m)


@jit
def is_done(m: I64) -> bool:
    """Whether a stop, or a halt that ends the run, has left nothing live behind."""
    ending = m[S_STOPPING] != 0 or (m[S_HALTED] != 0 and m[Q_EXITS_ON_HALT] != 0)
    return bool(ending and m[S_CLOSING] == 0 and m[S_LIVE] == 0)


@jit
def core_deadline(m: I64) -> int:  # noqa: C901 - told as it is in the original
    """When the core wants to be woken: later than its last event."""
    now = m[S_NOW]
    best = NEVER
    if m[S_CHANGE_NS] > now:
        best = m[S_CHANGE_NS]
    if m[S_HAS_SITUATION] != 0:
        stamp = m[S_SIT_BOARD_NS] + m[P_STALE_NS]
        if now < stamp < best:
            best = stamp
        if now < m[S_SIT_STRIKE_AT] < best:
            best = m[S_SIT_STRIKE_AT]
        stamp = m[S_SIT_STRUCK_NS] + m[P_TTL_NS] if m[S_SIT_QUOTES] != 0 else m[S_SIT_SINCE] + m[P_STALL_NS]
        if now < stamp < best:
            best = stamp
    if m[S_CLOSING] != 0:
        if now < m[S_CLOSE_RETRY] < best:
            best = m[S_CLOSE_RETRY]
        if m[S_CLOSE_NO_MARKET] >= 0 and now < m[S_CLOSE_NO_MARKET] + m[Q_BLIND_NS] < best:
            best = m[S_CLOSE_NO_MARKET] + m[Q_BLIND_NS]
    for n in range(m[S_LIVE]):
        stamp = _cancel_due_ns(m, m[LIVE + n])
        if stamp != NEVER:
            stamp = stamp if stamp > now else now + _RETRY_NS
            best = min(best, stamp)
    return best if best != NEVER else now + NS_PER_S

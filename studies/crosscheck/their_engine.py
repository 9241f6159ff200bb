"""hftbacktest itself: a script of orders played to its venue. Needs hftbacktest, as `their_strategy` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hftbacktest import GTC, LIMIT, BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.types import event_dtype
from numba import njit

from studies.crosscheck.order_script import Order
from studies.crosscheck.their_rules import ANSWER_NS, Fill, Law, Theirs


def asset_of(data: Any, theirs: Theirs, entry_ns: int, answer_ns: int = ANSWER_NS) -> Any:
    """Their asset: data, latencies and the venue's rules."""
    # A view, not a copy: it takes the address of the events and keeps no hold on them.
    asset = BacktestAsset().data(data.view(event_dtype)).linear_asset(1.0).constant_order_latency(entry_ns, answer_ns)
    if theirs.law is Law.RISK_ADVERSE:
        asset = asset.risk_adverse_queue_model()
    elif theirs.law is Law.POWER:
        asset = asset.power_prob_queue_model(theirs.power)
    else:
        asset = asset.log_prob_queue_model()
    asset = asset.partial_fill_exchange() if theirs.partial else asset.no_partial_fill_exchange()
    return asset.trading_value_fee_model(0.0, 0.0).tick_size(1.0).lot_size(1e-8).last_trades_capacity(0)


def backtest(data: Any, theirs: Theirs, entry_ns: int, answer_ns: int = ANSWER_NS) -> Any:
    """One of theirs, ready to run."""
    return HashMapMarketDepthBacktest([asset_of(data, theirs, entry_ns, answer_ns)])


@njit
def heard(hbt: Any, left: Any, fills: Any, count: int) -> int:
    """Write down what was filled since the last time; forget orders that have ended."""
    orders = hbt.orders(0).values()
    while orders.has_next():
        order = orders.get()
        number = order.order_id
        now = round(order.leaves_qty * 1e8)
        if now != left[number] and order.exec_qty > 0:
            fills[count, 0] = order.exch_timestamp
            fills[count, 1] = number
            fills[count, 2] = order.side
            fills[count, 3] = order.exec_price_tick
            fills[count, 4] = left[number] - now
            left[number] = now
            count += 1
    hbt.clear_inactive_orders(0)
    return count


@njit
def _play(hbt: Any, actions: Any, left: Any, fills: Any, end_ns: int) -> Any:
    """Play (at, cancel or not, number, side, price, size) to their venue; how many fills, and an error code."""
    count, at, waiting = 0, 0, 0
    late = np.zeros(len(left), np.int64)
    if hbt.wait_next_feed(False, 1) == 1:
        return 0, 1
    while hbt.current_timestamp < end_ns:
        now = hbt.current_timestamp
        while at < len(actions) and actions[at, 0] <= now:
            number = actions[at, 2]
            if actions[at, 1] == 1:
                late[waiting] = number
                waiting += 1
            elif actions[at, 3] > 0:
                hbt.submit_buy_order(0, number, actions[at, 4], actions[at, 5] / 1e8, GTC, LIMIT, False)
            else:
                hbt.submit_sell_order(0, number, actions[at, 4], actions[at, 5] / 1e8, GTC, LIMIT, False)
            at += 1
        still = 0
        for n in range(waiting):  # it takes no cancel of an order that it has not acknowledged
            order = hbt.orders(0).get(late[n])
            if order is not None and order.cancellable:
                hbt.cancel(0, late[n], False)
            elif order is not None:
                late[still] = late[n]
                still += 1
        waiting = still
        until = min(end_ns, actions[at, 0] if at < len(actions) else end_ns)
        code = hbt.wait_next_feed(True, until - now)
        count = heard(hbt, left, fills, count)
        if code != 0 and code != 2 and code != 3:
            return count, code
    return count, 0


def as_fills(rows: Any) -> list[Fill]:
    """What `heard` wrote down, by time."""
    fills = [Fill(*(int(value) for value in row)) for row in rows]
    return sorted(fills, key=lambda fill: (fill.ts_ns, fill.order))


def play(
    data: Any, orders: Sequence[Order], theirs: Theirs, entry_ns: int, end_ns: int, *, answer_ns: int = ANSWER_NS
) -> tuple[list[Fill], float, int]:
    """Fills of a script in hftbacktest, its own count of the position in lots, and its error code (0: none)."""
    actions = [(o.at_ns, 0, n, o.side, o.price, o.size) for n, o in enumerate(orders)]
    actions += [(o.until_ns, 1, n, 0, 0, 0) for n, o in enumerate(orders)]
    left = np.array([order.size for order in orders], np.int64)
    fills = np.zeros((10 * len(orders) + 10, 5), np.int64)
    hbt = backtest(data, theirs, entry_ns, answer_ns)
    count, code = _play(hbt, np.array(sorted(actions), np.int64), left, fills, end_ns)
    position = hbt.position(0) * 1e8
    hbt.close()
    return as_fills(fills[:count]), position, code

"""Stall-then-strike written once more, against hftbacktest's own interface.

It shares no code with the engine. What hftbacktest's format cannot carry is given beside: when the venue runs, and for
each board message whether its mid agrees with the book. Of the engine it leaves out what the cross-check switches off:
limits of the venue, kill switch, quiet times, funding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from hftbacktest import GTC, LIMIT, MARKET
from numba import njit

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategy_stall import stall_params
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.types.dto import NS_PER_MS, BoardSnapshot, BoardState, BookStatus, VenueStatus
from studies.crosscheck.their_engine import as_fills, backtest, heard
from studies.crosscheck.their_rules import Fill, Theirs

_UNKNOWN, _OK = int(BookStatus.UNKNOWN), int(BookStatus.OK)
_FAR = 1 << 62


def boards_of(messages: Iterable[tuple[int, str | None]], cfg: AppConfig) -> tuple[Any, int]:
    """Stamp and status of each board message, and since when the venue runs."""
    feed, found, running_ns = MarketFeed(cfg), list[tuple[int, int]](), _FAR
    for at_ns, text in messages:
        event = None if text is None else feed.on_text(text, at_ns)
        if isinstance(event, BoardSnapshot):
            found.append((at_ns, int(event.status)))
        elif isinstance(event, VenueStatus) and event.state is BoardState.RUNNING:
            running_ns = min(running_ns, at_ns)
    return np.array(found, np.int64), running_ns


class Traded(NamedTuple):
    """What a strategy did."""

    fills: list[Fill]
    struck_ns: list[int]
    closes: int
    """Closing orders."""
    code: int
    """hftbacktest's error, 0 for none."""
    position: float
    """Its own account, BTC; ``balance`` in JPY."""
    balance: float


@njit
def _stall(  # noqa: C901 - one function, as their examples are
    hbt: Any, boards: Any, params: Any, left: Any, fills: Any, struck_at: Any, running_ns: int, end_ns: int
) -> Any:
    """Trade until ``end_ns``; how many fills, strikes and closes there were, and an error code."""
    stall_ns, ttl_ns, stale_ns, min_spread, max_reverse, size, most, least, offset, retry_ns = params
    count = booked = seen = strikes = closes = 0
    bid = ask = since = struck = struck_bid = struck_ask = board_ns = 0
    position = basis = 0
    status, fresh = _UNKNOWN, True
    number, closing_id = 1, 0
    quotes = np.zeros(2, np.int64)
    wanted = closing = False
    retry_at, pause = 0, retry_ns
    if hbt.wait_next_feed(False, 1) == 1:
        return 0, 0, 0, 1
    while True:
        now = hbt.current_timestamp
        count = heard(hbt, left, fills, count)
        while seen < len(boards) and boards[seen, 0] <= now:
            board_ns, status = boards[seen, 0], boards[seen, 1]
            if status == _UNKNOWN:
                fresh = True
            seen += 1
        if status != _UNKNOWN:
            depth = hbt.depth(0)
            if fresh or depth.best_bid_tick != bid or depth.best_ask_tick != ask:
                bid, ask, since, fresh = depth.best_bid_tick, depth.best_ask_tick, board_ns, False
        while booked < count:  # the books, at exact cost
            side, price, filled = fills[booked, 2], fills[booked, 3], fills[booked, 4]
            booked += 1
            if position * side < 0:
                part = min(filled, abs(position))
                whole = basis // abs(position)
                rest = basis - whole * abs(position)
                basis -= whole * part + rest * part // abs(position)
                position += side * part
                filled -= part
            position += side * filled
            basis += side * filled * price
        orders = hbt.orders(0)
        live = 0
        open_buy = open_sell = 0
        for n in range(2):
            if quotes[n] != 0:
                if quotes[n] in orders:
                    live += 1
                    if n == 0:
                        open_buy += left[quotes[n]]
                    else:
                        open_sell += left[quotes[n]]
                else:
                    quotes[n] = 0
        if closing_id != 0 and closing_id not in orders:
            if left[closing_id] == 0:
                retry_at = now
            elif left[closing_id] < left[0]:
                pause = retry_ns
                retry_at = now + pause
            else:
                retry_at = now + pause
                pause = min(2 * pause, max(16_000_000_000, retry_ns))
            closing_id = 0
        good = status == _OK and now - board_ns < stale_ns
        running = now >= running_ns
        lost2 = 2 * basis - position * (bid + ask)
        if not closing and good and abs(position) >= least and lost2 >= 2 * max_reverse * abs(position):
            closing, wanted = True, True
            retry_at, pause = 0, retry_ns
        if live > 0 and not wanted:
            wanted = (
                closing or not running or not good or now - struck >= ttl_ns or bid != struck_bid or ask != struck_ask
            )
        elif live == 0 and not closing and running and good and ask - bid >= min_spread and now - since >= stall_ns:
            buys = position + open_buy + size <= most
            sells = open_sell - position + size <= most
            low = min((bid + ask) // 2 - offset, ask - 1)
            high = max((bid + ask + 1) // 2 + offset, bid + 1)
            if (buys or sells) and 0 < low < high:
                wanted = False
                struck, struck_bid, struck_ask = now, bid, ask
                struck_at[strikes] = now
                strikes += 1
                if buys:
                    left[number] = size
                    hbt.submit_buy_order(0, number, low, size / 1e8, GTC, LIMIT, False)
                    quotes[0] = number
                    live += 1
                if sells:
                    left[number + 1] = size
                    hbt.submit_sell_order(0, number + 1, high, size / 1e8, GTC, LIMIT, False)
                    quotes[1] = number + 1
                    live += 1
                number += 2
        if live > 0 and wanted:
            for n in range(2):
                if quotes[n] != 0:
                    order = orders.get(quotes[n])
                    if order is not None and order.cancellable:
                        hbt.cancel(0, quotes[n], False)
        if closing and live == 0 and closing_id == 0:
            if abs(position) < least:
                closing = False
                continue  # the core is asked again at this moment: a tick follows what a deadline brought
            if now >= retry_at and good and running:
                closing_id = number
                closes += 1
                left[number] = abs(position)
                left[0] = abs(position)
                if position > 0:
                    hbt.submit_sell_order(0, number, bid, abs(position) / 1e8, GTC, MARKET, False)
                else:
                    hbt.submit_buy_order(0, number, ask, abs(position) / 1e8, GTC, MARKET, False)
                number += 1
        if now >= end_ns:
            return count, strikes, closes, 0
        wake = end_ns
        stamps = (
            board_ns + stale_ns,
            struck + ttl_ns if live > 0 else since + stall_ns,
            retry_at if closing else 0,
            running_ns,
        )
        for stamp in stamps:
            if now < stamp < wake:
                wake = stamp
        code = hbt.wait_next_feed(True, wake - now)
        if code not in (0, 2, 3):
            return count, strikes, closes, code


def run(data: Any, boards: Any, running_ns: int, cfg: AppConfig, theirs: Theirs, entry_ns: int, end_ns: int) -> Traded:
    """What the strategy does in hftbacktest."""
    return trade(backtest(data, theirs, entry_ns), boards, running_ns, cfg, end_ns)


def trade(hbt: Any, boards: Any, running_ns: int, cfg: AppConfig, end_ns: int) -> Traded:
    """What the strategy does in this backtest of theirs, which is closed afterwards."""
    instrument = cfg.exchange.instrument()
    params = stall_params(cfg.strategy, instrument)
    numbers = (
        params.stall_ns,
        params.ttl_ns,
        params.stale_ns,
        params.min_spread,
        params.max_reverse,
        params.size,
        params.max_inventory,
        params.min_size,
        params.offset,
        cfg.strategy.close_retry_ms * NS_PER_MS,
    )
    room = max(100_000, 2 * len(boards))  # nobody strikes more often than the book changes
    left, fills = np.zeros(2 * room, np.int64), np.zeros((room, 5), np.int64)
    struck_at = np.zeros(room, np.int64)
    count, strikes, closes, code = _stall(hbt, boards, numbers, left, fills, struck_at, running_ns, end_ns)
    account = hbt.state_values(0)
    position, balance = account.position, account.balance
    hbt.close()
    stamps = [int(at) for at in struck_at[:strikes]]
    return Traded(as_fills(fills[:count]), stamps, closes, code, position=position, balance=balance)

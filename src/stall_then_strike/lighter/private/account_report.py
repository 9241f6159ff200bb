"""The account as REST shows it, for reconciliation: asked for once, read for each instrument.

The questions are asked in the order that the engine expects: open orders, ended orders, trades, then the account, whose
one answer has positions and collateral. An order that ends between the first two is taken from the second.

The venue writes an empty list as null, and a broken answer may have a null where something should be. The account
counts its open orders: if it counts some and the list has none, the report is not complete.

A token that is refused twice is a failed question and no verdict on the key: a venue that takes no tokens for a while
still takes transactions, and a key that is revoked is refused by these.

Venue facts (documentation and probes of 2026): as in `client.py`; further, ``total_order_count`` of an account are its
open orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, Final, TypeVar

from loguru import logger
from pydantic import ValidationError

from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.counted_calls import CountedCalls
from stall_then_strike.lighter.client import LighterClient
from stall_then_strike.lighter.lighter_rules import PAGES
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import WIRE_NUMBER, Funding, Order, Position, Trade, Wire
from stall_then_strike.lighter.private.own_events import fill_of, lots_of, money_of, terms_of
from stall_then_strike.types.dto import (
    NS_PER_MS,
    NS_PER_S,
    AccountReport,
    ExecId,
    FillEvent,
    OrderId,
    ReportedOrder,
    ReportedState,
)
from stall_then_strike.types.errors import AuthRefused, NoAnswer
from stall_then_strike.types.instrument import Lots, Money

_W = TypeVar("_W", bound=Wire)
_ALL_MARKETS: Final = None
_MILLISECONDS_FROM: Final = 10**11
"""A smaller stamp is in seconds: as milliseconds it would lie in 1973."""
_MICROSECONDS_FROM: Final = 10**14
_ENDS: Final = {"filled": ReportedState.COMPLETED, "canceled-expired": ReportedState.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the venue answered, for all markets."""

    asked_ns: int
    ts_ns: int
    orders: tuple[Order, ...]
    """Open ones and the newest ended ones, each once."""
    trades: tuple[Trade, ...]
    positions: Mapping[int, Position]
    collateral: Decimal
    is_complete: bool
    calls: int


async def look(calls: LighterClient, clock: Clock, since: Mapping[int, ExecId]) -> Shown:
    """Ask for the account, with the trades of each market after the one named.

    Raises VenueError with the number of calls made.
    """
    counted = CountedCalls()
    try:
        return await _look(calls, clock, since, counted)
    except AuthRefused as error:
        failure = NoAnswer(error.request, str(error))
    failure.calls = counted.made
    raise failure


async def _look(calls: LighterClient, clock: Clock, since: Mapping[int, ExecId], counted: CountedCalls) -> Shown:
    ask, asked_ns = counted.ask, clock.now_ns()
    active, bad = _read(Order, await ask(calls.active_orders(_ALL_MARKETS)))
    ended, more = _read(Order, await ask(calls.inactive_orders()))
    bad += more
    trades, more = await _look_at_trades(calls, counted, since)
    bad += more
    row = await ask(calls.account())
    try:
        return _shown(row, asked_ns, clock.now_ns(), active, ended, trades, bad=bad, made=counted.made)
    except (ValidationError, KeyError, TypeError) as error:
        failure = NoAnswer("account", f"the answer is none ({type(error).__name__})")
    failure.calls = counted.made
    raise failure


async def _look_at_trades(
    calls: LighterClient, counted: CountedCalls, since: Mapping[int, ExecId]
) -> tuple[list[Trade], int]:
    """The newest trades, and how many rows, or ends of lists, are missing.

    One page of all markets is enough if it goes back far enough for each. Otherwise a market is asked for alone: trades
    in others, of which an account may have thousands, must not hide that nothing is missing in this one.
    """
    only = next(iter(since)) if len(since) == 1 else None
    rows, following = await counted.ask(calls.trades(only))
    first, bad = _read(Trade, rows)
    trades = [*first]
    for market, last in since.items():
        page, cursor, asked = first, following, int(only is not None)
        while cursor is not None and all(trade.trade_id > last for trade in page):
            if asked == PAGES:
                bad += 1
                break
            rows, cursor = await counted.ask(calls.trades(market, cursor if asked else None))
            page, more = _read(Trade, rows)
            trades, bad, asked = [*trades, *page], bad + more, asked + 1
    return trades, bad


async def look_at_fundings(calls: LighterClient) -> list[Funding]:
    """Ask for the newest payments of funding: one call. Raises VenueError."""
    return _read(Funding, await calls.fundings())[0]


def _shown(
    row: Mapping[str, Any],
    asked_ns: int,
    ts_ns: int,
    active: list[Order],
    ended: list[Order],
    trades: list[Trade],
    *,
    bad: int,
    made: int,
) -> Shown:
    positions = [Position.model_validate(position) for position in row.get("positions") or []]
    bound = WIRE_NUMBER.validate_python(row.get("cross_initial_margin_requirement") or 0)
    if bound and not any(position.position for position in positions):
        raise KeyError("positions")  # what binds margin is missing
    is_lacking = not active and bool(row.get("total_order_count"))
    return Shown(
        asked_ns=asked_ns,
        ts_ns=ts_ns,
        orders=tuple({order.order_index: order for order in (*active, *ended)}.values()),
        trades=tuple({trade.trade_id: trade for trade in trades}.values()),
        positions={position.market_id: position for position in positions},
        collateral=WIRE_NUMBER.validate_python(row["collateral"]),
        is_complete=not bad and not is_lacking,
        calls=made,
    )


def report_of(shown: Shown, market: Market, account_index: int, since: ExecId, *, calls: int) -> AccountReport:
    """The part of one instrument. ``calls`` are those that it answers for. Raises NoAnswer."""
    unit, is_complete = market.instrument, shown.is_complete
    orders: list[ReportedOrder] = []
    fills: list[FillEvent] = []
    for order in shown.orders:
        if order.market_index == market.market_index:
            try:
                orders.append(_reported(order, market))
            except ValueError:
                is_complete = False
    for trade in shown.trades:
        if trade.market_id == market.market_index and trade.trade_id > since:
            try:
                fill = fill_of(trade, unit, account_index, stamp_ns(trade.timestamp))
            except ValueError:
                is_complete = False
            else:
                fills += [] if fill is None else [fill]
    position = shown.positions.get(market.market_index)
    try:
        size = Lots(0) if position is None else lots_of(position.size, unit)
    except ValueError as error:
        raise NoAnswer("account", f"the position in {market.symbol} is none: {error}") from None
    price = Decimal(0) if position is None else position.avg_entry_price * unit.ticks_per_one
    return AccountReport(
        ts_ns=shown.ts_ns,
        asked_ns=shown.asked_ns,
        orders=tuple(orders),
        since=since,
        fills=tuple(sorted(fills, key=lambda fill: fill.exec_id)),
        is_complete=is_complete,
        position=size,
        basis=Money(int((price * size).to_integral_value(ROUND_HALF_EVEN))),
        collateral=money_of(shown.collateral, unit, ROUND_FLOOR),
        calls=calls,
    )


def _reported(order: Order, market: Market) -> ReportedOrder:
    side, price, size = terms_of(market.instrument, order)
    state = _ENDS.get(order.status, ReportedState.CANCELED) if order.is_over else ReportedState.ACTIVE
    return ReportedOrder(
        order_id=OrderId(order.name),
        side=side,
        price=price,
        size=size,
        executed=market.instrument.to_lots(order.filled_base_amount),
        state=state,
        placed_ns=stamp_ns(order.created_at or order.timestamp),
    )


def stamp_ns(stamp: int) -> int:
    """A stamp of the venue, in seconds, milliseconds or microseconds, as nanoseconds."""
    if stamp < _MILLISECONDS_FROM:
        return stamp * NS_PER_S
    return stamp * NS_PER_MS if stamp < _MICROSECONDS_FROM else stamp * 1_000


def _read(kind: type[_W], rows: Iterable[Mapping[str, Any]]) -> tuple[list[_W], int]:
    """The rows as values, and how many could not be read."""
    found: list[_W] = []
    bad = 0
    for row in rows:
        try:
            found.append(kind.model_validate(row))
        except ValidationError as error:
            bad += 1
            where = ", ".join(".".join(map(str, part["loc"])) for part in error.errors()[:3])
            logger.warning("a row of the account's {}s is left out: {}", kind.__name__.lower(), where)
    return found, bad

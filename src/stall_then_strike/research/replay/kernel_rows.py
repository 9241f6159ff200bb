"""Converts the compiled replay's numbers to the log rows of an interpreted replay: same rows, same order."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, cast

import numpy as np

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.acting.closing import CLOSE_TAG, DUST_TAG
from stall_then_strike.engine.strategy_stall import STALL_TAG
from stall_then_strike.research.replay import kernel_state as x
from stall_then_strike.research.replay.compiled import Outcome
from stall_then_strike.research.replay.kernel_state import DecisionRow, NewRow, OrderRow, TradeRow, layout
from stall_then_strike.research.tables.columns import BOARD_STATES, Ints
from stall_then_strike.types.dto import (
    NS_PER_MS,
    Action,
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    DecisionLogRow,
    OrderId,
    OrderLogRow,
    PlaceLimit,
    Reason,
    Side,
    TimeInForce,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks

LogRow = TradeLogRow | OrderLogRow | DecisionLogRow

_TAGS: Final = {x.TAG_STALL: STALL_TAG, x.TAG_CLOSE: CLOSE_TAG, x.TAG_DUST: DUST_TAG}
_DID: Final = {
    x.DID_STRIKE: "strike",
    x.DID_CANCEL: "cancel",
    x.DID_CLOSE: "close",
    x.DID_HOLD: "hold",
    x.DID_HALT: "halt",
    x.DID_RESUME: "resume",
}
_REMEMBERED: Final = 100_000
"""How many orders a reader remembers; far more than can be live."""
_SIDES: Final = {1: Side.BUY, -1: Side.SELL}

R = TypeVar("R")


def _reader(declared: type[R]) -> Callable[[list[int]], R]:
    """Return a function that turns the numbers of one kind of row into a named tuple."""
    names = layout(declared).names or ()
    made: Any = namedtuple("Numbers", names)  # type: ignore[misc]  # mypy does not know its fields
    return lambda numbers: cast(R, made._make(numbers[: len(names)]))


_new, _decision, _trade, _order = _reader(NewRow), _reader(DecisionRow), _reader(TradeRow), _reader(OrderRow)


class RowReader:
    """Reads the log in order, and remembers its latest orders."""

    def __init__(self, cfg: AppConfig) -> None:
        """``cfg`` must be the configuration of the run."""
        self._ttl_ms = cfg.strategy.ttl_ms
        self._run = self._paper = ""
        self._orders: dict[int, NewRow] = {}
        self._placed: dict[int, int] = {}

    def read(self, log: Ints, started_ns: int, first_order_ns: int) -> Iterator[LogRow]:
        """The rows of the next part of the log."""
        self._run, self._paper = f"{started_ns // NS_PER_MS:x}", f"{first_order_ns // NS_PER_MS:x}"
        for kind, ts_ns, *numbers in log.view(np.int64).reshape(-1, x.LOG_NUMBERS).tolist():
            if kind == x.LOG_DECISION:
                yield self._decision(ts_ns, _decision(numbers))
            elif kind == x.LOG_TRADE:
                yield self._trade(ts_ns, _trade(numbers))
            elif kind == x.LOG_ORDER:
                yield self._order(ts_ns, _order(numbers))
            else:
                self._know(_new(numbers))

    def _know(self, order: NewRow) -> None:
        self._orders[order.number] = order
        for known in (self._orders, self._placed):
            if len(known) > _REMEMBERED:
                del known[next(iter(known))]

    def _decision(self, ts_ns: int, row: DecisionRow) -> DecisionLogRow:
        return DecisionLogRow(
            ts_ns=ts_ns,
            best_age_ms=row.age_ms,
            spread_ticks=row.spread,
            inventory=Lots(row.position),
            decision_type=_DID[row.did],
            entry_bid_px=Ticks(row.bid),
            entry_ask_px=Ticks(row.ask),
            actions=tuple(self._actions(row)),
            reason=Reason(row.reason),
        )

    def _actions(self, row: DecisionRow) -> Iterator[Action]:
        named = [number for number in (row.first, row.second) if number]
        if row.action == x.ACT_CANCEL:
            names = tuple(self._order_id(self._placed[number]) for number in named)
            yield CancelAllStall(order_ids=names, reason=Reason(row.action_reason))
        elif row.action == x.ACT_STRIKE:
            for number in named:
                order = self._orders[number]
                yield PlaceLimit(
                    client_order_id=self._name(number),
                    side=_SIDES[order.side],
                    price=Ticks(order.price),
                    size=Lots(order.size),
                    ttl_ms=self._ttl_ms,
                    tag=_TAGS[order.tag],
                    reason=Reason(order.reason),
                )
        elif row.action == x.ACT_CLOSE:
            order = self._orders[row.first]
            yield CloseMarket(
                client_order_id=self._name(row.first),
                side=_SIDES[order.side],
                price=Ticks(order.price) if order.price else None,
                size=Lots(order.size),
                tag=_TAGS[order.tag],
                reason=Reason(order.reason),
            )

    def _trade(self, ts_ns: int, row: TradeRow) -> TradeLogRow:
        return TradeLogRow(
            ts_ns=ts_ns,
            order_id=self._order_id(row.placed),
            side=_SIDES[row.side],
            price=Ticks(row.price),
            size=Lots(row.size),
            fee=Money(row.fee),
            tag=_TAGS[self._orders[row.number].tag],
            pnl_jpy=Money(row.realised),
            pnl_cum_jpy=Money(row.realised_today),
            inventory_after=Lots(row.position),
        )

    def _order(self, ts_ns: int, row: OrderRow) -> OrderLogRow:
        order, detail = self._orders[row.number], row.detail
        is_quote = order.tag == x.TAG_STALL
        if row.what == x.END_PLACED:
            self._placed[row.number] = row.placed
            action, reason = "place", Reason(detail).label
        elif row.what == x.END_CANCELLED:
            action, reason = "cancel", Reason(detail).label if detail else "by the venue"
        elif row.what == x.END_EXPIRED:
            action, reason = "expire", "unfilled rest" if detail else "venue expiry"
        else:
            why = f"market state is {BOARD_STATES[detail]} (-204)" if detail else "an own order would be met (-159)"
            action, reason = "expire", f"rejected: {why}"
        return OrderLogRow(
            ts_ns=ts_ns,
            action=action,
            order_id=self._order_id(row.placed),
            client_order_id=self._name(row.number),
            side=_SIDES[order.side],
            price=Ticks(order.price),
            size=Lots(order.size),
            tif=TimeInForce.GTC if is_quote else TimeInForce.IOC,
            ttl_ms=self._ttl_ms if is_quote else 0,
            tag=_TAGS[order.tag],
            reason=reason,
        )

    def _name(self, number: int) -> ClientOrderId:
        return ClientOrderId(f"{self._run}-{number}")

    def _order_id(self, placed: int) -> OrderId:
        return OrderId(f"PAPER-{self._paper}-{placed:06d}")


def log_rows(outcome: Outcome, cfg: AppConfig) -> Iterator[LogRow]:
    """All rows of a run with logging. ``cfg`` must be the configuration of the run."""
    return RowReader(cfg).read(outcome.log, outcome.started_ns, outcome.first_order_ns)

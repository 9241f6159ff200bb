"""The compiled replay's numbers as the log rows that an interpreted replay writes: same rows, same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.closing import CLOSE_TAG, DUST_TAG
from stall_then_strike.engine.strategy_stall import STALL_TAG
from stall_then_strike.research.replay import kernel_state as x
from stall_then_strike.research.replay.compiled import Outcome
from stall_then_strike.research.replay.kernel_state import I64
from stall_then_strike.research.tables.columns import BOARD_STATES
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
"""Orders; far more than can be live."""
_SIDES: Final = {1: Side.BUY, -1: Side.SELL}


class RowReader:
    """Reads the log in order, and remembers the latest orders that it names."""

    def __init__(self, cfg: AppConfig) -> None:
        """``cfg`` is the one of the run."""
        self._ttl_ms = cfg.strategy.ttl_ms
        self._run = self._paper = ""
        self._orders: dict[int, list[int]] = {}
        self._placed: dict[int, int] = {}

    def read(self, log: I64, started_ns: int, first_order_ns: int) -> Iterator[LogRow]:
        """The rows of the next part of the log."""
        self._run, self._paper = f"{started_ns // NS_PER_MS:x}", f"{first_order_ns // NS_PER_MS:x}"
        for numbers in log.tolist():
            row = self._row(numbers)
            if row is not None:
                yield row

    def _row(self, numbers: list[int]) -> LogRow | None:
        kind = numbers[0]
        if kind == x.LOG_NEW:
            self._orders[numbers[2]] = numbers
            for known in (self._orders, self._placed):
                if len(known) > _REMEMBERED:
                    del known[next(iter(known))]
            return None
        if kind == x.LOG_DECISION:
            return self._decision(numbers)
        return self._trade(numbers) if kind == x.LOG_TRADE else self._order(numbers)

    def _decision(self, n: list[int]) -> DecisionLogRow:
        return DecisionLogRow(
            ts_ns=n[1],
            best_age_ms=n[6],
            spread_ticks=n[7],
            inventory=Lots(n[8]),
            decision_type=_DID[n[2]],
            entry_bid_px=Ticks(n[4]),
            entry_ask_px=Ticks(n[5]),
            actions=tuple(self._actions(n)),
            reason=Reason(n[3]),
        )

    def _actions(self, n: list[int]) -> Iterator[Action]:
        named = [number for number in n[10:12] if number]
        if n[9] == x.ACT_CANCEL:
            names = tuple(self._order_id(self._placed[number]) for number in named)
            yield CancelAllStall(order_ids=names, reason=Reason(n[12]))
        elif n[9] == x.ACT_STRIKE:
            for number in named:
                order = self._orders[number]
                yield PlaceLimit(
                    client_order_id=self._name(number),
                    side=_SIDES[order[3]],
                    price=Ticks(order[4]),
                    size=Lots(order[5]),
                    ttl_ms=self._ttl_ms,
                    tag=_TAGS[order[6]],
                    reason=Reason(order[7]),
                )
        elif n[9] == x.ACT_CLOSE:
            order = self._orders[named[0]]
            yield CloseMarket(
                client_order_id=self._name(named[0]),
                side=_SIDES[order[3]],
                price=Ticks(order[4]) if order[4] else None,
                size=Lots(order[5]),
                tag=_TAGS[order[6]],
                reason=Reason(order[7]),
            )

    def _trade(self, n: list[int]) -> TradeLogRow:
        return TradeLogRow(
            ts_ns=n[1],
            order_id=self._order_id(n[10]),
            side=_SIDES[n[3]],
            price=Ticks(n[4]),
            size=Lots(n[5]),
            fee=Money(n[6]),
            tag=_TAGS[self._orders[n[2]][6]],
            pnl_jpy=Money(n[7]),
            pnl_cum_jpy=Money(n[8]),
            inventory_after=Lots(n[9]),
        )

    def _order(self, n: list[int]) -> OrderLogRow:
        number, what, detail, placed = n[2:6]
        order = self._orders[number]
        is_quote = order[6] == x.TAG_STALL
        if what == x.END_PLACED:
            self._placed[number] = placed
            action, reason = "place", Reason(detail).label
        elif what == x.END_CANCELLED:
            action, reason = "cancel", Reason(detail).label if detail else "by the venue"
        elif what == x.END_EXPIRED:
            action, reason = "expire", "unfilled rest" if detail else "venue expiry"
        else:
            why = f"market state is {BOARD_STATES[detail]} (-204)" if detail else "an own order would be met (-159)"
            action, reason = "expire", f"rejected: {why}"
        return OrderLogRow(
            ts_ns=n[1],
            action=action,
            order_id=self._order_id(placed),
            client_order_id=self._name(number),
            side=_SIDES[order[3]],
            price=Ticks(order[4]),
            size=Lots(order[5]),
            tif=TimeInForce.GTC if is_quote else TimeInForce.IOC,
            ttl_ms=self._ttl_ms if is_quote else 0,
            tag=_TAGS[order[6]],
            reason=reason,
        )

    def _name(self, number: int) -> ClientOrderId:
        return ClientOrderId(f"{self._run}-{number}")

    def _order_id(self, placed: int) -> OrderId:
        return OrderId(f"PAPER-{self._paper}-{placed:06d}")


def log_rows(outcome: Outcome, cfg: AppConfig) -> Iterator[LogRow]:
    """All rows of a run that was logged. ``cfg`` is the one that it ran with."""
    return RowReader(cfg).read(outcome.log, outcome.started_ns, outcome.first_order_ns)

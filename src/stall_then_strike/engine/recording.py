"""The output of a step: log rows, notices for the operator, and the run's counts.

The core reports what happened; this module turns it into rows. The rows of the current step are in ``rows``, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Order, OrderState
from stall_then_strike.types.dto import (
    NS_PER_MS,
    Action,
    BoardSnapshot,
    BookedFill,
    ClientOrderId,
    DecisionLogRow,
    DecisionMeta,
    Fact,
    FillEvent,
    FundingEvent,
    Notice,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderLogRow,
    Reason,
    Row,
    TimeInForce,
    TradeLogRow,
)
from stall_then_strike.types.instrument import NO_PRICE, Instrument, Money

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_ACCEPTED: Final = OrderEventKind.ACCEPTED
_REJECTED: Final = OrderEventKind.REJECTED
_NOT_SENT: Final = OrderEventKind.NOT_SENT
_PROVEN_ABSENT: Final = OrderEventKind.PROVEN_ABSENT
_CANCELLED: Final = OrderEventKind.CANCELLED
_EXPIRED: Final = OrderEventKind.EXPIRED
_SEND_UNKNOWN: Final = OrderEventKind.SEND_UNKNOWN


@dataclass(slots=True)
class Tally:
    """Counts of a run, for the panel and the summary."""

    boards: int = 0
    strikes: int = 0
    placed: int = 0
    """Orders that the venue accepted, closes included."""
    rejected: int = 0
    quotes: int = 0
    """Accepted orders of strikes; ``touched`` of them had any fill, ``filled`` of them were filled completely."""
    touched: int = 0
    filled: int = 0
    cancelled: int = 0
    expired: int = 0
    closes: int = 0
    fills: int = 0
    volume: int = 0
    """Lots."""
    anomalies: int = 0
    reason_rows: dict[Reason, int] = field(default_factory=dict)
    """Decision rows by reason."""
    reason_ns: dict[Reason, int] = field(default_factory=dict)
    """How long each reason for doing nothing lasted, in nanoseconds."""


class Recorder:
    """Writes rows and counts. Reads the inventory, changes nothing but its own lists."""

    def __init__(self, instrument: Instrument, inventory: InventoryManager, *, is_remembered: bool) -> None:
        """Start empty. ``is_remembered``: there is a journal, which needs facts and booked fills."""
        self._is_remembered = is_remembered
        self.tally = Tally()
        self.rows: list[Row] = []
        self.booked: list[BookedFill] = []
        """Fills of this step, for the journal; ``facts`` likewise."""
        self.facts: list[Fact] = []
        self._instrument = instrument
        self._inventory = inventory
        self.now_ns = 0
        """The time of the step, set by the core."""
        self.hold_reason: Reason | None = None
        """The reason for doing nothing, None after a decision to act. Read at every step, changed only here."""
        self._hold_ns = 0

    def take(self) -> tuple[Row, ...]:
        """The rows of the step that ends. The next one begins without rows, facts and fills."""
        rows = tuple(self.rows)
        self.rows, self.facts, self.booked = [], [], []
        return rows

    def note(self, level: str, text: str) -> None:
        """Add a line for the runtime log."""
        self.rows.append(Notice(ts_ns=self.now_ns, level=level, text=text))

    def fact(
        self,
        what: str,
        *,
        client_order_id: ClientOrderId | None = None,
        order_id: OrderId | None = None,
        detail: str = "",
    ) -> None:
        """Add a fact for the journal."""
        if not self._is_remembered:
            return
        self.facts.append(
            Fact(ts_ns=self.now_ns, what=what, client_order_id=client_order_id, order_id=order_id, detail=detail)
        )

    def anomaly(self, text: str) -> None:
        """Record a contradiction that trading survived."""
        self.tally.anomalies += 1
        self.note("WARNING", text)
        self.fact("anomaly", detail=text)

    def decision(self, meta: DecisionMeta, board: BoardSnapshot, actions: tuple[Action, ...] = ()) -> None:
        """Record a decision to act, with its board. The next ``hold`` then gets a row in any case."""
        self._count_hold()
        self.hold_reason = None
        self._decision(meta, board, actions)

    def _decision(self, meta: DecisionMeta, board: BoardSnapshot, actions: tuple[Action, ...] = ()) -> None:
        self.tally.reason_rows[meta.reason] = self.tally.reason_rows.get(meta.reason, 0) + 1
        self.rows.append(
            DecisionLogRow(
                ts_ns=self.now_ns,
                best_age_ms=(self.now_ns - board.best_since_ns) // NS_PER_MS if board.best_since_ns else 0,
                spread_ticks=board.spread_ticks,
                inventory=self._inventory.position,
                decision_type=meta.decision_type,
                entry_bid_px=meta.entry_bid,
                entry_ask_px=meta.entry_ask,
                actions=actions,
                reason=meta.reason,
            )
        )

    def hold(self, reason: Reason, board: BoardSnapshot) -> None:
        """Record that nothing is done; only a changed reason gets a row."""
        if reason is self.hold_reason:
            return
        self._count_hold()
        self.hold_reason = reason
        self._decision(DecisionMeta(decision_type="hold", reason=reason), board)

    def finish(self, now_ns: int) -> None:
        """Count the current reason's time up to ``now_ns``."""
        self.now_ns = max(now_ns, self.now_ns)
        self._count_hold()

    def _count_hold(self) -> None:
        if (reason := self.hold_reason) is not None:
            held = self.tally.reason_ns
            held[reason] = held.get(reason, 0) + self.now_ns - self._hold_ns
        self._hold_ns = self.now_ns

    def fill(self, order: Order, fill: FillEvent, realised: Money) -> None:
        """Record a fill of our order, after it was booked."""
        tally = self.tally
        tally.fills += 1
        tally.volume += fill.size
        if order.is_quote:
            tally.touched += order.executed == fill.size
            tally.filled += order.state is OrderState.FILLED
        self._trade(fill, order.tag, realised, order.client_order_id, order.order_id)

    def stranger(self, fill: FillEvent, tag: str, realised: Money) -> None:
        """Record a fill that is not of our orders, after it was booked."""
        self.tally.fills += 1
        self.tally.volume += fill.size
        self._trade(fill, tag, realised, None, None)

    def _trade(
        self,
        fill: FillEvent,
        tag: str,
        realised: Money,
        client_order_id: ClientOrderId | None,
        order_id: OrderId | None,
    ) -> None:
        row = TradeLogRow(
            ts_ns=fill.ts_ns,
            order_id=order_id or fill.order_id or "",
            side=fill.side,
            price=fill.price,
            size=fill.size,
            fee=fill.fee,
            tag=tag,
            pnl_jpy=realised,
            pnl_cum_jpy=self._inventory.realised_today,
            inventory_after=self._inventory.position,
        )
        self.rows.append(row)
        if self._is_remembered:
            self.booked.append(BookedFill(exec_id=fill.exec_id, client_order_id=client_order_id, row=row))
        size, price = self._instrument.size(fill.size), self._instrument.price(fill.price)
        won, held = self._instrument.amount(realised), self._instrument.size(self._inventory.position)
        self.note(
            "INFO",
            f"fill {fill.side} {size:f} @ {price:f} ({tag}): {won:+,.2f} {self._instrument.quote}, position {held:+f}",
        )
        self.fact(
            "fill",
            client_order_id=client_order_id,
            order_id=order_id or fill.order_id,
            detail=f"{fill.exec_id} {fill.side} {size:f} @ {price:f}",
        )

    def funding(self, event: FundingEvent) -> None:
        """Record a payment without a fill."""
        self.note("INFO", f"{event.what}: {self._instrument.amount(event.amount):+,.2f} {self._instrument.quote}")
        self.fact("funding", detail=f"{self._instrument.amount(event.amount):+f}")

    def order_event(self, order: Order, event: OrderEvent) -> None:
        """Record an order event, after it was applied."""
        kind, tally = event.kind, self.tally
        if self._is_remembered:
            self.fact(kind.value, client_order_id=order.client_order_id, order_id=order.order_id, detail=event.detail)
        if kind is _ACCEPTED:
            tally.placed += 1
            tally.quotes += order.is_quote
            self._order(order, "place", order.reason.label, event.ts_ns)
        elif kind in (_REJECTED, _NOT_SENT, _PROVEN_ABSENT):
            tally.rejected += 1
            text = f"{kind.value}: {event.detail}" if event.detail else kind.value
            self._order(order, "place" if order.order_id is None else "expire", text, event.ts_ns)
            self.note("WARNING", f"order {order.client_order_id} {text}")
        elif kind is _CANCELLED:
            tally.cancelled += 1
            reason = "by the venue" if order.cancel_reason is None else order.cancel_reason.label
            self._order(order, "cancel", reason, event.ts_ns)
        elif kind is _EXPIRED:
            tally.expired += 1
            rest = order.time_in_force is not TimeInForce.GTC
            self._order(order, "expire", "unfilled rest" if rest else "venue expiry", event.ts_ns)
        elif kind is _SEND_UNKNOWN:
            self.note("WARNING", f"no answer to order {order.client_order_id}: {event.detail}; counted as live")

    def _order(self, order: Order, action: str, reason: str, ts_ns: int) -> None:
        self.rows.append(
            OrderLogRow(
                ts_ns=ts_ns,
                action=action,
                order_id=order.order_id or "",
                client_order_id=order.client_order_id,
                side=order.side,
                price=order.price or NO_PRICE,
                size=order.size,
                tif=order.time_in_force,
                ttl_ms=order.ttl_ms,
                tag=order.tag,
                reason=reason,
            )
        )

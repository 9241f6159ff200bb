"""One instrument's orders, fills and position on paper, as the venue's reports of an account show them.

The reconciler compares them with the core's, as it compares the real account's in a live run. They are never late, and
a fill is told and listed alike, so a difference is an error of this program.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.gateway import EventSink, Later, Reply, Request
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.venue.rules import Ended, VenueRules
from stall_then_strike.sim.paper import PaperGateway
from stall_then_strike.types.dto import (
    AccountReport,
    CancelRequest,
    Event,
    ExecId,
    FillEvent,
    FundingEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    ReportedOrder,
    ReportedState,
)
from stall_then_strike.types.errors import VenueError
from stall_then_strike.types.instrument import Lots, Money

_KEPT: Final = 100
"""Ended orders that are listed."""
_ENDINGS: Final = {
    OrderEventKind.CANCELLED: ReportedState.CANCELED,
    OrderEventKind.EXPIRED: ReportedState.EXPIRED,
    OrderEventKind.REJECTED: ReportedState.REJECTED,
}


@dataclass(slots=True, kw_only=True)
class Refrained:
    """What a live run would have sent."""

    orders: int = 0
    cancels: int = 0


class PaperAccount:
    """An `OrderGateway` on paper that knows what became of the orders."""

    def __init__(
        self,
        cfg: AppConfig,
        number: int,
        rules: VenueRules,
        *,
        sink: EventSink,
        now_ns: Callable[[], int],
    ) -> None:
        """``cfg`` is the account's, ``number`` the instrument's. Events go to ``sink``."""
        each = cfg.by_instrument()
        self.instrument: Final = each[number].exchange.instrument()
        self.refrained: Final = Refrained()
        self._rules, self._sink, self._now_ns = rules, sink, now_ns
        self._held = InventoryManager(cfg.risk, self.instrument)
        self._listed: dict[OrderId, ReportedOrder] = {}
        self._sent: dict[OrderId, ReportedOrder] = {}
        """Accepted and not on the book yet: no list shows them."""
        self._ended: deque[OrderId] = deque()
        self._fills: deque[FillEvent] = deque()
        self.on_sent: Callable[[], None] = lambda: None
        """Called after each request, because :attr:`PaperGateway.next_deadline_ns` may have changed."""
        self.paper: Final = PaperGateway(
            cfg.paper,
            cfg.session,
            self.instrument,
            rules,
            sink=self._on_event,
            now_ns=now_ns,
            place=(number, len(each)),
        )

    @property
    def won(self) -> Money:
        """What it has realised, after fees and funding."""
        return self._held.run_realised

    def send(self, batch: Sequence[Request]) -> Later[Sequence[Reply]]:
        """Answer orders and cancels on paper."""
        return Later(partial(self._send, batch))

    async def _send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        answers = await self.paper.send(batch)
        for request, answer in zip(batch, answers, strict=True):
            if isinstance(request, CancelRequest):
                self.refrained.cancels += 1
            elif isinstance(request, OrderRequest):
                self.refrained.orders += 1
                if not isinstance(answer, VenueError):
                    self._sent[answer] = self._of(request, answer)
        self.on_sent()
        return answers

    def _of(self, request: OrderRequest, order_id: OrderId) -> ReportedOrder:
        return ReportedOrder(
            order_id=order_id,
            side=request.side,
            price=request.price,
            size=request.size,
            executed=Lots(0),
            state=ReportedState.ACTIVE,
            placed_ns=self._now_ns(),
        )

    # --- what becomes of them

    def _on_event(self, event: Event) -> None:
        """Note what the paper venue tells, and pass it on."""
        if isinstance(event, FillEvent):
            self._fills.append(event)
            self._held.apply_fill(event)
            if event.order_id is not None:
                self._on_filled(event.order_id, event.size)
        elif isinstance(event, OrderEvent) and event.order_id is not None:
            self._on_order(event.order_id, event.kind)
        elif isinstance(event, FundingEvent):
            self._held.apply_cash(event.amount)
            if self._rules.carry_share is not None:
                return  # it is found in the collateral, as at the venue
        self._sink(event)

    def _on_order(self, order_id: OrderId, kind: OrderEventKind) -> None:
        if kind is OrderEventKind.REGISTERED:
            self._listed[order_id] = self._sent.pop(order_id)
        elif (state := _ENDINGS.get(kind)) is not None:
            self._sent.pop(order_id, None)
            self._end(order_id, state)

    def _on_filled(self, order_id: OrderId, size: Lots) -> None:
        order = self._listed[order_id]
        self._listed[order_id] = order = replace(order, executed=Lots(order.executed + size))
        if order.executed == order.size:
            self._end(order_id, ReportedState.COMPLETED)

    def _end(self, order_id: OrderId, state: ReportedState) -> None:
        """An order has ended: it is listed as far as the venue lists such."""
        order = self._listed.pop(order_id, None)
        is_listed = self._rules.ended is Ended.ALL or (self._rules.ended is Ended.EXECUTED and order and order.executed)
        if order is None or not is_listed:
            return
        self._listed[order_id] = replace(order, state=state)
        self._ended.append(order_id)
        if len(self._ended) > _KEPT:
            del self._listed[self._ended.popleft()]

    def report(self, real: AccountReport, since: ExecId, collateral: Money) -> AccountReport:
        """The account on paper, as if ``real`` had shown it. ``collateral`` is without the open position's result."""
        while self._fills and self._fills[0].exec_id <= since:
            self._fills.popleft()
        return replace(
            real,
            ts_ns=self._now_ns(),
            orders=tuple(self._listed.values()),
            since=since,
            fills=tuple(self._fills),
            is_complete=True,
            position=self._held.position,
            basis=self._held.basis,
            collateral=collateral,
        )

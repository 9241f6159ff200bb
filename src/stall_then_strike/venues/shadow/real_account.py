"""What the real account had when a shadow run began, and what has changed since.

A shadow run sends nothing, so whatever changes is the doing of somebody else: another program, the operator, or the
venue. It is told and not acted on. It is never compared with the position on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stall_then_strike.types.dto import AccountReport, ExecId, OrderId, ReportedOrder, ReportedState
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import money, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened to the real account."""

    name: str
    """What kind it is, without any figure of the account."""
    seen: str
    """As ``name``."""
    detail: str
    """With figures: for the operator alone."""


Tell = Callable[[Change], None]


class RealAccount:
    """One instrument of it."""

    def __init__(self, instrument: Instrument, tell: Tell) -> None:
        """``tell`` gets each change. It neither blocks nor raises."""
        self._unit, self._tell = instrument, tell
        self._last: AccountReport | None = None
        self._orders: dict[OrderId, ReportedOrder] = {}
        self.since = ExecId(0)
        """Executions up to this one are known."""
        self.at_start = ""
        """What it had, in words; empty before the first report."""
        self.collateral_at_start = 0

    def take(self, report: AccountReport) -> None:
        """Take a report; the first one is the beginning."""
        last, self._last = self._last, report
        orders = {order.order_id: order for order in report.orders if order.state is ReportedState.ACTIVE}
        before, self._orders = self._orders, orders
        news = [fill for fill in report.fills if fill.exec_id > self.since]
        self.since = max((fill.exec_id for fill in report.fills), default=self.since)
        if last is None:
            self.at_start = f"position {self._size(report.position)}, {self._count(len(orders))}"
            self.collateral_at_start = report.collateral
            return
        for change in self._of_orders(before, orders, len(news)):
            self._tell(change)
        for change in self._of_figures(last, report):
            self._tell(change)

    def _of_orders(
        self, before: dict[OrderId, ReportedOrder], now: dict[OrderId, ReportedOrder], executions: int
    ) -> Iterator[Change]:
        for name in now.keys() - before.keys():
            yield self._of("an order was placed on the account", "a new one", self._words(now[name]))
        for name in before.keys() - now.keys():
            yield self._of("an order of the account has ended", "it is gone", self._words(before[name]))
        if executions:
            yield self._of("executions on the account", "new ones", f"{executions} since the last look")

    def _of_figures(self, last: AccountReport, report: AccountReport) -> Iterator[Change]:
        if report.position != last.position:
            detail = f"it was {self._size(last.position)} and is {self._size(report.position)}"
            yield self._of("the account's position has changed", _way(last.position, report.position), detail)
        if report.collateral != last.collateral:
            was, now = (money(self._unit.amount(one.collateral), signed=False) for one in (last, report))
            detail = f"it was {was} and is {now} {self._unit.quote}"
            yield self._of("the account's collateral has changed", _way(last.collateral, report.collateral), detail)

    def _of(self, name: str, seen: str, detail: str) -> Change:
        return Change(name=name, seen=seen, detail=detail)

    def _size(self, lots: int) -> str:
        return f"{self._unit.size(lots):+f} {self._unit.base}"

    def _count(self, orders: int) -> str:
        return "1 order open" if orders == 1 else f"{orders or 'no'} orders open"

    def _words(self, order: ReportedOrder) -> str:
        at = "market" if order.price is None else f"{self._unit.price(order.price):f}"
        return f"{order.order_id}: {order.side} {plain(self._unit.size(order.size))} @ {at}"


def _way(before: int, now: int) -> str:
    return "it rose" if now > before else "it fell"

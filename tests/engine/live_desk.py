"""The core with an account, driven by hand (rig.py), the test as its venue."""

from __future__ import annotations

from typing import Any

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.types.dto import (
    BookedFill,
    ClientOrderId,
    CoreMemo,
    OrderMemo,
    PlaceLimit,
    PrivateChannel,
    ReportedOrder,
    Step,
)
from tests.engine.core_rig import Desk, at
from tests.engine.venue.reports import report


class LiveDesk(Desk):
    """A desk whose core has an account."""

    def __init__(self, cfg: AppConfig | None = None, rules: VenueRules | None = None) -> None:
        super().__init__(cfg, rules, live=True)

    def channel(self, ms: float, *, is_live: bool) -> Step:
        return self.feed(PrivateChannel(ts_ns=at(ms), is_live=is_live), ms)

    def report(self, ms: float, *orders: ReportedOrder, **others: Any) -> Step:
        return self.feed(report(ms, *orders, **others), ms)

    def killed(self, cfg: AppConfig | None = None) -> LiveDesk:
        """A new run on what this one left to be remembered."""
        memo: CoreMemo | None = None
        orders: dict[ClientOrderId, OrderMemo] = {}
        fills: list[BookedFill] = []
        for step in self.steps:
            if step.changes is not None:
                orders.update((order.client_order_id, order) for order in step.changes.orders)
                fills.extend(step.changes.fills)
                memo = step.changes.memo or memo
        again = LiveDesk(cfg or self.cfg, self.rules)
        again.ms = self.ms + 1
        again.core.restore(memo, orders.values(), [fill.exec_id for fill in fills], fills)
        return again


def settle(desk: LiveDesk, ms: float = 0, **others: Any) -> LiveDesk:
    """A running venue, a whole book, the channel up, the books agreed."""
    desk.status(ms)
    desk.board(ms)
    desk.channel(ms, is_live=True)
    desk.report(ms + 50, asked_ms=ms + 10, **others)
    return desk


def settled_desk(cfg: AppConfig | None = None) -> LiveDesk:
    return settle(LiveDesk(cfg))


def struck(desk: LiveDesk, *, accept: bool = True) -> tuple[PlaceLimit, PlaceLimit]:
    """The two quotes of a strike, on the book unless told otherwise."""
    desk.board(desk.ms + 10)
    desk.wait(desk.ms + 400, alive_ms=100)
    bid, ask = desk.quotes[-2:]
    if accept:
        desk.accept(desk.ms, bid.client_order_id, ask.client_order_id)
    return bid, ask

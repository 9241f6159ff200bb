"""A strategy of the Context that does what a test tells it to, at a core that is driven by hand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.context import Cloid, Context, LimitOrderRequest, OrderFill, Strategy
from stall_then_strike.engine.sandbox import Sandbox
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Instrument
from tests.engine.core_rig import Desk, config

SIZE = Decimal("0.001")


class Hand(Strategy):
    """Does each thing once, in order, one at every tick."""

    def __init__(self) -> None:
        super().__init__({})
        self.to_do: list[Callable[[Context], object]] = []
        self.did: list[object] = []
        self.fills: list[OrderFill] = []
        self.starts = 0

    def on_start(self, context: Context) -> None:
        super().on_start(context)
        self.starts += 1

    def on_tick(self, context: Context) -> None:
        if self.to_do:
            self.did.append(self.to_do.pop(0)(context))
        if context._sheet.wake_ns == NEVER_NS:
            context.wake_at(context.now_ns)  # a test says what to do next without anything that it could see

    def on_order_filled(self, context: Context, fill: OrderFill) -> None:
        self.fills.append(fill)


def order(side: Side, price: int, size: Decimal = SIZE) -> Callable[[Context], Cloid | None]:
    """Something to do: place an order."""
    return lambda context: context.place_order(LimitOrderRequest(side=side, price=Decimal(price), size=size))


def by_hand(hand: Strategy) -> MakeStrategy:
    def made(cfg: AppConfig, instrument: Instrument) -> Sandbox:
        return Sandbox(hand, cfg, instrument)

    return made


def desk_of(hand: Strategy, **strategy: Any) -> Desk:
    """A running venue and a whole book: bid 10,000 and ask 10,100."""
    desk = Desk(config(strategy={"stale_ms": 60_000, **strategy}), strategy=by_hand(hand))
    desk.status(0)
    desk.board(0)
    return desk

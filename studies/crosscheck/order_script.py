"""Orders at given times and prices, without feedback: what differs between two engines is then their venues alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from stall_then_strike.app.trader.virtual import Message, VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.sim.paper import PaperGateway
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BookStatus,
    CancelRequest,
    ClientOrderId,
    Event,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PublicTrades,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import Lots, Ticks
from studies.crosscheck.their_rules import Fill, Rule, RuledGateway, Theirs, merged

MS = 10**6
FADE_NS = 200 * MS


@dataclass(frozen=True)
class Order:
    """One order of a script; cancelled at ``until_ns`` if it still lives."""

    at_ns: int
    until_ns: int
    side: int
    price: int
    size: int


def script(messages: Iterable[Message], cfg: AppConfig, *, seed: int, every_ms: int, longest_ms: int) -> list[Order]:
    """Orders of all sorts: inside the spread, at the best, behind it, and at prices that take.

    Few meet an order of the other side that is still to live: the venue refuses those, and nothing else would show.
    """
    random_ = random.Random(seed)
    feed, orders = MarketFeed(cfg), list[Order]()
    next_ns = 0
    for at_ns, text in messages:
        event = None if text is None else feed.on_text(text, at_ns)
        if not isinstance(event, BoardSnapshot) or event.status is not BookStatus.OK or at_ns < next_ns:
            continue
        next_ns = at_ns + random_.randrange(2 * every_ms * MS)
        side = random_.choice((Side.BUY, Side.SELL))
        own = [price for price, _ in feed.board.levels(side)]
        inside = max(1, (event.best_ask_price - event.best_bid_price) // 2 - 1)
        price = random_.choice(
            (
                own[0],
                own[0] + side.sign * random_.randint(1, inside),
                own[0] + side.sign * inside,
                own[min(random_.randrange(1, 6), len(own) - 1)],
                own[0] + side.sign * 2 * inside,
            )
        )
        if random_.random() < 0.06:
            price = next(iter(feed.board.levels(side.opposite)))[0] + side.sign * random_.randint(0, inside)
        at = at_ns + random_.randrange(1, 40 * MS)
        meets = any(
            order.side != side.sign and order.until_ns + FADE_NS > at and (price - order.price) * side.sign >= 0
            for order in orders
        )
        if meets and random_.random() < 0.97:
            continue
        # Odd sizes: a print that reaches just the whole of an order trips hftbacktest's partial exchange.
        size = random_.choice((100_000, 100_000, 1_000_000, 5_000_000)) + random_.randrange(1, 99)
        orders.append(Order(at, at + random_.randrange(250 * MS, longest_ms * MS), side.sign, price, size))
    return orders


class ScriptTrader:
    """Plays a script to a gateway; ``VirtualRun`` drives it like a trader."""

    portfolio = SimpleNamespace(is_done=False, alone=SimpleNamespace(is_done=False))

    def __init__(self, orders: Sequence[Order], clock: VirtualClock, feed: MarketFeed) -> None:
        self.refused = 0
        self.gateway: Any = None
        self._orders, self._clock, self._feed = orders, clock, feed
        actions = [(order.at_ns, 0, number) for number, order in enumerate(orders)]
        actions += [(order.until_ns, 1, number) for number, order in enumerate(orders)]
        self.actions = sorted(actions, reverse=True)
        """The rest of the script, the last first."""
        self._names: dict[int, OrderId] = {}

    def sink(self, event: Event) -> None:
        if isinstance(event, OrderEvent) and event.kind is OrderEventKind.REJECTED:
            self.refused += 1

    @property
    def has_waiting(self) -> bool:
        """Whether an action of the script is due."""
        return bool(self.actions) and self.actions[-1][0] <= self._clock.now_ns()

    @property
    def next_deadline_ns(self) -> int:
        gateway_ns: int = self.gateway.next_deadline_ns
        return min(gateway_ns, self.actions[-1][0]) if self.actions else gateway_ns

    def wake(self) -> None:
        self.gateway.advance(self._clock.now_ns())

    def on_market(self, event: MarketEvent, started_ns: int | None = None) -> None:
        self.wake()
        if isinstance(event, PublicTrades):
            self.gateway.on_trades(event)
        elif isinstance(event, BoardSnapshot):
            self.gateway.on_book(self._feed.board if event.status is BookStatus.OK else None, event.ts_ns)
        else:
            self.gateway.on_status(event)

    async def send_waiting(self) -> None:
        while self.has_waiting:
            _, is_cancel, number = self.actions.pop()
            if is_cancel:
                await self.gateway.send([CancelRequest(order_id=self._names[number])])
                continue
            order = self._orders[number]
            request = OrderRequest(
                client_order_id=ClientOrderId(str(number)),
                side=Side.BUY if order.side > 0 else Side.SELL,
                price=Ticks(order.price),
                size=Lots(order.size),
                time_in_force=TimeInForce.GTC,
            )
            (self._names[number],) = await self.gateway.send([request])


def play_plainly(messages: Sequence[Message], cfg: AppConfig, orders: Sequence[Order]) -> list[Fill]:
    """Fills of a script by the paper venue itself."""
    clock, feed = VirtualClock(0), MarketFeed(cfg)
    trader, fills = ScriptTrader(orders, clock, feed), list[FillEvent]()
    trader.gateway = PaperGateway(
        cfg.paper,
        cfg.session,
        cfg.exchange.instrument(),
        bitflyer_rules(cfg),
        sink=lambda event: fills.append(event) if isinstance(event, FillEvent) else None,
        now_ns=clock.now_ns,
    )
    asyncio.run(VirtualRun(trader, clock, feed).run(messages, settle=False))  # type: ignore[arg-type] # a duck
    return merged(fills, {str(number): number for number in range(len(orders))})


def play(
    messages: Sequence[Message],
    cfg: AppConfig,
    orders: Sequence[Order],
    rules: Iterable[Rule],
    theirs: Theirs,
    rows: Sequence[Any],
) -> tuple[list[Fill], int]:
    """Fills of a script by a venue of these rules, and how many orders were refused."""
    clock, feed = VirtualClock(0), MarketFeed(cfg)
    trader = ScriptTrader(orders, clock, feed)
    trader.gateway = RuledGateway(cfg, rules, theirs, feed, sink=trader.sink, now_ns=clock.now_ns)
    trader.gateway.rows = rows
    asyncio.run(VirtualRun(trader, clock, feed).run(messages, settle=False))  # type: ignore[arg-type] # a duck
    return merged(trader.gateway.fills, {str(number): number for number in range(len(orders))}), trader.refused


Outcomes = dict[int, tuple[tuple[int, int, int], ...]]
"""By order: moment, price and size of its fills."""


def outcomes(fills: Iterable[Fill], *, later_ns: int = 0) -> Outcomes:
    """By order, each moment so much later."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for fill in fills:
        found.setdefault(fill.order, []).append((fill.ts_ns + later_ns, fill.price, fill.size))
    return {number: tuple(rows) for number, rows in found.items()}

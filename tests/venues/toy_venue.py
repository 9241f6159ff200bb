"""A venue in one file: a market and an account in memory, on which live trading runs through `venues/connection.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace
from random import Random
from typing import NoReturn, Self

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.gateway import Reply, Request
from stall_then_strike.engine.venue.rules import Ended, Limit, VenueRules
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.levels import Levels
from stall_then_strike.infra.market_source import FeedStatistics
from stall_then_strike.infra.orderbook_view import OrderBookView
from stall_then_strike.types import dto
from stall_then_strike.types.dto import NS_PER_S, OrderEventKind, OrderId, ReportedOrder, ReportedState
from stall_then_strike.types.errors import Rejected
from stall_then_strike.types.instrument import Instrument, Lots, Money, Ticks
from stall_then_strike.venues.connection import Desk, Listener, SessionState, Unheard
from stall_then_strike.venues.findings import CheckResult, ok

RULES = VenueRules(
    own_names=True, batch=10, expiry_ns=60 * NS_PER_S, post_only=True, refuses_self_trade=False, closes_dust=True,
    report_calls=1, ended=Ended.ALL, lag_ns=NS_PER_S, history_lag_ns=NS_PER_S, stamp_early_ns=NS_PER_S,
    stamp_late_ns=NS_PER_S, ghost_ns=NS_PER_S, vanish_ns=NS_PER_S, print_grace_ns=NS_PER_S, small_payment=Money(0),
    carry_share=None,
    limits=(Limit(name="calls", most=1_000, window_ns=60 * NS_PER_S, reserve=100, send=1, cancel=1, query=1),),
)  # fmt: skip
SIZE = Lots(10_000_000)


class ToyFeed:
    """One instrument's market data."""

    product, channels, frame_names = "TOY", (), ()

    def __init__(self, unit: Instrument) -> None:
        self.board, self.heard_ns = Levels(unit.product_code), dict[str, int]()
        self.view = OrderBookView(self.board, unit)

    def statistics(self) -> FeedStatistics:
        return FeedStatistics(**{field.name: {} if field.name == "refused" else 0 for field in fields(FeedStatistics)})


class ToyVenue:
    """The market, the account, and a connection to both. The mid moves, and quotes are filled, by chance."""

    frame_perf_ns, tap, calls_made, rules = 0, None, 0, RULES

    def __init__(self, cfg: AppConfig, clock: ScaledClock) -> None:
        self.clock, self.random, self.mid, self.fingerprint = clock, Random(1), 10_000_000, "toy"
        self.feed, self.session = ToyFeed(cfg.exchange.instrument()), self
        self.listener: Listener = Unheard()
        self.feeds, self.desks = [self.feed], [Desk(self, self.report, self.renew, self.feed.view.set_own)]
        self.orders, self.fills = dict[OrderId, ReportedOrder](), list[dto.FillEvent]()
        self.position = self.cash = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.market.cancel()

    def redact(self, text: str) -> str:
        return text

    async def check(self) -> list[CheckResult]:
        return [ok("toy", "always there")]

    def forget_skew(self) -> None: ...
    def renew(self, why: str) -> None: ...
    def give_up(self, why: str) -> None: ...

    async def send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        self.calls_made += 1
        return [self._cancel(one) if isinstance(one, dto.CancelRequest) else self._place(one) for one in batch]

    def _place(self, order: dto.OrderRequest) -> Reply:
        name, now_ns = OrderId(order.client_order_id), self.clock.now_ns()
        self.orders[name] = ReportedOrder(
            order_id=name, side=order.side, price=order.price, size=order.size, executed=Lots(0),
            state=ReportedState.ACTIVE, placed_ns=now_ns,
        )  # fmt: skip
        self._tell(dto.OrderEvent(ts_ns=now_ns, kind=OrderEventKind.REGISTERED, order_id=name))
        if order.price is None:
            self._fill(self.orders[name], self.mid)
        return name

    def _cancel(self, request: dto.CancelRequest) -> Reply:
        name, order = request.order_id, self.orders[request.order_id]
        if order.state is not ReportedState.ACTIVE:
            return Rejected("cancel", "it has ended")
        self.orders[name] = replace(order, state=ReportedState.CANCELED)
        self._tell(dto.OrderEvent(ts_ns=self.clock.now_ns(), kind=OrderEventKind.CANCELLED, order_id=name))
        return name

    def _fill(self, order: ReportedOrder, price: int) -> None:
        name, number, sign = order.order_id, dto.ExecId(len(self.fills) + 1), order.side.sign
        self.orders[name] = replace(order, state=ReportedState.COMPLETED, executed=order.size)
        now_ns, at = self.clock.now_ns(), Ticks(price)
        fill = dto.FillEvent(ts_ns=now_ns, exec_id=number, side=order.side, price=at, size=order.size, order_id=name)
        self.position, self.cash = self.position + sign * order.size, self.cash - sign * order.size * price
        self.fills.append(fill)
        self._tell(fill)

    async def report(self, since: dto.ExecId) -> dto.AccountReport:
        self.calls_made, now_ns = self.calls_made + 1, self.clock.now_ns()
        basis = self.position * (self.fills[-1].price if self.fills else 0)
        return dto.AccountReport(
            ts_ns=now_ns, asked_ns=now_ns, orders=tuple(self.orders.values()), since=since, is_complete=True, calls=1,
            fills=tuple(fill for fill in self.fills if fill.exec_id > since),
            position=Lots(self.position), basis=Money(basis), collateral=Money(10**15 + self.cash + basis),
        )  # fmt: skip

    async def connect_ws(self) -> None:
        self._tell(dto.PrivateChannel(ts_ns=self.clock.now_ns(), is_live=True))
        self._tell(dto.VenueStatus(ts_ns=self.clock.now_ns(), state=dto.BoardState.RUNNING, health=dto.Health.NORMAL))
        self.market = asyncio.create_task(self._market())

    async def wait_ready(self, timeout_sec: float | None = None) -> None: ...
    async def poll_status(self) -> NoReturn:
        await self.wait_failed()

    async def wait_failed(self) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    def statistics(self) -> SessionState:
        return SessionState(connects=1)

    def _tell(self, event: dto.OrderEvent | dto.FillEvent | dto.PrivateChannel | dto.VenueStatus) -> None:
        self.listener.on_session(event, 0)

    async def _market(self) -> None:
        while True:
            now_ns, chance = self.clock.now_ns(), self.random.random()
            self.mid += self.random.choice((-1, 1)) if chance < 0.05 else 0
            self.feed.board.replace({Ticks(self.mid - 5): SIZE}, {Ticks(self.mid + 5): SIZE})
            self.listener.on_session(self.feed.view.on_board(None, True, now_ns), 0)
            for order in [one for one in self.orders.values() if one.state is ReportedState.ACTIVE]:
                if order.price is not None and self.random.random() < 0.05:
                    self._fill(order, order.price)
            await self.clock.sleep_until(now_ns + NS_PER_S // 10)

"""An honest venue behind a dishonest wire, in virtual time, and a daemon that can be killed at any moment.

``Account`` is what is true at the venue. ``Wire`` carries requests there and answers and events back as badly as its
``Weather`` says, feeds a live ``Core``, and keeps what a journal would keep of its steps. Nothing here awaits or
measures: all that is to happen lies on one agenda, ordered by virtual milliseconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.venue.rules import Ended, VenueRules
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    AccountReport,
    BoardState,
    BookedFill,
    BookStatus,
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    CoreMemo,
    Event,
    ExecId,
    FillEvent,
    Health,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderMemo,
    OrderTerms,
    PlaceLimit,
    PrintedFill,
    PrivateChannel,
    Reconcile,
    RefusalKind,
    RenewFeed,
    ReportedOrder,
    ReportedState,
    ReportFailed,
    Side,
    Step,
    Tick,
    VenueRefusal,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks
from tests.engine.core_rig import BUY, MIN, MS, SELL, at, board, core_of

K = OrderEventKind


@dataclass
class Weather:
    """How bad the wire is; shares of one, and milliseconds."""

    answer_lost: float = 0.0
    request_lost: float = 0.0
    refused: float = 0.0
    event_lost: float = 0.0
    event_twice: float = 0.0
    event_late_ms: int = 0
    registration_ms: int = 50
    listing_ms: int = 100
    cancel_idle: float = 0.0
    """Cancels that are taken and do nothing."""
    report_failed: float = 0.0
    report_ms: int = 60
    """Between the questions of one report."""
    report_partial: float = 0.0
    history_lag_ms: int = 0
    """How old the executions, the position and the collateral of a report are. Events are prompt."""
    print_lost: float = 0.0
    """Public executions that are not heard."""
    ioc_part: float = 0.0


STORM = Weather(
    answer_lost=0.25,
    request_lost=0.15,
    refused=0.15,
    event_lost=0.2,
    event_twice=0.2,
    event_late_ms=3_000,
    registration_ms=2_000,
    listing_ms=900,
    cancel_idle=0.2,
    report_failed=0.25,
    report_ms=400,
    report_partial=0.1,
    print_lost=0.3,
    ioc_part=0.4,
)


@dataclass
class VenueOrder:
    """One order as the venue has it."""

    order_id: OrderId
    terms: OrderTerms
    is_ioc: bool
    is_ours: bool
    placed_ms: int
    state: str = "queued"
    """``queued``, ``active``, ``filled``, ``cancelled``, ``expired`` or ``failed``."""
    executed: int = 0
    since_ms: int = 0
    """When its state last changed."""

    @property
    def left(self) -> int:
        return self.terms.size - self.executed

    @property
    def is_alive(self) -> bool:
        return self.state in ("queued", "active")


class Account:
    """The truth: orders, executions, the position at its cost, and cash."""

    def __init__(self) -> None:
        self.orders: dict[OrderId, VenueOrder] = {}
        self.fills: list[tuple[int, FillEvent]] = []
        self.execs = 1_000
        self.position = 0
        self.basis = 0
        self.cash = 10**15
        """Collateral less the cost of what is open."""
        self.past: list[tuple[int, int, int, int]] = []
        """Position, basis and cash after each fill, and when."""

    def fill(self, order: VenueOrder, size: int, price: int, ms: int) -> FillEvent:
        """Execute a part of an order."""
        self.execs += 1
        order.executed += size
        order.since_ms = ms
        if not order.left:
            order.state = "filled"
        signed = order.terms.side.sign * size
        if self.position and (signed > 0) is not (self.position > 0):
            closing = min(size, abs(self.position))
            kept = self.basis * (abs(self.position) - closing) // abs(self.position)
            self.basis = kept + price * (signed + (closing if self.position > 0 else -closing))
        else:
            self.basis += price * signed
        self.position += signed
        self.cash -= price * signed
        event = FillEvent(
            ts_ns=at(ms),
            exec_id=ExecId(self.execs),
            side=order.terms.side,
            price=Ticks(price),
            size=Lots(size),
            order_id=order.order_id,
        )
        self.fills.append((ms, event))
        self.past.append((ms, self.position, self.basis, self.cash))
        return event

    def as_of(self, ms: int, lag_ms: int) -> tuple[int, int, int]:
        """Position, basis and cash of some time ago. Payments since then are in the cash of today."""
        later = [(at_ms, *rest) for at_ms, *rest in self.past if at_ms > ms - lag_ms]
        if not lag_ms or not later:
            return self.position, self.basis, self.cash
        before = [rest for at_ms, *rest in self.past if at_ms <= ms - lag_ms]
        position, basis, cash = before[-1] if before else (0, 0, 10**15)
        return position, basis, cash + self.cash - self.past[-1][3]

    def listed(self, ms: int, lag_ms: int, ended: Ended) -> tuple[ReportedOrder, ...]:
        """What the venue lists: the active orders, and of the ended ones those that it shows. Nothing newer than the
        lag."""
        states = {
            "active": ReportedState.ACTIVE,
            "filled": ReportedState.COMPLETED,
            "cancelled": ReportedState.CANCELED,
            "expired": ReportedState.EXPIRED,
        }
        return tuple(
            ReportedOrder(
                order_id=order.order_id,
                side=order.terms.side,
                price=order.terms.price,
                size=order.terms.size,
                executed=Lots(order.executed),
                state=states[order.state],
                placed_ns=at(order.placed_ms),
            )
            for order in list(self.orders.values())[-100:]
            if order.state in states and order.placed_ms + lag_ms <= ms
            if order.state == "active" or ended is Ended.ALL or (ended is Ended.EXECUTED and order.executed)
        )


@dataclass
class Journal:
    """What outlives a crash."""

    memo: CoreMemo | None = None
    orders: dict[ClientOrderId, OrderMemo] = field(default_factory=dict)
    fills: dict[ExecId, int] = field(default_factory=dict)
    booked: list[BookedFill] = field(default_factory=list)
    carry: int = 0

    def store(self, step: Step) -> None:
        if (changes := step.changes) is None:
            return
        for order in changes.orders:
            old = self.orders.get(order.client_order_id)
            assert old is None or old.is_live or not order.is_live, f"{order.client_order_id} came back to life"
            self.orders[order.client_order_id] = order
        for fill in changes.fills:
            assert fill.exec_id not in self.fills, f"execution {fill.exec_id} was counted twice"
            self.booked.append(fill)
            self.fills[fill.exec_id] = fill.row.side.sign * fill.row.size
        self.memo = changes.memo or self.memo


class Wire:
    """A live core, the account that it trades on, and all that lies between them."""

    def __init__(self, cfg: AppConfig, seed: int, rules: VenueRules | None = None) -> None:
        self.cfg = cfg
        self.rules = rules or bitflyer_rules(cfg)
        self.random = Random(seed)
        self.weather = Weather()
        self.account = Account()
        self.journal = Journal()
        self.ms = 0
        self.agenda: list[tuple[int, int, int, Callable[[], None]]] = []
        self.count = 0
        self.best = (10_000, 10_100)
        self.since_ms = 0
        self.book = BookStatus.OK
        self.is_running = True
        self.run = 0
        self.epoch = 0
        """Of the private channel; events of an earlier one are lost."""
        self.channel_up = False
        self.crash: str = ""
        """How the next step that wants something is to be cut short."""
        self.actions: list[tuple[int, Any]] = []
        self.calls: dict[str, deque[tuple[int, int]]] = {limit.name: deque() for limit in self.rules.limits}
        """What counted in each limit, and when."""
        self.questions: list[int] = []
        self.starts: list[int] = []
        self.wakes = 0
        self.halts_of_run: list[Any] = []
        self.start()

    # --- the process

    def start(self) -> None:
        """A new process on the same journal."""
        self.starts.append(self.ms)
        self.run += 1
        for limit in self.rules.limits:
            if limit.query:  # the journal does not have the queries of the run before
                self.calls[limit.name].clear()
        self.core = core_of(self.cfg, self.rules, live=True)
        journal = self.journal
        self.born = (journal.memo, tuple(journal.orders.values()), tuple(journal.fills), tuple(journal.booked[-200:]))
        self.core.restore(*self.born)
        self.fed: list[tuple[Event, int]] = []
        self.steps: list[Step] = []
        self.epoch += 1
        self.channel_up = False
        self.feed(self.status())
        self.show()
        self.later(self.random.randint(50, 3_000), self.channel_comes)

    def status(self) -> VenueStatus:
        state = BoardState.RUNNING if self.is_running else BoardState.CLOSED
        return VenueStatus(ts_ns=at(self.ms), state=state, health=Health.NORMAL)

    def kill(self) -> None:
        """SIGKILL now."""
        self.ms += self.random.choice([1, 40, 3_000, 20_000])
        self.start()

    def channel_comes(self) -> None:
        if not self.channel_up:
            self.channel_up = True
            self.epoch += 1
            self.feed(PrivateChannel(ts_ns=at(self.ms), is_live=True))

    def channel_goes(self, for_ms: int) -> None:
        if self.channel_up:
            self.channel_up = False
            self.epoch += 1
            self.feed(PrivateChannel(ts_ns=at(self.ms), is_live=False))
            self.later(for_ms, self.channel_comes)

    def feed(self, event: Event) -> None:
        self.fed.append((event, at(self.ms)))
        step = self.core.on_event(event, at(self.ms))
        self.steps.append(step)
        if self.crash and (step.actions or step.changes is not None):
            how, self.crash = self.crash, ""
            if how != "before storing":
                self.journal.store(step)
            if how == "after sending":
                self.send(step)
            self.kill()
            return
        self.journal.store(step)
        self.check(step)
        self.send(step)
        assert self.core.next_deadline_ns > at(self.ms), "a deadline that has passed: a busy loop"

    def check(self, step: Step) -> None:
        """What holds of every step."""
        core, now = self.core, at(self.ms)
        for action in step.actions:
            self.actions.append((self.ms, action))
            if isinstance(action, PlaceLimit):
                assert core.account is not None
                assert core.halted is None
                assert core.account.is_settled
                assert core.account.rules.is_live
                assert core.venue == (BoardState.RUNNING, Health.NORMAL)
                assert core.book_status(now) is BookStatus.OK
                signed = action.side.sign
                same = sum(o.remaining for o in core.orders.live() if o.side is action.side)
                cap = core.strategy.params.max_inventory
                assert signed * core.inventory.position + same <= cap, "exposure beyond the cap"
            elif isinstance(action, CloseMarket):
                assert action.size == max(1 if self.rules.closes_dust else MIN, abs(core.inventory.position))
                assert core.account is not None
                assert core.account.was_settled, "a close of what nobody has seen"
                standing = [o for o in core.orders.quotes() if not core.account.is_ghost(o, now)]
                assert not self.rules.refuses_self_trade or not standing, "-159"

    # --- the agenda

    def later(self, ms: int, what: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.agenda, (self.ms + ms, self.count, self.run, what))

    def pass_time(self, ms: int, *, alive_ms: int = 0) -> None:
        """Let time pass; with ``alive_ms`` the board speaks so often."""
        until = self.ms + ms
        next_board = self.ms + alive_ms if alive_ms else None
        while True:
            deadline = -(-(self.core.next_deadline_ns - at(0)) // MS)
            stamps = [deadline]
            if self.agenda:
                stamps.append(self.agenda[0][0])
            if next_board is not None:
                stamps.append(next_board)
            now = min(stamps)
            if now > until:
                break
            self.ms = max(self.ms, now)
            if self.agenda and self.agenda[0][0] <= now:
                heapq.heappop(self.agenda)[3]()
            elif next_board is not None and next_board <= now:
                next_board = self.ms + alive_ms
                self.show()
            else:
                self.wakes += 1
                self.feed(Tick(ts_ns=at(self.ms)))
        self.ms = max(self.ms, until)

    def show(self) -> None:
        self.feed(board(self.ms, *self.best, since_ms=self.since_ms, status=self.book))

    def move(self, bid: int, ask: int) -> None:
        if (bid, ask) != self.best:
            self.best, self.since_ms = (bid, ask), self.ms
        self.show()

    # --- what the core is told

    def answer(self, ms: int, *events: Event) -> None:
        """Over HTTP: only to the process that asked."""
        run = self.run

        def tell() -> None:
            for event in events:
                if run == self.run:
                    self.feed(replace(event, ts_ns=at(self.ms)))  # type: ignore[type-var, arg-type]

        self.later(ms, tell)

    def announce(self, event: OrderEvent | FillEvent) -> None:
        """Over the private channel: only what is said while it is up, and heard before it goes down."""
        weather, random = self.weather, self.random
        if not self.channel_up or random.random() < weather.event_lost:
            return
        epoch = self.epoch

        def tell() -> None:
            if epoch == self.epoch:
                self.feed(replace(event, ts_ns=at(self.ms)))

        self.later(10 + random.randint(0, weather.event_late_ms), tell)
        if random.random() < weather.event_twice:
            self.later(10 + random.randint(0, 2 * weather.event_late_ms), tell)

    def print(self, fill: FillEvent) -> None:
        """Over the public channel, which shares the private one's connection: told where the order is known as ours."""
        if not self.channel_up or self.random.random() < self.weather.print_lost:
            return
        epoch = self.epoch

        def tell() -> None:
            if epoch == self.epoch and fill.order_id and self.core.orders.by_id(fill.order_id) is not None:
                now_ns = at(self.ms)
                self.feed(PrintedFill(ts_ns=now_ns, fill=replace(fill, ts_ns=now_ns)))

        self.later(self.random.randint(5, 250), tell)

    def fact(self, kind: OrderEventKind, order: VenueOrder) -> OrderEvent:
        terms = order.terms if kind is K.REGISTERED else None
        return OrderEvent(ts_ns=at(self.ms), kind=kind, order_id=order.order_id, terms=terms)

    # --- requests

    def send(self, step: Step) -> None:
        batch = self.rules.batch
        if quotes := [action for action in step.actions if isinstance(action, PlaceLimit)]:
            self.charge(send=-(-len(quotes) // batch), size=quotes[0].size)
        for action in step.actions:
            if isinstance(action, PlaceLimit | CloseMarket):
                if isinstance(action, CloseMarket):
                    self.charge(send=1, size=action.size)
                self.place(action)
            elif isinstance(action, CancelAllStall):
                self.charge(cancel=-(-len(action.order_ids) // batch))
                for order_id in action.order_ids:
                    self.cancel(order_id)
            elif isinstance(action, Reconcile):
                self.charge(query=4)
                self.questions.append(self.ms)
                self.report(action)
            elif isinstance(action, RenewFeed):
                self.later(1, lambda: self.channel_goes(500))
            else:
                raise AssertionError(f"no request: {action}")

    def charge(self, *, send: int = 0, size: int = 0, cancel: int = 0, query: int = 0) -> None:
        """Count calls as the venue does. No window may hold more than its limit."""
        for limit in self.rules.limits:
            sends = send if limit.up_to is None or size <= limit.up_to else 0
            calls = self.calls[limit.name]
            calls.append((at(self.ms), sends * limit.send + cancel * limit.cancel + query * limit.query))
            while calls[0][0] <= at(self.ms) - limit.window_ns:
                calls.popleft()
            assert sum(count for _, count in calls) <= limit.most, f"{limit.name} is exceeded"

    def refusal(self) -> VenueRefusal | None:
        kind = self.random.choice([RefusalKind.OVERLOADED] * 6 + [RefusalKind.THROTTLED, None, None])
        if kind is None:
            return None
        return VenueRefusal(ts_ns=at(self.ms), kind=kind, until_ns=at(self.ms + 1_000), detail="no")

    def place(self, action: PlaceLimit | CloseMarket) -> None:
        weather, random = self.weather, self.random
        name = action.client_order_id
        answer_ms = random.randint(20, 300)

        def say(kind: OrderEventKind, order_id: OrderId | None = None) -> OrderEvent:
            return OrderEvent(ts_ns=at(self.ms), kind=kind, client_order_id=name, order_id=order_id)

        if random.random() < weather.refused:
            refusal = self.refusal()
            if refusal is None:
                self.answer(answer_ms, say(K.REJECTED))
            else:
                self.answer(answer_ms, say(K.NOT_SENT), refusal)
            return
        if random.random() < weather.request_lost:
            self.answer(random.choice([200, 10_000]), say(K.SEND_UNKNOWN))
            return
        self.count += 1
        order_id = OrderId(name if self.rules.own_names else f"V{self.count}")
        order = VenueOrder(
            order_id=order_id,
            terms=OrderTerms(action.side, action.price, action.size),
            is_ioc=isinstance(action, CloseMarket),
            is_ours=True,
            placed_ms=self.ms,
        )
        self.account.orders[order_id] = order
        self.later(10 + random.randint(0, weather.registration_ms), lambda: self.register(order))
        if random.random() < weather.answer_lost:
            self.answer(random.choice([200, 10_000]), say(K.SEND_UNKNOWN))
        else:
            self.answer(answer_ms, say(K.ACCEPTED, order_id))

    def register(self, order: VenueOrder) -> None:
        if not order.is_alive:
            return
        order.since_ms = self.ms
        if not self.is_running:
            order.state = "failed"
            self.announce(self.fact(K.REJECTED, order))
            return
        order.state = "active"
        self.announce(self.fact(K.REGISTERED, order))
        if order.is_ioc:
            parts = self.random.random() < self.weather.ioc_part
            self.execute(order, self.random.randint(0, order.left) if parts else order.left)
            if order.is_alive:
                self.end(order, "expired")
        elif order.is_ours:
            life_ms = self.rules.expiry_ns // MS
            self.later(max(1, order.placed_ms + life_ms - self.ms), lambda: self.end(order, "expired"))

    def execute(self, order: VenueOrder, size: int) -> None:
        if order.state == "active" and size:
            worst = self.best[1] if order.terms.side is BUY else self.best[0]
            fill = self.account.fill(order, size, order.terms.price or worst, self.ms)
            self.announce(fill)
            self.print(fill)

    def end(self, order: VenueOrder, state: str) -> None:
        if order.is_alive:
            order.state, order.since_ms = state, self.ms
            self.announce(self.fact(K.CANCELLED if state == "cancelled" else K.EXPIRED, order))

    def cancel(self, order_id: OrderId) -> None:
        weather, random = self.weather, self.random
        order = self.account.orders.get(order_id)
        assert order is None or order.is_ours, "a cancel of an order that is not ours"
        unsent = OrderEvent(ts_ns=at(self.ms), kind=K.CANCEL_UNSENT, order_id=order_id)
        if random.random() < weather.refused:
            refusal = self.refusal()
            self.answer(50, unsent, *([] if refusal is None else [refusal]))
            return
        lost = random.random()
        if lost < weather.answer_lost:
            self.answer(random.choice([200, 10_000]), unsent)
        if lost < weather.answer_lost / 2 or random.random() < weather.cancel_idle:
            return

        def take_effect() -> None:
            if order is None:
                assert self.rules.own_names, "a cancel of an order that never was"
            elif order.state == "active":
                self.end(order, "cancelled")
            else:
                self.announce(self.fact(K.CANCEL_FAILED, order))

        self.later(10 + random.randint(0, weather.registration_ms), take_effect)

    def report(self, question: Reconcile) -> None:
        weather, random = self.weather, self.random
        if random.random() < weather.report_failed:
            self.answer(random.choice([100, 40_000]), ReportFailed(ts_ns=at(self.ms), detail="no answer"))
            return
        step, lag_ms = weather.report_ms, weather.history_lag_ms
        asked, seen = self.ms, {}  # type: tuple[int, dict[str, Any]]
        partial = random.random() < weather.report_partial

        def orders() -> None:
            seen["orders"] = self.account.listed(self.ms, weather.listing_ms, self.rules.ended)

        def fills() -> None:
            before = self.ms - lag_ms
            all_of_them = [f for ms, f in self.account.fills if f.exec_id > question.since and ms <= before]
            seen["fills"] = tuple(all_of_them[-2:] if partial else all_of_them)

        def position() -> None:
            seen["position"], seen["basis"], _ = self.account.as_of(self.ms, lag_ms)

        def collateral() -> None:
            _, basis, cash = self.account.as_of(self.ms, lag_ms)
            seen["collateral"] = cash + basis

        for number, part in enumerate((orders, fills, position, collateral)):
            self.later(10 + number * step, part)
        run = self.run

        def tell() -> None:
            if run == self.run:
                self.feed(
                    AccountReport(
                        ts_ns=at(self.ms),
                        asked_ns=at(asked),
                        orders=seen["orders"],
                        since=question.since,
                        fills=seen["fills"],
                        is_complete=not partial,
                        position=Lots(seen["position"]),
                        basis=Money(seen["basis"]),
                        collateral=Money(seen["collateral"]),
                    )
                )

        self.later(20 + 4 * step, tell)

    # --- another hand on the account

    def stranger(self, side: Side, price: int, size: int, *, is_market: bool) -> None:
        self.count += 1
        order = VenueOrder(
            order_id=OrderId(f"F{self.count}"),
            terms=OrderTerms(side, None if is_market else Ticks(price), Lots(size)),
            is_ioc=is_market,
            is_ours=False,
            placed_ms=self.ms,
        )
        self.account.orders[order.order_id] = order
        self.register(order)

    # --- questions of the tests

    def alive(self) -> list[VenueOrder]:
        return [order for order in self.account.orders.values() if order.state == "active" and not order.is_ioc]

    def is_at_rest(self) -> bool:
        """Whether every order of ours has ended, at the venue and in the core, and the positions are equal."""
        ours = any(order.is_alive and order.is_ours for order in self.account.orders.values())
        assert self.core.account is not None
        return (
            not ours
            and not self.core.orders.any_live
            and self.core.inventory.position == self.account.position
            and self.core.account.is_settled
        )

    def replayed(self) -> list[Step]:
        """What another core makes of the same run."""
        again = core_of(self.cfg, self.rules, live=True)
        again.restore(*self.born)
        return [again.on_event(event, now) for event, now in self.fed]


def other(side: Side) -> Side:
    return SELL if side is BUY else BUY

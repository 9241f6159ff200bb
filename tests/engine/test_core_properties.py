"""The core against a venue that answers late, out of order, twice or with a no: what holds whatever happens.

The machine below is the venue. It knows what really is live and filled; it tells the core when it likes. At the end it
answers everything, and the core has to come out flat, halted and done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stall_then_strike.types.dto import (
    BoardState,
    BookStatus,
    CancelAllStall,
    CloseMarket,
    Command,
    Control,
    DecisionLogRow,
    Event,
    ExecId,
    FillEvent,
    FundingEvent,
    Health,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PlaceLimit,
    Reason,
    Side,
    Step,
    Tick,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks
from tests.engine.core_rig import BUY, MIN, MS, SELL, at, board, config, core_of, properties

K = OrderEventKind
MAX = 3 * MIN

CFG = config(
    strategy={"max_inventory_btc": 0.003, "close_retry_ms": 100},
    exchange={
        "limits": {
            "private_per_5min": 60,
            "orders_per_5min": 40,
            "small_orders_per_min": 20,
            "reserve_private": 20,
            "reserve_orders": 10,
            "reserve_small_orders": 6,
        }
    },
    risk={"daily_pnl_jpy": -5, "max_dd_jpy": -5, "max_rejects": 6, "after_halt": "wait"},
    session={"day_start": "09:02", "quiet": [{"start": "09:01:10", "end": "09:01:12", "why": "test"}]},
)


@dataclass
class VenueOrder:
    """An order as the venue has it, and what it still has to tell."""

    action: PlaceLimit | CloseMarket
    order_id: OrderId
    left: int
    answered: bool = False
    alive: bool = True
    cancels: int = 0
    """Cancel requests that wait for their outcome."""
    untold: list[OrderEvent | FillEvent] = field(default_factory=list)
    """Facts that the core has not heard yet."""


class AnyVenue(RuleBasedStateMachine):
    """A core under any market and any venue."""

    def __init__(self) -> None:
        super().__init__()
        self.core = core_of(CFG)
        self.ms = 0
        self.fed: list[tuple[Event, int]] = []
        self.steps: list[Step] = []
        self.orders: dict[str, VenueOrder] = {}
        self.best = (10_000, 10_100)
        self.since = 0
        self.told: list[OrderEvent | FillEvent] = []
        self.execs = 0
        self.told_position = 0
        self.private: list[int] = []
        self.sends: list[int] = []
        self.last_decision: tuple[str, Reason] | None = None
        self.ticks = 0

    # --- feeding

    def feed(self, event: Event) -> None:
        if isinstance(event, FillEvent) and event not in self.told:
            self.told_position += event.side.sign * event.size
        if isinstance(event, FillEvent | OrderEvent):
            self.told.append(event)
        self.fed.append((event, at(self.ms)))
        step = self.core.on_event(event, at(self.ms))
        self.steps.append(step)
        for row in step.rows:
            if isinstance(row, DecisionLogRow):
                decision = (row.decision_type, row.reason)
                assert decision[0] != "hold" or decision != self.last_decision, "a hold row without a change"
                self.last_decision = decision
        for action in step.actions:
            self.take(action)
        assert self.core.next_deadline_ns > at(self.ms), "a deadline that has passed: a busy loop"

    def take(self, action: Any) -> None:
        now = at(self.ms)
        live_quotes = list(self.core.orders.quotes())
        if isinstance(action, CancelAllStall):
            self.private += [now] * len(action.order_ids)
            for order in self.orders.values():
                order.cancels += order.order_id in action.order_ids
            return
        self.private.append(now)
        self.sends.append(now)
        assert action.client_order_id not in self.orders
        assert action.size >= MIN, "the venue takes no less"
        if isinstance(action, PlaceLimit):
            assert self.core.halted is None
            assert self.core.venue == (BoardState.RUNNING, Health.NORMAL)
            assert self.core.book_status(now) is BookStatus.OK
            bid, ask = self.best
            assert action.price < ask if action.side is BUY else action.price > bid
        else:
            assert live_quotes == [], "-159"
            assert sum(order.tag != "stall" for order in self.core.orders.live()) == 1
        order_id = OrderId(f"V-{action.client_order_id}")
        self.orders[action.client_order_id] = VenueOrder(action, order_id, action.size)

    def fact(self, order: VenueOrder, kind: OrderEventKind) -> OrderEvent:
        return OrderEvent(ts_ns=at(self.ms), kind=kind, order_id=order.order_id)

    def live(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if order.alive]

    # --- the market

    @initialize()
    def running(self) -> None:
        self.feed(VenueStatus(ts_ns=at(0), state=BoardState.RUNNING, health=Health.NORMAL))
        self.show()

    def show(self, status: BookStatus = BookStatus.OK) -> None:
        self.feed(board(self.ms, *self.best, since_ms=self.since, status=status))

    def wake(self, until_ms: int) -> None:
        while (deadline := self.core.next_deadline_ns) <= at(until_ms):
            self.ms = max(self.ms, -(-(deadline - at(0)) // MS))
            self.ticks += 1
            self.feed(Tick(ts_ns=at(self.ms)))
        self.ms = max(self.ms, until_ms)

    @rule(pause=st.sampled_from([1, 30, 100, 300, 800, 1_500, 5_000, 65_000]))
    def wait(self, pause: int) -> None:
        before = self.ticks
        self.wake(self.ms + pause)
        assert self.ticks - before <= 20 + pause // 10, "woken more often than anything can change"

    @rule(messages=st.integers(1, 12), gap=st.sampled_from([40, 110, 250]))
    def still_market(self, messages: int, gap: int) -> None:
        for _ in range(messages):
            self.wake(self.ms + gap)
            self.show()

    @rule(move=st.integers(-40, 40), spread=st.sampled_from([1, 2, 3, 100]))
    def best_moves(self, move: int, spread: int) -> None:
        bid = max(5_000, self.best[0] + move)
        if (bid, bid + spread) != self.best:
            self.best, self.since = (bid, bid + spread), self.ms
        self.show()

    @rule(by=st.sampled_from([-3_000, 3_000]))
    def market_jumps(self, by: int) -> None:
        self.best, self.since = (max(5_000, self.best[0] + by), max(5_000, self.best[0] + by) + 50), self.ms
        self.show()

    @rule(status=st.sampled_from([BookStatus.SUSPECT, BookStatus.UNKNOWN]))
    def book_is_doubtful(self, status: BookStatus) -> None:
        self.show(status)

    @rule(
        state=st.sampled_from([BoardState.RUNNING, BoardState.RUNNING, BoardState.CLOSED, BoardState.CIRCUIT_BREAK]),
        health=st.sampled_from([Health.NORMAL, Health.NORMAL, Health.SUPER_BUSY]),
    )
    def status_changes(self, state: BoardState, health: Health) -> None:
        self.feed(VenueStatus(ts_ns=at(self.ms), state=state, health=health))

    @rule(amount=st.integers(-(10**8), 10**8))
    def funding(self, amount: int) -> None:
        self.feed(FundingEvent(ts_ns=at(self.ms), amount=Money(amount), what="funding"))

    @rule(command=st.sampled_from([Command.HALT, Command.RESUME, Command.RESUME, Command.RESUME]))
    def operator(self, command: Command) -> None:
        self.feed(Control(ts_ns=at(self.ms), command=command, reason=Reason.OPERATOR))

    # --- the venue

    @precondition(lambda self: any(not order.answered for order in self.orders.values()))
    @rule(data=st.data(), kind=st.sampled_from([K.ACCEPTED, K.ACCEPTED, K.ACCEPTED, K.ACCEPTED, K.REJECTED]))
    def answer(self, data: st.DataObject, kind: OrderEventKind) -> None:
        order = data.draw(st.sampled_from([order for order in self.orders.values() if not order.answered]))
        if kind is K.REJECTED:
            assume(order.alive and order.left == order.action.size)
            order.alive = False
        order.answered = True
        self.feed(
            OrderEvent(
                ts_ns=at(self.ms),
                kind=kind,
                client_order_id=order.action.client_order_id,
                order_id=order.order_id if kind is K.ACCEPTED else None,
            )
        )

    @precondition(lambda self: self.live())
    @rule(data=st.data(), part=st.sampled_from([1, 1, 2, 3]), tell=st.booleans())
    def fills(self, data: st.DataObject, part: int, tell: bool) -> None:
        order = data.draw(st.sampled_from(self.live()))
        size = max(1, order.left // part)
        self.fill(order, size, tell)

    def fill(self, order: VenueOrder, size: int, tell: bool) -> None:
        self.execs += 1
        order.left -= size
        order.alive = order.left > 0
        side: Side = order.action.side
        worst = self.best[1] if side is BUY else self.best[0]
        event = FillEvent(
            ts_ns=at(self.ms),
            exec_id=ExecId(self.execs),
            side=side,
            price=Ticks(order.action.price or worst),
            size=Lots(size),
            order_id=order.order_id,
        )
        self.feed(event) if tell else order.untold.append(event)

    @precondition(lambda self: any(order.cancels for order in self.orders.values()))
    @rule(data=st.data(), refuse=st.sampled_from([False, False, False, True]), tell=st.booleans())
    def cancel_arrives(self, data: st.DataObject, refuse: bool, tell: bool) -> None:
        order = data.draw(st.sampled_from([order for order in self.orders.values() if order.cancels]))
        order.cancels -= 1
        done = order.alive and not refuse
        order.alive = order.alive and not done
        event = self.fact(order, K.CANCELLED if done else K.CANCEL_FAILED)
        self.feed(event) if tell else order.untold.append(event)

    @precondition(lambda self: any(o.alive and isinstance(o.action, CloseMarket) for o in self.orders.values()))
    @rule(data=st.data())
    def rest_of_a_close_expires(self, data: st.DataObject) -> None:
        closes = [order for order in self.live() if isinstance(order.action, CloseMarket)]
        order = data.draw(st.sampled_from(closes))
        order.alive = False
        order.untold.append(self.fact(order, K.EXPIRED))

    @precondition(lambda self: any(order.untold for order in self.orders.values()))
    @rule(data=st.data(), last=st.booleans())
    def news(self, data: st.DataObject, last: bool) -> None:
        """Something is told at last, not always the oldest first."""
        order = data.draw(st.sampled_from([order for order in self.orders.values() if order.untold]))
        self.feed(order.untold.pop(-1 if last else 0))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def told_again(self, data: st.DataObject) -> None:
        self.feed(data.draw(st.sampled_from(self.told)))

    # --- what always holds

    @invariant()
    def exposure_never_exceeds_the_limit(self) -> None:
        """What the core knows, with every live order of its filled; closes only ever reduce, dust adds a minimum."""
        position = self.core.inventory.position
        buys = sum(o.remaining for o in self.core.orders.quotes() if o.side is BUY)
        sells = sum(o.remaining for o in self.core.orders.quotes() if o.side is SELL)
        late = sum(
            abs(event.size) for order in self.orders.values() for event in order.untold if isinstance(event, FillEvent)
        )
        if not late and not self.late_fills:
            assert position + buys <= MAX
            assert position - sells >= -MAX

    @property
    def late_fills(self) -> bool:
        """Whether the venue told the end of an order before a fill of it: then the core could not have known."""
        return self.core.record.tally.anomalies > 0

    @invariant()
    def position_is_the_sum_of_the_fills_told(self) -> None:
        held = sum(
            event.side.sign * event.size
            for waiting in self.core.orders._early.values()
            for event in {id(e): e for e in waiting}.values()
            if isinstance(event, FillEvent)
        )
        if not self.core.orders._early:
            assert held == 0
            assert self.core.inventory.position == self.told_position

    @invariant()
    def no_limit_of_the_venue_is_broken(self) -> None:
        for stamps, limit, window_ms in (
            (self.private, 60, 300_000),
            (self.sends, 40, 300_000),
            (self.sends, 20, 60_000),
        ):
            assert sum(stamp > at(self.ms - window_ms) for stamp in stamps) <= limit

    # --- the end

    def teardown(self) -> None:
        """An honest venue and a running market from now on: halted, flat and done within minutes."""
        if not self.fed:
            return
        self.feed(VenueStatus(ts_ns=at(self.ms), state=BoardState.RUNNING, health=Health.NORMAL))
        self.feed(Control(ts_ns=at(self.ms), command=Command.HALT, reason=Reason.OPERATOR))
        for _ in range(3_000):
            self.settle()
            done = (
                self.core.inventory.position == 0 and not self.core.orders.any_live and self.core.exits.closing is None
            )
            if done and not any(order.alive or order.untold for order in self.orders.values()):
                break
            self.wake(self.ms + 100)
            self.show()
            if self.core.halted is None:  # the day has rolled meanwhile
                self.feed(Control(ts_ns=at(self.ms), command=Command.HALT, reason=Reason.OPERATOR))
        else:
            raise AssertionError(f"never flat: {self.core.inventory.position}, {list(self.core.orders.live())}")
        assert self.core.inventory.position == self.told_position == 0
        again = core_of(CFG)
        assert [again.on_event(event, now) for event, now in self.fed] == self.steps, "not deterministic"

    def settle(self) -> None:
        """Answer everything; tell what is overdue, of each order one fact at a time."""
        for order in list(self.orders.values()):
            if not order.answered:
                order.answered = True
                self.feed(
                    OrderEvent(
                        ts_ns=at(self.ms),
                        kind=K.ACCEPTED,
                        client_order_id=order.action.client_order_id,
                        order_id=order.order_id,
                    )
                )
            if order.untold:
                self.feed(order.untold.pop())  # the newest first: an end, and then the fill that was before it
            if order.alive and isinstance(order.action, CloseMarket):
                self.fill(order, order.left, tell=True)
            while order.cancels:
                order.cancels -= 1
                kind = K.CANCELLED if order.alive else K.CANCEL_FAILED
                order.alive = False
                self.feed(self.fact(order, kind))


TestAnyVenue = AnyVenue.TestCase
TestAnyVenue.settings = properties(150, steps=60)

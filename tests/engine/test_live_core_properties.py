"""The live core against an honest venue behind a dishonest wire: what holds whatever is lost, late, doubled or refused.

The rules change the weather, the market and the account; the wire (live_rig.py) does the rest. Every step is checked
there. At the end the wire is honest, and within bounded time the core has to know the truth again.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.types.dto import (
    AccountReport,
    BookStatus,
    Command,
    Control,
    ExecId,
    FillEvent,
    LimitReading,
    OrderId,
    Reason,
    Side,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, MS, SELL, at, config, properties
from tests.engine.live_rig import STORM, Weather, Wire

MAX = 3 * MIN
UNIT = 10**8
"""One JPY."""

CFG = config(
    strategy={"max_inventory_btc": 0.003, "close_retry_ms": 100, "max_reverse_ticks": 20},
    risk={"daily_pnl_jpy": -500, "max_dd_jpy": -500, "after_halt": "wait"},
    session={"day_start": "09:10"},
)


class DishonestWire(RuleBasedStateMachine):
    """A live core under any weather."""

    def __init__(self) -> None:
        super().__init__()
        self.wire: Wire | None = None

    @property
    def w(self) -> Wire:
        assert self.wire is not None
        return self.wire

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.wire = Wire(CFG, seed)
        self.w.pass_time(4_000, alive_ms=100)

    # --- weather

    @rule(stormy=st.booleans())
    def weather(self, stormy: bool) -> None:
        self.w.weather = replace(STORM) if stormy else Weather()

    @rule(
        what=st.sampled_from(["answer_lost", "request_lost", "event_lost", "cancel_idle", "report_failed", "refused"])
    )
    def one_thing_fails(self, what: str) -> None:
        self.w.weather = replace(Weather(), **{what: 1.0})

    @rule(for_ms=st.sampled_from([200, 2_000, 30_000]))
    def channel_drops(self, for_ms: int) -> None:
        self.w.channel_goes(for_ms)

    @rule(how=st.sampled_from(["before storing", "before sending", "after sending"]))
    def crash_soon(self, how: str) -> None:
        self.w.crash = how

    @rule()
    def crash_now(self) -> None:
        self.w.kill()

    # --- market

    @rule(pause=st.sampled_from([50, 300, 1_000, 3_000, 12_000, 70_000]))
    def still_market(self, pause: int) -> None:
        before = self.w.wakes
        self.w.pass_time(pause, alive_ms=100)
        assert self.w.wakes - before <= 30 + pause // 50, "woken more often than anything can change"

    @rule(pause=st.sampled_from([300, 5_000, 65_000]))
    def silent_market(self, pause: int) -> None:
        before = self.w.wakes
        self.w.pass_time(pause)
        assert self.w.wakes - before <= 30 + pause // 50, "woken more often than anything can change"

    @rule(move=st.integers(-60, 60))
    def best_moves(self, move: int) -> None:
        bid = max(5_000, self.w.best[0] + move)
        self.w.move(bid, bid + 100)

    @rule(status=st.sampled_from([BookStatus.OK, BookStatus.OK, BookStatus.SUSPECT, BookStatus.UNKNOWN]))
    def book(self, status: BookStatus) -> None:
        self.w.book = status
        self.w.show()

    @rule(is_running=st.sampled_from([True, True, False]))
    def venue_state(self, is_running: bool) -> None:
        self.w.is_running = is_running
        self.w.feed(self.w.status())

    # --- fills and strangers

    @precondition(lambda self: self.wire is not None and self.wire.alive())
    @rule(data=st.data(), part=st.sampled_from([1, 1, 2, 3]))
    def quote_is_filled(self, data: st.DataObject, part: int) -> None:
        order = data.draw(st.sampled_from(self.w.alive()))
        self.w.execute(order, max(1, order.left // part))

    @rule(side=st.sampled_from([BUY, SELL]), size=st.sampled_from([MIN, 2 * MIN, 40_000]), market=st.booleans())
    def stranger_trades(self, side: Side, size: int, market: bool) -> None:
        self.w.stranger(side, 9_950 if side is BUY else 10_150, size, is_market=market)

    @rule(side=st.sampled_from([BUY, SELL]), known=st.booleans())
    def phantom(self, side: Side, known: bool) -> None:
        """An execution that the venue does not have."""
        self.w.account.execs += 1
        ours = [order for order in self.w.account.orders.values() if order.is_ours and order.terms.side is side]
        fill = FillEvent(
            ts_ns=at(self.w.ms),
            exec_id=ExecId(self.w.account.execs),
            side=side,
            price=Ticks(10_050),
            size=Lots(MIN // 2),
            order_id=ours[-1].order_id if known and ours else OrderId("nobody's"),
        )
        self.w.feed(fill)

    @rule(price=st.integers(9_000, 11_000))
    def positions_are_rebased(self, price: int) -> None:
        self.w.account.basis = price * self.w.account.position

    @rule(bp=st.integers(-30, 30))
    def funding(self, bp: int) -> None:
        self.w.account.cash += self.w.account.basis * bp // 10_000

    @rule(yen=st.sampled_from([-50_000, 100_000]))
    def deposit(self, yen: int) -> None:
        self.w.account.cash += yen * UNIT

    @rule(left=st.sampled_from([1, 100, 400]), orders=st.booleans())
    def reading(self, left: int, orders: bool) -> None:
        limit = LimitName.ORDERS if orders else LimitName.PRIVATE
        now = at(self.w.ms)
        self.w.feed(LimitReading(ts_ns=now, limit=limit, remaining=left, reset_ns=now + 20_000 * MS))

    # --- the operator

    @rule(command=st.sampled_from([Command.HALT, Command.RESUME, Command.RESUME, Command.RESUME]))
    def operator(self, command: Command) -> None:
        self.w.feed(Control(ts_ns=at(self.w.ms), command=command, reason=Reason.OPERATOR))

    # --- what always holds

    @invariant()
    def questions_are_few(self) -> None:
        if self.wire is not None:
            recent, starts = (
                sum(ms > self.w.ms - 60_000 for ms in stamps) for stamps in (self.w.questions, self.w.starts)
            )
            # Every life begins with one, and how often a killed daemon is started again is its supervisor's.
            assert recent <= 30 + starts, f"{recent} questions within a minute of {starts} starts"

    @invariant()
    def books_that_can_be_explained_are_explained(self) -> None:
        """All that happens here comes to light: a halt for books that differ would be a false one."""
        if self.wire is not None:
            assert self.w.core.halted is not Reason.POSITION_MISMATCH

    # --- the end

    def teardown(self) -> None:
        if self.wire is None:
            return
        w = self.wire
        w.weather, w.crash, w.book, w.is_running = Weather(), "", BookStatus.OK, True
        w.feed(w.status())
        command = Command.HALT if w.random.random() < 0.5 else Command.STOP
        w.feed(Control(ts_ns=at(w.ms), command=command, reason=Reason.OPERATOR))
        for _ in range(30):  # phantom fills of an earlier life, and then two looks at the cash, a period apart
            w.pass_time(10_000, alive_ms=200)
        core, account = w.core, w.account
        assert core.account is not None
        rules = core.account.rules
        state = f"position {core.inventory.position} here, {account.position} there; {list(core.orders.live())}"
        assert w.is_at_rest(), state
        assert core.halted is not Reason.POSITION_MISMATCH
        assert sum(w.journal.fills.values()) == account.position, "the booked rows do not sum to the position"
        if core.halted is not None and core.halted is not Reason.AUTH_REFUSED:
            assert core.inventory.position == 0, f"halted ({core.halted.label}) and not flat"
            assert core.exits.closing is None
        assert rules.cash_base is not None
        off = account.cash - core.inventory.cash - rules.cash_base
        assert abs(off) < UNIT, f"cash is off by {off / UNIT} JPY"
        assert w.replayed() == w.steps, "not deterministic"
        self.a_second_look_changes_nothing()

    def a_second_look_changes_nothing(self) -> None:
        """The same report once more, unless a fill came after it: then it is out of date and differs rightly."""
        w = self.w
        core = w.core
        before = (core.inventory.memo(), core.halted, [order.memo() for order in core.orders.live()])
        fed = [event for event, _ in w.fed if isinstance(event, (AccountReport, FillEvent))]
        if not isinstance(fed[-1], AccountReport):
            return
        step = core.on_event(fed[-1], at(w.ms + 1))
        assert before == (core.inventory.memo(), core.halted, [order.memo() for order in core.orders.live()])
        assert step.changes is None, step.changes


TestDishonestWire = pytest.mark.slow(DishonestWire.TestCase)
TestDishonestWire.settings = properties(120, steps=40)

"""An account's ledger against a naive model, which queues every lot (1e-8 BTC) by itself."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stall_then_strike.sim.bitflyer.ledger import RATE_ONE, Fill, Ledger, Lot, Rounding, Yen
from stall_then_strike.types.dto import ExecId, OrderId, Side
from stall_then_strike.types.instrument import Lots, Money, Ticks

START = 1_000_000


def fill(side: Side, price: int, size: int, time_ns: int = 0, number: int = 1) -> Fill:
    return Fill(
        exec_id=ExecId(number),
        time_ns=time_ns,
        side=side,
        price=Ticks(price),
        size=Lots(size),
        order_id=OrderId("JRF"),
        registered_id="JFX",
    )


def test_opposite_fill_closes_the_oldest_first_and_opens_with_the_excess() -> None:
    ledger = Ledger(Money(START))
    assert ledger.fill(fill(Side.BUY, 100, 5, 1)) == 0
    ledger.fill(fill(Side.BUY, 110, 5, 2))
    assert ledger.fill(fill(Side.SELL, 120, 7, 3)) == 5 * 20 + 2 * 10
    assert ledger.lots == (Lot(price=Ticks(110), size=Lots(3), opened_ns=2),)
    assert ledger.fill(fill(Side.SELL, 100, 4, 4)) == -3 * 10
    assert ledger.position == -1
    assert ledger.lots == (Lot(price=Ticks(100), size=Lots(1), opened_ns=4),)
    assert ledger.cash == START + 120 - 30


def test_funding_is_paid_by_longs_and_rounded_against_the_account() -> None:
    ledger = Ledger(Money(START))
    assert ledger.fund(0, Ticks(100), 10_000) == 0
    assert ledger.state().payments == ()
    ledger.fill(fill(Side.BUY, 100, 3))
    assert ledger.fund(1, Ticks(100), 10_000) == -1  # 300 x 0.0001 = 0.03, of a unit of 1e-8 JPY
    ledger.fill(fill(Side.SELL, 100, 30_003))
    assert ledger.fund(2, Ticks(100), 10_000) == 300
    assert ledger.carry(3, Ticks(100), 10_000) == -300
    assert [(p.what, p.amount) for p in ledger.state().payments] == [("funding", -1), ("funding", 300), ("carry", -300)]
    assert ledger.state().funding == -1


def test_rebasing_changes_prices_and_cash_and_nothing_in_worth() -> None:
    ledger = Ledger(Money(START))
    ledger.fill(fill(Side.SELL, 100, 5))
    ledger.fill(fill(Side.SELL, 90, 5))
    before = ledger.state()
    assert ledger.rebase(9, Ticks(80)) == 5 * 20 + 5 * 10
    after = ledger.state()
    assert {lot.price for lot in after.lots} == {80}
    assert after.position == before.position
    assert all(after.worth(Ticks(mark)) == before.worth(Ticks(mark)) for mark in (1, 80, 95, 1_000))


class AgainstNaiveModel(RuleBasedStateMachine):
    """The same fills and payments into the ledger and into a queue of single lots."""

    rounding: Rounding | None = None

    def __init__(self) -> None:
        super().__init__()
        yen = None if self.rounding is None else Yen(one=Money(7), rounding=self.rounding)
        self.ledger = Ledger(Money(START), settled=yen)
        self.units: deque[int] = deque()
        """Entry price of every open lot, oldest first."""
        self.sign = 0
        self.cash = START
        self.paid = 0
        """Cost of all fills so far, and income from funding."""
        self.funding = 0
        self.rounded = 0
        self.count = 0

    def settle(self, amount: int) -> None:
        whole = amount if self.rounding is None else self.rounding.whole(amount, 7)
        self.cash += whole
        self.rounded += whole - amount

    @rule(side=st.sampled_from(Side), price=st.integers(90, 110), size=st.integers(1, 12))
    def trade(self, side: Side, price: int, size: int) -> None:
        self.count += 1
        realised = 0
        for _ in range(size):
            if self.units and self.sign != side.sign:
                realised += self.sign * (price - self.units.popleft())
            else:
                self.units.append(price)
                self.sign = side.sign
        self.settle(realised)
        self.paid += side.sign * price * size
        assert self.ledger.fill(fill(side, price, size, self.count, self.count)) == realised

    @rule(mark=st.integers(90, 110), rate=st.integers(-RATE_ONE, RATE_ONE))
    def fund(self, mark: int, rate: int) -> None:
        income = -self.sign * len(self.units) * mark * rate // RATE_ONE
        assert self.ledger.fund(self.count, Ticks(mark), rate) == income
        self.settle(income)
        self.funding += income

    @rule(mark=st.integers(90, 110))
    def rebase(self, mark: int) -> None:
        settled = sum(self.sign * (mark - price) for price in self.units)
        assert self.ledger.rebase(self.count, Ticks(mark)) == settled
        self.settle(settled)
        self.units = deque(mark for _ in self.units)

    @invariant()
    def books_are_the_models(self) -> None:
        state = self.ledger.state()
        assert state.cash == self.cash
        assert state.position == self.sign * len(self.units)
        assert [lot.price for lot in state.lots for _ in range(lot.size)] == list(self.units)
        assert state.cash == START + state.realised + state.funding + state.rounded
        assert state.rounded == self.rounded
        assert len(state.fills) == self.count
        now = self.ledger.at(self.count)
        assert (now.cash, now.position, now.lots, len(now.fills)) == (
            state.cash,
            state.position,
            state.lots,
            self.count,
        )

    @invariant()
    def worth_is_what_was_paid_and_received(self) -> None:
        state = self.ledger.state()
        for mark in (1, 100, 777):
            assert state.worth(Ticks(mark)) == START - self.paid + state.position * mark + self.funding + self.rounded


class InWholeYen(AgainstNaiveModel):
    """Results settle in steps of seven."""

    rounding = Rounding.DOWN


TestAgainstNaiveModel = AgainstNaiveModel.TestCase
TestInWholeYen = InWholeYen.TestCase
TestInWholeYen.settings = settings(stateful_step_count=40)
TestAgainstNaiveModel.settings = settings(stateful_step_count=40)


# --- past states -----------------------------------------------------------------------------------------------------


def test_books_are_shown_as_they_were_at_each_moment() -> None:
    ledger = Ledger(Money(START))
    steps = [
        lambda: ledger.fill(fill(Side.BUY, 100, 5, 10, 1)),
        lambda: ledger.fill(fill(Side.SELL, 120, 2, 20, 2)),
        lambda: ledger.fund(30, Ticks(100), 1_000_000),
        lambda: ledger.fill(fill(Side.SELL, 90, 6, 40, 3)),
        lambda: ledger.rebase(50, Ticks(95)),
    ]
    seen = {5: ledger.state()}
    for number, step in enumerate(steps, 1):
        step()
        seen[10 * number] = seen[10 * number + 9] = ledger.state()
    for time_ns, state in seen.items():
        past = ledger.at(time_ns)
        assert (past.cash, past.position, past.lots) == (state.cash, state.position, state.lots)
        assert tuple(past.fills) == state.fills
    assert ledger.state() == seen[59]


def test_books_of_more_than_ten_minutes_ago_are_forgotten() -> None:
    ledger = Ledger(Money(START))
    for second in range(3_000):
        ledger.fill(fill(Side.BUY, 100, 1, second * 10**9, second + 1))
    assert len(ledger._pages) < 605
    assert ledger.at(2_999 * 10**9 - 600 * 10**9).position == 2_400


# --- whole yen -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounding", "whole"),
    [
        (Rounding.DOWN, {-11: -20, -10: -10, -1: -10, 9: 0, 10: 10}),
        (Rounding.TO_ZERO, {-19: -10, -9: 0, 9: 0, 11: 10}),
    ],
)
def test_amounts_are_rounded_to_whole_ones(rounding: Rounding, whole: dict[int, int]) -> None:
    assert {amount: rounding.whole(amount, 10) for amount in whole} == whole


@pytest.mark.parametrize(
    ("rounding", "settled"), [(Rounding.DOWN, 0 - 20 - 10), (Rounding.TO_ZERO, 0 - 10 - 0), (None, 9 - 14 - 4)]
)
def test_results_settle_in_whole_yen_and_the_rest_is_kept_apart(rounding: Rounding | None, settled: int) -> None:
    """With a yen of ten units, results of 9, -14 and -4 are rounded; the position is exact."""
    ledger = Ledger(Money(START), settled=None if rounding is None else Yen(one=Money(10), rounding=rounding))
    ledger.fill(fill(Side.BUY, 100, 3, 1, 1))
    assert ledger.fill(fill(Side.SELL, 103, 3, 2, 2)) == 9
    ledger.fill(fill(Side.BUY, 100, 2, 3, 3))
    assert ledger.fill(fill(Side.SELL, 93, 2, 4, 4)) == -14
    ledger.fill(fill(Side.BUY, 100, 4, 5, 5))
    assert ledger.fund(6, Ticks(100), 1_000_000) == -4
    state = ledger.state()
    assert state.cash - START == settled
    assert state.rounded == settled + 9
    assert (state.realised, state.funding, state.position) == (-5, -4, 4)
    assert ledger.at(2).cash == START + (0 if rounding is not None else 9)

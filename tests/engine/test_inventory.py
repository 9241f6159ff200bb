"""Position, basis, the day's result and its drawdown: to the unit, whatever the order of fills."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import RiskConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.risk import KillSwitch
from stall_then_strike.types.dto import FillEvent, Reason, Side
from stall_then_strike.types.instrument import Lots, Money, Ticks, fx_btc_jpy
from tests.engine.core_rig import BUY, SELL, fill, properties


def flat() -> InventoryManager:
    return InventoryManager(RiskConfig(), fx_btc_jpy())


@dataclass(frozen=True)
class Trade:
    side: Side
    price: int
    size: int
    fee: int = 0


def book(inventory: InventoryManager, *trades: Trade) -> list[int]:
    return [
        inventory.apply_fill(fill(t.side, t.price, t.size, fee=t.fee, exec_id=number))
        for number, t in enumerate(trades)
    ]


# --- Average-price accounting: trades, then position, basis and what each realised ------------------------------------

ACCOUNTS = [
    pytest.param([Trade(BUY, 100, 10)], 10, 1000, [0], id="open long"),
    pytest.param([Trade(SELL, 100, 10)], -10, -1000, [0], id="open short"),
    pytest.param([Trade(BUY, 100, 10), Trade(BUY, 110, 30)], 40, 4300, [0, 0], id="add to a long"),
    pytest.param([Trade(SELL, 100, 10), Trade(SELL, 90, 30)], -40, -3700, [0, 0], id="add to a short"),
    pytest.param([Trade(BUY, 100, 10), Trade(SELL, 110, 4)], 6, 600, [0, 40], id="part of a long with a win"),
    pytest.param([Trade(BUY, 100, 10), Trade(SELL, 90, 4)], 6, 600, [0, -40], id="part of a long with a loss"),
    pytest.param([Trade(SELL, 100, 10), Trade(BUY, 90, 4)], -6, -600, [0, 40], id="part of a short with a win"),
    pytest.param([Trade(SELL, 100, 10), Trade(BUY, 110, 4)], -6, -600, [0, -40], id="part of a short with a loss"),
    pytest.param([Trade(BUY, 100, 10), Trade(SELL, 105, 10)], 0, 0, [0, 50], id="all of a long"),
    pytest.param([Trade(SELL, 100, 10), Trade(BUY, 105, 10)], 0, 0, [0, -50], id="all of a short"),
    pytest.param([Trade(BUY, 100, 10), Trade(SELL, 105, 25)], -15, -1575, [0, 50], id="flip from long to short"),
    pytest.param([Trade(SELL, 100, 10), Trade(BUY, 95, 25)], 15, 1425, [0, 50], id="flip from short to long"),
    pytest.param(
        [Trade(BUY, 100, 10, fee=7), Trade(SELL, 105, 10, fee=3)], 0, 0, [-7, 47], id="fees are realised at once"
    ),
    pytest.param([Trade(BUY, 100, 10, fee=-7)], 10, 1000, [7], id="a rebate is income"),
    pytest.param(
        [Trade(BUY, 100, 1), Trade(BUY, 101, 2), Trade(SELL, 101, 1), Trade(SELL, 101, 1), Trade(SELL, 101, 1)],
        0,
        0,
        # The average is 100 2/3: shares of the basis are rounded down, and the last one takes the remainder.
        [0, 0, 101 - 100, 101 - 101, 101 - 101],
        id="an average between two units",
    ),
]


@pytest.mark.parametrize(("trades", "position", "basis", "realised"), ACCOUNTS)
def test_fills_give_position_basis_and_realised(
    trades: list[Trade], position: int, basis: int, realised: list[int]
) -> None:
    inventory = flat()
    assert book(inventory, *trades) == realised
    assert (inventory.position, inventory.basis) == (position, basis)
    assert inventory.realised_today == sum(realised)
    assert inventory.last_pnl == realised[-1]


@pytest.mark.parametrize(
    ("trades", "side", "size", "average"),
    [
        pytest.param([], "flat", 0, 0, id="flat"),
        pytest.param([Trade(BUY, 100, 1), Trade(BUY, 101, 1)], "long", 2, 101, id="half a tick is shown rounded up"),
        pytest.param([Trade(SELL, 100, 2), Trade(SELL, 101, 1)], "short", 3, 100, id="short"),
    ],
)
def test_state_shows_side_size_and_average(trades: list[Trade], side: str, size: int, average: int) -> None:
    inventory = flat()
    book(inventory, *trades)
    state = inventory.state()
    assert (state.side, state.size, state.avg_price) == (side, size, average)


# --- Marked result and drawdown ---------------------------------------------------------------------------------------


def test_position_without_a_mark_is_worth_what_it_cost() -> None:
    inventory = flat()
    book(inventory, Trade(BUY, 100, 10, fee=3))
    assert inventory.pnl_today == -3


@pytest.mark.parametrize(("side", "pnl"), [(BUY, 3 * 5 // 2), (SELL, -8)], ids=["long", "short"])
def test_half_tick_of_the_mid_is_rounded_against_us(side: Side, pnl: int) -> None:
    inventory = flat()
    book(inventory, Trade(side, 100, 3))
    inventory.mark(Ticks(102), Ticks(103))  # the mid is 102.5: 7.5 won or lost
    assert inventory.pnl_today == pnl


def test_drawdown_counts_from_the_peak_not_from_the_start() -> None:
    """F2 (hummingbot #2969): up 100, then back to 40, is a drawdown of 60 and no loss."""
    inventory = flat()
    book(inventory, Trade(BUY, 100, 10))
    inventory.mark(Ticks(110), Ticks(110))
    inventory.mark(Ticks(104), Ticks(104))
    assert (inventory.pnl_today, inventory.drawdown, inventory.max_drawdown) == (40, -60, -60)
    inventory.mark(Ticks(109), Ticks(109))
    assert (inventory.drawdown, inventory.max_drawdown) == (-10, -60)


def test_day_that_never_won_draws_down_from_zero() -> None:
    inventory = flat()
    book(inventory, Trade(SELL, 100, 10))
    inventory.mark(Ticks(103), Ticks(103))
    assert inventory.drawdown == inventory.pnl_today == -30


def test_a_peak_between_two_fills_counts_though_no_fill_was_there() -> None:
    inventory = flat()
    book(inventory, Trade(BUY, 100, 10))
    inventory.mark(Ticks(150), Ticks(150))
    book(inventory, Trade(SELL, 100, 10))
    assert (inventory.pnl_today, inventory.drawdown, inventory.max_drawdown) == (0, -500, -500)


def test_marks_while_flat_change_nothing() -> None:
    inventory = flat()
    book(inventory, Trade(BUY, 100, 10), Trade(SELL, 110, 10))
    inventory.mark(Ticks(1), Ticks(1))
    assert (inventory.pnl_today, inventory.drawdown) == (100, 0)


@pytest.mark.parametrize("amount", [-25, 25])
def test_funding_belongs_to_the_days_result(amount: int) -> None:
    inventory = flat()
    inventory.apply_cash(Money(amount))
    assert inventory.realised_today == inventory.pnl_today == amount
    assert inventory.drawdown == min(0, amount)


# --- The day roll -----------------------------------------------------------------------------------------------------


def test_day_roll_with_an_open_position_starts_from_the_mark() -> None:
    inventory = flat()
    book(inventory, Trade(BUY, 100, 10, fee=5))
    inventory.mark(Ticks(120), Ticks(120))
    inventory.roll_day()
    assert (inventory.pnl_today, inventory.realised_today, inventory.max_drawdown) == (0, 0, 0)
    assert (inventory.position, inventory.basis) == (10, 1000), "the position goes on at its cost"
    inventory.mark(Ticks(115), Ticks(115))
    assert (inventory.pnl_today, inventory.drawdown) == (-50, -50), "yesterday's win is not today's peak"
    book(inventory, Trade(SELL, 115, 10))
    assert inventory.realised_today == 150, "realised against the cost"
    assert inventory.pnl_today == -50, "but the day lost"


def test_resume_restarts_the_drawdown_from_here() -> None:
    inventory = flat()
    book(inventory, Trade(BUY, 100, 10))
    inventory.mark(Ticks(90), Ticks(90))
    inventory.restart_peak()
    assert (inventory.pnl_today, inventory.drawdown, inventory.max_drawdown) == (-100, 0, -100)
    inventory.mark(Ticks(88), Ticks(88))
    assert inventory.drawdown == -20


def test_limits_are_money_units() -> None:
    inventory = InventoryManager(RiskConfig(daily_pnl_jpy=Decimal("-10.5"), max_dd_jpy=Decimal(-3)), fx_btc_jpy())
    assert (inventory.daily_limit, inventory.drawdown_limit) == (-1_050_000_000, -300_000_000)


# --- Properties -------------------------------------------------------------------------------------------------------

PRICES = st.integers(1, 20_000_000)
TRADES = st.builds(
    Trade,
    side=st.sampled_from(Side),
    price=PRICES,
    size=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
    fee=st.integers(-1000, 1000),
)


def cash_of(trades: list[Trade]) -> int:
    return -sum(t.side.sign * t.price * t.size + t.fee for t in trades)


@properties(300)
@given(st.lists(TRADES, max_size=30), PRICES)
def test_nothing_is_ever_lost(trades: list[Trade], mid: int) -> None:
    """realised + position * mid - basis equals cash + position * mid after every fill; flat: realised equals cash."""
    inventory = flat()
    for number, trade in enumerate(trades, 1):
        book(inventory, trade)
        cash = cash_of(trades[:number])
        position = sum(t.side.sign * t.size for t in trades[:number])
        assert inventory.position == position
        assert inventory.realised_today - inventory.basis == cash
        assert inventory.basis == 0 or (inventory.basis > 0) is (position > 0), "the basis has the position's sign"
        if not position:
            assert (inventory.basis, inventory.realised_today) == (0, cash)
    inventory.mark(Ticks(mid), Ticks(mid))
    assert inventory.pnl_today == cash_of(trades) + inventory.position * mid


@properties(300)
@given(st.lists(TRADES, max_size=12), st.data())
def test_splitting_a_fill_moves_at_most_a_unit_a_part(trades: list[Trade], data: st.DataObject) -> None:
    whole, split, parts = flat(), flat(), 0
    for trade in trades:
        book(whole, trade)
        first = data.draw(st.integers(1, trade.size))
        sizes = [size for size in (first, trade.size - first) if size]
        parts += len(sizes)
        book(split, *(Trade(trade.side, trade.price, size, trade.fee if not n else 0) for n, size in enumerate(sizes)))
    assert split.position == whole.position
    # Each rounding moves less than a unit between realised and basis; their difference is exact in both.
    assert abs(split.basis - whole.basis) <= parts + len(trades)
    assert split.realised_today - split.basis == whole.realised_today - whole.basis


@properties(200)
@given(st.lists(st.one_of(TRADES, PRICES, st.just("roll")), max_size=40))
def test_drawdown_is_the_fall_from_the_highest_result_since_the_roll(steps: list[Trade | int | str]) -> None:
    inventory, peak, deepest = flat(), 0, 0
    run, run_peak, run_deepest = 0, 0, 0
    for step in steps:
        before = inventory.pnl_today
        if step == "roll":
            inventory.roll_day()
            peak = deepest = 0
            before = 0
        elif isinstance(step, Trade):
            book(inventory, step)
        elif isinstance(step, int):
            inventory.mark(Ticks(step), Ticks(step + 1))
        peak = max(peak, inventory.pnl_today)
        deepest = min(deepest, inventory.pnl_today - peak)
        assert inventory.drawdown == inventory.pnl_today - peak <= 0
        assert inventory.max_drawdown == deepest
        run += inventory.pnl_today - before
        run_peak, run_deepest = max(run_peak, run), min(run_deepest, run - max(run_peak, run))
        assert (inventory.run_pnl, inventory.run_max_drawdown) == (run, run_deepest), "over all days"


def test_a_restarted_run_counts_its_own_result_from_its_first_mark() -> None:
    earlier = flat()
    earlier.mark(Ticks(100), Ticks(100))
    book(earlier, Trade(BUY, 100, 4))
    earlier.mark(Ticks(90), Ticks(90))
    inventory = flat()
    inventory.restore(earlier.memo())
    inventory.mark(Ticks(80), Ticks(80))  # what moved while nothing ran
    assert (inventory.run_pnl, inventory.pnl_today) == (0, -80)
    inventory.mark(Ticks(79), Ticks(79))
    book(inventory, Trade(SELL, 81, 4, fee=1))
    assert (inventory.run_pnl, inventory.run_max_drawdown) == (3, -4)
    assert inventory.run_pnl - inventory.run_realised == 80, "the open position's loss was there before"


def test_after_a_resume_the_deepest_fall_is_no_less_than_the_days_loss() -> None:
    inventory = flat()
    inventory.mark(Ticks(100), Ticks(100))
    book(inventory, Trade(BUY, 100, 1))
    inventory.mark(Ticks(90), Ticks(90))
    inventory.restart_peak()
    inventory.mark(Ticks(85), Ticks(85))
    assert (inventory.pnl_today, inventory.drawdown, inventory.max_drawdown) == (-15, -5, -15)


def test_fill_events_refuse_nothing_and_nobody() -> None:
    with pytest.raises(ValueError, match="positive"):
        fill(BUY, 0, 1)
    with pytest.raises(ValueError, match="positive"):
        fill(BUY, 1, 0)
    with pytest.raises(ValueError, match="order id"):
        fill(BUY, 1, 1, name=None)
    assert isinstance(fill(SELL, 1, 1), FillEvent)


# --- take-overs, and what is remembered (live)


def test_a_take_over_leaves_the_days_result_alone() -> None:
    inventory = flat()
    inventory.mark(Ticks(100), Ticks(100))
    book(inventory, Trade(BUY, 100, 4), Trade(SELL, 103, 4))
    inventory.take_over(Lots(-7), Money(-7 * 90))
    assert (inventory.position, inventory.basis, inventory.pnl_today) == (-7, -630, 12)
    inventory.mark(Ticks(101), Ticks(101))
    assert inventory.pnl_today == 12 - 7
    assert inventory.realised_today == 12


def test_what_a_position_had_lost_before_it_was_taken_over_is_not_this_days() -> None:
    """Also where the first price comes after it: the kill switch would trip on yesterday's loss."""
    inventory = flat()
    inventory.take_over(Lots(10), Money(10 * 500))
    inventory.mark(Ticks(100), Ticks(100))
    assert (inventory.pnl_today, inventory.drawdown) == (0, 0)
    inventory.mark(Ticks(99), Ticks(99))
    assert inventory.pnl_today == -10
    book(inventory, Trade(SELL, 99, 10))
    assert inventory.pnl_today == -10


def test_cash_moves_with_each_fill_by_its_notional() -> None:
    inventory = flat()
    before = inventory.cash
    book(inventory, Trade(BUY, 100, 3), Trade(SELL, 90, 7, fee=5), Trade(BUY, 80, 2))
    assert inventory.cash - before == -300 + 630 - 5 - 160


@given(
    st.lists(st.sampled_from([Trade(BUY, 100, 7), Trade(SELL, 90, 5), Trade(SELL, 111, 13, fee=3)]), max_size=8),
    st.integers(50, 150),
)
@properties(100)
def test_what_is_remembered_is_all_there_is_to_know(trades: list[Trade], mid: int) -> None:
    """C4: warm restart."""
    inventory, again = flat(), flat()
    inventory.mark(Ticks(mid), Ticks(mid + 1))
    book(inventory, *trades)
    again.restore(inventory.memo())
    for step in range(4):
        assert again.state() == inventory.state()
        assert again.memo() == inventory.memo()
        for one in (inventory, again):
            one.mark(Ticks(mid - step), Ticks(mid + 3 * step))
            book(one, Trade(SELL, 95, 3))
            if step == 2:
                one.roll_day()


def test_a_mid_of_an_earlier_run_trips_nothing() -> None:
    """A position that was opened by hand while nothing ran is not valued at the price of yesterday."""
    before = InventoryManager(RiskConfig(), fx_btc_jpy())
    before.mark(Ticks(9_000_000), Ticks(9_000_002))
    found = InventoryManager(RiskConfig(), fx_btc_jpy())
    found.restore(before.memo())
    switch = KillSwitch(RiskConfig())
    found.apply_fill(fill(BUY, 13_600_000, 10_000_000))
    assert switch.check(found) is None
    assert found.max_drawdown == 0
    found.mark(Ticks(13_599_000), Ticks(13_601_000))
    assert switch.check(found) is None
    assert found.max_drawdown == 0
    found.mark(Ticks(9_000_000), Ticks(9_000_002))
    assert switch.check(found) is Reason.KILL_PNL

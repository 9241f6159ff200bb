"""One account with two instruments: limits, halts, commands and days that concern both, driven by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.portfolio import MONEY_PER_ONE, Portfolio, Taken
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    BoardState,
    CancelAllStall,
    CloseMarket,
    Command,
    Control,
    CoreMemo,
    Event,
    ExecId,
    FillEvent,
    Health,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PlaceLimit,
    PrivateChannel,
    Reason,
    Side,
    Tick,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import MS, START_NS, at, board
from tests.engine.venue.reports import UNIT, report

FX, ETH = 0, 1
MID = {FX: 10_000_000, ETH: 10_000_000}
"""In ticks: 10,000,000 JPY and 1,000,000 JPY."""
DAY_MS = 86_400_000


def config(**sections: Any) -> AppConfig:
    tree: dict[str, Any] = {
        "instruments": [{"product_code": "FX_BTC_JPY"}, {"product_code": "ETH_JPY", "tick_size": 0.1}],
        "strategy": {"stall_T_ms": 100, "max_reverse_ticks": 1_000_000},
        "risk": {"daily_pnl_jpy": -1_000, "max_dd_jpy": -5_000, "after_halt": "wait"},
        **sections,
    }
    return AppConfig.model_validate(_exact(tree))


def _exact(value: Any) -> Any:
    match value:
        case dict():
            return {name: _exact(item) for name, item in value.items()}
        case list():
            return [_exact(item) for item in value]
        case float():
            return Decimal(str(value))
    return value


class Account:
    """The portfolio, its market, and all that it wanted."""

    def __init__(self, cfg: AppConfig | None = None) -> None:
        self.cfg = cfg or config()
        shared = Shared(self.cfg, bitflyer_rules(self.cfg))
        self.cores = [Core(each, shared, is_remembered=True) for each in self.cfg.by_instrument()]
        self.portfolio = Portfolio(self.cfg.risk, self.cores)
        self.ms = 0
        self.taken: list[Taken] = []
        self._execs = 0

    def tell(self, event: Event, number: int = FX) -> Sequence[Taken]:
        taken = self.portfolio.on_event(event, START_NS + self.ms * MS, number)
        self.taken += taken
        return taken

    def open(self) -> None:
        for number in (FX, ETH):
            self.tell(VenueStatus(ts_ns=0, state=BoardState.RUNNING, health=Health.NORMAL), number)
            self.show(number)

    def show(self, number: int, move: int = 0, spread: int = 10) -> Sequence[Taken]:
        """A board around the mid, moved by so many ticks."""
        return self.tell(board(self.ms, MID[number] + move - spread, MID[number] + move + spread), number)

    def pass_ms(self, ms: int) -> None:
        """Time passes, with boards that stand still."""
        for _ in range(ms // 100):
            self.ms += 100
            for number in (FX, ETH):
                core = self.cores[number]
                self.tell(core.board._replace(ts_ns=START_NS + self.ms * MS), number)

    def end_quotes(self) -> None:
        """The venue tells that all live orders are cancelled."""
        for number, core in enumerate(self.cores):
            for order in list(core.orders.live()):
                name = order.client_order_id
                event = OrderEvent(
                    ts_ns=0,
                    kind=OrderEventKind.CANCELLED,
                    client_order_id=name,
                    order_id=order.order_id or OrderId(f"J{number}-{name}"),
                )
                self.tell(event, number)

    def wanted(self, number: int, kind: type) -> list[Any]:
        return [a for taken in self.taken if taken.number == number for a in taken.step.actions if isinstance(a, kind)]

    def buy(self, number: int, size: int = 100_000) -> None:
        """A quote of ours is bought into a long position, at one tick under the mid."""
        self.pass_ms(200)
        quote = next(a for a in reversed(self.wanted(number, PlaceLimit)) if a.side is Side.BUY)
        order_id = OrderId(f"J{number}-{quote.client_order_id}")
        name = quote.client_order_id
        kinds = (OrderEventKind.ACCEPTED, OrderEventKind.REGISTERED)
        for kind in kinds:
            self.tell(OrderEvent(ts_ns=0, kind=kind, client_order_id=name, order_id=order_id), number)
        self._execs += 1
        self.tell(
            FillEvent(
                ts_ns=START_NS + self.ms * MS,
                exec_id=ExecId(self._execs),
                side=Side.BUY,
                price=quote.price,
                size=Lots(size),
                order_id=order_id,
            ),
            number,
        )


def test_a_limit_counts_both_and_halts_both() -> None:
    """Each loses 600 JPY, which neither the one nor the other may not."""
    account = Account()
    account.open()
    account.buy(FX)
    account.buy(ETH)
    assert [core.inventory.position for core in account.cores] == [100_000, 100_000]
    account.show(FX, move=-600_000)
    assert account.portfolio.halted is None
    assert account.cores[FX].inventory.pnl_today == pytest.approx(-600 * 10**8, rel=1e-3)
    account.show(ETH, move=-6_000_000)
    assert account.portfolio.halted is Reason.KILL_PNL
    day = account.portfolio.day
    assert day is not None
    assert day.pnl_today == pytest.approx(-1_200 * MONEY_PER_ONE, rel=1e-3)
    assert all(core.exits.closing is not None for core in account.cores), "both close"
    assert [halt.reason for halt in _halts(account, FX) + _halts(account, ETH)] == [Reason.KILL_PNL], "told once"


def _halts(account: Account, number: int) -> list[Any]:
    rows = [row for taken in account.taken if taken.number == number for row in taken.step.rows]
    return [row for row in rows if getattr(row, "decision_type", "") == "halt"]


def test_a_halt_takes_back_the_quotes_of_both() -> None:
    account = Account()
    account.open()
    account.pass_ms(200)
    for number in (FX, ETH):
        for quote in account.wanted(number, PlaceLimit):
            name = quote.client_order_id
            event = OrderEvent(
                ts_ns=0, kind=OrderEventKind.ACCEPTED, client_order_id=name, order_id=OrderId(f"J{number}{name}")
            )
            account.tell(event, number)
    account.taken.clear()
    account.tell(Control(ts_ns=0, command=Command.HALT, reason=Reason.OPERATOR))
    assert account.portfolio.halted is Reason.OPERATOR
    for number in (FX, ETH):
        (cancel,) = account.wanted(number, CancelAllStall)
        assert len(cancel.order_ids) == 2
    account.taken.clear()
    account.pass_ms(500)
    assert not account.wanted(FX, PlaceLimit) + account.wanted(ETH, PlaceLimit)


@pytest.mark.parametrize("number", [FX, ETH])
def test_many_refusals_of_one_instrument_halt_both(number: int) -> None:
    account = Account(config(risk={"max_rejects": 2, "after_halt": "wait"}))
    account.open()
    account.pass_ms(200)
    for quote in account.wanted(number, PlaceLimit)[:2]:
        event = OrderEvent(ts_ns=0, kind=OrderEventKind.REJECTED, client_order_id=quote.client_order_id)
        account.tell(event, number)
    assert account.portfolio.halted is Reason.REJECTS
    account.taken.clear()
    account.pass_ms(500)
    assert not account.wanted(FX, PlaceLimit) + account.wanted(ETH, PlaceLimit)


def test_names_of_orders_are_unique_over_both() -> None:
    account = Account()
    account.open()
    account.pass_ms(200)
    names = [quote.client_order_id for number in (FX, ETH) for quote in account.wanted(number, PlaceLimit)]
    assert len(names) == 4
    assert len(set(names)) == 4
    assert len({name.partition("-")[0] for name in names}) == 1, "one run, one series"


def test_stop_flat_stops_and_closes_both() -> None:
    account = Account()
    account.open()
    account.buy(FX)
    account.buy(ETH)
    account.taken.clear()
    account.tell(Control(ts_ns=0, command=Command.STOP_FLAT, reason=Reason.STOPPING))
    assert not account.portfolio.is_done
    account.end_quotes()
    account.pass_ms(1_000)
    assert account.wanted(FX, CloseMarket)
    assert account.wanted(ETH, CloseMarket)
    assert not account.wanted(FX, PlaceLimit) + account.wanted(ETH, PlaceLimit)


def test_a_new_day_begins_for_both_at_once_and_counts_nothing_of_the_old() -> None:
    """The halt of the old day is lifted, and is not tripped anew by what the other instrument lost then."""
    account = Account()
    account.open()
    account.buy(FX)
    account.buy(ETH)
    account.show(ETH, move=-11_000_000)
    assert account.portfolio.halted is Reason.KILL_PNL
    account.ms += DAY_MS
    account.show(FX)
    assert account.portfolio.halted is None
    day = account.portfolio.day
    assert day is not None
    assert (day.pnl_today, day.drawdown) == (0, 0)
    assert {core.calendar.day(START_NS + account.ms * MS) for core in account.cores} == {
        core._day for core in account.cores
    }


def test_peak_and_drawdown_are_those_of_the_sum() -> None:
    account = Account(config(risk={"daily_pnl_jpy": -100_000, "max_dd_jpy": -1_000, "after_halt": "wait"}))
    account.open()
    account.buy(FX)
    account.buy(ETH)
    account.show(FX, move=700_000)
    account.show(ETH, move=-7_000_000)
    day = account.portfolio.day
    assert day is not None
    assert day.drawdown == pytest.approx(-700 * MONEY_PER_ONE, rel=1e-2)
    assert account.portfolio.halted is None
    account.show(FX, move=350_000)
    assert account.portfolio.halted is Reason.KILL_DRAWDOWN
    assert day.max_drawdown == pytest.approx(-1_050 * MONEY_PER_ONE, rel=1e-2)


def test_a_deadline_of_either_wakes() -> None:
    account = Account()
    account.open()
    deadlines = [core.next_deadline_ns for core in account.cores]
    assert account.portfolio.next_deadline_ns == min(deadlines)
    account.ms += 150
    account.tell(Tick(ts_ns=0))
    assert account.wanted(FX, PlaceLimit)
    assert account.wanted(ETH, PlaceLimit)


# --- What is remembered -----------------------------------------------------------------------------------------------


def memos(account: Account) -> tuple[list[CoreMemo | None], CoreMemo]:
    """The last memo of each core and of the account."""
    last: list[CoreMemo | None] = [None, None]
    whole = None
    for taken in account.taken:
        changes = taken.step.changes
        if changes is not None and changes.memo is not None:
            assert changes.product == account.cores[taken.number].instrument.product_code
            last[taken.number], whole = changes.memo, changes.account
    assert whole is not None
    return last, whole


def restored(old: Account) -> Account:
    new, (last, whole) = Account(old.cfg), memos(old)
    new.ms = old.ms + 1_000
    for core, memo in zip(new.cores, last, strict=True):
        core.restore(memo, (), ())
    new.portfolio.restore(whole)
    return new


def test_a_restart_knows_the_halt_of_either_and_the_result_of_both() -> None:
    old = Account()
    old.open()
    old.buy(FX)
    old.buy(ETH)
    old.show(FX, move=-600_000)
    old.show(ETH, move=-6_000_000)
    new = restored(old)
    assert new.portfolio.halted is Reason.KILL_PNL
    assert old.portfolio.day is not None
    assert new.portfolio.day is not None
    for number, move in ((FX, -600_000), (ETH, -6_000_000)):
        new.show(number, move=move)
    assert new.portfolio.day.pnl_today == old.portfolio.day.pnl_today
    assert new.portfolio.day.max_drawdown == old.portfolio.day.max_drawdown
    new.ms += DAY_MS
    new.show(ETH)
    assert new.portfolio.halted is None


def test_what_is_remembered_of_a_fall_after_a_halt_is_its_deepest() -> None:
    """Once halted, nothing asks for the drawdown any more."""
    account = Account(config(risk={"after_halt": "exit"}))
    account.open()
    account.buy(FX)
    account.tell(Control(ts_ns=0, command=Command.HALT, reason=Reason.OPERATOR))
    account.show(FX, move=-100_000)
    account.buy(ETH)
    _, whole = memos(account)
    fall = whole.inventory.realised - whole.inventory.peak
    assert fall == pytest.approx(-100 * MONEY_PER_ONE, rel=1e-2)
    assert whole.inventory.max_drawdown <= fall


def test_the_newest_memo_knows_of_the_halt() -> None:
    """After a run with one instrument the memo of the account is old."""
    account = Account()
    account.open()
    account.buy(FX)
    account.buy(ETH)
    account.tell(Control(ts_ns=0, command=Command.HALT, reason=Reason.OPERATOR, detail="by hand"))
    (first, second), whole = memos(account)
    assert first is not None
    new = Account()
    new.cores[FX].restore(first._replace(ts_ns=whole.ts_ns + 1, halted=None, pnl_base=-5), (), ())
    new.cores[ETH].restore(second, (), ())
    new.portfolio.restore(whole)
    assert new.portfolio.halted is None
    assert new.cores[FX].kill_switch.pnl_base == -5 * 100, "in the account's money"


def test_an_account_that_had_one_instrument_goes_on_with_two() -> None:
    old = Account()
    old.open()
    old.buy(FX)
    old.show(FX, move=-300_000)
    (first, _), _ = memos(old)
    new = Account()
    new.cores[FX].restore(first, (), ())
    new.portfolio.restore(None)
    new.ms = old.ms
    new.open()
    assert new.portfolio.day is not None
    assert old.portfolio.day is not None
    new.show(FX, move=-300_000)
    assert new.portfolio.day.pnl_today == old.portfolio.day.pnl_today


# --- What it is made of -----------------------------------------------------------------------------------------------


def test_one_instrument_passes_through_unchanged() -> None:
    cfg = AppConfig()
    core = Core(cfg, Shared(cfg, bitflyer_rules(cfg)))
    portfolio = Portfolio(cfg.risk, [core])
    assert portfolio.alone is core
    assert portfolio.day is None
    event = VenueStatus(ts_ns=0, state=BoardState.RUNNING)
    (taken,) = portfolio.on_event(event, START_NS)
    assert taken.number == 0
    assert taken.step.changes is None
    assert not portfolio.on_event(Tick(ts_ns=0), START_NS + 1)


def test_cores_must_share_and_their_money_must_be_countable() -> None:
    cfg = config()
    first, second = cfg.by_instrument()
    apart = [Core(each, Shared(cfg, bitflyer_rules(cfg))) for each in (first, second)]
    with pytest.raises(ValueError, match="share what is the account's"):
        Portfolio(cfg.risk, apart)
    fine = config(instruments=[{"product_code": "FX_BTC_JPY"}, {"product_code": "X_JPY", "tick_size": 0.0001}])
    shared = Shared(fine, bitflyer_rules(fine))
    with pytest.raises(ValueError, match="X_JPY counts money finer"):
        Portfolio(fine.risk, [Core(each, shared) for each in fine.by_instrument()])


def test_others_count_with_what_their_positions_cost_at_the_venue() -> None:
    """It closes the oldest lot first: our average would look like a payment, and would hide one."""
    cfg = config()
    shared = Shared(cfg, bitflyer_rules(cfg), live=True)
    cores = [Core(each, shared) for each in cfg.by_instrument()]
    portfolio = Portfolio(cfg.risk, cores)
    own, other = cores[FX].inventory, cores[ETH].inventory
    ms, collateral = 0, 1_000_000 * UNIT

    def look(basis: int = 0) -> None:
        """Both instruments are reported; that of the other one comes last."""
        nonlocal ms
        ms += 20_000
        portfolio.on_event(report(ms, collateral=collateral), at(ms), FX)
        portfolio.on_event(report(ms, position=int(other.position), basis=basis), at(ms), ETH)

    for number in (FX, ETH):
        portfolio.on_event(PrivateChannel(ts_ns=at(0), is_live=True), at(0), number)
    look()
    look()
    size, first, second = 100_000, 10_000_000, 10_020_000
    for number, (side, price) in enumerate(((Side.BUY, first), (Side.BUY, second), (Side.SELL, second))):
        other.apply_fill(
            FillEvent(
                ts_ns=at(ms),
                exec_id=ExecId(number),
                side=side,
                price=Ticks(price),
                size=Lots(size),
                order_id=OrderId(""),
            )
        )
    collateral += (second - first) * size // 10  # the other's money is tenths of a JPY
    for _ in range(3):
        look(basis=second * size)
    assert own.cash == 0
    collateral -= 3 * UNIT
    for _ in range(3):
        look(basis=second * size)
    assert own.cash == -3 * UNIT

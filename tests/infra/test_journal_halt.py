"""The remembered result and the lifted halt, held to what the engine would have said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import RiskConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.risk import KillSwitch
from stall_then_strike.infra.journal_halt import lift_halt, remembered, resumed
from stall_then_strike.infra.journal_reader import JournalReader
from stall_then_strike.types.dto import ExecId, Fact, FillEvent, InventoryMemo, OrderId, Reason, Side
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.instrument import Lots, Money, Ticks, fx_btc_jpy
from tests.infra.journal_rig import TS, changes, memo, open_in, path_in

RISK = RiskConfig()
MOVES = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 10**7), st.integers(1, 2 * 10**7), st.integers(-(10**9), 10**9))
    | st.integers(1, 2 * 10**7)
    | st.none(),
    max_size=30,
)


def played(moves: list[tuple[Side, int, int, int] | int | None]) -> InventoryManager:
    """Fills, marks and day rolls."""
    inventory = InventoryManager(RISK, fx_btc_jpy())
    for move in moves:
        if move is None:
            inventory.roll_day()
        elif isinstance(move, int):
            inventory.mark(Ticks(move), Ticks(move + 1))
        else:
            side, size, price, fee = move
            inventory.apply_fill(
                FillEvent(
                    ts_ns=TS,
                    exec_id=ExecId(1),
                    side=side,
                    price=Ticks(price),
                    size=Lots(size),
                    fee=Money(fee),
                    order_id=OrderId("x"),
                )
            )
    return inventory


def memo_of(inventory: InventoryManager) -> InventoryMemo:
    """Field by field: a field of another name fails here."""
    return InventoryMemo(**{name: getattr(inventory, f"_{name}") for name in InventoryMemo.__dataclass_fields__})


@given(MOVES)
def test_remembered_result_is_the_inventorys(moves: list[tuple[Side, int, int, int] | int | None]) -> None:
    inventory = played(moves)
    assert remembered(memo_of(inventory)) == inventory.state()


@given(MOVES)
def test_lifting_leaves_what_a_resume_would_have_left(moves: list[tuple[Side, int, int, int] | int | None]) -> None:
    inventory, switch = played(moves), KillSwitch(RISK)
    switch.trip(Reason.OPERATOR)
    halted = memo(inventory=memo_of(inventory), halted=Reason.OPERATOR, halt_ns=TS, halt_detail="x", pnl_base=3)
    switch.resume(inventory)
    after = resumed(halted)
    assert after == memo(inventory=memo_of(inventory), pnl_base=switch._pnl_base)
    assert switch.check(inventory) is None


HALTED = memo(halted=Reason.KILL_PNL, halt_ns=TS, halt_detail="the day's loss is at its limit")


def lift(folder: Path, reason: str = "looked at it") -> object:
    return lift_halt(path_in(folder), product_code="FX_BTC_JPY", reason=reason, now_ns=TS + 9, locks=folder / "locks")


def test_lifted_halt_is_told_with_the_operators_reason(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(memo=HALTED))
    assert lift(tmp_path) == HALTED
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.memo() == resumed(HALTED)
        assert list(reader.facts()) == [Fact(ts_ns=TS + 9, what="resume", detail="after kill_pnl: looked at it")]
    assert lift(tmp_path) is None, "there is none any more"


@pytest.mark.parametrize("told", [None, memo()])
def test_nothing_to_lift_writes_nothing(tmp_path: Path, told: object) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(memo=told))
    assert lift(tmp_path) is None
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.memo() == told
        assert list(reader.facts()) == []


def test_lift_is_refused_while_somebody_trades(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(memo=HALTED))
        with pytest.raises(JournalError, match="is in use by process"):
            lift(tmp_path)
        assert journal.load().memo == HALTED

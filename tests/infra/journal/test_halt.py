"""The remembered result and the lifted halt: what the engine would have said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.journal.halt import lift_halt, remembered, resumed
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.types.dto import Fact, Reason
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.instrument import Lots, Ticks
from tests.infra.journal.journal_rig import TS, changes, inventory, memo, open_in, path_in

CFG = AppConfig()


def test_remembered_result_is_marked_to_the_last_mid() -> None:
    # Long 0.001 BTC bought at 13,600,000, the mid at 13,580,000: 20 JPY less, on 40 JPY realised since the roll.
    state = remembered(CFG, memo())
    assert (state.side, state.size, state.avg_price) == ("long", Lots(100_000), Ticks(13_600_000))
    assert state.realised_today_jpy == 40 * 10**8
    assert state.pnl_today_jpy == 20 * 10**8
    assert state.drawdown_jpy == (20 - 60) * 10**8


def test_lifting_counts_the_day_anew_and_keeps_the_rest() -> None:
    halted = memo(halted=Reason.KILL_DRAWDOWN, halt_ns=TS, halt_detail="x", pnl_base=3, cash_base=4, since=5)
    expected = memo(pnl_base=20 * 10**8, inventory=inventory(peak=20 * 10**8), cash_base=4, since=5)
    assert resumed(CFG, halted) == expected
    assert remembered(CFG, expected) == replace(remembered(CFG, halted), drawdown_jpy=0)


HALTED = memo(halted=Reason.KILL_PNL, halt_ns=TS, halt_detail="the day's loss is at its limit")


def lift(folder: Path) -> object:
    return lift_halt(path_in(folder), CFG, reason="looked at it", now_ns=TS + 9, locks=folder / "locks")


def test_lifted_halt_is_told_with_the_operators_reason(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(memo=HALTED))
    assert lift(tmp_path) == HALTED
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.memo() == resumed(CFG, HALTED)
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

"""Executions that the venue told of and never had, where reports are rare: they are given the time to be found out."""

from __future__ import annotations

from stall_then_strike.engine.venue.reconciler import Books, Reconciler
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import AccountReport, ExecId
from stall_then_strike.types.instrument import Lots, Money, fx_btc_jpy
from tests.engine.core_rig import BUY, MIN, at, config, fill


def report(ms: float, position: int = 0) -> AccountReport:
    return AccountReport(
        ts_ns=at(ms + 100),
        asked_ns=at(ms),
        orders=(),
        since=ExecId(0),
        fills=(),
        position=Lots(position),
        basis=Money(0),
        collateral=Money(10**14),
        is_complete=True,
    )


def test_a_difference_that_a_suspect_explains_waits_for_the_second_list() -> None:
    rules = Reconciler(config().account, fx_btc_jpy(), bitflyer_rules(config()))
    rules.note_fill(at(0), fill(BUY, 100, MIN, exec_id=9))
    # The one at 15 s was not answered: at 23 s the difference is old enough to count, its cause only just suspected.
    seen = [rules.compare(report(ms), MIN) for ms in (2_000, 4_000, 8_000, 23_000, 25_000)]
    assert seen == [Books.DIFFER, Books.DIFFER, Books.DIFFER, Books.DIFFER, Books.PHANTOMS]


def test_a_difference_that_suspects_do_not_explain_is_broken() -> None:
    rules = Reconciler(config().account, fx_btc_jpy(), bitflyer_rules(config()))
    rules.note_fill(at(0), fill(BUY, 100, MIN, exec_id=9))
    seen = [rules.compare(report(ms), 3 * MIN) for ms in (2_000, 4_000, 8_000, 23_000)]
    assert seen == [Books.DIFFER, Books.DIFFER, Books.DIFFER, Books.BROKEN]

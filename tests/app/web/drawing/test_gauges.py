"""Figures against their limits, and what the run is said to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stall_then_strike.app.view.grades import Grade
from stall_then_strike.app.view.snapshot import BudgetUse, Halt, Snapshot
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.gauges import (
    account_gauges,
    beat_line,
    health_lines,
    limit_gauges,
    state_of,
)
from stall_then_strike.app.web.poller import Seen
from stall_then_strike.types.dto import NS_PER_S
from tests.app.view.snapshots import BAD, EMPTY, FULL, LIVE, TS, TWO, changed

EN = Words("en")


def state(run: Snapshot | None, problem: str = "") -> tuple[str, Grade]:
    return state_of(Seen(snapshot=run, problem=problem))


def test_what_the_run_does() -> None:
    assert state(None) == ("state.waiting", Grade.NONE)
    assert state(None, "no such file") == ("state.absent", Grade.BAD)
    assert state(FULL, "timed out") == ("state.absent", Grade.BAD)
    assert state_of(Seen(snapshot=FULL, at_ns=TS), TS + 9 * NS_PER_S) == ("state.late", Grade.BAD)
    assert state(EMPTY) == ("state.starting", Grade.NONE)
    assert state(FULL) == ("state.running", Grade.GOOD)
    assert state(replace(FULL, paused="paused")) == ("state.paused", Grade.WARN)
    assert state(replace(FULL, paused="flatten")) == ("state.flat", Grade.WARN)
    assert state(replace(FULL, awaited="cancels")) == ("state.ending", Grade.WARN)
    assert state(replace(FULL, halt=Halt(reason="kill_pnl"), paused="paused")) == ("state.halted", Grade.BAD)


def test_account_against_its_limits() -> None:
    result, drawdown, position = account_gauges(FULL, EN)
    assert (result.value, result.grade) == ("-16,234 JPY", Grade.WARN)
    assert result.share == pytest.approx(16_234.5 / 30_000)
    assert (drawdown.value, drawdown.grade) == ("-17,000 JPY", Grade.BAD)
    assert (position.value, position.grade) == ("-0.012 BTC", Grade.GOOD)
    assert position.note == "average 13,600,444 · of 0.2"


def test_each_of_several_instruments_has_its_position() -> None:
    assert [one.title for one in account_gauges(TWO, EN)][2:] == [f"Position {name}" for name, _ in TWO.named]


def test_without_limits_nothing_is_graded() -> None:
    bare = changed(FULL, pnl_limit=None, drawdown_limit=None, max_position=None)
    assert {(one.share, one.grade) for one in account_gauges(bare, EN)} == {(None, Grade.NONE)}


def test_limits_say_when_a_slot_is_free() -> None:
    run = replace(
        FULL,
        budget=(
            BudgetUse(name="small orders", used=90, limit=100, next_s=3.21),
            BudgetUse(name="orders", used=10, limit=300, next_s=0.0),
            BudgetUse(name="old", used=1, limit=2),
        ),
    )
    full, free, old = limit_gauges(run, EN)
    assert (full.title, full.value, full.note, full.grade) == ("small orders", "90/100", "next in 3.2 s", Grade.BAD)
    assert (free.note, free.grade, old.note) == ("free now", Grade.GOOD, "")


def test_health_of_a_good_run_and_of_a_bad_one() -> None:
    good = {line.title: line for line in health_lines(LIVE, EN)}
    bad = {line.title: line for line in health_lines(BAD, EN)}
    assert good["Book"].grade is Grade.GOOD
    assert (bad["Feed"].text, bad["Feed"].grade) == ("not connected", Grade.BAD)
    assert bad["Halt"].grade is Grade.BAD
    assert good["Halt"].text == "none"


@pytest.mark.parametrize(("seconds", "grade"), [(None, Grade.NONE), (0.4, Grade.GOOD), (60.0, Grade.BAD)])
def test_heartbeat(seconds: float | None, grade: Grade) -> None:
    assert beat_line(seconds, EN).grade is grade

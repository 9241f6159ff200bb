"""How long a gate held, and when that is unknown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stall_then_strike.app.story.why_hold import Hold, holds_of
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.log_reader import DecisionLine, Span
from stall_then_strike.types.dto import NS_PER_S
from tests.infra.journal.journal_rig import TS

CFG = AppConfig.model_validate({})


def rows(*words: str) -> list[DecisionLine]:
    """One row a second; a word is the reason of a hold, or ``type/reason``."""
    found = []
    for second, word in enumerate(words):
        kind, _, reason = word.rpartition("/")
        found.append(
            DecisionLine(
                ts_ns=TS + second * NS_PER_S,
                best_age_ms=10,
                spread_ticks=7,
                inventory=Decimal(0),
                decision_type=kind or "hold",
                entry_bid=None,
                entry_ask=None,
                actions="",
                reason=reason,
            )
        )
    return found


def holds(*words: str, is_running: bool = False) -> list[Hold]:
    return holds_of(Span(before=None, within=tuple(rows(*words)), after=None), CFG, is_running=is_running)


def lasted(*words: str, is_running: bool = False) -> list[tuple[str, float | None]]:
    return [
        (hold.reason, None if hold.lasted_ns is None else hold.lasted_ns / NS_PER_S)
        for hold in holds(*words, is_running=is_running)
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("spread", "budget", "strike/strike"), [("spread", 1), ("budget", 1)]),
        (("quoting", "cancel/ttl", "quoting", "cancel/ttl", "budget"), [("quoting", 3), ("budget", None)]),
        (("halted", "close/kill_pnl", "halted", "resume/day_roll"), [("halted", 3)]),
        (("quoting", "cancel/ttl", "spread", "strike/strike"), [("quoting", 1), ("spread", 1)]),
        (("stopping", "account_unknown", "strike/strike"), [("stopping", None), ("account_unknown", 1)]),
        (("halted", "halted", "resume/resumed"), [("halted", None), ("halted", 1)]),
        (("halted", "book_unknown"), [("halted", None), ("book_unknown", None)]),
        (("stopping", "strike/strike"), [("stopping", None)]),
        (("stopping", "halted"), [("stopping", 1), ("halted", None)]),
        (("strike/strike",), []),
        ((), []),
    ],
)
def test_a_hold_lasts_until_the_next_decision_of_its_run(
    words: tuple[str, ...], expected: list[tuple[str, float | None]]
) -> None:
    assert lasted(*words) == expected


def test_the_last_hold_goes_on_while_its_run_does() -> None:
    (hold,) = holds("spread", is_running=True)
    assert (hold.until_ns, hold.is_end_unknown, hold.duration) == (None, False, "and still holds")
    assert hold.holds_at(TS + 999 * NS_PER_S)
    assert not hold.holds_at(TS - 1)


def test_the_row_after_a_span_ends_its_hold_and_begins_none_in_it() -> None:
    before, within, after = rows("spread", "budget", "quoting")
    found = holds_of(Span(before=before, within=(within,), after=after), CFG, is_running=False)
    assert [(hold.reason, hold.until_ns) for hold in found] == [
        ("spread", within.ts_ns),
        ("budget", after.ts_ns),
    ]

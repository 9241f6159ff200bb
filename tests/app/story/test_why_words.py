"""Texts of all reasons and facts, and figures beside their limits."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.story import why_words
from stall_then_strike.app.story.why_words import FACTS, clause, lasting, measured, sentence
from stall_then_strike.app.view.reason_words import SENTENCES
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.log_reader import DecisionLine
from stall_then_strike.types.dto import OrderEventKind, Reason
from tests.infra.journal.journal_rig import TS

SOURCE = Path(__file__).resolve().parents[3] / "src" / "stall_then_strike"


def line(reason: Reason, **changes: object) -> DecisionLine:
    values: dict[str, object] = {
        "ts_ns": TS,
        "best_age_ms": 100,
        "spread_ticks": 1,
        "inventory": Decimal("0.199"),
        "decision_type": "hold",
        "entry_bid": None,
        "entry_ask": None,
        "actions": "",
        "reason": reason.label,
    }
    return DecisionLine(**(values | changes))  # type: ignore[arg-type] - by hand, of many types


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_one_plain_sentence(reason: Reason) -> None:
    text = SENTENCES[reason]
    assert re.fullmatch(r"[A-Z][^.]+\.", text), text
    assert "_" not in text
    assert list(SENTENCES.values()).count(text) == 1, "each has its own"


def test_each_fact_that_is_told_has_its_words() -> None:
    told = set(OrderEventKind)
    for path in (*SOURCE.glob("engine/**/*.py"), SOURCE / "infra" / "journal" / "halt.py"):
        told |= set(re.findall(r"""(?:\.fact\(\s*|what=)"(\w+)\"""", path.read_text()))
    assert {"send", "halt", "anomaly", "difference"} <= told, "the search finds them"
    assert told <= set(FACTS)


def test_loud_facts_are_facts() -> None:
    assert set(FACTS) >= why_words.LOUD


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.SPREAD, "1 tick, under min_spread_tick 5"),
        (Reason.STALL_IMMATURE, "100 ms, under stall_T_ms 250"),
        (Reason.POSITION_LIMIT, "position +0.199 BTC, quotes of 0.001, limit 0.2"),
        (Reason.BUDGET, "small orders 90/100, next in 3.2 s"),
        (Reason.QUOTING, ""),
    ],
)
def test_what_a_gate_measured_stands_beside_its_limit(reason: Reason, expected: str) -> None:
    cfg = AppConfig.model_validate({"strategy": {"min_spread_tick": 5}})
    assert measured(line(reason), cfg, "small orders 90/100, next in 3.2 s") == expected


def test_a_figure_that_does_not_go_with_its_limit_is_said_to_be_so() -> None:
    cfg = AppConfig.model_validate({})
    assert "the configuration has changed since" in measured(line(Reason.SPREAD), cfg)
    assert "the configuration has changed since" in measured(line(Reason.STALL_IMMATURE, best_age_ms=250), cfg)
    inside = AppConfig.model_validate({"strategy": {"quote_mode": "inside"}})
    assert "the two quotes would have met" in measured(line(Reason.SPREAD), inside)


def test_a_quiet_time_is_named() -> None:
    window = {"start": "16:00", "end": "17:00", "why": "by hand"}
    quiet = AppConfig.model_validate({"session": {"timezone": "Asia/Tokyo", "quiet": [window]}})
    assert measured(line(Reason.QUIET_TIME), quiet) == "by hand"
    assert "not quiet by the present configuration" in measured(line(Reason.QUIET_TIME), AppConfig.model_validate({}))


def test_a_text_that_is_no_reason_stays_as_it_is() -> None:
    assert sentence("Rejected: -205") == clause("Rejected: -205") == "Rejected: -205"
    assert clause("ttl") == "its time to live had passed"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0804, "0.080 s"), (12.44, "12.4 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert lasting(round(seconds * 10**9)) == text

"""Calls a minute, by address and by owner."""

from __future__ import annotations

import pytest

from stall_then_strike.sim.lighter.call_limits import CallLimits
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.transactions import Refusal

SECOND = 10**9
STANDARD = Account(1, "0x1", Plan.STANDARD)
PREMIUM = Account(2, "0x2", Plan.PREMIUM)


def taken(
    limits: CallLimits, call: str, owner: Account | None, now_ns: int, *, address: str = "a", most: int = 5_000
) -> int:
    """How many calls in a row are welcome."""
    for count in range(most):
        try:
            limits.charge(call, address, owner, now_ns)
        except Refusal:
            return count
    return most


def test_a_refusal_is_the_venues() -> None:
    limits = CallLimits(Plan.STANDARD, is_on=True)
    taken(limits, "sendTx", STANDARD, 0)
    with pytest.raises(Refusal, match="Too Many Requests!") as refused:
        limits.charge("sendTx", "a", STANDARD, 0)
    assert (refused.value.code, refused.value.http_status) == (23000, 429)


@pytest.mark.parametrize(
    ("owner", "call", "count"),
    [
        (STANDARD, "sendTx", 60),
        (STANDARD, "trades", 60),
        (None, "orderBooks", 60),
        (PREMIUM, "sendTx", 4_000),
        (PREMIUM, "nextNonce", 4_000),
        (PREMIUM, "trades", 40),
        (PREMIUM, "apikeys", 160),
        (PREMIUM, "account", 80),
    ],
)
def test_budgets(owner: Account | None, call: str, count: int) -> None:
    assert taken(CallLimits(Plan.STANDARD, is_on=True), call, owner, 0) == count


def test_the_window_rolls_and_a_breach_bars_for_a_while() -> None:
    limits = CallLimits(Plan.STANDARD, is_on=True)
    assert taken(limits, "sendTx", STANDARD, 0, most=30) == 30
    assert taken(limits, "sendTx", STANDARD, 30 * SECOND) == 30
    assert taken(limits, "sendTx", STANDARD, 60 * SECOND - 1) == 0
    assert taken(limits, "sendTx", STANDARD, 60 * SECOND) == 0, "barred for a second"
    assert taken(limits, "sendTx", STANDARD, 61 * SECOND) == 30


def test_an_owner_is_limited_wherever_it_calls_from() -> None:
    limits = CallLimits(Plan.STANDARD, is_on=True)
    assert taken(limits, "sendTx", STANDARD, 0, address="a") == 60
    assert taken(limits, "sendTx", STANDARD, 0, address="b") == 0
    assert taken(limits, "orderBooks", None, 0, address="b") == 60


def test_off_everything_is_welcome() -> None:
    assert taken(CallLimits(Plan.STANDARD, is_on=False), "trades", STANDARD, 0) == 5_000

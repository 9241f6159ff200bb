"""The account as REST shows it, where its answers are no account."""

from __future__ import annotations

from typing import Any, cast

import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter.client import LighterClient
from stall_then_strike.lighter.private.account_report import look
from stall_then_strike.types.errors import NoAnswer
from stall_then_strike.types.names import ExecId


class Answers:
    """A venue where nothing is open, and the account is as given."""

    def __init__(self, **account: Any) -> None:
        self._account = account

    async def active_orders(self, market_index: int | None) -> list[dict[str, Any]]:
        return []

    async def inactive_orders(self) -> list[dict[str, Any]]:
        return []

    async def trades(self, *given: Any) -> tuple[list[dict[str, Any]], None]:
        return [], None

    async def account(self) -> dict[str, Any]:
        return self._account


@pytest.mark.parametrize("collateral", [None, "", "much", "NaN", "9E+999999", [1]])
async def test_account_without_a_number_for_its_collateral_is_no_answer(collateral: object) -> None:
    calls = cast("LighterClient", Answers(collateral=collateral))
    with pytest.raises(NoAnswer, match="the answer is none") as raised:
        await look(calls, SystemClock(), {0: ExecId(0)})
    assert raised.value.calls == 4

"""What is found about an account before real orders are sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.lighter.factory import LighterParts
from stall_then_strike.lighter.messages import Position
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.venues.findings import Verdict
from stall_then_strike.venues.lighter_checks import _account, _margin, _market, margin_modes
from stall_then_strike.venues.lighter_units import with_units


def settings() -> AppConfig:
    return app_config(with_units(read_layers(cli.DEFAULTS / "base.yml", cli.DEFAULTS / "lighter-sim.yml", [])))


class Answers:
    """A venue without orders, whose account is as given."""

    def __init__(self, account: dict[str, Any]) -> None:
        self.calls = self
        self._account = account

    async def active_orders(self, market_index: int | None) -> list[dict[str, Any]]:
        return []

    async def account(self) -> dict[str, Any]:
        return self._account


OWNER = LighterAccount(
    base_url="http://127.0.0.1:1", account_index=7, api_key_index=4, private_key=Secret("ab" * 40), source="a test"
)
NONE: list[Any] = [[1], {}, {"x": 1}, "much", "NaN", "9E+999999"]


@pytest.mark.parametrize("told", [x for x in NONE if x != {}])
@pytest.mark.parametrize("field", ["collateral", "total_asset_value", "positions"])
async def test_account_that_cannot_be_read_is_a_finding(field: str, told: Any) -> None:
    parts = cast("LighterParts", Answers({"collateral": "1000.00", field: told}))
    found = await _account(settings(), OWNER, parts, {})
    assert [(one.name, one.verdict) for one in found][1:] == [("account", Verdict.FAULT)]


@pytest.mark.parametrize("told", NONE)
async def test_market_whose_figures_cannot_be_read_is_judged_without_them(told: Any) -> None:
    cfg = settings()
    exchange = cfg.by_instrument()[0].exchange
    row = {"symbol": exchange.product_code, "status": "active", "mark_price": told}
    assert _market(cfg, row, False).verdict is Verdict.OK
    rows = {exchange.market_index: {"mark_price": "2000.0", "default_initial_margin_fraction": told}}
    assert _margin(cfg, Decimal(10**6), rows).verdict is Verdict.OK


@pytest.mark.parametrize("mode", [0, 1, "disabled", None])
def test_isolated_margin_in_a_market_of_ours_is_told(mode: Any) -> None:
    cfg = settings()
    ours = cfg.by_instrument()[0].exchange
    rows = [{"market_id": n, "position": "0.00", "margin_mode": m} for n, m in ((ours.market_index, mode), (4_000, 1))]
    found = margin_modes(cfg, [Position.model_validate(row) for row in rows])
    assert [(one.verdict, ours.product_code in one.text) for one in found] == ([(Verdict.WARNING, True)] * (mode == 1))

"""What is found about an account before real orders are sent."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.lighter.messages import Position
from stall_then_strike.venues.findings import Verdict
from stall_then_strike.venues.lighter_checks import margin_modes
from stall_then_strike.venues.lighter_units import with_units


@pytest.mark.parametrize("mode", [0, 1, "disabled", None])
def test_isolated_margin_in_a_market_of_ours_is_told(mode: Any) -> None:
    cfg = app_config(with_units(read_layers(cli.DEFAULTS / "base.yml", cli.DEFAULTS / "lighter-sim.yml", [])))
    ours = cfg.by_instrument()[0].exchange
    rows = [{"market_id": n, "position": "0.00", "margin_mode": m} for n, m in ((ours.market_index, mode), (4_000, 1))]
    found = margin_modes(cfg, [Position.model_validate(row) for row in rows])
    assert [(one.verdict, ours.product_code in one.text) for one in found] == ([(Verdict.WARNING, True)] * (mode == 1))

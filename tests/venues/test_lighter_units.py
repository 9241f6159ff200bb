"""Markets by name become units: from the embedded exchange's list or the kept one of the venue."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter.instruments import MAINNET, cache_file
from stall_then_strike.lighter.markets import Markets, configured_market
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.venues.lighter_units import embedded_markets, with_units

BASE = cli.DEFAULTS / "base.yml"
ROW = {
    "market_id": 7,
    "symbol": "XRP",
    "supported_size_decimals": 0,
    "supported_price_decimals": 6,
    "min_base_amount": "20",
    "min_quote_amount": "10.000000",
    "status": "active",
}


def config(tmp_path: Path, text: str) -> AppConfig:
    path = tmp_path / "own.yml"
    path.write_text(f"exchange: {{name: lighter}}\n{text}")
    return app_config(with_units(read_layers(BASE, path)))


@pytest.mark.parametrize(
    "name", ["BTC", "btc-usdc", "BTC/USDC:USDC", "XLIGHTER:SWAP:BTC-USDC", "LIGHTER:SWAP:BTC-USDC"]
)
def test_market_is_found_by_each_form_of_its_name(tmp_path: Path, name: str) -> None:
    cfg = config(tmp_path, f'env: sim\ninstruments: [{{product_code: "{name}"}}]')
    [one] = cfg.by_instrument()
    unit = one.exchange.instrument()
    assert (unit.product_code, unit.base, unit.quote, unit.tick_size) == ("BTC", "BTC", "USDC", Decimal("0.1"))
    assert configured_market(one.exchange) == embedded_markets().named("BTC")


def test_sizes_that_nobody_gives_are_the_markets_own(tmp_path: Path) -> None:
    cfg = config(tmp_path, "env: sim\ninstruments: [{product_code: BTC}, {product_code: ETH, strategy: {size_min: 1}}]")
    btc, eth = (one.strategy for one in cfg.by_instrument())
    assert (btc.size_min, btc.max_inventory_btc) == (Decimal("0.0002"), Decimal("0.001"))
    assert (eth.size_min, eth.max_inventory_btc) == (1, 5)
    given = config(tmp_path, "env: sim\ninstruments: [{product_code: BTC}]\nstrategy: {size_min: 0.01}")
    assert given.strategy.size_min == Decimal("0.01")


def test_kept_list_of_the_venue_is_used_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = cache_file(MAINNET)
    assert kept is not None
    Markets.from_wire({"order_books": [ROW]}, as_of_ns=SystemClock().now_ns(), source=MAINNET).save(kept)
    cfg = config(tmp_path, "env: live\ninstruments: [{product_code: XRP-USDC}]\nstrategy: {max_inventory: 100}")
    assert (cfg.exchange.market_index, cfg.exchange.size_min, cfg.exchange.notional_min) == (7, 20, 10)


WRONG = [
    ("instruments: [{product_code: NONE-USDC}]", "instruments.0.product_code", "BTC"),
    ("instruments: [{product_code: BTC, tick_size: 1}]", "instruments.0.tick_size", "0.1"),
    ("instruments: [{product_code: BTC}, {tick_size: 1}]", "instruments.1.product_code", "BTC-USDC"),
    ("instruments: [{product_code: BTC, strategy: {size_min: 0.0001}}]", "instruments.0.strategy.size_min", "0.0002"),
    ("instruments: [{product_code: BTC}, {product_code: BTC-USDC}]", "instruments.1.product_code", "once"),
]


@pytest.mark.parametrize(("text", "key", "accepted"), WRONG)
def test_wrong_market_is_refused_with_file_line_key_and_what_is_accepted(
    tmp_path: Path, text: str, key: str, accepted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, f"env: sim\n{text}")
    line = next(line for line in str(caught.value).splitlines() if key in line)
    assert line.strip().startswith(f"{tmp_path / 'own.yml'}:3: {key}: ")
    assert accepted in line.partition("; accepted: ")[2]


def test_spot_market_is_not_traded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = cache_file(MAINNET)
    assert kept is not None
    row = {**ROW, "market_id": 2048, "symbol": "ETH/USDC"}
    Markets.from_wire({"order_books": [row]}, as_of_ns=SystemClock().now_ns(), source=MAINNET).save(kept)
    with pytest.raises(ConfigError, match=r"own.yml:3: instruments.0.product_code: ETH/USDC is a spot market"):
        config(tmp_path, "env: live\ninstruments: [{product_code: ETH/USDC}]")


def test_bitflyer_waits_for_nothing_of_lighter() -> None:
    code = (
        "import argparse, sys\n"
        "from stall_then_strike.app.shell import cli\n"
        "parser = argparse.ArgumentParser()\n"
        "cli.add_config_flags(parser, override='')\n"
        "print(cli.load(parser.parse_args([]), None).exchange.name)\n"
        "print(*(name for name in sys.modules if name.startswith('stall_then_strike.lighter')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["bitflyer"]

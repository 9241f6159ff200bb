"""Lighter's defaults as a layer, and the section ``live`` of a connector's documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.config.layers import Tree
from stall_then_strike.config.loader import app_config, effective_yaml, load_app_config, read_layers
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.venues.lighter_units import with_units

BASE = cli.DEFAULTS / "base.yml"
PRINTED = """
parameters:
  foo: bar

live:
  exchanges:
    XLIGHTER:
      connector: xlighter
      universe:
        - BTC-USDC
        - ETH-USDC

  logging:
    logger: InMemoryLogsWriter
"""


def tree(tmp_path: Path, text: str, *sets: str) -> Tree:
    path = tmp_path / "config.yml"
    path.write_text(text)
    return read_layers(BASE, path, sets)


def given(node: Tree, *path: str | int) -> Any:
    found = node.at(path)
    return None if found is None else found.plain()


def test_documents_section_is_what_it_says(tmp_path: Path) -> None:
    found = tree(tmp_path, PRINTED)
    assert given(found, "live") is None
    assert given(found, "env") == "live"
    assert given(found, "exchange", "name") == "lighter"
    assert given(found, "exchange", "base_url") == "https://mainnet.zklighter.elliot.ai"
    assert [one["product_code"] for one in given(found, "instruments")] == ["BTC-USDC", "ETH-USDC"]


@pytest.mark.parametrize("name", ["XLIGHTER", "LIGHTER", "lighter", "xlighter"])
def test_every_spelling_of_the_exchange_is_known(tmp_path: Path, name: str) -> None:
    text = PRINTED.replace("XLIGHTER", name).replace("connector: xlighter", f"connector: {name}")
    assert given(tree(tmp_path, text), "exchange", "name") == "lighter"


def test_own_keys_win_over_the_section(tmp_path: Path) -> None:
    assert given(tree(tmp_path, f"env: sim\n{PRINTED}"), "env") == "sim"
    assert given(tree(tmp_path, PRINTED, "env=sim"), "env") == "sim"


def test_bitflyer_can_be_named_as_well(tmp_path: Path) -> None:
    text = "live: {exchanges: {BITFLYER: {connector: bitflyer, universe: [FX_BTC_JPY]}}}"
    cfg = app_config(tree(tmp_path, text))
    assert (cfg.env, cfg.exchange.name, cfg.products) == ("live", "bitflyer", ("FX_BTC_JPY",))
    assert cfg.exchange.base_url == "https://api.bitflyer.com"


WRONG = [
    ("live: {exchanges: {KRAKEN: {universe: [BTC]}}}", "live.exchanges.KRAKEN", "XLIGHTER"),
    ("live: {exchanges: {XLIGHTER: {universe: [BTC]}, BITFLYER: {universe: [X]}}}", "live.exchanges", "one of"),
    ("live: {exchanges: {XLIGHTER: {connector: ccxt, universe: [BTC]}}}", "XLIGHTER.connector", "xlighter"),
    ("live: {exchanges: {XLIGHTER: {connector: xlighter}}}", "XLIGHTER.universe", "[BTC-USDC]"),
    ("live: {exchanges: {XLIGHTER: {universe: [], connector: xlighter}}}", "XLIGHTER.universe", "[BTC-USDC]"),
    ("live: {exchanges: {XLIGHTER: {universe: [BTC], warmup: 1}}}", "XLIGHTER.warmup", "connector, universe"),
    ("live: {venues: {}}", "live.venues", "exchanges, logging"),
    ("live: 5", "live", "exchanges, logging"),
    ("live: {logging: {logger: Csv}, exchanges: {XLIGHTER: {universe: [B]}}}", "live.logging.logger", "InMemory"),
]


@pytest.mark.parametrize(("text", "key", "accepted"), WRONG)
def test_wrong_section_is_refused_with_file_key_and_what_is_accepted(
    tmp_path: Path, text: str, key: str, accepted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        tree(tmp_path, text)
    where, _, said = str(caught.value).partition("; accepted: ")
    assert where.startswith(f"{tmp_path / 'config.yml'}:1: ")
    assert key in where
    assert accepted in said


def test_venues_defaults_lie_between_base_and_own_file(tmp_path: Path) -> None:
    cfg = app_config(with_units(tree(tmp_path, "env: sim\nexchange: {name: lighter}\nstrategy: {ttl_ms: 1234}")))
    assert (cfg.strategy.ttl_ms, cfg.strategy.stale_ms, cfg.session.quiet) == (1234, 5_000, ())
    assert cfg.exchange.instrument().quote == "USDC"


def test_effective_configuration_is_complete_by_itself(tmp_path: Path) -> None:
    """It is stored with recordings and read alone: neither defaults nor the venue's list may change it."""
    cfg = app_config(with_units(read_layers(BASE, cli.DEFAULTS / "lighter-sim.yml", ["strategy.ttl_ms=777"])))
    path = tmp_path / "effective.yml"
    path.write_text(effective_yaml(cfg))
    assert load_app_config(path) == cfg
    again = with_units(read_layers(path))
    assert app_config(again) == cfg

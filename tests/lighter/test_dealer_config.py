from __future__ import annotations

import copy
import logging
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.lighter import DealerConfig
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.types.errors import ConfigError

KEY, OTHER, L1 = "0x" + "ab" * 40, "cd" * 40, "0x" + "12" * 32
GIVEN: dict[str, Any] = {
    "base_url": "https://mainnet.zklighter.elliot.ai",
    "account_index": 123456,
    "l1_private_key": L1,
    "api_keys": [
        {"api_key_index": 2, "api_key_private_key": KEY},
        {"api_key_index": 5, "api_key_private_key": OTHER},
    ],
}


def made(**more: Any) -> DealerConfig:
    return DealerConfig(**(copy.deepcopy(GIVEN) | more))


def test_defaults_are_those_of_the_specification() -> None:
    cfg = made()
    assert {field.name: getattr(cfg, field.name) for field in fields(cfg) if field.name not in GIVEN} == {
        "use_websocket": True,
        "max_ws_batch": 20,
        "standard_account": True,
        "ip_weight_per_minute": None,
        "jitter_ms": (50, 150),
        "market_index": 0,
        "symbol": None,
        "size_scale": None,
        "price_scale": None,
        "prefer_high_level": False,
        "base_scale": None,
    }
    assert list(cfg.keys()) == [2, 5]


def test_secrets_are_usable_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    cfg = made()
    with caplog.at_level(logging.INFO):
        logging.getLogger("x").info("%r %s %r %r", cfg, cfg, cfg.api_keys, [cfg.l1_private_key])
    shown = [repr(cfg), str(cfg), repr(cfg.api_keys), repr(asdict(cfg)), repr(replace(cfg)), caplog.text]
    for secret in (KEY[2:], OTHER, L1[2:]):
        assert all(secret not in text for text in shown)
    assert "***" in repr(cfg.api_keys)
    assert cfg.keys()[2] == KEY
    assert cfg.l1_private_key == L1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base_url": "mainnet"}, "base_url: 'mainnet'; accepted: http"),
        ({"base_url": "http://h:x"}, "base_url"),
        ({"account_index": "1"}, "account_index: '1'; accepted: a whole number"),
        ({"account_index": -1}, "account_index"),
        ({"api_keys": []}, "api_keys: not a list, or empty"),
        ({"api_keys": [{"api_key_index": 2}]}, r"api_keys\[0\]: a key is missing"),
        ({"api_keys": [{"api_key_index": 255, "api_key_private_key": KEY}]}, r"api_keys\[0\].api_key_index: 255"),
        ({"api_keys": [{"api_key_index": 2, "api_key_private_key": KEY + "0"}]}, "its value is not shown"),
        ({"api_keys": [{"api_key_index": 2, "api_key_private_key": KEY}] * 2}, "given twice"),
        ({"jitter_ms": (5, 1)}, "jitter_ms"),
        ({"jitter_ms": 5}, "jitter_ms"),
        ({"max_ws_batch": 0}, "max_ws_batch"),
        ({"use_websocket": "yes"}, "use_websocket: 'yes'; accepted: true or false"),
        ({"market_index": None}, "symbol and market_index: neither"),
        ({"symbol": ""}, "symbol: ''"),
        ({"market_index": 5000}, "market_index"),
        ({"ip_weight_per_minute": 0}, "ip_weight_per_minute"),
        ({"size_scale": 10, "base_scale": 100}, "base_scale: 100 differs from size_scale 10"),
        ({"l1_private_key": 7}, "l1_private_key: not a text"),
    ],
)
def test_wrong_value_names_field_and_what_is_accepted(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        made(**changed)
    assert KEY[2:] not in str(caught.value)


def test_base_scale_is_size_scale() -> None:
    assert made(base_scale=10_000).size_scale == 10_000


def test_wrong_scale_is_an_error_that_names_the_right_one() -> None:
    eth = Markets().named("ETH")
    made(size_scale=10_000, price_scale=100).require_scales(eth)
    with pytest.raises(ConfigError, match=r"size_scale: 100000 is wrong for ETH; accepted: 10000"):
        made(size_scale=100_000).require_scales(eth)
    with pytest.raises(ConfigError, match=r"price_scale: 2 is wrong for ETH; accepted: 100"):
        made(price_scale=2).require_scales(eth)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.json"
    path.write_text(text)
    return path


ONE_KEY = f'[{{"api_key_index": 2, "api_key_private_key": "{KEY}"}}]'
BODY = f'"base_url": "http://127.0.0.1:1", "account_index": 1, "api_keys": {ONE_KEY}'


@pytest.mark.parametrize("text", ["{%s}", '{"Lighter": {%s}}', '// a "note"\n{ /* x\ny */ %s // "end\n}'])
def test_file_at_top_level_or_in_a_section_with_comments(tmp_path: Path, text: str) -> None:
    cfg = DealerConfig.from_file(write(tmp_path, text % BODY), "ETH")
    assert (cfg.base_url, cfg.symbol) == ("http://127.0.0.1:1", "ETH")


def test_symbol_of_the_file_wins(tmp_path: Path) -> None:
    assert DealerConfig.from_file(write(tmp_path, f'{{{BODY}, "symbol": "BTC"}}'), "ETH").symbol == "BTC"
    assert DealerConfig.from_file(write(tmp_path, f'{{{BODY}, "market_index": 3}}'), "ETH").symbol is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config.json: line 1: .*accepted: JSON"),
        ("[]", "not an object"),
        ('{"Lighter": 5}', "Lighter: not an object"),
        (f'{{{BODY}, "leverage": 3}}', r"config.json: unknown key 'leverage'; accepted: account_index"),
        ('{"Lighter": {"base_url": "http://h"}}', r"config.json: Lighter: account_index is missing"),
        (f'{{{BODY}, "max_ws_batch": -3}}', "config.json: max_ws_batch: -3"),
        ('/* one\ntwo */ {"a": }', "line 2"),
    ],
)
def test_wrong_file_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        DealerConfig.from_file(write(tmp_path, text))
    assert KEY[2:] not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.json: cannot be read"):
        DealerConfig.from_file(tmp_path / "nowhere.json")

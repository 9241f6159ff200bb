"""The strategy that a configuration names: found, or refused with what is wrong, where, and what is accepted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stall_then_strike.app import backtest, run_live, run_paper, sweep
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_USAGE
from stall_then_strike.config.loader import config_digest, effective_yaml, load_app_config
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.sandbox import Sandbox
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy_grid import Grid
from stall_then_strike.engine.strategy_stall import StallThenStrikeStrategy
from tests.config.test_loader import BASE, CONFIGS

REPO = Path(__file__).parents[2]
OWN = """
from stall_then_strike.config.fields import Number, Section
from stall_then_strike.engine.context import MarketInfo, Strategy


class Settings(Section):
    width: Number


class Mine(Strategy):
    Parameters = Settings

    def check(self, market: MarketInfo) -> None:
        if market.round_price(self.parameters.width) != self.parameters.width:
            raise ValueError("width: is off the tick; accepted: whole yen")


class Loose(Strategy):
    def __init__(self, parameters):
        self.speed = parameters["speed"]


class Raw:
    pass
"""


@pytest.fixture(autouse=True)
def path_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)


def refused(folder: Path, text: str, module: str | None = OWN, *flags: str) -> str:
    """What `run_paper` says about a configuration, with a module beside it that no other test has loaded."""
    name = f"own_{folder.name}".replace("-", "_")
    if module is not None:
        (folder / f"{name}.py").write_text(module)
    file = folder / "mine.yml"
    file.write_text(text.replace("own.", f"{name}."))
    args = run_paper.parser().parse_args(["--base", str(BASE), "--config", str(file), "--check", *flags])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its text is the test's subject
        cli.load(args, None, takes_several=True, trades=True)
    assert isinstance(caught.value, cli.ConfigError)
    return str(caught.value).replace(name, "own").replace(str(folder), "")


def test_strategies_by_their_names(tmp_path: Path) -> None:
    def made(cfg: AppConfig) -> object:
        one = configured(cfg, cfg.exchange.instrument())
        return one.strategy if isinstance(one, Sandbox) else one

    assert isinstance(made(load_app_config(BASE)), StallThenStrikeStrategy)
    assert isinstance(made(load_app_config(BASE, None, ["strategy.name=stall_then_strike"])), StallThenStrikeStrategy)
    assert isinstance(made(load_app_config(BASE, CONFIGS / "grid.yml")), Grid)


def test_name_alone_is_short_for_a_section_and_keeps_what_other_layers_say(tmp_path: Path) -> None:
    for sets in (["strategy=grid"], ["strategy.name=grid"]):
        cfg = load_app_config(BASE, None, ["strategy.close_type=ioc", *sets])
        assert (cfg.strategy.name, cfg.strategy.close_type) == ("grid", "ioc")


def test_digest_knows_strategy_and_parameters_and_the_effective_configuration_is_read_back(tmp_path: Path) -> None:
    wide, narrow = (
        load_app_config(BASE, CONFIGS / "grid.yml", [f"parameters.size={size}"]) for size in ("0.001", "0.002")
    )
    assert len({config_digest(wide), config_digest(narrow), config_digest(load_app_config(BASE))}) == 3
    (tmp_path / "again.yml").write_text(effective_yaml(wide))
    assert load_app_config(tmp_path / "again.yml") == wide


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "strategy: gird\n",
            "/mine.yml:1: strategy.name: gird is no strategy; accepted: stall_then_strike, grid, or",
        ),
        ("strategy: own.Mine\n", "parameters.width: is missing; accepted: a number"),
        ("strategy: own.Mine\nparameters:\n  widht: 3\n", "/mine.yml:3: parameters.widht: unknown key (given 3); did"),
        ("strategy: own.Mine\nparameters:\n  width: much\n", '/mine.yml:3: parameters.width: "much" is not accepted'),
        ("strategy: own.Mine\nparameters:\n  width: 0.5\n", "/mine.yml:3: parameters.width: is off the tick; accepted"),
        ("strategy: own.Loose\nparameters:\n  a: 1\n", "/mine.yml:2: parameters: own.Loose does not take them: KeyErr"),
        ("strategy: own.Raw\n", "/mine.yml:1: strategy.name: /own.py has no strategy Raw; accepted: Mine, Loose"),
        ("strategy: own.None\n", "/mine.yml:1: strategy.name: /own.py has no strategy None; accepted: Mine, Loose"),
        ("strategy: nowhere.Mine\n", "/mine.yml:1: strategy.name: there is no module nowhere; accepted: one in the c"),
        ("strategy:\n  name: a b\n", '/mine.yml:2: strategy.name: "a b" is not accepted'),
        ("strategy: 3\n", "/mine.yml:1: strategy: 3 is not accepted"),
        ("parameters:\n  width: 3\n", "/mine.yml:1: parameters: stall_then_strike has its settings in strategy; acc"),
        ("strategy: own.Loose\nparameters: 3\n", "/mine.yml:2: parameters: 3 is not accepted; accepted: a mapping"),
        ("strategy: own.Loose\nparameters:\n  api_key: abc\n", "credentials belong in .env or accounts.toml"),
    ],
)
def test_unusable_strategy_is_refused_with_file_key_and_what_is_accepted(tmp_path: Path, text: str, said: str) -> None:
    told = refused(tmp_path, text)
    assert said in told
    assert "accepted: " in told
    assert "abc" not in told


@pytest.mark.parametrize(
    ("module", "said"), [("1 +", "SyntaxError"), ("import nowhere_else", "nowhere_else"), ("1/0", "Zero")]
)
def test_module_with_a_fault_is_refused_with_it(tmp_path: Path, module: str, said: str) -> None:
    told = refused(tmp_path, "strategy: own.Mine\n", module)
    assert "/mine.yml:1: strategy.name: own cannot be imported: " in told
    assert said in told


def test_strategy_of_one_of_several_instruments_is_refused_by_its_own_key(tmp_path: Path) -> None:
    text = """
instruments:
  - product_code: FX_BTC_JPY
  - product_code: ETH_JPY
    strategy: own.Mine
    parameters: {width: wide}
ws: {channels: []}
"""
    assert '/mine.yml:6: instruments.1.parameters.width: "wide" is not accepted' in refused(tmp_path, text)


def test_it_ends_the_commands_with_two_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yml").write_text("env: sim\nstrategy: nowhere.Mine\n")
    flags = ["--base", str(BASE), "--config", "mine.yml"]
    for main, more in ((run_live.main, ["--yes"]), (run_paper.main, ["--sim"]), (backtest.main, ["x.jsonl"])):
        assert main([*flags, *more]) == EXIT_USAGE
        assert "mine.yml:2: strategy.name: there is no module nowhere" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yml"], "no log folder"


def test_what_knows_only_stall_then_strike_refuses_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = tmp_path / "x.jsonl"
    tape.write_text('{"ts":1}\n')
    flags = ["--base", str(BASE), "--config", str(CONFIGS / "grid.yml"), str(tape)]
    assert backtest.main(["--engine", "compiled", *flags]) == EXIT_USAGE
    assert "knows only stall_then_strike; accepted: --engine interpreted" in capsys.readouterr().err
    assert sweep.main(["--grid", "strategy.ttl_ms=1,2", *flags[:-1], "--tape", str(tape)]) == EXIT_USAGE
    assert "strategy.name: grid: sweep knows only stall_then_strike" in capsys.readouterr().err

"""Layers, their order, and refusals that say where, which key, what was given and what is accepted."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.loader import effective_yaml, load_app_config
from stall_then_strike.config.models import AppConfig, QuoteMode
from stall_then_strike.types.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = CONFIGS / "base.yml"


def write(folder: Path, text: str | bytes, name: str = "mine.yml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(base: Path, override: Path | None = None, *sets: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_app_config(base, override, sets)
    return str(caught.value)


def line_of(path: Path, key: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if line.lstrip().startswith(key))


# --- Neutral names ---------------------------------------------------------------------------------------------------


def test_keys_that_name_an_asset_have_a_neutral_name(tmp_path: Path) -> None:
    mine = write(tmp_path, "strategy: {max_inventory: 0.5}\nrisk:\n  daily_pnl: -7\n  max_drawdown: -5\n")
    cfg = load_app_config(BASE, mine, ["exchange.limits.small_order=0.2"])
    assert (cfg.strategy.max_inventory_btc, cfg.exchange.limits.small_order_btc) == (Decimal("0.5"), Decimal("0.2"))
    assert (cfg.risk.daily_pnl_jpy, cfg.risk.max_dd_jpy) == (-7, -5)
    assert load_app_config(BASE, mine, ["risk.daily_pnl_jpy=-3"]).risk.daily_pnl_jpy == -3, "a later layer wins"


@pytest.mark.parametrize("keys", ["daily_pnl_jpy: -7\n  daily_pnl: -7", "daily_pnl: -7\n  daily_pnl_jpy: -7"])
def test_a_source_that_gives_a_key_by_both_names_is_refused(tmp_path: Path, keys: str) -> None:
    mine = write(tmp_path, f"risk:\n  {keys}\n")
    assert refusal(BASE, mine) == f"{mine}:3: risk: daily_pnl_jpy and daily_pnl are the same; accepted: one of them"


def test_a_fault_of_a_neutral_key_names_its_line(tmp_path: Path) -> None:
    mine = write(tmp_path, "risk:\n  daily_pnl: 7\n")
    assert refusal(BASE, mine).startswith(f"{mine}:2: risk.daily_pnl_jpy: 7")


# --- What is accepted ------------------------------------------------------------------------------------------------


def test_base_gives_every_setting_and_the_specified_values() -> None:
    given = yaml.safe_load(BASE.read_text())
    cfg = load_app_config(BASE)

    def keys(tree: Any) -> Any:
        return {key: keys(value) for key, value in tree.items()} if isinstance(tree, dict) else None

    assert keys(given) == keys(cfg.model_dump(exclude={"session": {"quiet"}, "ws": {"channels"}})) | {
        "session": keys(given["session"]),
        "ws": keys(given["ws"]),
    }
    assert list(given) == list(AppConfig.model_fields), "in the order of the specification"
    strategy = cfg.strategy
    assert (strategy.stall_T_ms, strategy.min_spread_tick, strategy.ttl_ms, strategy.max_reverse_ticks) == (
        250,
        1,
        800,
        2,
    )
    assert (strategy.size_min, strategy.max_inventory_btc) == (Decimal("0.001"), Decimal("0.2"))
    assert (cfg.risk.daily_pnl_jpy, cfg.risk.max_dd_jpy) == (-30_000, -20_000)
    assert (cfg.pybotters.api_label, cfg.pybotters.timeout_sec) == ("bitflyer", 10)
    assert cfg.ws.channels == ("lightning_board_snapshot_FX_BTC_JPY", "lightning_board_FX_BTC_JPY")


def test_base_is_the_built_in_defaults_plus_the_quiet_times() -> None:
    cfg, built_in = load_app_config(BASE), AppConfig()
    assert cfg.model_copy(update={"session": built_in.session}) == built_in
    assert [(w.start, w.end) for w in cfg.session.quiet] == [
        (time(3, 58), time(4, 15)),
        (time(5, 59, 30), time(6, 0, 30)),
        (time(13, 59, 30), time(14, 0, 30)),
        (time(17, 59), time(18, 1)),
        (time(21, 59, 30), time(22, 0, 30)),
    ]


@pytest.mark.parametrize(("name", "env"), [("paper.yml", "paper"), ("live.yml", "live"), ("sim.yml", "sim")])
def test_shipped_overrides_load(name: str, env: str) -> None:
    assert load_app_config(BASE, CONFIGS / name).env == env


def test_embedded_market_has_no_quiet_times() -> None:
    assert load_app_config(BASE, CONFIGS / "sim.yml").session.quiet == ()


def test_mappings_merge_and_the_rest_is_replaced(tmp_path: Path) -> None:
    override = write(tmp_path, 'strategy: {ttl_ms: 700, stale_ms: 650}\npaper: {funding_times: ["09:00"]}\n')
    cfg = load_app_config(BASE, override, ["strategy.ttl_ms=600", "strategy.quote_mode=join"])
    assert (cfg.strategy.ttl_ms, cfg.strategy.stale_ms, cfg.strategy.stall_T_ms) == (600, 650, 250)
    assert cfg.strategy.quote_mode is QuoteMode.JOIN
    assert cfg.paper.funding_times == (time(9),)


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("strategy.size_min=0.003", "strategy.size_min", Decimal("0.003")),
        ("exchange.size_step=1e-8", "exchange.size_step", Decimal("0.00000001")),
        ("strategy.size_min=1", "strategy.max_inventory_btc", Decimal(1)),
        ("session.day_start=06:00", "session.day_start", time(6)),
        ("session.quiet=[{start: 23:59:30, end: 00:00:30, why: no}]", "session.quiet.0.start", time(23, 59, 30)),
        ("session.quiet=[{start: 23:59:30, end: 00:00:30, why: no}]", "session.quiet.0.why", "no"),
        ("exchange.base_url=http://127.0.0.1:8080", "exchange.base_url", "http://127.0.0.1:8080"),
        ("exchange.ws_url=ws://[::1]:8080/json-rpc", "exchange.ws_url", "ws://[::1]:8080/json-rpc"),
        ("session.quiet=[]", "session.quiet", ()),
        (" strategy.ttl_ms = 900", "strategy.ttl_ms", 900),
    ],
)
def test_set_is_typed_by_the_schema(setting: str, path: str, value: object) -> None:
    cfg: Any = load_app_config(BASE, None, [setting, "strategy.max_inventory_btc=1"])
    for step in path.split("."):
        cfg = cfg[int(step)] if step.isdigit() else getattr(cfg, step)
    assert cfg == value
    assert type(cfg) is type(value)


def test_environment_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHY", "expanded")
    override = write(tmp_path, 'session: {quiet: [{start: "01:00", end: "02:00", why: "${WHY}"}]}')
    assert load_app_config(BASE, override).session.quiet[0].why == "${WHY}"


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load_app_config(BASE, write(tmp_path, b"\xef\xbb\xbfenv: live\n")).env == "live"


# --- What is refused -------------------------------------------------------------------------------------------------

BAD_SETTINGS = [
    # key path, value as written, value as shown, what is accepted
    ("strategy.ttl_ms", "-800", "-800", "1 or more"),
    ("strategy.ttl_ms", "0", "0", "1 or more"),
    ("strategy.ttl_ms", "50001", "50001", "50000 or less"),
    ("strategy.ttl_ms", "800.5", "800.5", "a whole number"),
    ("strategy.ttl_ms", "fast", '"fast"', "a whole number"),
    ("strategy.ttl_ms", "true", "true", "a whole number"),
    ("strategy.ttl_ms", "", "null", "a whole number"),
    ("strategy.ttl_ms", "[800]", "[800]", "a whole number"),
    ("strategy.ttl_ms", "{ms: 800}", "{ms: 800}", "a whole number"),
    ("strategy.ttl_ms", "'800'", '"800"', "a whole number"),
    ("strategy.ttl_ms", "1_000", '"1_000"', "a whole number"),
    ("strategy.size_min", "0.0005", "0.0005", "0.001 or more"),
    ("strategy.size_min", "0.0010000001", "0.0010000001", "9 after it"),
    ("strategy.size_min", "0.001000001", "0.001000001", "multiples of 0.00000001"),
    ("strategy.size_min", "-0.001", "-0.001", "above 0"),
    ("strategy.size_min", ".nan", "NaN", "a number"),
    ("strategy.size_min", ".inf", "Infinity", "a number"),
    ("strategy.size_min", "1e300", "1E+300", "at most 10 digits"),
    ("strategy.size_min", "'0.001'", '"0.001"', "a number"),
    ("strategy.size_min", "yes", '"yes"', "a number"),
    ("strategy.max_inventory_btc", "0.0005", "0.0005", "0.001 or more"),
    ("strategy.quote_mode", "middle", '"middle"', "mid, inside, join"),
    ("strategy.close_type", "limit", '"limit"', "market, ioc"),
    ("risk.daily_pnl_jpy", "0", "0", "below 0"),
    ("risk.daily_pnl_jpy", "30000", "30000", "below 0"),
    ("risk.max_dd_jpy", "0", "0", "below 0"),
    ("risk.max_dd_jpy", "20000", "20000", "below 0"),
    ("risk.max_dd_jpy", "-0.000000001", "-1E-9", "multiples of 0.00000001"),
    ("risk.after_halt", "stop", '"stop"', "exit, wait"),
    ("env", "test", '"test"', "paper or live or sim"),
    ("exchange.name", "kraken", '"kraken"', "bitflyer"),
    ("exchange.base_url", "${BASE_URL}", '"${BASE_URL}"', "http(s)://host"),
    ("exchange.base_url", "ftp://x", '"ftp://x"', "http(s)://host"),
    ("exchange.tick_size", "0.3", "0.3", "1, 0.5, 0.1"),
    ("exchange.limits.reserve_orders", "299", "299", "296 or less"),
    ("ws.channels", "lightning_board_FX_BTC_JPY", '"lightning_board_FX_BTC_JPY"', "a list"),
    ("ws.channels", "[1]", "1", "text"),
    ("session.timezone", "Tokyo", '"Tokyo"', "IANA zone"),
    ("session.timezone", "Asia", '"Asia"', "IANA zone"),
    ("session.timezone", "../etc/passwd", '"../etc/passwd"', "IANA zone"),
    ("session.day_start", "24:00", '"24:00"', '"HH:MM"'),
    ("session.day_start", "360", "360", '"HH:MM"'),
    ("session.day_start", "6:00", '"6:00"', '"HH:MM"'),
    ("session.quiet", "[{start: 01:00, end: 01:00, why: x}]", "01:00:00", "another time of day"),
    ("session.quiet", "[3]", "3", "start, end, why"),
    ("paper.queue_cancel_share", "1.1", "1.1", "1 or less"),
    ("paper.order_latency", "{kind: uniform, median_ms: 10, spread_ms: 20}", "20", "10 (median_ms) or less"),
    ("log.rotation", "10 apples", '"10 apples"', "KB|MB|GB"),
    ("log.retention", "soon", '"soon"', "days"),
    ("log.flush_ms", "5000", "5000", "900 or less"),
    ("sim.speed", "0", "0", "above 0"),
]


@pytest.mark.parametrize(("path", "written", "shown", "accepted"), BAD_SETTINGS)
def test_bad_value_is_refused_with_layer_key_value_and_accepted(
    tmp_path: Path, path: str, written: str, shown: str, accepted: str
) -> None:
    *sections, key = path.split(".")
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(sections)]
    lines.append(f"{'  ' * len(sections)}{key}: {written}")
    override = write(tmp_path, "\n".join(lines))

    from_file, from_set = refusal(BASE, override), refusal(BASE, None, f"{path}={written}")
    assert f"{override}:{len(lines)}: {path}" in from_file, "with its line"
    for text, source in ((from_file, str(override)), (from_set, f"--set {path}={written}")):
        where, _, said = next(line.strip() for line in text.splitlines() if source in line).partition("; accepted: ")
        assert where.startswith(source)
        assert f": {path}" in where
        assert shown in where
        assert accepted in said


def test_conflict_between_layers_is_told_of_the_layer_that_gave_the_key() -> None:
    said = refusal(BASE, None, "exchange.product_code=BTC_JPY")
    assert f"{BASE}:{line_of(BASE, 'channels:')}: ws.channels: lightning_board_FX_BTC_JPY" in said
    assert "accepted: lightning_board_snapshot_BTC_JPY, lightning_board_BTC_JPY" in said


@pytest.mark.parametrize(
    ("text", "line", "path", "hint"),
    [
        ("strategy:\n  ttl: 800\n", 2, "strategy.ttl", "did you mean strategy.ttl_ms?"),
        ("strategy:\n  stall_t_ms: 800\n", 2, "strategy.stall_t_ms", "did you mean strategy.stall_T_ms?"),
        ("strategi:\n  ttl_ms: 800\n", 1, "strategi", "did you mean strategy?"),
        ("env: paper\nmax_dd_jpy: -1\n", 2, "max_dd_jpy", "did you mean risk.max_dd_jpy"),
        ("strategy.ttl_ms: 800\n", 1, "strategy.ttl_ms", "one level of the YAML per dot"),
        ("xyzzy: 800\n", 1, "xyzzy", "accepted: env, exchange, instruments, pybotters, ws, strategy, parameters, risk"),
        (
            "session:\n  quiet:\n    - {start: 01:00, stop: 02:00, why: x}\n",
            3,
            "session.quiet.0.stop",
            "start, end, why",
        ),
    ],
)
def test_unknown_key_is_refused_with_the_likeliest_one(
    tmp_path: Path, text: str, line: int, path: str, hint: str
) -> None:
    override = write(tmp_path, text)
    said = refusal(BASE, override)
    assert f"{override}:{line}: {path}: unknown key" in said
    assert hint in said
    assert "; accepted: " in said


def test_all_errors_come_at_once_each_from_its_own_layer(tmp_path: Path) -> None:
    base = write(tmp_path, BASE.read_text().replace("stall_T_ms: 250", "stall_T_ms: 0"), "base.yml")
    override = write(tmp_path, "strategy: {size_min: much}\nrisk: {max_dd_jpy: 1}\n")
    lines = refusal(base, override, "sim.seed=-1").splitlines()
    assert lines[0] == "4 errors in the configuration:"
    assert sorted(line.split(": ")[0].strip() for line in lines[1:]) == sorted(
        [f"{base}:{line_of(base, 'stall_T_ms:')}", f"{override}:1", f"{override}:2", "--set sim.seed=-1"]
    )


def test_all_conflicts_between_keys_come_at_once() -> None:
    said = refusal(BASE, None, "strategy.size_min=0.0005", "strategy.max_inventory_btc=0.0001")
    assert said.startswith("2 errors")


def test_conflict_with_a_key_that_no_layer_gave_is_told_of_the_default(tmp_path: Path) -> None:
    said = refusal(write(tmp_path, "exchange: {size_min: 0.01}"))
    assert said == "built-in default: strategy.size_min: 0.001 is under the venue's minimum; accepted: 0.01 or more"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- env\n- paper\n", 'holds ["env", "paper"] and not a mapping'),
        (b"paper\n", 'holds "paper" and not a mapping'),
        (b"env: paper\n  risk: 1\n", ":2: mapping values are not allowed here"),
        (b"env: [paper\n", "expected ',' or ']'"),
        (b"env: paper\nrisk: {}\nenv: live\n", ":3: env: given twice, first at"),
        (b"strategy:\n  ttl_ms: 1\n  ttl_ms: 2\n", ":3: ttl_ms: given twice, first at"),
        (b"env: \xff\xfe\n", "is not UTF-8 text"),
        (b"env: \x00paper\n", "special characters are not allowed"),
        (b"a: &a [1]\nb: *a\n", ":2: anchors and aliases are not accepted"),
        (b"env: !!python/name:os.system x\n", ":1: x: the tag"),
        (b"env: !!set {a}\n", ":1: the tag"),
        (b"strategy: {ttl_ms: !!int abc}\n", ":1: abc: the tag"),
        (b"? [a]\n: 1\n", ":1: a key must be a word"),
        (b"--- \na: 1\n--- \nb: 1\n", ":3: but found another document"),
        (b"x: " + b"[" * 2_000, "nested too deeply"),
        (b"x: " + b"9" * 5_000, "a number of 5000 characters"),
    ],
)
def test_file_that_is_no_configuration_is_refused_by_name(tmp_path: Path, content: bytes, told: str) -> None:
    path = write(tmp_path, content)
    for said in (refusal(path), refusal(BASE, path)):
        assert said.startswith(str(path))
        assert told in said
        assert "accepted: " in said


def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path) -> None:
    said = refusal(tmp_path / "none.yml", tmp_path)
    assert f"{tmp_path / 'none.yml'}: cannot be read: No such file" in said
    assert f"{tmp_path}: cannot be read: Is a directory" in said


@pytest.mark.parametrize("setting", ["strategy.ttl_ms", "=3", "strategy..ttl_ms=3", ".a=1", ""])
def test_set_without_key_or_value_is_refused(setting: str) -> None:
    said = refusal(BASE, None, setting)
    assert said.startswith("--set ")
    assert "accepted: key.path=value" in said


def test_set_with_bad_yaml_is_refused() -> None:
    assert refusal(BASE, None, "ws.channels=[a").startswith("--set ws.channels=[a: ")


def test_credentials_in_the_configuration_are_refused_and_not_shown(tmp_path: Path) -> None:
    override = write(tmp_path, "pybotters: {api_secret: hunter2}\nexchange: {x: {api_key: hunter2}}\n")
    said = refusal(BASE, override, "api_key=hunter2")
    assert "hunter2" not in said
    assert "credentials belong in .env or accounts.toml" in said


# --- There and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("override", [None, "paper.yml", "live.yml", "sim.yml"])
def test_effective_configuration_reads_back_equal(tmp_path: Path, override: str | None) -> None:
    cfg = load_app_config(BASE, CONFIGS / override if override else None)
    assert load_app_config(write(tmp_path, effective_yaml(cfg))) == cfg


def test_effective_configuration_means_the_same_to_other_yaml_readers() -> None:
    cfg = load_app_config(BASE)
    other = yaml.safe_load(effective_yaml(cfg))
    assert other["paper"]["funding_times"] == ["06:00", "14:00", "22:00"]
    assert other["strategy"]["size_min"] == 0.001
    assert other["risk"]["daily_pnl_jpy"] == -30_000


sizes = st.integers(1, 10**9).map(lambda lots: Decimal(lots + 100_000) / 10**8)
times = st.times().map(lambda t: t.replace(microsecond=0))


@st.composite
def configs(draw: st.DrawFn) -> AppConfig:
    """Configurations with unusual but legal values in every kind of field."""
    size = draw(sizes)
    words = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)
    windows = st.tuples(times, times, words).filter(lambda w: w[0] != w[1])
    return AppConfig.model_validate(
        {
            "env": draw(st.sampled_from(["paper", "live", "sim"])),
            "strategy": {
                "size_min": size,
                "max_inventory_btc": size + draw(sizes),
                "stall_T_ms": draw(st.integers(1, 10**20)),
                "quote_mode": draw(st.sampled_from(["mid", "inside", "join"])),
            },
            "risk": {"max_dd_jpy": -draw(sizes), "daily_pnl_jpy": -draw(st.integers(1, 10**9))},
            "session": {
                "timezone": draw(st.sampled_from(["Asia/Tokyo", "UTC", "America/New_York"])),
                "day_start": draw(times).isoformat(),
                "quiet": [
                    {"start": start.isoformat(), "end": end.isoformat(), "why": why}
                    for start, end, why in draw(st.lists(windows, max_size=3))
                ],
            },
            "paper": {"maker_fee": draw(st.decimals(Decimal("-0.01"), Decimal("0.01"), places=9))},
        }
    )


@given(configs())
def test_any_configuration_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, cfg: AppConfig) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(effective_yaml(cfg), encoding="utf-8", newline="")
    assert load_app_config(path) == cfg


def test_switch_that_is_not_true_or_false_is_told_what_is_accepted() -> None:
    with pytest.raises(ConfigError, match=r"record\.enabled: 5 is not accepted; accepted: true or false"):
        load_app_config(BASE, None, ["record.enabled=5"])


# --- Several instruments ----------------------------------------------------------------------------------------------

TWO = """
strategy: {ttl_ms: 500}
instruments:
  - product_code: FX_BTC_JPY
  - product_code: ETH_JPY
    tick_size: 0.1
    size_min: 0.01
    strategy: {size_min: 0.02, stall_T_ms: 400}
"""


def test_an_instrument_takes_what_it_does_not_give_from_exchange_and_strategy(tmp_path: Path) -> None:
    cfg = load_app_config(BASE, write(tmp_path, TWO))
    first, second = cfg.by_instrument()
    assert cfg.products == ("FX_BTC_JPY", "ETH_JPY")
    assert (first.exchange, first.strategy) == (cfg.exchange, cfg.strategy)
    assert first.strategy.ttl_ms == second.strategy.ttl_ms == 500
    assert (second.strategy.size_min, second.strategy.stall_T_ms) == (Decimal("0.02"), 400)
    unit = second.exchange.instrument()
    assert (unit.product_code, unit.tick_size, unit.lot_size, unit.min_size) == (
        "ETH_JPY",
        Decimal("0.1"),
        Decimal("1e-8"),
        1_000_000,
    )
    assert second.exchange.base_url == cfg.exchange.base_url
    assert second.by_instrument() == (second,), "one instrument is itself"


def test_several_instruments_are_written_and_read_back(tmp_path: Path) -> None:
    cfg = load_app_config(BASE, write(tmp_path, TWO))
    assert load_app_config(BASE, write(tmp_path, effective_yaml(cfg), "again.yml")) == cfg


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "size_min: 0.02",
            "size_min: 0.001",
            ":8: instruments.1.strategy.size_min: 0.001 is under the venue's minimum",
        ),
        ("ETH_JPY", "FX_BTC_JPY", ":5: instruments.1.product_code: FX_BTC_JPY is given twice"),
        ("tick_size: 0.1", "tick_size: 0.3", ":6: instruments.1.tick_size: 0.3 does not divide one evenly"),
        ("tick_size: 0.1", "tick: 0.1", ":6: instruments.1.tick: unknown key"),
        ("stall_T_ms: 400", "stall_T_ms: 0", ":8: instruments.1.strategy.stall_T_ms: 0 is not accepted"),
    ],
)
def test_a_fault_of_an_instrument_names_file_line_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(BASE, write(tmp_path, TWO.replace(old, new)))


def test_an_instrument_needs_its_product(tmp_path: Path) -> None:
    text = TWO.replace("- product_code: ETH_JPY\n    tick_size", "- tick_size")
    assert "instruments.1.product_code: is missing" in refusal(BASE, write(tmp_path, text))


def test_channels_may_be_of_any_instrument(tmp_path: Path) -> None:
    text = TWO + "ws: {channels: [lightning_ticker_ETH_JPY]}\n"
    assert load_app_config(BASE, write(tmp_path, text)).ws.channels == ("lightning_ticker_ETH_JPY",)
    assert "accepted: lightning_board_snapshot_FX" in refusal(BASE, write(tmp_path, text.replace("ETH_JPY]", "X_JPY]")))

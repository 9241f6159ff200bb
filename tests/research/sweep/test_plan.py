"""A sweep's command line: values are checked before anything runs; spans; the sweep's identity."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.loader import effective_tree
from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.sweep.plan import (
    Plan,
    Range,
    Span,
    configured,
    digest_of,
    folds_of,
    grid,
    identity,
    idle_keys,
    keys_json,
    read_grid,
    read_search,
)
from stall_then_strike.types.errors import ConfigError

BASE = AppConfig()
MINUTE = 60 * 10**9


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "base": effective_tree(BASE),
        "keys": {"strategy.ttl_ms": (400, 800)},
        "objectives": ("pnl",),
        "whole": Span("all", 0, 100 * MINUTE),
        "folds": (),
        "trials": None,
        "batch": 10,
        "seed": 1,
        "sample_ns": MINUTE,
    }
    return Plan(**{**fields, **changes})


def test_values_are_read_as_the_configuration_reads_them() -> None:
    found = read_grid(
        [
            "strategy.stall_T_ms=200, 400,800",
            "strategy.size_min=0.001,0.002",
            "strategy.quote_mode=mid,join",
            "risk.stop_flat=true,false",
            'session.day_start="00:00","06:00"',
            "paper.funding_times=[],[06:00]",
        ],
        BASE,
    )
    assert found == {
        "strategy.stall_T_ms": (200, 400, 800),
        "strategy.size_min": (Decimal("0.001"), Decimal("0.002")),
        "strategy.quote_mode": ("mid", "join"),
        "risk.stop_flat": (True, False),
        "session.day_start": ("00:00", "06:00"),
        "paper.funding_times": ([], ["06:00"]),
    }
    assert len(list(grid(found))) == 3 * 2**5
    first, second = list(grid({"a": (1, 2), "b": (3, 4)}))[:2]
    assert (first, second) == ({"a": 1, "b": 3}, {"a": 1, "b": 4})


def test_a_set_is_laid_over_the_configuration() -> None:
    cfg = configured(effective_tree(BASE), {"strategy.ttl_ms": 321, "paper.order_latency.median_ms": Decimal(5)}, "set")
    assert cfg.strategy.ttl_ms == 321
    assert cfg.paper.order_latency.median_ms == 5
    assert cfg.paper.cancel_latency == BASE.paper.cancel_latency
    assert configured(effective_tree(BASE), {}, "") == BASE


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["strategy.stal_T_ms=200"], ["unknown key", "did you mean strategy.stall_T_ms?"]),
        (["stall_T_ms=200"], ["unknown key", "did you mean strategy.stall_T_ms"]),
        (["strategy.stall_T_ms=200,0,-5"], ["0 is not accepted", "-5 is not accepted", "1 or more"]),
        (["strategy.quote_mode=mid,jion"], ['"jion"', "mid, inside, join"]),
        (["strategy.ttl_ms", "=5"], ["strategy.ttl_ms: not understood", "=5: not understood"]),
        (["strategy.ttl_ms=500", "strategy.ttl_ms=600"], ["given twice"]),
        (["strategy.ttl_ms=500,500"], ["comes twice"]),
        (["strategy.ttl_ms=[1,2"], ["strategy.ttl_ms=[1,2"]),
        (["exchange.tick_size=1,0.5"], ["the tape is prepared once"]),
        (["exchange.product_code=BTC_JPY"], ["ws.channels"]),
        (["strategy.ttl_ms=" + ",".join(map(str, range(1, 1002))), "strategy.stall_T_ms=" + "1,2,3,4"], ["", ""]),
    ],
)
def test_grids_that_cannot_be_are_refused_with_what_is_accepted(texts: list[str], words: list[str]) -> None:
    if words == ["", ""]:
        texts = [*texts, "strategy.max_reverse_ticks=" + ",".join(map(str, range(1, 31)))]
        words = ["120,120 parameter sets", "100,000 at most"]
    with pytest.raises(ConfigError) as refusal:
        read_grid(texts, BASE)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    assert "accepted" in str(refusal.value)
    assert "--set" not in str(refusal.value)


def test_values_that_are_possible_with_another_keys_only_are_taken(tmp_path: Path) -> None:
    sample = tmp_path / "latency.txt"
    sample.write_text("5\n")
    kinds, files = "paper.order_latency.kind=constant,sampled", f"paper.order_latency.file={sample}"
    assert read_grid([kinds, files], BASE)
    with pytest.raises(ConfigError, match="kind is sampled"):
        read_grid([kinds], BASE)


def test_ranges() -> None:
    found = read_search(
        [
            "strategy.stall_T_ms=100:2000:50",
            "strategy.max_reverse_ticks=2:2000:log",
            "strategy.max_inventory_btc=0.01:0.2",
            "strategy.size_min=0.001:0.004:0.001",
            "paper.order_latency.median_ms=1.0:10",
            "strategy.quote_mode=mid,join",
        ],
        BASE,
    )
    assert found == {
        "strategy.stall_T_ms": Range(100, 2_000, 50),
        "strategy.max_reverse_ticks": Range(2, 2_000, None, True),
        "strategy.max_inventory_btc": Range(Decimal("0.01"), Decimal("0.2")),
        "strategy.size_min": Range(Decimal("0.001"), Decimal("0.004"), Decimal("0.001")),
        "paper.order_latency.median_ms": Range(Decimal("1.0"), 10),
        "strategy.quote_mode": ("mid", "join"),
    }
    assert found["strategy.stall_T_ms"] == Range(100, 2_000, 50)
    assert [isinstance(values, Range) and values.whole for values in found.values()] == [True, True, *[False] * 4]
    assert keys_json(found)["strategy.max_reverse_ticks"] == {"low": 2, "high": 2_000, "log": True}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strategy.stall_T_ms=2000:100", "low below high"),
        ("strategy.stall_T_ms=100:200:0", "not a step"),
        ("strategy.stall_T_ms=100:200:many", "not a step"),
        ("strategy.stall_T_ms=100:200:150", "a step up to"),
        ("strategy.quote_offset_ticks=0:10:log", "above 0 with log"),
        ("strategy.stall_T_ms=0:100", "1 or more"),
        ("strategy.stall_T_ms=1:nan", "a whole number"),
        ("strategy.nothing=1:10", "unknown key"),
    ],
)
def test_ranges_that_cannot_be_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_search([text], BASE)


def test_keys_that_a_replay_does_not_read_are_named() -> None:
    keys = read_grid(["watch.lag_warn_ms=50,60", "strategy.ttl_ms=500,600", "log.flush_ms=10,20"], BASE)
    assert idle_keys(keys, BASE) == ["watch.lag_warn_ms", "log.flush_ms"]


@given(
    minutes=st.integers(200, 100_000),
    folds=st.integers(1, 12),
    share=st.decimals("0.5", "0.9", places=2),
    start=st.integers(0, 10**18),
)
def test_folds_move_on_by_a_test_and_never_look_ahead(minutes: int, folds: int, share: Decimal, start: int) -> None:
    whole = Span("all", start, start + minutes * MINUTE + 7)
    found = folds_of(whole, folds, share, MINUTE)
    assert [fold.number for fold in found] == list(range(1, folds + 1))
    assert found[0].train.from_ns == whole.from_ns
    assert found[-1].test.to_ns == whole.to_ns
    for fold in found:
        assert fold.train.from_ns < fold.train.to_ns == fold.test.from_ns < fold.test.to_ns
        train, test = fold.train.to_ns - fold.train.from_ns, fold.test.to_ns - fold.test.from_ns
        assert train / (train + test) == pytest.approx(float(share), abs=1e-6)
        assert (fold.train.name, fold.test.name) == (f"train {fold.number}", f"test {fold.number}")
    for before, after in itertools.pairwise(found):
        assert before.test.to_ns == after.test.from_ns  # tests lie side by side
        assert before.train.from_ns < after.train.from_ns


def test_spans_too_short_for_a_figure_are_refused() -> None:
    with pytest.raises(ConfigError, match="--folds 40: a span would be"):
        folds_of(Span("all", 0, 60 * MINUTE), 40, Decimal("0.75"), MINUTE)
    assert folds_of(Span("all", 0, MINUTE), 0, Decimal("0.75"), MINUTE) == ()


def test_only_what_changes_results_makes_another_sweep(tmp_path: Path) -> None:
    def digest(of: Plan, cfg: AppConfig = BASE, tapes: tuple[str, ...] = ("t",), program: str = "p") -> str:
        return digest_of(identity(of, cfg, tapes=tapes, program=program))

    same = digest(plan())
    elsewhere = AppConfig.model_validate(
        {"backtest": {"cache_dir": "x"}, "exchange": {"base_url": "http://h:1"}, "log": {"flush_ms": 20}}
    )
    assert digest(plan(), elsewhere) == same
    others = [
        digest(plan(seed=2)),
        digest(plan(keys={"strategy.ttl_ms": (400, 801)})),
        digest(plan(objectives=("sharpe",))),
        digest(plan(trials=20)),
        digest(plan(trials=20, batch=5)),
        digest(plan(sample_ns=2 * MINUTE)),
        digest(plan(folds=folds_of(plan().whole, 2, Decimal("0.5"), MINUTE))),
        digest(plan(), AppConfig.model_validate({"strategy": {"stall_T_ms": 251}})),
        digest(plan(), tapes=("u",)),
        digest(plan(), program="q"),
    ]
    for text in ("5\n", "6\n"):
        (tmp_path / "latency.txt").write_text(text)
        others.append(digest(plan(keys={"paper.order_latency.file": (str(tmp_path / "latency.txt"),)})))
    assert len({same, *others}) == 1 + len(others)
    json.dumps(identity(plan(trials=3), BASE, tapes=["t"], program="p"), allow_nan=False)


def test_number_of_runs() -> None:
    folds = folds_of(plan().whole, 3, Decimal("0.5"), MINUTE)
    assert plan().runs == 2
    assert plan(folds=folds).runs == 2 * 7
    assert plan(folds=folds, trials=20).runs == 20 * 7
    assert [span.name for span in plan(folds=folds[:1]).spans] == ["all", "train 1", "test 1"]

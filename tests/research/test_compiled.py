"""The compiled replay is the interpreted one, to the last integer, or it refuses."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stall_then_strike.app.virtual import Message
from stall_then_strike.config.models import AppConfig
from stall_then_strike.research import arrays
from stall_then_strike.research.columns import Columns
from stall_then_strike.research.compiled import CannotCompile, CompiledReplay
from stall_then_strike.research.prepare import write_columns
from stall_then_strike.types.dto import Reason
from tests.market_script import START_NS, Script, config
from tests.research.random_tapes import configs, random_tape
from tests.research.twins import twins

pytestmark = pytest.mark.timeout(600)  # the first call compiles everything


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    messages=st.integers(1, 400),
    cfg=configs(),
    chunk=st.sampled_from((1, 2, 7, 50, 16_384)),
)
def test_compiled_replay_equals_the_interpreted_one(seed: int, messages: int, cfg: AppConfig, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twins(random_tape(seed, messages), cfg, Path(folder), chunk=chunk).check()


def test_days_roll_funding_is_paid_and_quiet_times_are_kept(tmp_path: Path) -> None:
    """A run of several days, with nights without a message."""
    messages, day = [], 86_400 * 10**9
    for number in range(4):
        messages += [(at + number * day, text) for at, text in random_tape(8 + number, 600) if at < START_NS + 10**13]
    messages.sort(key=lambda message: message[0])
    cfg = config(
        strategy={"stale_ms": 5_000},
        risk={"after_halt": "wait", "daily_pnl_jpy": -0.01, "max_dd_jpy": -0.01},
        session={"day_start": "18:00", "quiet": ({"start": "09:00:02", "end": "09:00:04", "why": "test"},)},
        paper={"funding_times": ("09:00:10", "21:00")},
    )
    pair = twins(messages, cfg, tmp_path)
    pair.check()
    assert pair.outcome.reason_rows[Reason.DAY_ROLL] >= 1
    assert Reason.QUIET_TIME in pair.outcome.reason_rows


@pytest.mark.parametrize("seconds", [0.001, 3, 10_000])
def test_duration_ends_both_at_the_same_message(seconds: float, tmp_path: Path) -> None:
    pair = twins(random_tape(4, 300), config(), tmp_path, duration_ns=int(seconds * 10**9))
    pair.check()


@pytest.mark.parametrize("messages", [[], [(START_NS, "{}")], [(START_NS, None)]])
def test_tape_without_a_market_trades_nothing(messages: list[Message], tmp_path: Path) -> None:
    pair = twins(messages, config(), tmp_path)
    pair.check()
    assert pair.outcome.tally["strikes"] == 0


def test_same_seed_same_rows_another_seed_others(tmp_path: Path) -> None:
    folder = tmp_path
    write_columns(random_tape(10, 2_000), config(), folder)

    def rows(seed: int) -> bytes:
        cfg = config(paper={"seed": seed, "order_latency": {}, "cancel_latency": {}}, risk={"after_halt": "wait"})
        return CompiledReplay(cfg, Columns(folder)).run().log.tobytes()

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_counts_are_the_same_without_rows_and_rows_come_in_parts(tmp_path: Path) -> None:
    cfg = config(risk={"after_halt": "wait"})
    write_columns(random_tape(10, 3_000), cfg, tmp_path)
    whole = CompiledReplay(cfg, Columns(tmp_path)).run()
    parts: list[bytes] = []
    streamed = CompiledReplay(cfg, Columns(tmp_path)).run(lambda log, *_: parts.append(log.tobytes()))
    bare = CompiledReplay(cfg, Columns(tmp_path), logging=False).run()
    assert b"".join(parts) == whole.log.tobytes()
    assert (bare.tally, bare.inventory, bare.reason_ns) == (whole.tally, whole.inventory, whole.reason_ns)
    assert streamed.tally == whole.tally
    assert not len(bare.log)


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"strategy": {"max_inventory_btc": 100_000}}, "max_inventory_btc"),
        ({"strategy": {"max_reverse_ticks": 10**12}}, "ticks so large"),
        ({"exchange": {"limits": {"private_per_5min": 10**7}}}, "limits"),
        ({"paper": {"maker_fee": 0.009999999}, "strategy": {"max_inventory_btc": 5}}, "fee"),
    ],
)
def test_what_64_bits_may_not_hold_is_refused_before_anything_runs(
    sections: dict[str, Any], why: str, tmp_path: Path
) -> None:
    script = Script().ticker(0).snapshot(0, {13_000_000: 1.0}, {13_000_010: 1.0})
    write_columns(script.in_order(), config(), tmp_path)
    with pytest.raises(CannotCompile, match=why):
        CompiledReplay(config(**sections), Columns(tmp_path))


def test_tape_of_another_product_is_refused(tmp_path: Path) -> None:
    write_columns(random_tape(1, 50), config(), tmp_path)
    with pytest.raises(CannotCompile, match="FX_BTC_JPY"):
        CompiledReplay(config(exchange={"product_code": "BTC_JPY"}, ws={"channels": ()}), Columns(tmp_path))


def test_memory_that_is_too_small_is_told_and_not_survived(tmp_path: Path) -> None:
    write_columns(random_tape(10, 500), config(), tmp_path)
    replay = CompiledReplay(config(), Columns(tmp_path))
    replay._m[arrays.C_EXPIRIES] = 0
    with pytest.raises(CannotCompile, match="resting orders"):
        replay.run()

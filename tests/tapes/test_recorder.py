"""The recorder on the embedded exchange: across the hour, through reconnects, with products that are silent."""

from __future__ import annotations

import asyncio
from os import rename
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock, ScaledClock
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.recorder import Product, Recorder
from stall_then_strike.tapes.tape_tools import audit_tape, faults_of
from stall_then_strike.types.errors import FeedError, LogError
from tests.live.pace import steady_clock
from tests.research.replay.replay_rig import HOUR_NS, START_NS, manifest, texts
from tests.waiting import until

FX = Product("FX_BTC_JPY")


def config(url: str, base_url: str = "http://127.0.0.1:9") -> AppConfig:
    return AppConfig.model_validate(
        {
            "exchange": {"ws_url": url, "base_url": base_url},
            "pybotters": {"timeout_sec": 1},
            "ws": {"connect_timeout_sec": 2, "reconnect_min_sec": "0.05"},
        },
        strict=False,
    )


def exchange_at(clock: Clock) -> BitflyerExchange:
    return BitflyerExchange(Market(seed=7, start_ns=clock.now_ns()), clock=clock)


def tapes(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.zst"))


async def test_hour_turns_and_both_tapes_are_good(tmp_path: Path) -> None:
    async with (
        steady_clock(20.0, START_NS + HOUR_NS - 40 * 10**9) as clock,
        exchange_at(clock) as exchange,
        Recorder(config(exchange.ws_url), [FX], tmp_path, clock) as recorder,
    ):
        await recorder.wait_ready(20)
        await clock.sleep_until(START_NS + HOUR_NS + 40 * 10**9)
        recorder.stop("test over")
    first, second = tapes(tmp_path)
    assert (first.name, second.name) == ("FX_BTC_JPY-20260105T00Z.jsonl.zst", "FX_BTC_JPY-20260105T01Z.jsonl.zst")
    assert faults_of(audit_tape(first)) == faults_of(audit_tape(second)) == []
    assert (manifest(first)["ended"], manifest(second)["ended"]) == ("hour over", "test over")
    recorded = manifest(first)["messages"] + manifest(second)["messages"]
    assert recorded == len(texts(first)) + len(texts(second))
    assert recorded - 4 <= exchange.hub.counters.frames  # less the acknowledgements, where those do not count


async def test_reconnect_is_on_the_tape_and_in_the_manifest(tmp_path: Path) -> None:
    async with (
        steady_clock(20.0, START_NS) as clock,
        exchange_at(clock) as exchange,
        Recorder(config(exchange.ws_url), [FX], tmp_path, clock) as recorder,
    ):
        await recorder.wait_ready(20)
        exchange.faults.inject(Fault(kind=FaultKind.CLOSE_SOCKETS))
        await until(lambda: recorder.states()[0].connects == 2, 30)
        seen = recorder.states()[0].mid_checked
        await until(lambda: recorder.states()[0].mid_checked > seen + 20, 30)
    (path,) = tapes(tmp_path)
    told = manifest(path)
    assert (told["connects"], told["drops"], told["reconnects"]) == (2, 1, 1)
    assert told["drop_stamps"][0]["why"]
    assert told["books"]["FX_BTC_JPY"]["mid_failed"] == 0


async def test_silent_product_is_told_and_disturbs_nobody(tmp_path: Path) -> None:
    both = [FX, Product("XRP_JPY")]
    async with (
        steady_clock(20.0, START_NS) as clock,
        exchange_at(clock) as exchange,
        Recorder(config(exchange.ws_url), both, tmp_path, clock) as recorder,
    ):
        await recorder.wait_ready(2)
        fx, xrp = recorder.states()
    assert fx.mid_checked
    assert fx.silence == ""
    assert not xrp.mid_checked
    assert "acknowledges unknown products" in xrp.silence
    assert faults_of(audit_tape(tmp_path / "FX_BTC_JPY-20260105T00Z.jsonl.zst")) == []


async def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    clock = ScaledClock(1.0, START_NS)
    async with Recorder(config("ws://127.0.0.1:9/json-rpc"), [FX], tmp_path, clock) as recorder:
        with pytest.raises(FeedError, match="no board of FX_BTC_JPY"):
            await recorder.wait_ready(0.2)
    assert tapes(tmp_path) == []


async def test_folder_and_product_are_one_recorders_at_a_time(tmp_path: Path) -> None:
    clock = ScaledClock(1.0, START_NS)
    cfg = config("ws://127.0.0.1:9/json-rpc")
    async with Recorder(cfg, [FX], tmp_path, clock):
        with pytest.raises(LogError, match="is being recorded in"):
            async with Recorder(cfg, [FX], tmp_path, clock):
                pass
        async with Recorder(cfg, [Product("ETH_JPY")], tmp_path, clock):
            pass


async def test_tape_that_cannot_be_written_ends_the_recording(tmp_path: Path) -> None:
    clock = ScaledClock(20.0, START_NS)
    raw = tmp_path / "raw"
    async with exchange_at(clock) as exchange:
        with pytest.raises(LogError, match="cannot be written"):
            await record_into_nowhere(Recorder(config(exchange.ws_url), [FX], raw, clock), raw)


async def record_into_nowhere(recorder: Recorder, raw: Path) -> None:
    """The folder is removed before the first tape is created."""
    async with recorder:
        rename(raw, raw.with_name("elsewhere"))
        async with asyncio.timeout(20):
            await recorder.ended.wait()

"""Latencies by number: recorded samples, spikes, and their dependence on seed and number only."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.config.models import LatencyConfig, LatencyKind
from stall_then_strike.sim.latency import CANCELS, ORDERS, Latency, read_sample, stream_seed, word_at
from stall_then_strike.types.errors import ConfigError

MS, S = 10**6, 10**9


def sampled(path: Path) -> LatencyConfig:
    return LatencyConfig(kind=LatencyKind.SAMPLED, file=str(path))


def test_recorded_latencies_come_back_as_often_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "latency.txt"
    file.write_text("# ms\n" + "10\n" * 750 + "400.5\n" * 250)
    latency = Latency(sampled(file), 1, ORDERS)
    drawn = [latency.draw_ns(0) for _ in range(20_000)]
    assert (min(drawn), max(drawn)) == (10 * MS, 400_500_000)
    assert sum(ns > 10 * MS for ns in drawn) / len(drawn) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("text", ["", "# none\n", "fast\n", "-1\n", "nan\n", "1e9\n"])
def test_file_that_holds_no_latencies_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "latency.txt"
    file.write_text(text)
    with pytest.raises(ConfigError, match="milliseconds"):
        Latency(sampled(file), 1, ORDERS)


def test_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "latencies.txt"
    path.write_text("\ufeff12.5\n7\n", encoding="utf-8")
    assert read_sample(path) == [7.0, 12.5]


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        Latency(sampled(tmp_path / "nowhere"), 1, ORDERS)


def test_spikes_slow_all_requests_of_a_stretch_of_time_orders_and_cancels_alike() -> None:
    cfg = LatencyConfig(
        kind=LatencyKind.CONSTANT,
        median_ms=Decimal(100),
        spike_share=Decimal("0.1"),
        spike_sec=Decimal(2),
        spike_ms=Decimal(900),
    )
    orders, cancels = Latency(cfg, 3, ORDERS), Latency(cfg, 3, CANCELS)
    slow = []
    for stretch in range(5_000):
        start = stretch * 2 * S
        drawn = {latency.draw_ns(start + at) for latency in (orders, cancels) for at in (0, S, 2 * S - 1)}
        assert drawn in ({100 * MS}, {1_000 * MS})
        slow.append(drawn == {1_000 * MS})
    assert sum(slow) / len(slow) == pytest.approx(0.1, abs=0.02)


def test_streams_and_seeds_differ_also_beyond_32_bits() -> None:
    seeds = {stream_seed(seed, stream) for seed in (0, 1, 2**32, 2**40 + 1) for stream in (ORDERS, CANCELS)}
    assert len(seeds) == 8
    words = {word_at(7, number) for number in (*range(10_000), 2**32, 2**33)}
    assert len(words) > 9_990

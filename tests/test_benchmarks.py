"""The benchmarks run to their end: their own settings do not stand in their way."""

from __future__ import annotations

import pytest

from benchmarks import idle, light, lighter_data, preparation, sweep_work
from benchmarks.limits import MANY, WIDE
from stall_then_strike.config.models import LimitsConfig

ORDERS = 20


def test_no_limit_is_left_narrow() -> None:
    limits = LimitsConfig(**WIDE)
    assert {getattr(limits, name) for name in LimitsConfig.model_fields if name.endswith("min")} == {MANY}


def test_a_tape_is_prepared_and_parsed() -> None:
    found = preparation.compare_all(hours=0.02, loops=1)
    assert [one.load for one in found][:1] == ["generated, 0.02 h"]
    assert all(min(one.lines, one.level_changes, one.ours_s, one.orjson_s) > 0 for one in found)


@pytest.mark.slow(2)
@pytest.mark.timeout(600)
def test_every_set_of_a_sweep_is_the_work_of_one_process() -> None:
    for asked, work in zip((1, 2), sweep_work.compare(hours=0.02, sets=20, counts=(1, 2)), strict=True):
        assert work.asked == asked
        assert 1 <= len(work.workers) <= asked
        assert sorted(n for worker in work.workers for n in worker.sets) == list(range(20))
        assert sum(work.shares) <= 2


def test_orders_on_lighter_are_all_accepted_and_their_time_is_told_apart() -> None:
    pytest.importorskip("lighter")
    from benchmarks import lighter_orders

    rates = lighter_orders.measure(ORDERS)
    assert min(rates.batched, rates.single, rates.sdk) > 0
    assert 0 < rates.own_share < 1


def test_market_data_of_lighter_arrive_whole_and_books_are_kept_faster_than_by_the_sdk() -> None:
    lags = lighter_data.lags(count=5, changes=40)
    assert (lags.messages, lags.lost) == (200, 0)
    assert 0 < lags.median_ms <= lags.p99_ms <= lags.most_ms
    pytest.importorskip("lighter")
    rates = lighter_data.rates(count=3, sdk_updates=5, updates=20)
    assert (rates.updates, rates.long_updates) == (15, 60)
    assert rates.times > 1


def test_run_that_only_looks_is_read_off_the_kernel() -> None:
    one = idle.measure(2.0)
    assert one.messages > 0
    assert one.core_share > 0
    assert 0 < one.rss_start_mb <= one.rss_end_mb * 2
    assert one.wake_ups_per_s > 1


def test_start_of_a_command_takes_time() -> None:
    assert light.help_s(1) > 0

"""A short soak: what the hour of ``make soak`` shows, coarser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.soak import POOLED, Sample, Soak, soak
from tests.signing import SIGNED

GROWTH_MB_PER_HOUR = 60.0
"""In ten minutes the tables of ended orders and booked fills are still filling up to their bounds."""


@SIGNED
@pytest.mark.alone
@pytest.mark.slow
async def test_nothing_grows_and_the_books_are_equal(tmp_path: Path) -> None:
    result = await soak(tmp_path, minutes=10, speed=20)
    assert len(result.samples) > 20
    assert not result.problems(rss_mb_per_hour=GROWTH_MB_PER_HOUR), result.table()


def flat(**later: int) -> Soak:
    """Forty samples of a daemon at rest but for what is given: added late, memory at each sample."""
    result = Soak(speed=1, exit_code=0)
    for number in range(40):
        more = later if number > 30 else {}
        inside = {"tasks": 14 + more.get("tasks", 0), "early": 0, "owed": 0, "strikes": number * 5, "in_flight": 0}
        result.samples.append(
            Sample(
                seconds=number * 10.0,
                rss_kb=70_000 + number * later.get("rss_kb", 0),
                fds=33 + more.get("fds", 0),
                sockets=11,
                threads=7 + more.get("threads", 0),
                wal_bytes=number * later.get("wal_bytes", 0),
                inside=inside,
            )
        )
    return result


@pytest.mark.parametrize("what", ["tasks", "fds", "threads"])
def test_a_leak_is_seen(what: str) -> None:
    assert not flat().problems(rss_mb_per_hour=1)
    assert [problem.split()[0] for problem in flat(**{what: 1 + POOLED}).problems(rss_mb_per_hour=1)] == [what]


def test_growing_memory_is_seen() -> None:
    assert flat(rss_kb=1_000).problems(rss_mb_per_hour=60)


def test_a_log_that_is_never_cut_is_seen() -> None:
    assert "log" in flat(wal_bytes=1_000_000).problems(rss_mb_per_hour=1)[0]


def test_a_daemon_that_stops_striking_is_seen() -> None:
    result = flat()
    for sample in result.samples[20:]:
        sample.inside["strikes"] = 100
    assert "strikes" in result.problems(rss_mb_per_hour=1)[0]

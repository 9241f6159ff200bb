"""One run's figures against the logs of the same replay, and tapes by URL."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from stall_then_strike.config.loader import effective_tree
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.replay.kernel_rows import log_rows
from stall_then_strike.research.sweep.plan import Span
from stall_then_strike.research.sweep.runs import Job, OtherProgram, Run, execute, measured, mids_at, program, run_batch
from stall_then_strike.research.sweep.tape_fetch import (
    TapeUnavailable,
    columns_of,
    local_path,
    prepared_here,
    shown,
)
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import BoardSnapshot, BookStatus, TradeLogRow
from stall_then_strike.types.errors import ConfigError
from tests.market_script import config
from tests.research.tables.random_tapes import random_tape
from tests.research.tables.test_prepare import write_tape

pytestmark = pytest.mark.timeout(600)  # the first call compiles everything
STEP = 10 * 10**9
CFG = config(risk={"after_halt": "wait"}, strategy={"stale_ms": 5_000}, session={"quiet": ()})


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Columns, Span]:
    folder = tmp_path_factory.mktemp("market")
    tape = write_tape(folder / "tape.jsonl", random_tape(10, 3_000))
    write_columns([tape], CFG, folder)
    columns = Columns(folder)
    return tape, columns, Span("all", columns.manifest.first_ns, columns.manifest.last_ns + 1)


def job(columns: Columns, tape: Path, **changes: Any) -> Job:
    tapes, key, _ = prepared_here([str(tape)], CFG, columns.folder / "cache")
    fields: dict[str, Any] = {
        "base": effective_tree(CFG),
        "tapes": tapes,
        "key": key,
        "cache": str(columns.folder / "cache"),
        "sample_ns": STEP,
        "program": program(),
    }
    return Job(**{**fields, **changes})


def mids_by_feed(messages: list[tuple[int, str]]) -> Callable[[int], int]:
    """Doubled mids of trading's own feed: the latest up to a stamp, zero if unknown."""
    feed, stamps, doubled, now = MarketFeed(CFG), list[int](), list[int](), 0
    for recv_ns, text in messages:
        now = max(now, recv_ns)
        event = feed.on_text(text, now)
        if isinstance(event, BoardSnapshot):
            stamps.append(now)
            doubled.append(event.best_bid_price + event.best_ask_price if event.status is BookStatus.OK else 0)

    def mid_at(stamp: int) -> int:
        at = bisect_right(stamps, stamp) - 1
        return doubled[at] if at >= 0 and stamp - stamps[at] <= 10 * 10**9 else 0

    return mid_at


def test_figures_are_those_of_the_replays_own_logs(market: tuple[Path, Columns, Span]) -> None:
    tape, columns, span = market
    outcome = CompiledReplay(CFG, columns, sample_ns=STEP).run()
    trades = [row for row in log_rows(outcome, CFG) if isinstance(row, TradeLogRow)]
    found = measured(CFG, columns, span, STEP)
    assert found["fills"] == len(trades) > 50
    assert found["volume"] == float(sum(row.size for row in trades) * Decimal("1e-8"))
    assert found["pnl"] == pytest.approx(outcome.total / 10**8)
    assert found["max_drawdown"] == outcome.max_fall / 10**8 < 0
    assert found["fill_ratio"] == outcome.tally["touched"] / outcome.tally["quotes"]
    gains = np.diff(outcome.samples, prepend=0).tolist()
    assert found["observations"] == len(gains)
    assert found["sharpe"] == pytest.approx(statistics.mean(gains) / statistics.stdev(gains))
    mid_at = mids_by_feed([(line.recv_ns, line.text) for line in read_tape(tape)])
    values = [
        row.side.sign * (mid - 2 * row.price) / 2
        for row in trades
        if row.ts_ns + 10**9 < span.to_ns and (mid := mid_at(row.ts_ns + 10**9))
    ]
    assert found["markout_1s"] == pytest.approx(statistics.mean(values))
    assert measured(CFG, columns, span, STEP) == found


@pytest.mark.parametrize("chunk", [1, 7, 100, 16_384])
def test_mids_are_those_of_the_tape_whatever_the_chunks(chunk: int, tmp_path: Path) -> None:
    messages = random_tape(4, 800)
    tape = write_tape(tmp_path / "tape.jsonl", messages)
    write_columns([tape], CFG, tmp_path, chunk=chunk)
    stamps = sorted({at + shift for at, _ in messages for shift in (-(10**9), -1, 0, 1, 3 * 10**8, 4 * 10**9)})
    mid_at = mids_by_feed([(line.recv_ns, line.text) for line in read_tape(tape)])
    expected = [mid_at(stamp) for stamp in stamps]
    assert mids_at(Columns(tmp_path), np.asarray(stamps, np.int64)).tolist() == expected
    assert len(set(expected)) > 20


def test_another_set_another_hash_the_same_set_the_same(market: tuple[Path, Columns, Span]) -> None:
    tape, columns, span = market
    of = job(columns, tape)
    runs = [Run(n, span, {"strategy.ttl_ms": ttl}) for n, ttl in enumerate((300, 300, 500))]
    first, again, other = run_batch(of, runs)
    assert first.metrics == again.metrics
    assert first.metrics["output_hash"] != other.metrics["output_hash"]
    assert (first.number, first.values, first.error) == (0, {"strategy.ttl_ms": 300}, None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"strategy.size_min": Decimal("0.3")}, "strategy.max_inventory_btc: 0.2 is under strategy.size_min"),
        ({"exchange.limits.private_per_5min": 1_000_000}, "not for the compiled engine"),
        ({"paper.order_latency.kind": "sampled", "paper.order_latency.file": "nowhere"}, "latency file nowhere"),
    ],
)
def test_what_goes_wrong_in_one_run_is_its_result(
    values: dict[str, Any], words: str, market: tuple[Path, Columns, Span]
) -> None:
    tape, columns, span = market
    found = execute(job(columns, tape), Run(7, span, values), columns)
    assert found.error is not None
    assert words in found.error
    assert not found.done
    assert set(found.metrics.values()) == {None}


def test_a_bug_in_one_run_is_its_result_too(market: tuple[Path, Columns, Span]) -> None:
    tape, columns, span = market
    broken = job(columns, tape, sample_ns="a minute")
    found = execute(broken, Run(0, span, {}), columns)
    assert found.error is not None
    assert found.error.startswith("TypeError: ")


def test_a_worker_with_another_program_is_refused(market: tuple[Path, Columns, Span]) -> None:
    tape, columns, span = market
    with pytest.raises(OtherProgram, match="another version"):
        run_batch(job(columns, tape, program="other"), [Run(0, span, {})])


# --- tapes by URL


def stored(name: str, tape: Path) -> str:
    """A tape in fsspec's own storage in memory."""
    url = f"memory://{name}"
    with fsspec.open(url, "wb") as file:
        file.write(tape.read_bytes())
    return url


def test_tapes_come_from_any_storage_and_are_fetched_once(market: tuple[Path, Columns, Span], tmp_path: Path) -> None:
    tape, columns, _ = market
    url = stored("shared/tape.jsonl", tape)
    tapes, key, here = prepared_here([url], CFG, tmp_path / "a")
    assert key == prepared_here([str(tape)], CFG, tmp_path / "a")[1]
    assert here.manifest.messages == columns.manifest.messages
    assert [path.name for path in (tmp_path / "a").iterdir()] == [key]  # the tape itself is not kept
    assert columns_of(tapes, key, CFG, tmp_path / "b").manifest == here.manifest
    fsspec.filesystem("memory").rm("shared/tape.jsonl")
    assert columns_of(tapes, key, CFG, tmp_path / "b").manifest == here.manifest
    with pytest.raises(TapeUnavailable, match=r"shared/tape\.jsonl"):
        columns_of(tapes, key, CFG, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


def test_a_tape_that_changed_is_not_taken_for_the_same(market: tuple[Path, Columns, Span], tmp_path: Path) -> None:
    tape = market[0]
    url = stored("changing.jsonl", tape)
    tapes, key, _ = prepared_here([url], CFG, tmp_path / "a")
    stored("changing.jsonl", write_tape(tmp_path / "other.jsonl", random_tape(11, 100)))
    with pytest.raises(TapeUnavailable, match=r"changing\.jsonl changed since"):
        columns_of(tapes, key, CFG, tmp_path / "b")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nowhere/tape.jsonl", "nowhere/tape.jsonl: not a file"),
        ("memory://nothing.jsonl", "nothing.jsonl"),
        ("nosuch://user:hidden@host/tape.jsonl?sig=hidden", "Protocol not known"),
    ],
)
def test_tapes_that_are_not_there(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        prepared_here([url], AppConfig(), tmp_path)
    assert "hidden" not in str(refusal.value)


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    assert shown("ftp://me:word@host/a/tape.zst") == "ftp://me:***@host/a/tape.zst"
    assert shown("https://host/tape.zst?X-Amz-Signature=abc") == "https://host/tape.zst?***"
    assert shown("data/tape.jsonl") == "data/tape.jsonl"
    assert shown("s3://bucket/tape.zst") == "s3://bucket/tape.zst"
    assert local_path("file:///a/b%20c.zst") == Path("/a/b c.zst")
    assert local_path("zip://t.jsonl::s3://bucket/t.zip") is None

"""Group E: what the market data feed can do to us, and that no strike comes of it."""

from __future__ import annotations

import itertools

import pytest

from stall_then_strike.types.dto import BookStatus, Side
from tests.market_script import Script, Traded, config, trade

BIDS = {13_599_000: 0.5, 13_598_900: 0.2, 13_598_000: 1.0}
ASKS = {13_600_500: 0.5, 13_600_600: 0.2, 13_601_000: 1.0}


def market() -> Script:
    """A running venue with a whole book at 0 ms."""
    return Script().ticker(0).snapshot(0, BIDS, ASKS)


def strikes_between(run: Traded, from_ms: float, to_ms: float) -> list[float]:
    return [at for at in run.at_ms("strike") if from_ms <= at < to_ms]


def test_a_quiet_market_is_struck() -> None:
    """The control of all tests here: without a fault there is a strike."""
    run = trade(market().alive(100, 1000))
    assert run.at_ms("strike")[0] == 250


@pytest.mark.parametrize("seconds", [1, 5, 60])
def test_e1_freeze_then_jump(seconds: int) -> None:
    end_ms = 1000 + seconds * 1000
    script = market().alive(100, 1000).tickers(500, end_ms + 3000)
    script.delta(end_ms, bids={13_599_000: 0, 13_598_900: 0}, asks={13_600_500: 0, 13_600_600: 0, 13_599_500: 0.1})
    script.alive(end_ms + 100, end_ms + 1000)
    run = trade(script)
    last_board_ms = 900
    assert strikes_between(run, last_board_ms + 700, end_ms) == []
    if seconds > 1:
        assert "book_stale" in run.reasons("hold")
        # Quotes that were live when the feed froze are taken back, by the stale book or by their TTL.
        assert all(row.action != "place" or row.ts_ns < run.orders[-1].ts_ns for row in run.orders)
    assert strikes_between(run, end_ms, end_ms + 250) == [], "the new best has to prove itself first"
    assert strikes_between(run, end_ms + 250, end_ms + 3000)


def test_e2_freeze_of_one_side() -> None:
    """The bids move on the venue, but their changes are lost: each message's mid says so."""
    script = market()
    for at, mid in zip(range(100, 2000, 100), itertools.count(13_599_800, 7)):
        script.delta(at, asks={13_605_000: at / 1000}, mid=mid)
    run = trade(script)
    assert run.at_ms("strike") == []
    assert "book_suspect" in run.reasons("hold")


@pytest.mark.parametrize(
    ("bids", "asks", "status"),
    [
        pytest.param({13_600_500: 0.1}, {}, BookStatus.SUSPECT, id="locked"),
        pytest.param({13_601_500: 0.1}, {}, BookStatus.SUSPECT, id="crossed: negative spread"),
        pytest.param({}, dict.fromkeys(ASKS, 0), BookStatus.SUSPECT, id="no asks"),
        pytest.param(dict.fromkeys(BIDS, 0), {}, BookStatus.SUSPECT, id="no bids"),
        pytest.param({0: 3.0}, {0: 3.0}, BookStatus.OK, id="price-0 levels of an auction are no levels"),
    ],
)
def test_e3_impossible_books(bids: dict[int, float], asks: dict[int, float], status: BookStatus) -> None:
    run = trade(market().delta(100, bids, asks, mid=13_599_750).tickers(500, 1500, 300))
    assert run.feed.view.snapshot(0).status is status
    if status is BookStatus.OK:
        assert run.at_ms("strike")[0] == 250
    else:
        assert run.at_ms("strike") == []


def test_e4_duplicate_delta_changes_nothing() -> None:
    script = market().delta(50, bids={13_598_000: 2.0})
    for at in (100, 120, 140):
        script.delta(at, bids={13_598_000: 2.0})
    run = trade(script.ticker(500))
    assert run.at_ms("strike")[0] == 250, "the best's age counts on"


def test_e4_delta_out_of_order_makes_the_book_suspect_until_the_snapshot() -> None:
    script = market()
    script.delta(100, bids={13_599_500: 0.1})
    script.delta(200, bids={13_599_500: 0})
    late = script.frames.pop(-2)[1]
    script.text(300, late)  # the older message overtakes nothing: it comes last, and its level stays as a phantom
    script.delta(400, asks={13_605_000: 1.0}, mid=13_599_750)
    script.alive_until = 0  # type: ignore[attr-defined]  # see below
    run = trade(script)
    assert run.feed.view.snapshot(0).status is BookStatus.SUSPECT
    assert strikes_between(run, 400, 5000) == []


def test_e5_burst_of_500_messages_a_second() -> None:
    script = market()
    for number in range(2500):
        script.delta(100 + number * 2, bids={13_590_000 - number % 300: 1.0 + number})
    run = trade(script)
    statistics = run.feed.statistics()
    assert statistics.board_deltas == 2500
    assert run.feed.board.size_at(Side.BUY, 13_590_000 - 2499 % 300) == 2500 * 10**8
    assert len(run.at_ms("strike")) > 1
    assert run.trader.core.record.tally.boards == 2501


def test_e6_mid_price_disagrees_with_book() -> None:
    script = market().delta(100, asks={13_605_000: 1.0}, mid=13_599_749).tickers(400, 1500, 200)
    script.delta(600, asks={13_605_000: 2.0}, mid=13_599_749)
    script.delta(1000, asks={13_605_000: 3.0})
    run = trade(script)
    assert strikes_between(run, 0, 1000) == []
    assert run.at_ms("strike")[0] == 1000, "the best stood still all the while, and now the book agrees"


def test_e6_mismatch_takes_quotes_back() -> None:
    script = market().alive(100, 400).delta(400, asks={13_605_000: 1.0}, mid=13_599_749).tickers(400, 1500, 200)
    run = trade(script)
    assert run.at_ms("cancel")[0] == 400
    assert run.reasons("cancel")[0] == "book_suspect"


def test_e7_snapshot_differs_from_book() -> None:
    script = market().alive(100, 400)
    script.snapshot(450, {13_598_500: 1.0}, {13_600_500: 0.5})
    script.alive(500, 1500)
    run = trade(script)
    assert run.reasons("cancel")[0] == "best_moved"
    assert run.at_ms("cancel")[0] == 450
    assert run.feed.board.size_at(Side.BUY, 13_599_000) == 0, "the snapshot replaces the book"
    assert run.at_ms("strike")[1] >= 450 + 250


def test_e8_clock_jumps_back() -> None:
    script = market().alive(100, 400)
    at_back = [(stamp - 3_600 * 10**9, text) for stamp, text in Script().ticker(0).snapshot(0, BIDS, ASKS).in_order()]
    later = Script().snapshot(500, BIDS, ASKS).alive(600, 2000).in_order()
    run = trade([*script.in_order(), *at_back, *later])
    stamps = [row.ts_ns for row in run.decisions]
    assert stamps == sorted(stamps)
    assert run.at_ms("strike")[0] == 250
    assert run.at_ms("cancel")[0] == 1050, "the TTL is not stretched by the jump"


@pytest.mark.parametrize("state", ["CLOSED", "STARTING", "PREOPEN", "CIRCUIT BREAK", "AWAITING SQ", ""])
def test_e9_no_quotes_unless_the_board_runs(state: str) -> None:
    script = market().ticker(10, state).alive(100, 1000).ticker(1000, "RUNNING").alive(1100, 1500)
    run = trade(script)
    assert strikes_between(run, 0, 1000) == []
    assert "venue_not_running" in run.reasons("hold")
    assert run.at_ms("strike")[0] == 1000


def test_e9_itayose_takes_quotes_back_and_fills_nothing() -> None:
    script = market().alive(100, 2000).ticker(400, "PREOPEN")
    script.trade(410, "", 13_590_000, 5.0)
    run = trade(script)
    assert run.reasons("cancel")[0] == "venue_not_running"
    assert run.trades == []


def test_e10_ten_percent_move_in_a_second() -> None:
    """A fill, then the market falls 10 %: the position is closed on the way, once, and nothing is struck meanwhile."""
    script = market().alive(100, 400).trade(400, "SELL", 13_599_000, 0.0004).trade(401, "SELL", 13_599_000, 0.0006)
    best = 13_599_000
    for step in range(1, 21):
        lower = 13_599_000 - step * 68_000
        asks = {best + 1500: 0, lower + 1500: 0.5} if step > 1 else {**dict.fromkeys(ASKS, 0), lower + 1500: 0.5}
        bids = {best: 0, lower: 0.5} if step > 1 else {**dict.fromkeys(BIDS, 0), lower: 0.5}
        script.delta(400 + step * 50, bids, asks)
        best = lower
    script.alive(1450, 3000)
    run = trade(script, config(risk={"daily_pnl_jpy": -1_000_000, "max_dd_jpy": -1_000_000}))
    assert [row.side for row in run.trades] == [Side.BUY, Side.BUY, Side.SELL]
    assert strikes_between(run, 450, 1400) == []
    assert run.trader.core.inventory.position == 0 or strikes_between(run, 1400, 3000)
    closes = [row for row in run.decisions if row.decision_type == "close" and row.actions]
    assert closes, "closed by the reverse move"

"""The generated market: calibrated, deterministic, consistent on the wire, and fair to our orders."""

from __future__ import annotations

import hashlib
import statistics
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.source import Frame, iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import BoardState, Health, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks
from tests.sim.exchange_rig import (
    BOARD,
    EXECUTIONS,
    SECOND,
    SNAPSHOT,
    START_NS,
    TICKER,
    PlainBook,
    message_of,
    of_channel,
)

MINUTE = 60 * SECOND
US = Owner("us")


def market(seed: int = 1) -> Market:
    return Market(seed=seed, start_ns=START_NS)


def fingerprint(frames: list[Frame]) -> str:
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.time_ns} {frame.text}\n".encode())
    return digest.hexdigest()


# --- determinism ------------------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    end = START_NS + MINUTE
    assert fingerprint(market(7).advance(end)) == fingerprint(market(7).advance(end))
    assert fingerprint(market(7).advance(end)) != fingerprint(market(8).advance(end))


def test_stream_does_not_depend_on_how_time_is_cut_into_steps() -> None:
    end = START_NS + MINUTE
    whole = market(7).advance(end)
    stepped = list(iter_frames(market(7), end))
    odd = market(7)
    cut = [frame for now in range(START_NS, end, 37_000_001) for frame in odd.advance(now)] + odd.advance(end)
    assert fingerprint(whole) == fingerprint(stepped) == fingerprint(cut)


def test_a_moment_of_the_past_does_nothing() -> None:
    source = market()
    source.advance(START_NS + SECOND)
    assert source.advance(START_NS) == []
    assert source.now_ns == START_NS + SECOND


# --- calibration ------------------------------------------------------------------------------------------------------


@dataclass
class Measured:
    """Statistics of a period of the market, from its frames alone."""

    seconds: float
    deltas: list[int] = field(default_factory=list)
    levels_per_delta: list[int] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    best_lasted: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    mids: dict[int, float] = field(default_factory=dict)
    snapshots: list[int] = field(default_factory=list)
    tickers: list[int] = field(default_factory=list)


def measure(seed: int, minutes: int) -> Measured:
    result = Measured(minutes * 60)
    book, best, since = PlainBook(), (0.0, 0.0), 0
    for frame in market(seed).advance(START_NS + minutes * MINUTE):
        message = message_of(frame)
        if frame.channel == EXECUTIONS:
            result.items.append(len(message))
            continue
        if frame.channel == TICKER:
            result.tickers.append(frame.time_ns)
            continue
        book.feed(frame.channel, message)
        if frame.channel == SNAPSHOT:
            result.snapshots.append(frame.time_ns)
            assert len(message["bids"]) == len(message["asks"]) == 300
        else:
            result.deltas.append(frame.time_ns)
            result.levels_per_delta.append(len(message["bids"]) + len(message["asks"]))
        if not book.is_known:
            continue
        assert message["mid_price"] == book.mid
        result.mids[(frame.time_ns - START_NS) // MINUTE] = message["mid_price"]
        result.spreads.append(book.best[1] - book.best[0])
        if book.best != best:
            if since:
                result.best_lasted.append(frame.time_ns - since)
            best, since = book.best, frame.time_ns
    return result


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_minutes_have_the_figures_of_the_real_feed(seed: int) -> None:
    m = measure(seed, 10)
    assert 7.0 <= len(m.deltas) / m.seconds <= 8.0
    assert 3 <= statistics.median(m.levels_per_delta) <= 10
    gaps = [b - a for a, b in pairwise(m.deltas)]
    assert 0.11 * SECOND <= statistics.median(gaps) <= 0.13 * SECOND
    assert 0.4 * SECOND <= max(gaps) <= 0.65 * SECOND  # 0.7 s of silence would be a stale feed
    assert 1_200 <= statistics.median(m.spreads) <= 2_500  # regimes last for minutes
    assert min(m.spreads) < 500
    assert statistics.quantiles(m.spreads, n=100)[98] < 5_000
    stalls = sum(lasted >= SECOND // 4 for lasted in m.best_lasted) / m.seconds * 30
    assert 30 <= stalls <= 48
    assert 0.3 <= len(m.items) / m.seconds <= 0.6
    assert 1.0 <= statistics.mean(m.items) <= 2.5
    assert max(m.items) <= 30
    assert all(4.3 * SECOND <= b - a <= 5.7 * SECOND for a, b in pairwise(m.snapshots))  # they wait for executions
    assert 1.5 <= len(m.tickers) / m.seconds <= 2.0
    assert min(b - a for a, b in pairwise(m.tickers)) >= SECOND // 2


@pytest.mark.slow
def test_minute_returns_have_a_realistic_size_over_several_seeds() -> None:
    returns: list[float] = []
    for seed in range(10, 13):
        mids = measure(seed, 10).mids
        returns += [100 * (b / a - 1) for a, b in pairwise(mids.values())]
    assert 0.02 <= statistics.pstdev(returns) <= 0.06  # per cent
    assert 13_400_000 < mids[9] < 13_800_000


@pytest.mark.slow
def test_half_an_hour_leaves_nothing_behind_that_grows() -> None:
    source = market()
    sizes: list[tuple[int, int, int]] = []
    for minute in (10, 30):
        for now in range(source.now_ns, START_NS + minute * MINUTE, MINUTE):
            source.advance(now + MINUTE)
        sizes.append((len(source._flow._events), len(source.engine), len(source._publisher._outbox)))
    for first, later in zip(sizes[0], sizes[-1], strict=True):
        assert later <= first * 1.3 + 10
    assert 600 <= len(source.engine) <= 1_100


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_snapshot_shows_changes_that_the_next_delta_repeats() -> None:
    frames = [f for f in market().advance(START_NS + 5 * MINUTE) if f.channel in {BOARD, SNAPSHOT}]
    book, ahead = PlainBook(), 0
    for before, frame in pairwise(frames):
        book.feed(before.channel, message_of(before))
        if frame.channel == SNAPSHOT and book.is_known:
            message = message_of(frame)
            snapshot = {(e["price"], e["size"]) for e in message["bids"][:50]}
            ahead += not snapshot <= set(book.sides["bids"].items())
    assert ahead > 10  # of about 60


def test_executions_precede_the_delta_that_shows_them_by_about_a_tenth_of_a_second() -> None:
    leads: list[float] = []
    waiting: list[tuple[int, float]] = []
    for frame in market().advance(START_NS + 10 * MINUTE):
        message = message_of(frame)
        if frame.channel == EXECUTIONS:
            waiting += [(frame.time_ns, item["price"]) for item in message[:1]]
        elif frame.channel == BOARD:
            touched = {e["price"] for key in ("bids", "asks") for e in message[key]}
            leads += [(frame.time_ns - at) / SECOND for at, price in waiting if price in touched]
            waiting = [(at, price) for at, price in waiting if price not in touched]
    assert len(leads) > 100
    assert 0.038 <= statistics.median(leads) <= 0.14  # the tapes' medians: 0.038 to 0.106
    assert min(leads) > 0


def test_execution_ids_rise_by_one_and_acceptance_ids_never_repeat() -> None:
    frames = of_channel(market().advance(START_NS + 10 * MINUTE), EXECUTIONS)
    items = [item for frame in frames for item in message_of(frame)]
    assert all(b["id"] - a["id"] == 1 for a, b in pairwise(items))
    makers: dict[str, str] = {}
    for frame in frames:
        message = message_of(frame)
        is_buy = message[0]["side"] == "BUY"
        takers = {item[f"{'buy' if is_buy else 'sell'}_child_order_acceptance_id"] for item in message}
        assert len(takers) == 1  # one message, one taker
        assert not takers & makers.keys()
        makers.update((item[f"{'sell' if is_buy else 'buy'}_child_order_acceptance_id"], "") for item in message)
        assert all(name.startswith("JRF20260921-") for name in takers)


def test_new_ids_do_not_repeat_within_one_second() -> None:
    source = market()
    assert len({source.new_order_id(START_NS) for _ in range(50_000)}) == 50_000


def test_ticker_agrees_with_the_book() -> None:
    source = market()
    frames = of_channel(source.advance(START_NS + MINUTE), TICKER)
    message = message_of(frames[-1])
    assert message["state"] == "RUNNING"
    assert message["best_bid"] < message["best_ask"]
    assert message["volume"] == message["volume_by_product"] > 0
    ticker = source.ticker()
    assert ticker is not None
    assert (ticker.best_bid, ticker.best_ask) == (source.depth(1).bids[0], source.depth(1).asks[0])


# --- orders from outside ----------------------------------------------------------------------------------------------


def quote(source: Market, side: Side, distance: int, size: int = 100_000) -> OrderId:
    """Rest an order ``distance`` ticks from the mid."""
    price = Ticks(source.depth(1).mid - side.sign * distance)
    return source.submit(source.now_ns, owner=US, side=side, size=Lots(size), price=price)


def test_our_quote_inside_the_spread_is_shown_in_the_next_delta() -> None:
    source = market()
    source.advance(START_NS + 10 * SECOND)
    price = source.depth(1).bids[0][0] + 1  # nearer to the mid it would soon be filled
    order_id = source.submit(source.now_ns, owner=US, side=Side.BUY, size=Lots(100_000), price=Ticks(price))
    deltas = of_channel(source.advance(source.now_ns + SECOND // 2), BOARD)
    shown = [e for f in deltas for e in message_of(f)["bids"] if e["price"] == price]
    assert shown[0]["size"] == 0.001
    source.cancel(source.now_ns, order_id)
    deltas = of_channel(source.advance(source.now_ns + SECOND // 2), BOARD)
    assert [e["size"] for f in deltas for e in message_of(f)["bids"] if e["price"] == price][-1] == 0.0


def test_quotes_inside_the_spread_are_hit_now_and_then_and_named_in_public() -> None:
    source = market()
    strikes = fills = 0
    for strike in range(600):
        source.advance(START_NS + (strike + 1) * 2 * SECOND)
        ids = [quote(source, Side.BUY, 1), quote(source, Side.SELL, 2)]
        frames = source.advance(source.now_ns + 800_000_000)
        gone = [order_id for order_id in ids if not source.cancel(source.now_ns, order_id)]
        strikes += len(ids)
        fills += len(gone)
        frames += source.advance(source.now_ns + SECOND // 2)  # the longest that an execution takes to be heard
        public = "".join(frame.text for frame in of_channel(frames, EXECUTIONS))
        assert all(order_id in public for order_id in gone)
    assert 0.05 < fills / strikes < 0.6


def test_a_quote_that_stays_is_taken_when_the_price_leaves_it_behind() -> None:
    """Adverse selection: right after a fill the market has moved, on average, against the filled side."""
    source = market(5)
    markouts: list[int] = []
    for strike in range(1_000):
        source.advance(START_NS + (strike + 1) * 2 * SECOND)
        side = Side.BUY if strike % 2 else Side.SELL
        price = source.depth(1).mid - side.sign
        order_id = quote(source, side, 1)
        source.advance(source.now_ns + 800_000_000)
        if not source.cancel(source.now_ns, order_id):
            source.advance(source.now_ns + SECOND)
            markouts.append(side.sign * (source.depth(1).mid - price))
    assert len(markouts) > 100
    assert statistics.mean(markouts) < 0


def test_our_market_order_walks_the_book_and_is_published() -> None:
    source = market()
    source.advance(START_NS + 10 * SECOND)
    asks = source.depth(3).asks
    size = Lots(sum(lots for _, lots in asks[:2]) + 1)
    order_id = source.submit(source.now_ns, owner=US, side=Side.BUY, size=size)
    heard = of_channel(source.advance(source.now_ns + SECOND), EXECUTIONS)  # with the venue's delay, among others'
    (message,) = (found for frame in heard if order_id in (found := message_of(frame))[0].values())
    assert message[0]["price"] == asks[0][0]
    assert message[-1]["price"] == asks[2][0]
    assert {item["buy_child_order_acceptance_id"] for item in message} == {order_id}
    ids = [item["id"] for item in reversed(message)]
    assert [e.exec_id for e in source.executions() if e.exec_id in ids] == ids


def test_order_with_an_expiry_leaves_the_book_on_time() -> None:
    source = market()
    price = Ticks(source.depth().bids[-1][0] - 1)
    order_id = source.new_order_id(START_NS)
    source.match(
        START_NS, order_id=order_id, owner=US, side=Side.BUY, size=Lots(5), price=price, expires_ns=START_NS + MINUTE
    )
    source.advance(START_NS + MINUTE - 1)
    assert order_id in source.engine
    source.advance(START_NS + MINUTE)
    assert order_id not in source.engine


def test_ioc_that_meets_nothing_leaves_no_trace() -> None:
    source = market()
    price = Ticks(source.depth(1).asks[0][0] - 1)
    order_id = source.submit(
        START_NS, owner=US, side=Side.BUY, size=Lots(5), price=price, time_in_force=TimeInForce.IOC
    )
    assert order_id not in source.engine
    assert price not in dict(source.engine.depth(Side.BUY))


# --- conditions -------------------------------------------------------------------------------------------------------


def test_closed_board_stands_still_says_so_in_the_ticker_and_goes_on_later() -> None:
    source = market()
    source.advance(START_NS + 10 * SECOND)
    source.set_condition(state=BoardState.CLOSED)
    source.advance(source.now_ns + SECOND)  # frames under way arrive
    frames = source.advance(source.now_ns + MINUTE)
    assert of_channel(frames, BOARD) == of_channel(frames, EXECUTIONS) == []
    assert {message_of(f)["state"] for f in of_channel(frames, TICKER)} == {"CLOSED"}
    source.set_condition(state=BoardState.RUNNING, health=Health.BUSY)
    assert (source.condition.state, source.condition.health) == (BoardState.RUNNING, Health.BUSY)
    resumed = of_channel(source.advance(source.now_ns + 10 * SECOND), BOARD)
    assert 60 <= len(resumed) <= 85

"""The book of a Lighter market equals a naive one digit by digit, and is given up as soon as it can be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.levels import BoardError
from stall_then_strike.lighter.orderbook_maintainer import MOST_OLD, BookGap, OrderBookMaintainer
from stall_then_strike.types.dto import Side
from tests.lighter.captured import BTC, BTC_FILE, ETH, NaiveBook, book, messages, modelled


def contents(kept: OrderBookMaintainer) -> tuple[list[Any], list[Any]]:
    """Both sides in decimals."""
    unit = kept.market.instrument
    bids, asks = (
        [(unit.price(price), unit.size(size)) for price, size in kept.levels(side)] for side in (Side.BUY, Side.SELL)
    )
    return bids, asks


@pytest.fixture
def kept() -> OrderBookMaintainer:
    kept = OrderBookMaintainer(ETH)
    bids, asks = [("2000.00", "0.5000"), ("1999.99", "1.0000")], [("2000.01", "0.0100"), ("2001.00", "2.0000")]
    kept.apply_snapshot(book(bids, asks, nonce=100, first=True))
    return kept


def take(kept: OrderBookMaintainer, message: dict[str, Any]) -> None:
    if message["type"].startswith("subscribed"):
        kept.apply_snapshot(message)
    else:
        assert kept.apply_update(message)


def test_captured_book_equals_a_naive_one_after_every_message_and_is_never_crossed() -> None:
    kept, naive, count = OrderBookMaintainer(BTC), NaiveBook(), 0
    for message in messages(BTC_FILE):
        if not str(message.get("type")).endswith("/order_book"):
            continue
        take(kept, message)
        naive.take(message)
        assert contents(kept) == naive.sorted()
        assert 0 < kept.best_bid < kept.best_ask
        assert (kept.nonce, kept.offset) == (message["order_book"]["nonce"], message["offset"])
        count += 1
    assert (count, kept.gaps) == (229, 0)


def test_forms_of_2026_are_read() -> None:
    kept = OrderBookMaintainer(ETH)
    kept.apply_snapshot(modelled("ws_order_book_subscribed.json"))
    assert contents(kept) == (
        [(ETH.instrument.price(200_000), ETH.instrument.size(200))],
        [
            (ETH.instrument.price(price), ETH.instrument.size(size))
            for price, size in ((232500, 990000), (234125, 3401028))
        ],
    )
    with pytest.raises(BookGap, match="nonce 9182389998 after 904845"):
        kept.apply_update(modelled("ws_order_book_update.json"))


LEVELS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), max_size=8)


@given(st.lists(st.tuples(LEVELS, LEVELS), max_size=20), st.booleans())
def test_any_run_of_messages_gives_the_naive_book(runs: list[tuple[Any, Any]], is_of_2025: bool) -> None:
    kept, naive = OrderBookMaintainer(ETH), NaiveBook()
    for number, (bids, asks) in enumerate(runs):
        message = book(
            [(f"{price}.00", f"{size}.0000") for price, size in bids],
            [(f"{price + 30}.50", f"{size}.0000") for price, size in asks],
            nonce=number * 7,
            begin=None if is_of_2025 else max(0, number - 1) * 7,
            offset=number,
            first=number == 0,
        )
        take(kept, message)
        naive.take(message)
        assert contents(kept) == naive.sorted()
        assert kept.best_bid == max((int(price * 100) for price in naive.bids), default=0)
        assert kept.best_ask == min((int(price * 100) for price in naive.asks), default=0)
    assert kept.gaps == 0


# --- what is missed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        book([("1999.00", "1.0000")], nonce=120, begin=101),
        book([("1999.00", "1.0000")], nonce=120, begin=None, offset=3),
        book([("2000.01", "1.0000")], nonce=120, begin=100),
        book([], [("2000.00", "1.0000")], nonce=120, begin=100),
        book([("2000.001", "1.0000")], nonce=120, begin=100),
        book([("0.00", "1.0000")], nonce=120, begin=100),
        book([("2000.00", "-1.0000")], nonce=120, begin=100),
        book([("2_000.00", "1.0000")], nonce=120, begin=100),
        book([("", "1.0000")], nonce=120, begin=100),
        book([("9" * 50, "1.0000")], nonce=120, begin=100),
        {"type": "update/order_book", "channel": "order_book:0"},
        {"type": "update/order_book", "order_book": {"asks": {}, "bids": [], "nonce": 120, "begin_nonce": 100}},
        {"type": "update/order_book", "order_book": {"asks": [7], "bids": [], "nonce": 120, "begin_nonce": 100}},
        {"type": "update/order_book", "order_book": {"asks": [{}], "bids": [], "nonce": 120, "begin_nonce": 100}},
        {"type": "update/order_book", "order_book": {"asks": [], "bids": [], "nonce": "120", "begin_nonce": 100}},
        {"type": "update/order_book", "order_book": {"asks": [], "bids": [], "nonce": 120, "begin_nonce": True}},
    ],
)
def test_book_that_can_be_wrong_is_given_up(kept: OrderBookMaintainer, broken: dict[str, Any]) -> None:
    with pytest.raises(BookGap):
        kept.apply_update(broken)
    assert (kept.is_known, len(kept), kept.best_bid, kept.best_ask, kept.gaps) == (False, 0, 0, 0, 1)


def test_crossed_or_unreadable_snapshot_is_no_book(kept: OrderBookMaintainer) -> None:
    with pytest.raises(BookGap, match="crossed"):
        kept.apply_snapshot(book([("2000.00", "1.0000")], [("2000.00", "1.0000")], first=True))
    assert (kept.is_known, len(kept)) == (False, 0)
    with pytest.raises(BoardError):
        kept.apply_snapshot(book([("2000.00", "x")], first=True))
    assert not kept.is_known


def test_snapshot_and_change_beyond_the_cap_are_refused() -> None:
    kept = OrderBookMaintainer(ETH, max_levels=2)
    bids = [(f"{price}.00", "1.0000") for price in range(1, 4)]
    with pytest.raises(BoardError, match="more than 2"):
        kept.apply_snapshot(book(bids, first=True))
    kept.apply_snapshot(book(bids[:2], first=True))
    with pytest.raises(BookGap, match="more than 2"):
        kept.apply_update(book(bids[2:], nonce=101, begin=100))


def test_book_is_whole_again_with_the_next_snapshot(kept: OrderBookMaintainer) -> None:
    with pytest.raises(BookGap):
        kept.apply_update(book(nonce=200, begin=150))
    kept.apply_snapshot(book([("1500.00", "1.0000")], None, nonce=210, first=True))
    assert kept.apply_update(book(None, [("1600.00", "1.0000")], nonce=220, begin=210))
    assert (kept.is_known, kept.best_bid, kept.best_ask) == (True, 150_000, 160_000)


def test_message_twice_or_late_changes_nothing(kept: OrderBookMaintainer) -> None:
    assert kept.apply_update(book([("1999.50", "1.0000")], nonce=110, begin=100, offset=2))
    before = contents(kept)
    assert not kept.apply_update(book([("1999.50", "9.0000")], nonce=110, begin=100, offset=2))
    assert not kept.apply_update(book([("1999.50", "0.0000")], nonce=90, begin=80))
    assert not kept.apply_update(book([("1999.50", "0.0000")], begin=None, offset=2))
    assert contents(kept) == before
    assert kept.gaps == 0


def test_change_that_reaches_over_the_snapshot_is_applied(kept: OrderBookMaintainer) -> None:
    """Sizes are absolute, so what the snapshot holds already does no harm."""
    assert kept.apply_update(book([("2000.00", "0.7000")], nonce=130, begin=90))
    assert kept.size_at(Side.BUY, kept.best_bid) == 7_000


def test_venue_that_numbers_anew_is_asked_for_a_new_book(kept: OrderBookMaintainer) -> None:
    for number in range(MOST_OLD):
        assert not kept.apply_update(book(nonce=number + 1, begin=number))
    with pytest.raises(BookGap, match="older than the book"):
        kept.apply_update(book(nonce=70, begin=69))


def test_empty_side_is_no_contradiction_and_depth_is_bounded(kept: OrderBookMaintainer) -> None:
    assert kept.depth(Side.BUY, 1) == ((200_000, 5_000),)
    assert kept.depth(Side.SELL, 9) == ((200_001, 100), (200_100, 20_000))
    assert kept.apply_update(book(None, [("2000.01", "0.0000"), ("2001.00", "0.0000")], nonce=101, begin=100))
    assert (kept.best_bid, kept.best_ask, kept.is_known) == (200_000, 0, True)
    kept.reset()
    assert (kept.is_known, kept.nonce, len(kept)) == (False, 0, 0)

"""Messages of the private channel become events; garbage becomes a count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from stall_then_strike.engine.venue.corrections import MAX_EXEC_ID
from stall_then_strike.infra.bitflyer.private_feed import PrivateFeed
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, FillEvent, OrderEvent, OrderEventKind, OrderTerms, Side
from stall_then_strike.types.instrument import Lots, Ticks, fx_btc_jpy

NAME = "JRF20230611-180201-097176"
DATE = "2023-06-11T18:02:01.6573082Z"
DATE_NS = 1_686_506_521_657_308_200
RECV_NS = DATE_NS + 120 * NS_PER_MS


def event(kind: Any = "CANCEL", **more: Any) -> dict[str, Any]:
    """Fields that are None are left out."""
    fields = {
        "product_code": "FX_BTC_JPY",
        "child_order_id": "JFX20230611-180201-440296F",
        "child_order_acceptance_id": NAME,
        "event_date": DATE,
        "event_type": kind,
        **more,
    }
    return {name: value for name, value in fields.items() if value is not None}


def order(**more: Any) -> dict[str, Any]:
    """As logged on the live venue."""
    terms = {"child_order_type": "LIMIT", "side": "BUY", "price": 3000000, "size": 0.01}
    return event("ORDER", **{**terms, "expire_date": "2023-07-11T18:02:01", **more})


def execution(**more: Any) -> dict[str, Any]:
    """As logged on the live venue."""
    fill = {"exec_id": 2373644588, "side": "BUY", "price": 3133605, "size": 0.01, "commission": 0, "sfd": 0}
    return event("EXECUTION", **{**fill, "outstanding_size": 0, **more})


@pytest.fixture
def feed() -> PrivateFeed:
    return PrivateFeed(fx_btc_jpy())


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="DEBUG", format="{level} {message}")
    yield lines
    logger.remove(sink)


def refused(feed: PrivateFeed) -> dict[str, int]:
    return dict(feed.statistics().refused)


@pytest.mark.parametrize(
    ("wire", "kind", "detail"),
    [
        (event("ORDER_FAILED", reason="Margin is insufficient"), OrderEventKind.REJECTED, "Margin is insufficient"),
        (event("ORDER_FAILED"), OrderEventKind.REJECTED, ""),
        (event("ORDER_FAILED", reason=["odd"]), OrderEventKind.REJECTED, "(list)"),
        (event("CANCEL"), OrderEventKind.CANCELLED, ""),
        (event("CANCEL", price=3000000, size=0.01), OrderEventKind.CANCELLED, ""),
        (event("CANCEL_FAILED"), OrderEventKind.CANCEL_FAILED, ""),
        (event("EXPIRE"), OrderEventKind.EXPIRED, ""),
        (event("EXPIRE", child_order_id=None, event_date=None), OrderEventKind.EXPIRED, ""),
    ],
)
def test_each_event_type_has_its_kind(
    feed: PrivateFeed, wire: dict[str, Any], kind: OrderEventKind, detail: str
) -> None:
    expected = OrderEvent(ts_ns=RECV_NS, kind=kind, order_id=NAME, detail=detail, is_margin="Margin" in detail)
    assert feed.decode([wire], RECV_NS) == (expected,)
    assert feed.statistics().order_events == 1


@pytest.mark.parametrize(
    ("more", "terms"),
    [
        ({}, OrderTerms(Side.BUY, Ticks(3_000_000), Lots(1_000_000))),
        ({"price": 3000000.0, "size": 0.29, "side": "SELL"}, OrderTerms(Side.SELL, Ticks(3_000_000), Lots(29_000_000))),
        ({"child_order_type": "MARKET", "price": 0}, OrderTerms(Side.BUY, None, Lots(1_000_000))),
        ({"child_order_type": None, "price": 0}, OrderTerms(Side.BUY, None, Lots(1_000_000))),
    ],
)
def test_an_order_event_says_what_the_order_asks_for(
    feed: PrivateFeed, more: dict[str, Any], terms: OrderTerms
) -> None:
    kind = OrderEventKind.REGISTERED
    assert feed.decode([order(**more)], RECV_NS) == (OrderEvent(ts_ns=RECV_NS, kind=kind, order_id=NAME, terms=terms),)
    assert refused(feed) == {}


@pytest.mark.parametrize("more", [{"side": None}, {"price": "3000000"}, {"size": None}, {"price": 0.5}, {"size": 1e-9}])
def test_an_order_event_whose_terms_cannot_be_read_counts_without_them(feed: PrivateFeed, more: dict[str, Any]) -> None:
    expected = OrderEvent(ts_ns=RECV_NS, kind=OrderEventKind.REGISTERED, order_id=NAME)
    assert feed.decode([order(**more)], RECV_NS) == (expected,)
    assert refused(feed) == {"bad_terms": 1}


@pytest.mark.parametrize(
    ("more", "price", "size", "fee"),
    [
        ({}, 3_133_605, 1_000_000, 0),
        ({"size": 1}, 3_133_605, 100_000_000, 0),
        ({"size": 0.12345678}, 3_133_605, 12_345_678, 0),
        ({"size": 1e-08}, 3_133_605, 1, 0),
        ({"size": 0.29}, 3_133_605, 29_000_000, 0),
        ({"price": 13600000.0}, 13_600_000, 1_000_000, 0),
        ({"commission": None, "sfd": None, "outstanding_size": None}, 3_133_605, 1_000_000, 0),
        ({"commission": 0.0}, 3_133_605, 1_000_000, 0),
        ({"commission": 0.00001, "price": 1000}, 1_000, 1_000_000, 1_000_000),
        ({"commission": -0.00001, "price": 1000}, 1_000, 1_000_000, -1_000_000),
        ({"commission": 1e-9}, 3_133_605, 1_000_000, 313_361),
        ({"commission": -1e-9}, 3_133_605, 1_000_000, -313_360),
    ],
)
def test_fill_is_exact(feed: PrivateFeed, more: dict[str, Any], price: int, size: int, fee: int) -> None:
    (fill,) = feed.decode([execution(**more)], RECV_NS)
    assert fill == FillEvent(
        ts_ns=RECV_NS, exec_id=2373644588, side=Side.BUY, price=price, size=size, fee=fee, order_id=NAME
    )
    assert refused(feed) == {}


@pytest.mark.parametrize("commission", ["0.1", [], float("nan"), 1e300, 10**300])
def test_fill_with_an_unreadable_commission_counts_without_it(feed: PrivateFeed, commission: Any) -> None:
    (fill,) = feed.decode([execution(commission=commission)], RECV_NS)
    assert isinstance(fill, FillEvent)
    assert fill.fee == 0
    assert refused(feed) == {"bad_commission": 1}


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (7, "bad_event"),
        (None, "bad_event"),
        ([event()], "bad_event"),
        (event(product_code=7), "bad_event"),
        (event(product_code=["FX_BTC_JPY"]), "bad_event"),
        (event(product_code="BTC_JPY"), "other_product"),
        (event(None), "unknown_type"),
        (event("TRIGGER"), "unknown_type"),
        (event(["CANCEL"]), "unknown_type"),
        (event(child_order_acceptance_id=None), "bad_order_id"),
        (event(child_order_acceptance_id=""), "bad_order_id"),
        (event(child_order_acceptance_id=7), "bad_order_id"),
        (event(child_order_acceptance_id="a\nb"), "bad_order_id"),
        (event(child_order_acceptance_id="x" * 65), "bad_order_id"),
        (execution(exec_id=None), "bad_fill"),
        (execution(exec_id=0), "bad_fill"),
        (execution(exec_id=True), "bad_fill"),
        (execution(exec_id="7"), "bad_fill"),
        (execution(exec_id=MAX_EXEC_ID + 1), "bad_fill"),
        (execution(side="buy"), "bad_fill"),
        (execution(side=["BUY"]), "bad_fill"),
        (execution(price=None), "bad_fill"),
        (execution(price=0), "bad_fill"),
        (execution(price=0.5), "bad_fill"),
        (execution(price="3133605"), "bad_fill"),
        (execution(price=10**5000), "bad_fill"),
        (execution(size=-0.01), "bad_fill"),
        (execution(size=1e-9), "bad_fill"),
        (execution(size=float("inf")), "bad_fill"),
        (execution(size=True), "bad_fill"),
    ],
)
def test_bad_event_is_counted_and_spoils_no_other(feed: PrivateFeed, wire: Any, kind: str) -> None:
    events = feed.decode([order(), wire, execution()], RECV_NS)
    assert [type(e) for e in events] == [OrderEvent, FillEvent]
    assert refused(feed) == {kind: 1}
    counts = feed.statistics()
    assert (counts.messages, counts.order_events, counts.fills) == (1, 1, 1)


@pytest.mark.parametrize("content", [None, {}, event(), "text", 7, [event()] * 10_001])
def test_message_that_is_no_list_of_events_is_refused(feed: PrivateFeed, content: Any) -> None:
    assert feed.decode(content, RECV_NS) == ()
    assert refused(feed) == {"bad_message": 1}


def test_several_events_of_a_message_keep_their_order(feed: PrivateFeed) -> None:
    events = feed.decode([order(), execution(exec_id=1), execution(exec_id=2), event("CANCEL")], RECV_NS)
    assert [e.exec_id if isinstance(e, FillEvent) else e.kind for e in events] == ["registered", 1, 2, "cancelled"]


def test_delay_is_receipt_less_the_venues_stamp(feed: PrivateFeed) -> None:
    assert feed.statistics().delay_ns is None
    feed.decode([event()], RECV_NS)
    feed.decode([event()], DATE_NS + 5 * NS_PER_S)
    feed.decode([event()], DATE_NS - 10)
    assert feed.statistics().delay_ns == -10


@pytest.mark.parametrize("date", [None, 7, "", "yesterday", "2023-13-11T18:02:01Z", "1999-06-11T18:02:01Z"])
def test_event_with_a_bad_date_counts_and_says_nothing_of_the_delay(feed: PrivateFeed, date: Any) -> None:
    assert len(feed.decode([event(event_date=date)], RECV_NS)) == 1
    assert refused(feed) == {"bad_date": 1}
    assert feed.statistics().delay_ns is None


@pytest.mark.parametrize(
    ("text", "rest_ns"),
    [
        ("2023-06-11T18:02:01.6573082Z", 657_308_200),
        ("2023-06-11T18:02:01.657", 657_000_000),
        ("2023-06-11T18:02:01", 0),
        ("2023-06-11T18:02:01.1234567891234Z", 123_456_789),
    ],
)
def test_stamps_are_read_exactly(text: str, rest_ns: int) -> None:
    assert wire_time_ns(text) == DATE_NS // NS_PER_S * NS_PER_S + rest_ns


def test_log_is_bounded_and_silent_on_other_products(feed: PrivateFeed, log_lines: list[str]) -> None:
    for number in range(100):
        feed.decode([event("NOVEL"), event(product_code="BTC_JPY")], RECV_NS + number)
    assert len(log_lines) == 1
    assert "unknown_type" in log_lines[0]
    assert NAME in log_lines[0]
    assert refused(feed) == {"other_product": 100, "unknown_type": 100}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "product_code": st.just("FX_BTC_JPY") | JSON,
        "event_type": st.sampled_from(["ORDER", "ORDER_FAILED", "CANCEL", "CANCEL_FAILED", "EXPIRE", "EXECUTION"]),
        "child_order_acceptance_id": st.just(NAME) | JSON,
        "event_date": st.just(DATE) | st.text() | JSON,
        "reason": JSON,
        "exec_id": st.integers() | JSON,
        "side": st.sampled_from(["BUY", "SELL"]) | JSON,
        "price": st.integers() | st.floats() | JSON,
        "size": st.integers() | st.floats() | JSON,
        "commission": st.floats() | JSON,
    },
)
FILLS = st.builds(
    execution,
    exec_id=st.integers() | st.integers(1, 10),
    price=st.integers() | st.floats() | st.just(100),
    size=st.floats() | st.integers() | st.just(0.01),
    commission=st.floats() | st.none(),
)


@given(JSON | st.lists(NEARLY | FILLS | JSON, max_size=4))
def test_nothing_raises_and_no_event_is_impossible(content: Any) -> None:
    feed = PrivateFeed(fx_btc_jpy())
    events = feed.decode(content, RECV_NS)
    for one in events:
        assert one.ts_ns == RECV_NS
        assert one.order_id
        if isinstance(one, FillEvent):
            assert 0 < one.exec_id <= MAX_EXEC_ID
            assert 0 < one.price <= 10**12
            assert 0 < one.size <= 10**16
            assert type(one.fee) is int
    counts = feed.statistics()
    assert counts.order_events + counts.fills == len(events)


@pytest.mark.parametrize(
    ("reason", "is_margin"),
    [
        ("Margin amount is insufficient for this order.", True),
        ("INSUFFICIENT_MARGIN", True),
        ("-205", True),
        ("Insufficient funds", True),
        ("証拠金が不足しています", True),
        ("The price is too low.", False),
        ("-2051", False),
        (None, False),
        (["margin"], False),
    ],
)
def test_a_late_refusal_for_margin_is_known_by_its_words(feed: PrivateFeed, reason: Any, is_margin: bool) -> None:
    (told,) = feed.decode([event("ORDER_FAILED", reason=reason)], RECV_NS)
    assert isinstance(told, OrderEvent)
    assert told.is_margin is is_margin


def test_fields_that_the_truth_can_do_without_may_be_missing(feed: PrivateFeed) -> None:
    """They are counted by name; the event is accepted with the defaults."""
    needed = {"event_type", "child_order_acceptance_id", "exec_id", "side", "price", "size"}
    whole = execution()
    bare = {name: value for name, value in whole.items() if name in needed}
    assert feed.decode([bare], RECV_NS) == feed.decode([whole], RECV_NS)
    assert dict(feed.absent.counts()) == {"a private event.product_code": 1, "a private execution.commission": 1}
    for name in sorted(needed):
        assert not feed.decode([{key: value for key, value in whole.items() if key != name}], RECV_NS), name

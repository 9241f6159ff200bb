"""A wish made true: what a key means, what is cancelled, what waits, and what no strategy may do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from stall_then_strike.engine.strategy import LiveQuote, Quote, Wish
from stall_then_strike.types.dto import BookStatus, Command, Notice, OrderEventKind, OrderMemo, PlaceLimit, Reason, Side
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, SELL, Desk, at, config
from tests.engine.toys import Puppet

K, R = OrderEventKind, Reason


def quote(key: int, price: int = 9_990, side: Side = BUY, size: int = MIN) -> Quote:
    return Quote(key, side, Ticks(price), Lots(size), 60_000)


class Stage(Desk):
    """A desk whose strategy does as the test says, at each board."""

    def __init__(self, ms: float = 0, orders: Iterable[OrderMemo] = (), **sections: Any) -> None:
        super().__init__(config(**sections), strategy=Puppet)
        assert isinstance(self.core.strategy, Puppet)
        self.puppet = self.core.strategy
        self.core.restore(None, orders, ())
        self.status(ms)
        self.board(ms)

    def wish(self, *quotes: Quote, reason: Reason = R.QUOTING, flatten: bool = False) -> None:
        self.puppet.wish = Wish(quotes, reason, flatten, until_ns=0)  # it is asked again at each step
        self.core.quoting.ask_anew()
        self.board(self.ms + 10)

    def named(self, number: int) -> PlaceLimit:
        """Our order of this number, on the book."""
        order = self.quotes[number]
        self.accept(self.ms, order.client_order_id)
        return order

    @property
    def live(self) -> tuple[LiveQuote, ...]:
        """What the strategy was last shown."""
        assert self.puppet.holding is not None
        return self.puppet.holding.quotes


def test_new_keys_are_sent_once_and_kept() -> None:
    stage = Stage()
    stage.wish(quote(1), quote(2, 10_110, SELL))
    assert [(q.side, q.price, q.tag) for q in stage.quotes] == [(BUY, 9_990, "toy"), (SELL, 10_110, "toy")]
    for _ in range(3):
        stage.wish(quote(1), quote(2, 10_110, SELL))
    assert len(stage.quotes) == 2
    assert not stage.cancels
    assert [q.key for q in stage.live] == [1, 2]
    assert stage.said("rest") == [R.QUOTING]


def test_key_left_out_is_cancelled_and_the_others_stay() -> None:
    stage = Stage()
    stage.wish(quote(1), quote(2, 9_980))
    stage.named(0), stage.named(1)
    stage.wish(quote(2, 9_980), reason=R.BEST_MOVED)
    assert [cancel.order_ids for cancel in stage.cancels] == [(f"V-{stage.quotes[0].client_order_id}",)]
    assert stage.said("cancel") == [R.BEST_MOVED]
    stage.board(stage.ms + 10)
    assert [(q.key, q.is_ending) for q in stage.live] == [(1, True), (2, False)]


def test_replacement_is_a_cancel_and_an_order_in_one_step() -> None:
    stage = Stage()
    stage.wish(quote(1))
    stage.named(0)
    stage.wish(quote(2, 9_995), reason=R.BEST_MOVED)
    assert [type(action).__name__ for action in stage.steps[-1].actions] == ["CancelAllStall", "PlaceLimit"]
    assert (stage.said("cancel"), stage.said("rest")) == ([R.BEST_MOVED], [R.QUOTING, R.BEST_MOVED])


def test_live_key_with_other_terms_is_cancelled_and_not_sent_again() -> None:
    """The venue cannot change an order: the new terms need a new key."""
    stage = Stage()
    stage.wish(quote(1))
    stage.named(0)
    stage.wish(quote(1, 9_995))
    assert len(stage.cancels) == 1
    stage.cancelled(stage.ms, stage.quotes[0].client_order_id)
    stage.wish(quote(1, 9_995))
    assert len(stage.quotes) == 1


@pytest.mark.parametrize("end", [K.CANCELLED, K.EXPIRED, K.REJECTED])
def test_ended_key_is_never_sent_again_though_it_is_wished(end: OrderEventKind) -> None:
    stage = Stage()
    stage.wish(quote(1))
    order = stage.named(0) if end is not K.REJECTED else stage.quotes[0]
    stage.tell(stage.ms, end, order.client_order_id)
    assert stage.puppet.ended == [(1, 0)]
    stage.wish(quote(1))
    stage.wish(quote(1), quote(2, 9_980))
    assert [q.price for q in stage.quotes] == [9_990, 9_980]


def test_filled_key_is_never_sent_again_and_its_fill_is_told() -> None:
    stage = Stage()
    stage.wish(quote(1))
    order = stage.named(0)
    stage.filled(stage.ms, order, MIN // 2)
    assert [q.remaining for q in stage.live] == [MIN // 2]
    assert stage.puppet.ended == []
    stage.filled(stage.ms, order, MIN // 2)
    assert stage.puppet.ended == [(1, MIN)]
    stage.wish(quote(1))
    assert len(stage.quotes) == 1
    assert stage.puppet.holding is not None
    assert (stage.puppet.holding.last_key, stage.puppet.holding.position) == (1, MIN)


def test_gate_takes_quotes_back_and_lets_none_out_whatever_is_wished() -> None:
    stage = Stage()
    stage.wish(quote(1))
    stage.named(0)
    stage.control(stage.ms, Command.HOLD, R.JOURNAL_LOCKED)
    assert stage.said("cancel") == [R.JOURNAL_LOCKED]
    stage.wish(quote(1), quote(2))
    assert len(stage.quotes) == 1
    stage.control(stage.ms, Command.RELEASE)
    stage.wish(quote(1), quote(2))
    assert len(stage.quotes) == 2, "the first has ended, the second was never sent"


@pytest.mark.parametrize("status", [BookStatus.SUSPECT, BookStatus.UNKNOWN, BookStatus.STALE])
def test_book_that_cannot_be_trusted_is_a_gate(status: BookStatus) -> None:
    stage = Stage()
    stage.wish(quote(1))
    stage.named(0)
    stage.board(stage.ms + 10, status=status)
    assert len(stage.cancels) == 1
    assert stage.said("cancel") == [{1: R.BOOK_UNKNOWN, 2: R.BOOK_SUSPECT, 3: R.BOOK_STALE}[int(status)]]


def test_old_board_is_shown_as_stale() -> None:
    stage = Stage()
    stage.wish(quote(1))
    stage.named(0)
    stage.tick(stage.ms + 5_000)
    assert stage.puppet.market is not None
    assert stage.puppet.market.status is BookStatus.STALE
    assert stage.said("cancel") == [R.BOOK_STALE]


def test_quotes_without_budget_are_sent_when_there_is_some() -> None:
    stage = Stage(strategy={"stale_ms": 3_600_000})
    now_ns = stage.core.now_ns
    while stage.core.budget.strike_at_ns(now_ns, 1, Lots(MIN)) <= now_ns:
        stage.core.budget.spend_strike(now_ns, 1, Lots(MIN))
    stage.wish(quote(1))
    assert not stage.quotes
    assert stage.said("hold")[-1] is R.BUDGET
    stage.wait(stage.ms + 400_000)
    assert [q.price for q in stage.quotes] == [9_990], "at the core's own deadline, without another board"


def test_flatten_takes_quotes_back_and_closes() -> None:
    stage = Stage()
    stage.wish(quote(1), quote(2, 10_110, SELL))
    stage.named(1)
    stage.filled(stage.ms, stage.named(0))
    stage.wish(reason=R.FLATTEN, flatten=True)
    assert stage.said("close") == [R.FLATTEN]
    assert len(stage.cancels) == 1
    assert not stage.closes, "not before the quote is gone"
    stage.cancelled(stage.ms, stage.quotes[1].client_order_id)
    assert [(close.side, close.size) for close in stage.closes] == [(SELL, MIN)]


def test_flatten_without_a_position_only_takes_quotes_back() -> None:
    stage = Stage()
    stage.wish(quote(1))
    stage.named(0)
    stage.wish(quote(1), quote(2), reason=R.FLATTEN, flatten=True)
    assert (len(stage.quotes), len(stage.cancels)) == (1, 1)
    assert stage.core.exits.closing is None
    assert stage.said("close") == []


def test_quote_of_size_zero_uses_up_its_key_and_its_number() -> None:
    stage = Stage()
    stage.wish(quote(1, size=0), quote(2, 10_110, SELL))
    (order,) = stage.quotes
    assert order.client_order_id.endswith("-2")
    stage.wish(quote(1), quote(2, 10_110, SELL))
    assert len(stage.quotes) == 1


@pytest.mark.parametrize(
    "quotes",
    [
        (quote(1, price=0),),
        (quote(1, size=MIN - 1),),
        (quote(1, size=-MIN),),
        (quote(1)._replace(price=Ticks(9_990.5)),),
        (quote(1)._replace(side="BUY"),),
        (quote(2), quote(1)),
        (quote(1), quote(1, 9_980)),
        tuple(quote(key) for key in range(1, 400)),
    ],
    ids=["price", "size", "negative", "float", "word", "order of keys", "key twice", "more than ever fit"],
)
def test_wish_that_cannot_be_true_is_an_error_of_the_strategy(quotes: tuple[Quote, ...]) -> None:
    stage = Stage()
    stage.wish(*quotes)
    assert not stage.quotes
    assert any(isinstance(row, Notice) and "strategy failed (1 of 3)" in row.text for row in stage.rows)
    stage.board(stage.ms + 10)
    stage.board(stage.ms + 10)
    assert stage.core.halted is R.INTERNAL_ERROR


def test_orders_of_an_earlier_run_have_no_key_and_are_cancelled() -> None:
    before = Stage()
    before.wish(quote(1))
    before.named(0)
    again = Stage(1_000, [order.memo() for order in before.core.orders.live()])
    again.wish(quote(1, 9_980))
    again.tick(again.ms)
    assert [(q.key, q.is_ending) for q in again.live] == [(0, True), (1, False)]
    assert [q.price for q in again.quotes] == [9_980], "its keys begin anew"
    assert [cancel.order_ids for cancel in again.cancels] == [(f"V-{before.quotes[0].client_order_id}",)]


def test_bug_when_told_of_an_end_is_an_error_of_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.wish(quote(1), quote(2, 9_980))
    first = stage.named(0)
    stage.named(1)
    with monkeypatch.context() as broken:
        broken.setattr(Puppet, "on_ended", lambda _self, _key, executed: 1 // executed)
        stage.tell(stage.ms, K.EXPIRED, first.client_order_id)
    assert [cancel.reason for cancel in stage.cancels] == [R.INTERNAL_ERROR]
    assert stage.cancels[0].order_ids == (f"V-{stage.quotes[1].client_order_id}",)


def test_strategy_at_rest_is_asked_again_only_when_it_sees_something_new() -> None:
    stage = Stage()
    stage.board(stage.ms + 10)
    stage.puppet.holding = None
    for _ in range(5):
        stage.board(stage.ms + 10)
    assert stage.puppet.holding is None, "the same best, no position, no orders"
    stage.board(stage.ms + 10, bid=10_001)
    assert stage.puppet.holding is not None
    stage.puppet.holding = None
    stage.control(stage.ms, Command.HOLD, R.JOURNAL_LOCKED)
    assert stage.puppet.holding is not None


@pytest.mark.parametrize("sees_sizes", [True, False])
def test_strategy_at_rest_is_asked_for_new_sizes_if_it_sees_them(
    sees_sizes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Puppet, "sees_sizes", sees_sizes)
    stage = Stage()
    stage.board(stage.ms + 10)
    stage.puppet.market = None
    other = stage.core.board._replace(ts_ns=at(stage.ms + 10), best_ask_size=Lots(MIN))
    stage.feed(other, stage.ms + 10)
    assert stage.puppet.market == (other if sees_sizes else None)


def test_strategy_at_rest_is_asked_when_its_wish_ends_and_when_the_board_is_stale() -> None:
    stage = Stage(strategy={"stale_ms": 700})
    stage.puppet.wish = Wish((), R.QUOTING, until_ns=at(300))
    stage.core.quoting.ask_anew()
    stage.tick(10)
    stage.board(100)
    stage.puppet.market = None
    assert stage.core.next_deadline_ns == at(300)
    stage.tick(300)
    assert stage.puppet.market is not None
    stage.board(400)
    assert stage.core.next_deadline_ns == at(1_100)
    stage.tick(1_100)
    assert stage.puppet.market.status is BookStatus.STALE


def test_position_or_orders_keep_the_strategy_asked() -> None:
    stage = Stage()
    stage.wish(quote(1))
    stage.puppet.holding = None
    stage.board(stage.ms + 10)
    assert stage.live
    stage.filled(stage.ms, stage.named(0))
    stage.board(stage.ms + 10)
    stage.puppet.holding = None
    stage.board(stage.ms + 10)
    assert stage.live == ()

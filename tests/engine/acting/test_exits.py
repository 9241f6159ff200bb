"""Cancels that stay wanted, and closings while orders are in doubt. More in test_core*.py."""

from __future__ import annotations

from typing import Any

from stall_then_strike.engine.strategy import Quote, Wish
from stall_then_strike.types.dto import BookStatus, CallsMade, Command, OrderEventKind, Reason
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, SELL, Desk, at, config
from tests.engine.live_desk import LiveDesk, settled_desk, struck
from tests.engine.toys import Puppet
from tests.engine.venue.reports import listed

K = OrderEventKind
PATIENT = config(strategy={"max_reverse_ticks": 1_000_000})


def halted_long(name_of_ask: bool = True) -> LiveDesk:
    """Half of the bid is filled, the ask's acknowledgement is lost; then the operator halts."""
    desk = settled_desk(PATIENT)
    bid, ask = struck(desk, accept=False)
    desk.tell(desk.ms, K.ACCEPTED, bid.client_order_id, "V-bid")
    desk.tell(desk.ms, K.REGISTERED, bid.client_order_id, "V-bid")
    if name_of_ask:
        desk.tell(desk.ms, K.ACCEPTED, ask.client_order_id, "V-ask")
    else:
        desk.tell(desk.ms, K.SEND_UNKNOWN, ask.client_order_id)
    desk.filled(desk.ms, bid)
    desk.control(desk.ms, Command.HALT)
    return desk


def held(desk: LiveDesk) -> dict[str, Any]:
    return {"position": desk.core.inventory.position, "basis": desk.core.inventory.basis}


def test_a_cancel_without_name_goes_out_when_the_name_is_found() -> None:
    """A1, F3."""
    desk = halted_long(name_of_ask=False)
    ask = desk.quotes[1]
    assert not desk.cancels
    desk.report(desk.ms + 500, listed("V9", side=SELL, price=ask.price), **held(desk))
    assert [cancel.order_ids for cancel in desk.cancels] == [("V9",)]


def test_a_close_waits_for_a_quote_in_doubt_until_it_is_a_ghost() -> None:
    """D3: it would be refused (-159) if the quote stands."""
    desk = halted_long(name_of_ask=False)
    start = desk.ms
    for ms in (2_500, 5_000):
        desk.report(start + ms, **held(desk))
    desk.wait(start + 8_000, alive_ms=100)
    assert not desk.closes
    desk.wait(start + 9_500, alive_ms=100)
    assert [(close.side, close.size) for close in desk.closes] == [(SELL, MIN)]


def test_a_ghost_that_comes_to_life_holds_the_close_up_again() -> None:
    desk = halted_long(name_of_ask=False)
    start, ask = desk.ms, desk.quotes[1]
    desk.board(start + 10, status=BookStatus.UNKNOWN)
    for ms in (2_500, 5_000):
        desk.report(start + ms, **held(desk))
    desk.wait(start + 10_000)
    desk.report(start + 10_500, listed("V9", side=SELL, price=ask.price), **held(desk))
    desk.board(start + 10_600)
    desk.wait(start + 12_000, alive_ms=100)
    assert not desk.closes
    assert [cancel.order_ids for cancel in desk.cancels][:1] == [("V9",)]
    desk.tell(start + 12_100, K.CANCELLED, ask.client_order_id)
    assert len(desk.closes) == 1


def test_a_cancel_whose_event_was_lost_holds_nothing_up_for_long() -> None:
    """A10."""
    desk = halted_long()
    ask = desk.quotes[1]
    desk.tell(desk.ms, K.REGISTERED, ask.client_order_id)
    start = desk.ms
    for ms in (3_500, 6_000):
        desk.report(start + ms, **held(desk))
    assert ask.client_order_id not in [order.client_order_id for order in desk.core.orders.live()]
    desk.board(desk.ms + 10)
    assert len(desk.closes) == 1


def test_a_fill_that_crosses_the_cancel_is_closed_with_the_rest() -> None:
    """A8: the cancel was accepted, the fill was in flight."""
    desk = halted_long()
    bid, ask = desk.quotes[:2]
    assert desk.core.orders.any_live
    desk.filled(desk.ms + 10, ask)
    assert desk.core.inventory.position == 0
    desk.wait(desk.ms + 2_000, alive_ms=100)
    assert not desk.closes
    assert desk.core.is_done
    assert bid.side is BUY


def test_a_refused_cancel_of_a_filled_order_leads_to_the_fill() -> None:
    """A7: the venue refuses, the fill's event was lost, the report has it."""
    desk = halted_long()
    ask = desk.quotes[1]
    desk.tell(desk.ms + 50, K.CANCEL_FAILED, ask.client_order_id)
    assert desk.core.account is not None
    assert desk.core.account.rules.due(desk.core.orders, desk.core.next_deadline_ns)[1].startswith("order ")


def test_the_reason_of_a_halt_is_that_of_its_cancels() -> None:
    desk = halted_long()
    assert {cancel.reason for cancel in desk.cancels} == {Reason.HALTED}


def test_the_cancel_of_an_order_that_no_list_shows_is_asked_for_rarely() -> None:
    """Its end was missed: each cancel fails, and frequent ones would use up a fifth of the calls."""
    desk = halted_long()
    ask, start = desk.quotes[1], desk.ms
    for ms in (2_500, 5_000):
        desk.report(start + ms, **held(desk))
    desk.tell(desk.ms, K.CANCEL_FAILED, ask.client_order_id)
    before = len(desk.cancels)
    for _ in range(30):
        desk.wait(desk.ms + 1_000, alive_ms=100)
        desk.tell(desk.ms, K.CANCEL_FAILED, ask.client_order_id)
    assert 2 <= len(desk.cancels) - before <= 4
    before = len(desk.cancels)
    desk.tell(desk.ms + 1, K.REGISTERED, ask.client_order_id)
    desk.wait(desk.ms + 1_100, alive_ms=100)
    assert len(desk.cancels) == before + 1, "one that came to life is cancelled at once"


def test_of_more_quotes_than_calls_are_left_as_many_are_cancelled_as_leave_some_for_the_close() -> None:
    """D8: forty quotes of a grid rest, and other calls have used up the share of a strike."""
    puppets: list[Puppet] = []
    desk = Desk(PATIENT, strategy=lambda cfg, unit: puppets.append(Puppet(cfg, unit)) or puppets[0])
    desk.status(0)
    desk.board(0)
    quotes = [Quote(key, BUY, Ticks(9_000 - key), Lots(MIN), 0) for key in range(1, 41)]
    puppets[0].wish = Wish(tuple(quotes), Reason.STRATEGY)
    desk.board(20, 10_001)
    desk.accept(30, *(quote.client_order_id for quote in desk.quotes))
    desk.filled(40, desk.quotes[0])
    desk.feed(CallsMade(ts_ns=at(50), calls=400), 50)
    desk.control(60, Command.HALT)
    assert [len(cancel.order_ids) for cancel in desk.cancels] == [30]
    for name in desk.cancels[0].order_ids:
        desk.cancelled(100, name.removeprefix("V-"))
    for quote in desk.quotes[31:]:
        desk.tell(60_040, OrderEventKind.EXPIRED, quote.client_order_id)
    desk.wait(60_100, alive_ms=50)
    assert [(close.side, close.size) for close in desk.closes] == [(SELL, MIN)]

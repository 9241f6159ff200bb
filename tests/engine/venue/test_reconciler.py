"""When the account is queried, and how its position and cash are compared."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.engine.orders import Orders
from stall_then_strike.engine.venue.reconciler import PERIOD, Books, Payment, Reconciler
from stall_then_strike.engine.venue.witnesses import Witness
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    ClientOrderId,
    ExecId,
    OrderEvent,
    OrderEventKind,
)
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.engine.core_rig import BUY, MIN, MS, SELL, START_NS, at, config, fill, own_order
from tests.engine.venue.reports import UNIT, report

LAG_MS = bitflyer_rules(config()).history_lag_ns // MS
ROUNDING, CARRY = "rounding or carry", "funding or carry"
HELD = 10_000_000 * MIN
"""0.001 BTC at 10 million: 10,000 JPY."""


def rules(**account: Any) -> Reconciler:
    cfg = config(account=account)
    return Reconciler(cfg.account, fx_btc_jpy(), bitflyer_rules(cfg))


def settled(ms: float = 0) -> Reconciler:
    """The channel is up and the first report has agreed; collateral is a million."""
    found = rules()
    found.on_channel(at(ms), is_live=True)
    ask(found, ms)
    found.take_over(report(ms + 100, asked_ms=ms), 0)
    found.compare(report(ms + 100, asked_ms=ms), 0)
    found.answered()
    return found


def ask(found: Reconciler, ms: float) -> None:
    assert found.due(Orders(), at(ms))[0] <= at(ms)
    found.asked(at(ms))


def due_ms(found: Reconciler, orders: Orders | None = None, ms: float = 0) -> tuple[float, str]:
    at_ns, why = found.due(orders or Orders(), at(ms))
    return (at_ns - START_NS) / MS, why


def unanswered() -> Orders:
    orders = Orders()
    orders.add(own_order(sent_ns=at(10_000)))
    orders.apply(OrderEvent(ts_ns=at(10_000), kind=OrderEventKind.SEND_UNKNOWN, client_order_id=ClientOrderId("a")))
    return orders


# --- when


def test_it_asks_when_the_channel_comes_up() -> None:
    found = rules()
    found.on_channel(at(500), is_live=True)
    assert due_ms(found, ms=500) == (500, "the private channel came up")


def test_without_a_channel_it_asks_after_a_while() -> None:
    """Counted from the start, however often ``due`` is called."""
    found = rules()
    assert [due_ms(found, ms=ms)[0] for ms in (0, 5_000, 14_000)] == [15_000, 15_000, 15_000]


def test_without_a_doubt_it_asks_on_a_period() -> None:
    assert due_ms(settled(), ms=200) == (60_000, PERIOD)


def test_an_answer_that_never_comes_is_given_up() -> None:
    found = rules()
    found.on_channel(at(0), is_live=True)
    ask(found, 0)
    assert due_ms(found, ms=1_000)[0] == 90_000


def test_a_question_that_fails_is_repeated_ever_more_rarely() -> None:
    """B12: the venue cannot be queried during the recovery."""
    found, ms, asked = rules(), 0.0, []
    found.on_channel(at(0), is_live=True)
    for _ in range(7):
        ms = max(ms, due_ms(found, ms=ms)[0])
        asked.append(ms)
        ask(found, ms)
        found.failed(at(ms))
    assert asked == [0, 1_000, 2_000, 4_000, 8_000, 16_000, 31_000]
    assert not found.is_settled
    assert due_ms(found, ms=31_000)[1] == "the account could not be asked"
    found.answered()
    assert due_ms(found, ms=31_000)[1] == "the private channel came up"


def test_a_channel_that_comes_and_goes_does_not_burn_the_budget() -> None:
    """B13: each reconnect needs a query, but they become less frequent."""
    found, questions = rules(), 0
    for second in range(120):
        found.on_channel(at(1_000 * second), is_live=True)
        if due_ms(found, ms=1_000 * second)[0] <= 1_000 * second:
            questions += 1
            ask(found, 1_000 * second)
            found.compare(report(1_000 * second + 100), 0)
            found.answered()
        found.on_channel(at(1_000 * second + 500), is_live=False)
    assert questions <= 12


def test_the_first_doubts_of_two_minutes_are_quick_ones() -> None:
    found = settled()
    for ms in (30_000, 60_000):
        ask_anyway(found, ms)
        found.answered()
    assert due_ms(found, unanswered(), 60_200) == (62_000, "order a is unknown")
    assert due_ms(found, unanswered(), 121_000) == (61_000, "order a is unknown")


def ask_anyway(found: Reconciler, ms: float) -> None:
    found.asked(at(ms))


def test_an_order_in_doubt_is_asked_for_at_once() -> None:
    """A1."""
    assert due_ms(settled(), unanswered(), 10_000) == (10_000, "order a is unknown")


def test_an_execution_that_nobody_claims_is_asked_for() -> None:
    orders = Orders()
    orders.apply(fill(BUY, 100, MIN, name=None, order_id="F", exec_id=7, ms=5_000))
    assert due_ms(settled(), orders, 5_000) == (8_000, "nobody claims execution 7")


# --- settled


def test_only_a_report_asked_for_since_the_channel_came_up_settles() -> None:
    """B11: one in flight when it came up may lack earlier events."""
    found = rules()
    found.on_channel(at(1_000), is_live=True)
    assert found.compare(report(1_500, asked_ms=900), 0) is Books.AGREE
    assert not found.is_settled
    assert found.compare(report(1_600, asked_ms=1_100), 0) is Books.AGREE
    assert found.is_settled
    found.on_channel(at(2_000), is_live=False)
    assert not found.is_settled


# --- position


def test_a_difference_that_ends_was_a_fill_on_its_way() -> None:
    found = settled()
    assert found.compare(report(1_000, position=MIN), 0) is Books.DIFFER
    assert due_ms(found, ms=1_000)[1] == "the position differs"
    assert found.compare(report(3_000, position=MIN), MIN) is Books.AGREE
    assert due_ms(found, ms=3_000)[1] == PERIOD


def test_the_same_difference_three_times_is_a_break() -> None:
    found = settled()
    seen = [found.compare(report(ms, position=MIN), 0) for ms in (1_000, 3_000, 7_000, 20_900, 21_000)]
    assert seen == [Books.DIFFER] * 4 + [Books.BROKEN]


def test_a_report_that_is_not_whole_breaks_nothing_for_long() -> None:
    found = settled()
    stamps = (1_000, 3_000, 7_000, 30_000, 90_000, 91_000)
    seen = [found.compare(report(ms, position=MIN, is_complete=False), 0) for ms in stamps]
    assert seen == [Books.DIFFER] * 5 + [Books.BROKEN]


def test_differences_that_change_are_not_one_that_stays() -> None:
    found = settled()
    sizes = (MIN, 2 * MIN, MIN, 2 * MIN, MIN)
    assert {found.compare(report(1_000 * n, position=size), 0) for n, size in enumerate(sizes)} == {Books.DIFFER}


def test_a_fill_that_the_venue_does_not_have_is_found() -> None:
    """A fill that was reported twice under two ids, or that is somebody else's."""
    found = settled()
    phantom = fill(BUY, 100, MIN, exec_id=9)
    found.note_fill(at(500), phantom)
    seen = [found.compare(report(ms), MIN) for ms in (3_000, 11_000, 13_000)]
    assert seen == [Books.DIFFER, Books.DIFFER, Books.PHANTOMS]
    assert found.phantoms() == [phantom]
    assert found.phantoms() == []
    assert found.compare(report(15_000), 0) is Books.AGREE


def test_phantoms_that_cancel_out_are_found_though_the_positions_agree() -> None:
    found = settled()
    phantoms = [fill(BUY, 100, MIN, exec_id=9), fill(SELL, 100, MIN, exec_id=10)]
    for phantom in phantoms:
        found.note_fill(at(500), phantom)
    assert found.compare(report(11_000), 0) is Books.AGREE
    assert due_ms(found, ms=11_000)[1] == "the venue does not list an execution"
    assert found.compare(report(13_000), 0) is Books.PHANTOMS
    assert found.phantoms() == phantoms


def test_phantoms_of_an_earlier_run_that_cancel_out_are_found_once_lists_cannot_be_behind() -> None:
    """The older one is not accounted for while the younger one may yet be listed: alone, neither explains anything."""
    found = settled()
    phantoms = [fill(BUY, 100, MIN, exec_id=9), fill(SELL, 100, MIN, exec_id=10)]
    for phantom, ms in zip(phantoms, (500, 60_000), strict=True):
        found.note_fill(at(ms), phantom)
        found.witnesses.add(phantom.exec_id, Witness.REMEMBERED)
    seen = []
    for ms in (125_000, 200_000, 203_000):
        found.look(report(ms))
        seen.append(found.compare(report(ms), 0))
    assert seen == [Books.AGREE, Books.AGREE, Books.PHANTOMS]
    assert found.phantoms() == phantoms


def test_after_an_alarm_it_looks_again_when_the_lists_can_tell() -> None:
    """Two phantom fills that cancel out cause one alarm and no other doubt; the next period may be a minute away."""
    found = settled()
    for exec_id, side in ((9, BUY), (10, SELL)):
        found.note_fill(at(20_000), fill(side, 100, MIN, exec_id=exec_id))
    found.alarm("more filled than ordered")
    assert due_ms(found, ms=20_000) == (1_000, "more filled than ordered")
    asked_ms, seen = 20_000.0, []
    for _ in range(3):
        ask(found, asked_ms)
        seen.append(found.compare(report(asked_ms + 100, asked_ms=asked_ms), 0))
        found.answered()
        asked_ms = max(asked_ms, due_ms(found, ms=asked_ms)[0])
    assert seen == [Books.AGREE, Books.AGREE, Books.PHANTOMS]
    assert asked_ms < 60_000
    found.phantoms()
    assert due_ms(found, ms=asked_ms)[1] is PERIOD


def test_a_fill_that_is_younger_than_the_lists_is_no_phantom() -> None:
    found = settled()
    found.note_fill(at(500), fill(BUY, 100, MIN, exec_id=9))
    assert [found.compare(report(ms), MIN) for ms in (5_000, 10_000)] == [Books.DIFFER, Books.DIFFER]


def test_a_list_that_is_not_whole_makes_no_phantoms() -> None:
    found = settled()
    found.note_fill(at(500), fill(BUY, 100, MIN, exec_id=9))
    seen = [found.compare(report(ms, is_complete=False), MIN) for ms in (3_000, 15_000, 30_000, 93_100)]
    assert seen == [Books.DIFFER] * 3 + [Books.BROKEN]


def test_executions_long_accounted_for_are_not_asked_for_again() -> None:
    """C6: a long history must not crowd out new executions."""
    found = settled()
    fills = [fill(BUY, 100, MIN, exec_id=number) for number in (5, 6, 7)]
    for done in fills:
        found.note_fill(at(1_000 * done.exec_id), done)
    found.compare(report(126_500, asked_ms=126_400, fills=fills), 0)
    assert found.since == 6
    found.note_fill(at(130_000), fill(BUY, 100, MIN, exec_id=8))
    found.compare(report(200_000, position=1), 0)
    assert found.since == 6, "not while the books differ"


# --- cash


def pay(found: Reconciler, amount: int, ms: float = 60_000, *, basis: int = HELD, cash: int = -HELD) -> Payment | None:
    """The payment that a report shows with this much more collateral, while ``basis`` is held."""
    found.note_held(basis)
    return found.payment(report(ms, collateral=1_000_000 * UNIT + amount, basis=basis), cash)


def test_a_small_payment_is_carry_once_it_is_seen_twice() -> None:
    found = settled()
    assert pay(found, -20 * UNIT) is None
    assert due_ms(found, ms=61_000)[1] == "the collateral moved"
    assert pay(found, -20 * UNIT) == Payment(-20 * UNIT, is_carry=True, what=CARRY)


def test_a_fill_between_two_answers_of_one_report_is_no_payment() -> None:
    """The position was queried before it, the collateral after it."""
    found = settled()
    won = 30 * UNIT
    assert pay(found, won) is None
    assert found.payment(report(62_000, collateral=1_000_000 * UNIT + won), won) is None
    assert found.payment(report(64_000, collateral=1_000_000 * UNIT + won), won) is None


def test_nothing_is_judged_while_a_fill_is_not_listed() -> None:
    """It changed our cash; whether it changed the venue's is not known yet."""
    found = settled()
    for exec_id, side in ((9, BUY), (10, SELL)):
        found.note_fill(at(59_000), fill(side, 100, MIN, exec_id=exec_id))
    assert found.compare(report(60_000), 0) is Books.AGREE
    assert not found.is_listed
    assert [pay(found, -UNIT) for _ in range(3)] == [None] * 3
    assert due_ms(found, ms=61_000)[1] != "the collateral moved"
    listed = [fill(side, 100, MIN, exec_id=exec_id) for exec_id, side in ((9, BUY), (10, SELL))]
    assert found.compare(report(62_000, fills=listed), 0) is Books.AGREE
    assert found.is_listed
    assert [pay(found, -UNIT) for _ in range(2)] == [None, Payment(-UNIT, is_carry=True, what=ROUNDING)]


def test_a_fill_that_two_reports_lack_and_that_explains_nothing_holds_up_no_payment() -> None:
    """The positions agree without it: it can neither be taken back nor delay payments for ever."""
    found = settled()
    found.note_fill(at(10_000), fill(SELL, 100, MIN // 2, exec_id=9))
    assert found.compare(report(60_000), 0) is Books.AGREE
    assert not found.is_listed
    assert found.compare(report(75_000), 0) is Books.AGREE
    assert found.is_listed
    assert [pay(found, 50_000 * UNIT) for _ in range(2)] == [None, Payment(50_000 * UNIT, is_carry=False)]


def test_a_large_payment_is_a_deposit() -> None:
    found = settled()
    assert [pay(found, 50_000 * UNIT) for _ in range(3)] == [None, Payment(50_000 * UNIT, is_carry=False), None]


def test_rebased_positions_move_no_cash() -> None:
    """The roll-over: price and collateral jump together."""
    found = settled()
    jump = 700 * UNIT
    for _ in range(2):
        moved = report(60_000, collateral=1_000_000 * UNIT + jump, basis=HELD + jump)
        assert found.payment(moved, -HELD) is None
    assert due_ms(found, ms=61_000)[1] == PERIOD


@pytest.mark.parametrize("sold", [False, True])
def test_what_was_held_since_the_last_report_can_have_been_charged(sold: bool) -> None:
    """Funding is charged, then the position is closed, then the account is queried."""
    found = settled()
    found.note_held(HELD if sold else 0)
    seen = [found.payment(report(60_000, collateral=1_000_000 * UNIT - 10 * UNIT), 0) for _ in range(2)]
    assert seen == [
        None,
        Payment(-10 * UNIT, is_carry=True, what=CARRY) if sold else Payment(-10 * UNIT, is_carry=False),
    ]


def test_collateral_that_lacks_what_the_newest_fills_won_is_behind() -> None:
    found = settled()
    found.note_fill(at(40_000), fill(SELL, 100, MIN, exec_id=8), 3 * UNIT)
    found.note_fill(at(50_000), fill(SELL, 100, MIN, exec_id=9), 30 * UNIT + 7)
    assert found.compare(report(60_000, fills=[fill(SELL, 100, MIN, exec_id=n) for n in (8, 9)]), 0) is Books.AGREE
    assert [pay(found, -30 * UNIT - 7) for _ in range(3)] == [None] * 3
    assert due_ms(found, ms=61_000)[1] == PERIOD
    assert [pay(found, -40 * UNIT) for _ in range(2)] == [None, Payment(-40 * UNIT, is_carry=True, what=CARRY)]


def test_what_was_won_long_ago_explains_no_payment() -> None:
    """Collateral cannot lag for ever, and a charge may be as large as some result of that day."""
    found = settled()
    found.note_fill(at(10_000), fill(SELL, 100, MIN, exec_id=8), 30 * UNIT)
    assert found.compare(report(20_000, fills=[fill(SELL, 100, MIN, exec_id=8)]), 0) is Books.AGREE
    late_ms = 20_000 + LAG_MS
    assert [pay(found, -30 * UNIT, late_ms + n) for n in (0, 1)] == [
        None,
        Payment(-30 * UNIT, is_carry=True, what=CARRY),
    ]


def test_results_of_other_instruments_do_not_pile_up() -> None:
    """The first instrument of an account may have no fill of its own for weeks."""
    found = settled()
    for number in range(100):
        found.note_result(at(number * LAG_MS), 7)
    assert len(found._results) <= 2


def test_a_drift_that_many_results_explain_is_booked_though_it_looks_like_some_of_them() -> None:
    """Settlement to zero: each result loses part of a yen; sums of the newest results come near any small amount."""
    found = settled()
    fills = [fill(SELL, 100, MIN, exec_id=9 + number) for number in range(24)]
    for number, each in enumerate(fills):
        found.note_fill(at(1_000 * number), each, (-4 if number % 3 else 5) * UNIT + 7)
    assert found.compare(report(60_000, fills=fills), 0) is Books.AGREE
    assert pay(found, 12 * UNIT) is None
    assert due_ms(found, ms=61_000)[1] == PERIOD, "no more than rounding explains"
    assert pay(found, 13 * UNIT) == Payment(12 * UNIT, is_carry=True, what=ROUNDING)
    assert due_ms(found, ms=61_000)[0] == 20_000


def test_less_than_a_yen_waits_for_more() -> None:
    """Settlement in whole yen: fractions of a yen come and go, and only a drift stays."""
    found = settled()
    assert [pay(found, 0, cash=-HELD + part) for part in (UNIT - 1, 1 - UNIT, UNIT // 2)] == [None] * 3
    assert due_ms(found, ms=61_000)[1] == PERIOD


def test_a_lasting_drift_is_booked_though_no_two_reports_say_quite_the_same() -> None:
    found = settled()
    assert pay(found, -3 * UNIT) is None
    assert due_ms(found, ms=61_000)[1] == PERIOD, "nothing to hurry for"
    drifted = pay(found, -6 * UNIT, cash=-HELD - UNIT // 2)
    assert drifted == Payment(-3 * UNIT, is_carry=True, what=ROUNDING), "what both reports show"
    assert due_ms(found, ms=61_000) == (20_000, PERIOD), "from now on it is looked at more often"
    rest = pay(found, -6 * UNIT, cash=-HELD - UNIT // 2 - 3 * UNIT)
    assert rest == Payment(-2 * UNIT - UNIT // 2, is_carry=True, what=ROUNDING)


def test_collateral_with_fractions_is_compared_exactly() -> None:
    found = settled()
    assert pay(found, 7) is None
    assert [pay(found, 7 + UNIT // 2) for _ in range(2)] == [
        None,
        Payment(7 + UNIT // 2, is_carry=True, what=ROUNDING),
    ]


def test_a_small_drift_is_no_deposit_though_nothing_was_held() -> None:
    found = settled()
    seen = [found.payment(report(60_000, collateral=1_000_000 * UNIT - 2 * UNIT), 0) for _ in range(2)]
    assert seen == [None, Payment(-2 * UNIT, is_carry=True, what=ROUNDING)]


def test_a_take_over_begins_a_new_account() -> None:
    found = settled()
    found.take_over(report(60_000, fills=[fill(SELL, 100, MIN, exec_id=44)], position=MIN, basis=HELD), 5 * UNIT)
    assert found.since == ExecId(44)
    assert found.cash_base == 1_000_000 * UNIT - HELD - 5 * UNIT

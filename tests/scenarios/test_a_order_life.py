"""Group A: what can become of an order, staged at the exchange and seen from its ledger.

Each test ends with `stop_and_check`: books equal to the exchange's ledger, and nothing on its book.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.bitflyer.venue_account import ChildOrder
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from tests.live.rig import OPEN_ALL_DAY
from tests.scenarios.at_work import CANCEL, HASTY, PLACE, QUICK, STILL, AtWork, at_work
from tests.signing import SIGNED
from tests.sim.private_rig import QUIET

pytestmark = SIGNED
K = FaultKind
EVENTS = "child_order_events"
SEND, TAKE_BACK = "/v1/me/sendchildorder", "/v1/me/cancelchildorder"


async def test_a1_send_whose_answer_is_lost_is_found_and_counts(tmp_path: Path) -> None:
    """A1: the submit times out, but the order lives: the account names it, and it ends as any other."""
    async with at_work(tmp_path, **HASTY) as work:
        await work.hit(Fault(kind=K.LOSE_ANSWER, path=SEND, count=2), times=2)
        await work.until("unknown sends", lambda: len(work.facts("send_unknown")) == 2)
        await work.new_strikes()
        await work.stop_and_check()
        doubtful = {fact.client_order_id for fact in work.facts("send_unknown")}
        assert all(not order.is_live and order.order_id for order in work.orders() if order.client_order_id in doubtful)


async def test_a2_send_that_never_arrived_is_given_up_and_never_filled(tmp_path: Path) -> None:
    """A2: the submit times out and there is no order: it counts as exposure until it must have expired."""
    async with at_work(tmp_path, speed=30, **QUICK, **HASTY) as work:
        await work.hit(Fault(kind=K.LOSE_REQUEST, path=SEND, count=2), times=2)
        await work.until("sends in doubt", lambda: len(work.facts("send_unknown")) == 2)
        sent = {fact.client_order_id: fact.ts_ns for fact in work.facts("send")}
        await work.until("proof", lambda: len(work.facts("proven_absent")) == 2)
        for fact in work.facts("proven_absent"):
            assert fact.ts_ns - sent[fact.client_order_id] > 55 * NS_PER_S
        await work.stop_and_check()


async def test_a3_answer_after_the_fill(tmp_path: Path) -> None:
    """A3: the answer that names an order comes after its fills and its end."""
    async with at_work(tmp_path) as work:
        await work.hit(Fault(kind=K.DELAY_ANSWER, path=SEND, seconds=4), times=20)
        await work.until("fills", lambda: len(work.room.venue.ledger().fills) > 8)
        await work.stop_and_check()


async def test_a4_fill_before_the_order_event(tmp_path: Path) -> None:
    """A4: EXECUTION comes before ORDER, which stock pybotters leaves open for ever."""
    async with at_work(tmp_path) as work:
        await work.hit(Fault(kind=K.DELAY_FRAME, channel=EVENTS, event="ORDER", seconds=3), times=10)
        await work.until("fills", lambda: len(work.room.venue.ledger().fills) > 8)
        await work.stop_and_check()


async def test_a5_fill_in_parts_last_part_first(tmp_path: Path) -> None:
    """A5: the parts of a fill come in the wrong order, and the public channel, which has both, is silent."""
    async with at_work(tmp_path, **STILL) as work:
        await work.until("quote", lambda: work.resting)
        faults = work.room.exchange.faults
        late = Fault(kind=K.DELAY_FRAME, channel=EVENTS, event="EXECUTION", seconds=10, count=1)
        await work.arm(late, Fault(kind=K.LOSE_FRAME, channel="lightning_executions_*"))
        order = work.hit_quote(30_000)
        await work.until("first part, held up", lambda: faults.struck[late.label])
        work.others(order.side.opposite, 70_000, order.price)
        await work.until("two parts", lambda: len(work.fills_of(order)) == 2)
        first, second = (int(fact.detail.split()[0]) for fact in work.fills_of(order))
        assert first > second, "the parts came in order: nothing was tested"
        faults.lift()
        await work.stop_and_check()


async def test_a6_same_execution_twice_and_over_both_ways_counts_once(tmp_path: Path) -> None:
    """A6: every execution comes twice on the channel, and once more in the account's list."""
    async with at_work(tmp_path, account={"reconcile_sec": 10}) as work:
        await work.hit(Fault(kind=K.DUPLICATE_FRAME, channel=EVENTS, seconds=1), times=30)
        asked = len(work.calls("GET /v1/me/getexecutions"))
        await work.until("two lists", lambda: len(work.calls("GET /v1/me/getexecutions")) > asked + 1)
        assert work.room.venue.ledger().fills
        await work.stop_and_check()


async def test_a7_cancel_of_a_filled_order(tmp_path: Path) -> None:
    """A7: the cancel is refused because the order was filled, and its fill comes later still."""
    async with at_work(tmp_path) as work:
        counters = work.room.venue.desk.counters
        await work.hit(Fault(kind=K.DELAY_FRAME, channel=EVENTS, event="EXECUTION", seconds=3), times=3)
        await work.until("cancel in vain", lambda: counters.cancels_failed > 1)
        await work.seconds(5)
        await work.stop_and_check()


async def test_a8_fill_wins_against_a_cancel_that_was_accepted(tmp_path: Path) -> None:
    """A8: a cancel was answered with 200, and the order is filled before it takes effect."""
    slow = Delays(cancel=(1_500 * NS_PER_MS, 2_000 * NS_PER_MS))
    settings = PrivateSettings(seed=7, calendar=OPEN_ALL_DAY, delays=slow)
    async with at_work(tmp_path, settings=settings) as work:
        await work.until("accepted cancel", lambda: work.calls(CANCEL) and work.resting)
        await work.until("order that is being cancelled", lambda: _being_cancelled(work))
        order = _being_cancelled(work)[0]
        work.others(order.side.opposite, order.remaining, order.price)
        await work.until("fill", lambda: work.fills_of(order))
        await work.stop_and_check()


def _being_cancelled(work: AtWork) -> list[ChildOrder]:
    asked = " ".join(call.body for call in work.calls(CANCEL) if call.http_status == 200)
    return [order for order in work.resting if order.acceptance_id in asked]


async def test_a9_cancel_of_an_order_that_the_venue_does_not_know(tmp_path: Path) -> None:
    """A9: cancels are answered with -111 although the orders live: no crash, no storm, asked for again."""
    async with at_work(tmp_path) as work:
        await work.hit(Fault(kind=K.ORDER_NOT_FOUND, count=4), times=4)
        await work.new_strikes()
        await work.stop_and_check()


async def test_a10_lost_cancel_event(tmp_path: Path) -> None:
    """A10: CANCEL never comes: the account tells that the order is gone."""
    async with at_work(tmp_path, speed=30, **QUICK) as work:
        await work.hit(Fault(kind=K.LOSE_FRAME, channel=EVENTS, event="CANCEL", count=3), times=3)
        await work.new_strikes()
        await work.stop_and_check()
        assert any(fact.detail == "found by reconciliation" for fact in work.facts())


async def test_a11_order_expires_at_the_venue_unheard(tmp_path: Path) -> None:
    """A11: cancels do nothing and EXPIRE is lost: the order counts as live until the account shows its end."""
    async with at_work(tmp_path, speed=30, model=QUIET, **QUICK) as work:
        lost = Fault(kind=K.LOSE_FRAME, channel=EVENTS, event="EXPIRE", to_s=90)
        work.room.exchange.faults.inject(lost)
        await work.hit(Fault(kind=K.IGNORE_CANCEL, count=40), times=2)
        await work.until("expiry", lambda: work.room.venue.desk.counters.expired > 0)
        work.room.exchange.faults.lift("ignore_cancel")
        await work.new_strikes()
        await work.stop_and_check()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=K.WRONG_OUTSTANDING, count=5),
        Fault(kind=K.LOSE_FIELDS, missing=("outstanding_size",), count=5),
    ],
    ids=["wrong", "missing"],
)
async def test_a12_outstanding_size_that_cannot_be_believed(fault: Fault, tmp_path: Path) -> None:
    """A12: what is left of an order is counted from its executions, not from the venue's word."""
    async with at_work(tmp_path) as work:
        await work.hit(fault, times=5)
        await work.stop_and_check()


async def test_a13_execution_without_the_name_of_its_order(tmp_path: Path) -> None:
    """A13: events that name no order are made up for by the account's lists."""
    async with at_work(tmp_path) as work:
        missing = ("child_order_acceptance_id", "child_order_id")
        await work.hit(Fault(kind=K.LOSE_FIELDS, missing=missing, count=3), times=3)
        await work.new_strikes()
        await work.stop_and_check()


async def test_a14_overfill_that_never_was_is_taken_back(tmp_path: Path) -> None:
    """A14: executions beyond what an order has, or that never were, end in the venue's position."""
    async with at_work(tmp_path) as work:
        await work.hit(Fault(kind=K.PHANTOM_EXECUTION, seconds=0.3, count=3), times=3)
        await work.seconds(30)
        await work.stop_and_check()


async def test_a14_overfills_that_make_up_for_each_other_are_taken_back_before_the_end(tmp_path: Path) -> None:
    """A14: both quotes are told to be filled, which they are not, and the run is stopped: the position says nothing."""
    async with at_work(tmp_path, **STILL) as work:
        await work.hit(Fault(kind=K.PHANTOM_EXECUTION, count=2), times=2)
        await work.until("both", lambda: len(work.facts("fill")) == 2)
        assert work.core.inventory.position == work.position == 0
        await work.stop_and_check()
        assert not work.room.venue.ledger().fills
        assert not work.facts("funding") + work.facts("collateral")


async def test_a15_late_event_does_not_bring_an_order_back(tmp_path: Path) -> None:
    """A15: ORDER comes long after CANCEL and EXECUTION."""
    async with at_work(tmp_path) as work:
        await work.hit(Fault(kind=K.DELAY_FRAME, channel=EVENTS, event="ORDER", seconds=15, to_s=20), times=20)
        await work.seconds(20)
        oldest_ns = work.room.clock.now_ns() - 5 * NS_PER_S
        assert [o.client_order_id for o in work.core.orders.live() if o.sent_ns < oldest_ns] == []
        await work.stop_and_check()


async def test_a16_part_that_was_filled_before_the_cancel_stays(tmp_path: Path) -> None:
    """A16: a quote is filled in part, then cancelled: the part stays in the books."""
    async with at_work(tmp_path, **STILL) as work:
        await work.until("quote", lambda: work.resting)
        order = work.hit_quote(40_000)
        await work.until("end of the quote", lambda: order.acceptance_id not in {o.acceptance_id for o in work.live})
        await work.stop_and_check()
        assert order.executed >= 40_000
        filled = [row for row in work.room.rows("trades") if row["order_id"] == order.acceptance_id]
        assert sum(round(float(row["size"]) * 1e8) for row in filled) == order.executed


async def test_a17_execution_without_commission_and_sfd(tmp_path: Path) -> None:
    """A17: a fill without a commission counts all the same."""
    async with at_work(tmp_path) as work:
        await work.hit(Fault(kind=K.LOSE_FIELDS, missing=("commission", "sfd"), count=5), times=5)
        await work.stop_and_check()


async def test_a18_rest_of_a_close_under_the_minimum_is_enlarged_and_closed(tmp_path: Path) -> None:
    """A18: what must be flat has a rest of 0.0004, which the venue takes no order for."""
    async with at_work(tmp_path, **STILL, risk={"stop_flat": True}) as work:
        await work.until("quote", lambda: work.resting)
        work.hit_quote(40_000)
        await work.until("part", lambda: work.core.inventory.position)
        assert abs(work.position) < work.core.instrument.min_size
        await work.stop_and_check()
        assert work.position == 0
        sent = [call.body for call in work.calls(PLACE) if '"MARKET"' in call.body]
        assert len(sent) >= 2
        assert all(call.http_status == 200 for call in work.calls(PLACE)), "an order under the minimum was sent"

"""Group D: REST that fails in every way, refusals by number, and the venue's limits.

What each answer means by itself is in `tests/infra/test_http_bitflyer_faults.py`; here the daemon lives through them.
"""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_HALTED
from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.bitflyer.tickets import Refusal
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S, Command, Control, Reason, Side
from tests.live.rig import OPEN_ALL_DAY
from tests.scenarios.at_work import CANCEL, HASTY, PLACE, QUICK, STILL, AtWork, at_work
from tests.scenarios.test_c_restart import manual, with_a_position
from tests.signing import SIGNED

pytestmark = SIGNED
K = FaultKind
PATHS = {
    "place": "/v1/me/sendchildorder",
    "cancel": "/v1/me/cancelchildorder",
    "position": "/v1/me/getpositions",
    "orders": "/v1/me/getchildorders",
}


def exposure(work: AtWork) -> int:
    """The largest position that our orders could make, whatever of them lives."""
    core = work.core
    sides = {side: sum(o.remaining for o in core.orders.live() if o.side is side) for side in Side}
    return max(abs(core.inventory.position + sides[Side.BUY]), abs(core.inventory.position - sides[Side.SELL]))


@pytest.mark.parametrize("what", PATHS)
async def test_d1_call_that_fails(what: str, tmp_path: Path) -> None:
    """D1: a page with 500 on place, cancel, position or orders: no order is taken for dead, none is sent twice."""
    async with at_work(tmp_path, speed=30, account={"reconcile_sec": 10, "vanish_sec": 1}) as work:
        await work.hit(Fault(kind=K.SERVER_ERROR, path=PATHS[what], count=2), times=2)
        await work.new_strikes()
        await work.stop_and_check()


async def test_d1_close_that_fails(tmp_path: Path) -> None:
    """D1: the close gets no answer and never arrived: not repeated while it may live, then closed."""
    async with at_work(tmp_path, speed=30, **STILL, **QUICK, **HASTY) as work:
        await with_a_position(work)
        sent = len(work.calls(PLACE))
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_REQUEST, path=PATHS["place"], count=1))
        work.run.trader.halt(Reason.OPERATOR, "")
        assert await work.ended() == EXIT_HALTED
        assert work.position == 0
        assert work.room.exchange.faults.struck["lose_request"] == 1
        assert len(work.calls(PLACE)) <= sent + 2
        await work.check()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=K.SERVER_ERROR, path="/v1/me/*", http_status=503, count=6, name="503"),
        Fault(kind=K.HTML_PAGE, path="/v1/me/*", count=6, name="html"),
        Fault(kind=K.EMPTY_BODY, path="/v1/me/*", count=6, name="empty"),
        Fault(kind=K.JSON_ARRAY, path="/v1/me/*", count=6, name="array"),
        Fault(kind=K.TRUNCATED_JSON, path="/v1/me/*", count=6, name="cut"),
    ],
    ids=lambda fault: fault.name,
)
async def test_d2_answer_of_another_shape(fault: Fault, tmp_path: Path) -> None:
    """D2: 503, an HTML page, nothing, an array for an object, half a JSON: doubt, and the account settles it."""
    async with at_work(tmp_path, speed=30, **QUICK) as work:
        await work.hit(fault, times=6)
        await work.new_strikes()
        await work.stop_and_check()


async def test_d2_429_is_a_pause_and_trading_goes_on(tmp_path: Path) -> None:
    """D2: over a limit that another program used up: for a while nothing new is sent, then it quotes again."""
    async with at_work(tmp_path) as work:
        await work.new_strikes()
        work.room.exchange.faults.inject(Fault(kind=K.OVER_LIMIT, path="/v1/me/*", seconds=20, count=1))
        await work.until("breach", lambda: any(call.http_status == 429 for call in audit_of(work)))
        calls = audit_of(work)
        breach = next(call for call in calls if call.http_status == 429)
        sent = len(work.calls(PLACE))
        await work.new_strikes()
        again = work.calls(PLACE)[sent + 2 :]  # a strike may have been on its way
        assert again[0].time_ns >= breach.time_ns + 4 * NS_PER_S
        assert work.core.halted is None
        await work.stop_and_check()
        assert not work.facts("halt")


def audit_of(work: AtWork) -> list[Any]:
    """Private calls so far."""
    return [call for call in work.room.exchange.audit.records() if "/v1/me/" in call.what]


async def test_d3_refused_because_it_would_meet_an_own_order(tmp_path: Path) -> None:
    """D3: an order made by hand stands in the way of our close (-159): asked ever more rarely, not flat, exit 1."""
    async with at_work(tmp_path, **STILL) as work:
        position = await with_a_position(work)
        side, price = (Side.BUY, 9_999_900) if position > 0 else (Side.SELL, 10_000_100)
        name = manual(work, side, price)
        await work.until("order in the way", lambda: name in {order.acceptance_id for order in work.resting})
        sent = len(work.calls(PLACE))
        work.run._cfg = work.run._cfg.model_copy(
            update={
                "risk": work.run._cfg.risk.model_copy(update={"stop_flat": True}),
                "account": work.run._cfg.account.model_copy(update={"stop_sec": Decimal(2)}),
            }
        )
        assert await work.stop() == EXIT_FAILED
        answers = [call.answer for call in work.calls(PLACE)[sent:]]
        assert 1 < len(answers) < 10
        assert all("-159" in answer for answer in answers)
        in_the_way = [fact for fact in work.facts("stranger") if "in the way" in fact.detail]
        assert [fact.order_id for fact in in_the_way] == [name], "named, and once"
        assert name in work.facts("stop")[-1].detail
        assert name in work.room.console.getvalue()
        assert work.position == position
        assert name in {order.acceptance_id for order in work.live}


async def test_d4_refused_for_its_size(tmp_path: Path) -> None:
    """D4: the venue's minimum is larger than the settings say (-110): halted after so many refusals, not for ever."""
    sizes = {"exchange": {"size_min": Decimal("0.0001")}, "strategy": {"size_min": Decimal("0.0005")}}
    async with at_work(tmp_path, begin=False, risk={"max_rejects": 4}) as work:
        exchange = work.room.cfg.exchange.model_copy(update=sizes["exchange"])
        strategy = work.room.cfg.strategy.model_copy(update=sizes["strategy"])
        work.room.cfg = work.room.cfg.model_copy(update={"exchange": exchange, "strategy": strategy})
        assert await work.room.run() == EXIT_HALTED
        assert work.core.halted is Reason.REJECTS
        assert len(work.calls(PLACE)) <= 6
        assert all("-110" in call.answer for call in work.calls(PLACE))
        await work.check()


async def test_d5_irregular_number_of_orders(tmp_path: Path) -> None:
    """D5: -509 is no refusal of one order: halted, and nothing is sent after it."""
    async with at_work(tmp_path) as work:
        await work.new_strikes()
        work.room.venue.desk.refusal = Refusal(status=-509, message="Ordering is limited: irregular number of orders.")
        await work.until("halt", lambda: work.core.halted)
        assert work.core.halted is Reason.LIMIT_BREACH
        sent = len(work.calls(PLACE))
        assert await work.stop() == EXIT_HALTED
        after = work.calls(PLACE)[sent + 2 :]  # a strike may have been on its way
        assert all('"MARKET"' in call.body for call in after)
        await work.check()


async def test_d6_margin_is_insufficient(tmp_path: Path) -> None:
    """D6: no collateral for a second quote (-205): a pause that grows, no halt, and what was filled stays closable."""
    poor = PrivateSettings(seed=7, calendar=OPEN_ALL_DAY, collateral_jpy=Decimal(7_000))
    async with at_work(tmp_path, settings=poor, risk={"max_rejects": 2}) as work:
        await work.until("three refusals", lambda: len(refusals(work)) >= 3)
        stamps = [call.time_ns for call in refusals(work)]
        pauses = [(later - earlier) / NS_PER_S for earlier, later in itertools.pairwise(stamps)]
        assert pauses[0] >= 9
        assert pauses[1] >= 18
        assert work.core.halted is None
        assert {row["reason"] for row in work.decisions("hold")} >= {"margin"}
        assert any("no quotes for 10 s" in fact.detail for fact in work.facts("margin"))
        await work.stop_and_check()


def refusals(work: AtWork) -> list[Any]:
    """Orders refused for margin, one of each strike."""
    found: list[Any] = []
    for call in work.calls(PLACE):
        if "-205" in call.answer and (not found or call.time_ns - found[-1].time_ns > NS_PER_S):
            found.append(call)
    return found


@pytest.mark.parametrize("seconds", [3, 60])
async def test_d7_slow_answers(seconds: int, tmp_path: Path) -> None:
    """D7: every answer takes 3 s, or longer than any time limit: what is sent is never sent again in its place."""
    async with at_work(tmp_path, **QUICK, **HASTY) as work:
        slow = Fault(kind=K.DELAY_ANSWER, path="/v1/me/*", seconds=seconds, to_s=20)
        await work.hit(slow, times=3)
        top = 0

        def is_over() -> bool:
            nonlocal top
            top = max(top, exposure(work))
            return not work.room.exchange.faults.at(slow.spec.site)

        await work.until("end of it", is_over)
        assert top <= work.core.instrument.to_lots(work.room.cfg.strategy.max_inventory_btc)
        await work.new_strikes()
        await work.stop_and_check()


async def test_d8_cancels_without_budget_while_quotes_fill(tmp_path: Path) -> None:
    """D8: no call is left for cancels: quotes stay until they expire, no new ones are sent."""
    async with at_work(tmp_path, speed=30, strategy={"max_inventory_btc": Decimal("0.002")}) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        limit = work.room.cfg.exchange.limits.private_per_5min
        work.core.budget.spend_cancel(work.room.clock.now_ns(), limit)
        cancels, sent = len(work.calls(CANCEL)), len(work.calls(PLACE))
        order = work.hit_quote(100_000)
        await work.until("fill", lambda: work.fills_of(order))
        for _ in range(20):
            await work.seconds(4)
            assert exposure(work) <= 200_000
        assert not work.resting, "the venue's own expiry is the last resort"
        assert len(work.calls(CANCEL)) <= cancels + 2
        assert len(work.calls(PLACE)) <= sent + 2
        assert await work.stop() == EXIT_DONE
        await work.check()


async def test_d9_close_has_budget_when_quotes_have_none(tmp_path: Path) -> None:
    """D9: all that strikes may use is used up: a halt still cancels and closes at once."""
    async with at_work(tmp_path, **STILL) as work:
        await with_a_position(work)
        now_ns = work.room.clock.now_ns()
        for window in work.core.budget._windows:
            if window.rule.send and window.rule.name is not LimitName.ADDRESS:
                window.spend(now_ns, window.rule.most - window.rule.reserve - window.own(now_ns))
        work.run.trader.on_event(
            Control(ts_ns=now_ns, command=Command.HALT, reason=Reason.OPERATOR, detail="by the test")
        )
        assert await work.ended() == EXIT_HALTED
        assert work.position == 0
        assert work.room.clock.now_ns() - now_ns < 60 * NS_PER_S, "it waited for a window to roll"
        await work.check()


@pytest.mark.parametrize("seconds", [2, -2])
async def test_d10_clock_two_seconds_off(seconds: int, tmp_path: Path) -> None:
    """D10: two seconds either way are within the limit: trading goes on, and books agree."""
    async with at_work(tmp_path, begin=False) as work:
        work.room.exchange.faults.inject(Fault(kind=K.CLOCK_SKEW, seconds=seconds, to_s=10_000))
        await work.start()
        await work.new_strikes(5)
        assert work.core.halted is None
        await work.stop_and_check()


@pytest.mark.slow
async def test_d11_no_window_of_calls_is_ever_overrun(tmp_path: Path) -> None:
    """D11: with strikes as often as can be, no documented limit is passed in any window of the exchange's audit."""
    async with at_work(tmp_path, speed=60, strategy={"stall_T_ms": 1, "ttl_ms": 50}) as work:
        await work.seconds(330)
        await work.stop_and_check()
        calls = work.room.exchange.audit.records()
        private = [call.time_ns for call in calls if "/v1/me/" in call.what]
        orders = [call.time_ns for call in work.calls(PLACE)]
        limits = work.room.cfg.exchange.limits
        assert most_within(private, 300) <= limits.private_per_5min
        assert most_within(orders, 300) <= limits.orders_per_5min
        assert most_within(orders, 60) <= limits.small_orders_per_min
        assert most_within(private, 300) > limits.private_per_5min // 2, "it was never near a limit"
        assert all(re.match(r"(GET|POST) /v1/", call.what) for call in calls if call.transport == "rest")


def most_within(stamps: list[int], seconds: int) -> int:
    """The most stamps in any window of so many seconds."""
    most, first = 0, 0
    for last, stamp in enumerate(stamps):
        while stamps[first] <= stamp - seconds * NS_PER_S:
            first += 1
        most = max(most, last - first + 1)
    return most

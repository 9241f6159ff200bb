"""The venue's daily events and its circuit breaker, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import orjson
import pytest

from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.bitflyer.venue_hours import BreakerRule, Calendar, Maintenance, Phase, next_daily_ns
from stall_then_strike.sim.exchange.source import CLOSE_SOCKETS
from stall_then_strike.types.dto import NS_PER_S, BoardState, Side
from stall_then_strike.types.instrument import Ticks
from tests.sim.exchange_rig import PRODUCT, SECOND, TICKER, message_of, of_channel
from tests.sim.private_rig import ASK, BID, NO_CALENDAR, NO_LIMITS, Room, order

DAY = 20_000 * 86_400 * NS_PER_S
HOUR = 3_600


def room(calendar: Calendar, hour: float = 0.0) -> Room:
    settings = PrivateSettings(limits=NO_LIMITS, calendar=calendar, collateral_jpy=Decimal(10_000_000))
    return Room(settings=settings, start_ns=DAY + round(hour * HOUR) * NS_PER_S)


def test_next_daily_moment_is_after_now() -> None:
    times = (5 * HOUR, 13 * HOUR, 21 * HOUR)
    for now_s, expected_s in ((0, 5), (5, 13), (20.5, 21), (21, 29), (23, 29)):
        assert next_daily_ns(DAY + round(now_s * HOUR) * NS_PER_S, times) == DAY + expected_s * HOUR * NS_PER_S


def test_daily_maintenance_closes_sockets_auctions_and_runs_again() -> None:
    r = room(replace(NO_CALENDAR, maintenance=Maintenance()), hour=18.99)
    r.other(Side.BUY, 1_000_000_000, BID - 1)  # enough for the market orders of the auction
    resting = r.send(order("BUY", BID - 500_000, minute_to_expire=43_200))
    r.advance(60 * 30)
    states: list[tuple[float, str]] = []
    for frame in of_channel(r.frames, TICKER):
        state = message_of(frame)["state"]
        if not states or states[-1][1] != state:
            states.append(((frame.time_ns - DAY) / SECOND - 19 * HOUR, state))
    assert [s for _, s in states] == ["RUNNING", "CLOSED", "STARTING", "PREOPEN", "RUNNING"]
    assert all(0 <= at - due < 2 for (at, _), due in zip(states[1:], (0, 600, 660, 720), strict=True))
    (close,) = of_channel(r.frames, CLOSE_SOCKETS)
    assert (close.time_ns - DAY, close.text) == ((19 * HOUR + 120) * NS_PER_S, "scheduled maintenance")
    assert r.story(resting) == ["ORDER"]  # it rested through the maintenance
    assert r.venue.next_ns() == DAY + (24 + 19) * HOUR * NS_PER_S


def test_funding_is_paid_at_each_of_its_times_on_the_position() -> None:
    assert Calendar().funding_at_s == (5 * HOUR, 13 * HOUR, 21 * HOUR)
    r = room(replace(NO_CALENDAR, funding_at_s=(600, 1_200, 1_800)))
    r.other(Side.SELL, 10_000_000, ASK - 1)
    r.send(order("BUY", ASK - 1, 0.1, minute_to_expire=1))
    r.advance(2_000)
    state = r.venue.ledger()
    assert [(p.time_ns - DAY) // NS_PER_S for p in state.payments] == [600, 1_200, 1_800]
    amount = 10_000_000 * r.market.mid() // 10_000
    assert {p.amount for p in state.payments} == {-amount}
    assert state.cash == 10_000_000 * 10**8 - 3 * amount
    assert r.venue.next_ns() == DAY + (24 * HOUR + 600) * NS_PER_S


def test_rollover_settles_at_the_mid_and_takes_the_carry() -> None:
    r = room(replace(NO_CALENDAR, rollover_at_s=9 * HOUR, carry_rate=40_000), hour=8.9)
    r.other(Side.SELL, 10_000_000, ASK - 100)
    r.send(order("BUY", ASK - 100, 0.1))
    r.advance(300)
    before = r.venue.ledger()
    assert before.lots[0].price == ASK - 100
    r.advance(HOUR)
    after = r.venue.ledger()
    mark = r.market.mid()
    assert after.lots[0].price == mark
    assert [p.what for p in after.payments] == ["carry", "rollover"]
    carry = 10_000_000 * mark * 4 // 10_000
    assert after.worth(Ticks(mark)) == before.worth(Ticks(mark)) - carry
    (row,) = orjson.loads(r.answer("GET", f"/v1/me/getpositions?product_code={PRODUCT}").text)
    assert (row["price"], row["pnl"]) == (float(mark), 0.0)


def test_breaker_trips_on_a_trade_too_far_away_and_reopens_by_an_auction() -> None:
    rule = BreakerRule(band=Fraction(1, 100))
    r = room(replace(NO_CALENDAR, breaker=rule), hour=1)
    r.other(Side.SELL, 100_000)
    far = BID - BID // 50
    r.other(Side.SELL, int(r.market.engine.total(Side.BUY)))
    r.other(Side.BUY, 100_000, far)
    r.other(Side.SELL, 100_000)
    r.advance()
    assert r.market.condition.state is BoardState.CIRCUIT_BREAK
    assert r.post("sendchildorder", order())[1]["status"] == -204
    r.advance(300)
    assert r.market.condition.state is BoardState.PREOPEN
    r.advance(60)
    assert r.market.condition.state is BoardState.RUNNING


@pytest.mark.parametrize(("pause_s", "state"), [(599, BoardState.CIRCUIT_BREAK), (600, BoardState.RUNNING)])
def test_breaker_compares_with_the_last_trade_of_ten_minutes_ago(pause_s: int, state: BoardState) -> None:
    r = room(replace(NO_CALENDAR, breaker=BreakerRule(band=Fraction(1, 10_000))), hour=1)
    for rise in (0, 900):  # each 0.9 of the band
        r.other(Side.BUY, 100_000, BID + rise)
        r.other(Side.SELL, 100_000)
        r.advance(500)
    r.advance(pause_s - 500)
    r.other(Side.BUY, 100_000, BID + 1_800)
    r.other(Side.SELL, 100_000)
    r.advance()
    assert r.market.condition.state is state
    r.advance(400)
    assert r.market.condition.state is BoardState.RUNNING


def test_phases_can_be_staged_by_hand() -> None:
    r = room(NO_CALENDAR)
    r.venue.begin_phases(r.now_ns, [Phase(state=BoardState.CIRCUIT_BREAK, seconds=5)])
    r.advance(1)
    assert r.market.condition.state is BoardState.CIRCUIT_BREAK
    r.advance(4)
    assert r.market.condition.state is BoardState.RUNNING


def test_maintenance_that_comes_into_a_halt_is_not_cut_short_by_its_end() -> None:
    maintenance = Maintenance(start_s=100, phases=(Phase(state=BoardState.CLOSED, seconds=600),))
    r = room(replace(NO_CALENDAR, maintenance=maintenance))
    r.venue.begin_phases(r.now_ns, BreakerRule().phases)
    r.advance(99)
    assert r.market.condition.state is BoardState.CIRCUIT_BREAK
    for _ in range(6):
        r.advance(100)
        assert r.market.condition.state is BoardState.CLOSED
    r.advance(2)
    assert r.market.condition.state is BoardState.RUNNING

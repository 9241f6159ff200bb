from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.lighter.limiter import MINUTE_NS, PLANS, PREMIUM, STANDARD, Limiter, PlanLimits, RollingWeight
from stall_then_strike.types.names import NS_PER_MS, NS_PER_S


@given(st.integers(5, 40), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 30)), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(limit: int, calls: list[tuple[int, int]]) -> None:
    window = RollingWeight(limit, 60)
    now, taken = 0, []
    for weight, pause in calls:
        now += pause
        wait = window.wait_ns(weight, now)
        assert wait == 0 or window.wait_ns(weight, now + wait - 1) > 0, "no longer than needed"
        now += wait
        window.take(weight, now)
        taken.append((now, weight))
    for start, _ in taken:
        assert sum(weight for stamp, weight in taken if start <= stamp < start + 60) <= limit


def made(clock: VirtualClock, plan: PlanLimits = STANDARD, **more: object) -> Limiter:
    return Limiter(clock, plan, **more)  # type: ignore[arg-type]  # the tests vary single settings


async def stamps(limiter: Limiter, clock: VirtualClock, calls: list[str]) -> list[int]:
    out = []
    for call in calls:
        await limiter.admit(call)
        out.append(clock.now_ns())
    return out


async def test_standard_account_makes_sixty_requests_a_minute_whatever_they_are() -> None:
    clock = VirtualClock(0)
    limiter = made(clock)
    seen = await stamps(limiter, clock, ["sendTx"] * 61)
    assert seen[:60] == [0] * 60
    assert MINUTE_NS <= seen[60] <= MINUTE_NS + 2 * NS_PER_S


async def test_premium_account_pays_by_weight() -> None:
    clock = VirtualClock(0)
    limiter = made(clock, PREMIUM)
    await stamps(limiter, clock, ["sendTxBatch"] * 1_000 + ["account"] * 50)
    assert limiter.used() == (6 * 1_000 + 300 * 50, 24_000)
    assert clock.now_ns() == 0


@pytest.mark.parametrize("name", ["plus", "builder"])
async def test_larger_plans_have_more_weight(name: str) -> None:
    clock = VirtualClock(0)
    limiter = made(clock, PLANS[name])
    most = PLANS[name].most
    assert most >= 5 * PREMIUM.most
    await stamps(limiter, clock, ["account"] * (most * 9 // 10 // 300))
    assert clock.now_ns() == 0, "a tenth is left for what sends"
    await limiter.admit("account")
    assert clock.now_ns() >= MINUTE_NS


async def test_polls_leave_room_for_cancels() -> None:
    clock = VirtualClock(0)
    limiter = made(clock, per_minute=20)
    await stamps(limiter, clock, ["account"] * 18)
    await stamps(limiter, clock, ["sendTx"] * 2)
    assert clock.now_ns() == 0
    await limiter.admit("account")
    assert clock.now_ns() >= MINUTE_NS


class StandingClock(VirtualClock):
    """Time does not pass: who sleeps goes on sleeping."""

    async def sleep_until(self, deadline_ns: int) -> None:
        await asyncio.Event().wait()


async def test_poll_that_waits_for_room_is_overtaken_by_a_cancel() -> None:
    clock = StandingClock(0)
    limiter = made(clock, per_minute=20)
    await stamps(limiter, clock, ["account"] * 18)
    polls = [asyncio.create_task(limiter.admit("account")) for _ in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await limiter.admit("sendTx")
    assert limiter.used() == (19, 20)
    for poll in polls:
        assert not poll.done()
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)


async def test_premium_sends_have_a_limit_of_their_own() -> None:
    clock = VirtualClock(0)
    limiter = made(clock, PREMIUM, per_minute=10**6)
    seen = await stamps(limiter, clock, ["sendTx"] * 4_001)
    assert seen[3_999] == 0
    assert seen[4_000] >= MINUTE_NS


async def test_pause_holds_everything() -> None:
    clock = VirtualClock(0)
    limiter = made(clock)
    limiter.pause_until(7 * NS_PER_S)
    limiter.pause_until(3 * NS_PER_S)
    assert await stamps(limiter, clock, ["nextNonce"]) == [7 * NS_PER_S]


async def test_jitter_stays_within_its_bounds() -> None:
    clock = VirtualClock(0)
    limiter = made(clock, jitter_ms=(50, 150))
    before = 0
    for _ in range(40):
        await limiter.admit("nextNonce")
        assert 50 * NS_PER_MS <= clock.now_ns() - before <= 150 * NS_PER_MS
        before = clock.now_ns()


async def test_cancelled_waiter_lets_the_next_one_pass() -> None:
    clock = VirtualClock(0)
    limiter = made(clock, per_minute=1)
    await limiter.admit("sendTx")
    async with asyncio.timeout(1):
        task = asyncio.create_task(limiter.admit("sendTx"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await limiter.admit("sendTx")
